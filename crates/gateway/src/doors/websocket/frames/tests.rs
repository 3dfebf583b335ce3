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
    assert!(frames.unfinished().is_none());
}

#[test]
fn a_message_in_pieces_owns_a_context_until_it_ends() {
    let mut frames = Frames::default();
    let bytes = [frame(0x01, b"he"), frame(0x80, b"llo")].concat();
    for byte in &bytes[..bytes.len() - 1] {
        assert_eq!(read(&mut frames, &[*byte]), (vec![], vec![], Ok(())));
        assert!(frames.unfinished().is_some());
    }
    let (heard, _, _) = read(&mut frames, &bytes[bytes.len() - 1..]);
    assert_eq!(heard, [Heard::Text("hello".into())]);
    assert!(frames.unfinished().is_none());
}

/// A frame whose length is written in `bytes` bytes (2 or 8), whatever it is.
fn long_frame(first: u8, bytes: usize, declared: u64, payload: &[u8]) -> Vec<u8> {
    let kind = if bytes == 2 { 126 } else { 127 };
    [&[first, 0x80 | kind][..], &declared.to_be_bytes()[8 - bytes..], &[0; 4], payload].concat()
}

#[test]
fn what_breaks_the_protocol_is_said_and_harms_no_other() {
    let (protocol, utf8, too_big) = (1002, 1007, 1009);
    for (what, bytes, code) in [
        ("an unmasked frame", vec![0x81, 0x02, b'h', b'i'], protocol),
        ("RSV1", frame(0xc1, b"x"), protocol),
        ("RSV2", frame(0xa1, b"x"), protocol),
        ("RSV3", frame(0x91, b"x"), protocol),
        ("data of opcode 3", frame(0x83, b"x"), protocol),
        ("data of opcode 7", frame(0x87, b"x"), protocol),
        ("a control frame of opcode 11", frame(0x8b, b"x"), protocol),
        ("a control frame of opcode 15", frame(0x8f, b"x"), protocol),
        ("a ping of 126 bytes", frame(0x89, &[0; 126]), protocol),
        ("a fragmented ping", frame(0x09, b"x"), protocol),
        ("a fragmented close", frame(0x08, b"\x03\xe8"), protocol),
        ("a continuation of nothing", frame(0x80, b"x"), protocol),
        ("a message within a message", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), protocol),
        ("a close of one byte", frame(0x88, &[3]), protocol),
        ("a close of 126 bytes", frame(0x88, &[3; 126]), protocol),
        ("5 bytes, declared in 2", long_frame(0x81, 2, 5, b"hello"), protocol),
        ("5 bytes, declared in 8", long_frame(0x81, 8, 5, b"hello"), protocol),
        ("200 bytes, declared in 8", long_frame(0x82, 8, 200, &[0; 200]), protocol),
        ("a padded ping", long_frame(0x89, 2, 1, b"x"), protocol),
        ("text that is no UTF-8", frame(0x81, b"\xff"), utf8),
        ("a character that is cut by the end", frame(0x81, b"\xe2\x82"), utf8),
        ("a surrogate", frame(0x81, b"\xed\xa0\x80"), utf8),
        ("an overlong slash", frame(0x81, b"\xc0\xaf"), utf8),
        ("no UTF-8 over two fragments", [frame(0x01, b"\xe2\x82"), frame(0x80, b"x")].concat(), utf8),
        ("a close whose reason is no UTF-8", frame(0x88, b"\x03\xe8\xff"), utf8),
        ("a byte too much", frame(0x82, &[0; MOST + 1]), too_big),
        ("a byte too much, in two fragments", [frame(0x02, &[0; MOST]), frame(0x80, b"x")].concat(), too_big),
        ("a header that declares a byte too much", long_frame(0x82, 2, MOST as u64 + 1, b""), too_big),
        ("2^63 bytes declared", long_frame(0x82, 8, 1 << 63, b""), too_big),
        ("2^64-1 bytes declared", long_frame(0x82, 8, u64::MAX, b""), too_big),
        ("a ping of 2^63-1 bytes", long_frame(0x89, 8, (1 << 63) - 1, b""), too_big),
    ] {
        for piece in [1, 3, usize::MAX] {
            let (mut frames, mut heard) = (Frames::default(), Vec::new());
            let bytes = [frame(0x81, b"before"), bytes.clone()].concat();
            let broken = bytes.chunks(piece.min(bytes.len())).find_map(|chunk| {
                let (messages, _, result) = read(&mut frames, chunk);
                heard.extend(messages);
                result.err()
            });
            let given = match broken {
                Some(Broken::Protocol(_)) => protocol,
                Some(Broken::Utf8) => utf8,
                Some(Broken::TooBig(_)) => too_big,
                None => 0,
            };
            assert_eq!(given, code, "{what}, {piece} bytes at a time");
            assert_eq!(heard[0], Heard::Text("before".into()), "{what}");
        }
    }
    let (heard, _, result) = read(&mut Frames::default(), &frame(0x81, b"after"));
    assert_eq!((heard, result), (vec![Heard::Text("after".into())], Ok(())));
}

