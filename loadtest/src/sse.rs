//! Server-sent events as the generator needs them: whole blocks out of a slice.

/// The block at the start of `bytes` and its length with the blank line that ends it, or `None`
/// when it is not all there yet.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    Some((&bytes[..end], end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_whole_and_one_by_one() {
        let stream = b": ping\n\ndata: \"a\"\nid: 1\n\ndata";
        let (first, length) = read(stream).unwrap();
        assert_eq!(first, b": ping");
        let (second, more) = read(&stream[length..]).unwrap();
        assert_eq!(second, b"data: \"a\"\nid: 1");
        assert_eq!(read(&stream[length + more..]), None);
    }
}
