//! The requests under way on one connection of HTTP/2: each has a stream of its own.

use std::io::{self, ErrorKind};

use super::connection::Sent;
use crate::wire::http2::{Frame, SETTINGS_ACK, message, parse_frame, ping_ack, put_on_stream};

/// The streams that are open.
pub(super) struct Streams {
    next: u32,
    open: Vec<Stream>,
}

/// A request, and what has come of its answer.
struct Stream {
    id: u32,
    sent: Sent,
    status: Option<u16>,
    body: Vec<u8>,
}

impl Streams {
    /// None is open.
    pub(super) fn new() -> Self {
        // Those of clients are odd.
        Self { next: 1, open: Vec::new() }
    }

    /// Adds a request to `out`, on a new stream.
    pub(super) fn send(&mut self, request: &[u8], sent: Sent, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(request);
        put_on_stream(&mut out[start..], self.next);
        self.open.push(Stream { id: self.next, sent, status: None, body: Vec::new() });
        self.next += 2;
    }

    /// Reads all frames that are whole, and says where they end. Gives each answer to `answered`, with its status and its
    /// message; adds what the server wants to hear to `out`.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        answered: &mut impl FnMut(Sent, u16, &[u8]),
    ) -> io::Result<usize> {
        let mut read = 0;
        while let Some((frame, length)) = parse_frame(&bytes[read..]).map_err(|error| broken(error.0))? {
            read += length;
            match frame {
                Frame::Headers { stream, status, ends } => {
                    let place = self.place(stream)?;
                    self.open[place].status.get_or_insert(status);
                    self.end_if(ends, place, answered);
                }
                Frame::Data { stream, part, ends } => {
                    let place = self.place(stream)?;
                    self.open[place].body.extend_from_slice(part);
                    self.end_if(ends, place, answered);
                }
                Frame::Settings => out.extend_from_slice(&SETTINGS_ACK),
                Frame::Ping(opaque) => out.extend_from_slice(&ping_ack(opaque)),
                Frame::Other => {}
            }
        }
        Ok(read)
    }

    /// The requests that have no answer yet.
    pub(super) fn under_way(&self) -> impl Iterator<Item = Sent> {
        self.open.iter().map(|stream| stream.sent)
    }

    fn place(&self, stream: u32) -> io::Result<usize> {
        let place = self.open.iter().position(|open| open.id == stream);
        place.ok_or_else(|| broken("an answer to no request"))
    }

    fn end_if(&mut self, ends: bool, place: usize, answered: &mut impl FnMut(Sent, u16, &[u8])) {
        if !ends {
            return;
        }
        let stream = self.open.swap_remove(place);
        // An error of gRPC has no message.
        answered(stream.sent, stream.status.unwrap_or(0), message(&stream.body).unwrap_or_default());
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::work::Ticket;
    use crate::wire::http2::call;
    use crate::wire::http2::tests::{answer, render};
    use std::time::Instant;

    type Answers = Vec<(usize, u16, Vec<u8>)>;

    /// Streams 1, 3 and so on, of requests 0, 1 and so on.
    fn sent(count: usize) -> Streams {
        let mut streams = Streams::new();
        for number in 0..count {
            let sent = Sent { ticket: Ticket(number), due: Instant::now() };
            streams.send(&call("/a", b""), sent, &mut Vec::new());
        }
        streams
    }

    /// What comes of `bytes`, which are received in two parts: the answers, and what is said to the server.
    fn received(mut streams: Streams, bytes: &[u8], cut: usize) -> io::Result<(Answers, Vec<u8>)> {
        let (mut answers, mut out) = (Vec::new(), Vec::new());
        let mut answered = |sent: Sent, status, message: &[u8]| {
            answers.push((sent.ticket.0, status, message.to_vec()));
        };
        let read = streams.receive(&bytes[..cut], &mut out, &mut answered)?;
        let rest = streams.receive(&bytes[read..], &mut out, &mut answered)?;
        assert_eq!(read + rest, bytes.len(), "cut at {cut}");
        Ok((answers, out))
    }

    #[test]
    fn requests_are_on_streams_of_their_own() {
        let (mut streams, mut out) = (sent(0), Vec::new());
        let request = call("/a", b"m");
        for number in 0..2 {
            streams.send(&request, Sent { ticket: Ticket(number), due: Instant::now() }, &mut out);
        }
        let mut both = [request.clone(), request].concat();
        let (first, second) = both.split_at_mut(out.len() / 2);
        put_on_stream(first, 1);
        put_on_stream(second, 3);
        assert_eq!(out, both);
        assert_eq!(streams.under_way().count(), 2);
    }

    #[test]
    fn answers_may_come_at_once_and_be_cut_anywhere() -> io::Result<()> {
        let settings = render(4, 0, 0, b"\0\x03\0\0\0\x64");
        let (ping, window) = (render(6, 0, 0, b"12345678"), render(8, 0, 0, b"\0\0\x01\0"));
        let bytes = [settings, answer(3, b"second"), ping, window, answer(1, b"first")].concat();
        let said = [&SETTINGS_ACK[..], &ping_ack(*b"12345678")].concat();
        for cut in 0..=bytes.len() {
            let (answers, out) = received(sent(2), &bytes, cut)?;
            assert_eq!(answers, [(1, 200, b"second".to_vec()), (0, 200, b"first".to_vec())], "cut at {cut}");
            assert_eq!(out, said, "cut at {cut}");
        }
        Ok(())
    }

    #[test]
    fn parts_of_answers_may_come_by_turns() -> io::Result<()> {
        let heads = [render(1, 4, 1, b"\x88"), render(1, 4, 3, b"\x8d")].concat();
        let bodies = [
            render(0, 0, 1, b"\0\0\0\0\x04fi"),
            render(0, 0, 3, b"\0\0\0\0\x02no"),
            render(0, 0, 1, b"ne"),
            // A ping between head and trailers.
            render(6, 0, 0, b"12345678"),
        ];
        let ends = [render(1, 5, 1, b"\x88"), render(0, 1, 3, b"")].concat();
        let (answers, _) = received(sent(2), &[heads, bodies.concat(), ends].concat(), 0)?;
        assert_eq!(answers, [(0, 200, b"fine".to_vec()), (1, 0, b"no".to_vec())]);
        Ok(())
    }

    #[test]
    fn an_error_of_grpc_has_no_message() -> io::Result<()> {
        let (answers, _) = received(sent(1), &render(1, 5, 1, b"\x88\x40"), 0)?;
        assert_eq!(answers, [(0, 200, Vec::new())]);
        Ok(())
    }

    #[test]
    fn what_was_not_asked_is_an_error() {
        assert!(received(sent(1), &answer(3, b""), 0).is_err());
        let twice = [answer(1, b""), answer(1, b"")].concat();
        assert!(received(sent(1), &twice, 0).is_err());
    }
}
