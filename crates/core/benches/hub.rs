//! What the hub costs for one event and for one subscriber. `cargo bench -p tidegate-core --bench hub`.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use tidegate_core::ChannelName;
use tidegate_core::hub::{Hub, Seat};

fn main() {
    divan::main();
}

fn channel(number: usize) -> ChannelName {
    format!("chat:{number}").parse().expect("a name")
}

/// A hub with `subscribers` in one channel, attached.
fn room(subscribers: u32) -> (Hub<u32>, ChannelName) {
    let (hub, name) = (Hub::new(64), channel(1));
    let seats: Vec<Seat> = (0..subscribers).map(|subscriber| hub.join(&name, subscriber).seat).collect();
    hub.confirm(&name);
    seats.into_iter().for_each(|seat| hub.attach(seat, || {}));
    (hub, name)
}

/// One event to everybody in the room.
#[divan::bench(args = [1, 10, 2_000])]
fn deliver(bencher: Bencher<'_, '_>, subscribers: u32) {
    let (hub, name) = room(subscribers);
    bencher.counter(ItemsCount::new(subscribers)).bench(|| {
        let mut heard = 0_u32;
        let mut batch = hub.open_batch(&name).expect("somebody is there");
        while hub.deliver(&mut batch, 256, |_, subscriber| heard = heard.wrapping_add(*subscriber)) {}
        heard
    });
}

/// Comes to a room and leaves it, among so many rooms.
#[divan::bench(args = [1, 10_000])]
fn join_and_leave(bencher: Bencher<'_, '_>, rooms: usize) {
    let hub = Hub::new(64);
    let names: Vec<ChannelName> = (0..rooms).map(channel).collect();
    for name in &names {
        let _ = hub.join(name, 0);
    }
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % rooms;
        let seat = hub.join(&names[next], 1).seat;
        hub.attach(seat, || {});
        drop(black_box(hub.leave(seat)));
    });
}
