//! An app behind a proxy. It tells whoever asks what has reached it, or has one answer for all, as a door may.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::connection::Answer;

/// The app. It lives as long as the process of the test.
pub(crate) struct Origin {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What has reached it.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    last: Mutex<Option<Arrived>>,
    /// All that was asked for.
    targets: Mutex<BTreeSet<String>>,
    /// The answer to everybody: an answer's head and body. `None` = what has reached it.
    answer: Option<String>,
}

/// A request as it reached the app.
#[derive(Debug, Clone)]
pub(crate) struct Arrived(Value);

impl Origin {
    /// One that tells what has reached it.
    pub(crate) fn start() -> Self {
        Self::with(Seen::default())
    }

    /// One that says the same to everybody: `503 Service Unavailable`, these headers, and this body.
    pub(crate) fn saying(status: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}");
        Self::with(Seen { answer: Some(answer), ..Seen::default() })
    }

    fn with(seen: Seen) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::new(seen);
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&shared);
                // A connection that breaks off is the proxy's, and the test sees it there.
                thread::spawn(move || drop(serve(stream, &seen)));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have reached it.
    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// All that was ever asked for.
    pub(crate) fn targets(&self) -> BTreeSet<String> {
        self.seen.targets.lock().expect("the targets").clone()
    }

    /// What has reached it last.
    pub(crate) fn last(&self) -> Arrived {
        self.seen.last.lock().expect("the last").clone().expect("something has reached it")
    }
}

/// Answers the requests of a connection.
fn serve(stream: TcpStream, seen: &Seen) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let Some(arrived) = read(&mut stream, seen)? else { return Ok(()) };
        let answer = seen.answer.clone().unwrap_or_else(|| told(&arrived));
        let is_last = arrived.0["version"] == "HTTP/1.0";
        *seen.last.lock().expect("the last") = Some(arrived);
        stream.get_mut().write_all(answer.as_bytes())?;
        if is_last {
            return Ok(());
        }
    }
}

fn told(Arrived(request): &Arrived) -> String {
    let connection = if request["version"] == "HTTP/1.0" { "close" } else { "keep-alive" };
    let body = request.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: {connection}\r\n\r\n{body}",
        body.len()
    )
}

/// The next request, which counts from its first line on, whatever becomes of it; `None` when the proxy has closed the
/// connection.
fn read(stream: &mut BufReader<TcpStream>, seen: &Seen) -> io::Result<Option<Arrived>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    seen.requests.fetch_add(1, Ordering::SeqCst);
    let start: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    seen.targets.lock().expect("the targets").extend(start.get(1).cloned());
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let value = |name: &str| {
        let header = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    };
    let body = match value("transfer-encoding") {
        Some(_) => chunks(stream)?,
        None => exactly(stream, value("content-length").and_then(|value| value.parse().ok()).unwrap_or(0))?,
    };
    let body = String::from_utf8_lossy(&body);
    let [method, target, version] = start.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(Arrived(json!({
        "method": method, "target": target, "version": version, "headers": headers, "body": body,
    }))))
}

fn exactly(stream: &mut BufReader<TcpStream>, length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// A body that comes in chunks.
fn chunks(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        body.extend(exactly(stream, length)?);
        stream.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
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

    /// Every value of a header, as an app finds it that minds neither case nor what stands between the words of a name.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let plain = |name: &str| name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let pairs = self.0["headers"].as_array().expect("pairs").iter();
        let named = pairs.filter(|pair| plain(pair[0].as_str().expect("a name")) == plain(name));
        named.map(|pair| pair[1].as_str().expect("a value")).collect()
    }

    /// All that reached it, for messages and for what must not be anywhere in it.
    pub(crate) fn text(&self) -> String {
        self.0.to_string()
    }
}
