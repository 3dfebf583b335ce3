//! What one request and one entry cost on a connection, the socket aside.
//! What is made is dropped in the same turn, as a connection does.
//! `cargo bench -p tidegate-core --bench session`.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use divan::{Bencher, black_box};
use tidegate_core::access::{Access, Allow, Authoriser, Credentials, Identity, Namespaces, Rules};
use tidegate_core::session::{Answer, Effect, Effects, Input, Manner, Now, Policy, Session};
use tidegate_core::{ClientId, Entry, Limits, Outbox, OutboxLimits, RequestId, SessionId, Ticket};

const NOW: Now = Now { monotonic_s: 100, unix_s: 1_800_000_000 };

fn main() {
    divan::main();
}

fn id(id: u64) -> RequestId {
    RequestId::new(id).expect("an id")
}

/// A session that is connected, where everybody may publish.
fn session() -> Session {
    let default = Rules { publish: Allow::Anyone, ..Rules::default() };
    let namespaces = Namespaces { declared: [].into(), default, refuse_undeclared: false };
    let access = Access::new(vec![Authoriser::Anonymous], namespaces);
    let policy = Arc::new(Policy { access, limits: Limits::default() });
    let mut session = Session::new(policy, SessionId::from_random(7), Manner::Framed, NOW);
    let mut effects = Effects::new();
    let client = ClientId::parse("tab-1").expect("an id");
    session.step(
        Input::Connect { id: id(1), credentials: Credentials::default(), client },
        NOW,
        &mut effects,
    );
    session.step(Input::Done(Ticket(0), Answer::Authorised(Ok(Identity::default()))), NOW, &mut effects);
    session
}

/// The smallest request.
#[divan::bench]
fn ping(bencher: Bencher<'_, '_>) {
    let mut session = session();
    bencher.bench_local(|| {
        let mut effects = Effects::new();
        session.step(Input::Ping { id: Some(id(2)) }, NOW, &mut effects);
        drop(black_box(effects));
    });
}

/// A publish and the broker's answer.
#[divan::bench]
fn publish(bencher: Bencher<'_, '_>) {
    let mut session = session();
    let payload = Bytes::from(vec![b'1'; 128]);
    let channel = "chat:1".parse().ok();
    bencher.bench_local(|| {
        let (mut effects, id) = (Effects::new(), Some(id(2)));
        let (channel, payload) = (Clone::clone(&channel), payload.clone());
        session.step(Input::Publish { id, channel, payload, key: None }, NOW, &mut effects);
        let Some(Effect::Ask(ticket, _)) = effects.first() else { panic!("refused: {effects:?}") };
        let ticket = *ticket;
        session.step(Input::Done(ticket, Answer::Published(Ok(None))), NOW, &mut effects);
        drop(black_box(effects));
    });
}

/// One entry through an empty outbox, as nearly every one goes.
#[divan::bench]
fn outbox(bencher: Bencher<'_, '_>) {
    let mut outbox = Outbox::default();
    let limits = OutboxLimits::default();
    let bytes = Bytes::from(vec![b'1'; 132]);
    bencher.bench_local(|| {
        let pushed = outbox.push(Entry::reply(bytes.clone()), &limits);
        let mut slices = [IoSlice::new(&[]); 8];
        let count = outbox.slices(&mut slices);
        let written = slices[..count].iter().map(|slice| slice.len()).sum();
        outbox.advance(written);
        pushed
    });
}
