//! The laws of a ring: what a non-blocking `send` does, for each parcel, in order.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use super::*;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

fn send(ring: &mut Ring, parcels: &[(&TcpStream, &[u8])]) -> Vec<Result<usize, ErrorKind>> {
    let parcels: Vec<Parcel<'_>> =
        parcels.iter().map(|(socket, bytes)| Parcel { socket: socket.as_fd(), bytes }).collect();
    ring.send(&parcels).map(|answer| answer.map_err(|error| error.kind())).collect()
}

#[test]
fn each_socket_gets_its_bytes_in_the_order_of_the_calls() {
    let mut ring = Ring::new().unwrap();
    let pairs: Vec<_> = (0..MOST).map(|_| pair()).collect();
    for call in 0..3u8 {
        let texts: Vec<_> = (0..MOST).map(|n| format!("{call}:{n} ")).collect();
        let parcels: Vec<_> =
            pairs.iter().zip(&texts).map(|(pair, text)| (&pair.0, text.as_bytes())).collect();
        let answers = send(&mut ring, &parcels);
        assert_eq!(answers, texts.iter().map(|text| Ok(text.len())).collect::<Vec<_>>());
    }
    for (n, (server, mut client)) in pairs.into_iter().enumerate() {
        drop(server);
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, format!("0:{n} 1:{n} 2:{n} "));
    }
}

#[test]
fn a_full_socket_takes_a_part_then_nothing_and_holds_up_nobody() {
    let mut ring = Ring::new().unwrap();
    let ((full, mut reader), (roomy, _client)) = (pair(), pair());
    let much = vec![b'x'; 64 << 20];
    let answers = send(&mut ring, &[(&full, &much), (&roomy, b"here")]);
    let part = answers[0].unwrap();
    assert!(part > 0 && part < much.len(), "{part}");
    assert_eq!(answers[1], Ok(4));
    // What it took it sends, and frees room by that: fill it to the brim.
    let mut taken = part;
    let refused = loop {
        match send(&mut ring, &[(&full, &much[..1 << 20])])[0] {
            Ok(more) => taken += more,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, ErrorKind::WouldBlock);
    drop(full);
    let heard = std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    assert_eq!(heard, taken as u64, "the answers are what the peer got");
}

#[test]
fn a_peer_that_is_gone_is_an_error_and_no_signal() {
    let mut ring = Ring::new().unwrap();
    let ((gone, client), (other, _client)) = (pair(), pair());
    gone.shutdown(std::net::Shutdown::Write).unwrap();
    drop(client);
    let answers = send(&mut ring, &[(&gone, b"one"), (&other, b"two")]);
    assert_eq!(answers, [Err(ErrorKind::BrokenPipe), Ok(3)]);
}

#[test]
fn a_ring_moves_between_threads() {
    let mut ring = Ring::new().unwrap();
    let (server, mut client) = pair();
    for text in [&b"a"[..], b"b"] {
        ring = std::thread::scope(|scope| {
            let mut ring = ring;
            scope
                .spawn(|| {
                    assert_eq!(send(&mut ring, &[(&server, text)]), [Ok(1)]);
                    ring
                })
                .join()
                .unwrap()
        });
    }
    (&server).write_all(b"c").unwrap();
    drop(server);
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "abc");
}

#[test]
fn more_than_a_ring_holds_is_left_to_the_caller() {
    let mut ring = Ring::new().unwrap();
    let (server, _client) = pair();
    let parcels = vec![(&server, &b"x"[..]); MOST + 1];
    assert_eq!(send(&mut ring, &parcels).len(), MOST);
    assert_eq!(send(&mut ring, &[]).len(), 0);
}
