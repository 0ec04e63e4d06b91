//! gRPC's framing of one message in each direction (gRPC over HTTP2, "Length-Prefixed-Message").

use axum::body::Body as AnyBody;
use bytes::{BufMut as _, Bytes, BytesMut};
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;
use prost::Message as _;

use crate::json::{BODY_DEADLINE, LARGEST_BODY};
use crate::upload::UploadError;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

const GRPC: &str = "application/grpc";
/// Of gRPC's statuses the one that says that there is an answer.
const OK: HeaderValue = HeaderValue::from_static("0");
/// Whether what follows is compressed, and its length in four bytes, the largest first.
const PREFIX: usize = 5;
/// Largest message. By default Envoy takes requests with heads of up to 60 KiB.
const LARGEST: usize = LARGEST_BODY;

/// Whether it is gRPC that a client speaks: others are answered in HTTP.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    let types = request.headers().get(header::CONTENT_TYPE);
    request.method() == Method::POST
        && types.is_some_and(|value| value.as_bytes().starts_with(GRPC.as_bytes()))
}

/// Why there is no message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is too large, comes too late, or is none.
    NoMessage,
    /// Too much is being sent at once.
    Busy,
}

/// The message of a request.
pub(super) async fn read<B>(body: B) -> Result<CheckRequest, Unread>
where
    B: Body<Data = Bytes, Error = UploadError>,
{
    let whole = Limited::new(body, PREFIX + LARGEST).collect();
    let Ok(whole) = tokio::time::timeout(BODY_DEADLINE, whole).await else { return Err(Unread::NoMessage) };
    match whole {
        Ok(whole) => parse(&whole.to_bytes()).ok_or(Unread::NoMessage),
        Err(error) if matches!(error.downcast_ref(), Some(UploadError::Busy)) => Err(Unread::Busy),
        Err(_) => Err(Unread::NoMessage),
    }
}

fn parse(whole: &[u8]) -> Option<CheckRequest> {
    let ([compressed, length @ ..], message) = whole.split_first_chunk::<PREFIX>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    // No compression was agreed on, and it is one message that is called with.
    if *compressed != 0 || message.len() != length {
        return None;
    }
    CheckRequest::decode(message).ok()
}

/// The answer.
pub(super) fn write(message: &CheckResponse) -> Response<AnyBody> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // It has room for all of it.
    let _ = message.encode(&mut frame);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(&GRPC_STATUS, OK);
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(AnyBody::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn too_much_at_once_is_no_bad_message() {
        let failing = || futures_util::stream::iter([Err(UploadError::Busy)]);
        assert_eq!(read(http_body_util::StreamBody::new(failing())).await, Err(Unread::Busy));
    }

    #[test]
    fn one_whole_message_is_read() {
        let of = |prefix: [u8; PREFIX], message: &[u8]| parse(&[&prefix, message].concat()).is_some();
        assert!(of([0; 5], b""), "nothing is said in it");
        assert!(of([0, 0, 0, 0, 2], b"\x0a\x00"));
        assert!(!of([0, 0, 0, 0, 1], b"\x0a\x00"), "longer than it says");
        assert!(!of([0, 0, 0, 0, 3], b"\x0a\x00"), "cut");
        assert!(!of([0, 0xff, 0xff, 0xff, 0xff], b""));
        assert!(!of([1, 0, 0, 0, 2], b"\x0a\x00"), "compressed");
        assert!(!of([0, 0, 0, 0, 2], b"\x0a\x07"), "no message");
        assert!(parse(b"\0\0\0\0").is_none());
    }
}
