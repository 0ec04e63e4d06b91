//! Requests by their bytes, some of which no client library would send, and what their answers have to look like.

use serde_json::{Value, json};

use crate::connection::Answer;
use crate::server::TOKEN;

/// How much is in a chunk.
const CHUNK: usize = 64 * 1024;

/// A request.
#[derive(Clone)]
pub(crate) struct Request {
    /// Of its answer.
    pub(crate) shape: Shape,
    head: Vec<u8>,
    body: Vec<u8>,
    framing: Framing,
}

/// What an answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A list, or `{"error":{"statusCode","name","message"}}`.
    LoopBack,
    /// The v4 envelope.
    Cloudflare,
    /// Of what is no request nobody knows the path, which would say whose shape it is.
    Nothing,
}

/// How much of a request is sent.
#[derive(Clone, Copy)]
enum Framing {
    /// Everything, the length of the body first.
    Whole,
    /// Everything, the body in chunks.
    Chunked,
    /// The head; the body waits to be wanted.
    Announced,
    /// The head, but for its end.
    Unfinished,
}

impl Request {
    /// By the root account, with JSON.
    pub(crate) fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self::by_root(method, target).header("content-type", "application/json")
    }

    /// By the root account, with a form.
    pub(crate) fn form(target: &str, body: impl Into<Vec<u8>>) -> Self {
        let request = Self::by_root("POST", target);
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    fn by_root(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self::anonymous(method, target).header("authorization", format!("Bearer {TOKEN}"))
    }

    pub(crate) fn anonymous(method: &str, target: impl AsRef<[u8]>) -> Self {
        let target = target.as_ref();
        let shape = if target.starts_with(b"/v1") { Shape::LoopBack } else { Shape::Cloudflare };
        let head = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nhost: countersign\r\n"].concat();
        Self { shape, head, body: Vec::new(), framing: Framing::Whole }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head.extend([name.as_bytes(), b": ", value.as_ref(), b"\r\n"].concat());
        self
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn chunked(self) -> Self {
        Self { framing: Framing::Chunked, ..self }
    }

    pub(crate) fn announced(self) -> Self {
        Self { framing: Framing::Announced, ..self }
    }

    /// A head that does not end, this long so far.
    pub(crate) fn unfinished(self, length: usize) -> Self {
        let padding = length - self.head.len() - "x-padding: \r\n".len();
        let request = self.header("x-padding", "x".repeat(padding)).unreadable();
        Self { framing: Framing::Unfinished, ..request }
    }

    /// It is refused before it is known what it is.
    pub(crate) fn unreadable(self) -> Self {
        Self { shape: Shape::Nothing, ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = format!("content-length: {}\r\n\r\n", self.body.len());
        match self.framing {
            Framing::Whole => [&self.head, length.as_bytes(), &self.body].concat(),
            Framing::Chunked => {
                [&self.head, &b"transfer-encoding: chunked\r\n\r\n"[..], &in_chunks(&self.body)].concat()
            }
            Framing::Announced => [&self.head, &b"expect: 100-continue\r\n"[..], length.as_bytes()].concat(),
            Framing::Unfinished => self.head.clone(),
        }
    }
}

fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::with_capacity(body.len() + body.len() / 1000);
    for chunk in body.chunks(CHUNK) {
        chunks.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    chunks.extend(b"0\r\n\r\n");
    chunks
}

impl Shape {
    pub(crate) fn is_of(self, answer: &Answer) -> bool {
        let is_json = answer.header("content-type") == Some("application/json");
        match self {
            Self::LoopBack => is_json && is_loopback(answer.status, &answer.json()),
            Self::Cloudflare => is_json && is_cloudflare(answer.status, &answer.json()),
            Self::Nothing => answer.text().is_empty(),
        }
    }
}

fn is_loopback(status: u16, body: &Value) -> bool {
    let error = &body["error"];
    let has_texts = [&error["name"], &error["message"]].iter().all(|text| text.is_string());
    if status < 400 { body.is_array() } else { error["statusCode"] == status && has_texts }
}

fn is_cloudflare(status: u16, body: &Value) -> bool {
    let errors = body["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let is_error = |error: &Value| error["code"].is_u64() && error["message"].is_string();
    let is_good = status < 400;
    body["success"] == is_good
        && body["messages"] == json!([])
        && errors.iter().all(is_error)
        && errors.is_empty() == is_good
        && body["result"].is_null() != is_good
}
