//! What a link promises; where slots move, against a real Cluster.

use super::*;

/// redis-rs names no provider of cryptography, and rustls panics without one.
#[tokio::test]
async fn tls_has_its_cryptography() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("rediss://{}", listener.local_addr().unwrap());
    let mut whereabouts = Whereabouts::fixed(Address::parse("x", &address).unwrap());
    let patience = Patience::default();
    let (opened, hello) = tokio::join!(Link::open(&mut whereabouts, &patience, None, |_| {}), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap()
    });
    assert_eq!(hello, 0x16, "a TLS handshake record");
    assert!(matches!(opened, Err(RedisError::Unavailable(_))), "the server hung up");
}

#[test]
fn an_answer_that_nobody_asked_for_makes_a_link_with_open_requests_useless() {
    for (asked, in_flight, is_useless, ended) in
        [(false, false, false, 1), (false, true, true, 1), (true, true, false, 0), (true, false, false, 0)]
    {
        let signs = Signs::new();
        if asked {
            signs.leaving.lock().insert("a".to_owned());
        }
        let _in_flight = in_flight.then(|| InFlight::start(&signs.in_flight));
        let heard = AtomicUsize::new(0);
        let data = vec![Value::BulkString(b"a".to_vec()), Value::Int(0)];
        signs.take(PushInfo { kind: PushKind::SUnsubscribe, data }, &|_| {
            heard.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(signs.closed.is_cancelled(), is_useless, "asked {asked}, in flight {in_flight}");
        assert_eq!(heard.into_inner(), ended, "asked {asked}, in flight {in_flight}");
    }
}

/// The same with a real Cluster. Moving the slot on the very connection makes the order certain: the
/// message that nobody asked for comes while two requests are open, of which the second is refused.
#[tokio::test]
async fn a_refused_subscription_is_never_taken_for_a_confirmed_one() {
    let cluster = tidegate_testkit::RedisCluster::start().expect("a Redis Cluster");
    let slot_of = |name: &str| cluster.slot(name).expect("a slot");
    let (ours, theirs) = ("tg:{b}", "tg:{a}"); // slots 3300 and 15495
    assert_eq!(
        (cluster.master_of(slot_of(ours)).unwrap(), cluster.master_of(slot_of(theirs)).unwrap()),
        (0, 2)
    );
    let address = Address::parse("x", &cluster.nodes[0].url()).unwrap();
    let (told, mut ended) = tokio::sync::mpsc::channel(1);
    let patience = Patience::default();
    let link = Link::open_at(&address, false, &patience, None, move |heard| {
        if let Heard::Ended(name) = heard {
            told.try_send(name).unwrap();
        }
    });
    let link = link.await.expect("connected");
    link.join(ours).await.expect("confirmed");
    let other = cluster.nodes[1].cli(&["CLUSTER", "MYID"]).unwrap();
    let mut moving = cmd("CLUSTER");
    moving.arg("SETSLOT").arg(slot_of(ours)).arg("NODE").arg(other.trim());
    let (_, refused) = tokio::join!(link.ask(&moving), link.join(theirs));
    assert!(refused.is_err(), "its slot is another node's, but it was answered with {refused:?}");
    assert_eq!(ended.recv().await.as_deref(), Some(ours));
}

/// A server may answer `SUNSUBSCRIBE` twice: the slot moves away while the request is on its way, so it ends
/// the subscription by itself, and then refuses the request.
#[tokio::test]
async fn a_subscription_that_is_ended_twice_confirms_no_other() {
    let cluster = tidegate_testkit::RedisCluster::start().expect("a Redis Cluster");
    let slot_of = |name: &str| cluster.slot(name).expect("a slot");
    let (leaving, joining, foreign) = ("tg:{b}", "tg:{f}", "tg:{a}");
    let master = |name: &str| cluster.master_of(slot_of(name)).expect("a master");
    assert_eq!([leaving, joining, foreign].map(master), [0, 0, 2]);
    let address = Address::parse("x", &cluster.nodes[0].url()).unwrap();
    let link = Link::open_at(&address, false, &Patience::default(), None, |_| {}).await.expect("connected");
    link.join(leaving).await.expect("confirmed");
    let other = cluster.nodes[1].cli(&["CLUSTER", "MYID"]).unwrap();
    let mut moving = cmd("CLUSTER");
    moving.arg("SETSLOT").arg(slot_of(leaving)).arg("NODE").arg(other.trim());
    let (_, _, _, refused) =
        tokio::join!(link.ask(&moving), link.leave(leaving), link.join(joining), link.join(foreign));
    assert!(refused.is_err(), "its slot is another node's, but it was answered with {refused:?}");
    assert!(link.signs.closed.is_cancelled(), "no answer on this link can be trusted");
}

#[tokio::test]
async fn a_name_that_could_not_be_left_is_not_leaving_for_ever() {
    let cluster = tidegate_testkit::RedisCluster::start().expect("a Redis Cluster");
    let foreign = "tg:{a}";
    assert_eq!(cluster.master_of(cluster.slot(foreign).unwrap()).unwrap(), 2);
    let address = Address::parse("x", &cluster.nodes[0].url()).unwrap();
    let link = Link::open_at(&address, false, &Patience::default(), None, |_| {}).await.expect("connected");
    let left = link.leave(foreign).await;
    assert!(matches!(left, Err(RedisError::Moved(_))), "{left:?}");
    assert!(link.signs.leaving.lock().is_empty(), "an end that nobody asked for would not be told");
}
