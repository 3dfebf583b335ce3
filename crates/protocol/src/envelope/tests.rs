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
fn newer_kinds_and_versions_are_skipped() {
    for newer in [&b"\xc1\x92\x01\xa4join"[..], b"\xc1\x93\x02\xa5event\xc0"] {
        assert_eq!(Envelope::decode(Bytes::copy_from_slice(newer)), Envelope::Unknown);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_understood(bytes in prop::collection::vec(any::<u8>(), 0..100), mark in any::<bool>()) {
        let bytes: Vec<u8> = if mark { [vec![MARK], bytes].concat() } else { bytes };
        if let Envelope::Event(event) = Envelope::decode(bytes.clone().into()) && !mark {
            prop_assert_eq!(&event.payload.bytes()[..], &bytes[..]);
        }
    }
}
