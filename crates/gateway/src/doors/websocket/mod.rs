//! WebSocket frames (RFC 6455), as the native and the plain door share them.
//!
//! Writing is a header before the payload; reading is tungstenite's, borrowed while it is needed.

mod frames;
mod tracker;

pub(crate) use frames::{Broken, Frames, Heard};

/// What a frame is (RFC 6455 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opcode {
    /// UTF-8.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// The last words.
    Close = 0x8,
}

/// Appends the header of a whole, unmasked frame: servers do not mask (RFC 6455 section 5.1).
pub(crate) fn write_header(out: &mut Vec<u8>, opcode: Opcode, payload: usize) {
    out.push(0x80 | opcode as u8);
    match payload {
        0..=125 => out.push(payload as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
}
