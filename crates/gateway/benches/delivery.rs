//! What it costs to make the bytes of an event, and to bring them through a connection into its socket.
//! `cargo bench -p tidegate-gateway --features bench --bench delivery`.

#[path = "../../protocol/benches/sample/mod.rs"]
mod sample;

use divan::{Bencher, black_box};
use sample::{event, room};
use tidegate_gateway::bench::{FORMATS, Line, encode};

fn main() {
    divan::main();
}

/// One event in one format, WebSocket header included: what a lane does once, however many hear it.
#[divan::bench(args = FORMATS)]
fn encode_one(bencher: Bencher<'_, '_>, format: &str) {
    let (channel, events) = (room(), [event(false)]);
    bencher.bench(|| encode(format, &channel, black_box(&events)));
}

/// 32 events with positions, as they stand together when a channel is busy.
#[divan::bench(args = FORMATS)]
fn encode_batch(bencher: Bencher<'_, '_>, format: &str) {
    let (channel, events) = (room(), vec![event(true); 32]);
    bencher.bench(|| encode(format, &channel, black_box(&events)));
}

/// So many slices staged and flushed together, and read at the other end of the socket.
#[divan::bench(args = [1, 2, 32])]
fn write(bencher: Bencher<'_, '_>, slices: usize) {
    let mut line = Line::open(&room(), &event(false)).expect("a pair of sockets");
    bencher.bench_local(|| line.pass(slices).expect("room in the socket"));
}
