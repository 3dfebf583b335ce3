//! What it costs to read a request and to write an event, in both codecs and the envelope.
//! What is read is dropped in the same turn.
//! `cargo bench -p tidegate-protocol --bench codecs`.

mod sample;

use bytes::Bytes;
use divan::{Bencher, black_box};
use sample::{event, room};
use tidegate_core::Payload;
use tidegate_protocol::{Codec, Envelope, json, msgpack};

fn main() {
    divan::main();
}

/// A request in both codecs.
fn requests() -> [(&'static str, Vec<u8>); 2] {
    let subscribe = br#"{"type":"subscribe","id":2,"channel":"chat:42"}"#;
    let publish = br#"{"type":"publish","id":3,"channel":"chat:42","data":{"text":"hello, how are you?"}}"#;
    [("subscribe", subscribe.to_vec()), ("publish", publish.to_vec())]
}

#[divan::bench(args = ["subscribe", "publish"])]
fn decode_json(bencher: Bencher<'_, '_>, kind: &str) {
    let (_, message) = requests().into_iter().find(|request| request.0 == kind).expect("a kind");
    bencher.bench(|| drop(black_box(json::decode_client(black_box(&message)))));
}

#[divan::bench(args = ["subscribe", "publish"])]
fn decode_msgpack(bencher: Bencher<'_, '_>, kind: &str) {
    let (_, message) = requests().into_iter().find(|request| request.0 == kind).expect("a kind");
    let frame = json::decode_client(&message).remove(0).expect("a request");
    let message = msgpack::encode_client(&frame);
    bencher.bench(|| drop(black_box(msgpack::decode_client(black_box(&message)))));
}

#[divan::bench(args = [false, true])]
fn write_event_json(bencher: Bencher<'_, '_>, kept: bool) {
    write(bencher, Codec::Json, kept);
}

#[divan::bench(args = [false, true])]
fn write_event_msgpack(bencher: Bencher<'_, '_>, kept: bool) {
    write(bencher, Codec::MessagePack, kept);
}

fn write(bencher: Bencher<'_, '_>, codec: Codec, kept: bool) {
    let (channel, event) = (room(), event(kept));
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        match codec {
            Codec::Json => json::write_event(&mut out, &channel, black_box(&event)),
            Codec::MessagePack => msgpack::write_event(&mut out, &channel, black_box(&event)),
        }
        out.len()
    });
}

/// What every payload goes through once: is it JSON, text, or neither.
#[divan::bench]
fn look_at_payload(bencher: Bencher<'_, '_>) {
    let bytes = event(false).payload.bytes().clone();
    bencher.bench(|| drop(black_box(Payload::new(black_box(bytes.clone())))));
}

#[divan::bench]
fn decode_envelope(bencher: Bencher<'_, '_>) {
    let bytes = Bytes::from(Envelope::encode(&event(true)));
    bencher.bench(|| drop(black_box(Envelope::decode(black_box(bytes.clone())))));
}
