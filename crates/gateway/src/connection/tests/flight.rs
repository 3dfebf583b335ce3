//! The laws of a flight: whoever comes meanwhile only appends, and the kernel's answer counts as that to a write.

use std::io;
use std::os::unix::net::UnixStream;

use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A connection whose one event is with the kernel.
fn aloft(event: &'static str) -> (Bench, Bytes) {
    let socket = Some(UnixStream::pair().unwrap().0);
    let pipe = Pipe { room: Mutex::new(1000), socket, ..Pipe::default() };
    let bench = Bench::with(pipe, Format::Plain);
    assert_eq!(bench.stage(event), Staged::First);
    let bytes = take_off(&bench).expect("one untouched entry");
    (bench, bytes)
}

fn take_off(bench: &Bench) -> Option<Bytes> {
    Connection::take_off(Arc::clone(&bench.connection)).map(|(_, bytes)| bytes)
}

/// What the peer gets: the kernel's part of the flight, then what was written.
fn heard(flown: &[u8], bench: &Bench) -> Vec<u8> {
    [flown, &bench.written()].concat()
}

#[test]
fn what_is_staged_in_flight_leaves_behind_it() {
    let (bench, bytes) = aloft("first ");
    assert_eq!(bench.stage("second "), Staged::First);
    bench.connection.flush();
    bench.connection.send(Bytes::from_static(b"reply"));
    assert!(take_off(&bench).is_none(), "it is away already");
    assert_eq!(bench.written(), b"", "nobody overtakes it");
    bench.connection.land(Ok(bytes.len()));
    assert_eq!(heard(&bytes, &bench), b"first second reply");
    assert_eq!(bench.stage("next"), Staged::First);
}

#[test]
fn a_part_is_followed_by_the_rest_and_a_full_socket_blocks() {
    let (bench, bytes) = aloft("first");
    bench.connection.land(Ok(2));
    assert_eq!(heard(&bytes[..2], &bench), b"first");

    let (bench, _) = aloft("first");
    *bench.connection.stream.room.lock() = 0;
    bench.connection.land(Err(io::ErrorKind::WouldBlock.into()));
    assert!(bench.connection.is_blocked() && bench.is_woken_for(wake::OUTBOX));
    assert!(take_off(&bench).is_none(), "the task goes on");
    bench.give_room(100);
    assert_eq!(bench.written(), b"first");
}

#[test]
fn a_close_in_flight_stands_behind_it_and_finishes_at_the_landing() {
    let (bench, bytes) = aloft("event");
    bench.connection.close(Close::Draining, Some(Bytes::from_static(b"|bye")));
    assert!(!bench.is_finished());
    bench.connection.land(Ok(bytes.len()));
    assert_eq!(heard(&bytes, &bench), b"event|bye");
    assert!(bench.is_finished());
}

#[test]
fn what_drops_all_that_waits_keeps_what_the_kernel_may_have() {
    for taken in [0, 2, 5] {
        let (bench, bytes) = aloft("event");
        bench.stage("dropped");
        bench.connection.close_instead(Close::Internal, Bytes::from_static(b"|only"));
        bench.connection.land(match taken {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        });
        bench.give_room(100);
        assert_eq!(heard(&bytes[..taken], &bench), b"event|only");
        assert!(bench.is_finished());
    }
}

#[test]
fn a_connection_that_ends_in_flight_is_left_alone() {
    let (bench, bytes) = aloft("event");
    bench.stage("next");
    assert_eq!(bench.connection.end(), None);
    bench.connection.land(Ok(bytes.len()));
    assert_eq!((bench.written(), bench.metrics.outbox_bytes.get()), (Vec::new(), 0));
}

#[test]
fn an_error_ends_the_connection() {
    let (bench, _) = aloft("event");
    bench.connection.land(Err(io::ErrorKind::BrokenPipe.into()));
    assert!(bench.is_woken_for(wake::KILL));
    assert_eq!(bench.stage("next"), Staged::Refused);
}

#[test]
fn a_full_outbox_in_flight_waits_for_the_landing_and_is_not_slow() {
    let (bench, bytes) = aloft("event");
    let (mut staged, connection) = (0, Arc::clone(&bench.connection));
    std::thread::scope(|scope| {
        // An outbox takes four; the fifth needs the room that the landing makes.
        let stager = scope.spawn(|| (0..9).map(|_| bench.stage("more")).collect::<Vec<_>>());
        while connection.out.lock().outbox.len() < 4 {
            std::thread::yield_now();
        }
        connection.land(Ok(bytes.len()));
        staged += stager.join().unwrap().iter().filter(|staged| **staged != Staged::Refused).count();
    });
    bench.connection.flush();
    assert_eq!((staged, bench.written()), (9, b"more".repeat(9)));
}

#[test]
fn several_entries_or_a_stream_without_a_socket_are_flushed_at_once() {
    let (bench, bytes) = aloft("event");
    bench.connection.land(Ok(bytes.len()));
    bench.stage("a");
    bench.stage("b");
    assert!(take_off(&bench).is_none());
    assert_eq!(bench.written(), b"ab");

    let bench = Bench::new(100);
    bench.stage("c");
    assert!(take_off(&bench).is_none());
    assert_eq!(bench.written(), b"c");
}

/// Real sockets, more than a ring takes at once, with little room: some events fit, of others only a part.
#[tokio::test]
async fn all_of_many_connections_hear_everything_in_order() {
    let metrics = Metrics::new("test", "memory");
    let shared = Arc::new(super::Shared {
        outbox: OutboxLimits { entries: 100, bytes: 1 << 20 },
        clock: Clock::start(),
        outbox_bytes: metrics.outbox_bytes.clone(),
        dropped_slow: metrics.dropped("slow"),
    });
    let channel = Hub::new(1).join(&"a".parse().unwrap(), ()).seat.channel();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (mut peers, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        clients.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let (server, _) = listener.accept().await.unwrap();
        SockRef::from(&server).set_send_buffer_size(4096).unwrap();
        peers.push(Arc::new(Connection::new(server, Format::Plain, Arc::clone(&shared))));
    }
    let mut flight = Flight::many(1).remove(0);
    assert!(flight.flies(), "this kernel lends rings");
    let event = |n: u8| Bytes::from(vec![n; if n % 4 == 3 { 40_000 } else { 50 }]);
    let events: Vec<Bytes> = (0..20).map(event).collect();
    for bytes in &events {
        let slice = Slice { bytes: bytes.clone(), events: 1, listed: None };
        let mut staged: Vec<_> =
            peers.iter().filter(|peer| peer.stage(&slice, channel) == Staged::First).cloned().collect();
        flight.flush(&mut staged);
        assert!(staged.is_empty());
    }
    assert!(peers.iter().any(|peer| peer.is_blocked()), "some had no room");
    let all = events.concat();
    for (peer, mut client) in peers.into_iter().zip(clients) {
        let write = async {
            while peer.is_blocked() {
                std::future::poll_fn(|context| peer.stream.poll_writable(context)).await.unwrap();
                peer.resume();
            }
        };
        let mut heard = vec![0; all.len()];
        let ((), read) = tokio::join!(write, client.read_exact(&mut heard));
        read.unwrap();
        assert!(heard == all, "in order, nothing cut");
    }
    assert_eq!(metrics.outbox_bytes.get(), 0);
}
