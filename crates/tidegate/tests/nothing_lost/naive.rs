//! A control: a subscriber as it is written at first, whose connection redis-rs makes anew and subscribes again. It writes what it
//! hears into the same log, for the same judge.

use std::sync::{Arc, Mutex};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, PushInfo, PushKind, Value};
use tidegate_protocol::Envelope;
use tidegate_testkit::RedisServer;
use tidegate_testkit::history::{Log, Told, number_in};

/// It ends with this value.
pub(crate) struct Naive {
    log: Arc<Mutex<Log>>,
    _manager: ConnectionManager,
}

impl Naive {
    /// Hears these channels from now on, over `url`.
    pub(crate) async fn subscribe(url: &str, redis: &RedisServer, channels: &[String]) -> Self {
        let log = Arc::new(Mutex::new(Log::new("a ConnectionManager", channels)));
        let pen = Arc::clone(&log);
        let config = ConnectionManagerConfig::new().set_automatic_resubscription().set_push_sender(
            move |push: PushInfo| {
                if let (PushKind::Message, [Value::BulkString(name), Value::BulkString(payload)]) =
                    (push.kind, &push.data[..])
                {
                    write(&mut pen.lock().expect("whole"), name, payload);
                }
                Ok::<(), redis::aio::SendError>(())
            },
        );
        let client = Client::open(format!("{url}/?protocol=resp3")).expect("an address");
        let mut manager = ConnectionManager::new_with_config(client, config).await.expect("redis");
        for (channel, name) in channels.iter().enumerate() {
            manager.subscribe(format!("tg:{{{name}}}")).await.expect("subscribed");
            if let Some(lineage) = redis.lineage(name).expect("redis") {
                let told = Told::Subscribed { channel, since: None, start: lineage.top, recovered: None };
                log.lock().expect("whole").write(told);
            }
        }
        Self { log, _manager: manager }
    }

    /// What it has heard.
    pub(crate) fn log(&self) -> Log {
        self.log.lock().expect("whole").clone()
    }
}

fn write(log: &mut Log, name: &[u8], payload: &[u8]) {
    let name = String::from_utf8_lossy(name);
    let name = name.trim_start_matches("tg:{").trim_end_matches('}');
    let Some(channel) = log.channels.iter().position(|own| own == name) else { return };
    let Envelope::Event(event) = Envelope::decode(payload.to_vec().into()) else { return };
    let (offset, keyed) = (event.position.map(|at| at.offset), Some(event.key.is_some()));
    let number = event.payload.text().and_then(number_in);
    log.write(Told::Event { channel, offset, number, keyed });
}
