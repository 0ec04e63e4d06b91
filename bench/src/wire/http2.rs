//! The little HTTP/2 that a generator needs (RFC 9113), spoken by prior knowledge: calls of gRPC as frames, and the
//! frames of their answers.

use super::response::Unreadable;

/// What a client says first. It takes no pushes, and lets the server send nearly 2^31 bytes before it must be told that
/// it may go on, which is far more than the answers that one connection gets: so nobody counts them.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\
    \x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00";

/// How a frame begins: its length, its type, its flags, its stream.
const HEAD: usize = 9;

/// The longest frame that a server may send to a client which has not said otherwise.
const LARGEST: usize = 16_384;

/// What stands before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// `:status: 200` in HPACK (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame<'b> {
    /// The head of an answer, or what follows its message.
    Headers {
        /// Of which request.
        stream: u32,
        /// Of a head: 200, or 0 for any other.
        status: u16,
        /// It was the last of this answer.
        ends: bool,
    },
    /// A part of an answer's body.
    Data {
        /// Of which request.
        stream: u32,
        /// The bytes.
        part: &'b [u8],
        /// It was the last of this answer.
        ends: bool,
    },
    /// Settings, which want [`SETTINGS_ACK`].
    Settings,
    /// A question whether anybody is there, which wants [`ping_ack`].
    Ping([u8; 8]),
    /// What this client need not know.
    Other,
}

/// Agrees to settings.
pub(crate) const SETTINGS_ACK: [u8; HEAD] = head(SETTINGS, ACK, 0);

/// Answers a ping.
pub(crate) fn ping_ack(opaque: [u8; 8]) -> Vec<u8> {
    [&head(PING, ACK, 8)[..], &opaque].concat()
}

/// Calls a method of gRPC. Which stream it is on is said by [`put_on_stream`].
///
/// No header goes into the table that both sides keep, so one rendering serves every connection. A proxy would send most
/// of them as an index into that table, which costs the server a little less.
pub(crate) fn call(path: &str, message: &[u8]) -> Vec<u8> {
    // `:method: POST` and `:scheme: http` are in the static table; of the others only the name is, if that.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(&[0x04][..], path), (&[0x01], "bench"), (&[0x0f, 0x10], "application/grpc")] {
        block.extend_from_slice(name);
        push_text(&mut block, value);
    }
    block.push(0x00);
    push_text(&mut block, "te");
    push_text(&mut block, "trailers");

    let mut frames = head(HEADERS, END_HEADERS, block.len()).to_vec();
    frames.extend_from_slice(&block);
    frames.extend_from_slice(&head(DATA, END_STREAM, PREFIX + message.len()));
    frames.push(0);
    frames.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frames.extend_from_slice(message);
    frames
}

/// A text of HPACK as it is; it is shorter than the 127 bytes from which on a length takes more than one.
fn push_text(block: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() < 127, "{text}");
    block.push(text.len() as u8);
    block.extend_from_slice(text.as_bytes());
}

const fn head(kind: u8, flags: u8, length: usize) -> [u8; HEAD] {
    let [.., high, middle, low] = (length as u32).to_be_bytes();
    [high, middle, low, kind, flags, 0, 0, 0, 0]
}

/// Says of whole frames which stream they are on.
pub(crate) fn put_on_stream(frames: &mut [u8], stream: u32) {
    let mut rest = frames;
    while let Some((head, more)) = rest.split_first_chunk_mut::<HEAD>() {
        head[5..].copy_from_slice(&stream.to_be_bytes());
        let length = length(head).min(more.len());
        rest = &mut more[length..];
    }
}

fn length(head: &[u8; HEAD]) -> usize {
    u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize
}

/// Reads the frame at the start of `bytes`, and where it ends; `None` while it is not all there.
pub(crate) fn parse_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Unreadable> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let length = length(head);
    // What is no HTTP/2 says that it is very long.
    if length > LARGEST {
        return Err(Unreadable("too long a frame"));
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let [.., kind, flags, a, b, c, d] = *head;
    let stream = u32::from_be_bytes([a & 0x7f, b, c, d]);
    Ok(Some((frame(kind, flags, stream, payload)?, HEAD + length)))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Frame<'_>, Unreadable> {
    let (ends, acknowledges) = (flags & END_STREAM != 0, flags & ACK != 0);
    match kind {
        DATA | HEADERS if flags & PADDED != 0 => Err(Unreadable("a padded frame")),
        HEADERS if flags & PRIORITY != 0 => Err(Unreadable("an answer with a priority")),
        DATA => Ok(Frame::Data { stream, part: payload, ends }),
        HEADERS => {
            let status = if payload.first() == Some(&STATUS_200) { 200 } else { 0 };
            Ok(Frame::Headers { stream, status, ends })
        }
        RST_STREAM => Err(Unreadable("a request was given up")),
        GOAWAY => Err(Unreadable("the connection was given up")),
        SETTINGS if !acknowledges => Ok(Frame::Settings),
        PING if !acknowledges => {
            let opaque = payload.try_into().map_err(|_| Unreadable("a ping that is none"))?;
            Ok(Frame::Ping(opaque))
        }
        _ => Ok(Frame::Other),
    }
}

