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
        let (log, mut manager) = connect(url, channels).await;
        for name in channels {
            manager.subscribe(format!("tg:{{{name}}}")).await.expect("subscribed");
            begin(&log, redis, name);
        }
        Self { log, _manager: manager }
    }

    /// Hears those of these channels that this master of a Cluster has now.
    pub(crate) async fn of_shard(master: &RedisServer, channels: &[String]) -> Self {
        let (log, mut manager) = connect(&master.url(), channels).await;
        for name in channels {
            let subscribed: Result<(), _> =
                redis::cmd("SSUBSCRIBE").arg(format!("tg:{{{name}}}")).query_async(&mut manager).await;
            // Of others it says MOVED.
            if subscribed.is_ok() {
                begin(&log, master, name);
            }
        }
        Self { log, _manager: manager }
    }

    /// What it has heard.
    pub(crate) fn log(&self) -> Log {
        self.log.lock().expect("whole").clone()
    }
}

async fn connect(url: &str, channels: &[String]) -> (Arc<Mutex<Log>>, ConnectionManager) {
    let log = Arc::new(Mutex::new(Log::new("a ConnectionManager", channels)));
    let pen = Arc::clone(&log);
    let config = ConnectionManagerConfig::new().set_automatic_resubscription().set_push_sender(
        move |push: PushInfo| {
            if let (
                PushKind::Message | PushKind::SMessage,
                [Value::BulkString(name), Value::BulkString(payload)],
            ) = (push.kind, &push.data[..])
            {
                write(&mut pen.lock().expect("whole"), name, payload);
            }
            Ok::<(), redis::aio::SendError>(())
        },
    );
    let client = Client::open(format!("{url}/?protocol=resp3")).expect("an address");
    let manager = ConnectionManager::new_with_config(client, config).await.expect("redis");
    (log, manager)
}

/// It is subscribed, where the channel stands now.
fn begin(log: &Mutex<Log>, redis: &RedisServer, name: &str) {
    if let Some(lineage) = redis.lineage(name).expect("redis") {
        let mut log = log.lock().expect("whole");
        let channel = log.channels.iter().position(|own| own == name).expect("its own");
        log.write(Told::Subscribed { channel, since: None, start: lineage.top, recovered: None });
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
