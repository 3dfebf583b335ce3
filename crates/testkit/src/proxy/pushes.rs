//! Finds the pushes of RESP3 in what a Redis says, wherever the pieces of the stream are cut, so that they alone can be lost.
//!
//! It follows the stream from its first byte, since only who knows where a frame begins can leave one out. What is not RESP is
//! passed on and never looked at again.

/// A line before a body is a type, a number and the line's end; simple strings and errors need not be kept.
const KEPT: usize = 32;

/// One stream from a Redis, as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    at: At,
    /// Values that still belong to the frame: aggregates only add to it, so no depth need be kept.
    owed: u64,
    /// Whether the frame that is being read is left out. Decided at its first byte: half a frame is none.
    is_lost: bool,
    /// How many were left out.
    lost: u64,
}

#[derive(Debug)]
enum At {
    /// In a value's first line, of which this is known.
    Line(Vec<u8>),
    /// In a value's bytes: so many are left, its line's end included.
    Body(u64),
    /// This is not RESP.
    Foreign,
}

impl Default for At {
    fn default() -> Self {
        Self::Line(Vec::new())
    }
}

impl Pushes {
    /// How many pushes were left out.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// What is passed on of this piece, if the pushes that begin in it are to be lost or not.
    pub(super) fn pass(&mut self, piece: &[u8], lose: bool) -> Vec<u8> {
        let mut passed = Vec::with_capacity(piece.len());
        let mut rest = piece;
        while let Some(first) = rest.first() {
            if self.owed == 0 && matches!(self.at, At::Line(_)) {
                self.owed = 1;
                self.is_lost = lose && *first == b'>';
                self.lost += u64::from(self.is_lost);
            }
            let count = self.step(rest);
            if !self.is_lost {
                passed.extend_from_slice(&rest[..count]);
            }
            rest = &rest[count..];
        }
        passed
    }

    /// Goes on to the end of what it is in, or of `bytes`; says how many that were.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.at {
            At::Foreign => bytes.len(),
            At::Body(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                if *left == 0 {
                    self.at = At::default();
                }
                count
            }
            At::Line(line) => {
                let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
                let count = end.unwrap_or(bytes.len());
                line.extend(&bytes[..count.min(KEPT.saturating_sub(line.len()))]);
                if end.is_some() {
                    let line = std::mem::take(line);
                    self.owed -= 1;
                    self.at = self.after(&line);
                }
                count
            }
        }
    }

    /// What follows a value's first line.
    fn after(&mut self, line: &[u8]) -> At {
        let Some((kind, number)) = line.split_first() else { return At::Foreign };
        let number = || -> Option<i64> { std::str::from_utf8(number).ok()?.trim_end().parse().ok() };
        let values = |of_each: u64| number().map(|n| u64::try_from(n).unwrap_or(0) * of_each); // -1: there is none
        let owed = match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Some(0),
            b'$' | b'=' | b'!' => match number() {
                Some(length) if length >= 0 => return At::Body(length.unsigned_abs() + 2),
                length => length.map(|_| 0),
            },
            b'*' | b'~' | b'>' => values(1),
            b'%' => values(2),
            b'|' => values(2).map(|pairs| pairs + 1), // attributes stand before the value that they are of
            _ => None,
        };
        let Some(owed) = owed else {
            self.is_lost = false;
            return At::Foreign;
        };
        self.owed += owed;
        At::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$6\r\n>1\r\nab\r\n"; // a payload that looks like a push
    const NESTED: &str = ">2\r\n*2\r\n:1\r\n*-1\r\n%1\r\n+a\r\n~2\r\n$-1\r\n#t\r\n";
    const ANSWERS: [&str; 8] = [
        "+OK\r\n",
        "$3\r\n\r\n>\r\n",
        "*2\r\n*1\r\n$0\r\n\r\n_\r\n",
        "%2\r\n+server\r\n$5\r\nredis\r\n+modules\r\n*0\r\n",
        "|1\r\n+ttl\r\n:1\r\n$2\r\nhi\r\n",
        "-ERR >no\r\n",
        "=6\r\ntxt:>3\r\n",
        ",1.5\r\n",
    ];

    /// A stream with a push before, between and behind all answers.
    fn stream() -> String {
        ANSWERS.iter().map(|answer| format!("{MESSAGE}{answer}{NESTED}")).collect()
    }

    /// What is passed on, in pieces of this size.
    fn passed(stream: &str, size: usize, lose: impl Fn(usize) -> bool) -> (String, u64) {
        let mut pushes = Pushes::default();
        let pieces = stream.as_bytes().chunks(size).enumerate();
        let passed = pieces.flat_map(|(at, piece)| pushes.pass(piece, lose(at))).collect();
        (String::from_utf8(passed).expect("text"), pushes.lost())
    }

    #[test]
    fn pushes_alone_are_lost_wherever_the_stream_is_cut() {
        let stream = stream();
        for size in 1..=stream.len() {
            assert_eq!(passed(&stream, size, |_| false), (stream.clone(), 0), "pieces of {size}");
            let (left, lost) = passed(&stream, size, |_| true);
            assert_eq!((left, lost), (ANSWERS.concat(), 16), "pieces of {size}");
        }
    }

    #[test]
    fn a_push_is_lost_whole_or_not_at_all() {
        let stream = format!("{MESSAGE}{MESSAGE}+OK\r\n");
        for cut in 1..MESSAGE.len() {
            // The rule comes, or goes, in the middle of the first.
            let both = |first: bool| {
                let mut pushes = Pushes::default();
                let mut all = pushes.pass(&stream.as_bytes()[..cut], first);
                all.extend(pushes.pass(&stream.as_bytes()[cut..], !first));
                String::from_utf8(all).expect("text")
            };
            assert_eq!(both(false), format!("{MESSAGE}+OK\r\n"), "the second is lost");
            assert_eq!(both(true), format!("{MESSAGE}+OK\r\n"), "the first is lost");
        }
    }

    #[test]
    fn what_is_not_resp_passes() {
        for text in ["hello!\n>3\r\nnot a push", "$x\r\n>1\r\n", "\u{16}\u{3}\u{1}>1\r\n", "*\r\n>1\r\n"] {
            for size in 1..=text.len() {
                assert_eq!(passed(text, size, |_| true).0, text, "pieces of {size}");
            }
        }
    }
}
