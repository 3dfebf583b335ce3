//! The room floor: what waking up costs anyway when many small events come through Redis.
//!
//! One plain thread: accepts its connections (the plain door's address works: `?channel=`), then is
//! a bare loop that reads the subscription and writes each event to each subscriber of the room
//! with one blocking send. No runtime, no accepting meanwhile: do not slow it down.

use std::collections::HashMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};

use crate::frame::{Opcode, write_server};
use crate::resp::{Push, Subscription};
use crate::upgrade::Upgrade;

/// Serves until the last subscriber is gone (found out by writing) or Redis ends.
///
/// # Errors
/// When Redis cannot be reached or the listener fails.
pub fn serve(listener: TcpListener, redis: &str, connections: usize) -> Result<()> {
    crate::files::raise_limit()?;
    let mut subscription = Subscription::connect(redis).with_context(|| format!("connecting to {redis}"))?;
    let mut rooms: HashMap<Vec<u8>, Vec<TcpStream>> = HashMap::new();
    let mut joined = 0;
    while joined < connections {
        let Ok(upgrade) = Upgrade::read(listener.accept()?.0) else { continue };
        let room = format!("tg:{{{}}}", upgrade.channel().unwrap_or("lobby"));
        if !rooms.contains_key(room.as_bytes()) {
            subscription.subscribe(&room)?;
            // Events of rooms that wait for their last member are nobody's yet.
            while subscription.push()? != Push::Subscribed {}
        }
        let Ok(socket) = upgrade.agree() else { continue };
        rooms.entry(room.into_bytes()).or_default().push(socket);
        joined += 1;
    }
    drop(listener);
    let mut frame = Vec::new();
    while joined > 0 {
        let Push::Message { channel, payload } = subscription.push()? else { continue };
        let Some(room) = rooms.get_mut(channel) else { continue };
        frame.clear();
        write_server(Opcode::Text, payload, &mut frame);
        room.retain_mut(|socket| {
            let written = socket.write_all(&frame).is_ok();
            joined -= usize::from(!written);
            written
        });
    }
    Ok(())
}
