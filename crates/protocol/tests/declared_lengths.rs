//! Nothing is allocated because a peer says how long something is: only because it came.

use bytes::Bytes;
use tidegate_protocol::{Envelope, json, msgpack};

/// The most address space that this process ever had, in MiB: an allocation counts, touched or not.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).expect("VmPeak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") >> 10
}

#[test]
fn declared_lengths_allocate_nothing() {
    let before = peak();
    for kind in [0xdb, 0xc6, 0xc9, 0xdd, 0xdf] {
        let huge = [kind, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        for field in [&b""[..], b"\x82\xa4type", b"\x82\xa2id", b"\x82\xa4data", b"\x82\xa5later", b"\x81"] {
            let bytes = [field, &huge[..]].concat();
            let frames = msgpack::decode_client(&bytes);
            assert!(frames.len() == 1 && frames[0].is_err(), "{bytes:x?}");
            assert!(msgpack::decode_server(&bytes).is_err(), "{bytes:x?}");
        }
        for start in
            [&b"\xc1"[..], b"\xc1\x98", b"\xc1\x98\x01", b"\xc1\x93\x02\xa5event", b"\xc1\x98\x01\xa5event"]
        {
            let bytes = Bytes::from([start, &huge[..]].concat());
            assert!(
                matches!(Envelope::decode(bytes.clone()), Envelope::Event(raw) if *raw.payload.bytes() == bytes)
            );
        }
    }
    let _ = json::decode_client(br#"{"type":"ping","id":99999999999999999999999999999}"#);
    let grown = peak() - before;
    assert!(grown < 64, "{grown} MiB more than before");
    // Control: had anybody believed such a length, it would have been seen.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(u32::MAX as usize)));
    assert!(peak() - before > 4000, "an allocation of 4 GiB is seen");
}
