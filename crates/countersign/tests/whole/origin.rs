//! An app behind a proxy. It tells whoever asks what has reached it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::connection::Answer;

/// The app. It lives as long as the process of the test.
pub(crate) struct Origin {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

/// A request as it reached the app.
#[derive(Debug)]
pub(crate) struct Arrived(Value);

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                // A connection that breaks off is the proxy's, and the test sees it there.
                thread::spawn(move || drop(serve(stream, &counter)));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have reached it.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers the requests of a connection.
fn serve(stream: TcpStream, counter: &AtomicUsize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(Arrived(request)) = read(&mut stream)? {
        counter.fetch_add(1, Ordering::SeqCst);
        let is_last = request["version"] == "HTTP/1.0";
        let connection = if is_last { "close" } else { "keep-alive" };
        let body = request.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: {connection}\r\n\r\n",
            body.len()
        );
        stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        if is_last {
            break;
        }
    }
    Ok(())
}

/// The next request; `None` when the proxy has closed the connection.
fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Arrived>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let start: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body);
    let [method, target, version] = start.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(Arrived(json!({
        "method": method, "target": target, "version": version, "headers": headers, "body": body,
    }))))
}

impl Arrived {
    /// From the app's answer, which must have come through the proxy.
    pub(crate) fn told_by(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}\n{}", answer.head, answer.text());
        Self(answer.json())
    }

    /// `POST /path?query`.
    pub(crate) fn request(&self) -> String {
        let text = |field: &str| self.0[field].as_str().expect("text").to_owned();
        format!("{} {}", text("method"), text("target"))
    }

    pub(crate) fn body(&self) -> &str {
        self.0["body"].as_str().expect("text")
    }

    /// Every value of a header, as an app finds it that minds neither case nor whether `-` or `_` stands in a name.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        let pairs = self.0["headers"].as_array().expect("pairs").iter();
        let named = pairs.filter(|pair| plain(pair[0].as_str().expect("a name")) == plain(name));
        named.map(|pair| pair[1].as_str().expect("a value")).collect()
    }

    /// All that reached it, for messages and for what must not be anywhere in it.
    pub(crate) fn text(&self) -> String {
        self.0.to_string()
    }
}