/// The one message in the body of an answer; `None` where there is another number of them.
pub(crate) fn message(body: &[u8]) -> Option<&[u8]> {
    let ([compressed, length @ ..], message) = body.split_first_chunk::<PREFIX>()?;
    let whole = u32::from_be_bytes(*length) as usize == message.len();
    (*compressed == 0 && whole).then_some(message)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A frame of this type.
    pub(crate) fn render(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = [&head(kind, flags, payload.len())[..], payload].concat();
        put_on_stream(&mut frame, stream);
        frame
    }

    /// The answer to a call, as a server sends it.
    pub(crate) fn answer(stream: u32, message: &[u8]) -> Vec<u8> {
        let prefix = [&[0][..], &(message.len() as u32).to_be_bytes()].concat();
        let head = render(HEADERS, END_HEADERS, stream, &[STATUS_200, 0x5f]);
        let body = render(DATA, 0, stream, &[&prefix, message].concat());
        let trailers = render(HEADERS, END_HEADERS | END_STREAM, stream, &[0xbf]);
        [head, body, trailers].concat()
    }

    #[test]
    fn a_frame_is_read_when_it_is_all_there() {
        let bytes = render(DATA, END_STREAM, 0x8000_0007, b"12345");
        let data = Frame::Data { stream: 7, part: b"12345", ends: true };
        for cut in 0..bytes.len() {
            assert_eq!(parse_frame(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(parse_frame(&bytes), Ok(Some((data, bytes.len()))));
        assert_eq!(parse_frame(&[&bytes[..], b"more"].concat()), Ok(Some((data, bytes.len()))));
    }

    #[test]
    fn only_200_is_a_status() {
        for (block, status) in [(&b"\x88\x5f"[..], 200), (b"\x8d", 0), (b"", 0)] {
            let bytes = render(HEADERS, END_HEADERS, 1, block);
            let headers = Frame::Headers { stream: 1, status, ends: false };
            assert_eq!(parse_frame(&bytes), Ok(Some((headers, bytes.len()))));
        }
    }

    #[test]
    fn who_asks_is_answered_and_an_answer_is_not() {
        let parse = |kind, flags, payload: &'static [u8]| {
            parse_frame(&render(kind, flags, 0, payload)).map(|frame| match frame {
                Some((Frame::Ping(opaque), _)) => Some(ping_ack(opaque)),
                Some((Frame::Settings, _)) => Some(SETTINGS_ACK.to_vec()),
                _ => None,
            })
        };
        assert_eq!(parse(PING, 0, b"12345678"), Ok(Some(b"\0\0\x08\x06\x01\0\0\0\x0012345678".to_vec())));
        assert_eq!(parse(SETTINGS, 0, b"\0\x03\0\0\0\x64"), Ok(Some(b"\0\0\0\x04\x01\0\0\0\0".to_vec())));
        assert_eq!((parse(PING, ACK, b"12345678"), parse(SETTINGS, ACK, b"")), (Ok(None), Ok(None)));
        assert!(parse(PING, 0, b"1234567").is_err());
    }

    #[test]
    fn what_ends_a_connection_is_no_answer() {
        assert!(parse_frame(&render(RST_STREAM, 0, 1, &[0; 4])).is_err());
        assert!(parse_frame(&render(GOAWAY, 0, 0, &[0; 8])).is_err());
        assert!(parse_frame(&render(DATA, PADDED, 1, b"\x01a\0")).is_err());
        assert!(parse_frame(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
    }

    #[test]
    fn a_call_is_two_frames_on_one_stream() {
        let mut frames = call("/a.B/C", b"message");
        put_on_stream(&mut frames, 0x0102_0305);
        let Ok(Some((Frame::Headers { stream, ends, .. }, end))) = parse_frame(&frames) else {
            panic!("no head")
        };
        assert_eq!((stream, ends), (0x0102_0305, false));
        let block = b"\x83\x86\x04\x06/a.B/C\x01\x05bench\x0f\x10\x10application/grpc\x00\x02te\x08trailers";
        assert_eq!(&frames[HEAD..end], block);
        let part = b"\0\0\0\0\x07message";
        let data = Frame::Data { stream: 0x0102_0305, part, ends: true };
        assert_eq!(parse_frame(&frames[end..]), Ok(Some((data, frames.len() - end))));
        assert_eq!(message(part), Some(&b"message"[..]));
    }

    #[test]
    fn a_message_is_whole_and_alone() {
        assert_eq!(message(b"\0\0\0\0\0"), Some(&b""[..]));
        assert_eq!(message(b"\0\0\0\0\x02a"), None);
        assert_eq!(message(b"\0\0\0\0\x01ab"), None);
        assert_eq!(message(b"\x01\0\0\0\x01a"), None, "compressed");
        assert_eq!(message(b""), None);
    }

    #[test]
    fn the_preface_is_whole_frames() {
        let rest = PREFACE.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let (settings, end) = parse_frame(rest).unwrap().unwrap();
        assert_eq!((settings, end), (Frame::Settings, HEAD + 6));
        let (window, last) = parse_frame(&rest[end..]).unwrap().unwrap();
        assert_eq!((window, end + last), (Frame::Other, rest.len()));
    }
}
