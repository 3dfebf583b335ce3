//! Free ports for servers that cannot be told "any port" and say which one they took, or that must come back on theirs.
//!
//! Ports lie below the kernel's ephemeral range, so neither an outgoing connection nor a bind to port 0 takes one in
//! between; a locked file per port keeps test processes apart until they end.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// The claims of this process, held until it ends.
static CLAIMED: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port on 127.0.0.1 that nobody listens on and that no other test process gets while this one lives.
///
/// # Panics
/// When there is none, or the temporary folder cannot be written.
pub fn free_port() -> u16 {
    let folder = PathBuf::from("/tmp/tidegate-test-ports");
    fs::create_dir_all(&folder).expect("a folder for port locks");
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
    let mut claimed = CLAIMED.lock().expect("nothing panics while it claims");
    for step in 0..COUNT {
        let port = FIRST + (start + step) % COUNT;
        let file = File::create(folder.join(port.to_string())).expect("a port lock file");
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            claimed.push(file);
            return port;
        }
    }
    panic!("no free port from {FIRST} to {}", FIRST + COUNT - 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_once() {
        let ports: std::collections::HashSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
    }
}
