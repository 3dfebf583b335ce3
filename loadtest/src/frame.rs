//! WebSocket frames as the generator needs them: read whole frames out of a slice without copying,
//! write single ones. No extensions, no fragments (no server here sends any).

use std::fmt;

/// Larger frames are taken for a broken stream.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
    /// The end; the payload starts with a code.
    Close,
    /// To be answered with a pong of the same payload.
    Ping,
    /// An answer.
    Pong,
}

/// One whole frame; the payload is borrowed from the bytes read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// Its content.
    pub payload: &'a [u8],
}

/// Why bytes are not a frame that a server may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A fragment or a reserved bit or opcode: the first byte.
    Unexpected(u8),
    /// Masked, as only clients do.
    Masked,
    /// Longer than 16 MiB.
    TooLong(u64),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected(byte) => write!(f, "unexpected first byte of a frame: {byte:#04x}"),
            Self::Masked => f.write_str("the server masks its frames"),
            Self::TooLong(length) => write!(f, "a frame of {length} bytes"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Reads the frame at the start of `bytes`: the frame and its whole length, or `None` when it is
/// not all there yet.
///
/// # Errors
/// When these bytes can never become a frame.
pub fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let opcode = match first {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        other => return Err(FrameError::Unexpected(other)),
    };
    if second & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    let (length, header) = match second {
        126 => match rest.first_chunk() {
            Some(&length) => (u64::from(u16::from_be_bytes(length)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(&length) => (u64::from_be_bytes(length), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if length > LARGEST {
        return Err(FrameError::TooLong(length));
    }
    let end = header + usize::try_from(length).map_err(|_| FrameError::TooLong(length))?;
    Ok(bytes.get(header..end).map(|payload| (Frame { opcode, payload }, end)))
}

/// Appends a frame as a server sends it.
pub fn write_server(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    write_header(opcode, payload.len(), 0, out);
    out.extend_from_slice(payload);
}

/// Appends a frame as a client sends it. The mask is constant: it protects proxies from hostile
/// pages, and a load generator is none.
pub fn write_client(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    const MASK: [u8; 4] = [0x5a, 0x17, 0xc3, 0x6e];
    write_header(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[expect(clippy::cast_possible_truncation, reason = "each arm has checked the length")]
fn write_header(opcode: Opcode, length: usize, mask_bit: u8, out: &mut Vec<u8>) {
    out.push(match opcode {
        Opcode::Text => 0x81,
        Opcode::Binary => 0x82,
        Opcode::Close => 0x88,
        Opcode::Ping => 0x89,
        Opcode::Pong => 0x8a,
    });
    match length {
        0..=125 => out.push(mask_bit | length as u8),
        126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_at_every_header_size() {
        for size in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let payload = vec![b'x'; size];
            let mut bytes = Vec::new();
            write_server(Opcode::Text, &payload, &mut bytes);
            let length = bytes.len();
            bytes.extend_from_slice(b"\x89\x00");
            let frame = Frame { opcode: Opcode::Text, payload: &payload };
            assert_eq!(read(&bytes), Ok(Some((frame, length))));
        }
    }

    #[test]
    fn a_frame_cut_anywhere_is_not_there_yet() {
        for size in [5, 300, 70_000] {
            let mut bytes = Vec::new();
            write_server(Opcode::Binary, &vec![0; size], &mut bytes);
            for cut in (0..20).chain([bytes.len() - 1]).filter(|&cut| cut < bytes.len()) {
                assert_eq!(read(&bytes[..cut]), Ok(None));
            }
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        assert_eq!(read(b"\x01\x00"), Err(FrameError::Unexpected(0x01)));
        assert_eq!(read(b"\xc1\x00"), Err(FrameError::Unexpected(0xc1)));
        assert_eq!(read(b"\x81\x80"), Err(FrameError::Masked));
        assert_eq!(read(b"\x82\x7f\x00\x00\x00\x01\0\0\0\0"), Err(FrameError::TooLong(1 << 32)));
    }

    #[test]
    fn a_client_frame_is_masked() {
        let mut bytes = Vec::new();
        write_client(Opcode::Text, b"hello", &mut bytes);
        assert_eq!(bytes[..2], [0x81, 0x85]);
        let plain: Vec<u8> =
            bytes[6..].iter().zip(bytes[2..6].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(plain, b"hello");
    }
}
