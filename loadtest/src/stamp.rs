//! What a payload says of itself: run, channel, sequence and due time, in fixed-width hex.
//!
//! The payload is a JSON string, so every door carries it unchanged: plain as it is, native as the
//! value of `data`, MessagePack as text, SSE as a line. It is found by its mark, without parsing
//! what stands around it.

const MARK: &[u8] = b"\"tg1:";
const DIGITS: usize = 8 + 8 + 12 + 16;

/// The smallest payload that holds a stamp, in bytes.
pub const SMALLEST: usize = MARK.len() + DIGITS + 1;

/// The run id of servers that send by themselves (`floor`).
pub const NO_RUN: u32 = 0;

/// The identity of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which run published it; events of others are not counted.
    pub run: u32,
    /// The channel's number in the run.
    pub channel: u32,
    /// 1, 2, 3 … in each channel (48 bits).
    pub sequence: u64,
    /// When it was due, in nanoseconds of [`crate::clock::now`].
    pub due: u64,
}

impl Stamp {
    /// Appends a payload of `size` bytes (never fewer than [`SMALLEST`]) to `out`.
    pub fn write(&self, size: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(MARK);
        write_hex(u64::from(self.run), 8, out);
        write_hex(u64::from(self.channel), 8, out);
        write_hex(self.sequence, 12, out);
        write_hex(self.due, 16, out);
        out.resize(out.len() + size.saturating_sub(SMALLEST), b'.');
        out.push(b'"');
    }

    /// Reads the stamp whose mark stands at `at`.
    #[must_use]
    pub fn read_at(bytes: &[u8], at: usize) -> Option<Self> {
        let digits = bytes.get(at..at + MARK.len() + DIGITS)?.strip_prefix(MARK)?;
        Some(Self {
            run: u32::try_from(read_hex(&digits[..8])?).ok()?,
            channel: u32::try_from(read_hex(&digits[8..16])?).ok()?,
            sequence: read_hex(&digits[16..28])?,
            due: read_hex(&digits[28..])?,
        })
    }

    /// Finds the first stamp at or after `from`, looking at `hint` first: on one connection it
    /// stands at the same place in every frame. Returns where it was.
    #[must_use]
    pub fn find(bytes: &[u8], from: usize, hint: usize) -> Option<(usize, Self)> {
        if let Some(stamp) = Self::read_at(bytes, hint).filter(|_| hint >= from) {
            return Some((hint, stamp));
        }
        let rest = bytes.get(from..)?;
        let at = from + rest.windows(MARK.len()).position(|window| window == MARK)?;
        Self::read_at(bytes, at).map(|stamp| (at, stamp))
    }
}

fn write_hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (place * 4) & 0xf) as usize]);
    }
}

/// Value of each hex digit; 16 for what is none. A table, because this runs for every delivery.
const HEX: [u8; 256] = {
    let mut table = [16; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

fn read_hex(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut seen = 0;
    for &digit in digits {
        let nibble = HEX[digit as usize];
        seen |= nibble;
        value = value << 4 | u64::from(nibble & 0xf);
    }
    (seen < 16).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { run: 0xdead_beef, channel: 7, sequence: 1 << 40, due: u64::MAX - 1 };

    #[test]
    fn a_payload_is_as_long_as_asked_and_valid_json() {
        for size in [0, SMALLEST, 128, 4096] {
            let mut payload = Vec::new();
            STAMP.write(size, &mut payload);
            assert_eq!(payload.len(), size.max(SMALLEST));
            let text: String = serde_json::from_slice(&payload).unwrap();
            assert_eq!(text.len(), payload.len() - 2);
            assert_eq!(Stamp::read_at(&payload, 0), Some(STAMP));
        }
    }

    #[test]
    fn it_is_found_inside_a_frame_with_and_without_a_good_hint() {
        let mut frame = br#"{"type":"event","channel":"load:1","data":"#.to_vec();
        let place = frame.len();
        STAMP.write(128, &mut frame);
        frame.push(b'}');
        for hint in [0, place, 5000] {
            assert_eq!(Stamp::find(&frame, 0, hint), Some((place, STAMP)));
        }
        assert_eq!(Stamp::find(&frame, place + 1, place), None);
    }

    #[test]
    fn a_cut_or_broken_stamp_is_none() {
        let mut payload = Vec::new();
        STAMP.write(SMALLEST, &mut payload);
        assert_eq!(Stamp::find(&payload[..20], 0, 0), None);
        payload[9] = b'x';
        assert_eq!(Stamp::find(&payload, 0, 0), None);
    }
}