#[test]
fn a_close_with_a_code_that_must_not_be_sent_is_answered_with_1002() {
    for (code, answer) in [
        (999u16, 1002u16),
        (1004, 1002),
        (1005, 1002),
        (1006, 1002),
        (1015, 1002),
        (2999, 1002),
        (0, 1002),
        (1000, 1000),
        (1001, 1001),
        (1011, 1011),
        (3000, 3000),
        (4999, 4999),
    ] {
        let (heard, replies, _) = read(&mut Frames::default(), &frame(0x88, &code.to_be_bytes()));
        assert_eq!(heard, [Heard::Close], "{code}");
        assert_eq!(replies[2..4], answer.to_be_bytes(), "{code}");
    }
    let (heard, replies, _) =
        read(&mut Frames::default(), &[frame(0x88, b""), frame(0x81, b"more")].concat());
    assert_eq!(
        (heard, replies),
        (vec![Heard::Close], b"\x88\x00".to_vec()),
        "what comes behind it is not heard"
    );
}

#[test]
fn fragments_of_one_byte_and_of_none_cost_what_they_carry() {
    let mut frames = Frames::default();
    assert_eq!(read(&mut frames, &frame(0x01, b"a")).2, Ok(()));
    for _ in 0..100_000 {
        assert_eq!(read(&mut frames, &frame(0x00, b"")).2, Ok(()));
    }
    for _ in 1..MOST {
        assert_eq!(read(&mut frames, &frame(0x00, b"a")).2, Ok(()));
    }
    assert!(frames.unfinished().is_some());
    assert!(matches!(read(&mut frames, &frame(0x00, b"a")).2, Err(Broken::TooBig(_))));
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
    fn frames_of_any_kind_are_read_alike_however_they_are_cut(
        kinds in prop::collection::vec((any::<u8>(), 0usize..140, any::<bool>(), 0u8..8), 1..8), piece in 1usize..200,
    ) {
        let mut bytes = Vec::new();
        for (first, length, plain, mark) in kinds {
            let first = if plain { [0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88][usize::from(mark)] } else { first };
            bytes.extend(frame(first, &vec![b'a'; length]));
        }
        let outcome = |piece: usize| {
            let (mut frames, mut all) = (Frames::default(), Vec::new());
            for chunk in bytes.chunks(piece) {
                let (heard, _, result) = read(&mut frames, chunk);
                all.extend(heard);
                if result.is_err() || all.contains(&Heard::Close) {
                    return (all, result);
                }
            }
            (all, Ok(()))
        };
        prop_assert_eq!(outcome(piece), outcome(bytes.len()));
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
        prop_assert!(frames.unfinished().is_none());
    }
}
