//! The law of the front: a crowd that comes at once, whatever it says, does not hold up what others are to hear.

use std::io::Write;
use std::mem::MaybeUninit;
use std::net::TcpStream;

use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::*;
use crate::Gateway;
use crate::settings::{List, Settings};

const CROWD: usize = 100;
const TURNS: usize = 4;

/// The most requests that a node reads between two looks of another task, on one thread, when a crowd
/// has said `request` before.
async fn most_at_once(turns: usize, request: &str) -> usize {
    let mut settings = Settings::default();
    settings.server.listen = List(vec!["127.0.0.1:0".into()]);
    settings.server.admin = "127.0.0.1:0".into();
    let gateway = Gateway::start(settings).await.unwrap();
    let node = gateway.node();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (turns, seats) = (Arc::new(Turns::new(turns)), Arc::new(Semaphore::new(CROWD)));
    let (mut clients, mut sockets, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..CROWD {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let socket = listener.accept().await.unwrap().0.into_std().unwrap();
        unread.push(socket.try_clone().unwrap());
        sockets.push(socket);
        clients.push(client);
    }
    let others = tokio::spawn(async move {
        let waits = |socket: &TcpStream| {
            let mut byte = [MaybeUninit::uninit()];
            SockRef::from(socket).peek(&mut byte).is_ok_and(|read| read > 0)
        };
        assert!(unread.iter().all(waits), "nobody was read yet");
        let mut most = 0;
        while !unread.is_empty() {
            let before = unread.len();
            yield_now().await;
            unread.retain(waits);
            most = most.max(before - unread.len());
        }
        most
    });
    for socket in sockets {
        let permit = Arc::clone(&seats).try_acquire_owned().unwrap();
        let arrival = Arrival { permit, at: node.clock.now() };
        let socket = Socket::from_std(socket).unwrap();
        node.tasks.spawn(welcome(Arc::clone(&node), socket, Arc::clone(&turns), arrival));
    }
    tokio::time::timeout(HANDSHAKE_TIMEOUT, others).await.expect("all are read").unwrap()
}

#[tokio::test]
async fn others_run_after_as_many_requests_as_there_are_turns() {
    for (what, request) in [
        ("whole heads", "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("half heads", "GET /nowhere HTTP/1.1\r\n"),
        ("broken heads", "GET\r\n\r\n"),
    ] {
        // Those whose turn ends and those whose turn comes may both be read between two looks.
        let most = most_at_once(TURNS, request).await;
        assert!(most <= 2 * TURNS, "{most} at once of {what}");
        let most = most_at_once(CROWD, request).await;
        assert!(most > CROWD / 2, "the control, turns for all: {most} at once of {what}");
    }
}

/// Who said everything in time is served, however long the crowd before it takes.
#[tokio::test]
async fn waiting_for_a_turn_is_not_the_peer_s_delay() {
    const PATIENCE: Duration = Duration::from_millis(100);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let turns = Turns::new(1);
    let dialled = async |request: &str| {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        (client, listener.accept().await.unwrap().0)
    };
    let (_client, socket) = dialled("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let before = turns.take().await;
    let crowd = async {
        tokio::time::sleep(3 * PATIENCE).await;
        drop(before);
    };
    let (read, ()) = tokio::join!(read_head(&socket, &turns, PATIENCE), crowd);
    let read = read.unwrap_or_else(|_| panic!("it had said all"));
    assert!(read.waited >= 2 * PATIENCE, "{:?}", read.waited);
    drop(read);

    let (_client, socket) = dialled("GET /nowhere HTTP/1.1\r\n").await;
    assert!(matches!(read_head(&socket, &turns, PATIENCE).await, Err(NoHead::Late)), "the control");
}
