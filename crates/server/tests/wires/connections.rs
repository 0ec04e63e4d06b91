//! HTTP/2 by prior knowledge beside HTTP/1.1, at one and the same address.

use std::net::SocketAddr;

use countersign_server::Exposure;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service as _, ServiceExt as _};

use crate::harness::World;

/// A connection in HTTP/2.
pub(crate) async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Sends one request; gives status, headers and body.
pub(crate) async fn send(channel: &mut Channel, request: Request<Vec<u8>>) -> Response<String> {
    let request = request.map(|body| Body::new(Full::from(body)));
    let response = channel.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, String::from_utf8(body.into()).unwrap())
}

/// As [`send`], in HTTP/1.1.
async fn send_first(address: SocketAddr, request: &Request<Vec<u8>>) -> Response<String> {
    let mut text = format!(
        "{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n",
        request.method(),
        request.uri()
    );
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    text += &format!("content-length: {}\r\n\r\n", request.body().len());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[text.as_bytes(), request.body()].concat()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let fields = lines.map(|line| line.split_once(": ").unwrap());
    let response = fields
        .fold(Response::builder().status(status), |response, (name, value)| response.header(name, value));
    response.body(body.to_owned()).unwrap()
}

/// Without what is another one for each answer, or says how this connection goes on.
fn lasting(response: &Response<String>) -> Vec<(String, String)> {
    let passing = ["date", "x-request-id", "connection", "content-length", "transfer-encoding"];
    let lasting = response.headers().iter().filter(|(name, _)| !passing.contains(&name.as_str()));
    let mut lasting: Vec<_> =
        lasting.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    lasting.sort();
    lasting
}

#[tokio::test]
async fn every_wire_answers_in_both() {
    let world = World::new().await;
    let address = world.listen(Exposure::Everything).await;
    let mut channel = connect(address).await;
    let token = world.service_token(json!({"name": "ci", "duration": "1h"})).await;
    let bearer = format!("Bearer {}", world.root);
    let form = format!("token={}%3A{}", token.client_id, token.secret);
    let json = json!({"client_id": token.client_id, "client_secret": token.secret}).to_string();
    let requests = [
        (Method::GET, "/authz".to_owned(), "", ""),
        (Method::GET, "/authz?kind=service".to_owned(), "", ""),
        (Method::GET, "/healthz".to_owned(), "", ""),
        (Method::GET, "/nowhere".to_owned(), "", ""),
        (Method::GET, "/api/v1/self".to_owned(), "", ""),
        (Method::GET, "/v1/Accounts/authorized".to_owned(), "", ""),
        (Method::GET, world.service_tokens(), "", ""),
        (Method::GET, "/openapi/native.json".to_owned(), "", ""),
        (Method::POST, "/api/v1/verify".to_owned(), "application/json", &json),
        (Method::POST, "/oauth2/introspect".to_owned(), "application/x-www-form-urlencoded", &form),
        (Method::POST, world.service_tokens(), "application/json", "{"),
    ];
    for (method, path, content_type, body) in requests {
        for authorization in [Some(&bearer), None] {
            let mut request = Request::builder().method(method.clone()).uri(&path);
            if let Some(bearer) = authorization {
                request = request.header("authorization", bearer);
            }
            if !content_type.is_empty() {
                request = request.header("content-type", content_type);
            }
            let request = request.body(body.as_bytes().to_vec()).unwrap();
            let first = send_first(address, &request).await;
            let second = send(&mut channel, request).await;
            assert_eq!((second.status(), lasting(&second)), (first.status(), lasting(&first)), "{path}");
            if !first.body().contains("request_id") {
                assert!(first.body().contains(second.body()), "{path}: {first:?} {second:?}");
            }
        }
    }
}

#[tokio::test]
async fn heads_are_bounded_in_both() {
    let world = World::new().await;
    let address = world.listen(Exposure::Everything).await;
    let mut channel = connect(address).await;
    let with = |headers: usize, length: usize| {
        let request = (0..headers).fold(Request::get("/healthz"), |request, number| {
            request.header(format!("x-{number}"), "v".repeat(length))
        });
        request.body(Vec::new()).unwrap()
    };
    for (headers, length, status) in [
        (1, 8 * 1024, StatusCode::OK),
        (80, 8, StatusCode::OK),
        (120, 8, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (9, 8 * 1024, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ] {
        assert_eq!(send_first(address, &with(headers, length)).await.status(), status, "{headers} {length}");
        assert_eq!(send(&mut channel, with(headers, length)).await.status(), status, "{headers} {length}");
    }
}

#[tokio::test]
async fn the_internal_listener_has_the_doors_alone() {
    let world = World::new().await;
    let mut channel = connect(world.listen(Exposure::Internal).await).await;
    for (path, status) in [("/healthz", 200), ("/authz", 401), ("/api/v1/self", 404)] {
        let response = send(&mut channel, Request::get(path).body(Vec::new()).unwrap()).await;
        assert_eq!(response.status(), status, "{path}");
    }
}
