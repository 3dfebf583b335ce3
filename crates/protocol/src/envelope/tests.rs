//! The laws of the envelope.

use proptest::prelude::*;

use super::*;

fn event() -> Event {
    Event {
        payload: Payload::new(Bytes::from_static(b"{\"a\":1}")),
        position: Some("1763700000000000001-7".parse().unwrap()),
        from: Some("ada".into()),
        key: Some("k".into()),
        published_us: Some(1_763_700_000_000_000),
    }
}

#[test]
fn what_was_wrapped_is_unwrapped() {
    for event in [event(), Event::live(Payload::new(Bytes::from_static(b"\xff")))] {
        assert_eq!(Envelope::decode(Envelope::encode(&event).into()), Envelope::Event(event));
    }
}

#[test]
fn whatever_is_cut_short_or_too_long_is_a_raw_payload() {
    let whole = Envelope::encode(&event());
    for cut in 1..whole.len() {
        let part = Bytes::copy_from_slice(&whole[..cut]);
        assert_eq!(Envelope::decode(part.clone()), raw(part), "cut at {cut}");
    }
    let long: Bytes = [&whole[..], b"x"].concat().into();
    assert_eq!(Envelope::decode(long.clone()), raw(long));
}

#[test]
fn a_canary_is_nobodys_event() {
    assert_eq!(Envelope::decode(Envelope::canary(u64::MAX).into()), Envelope::Unknown);
    assert_ne!(Envelope::canary(1), Envelope::canary(2));
}

#[test]
fn newer_kinds_and_versions_are_skipped() {
    for newer in [&b"\xc1\x92\x01\xa4join"[..], b"\xc1\x93\x02\xa5event\xc0"] {
        assert_eq!(Envelope::decode(Bytes::copy_from_slice(newer)), Envelope::Unknown);
    }
}

#[test]
fn what_only_looks_like_an_envelope_is_a_raw_payload() {
    for (what, bytes) in [
        ("the mark alone", &b"\xc1"[..]),
        ("an event of two items", b"\xc1\x92\x01\xa5event"),
        ("an event of nine items", b"\xc1\x99\x01\xa5event\xc0\xc0\xc0\xc0\xc0\xc4\x00\xc0"),
        ("a map", b"\xc1\x81\x01\xa5event"),
        ("an array of 2^32-1 items", b"\xc1\xdd\xff\xff\xff\xff\x01\xa5event"),
        ("4 GiB of kind", b"\xc1\x98\x01\xdb\xff\xff\xff\xffev"),
        ("4 GiB of payload", b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xc0\xc6\xff\xff\xff\xffab"),
        ("text where bytes belong, cut", b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xc0\xa3ab"),
        ("a list for a time", b"\xc1\x98\x01\xa5event\x90\xc0\xc0\xc0\xc0\xc4\x00"),
        ("a float for an offset", b"\xc1\x98\x01\xa5event\xc0\xc0\xca\0\0\0\0\xc0\xc0\xc4\x00"),
        ("an offset without its epoch", b"\xc1\x98\x01\xa5event\xc0\xc0\x01\xc0\xc0\xc4\x00"),
        ("an epoch that is none", b"\xc1\x98\x01\xa5event\xc0\xa1x\x01\xc0\xc0\xc4\x00"),
        ("a number for a kind", b"\xc1\x92\x01\x07"),
        ("a newer kind, cut short", b"\xc1\x94\x01\xa4join\x01"),
        ("a newer kind, and more behind it", b"\xc1\x92\x01\xa4joinx"),
        ("a newer version, cut short", b"\xc1\x93\x02\xa5event\xda\xff\xffab"),
        ("a newer version with a text of 4 GiB", b"\xc1\x93\x02\xa5event\xdb\xff\xff\xff\xffab"),
    ] {
        let bytes = Bytes::copy_from_slice(bytes);
        assert_eq!(Envelope::decode(bytes.clone()), raw(bytes), "{what}");
    }
    let deep: Bytes = [&b"\xc1\x93\x02\xa5event"[..], &[0x91; 100_000], b"\xc0"].concat().into();
    assert_eq!(Envelope::decode(deep.clone()), raw(deep));
}

#[test]
fn a_newer_envelope_cut_short_is_a_raw_payload() {
    let whole = b"\xc1\x96\x02\xa8presence\x81\xa1a\x01\xc4\x02xy\xcb\x40\x1c\0\0\0\0\0\0\xd4\x05\x01";
    assert_eq!(Envelope::decode(Bytes::from_static(whole)), Envelope::Unknown);
    for cut in 1..whole.len() {
        let part = Bytes::copy_from_slice(&whole[..cut]);
        assert_eq!(Envelope::decode(part.clone()), raw(part), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn what_was_wrapped_is_unwrapped_whatever_it_is(
        payload in prop::collection::vec(any::<u8>(), 0..300), from in prop::option::of(".{0,20}"),
        key in prop::option::of(".{0,20}"), published_us in any::<Option<u64>>(), offset in any::<Option<u64>>(),
        at in any::<usize>(), byte in any::<u8>(),
    ) {
        let position = offset.map(|offset| Position { epoch: "1763700000000000001".parse().unwrap(), offset });
        let event = Event {
            payload: Payload::new(payload.into()),
            position,
            from: from.map(Into::into),
            key: key.map(Into::into),
            published_us,
        };
        let mut bytes = Envelope::encode(&event);
        prop_assert_eq!(Envelope::decode(bytes.clone().into()), Envelope::Event(event));
        // One byte that is another one: it is understood somehow, and nothing breaks.
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Envelope::decode(bytes.into());
    }

    #[test]
    fn any_bytes_are_understood(bytes in prop::collection::vec(any::<u8>(), 0..100), mark in any::<bool>()) {
        let bytes: Vec<u8> = if mark { [vec![MARK], bytes].concat() } else { bytes };
        if let Envelope::Event(event) = Envelope::decode(bytes.clone().into()) && !mark {
            prop_assert_eq!(&event.payload.bytes()[..], &bytes[..]);
        }
    }
}
