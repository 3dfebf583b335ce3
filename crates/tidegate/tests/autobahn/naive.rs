//! An echo as many write one: each frame is given back as it came. It reads the frames rightly, and checks nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Starts it; it ends with the process of the test.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // The suite says what it thinks of a connection that broke.
            thread::spawn(move || serve(&socket).and_then(|()| socket.shutdown(Shutdown::Both)));
        }
    });
    address
}

fn serve(mut socket: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(socket);
    let mut key = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("sec-websocket-key") => {
                value.clone_into(&mut key)
            }
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let accept = derive_accept_key(key.as_bytes());
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    write!(socket, "{head}Sec-WebSocket-Accept: {accept}\r\n\r\n")?;
    loop {
        let [first, second] = bytes(&mut reader)?;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(bytes(&mut reader)?)),
            127 => u64::from_be_bytes(bytes(&mut reader)?),
            short => u64::from(short),
        };
        let mask: [u8; 4] = bytes(&mut reader)?;
        let mut payload = Vec::new();
        (&mut reader).take(length).read_to_end(&mut payload)?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        let opcode = if first & 0x0f == 0x9 { 0xa } else { first & 0x0f }; // a ping is answered with a pong
        let mut frame = vec![first & 0xf0 | opcode];
        match payload.len() {
            short @ 0..=125 => frame.push(short as u8),
            long => {
                frame.push(127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&payload);
        socket.write_all(&frame)?;
        if opcode == 0x8 {
            return Ok(());
        }
    }
}

fn bytes<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}
