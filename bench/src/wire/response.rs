//! Finding the end of an answer: its status line, its `Content-Length`, nothing else.

use memchr::memchr_iter;

/// Where an answer's parts are in the bytes received so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Of the status line.
    pub(crate) status: u16,
    /// Where the body begins.
    pub(crate) body: usize,
    /// Where the answer ends.
    pub(crate) end: usize,
}

/// Not an answer that this client understands: it knows `Content-Length` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// Reads the head of the answer at the start of `bytes`, in one pass; `None` while it is not all there.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Unreadable> {
    let mut length = None;
    let mut start = 0;
    for end in memchr_iter(b'\n', bytes) {
        let line = &bytes[start..end];
        start = end + 1;
        if line == b"\r" {
            return finish(parse_status(bytes)?, start, length).map(Some);
        }
        if let Some(value) = content_length(line) {
            length = Some(parse_number(value).ok_or(Unreadable("Content-Length is no number"))?);
        }
    }
    Ok(None)
}

fn finish(status: u16, body: usize, length: Option<usize>) -> Result<Head, Unreadable> {
    let without = (status == 204 || status == 304).then_some(0);
    let length = length.or(without).ok_or(Unreadable("an answer without Content-Length"))?;
    Ok(Head { status, body, end: body + length })
}

/// The number behind `HTTP/1.1 `.
fn parse_status(bytes: &[u8]) -> Result<u16, Unreadable> {
    let digits = bytes.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    digits
        .and_then(parse_number)
        .and_then(|n| u16::try_from(n).ok())
        .ok_or(Unreadable("no status of HTTP/1.1"))
}

/// The value of this line if it is `Content-Length`, whatever its case.
fn content_length(line: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    name.eq_ignore_ascii_case(NAME).then_some(value.trim_ascii())
}

/// A decimal number of at most nine digits.
fn parse_number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let bytes = b"HTTP/1.1 200 OK\r\ndate: x\r\nCONTENT-Length: 2\r\n\r\n{}";
        assert_eq!(
            parse_head(bytes),
            Ok(Some(Head { status: 200, body: bytes.len() - 2, end: bytes.len() }))
        );
        for cut in 0..bytes.len() - 2 {
            assert_eq!(parse_head(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn no_content_needs_no_length() {
        let bytes = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(parse_head(bytes), Ok(Some(Head { status: 204, body: bytes.len(), end: bytes.len() })));
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert!(parse_head(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 2x0 OK\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n").is_err());
    }
}
