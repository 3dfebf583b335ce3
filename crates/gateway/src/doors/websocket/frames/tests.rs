//! The laws of reading frames.

use proptest::prelude::*;

use super::*;

const MOST: usize = 1000;

/// A masked frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]));
    out
}

fn read(frames: &mut Frames, bytes: &[u8]) -> (Vec<Heard>, Vec<u8>, Result<(), Broken>) {
    let (mut heard, mut replies) = (Vec::new(), Vec::new());
    let result = frames.read(bytes, MOST, &mut replies, |message, _| heard.push(message));
    (heard, replies, result)
}

#[test]
fn whole_messages_leave_no_context_behind() {
    let mut frames = Frames::default();
    let bytes = [frame(0x81, b"one"), frame(0x82, b"\xff"), frame(0x89, b"ping")].concat();
    let (heard, replies, result) = read(&mut frames, &bytes);
    assert_eq!(heard, [Heard::Text("one".into()), Heard::Binary(Bytes::from_static(b"\xff"))]);
    assert_eq!((replies, result), (b"\x8a\x04ping".to_vec(), Ok(())));
    assert!(!frames.owns_a_context());
}

#[test]
fn a_message_in_pieces_owns_a_context_until_it_ends() {
    let mut frames = Frames::default();
    let bytes = [frame(0x01, b"he"), frame(0x80, b"llo")].concat();
    for byte in &bytes[..bytes.len() - 1] {
        assert_eq!(read(&mut frames, &[*byte]), (vec![], vec![], Ok(())));
        assert!(frames.owns_a_context());
    }
    let (heard, _, _) = read(&mut frames, &bytes[bytes.len() - 1..]);
    assert_eq!(heard, [Heard::Text("hello".into())]);
    assert!(!frames.owns_a_context());
}

#[test]
fn what_breaks_the_protocol_is_said_and_harms_no_other() {
    let unmasked = vec![0x81, 0x02, b'h', b'i'];
    let reserved = frame(0xc1, b"x");
    let long_ping = frame(0x89, &[0; 126]);
    let stray = frame(0x80, b"x");
    let half_a_code = frame(0x88, &[0x03]); // a close with a payload has two bytes of code first (section 5.5.1)
    let declared = vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    for bytes in [unmasked, reserved, long_ping, stray, half_a_code] {
        let mut frames = Frames::default();
        let (_, _, result) = read(&mut frames, &[frame(0x81, b"before"), bytes].concat());
        assert!(matches!(result, Err(Broken::Protocol(_))), "{result:?}");
    }
    assert!(matches!(read(&mut Frames::default(), &declared).2, Err(Broken::TooBig(_))));
    assert!(matches!(read(&mut Frames::default(), &frame(0x82, &[0; MOST + 1])).2, Err(Broken::TooBig(_))));
    assert_eq!(read(&mut Frames::default(), &frame(0x81, b"\xff")).2, Err(Broken::Utf8));
    let (heard, _, result) = read(&mut Frames::default(), &frame(0x81, b"after"));
    assert_eq!((heard, result), (vec![Heard::Text("after".into())], Ok(())));
}

#[test]
fn a_close_is_answered_with_its_code() {
    let close = [&1000u16.to_be_bytes()[..], b"bye"].concat();
    let (heard, replies, result) = read(&mut Frames::default(), &frame(0x88, &close));
    assert_eq!((heard, result), (vec![Heard::Close], Ok(())));
    assert_eq!(&replies[..4], b"\x88\x05\x03\xe8");
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[aé€😀]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => (0usize..700).prop_map(|length| vec![b'x'; length]),
    ]
}

/// A frame that may stand by itself, or must not.
fn single(first: &'static [u8]) -> impl Strategy<Value = Vec<Vec<u8>>> {
    (prop::sample::select(first), payload()).prop_map(|(first, payload)| vec![frame(first, &payload)])
}

/// A message in fragments, with pings and pongs between them; the last fragment may be missing.
fn fragmented() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let between = prop::option::of(prop::sample::select(vec![0x89u8, 0x8a]));
    let parts = prop::collection::vec((payload(), between), 1..4);
    (any::<bool>(), parts, prop::bool::weighted(0.9)).prop_map(|(text, parts, ends)| {
        let last = parts.len() - 1;
        let fragment = |(at, (payload, between)): (usize, (Vec<u8>, Option<u8>))| {
            let fin = if at == last && ends { 0x80 } else { 0 };
            let opcode = if at > 0 { 0 } else { 1 + u8::from(!text) };
            [Some(frame(fin | opcode, &payload)), between.map(|first| frame(first, b"between"))]
        };
        parts.into_iter().enumerate().flat_map(fragment).flatten().collect()
    })
}

/// Frames of every kind, most of them where they belong.
fn stream() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let some = prop_oneof![
        8 => single(&[0x81, 0x82, 0x89, 0x8a]),
        8 => fragmented(),
        1 => single(&[0x88, 0x80, 0xc1, 0x83, 0x8b, 0x09]),
    ];
    prop::collection::vec(some, 1..8).prop_map(|some| some.concat())
}

/// Everything that comes of a stream read in such pieces, up to the close or the error.
fn read_in_pieces(bytes: &[u8], pieces: &[usize]) -> (Vec<Heard>, Vec<u8>, Result<(), Broken>) {
    let (mut frames, mut all, mut replies) = (Frames::default(), Vec::new(), Vec::new());
    let (mut rest, mut pieces) = (bytes, pieces.iter().cycle());
    while !rest.is_empty() && all.last() != Some(&Heard::Close) {
        let (piece, behind) = rest.split_at(rest.len().min(*pieces.next().expect("a cycle")));
        rest = behind;
        let (heard, replied, result) = read(&mut frames, piece);
        all.extend(heard);
        replies.extend(replied);
        if result.is_err() {
            return (all, replies, result);
        }
    }
    (all, replies, Ok(()))
}

proptest! {
    #[test]
    fn a_stream_means_the_same_however_it_is_cut(
        frames in stream(),
        pieces in prop::option::of(prop::collection::vec(1usize..60, 1..6)),
    ) {
        let bytes = frames.concat();
        // Cut anywhere, or between frames, where a context may or may not be given back.
        let pieces = pieces.unwrap_or_else(|| frames.iter().map(Vec::len).collect());
        prop_assert_eq!(read_in_pieces(&bytes, &pieces), read_in_pieces(&bytes, &[bytes.len()]));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
        let mut frames = Frames::default();
        for chunk in bytes.chunks(piece) {
            if read(&mut frames, chunk).2.is_err() {
                break;
            }
        }
    }

    #[test]
    fn messages_arrive_however_they_are_cut(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..10),
        piece in 1usize..400,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|m| frame(0x82, m)).collect();
        let (mut frames, mut heard) = (Frames::default(), Vec::new());
        for chunk in bytes.chunks(piece) {
            heard.extend(read(&mut frames, chunk).0);
        }
        let expected: Vec<Heard> = messages.into_iter().map(|m| Heard::Binary(m.into())).collect();
        prop_assert_eq!(heard, expected);
        prop_assert!(!frames.owns_a_context());
    }
}
