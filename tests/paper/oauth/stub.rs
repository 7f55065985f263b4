//! A platform made of a closure: for answers no real server gives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came in.
#[derive(Clone)]
pub struct Request {
    /// `POST /revoke HTTP/1.1` and the headers, in lower case but for the values.
    pub head: String,
    /// The form.
    pub body: String,
}

impl Request {
    pub fn path(&self) -> &str {
        self.head.split_whitespace().nth(1).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// What the closure says.
pub enum Answer {
    /// These bytes, then the connection closes.
    Say(Vec<u8>),
    /// Nothing, for longer than any test waits.
    Hang,
    /// A good head, then a byte at a time, for longer than any test waits.
    Drip,
}

/// `HTTP/1.1 <status>` with further headers and a body.
pub fn say(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Say(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}").into(),
    )
}

pub struct Stub {
    pub port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::behind(Some, answer)
    }

    /// With something around each connection, such as TLS.
    pub fn behind<S: Read + Write>(
        wrap: impl Fn(TcpStream) -> Option<S> + Send + Sync + 'static,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, both) = (Arc::clone(&seen), Arc::new((wrap, answer)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, both) = (Arc::clone(&noted), Arc::clone(&both));
                std::thread::spawn(move || {
                    let Some(mut stream) = (both.0)(stream) else { return };
                    let Some(request) = read(&mut stream) else { return };
                    noted.lock().unwrap().push(request.clone());
                    let _ = write(&mut stream, (both.1)(&request));
                });
            }
        });
        Self { port, seen }
    }

    /// Every request so far, in order.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut request = Request { head, body: String::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}

fn write(stream: &mut impl Write, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Say(bytes) => {
            stream.write_all(&bytes)?;
            stream.flush()
        }
        Answer::Hang => {
            std::thread::sleep(Duration::from_secs(20));
            Ok(())
        }
        Answer::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")?;
            for _ in 0..400 {
                stream.write_all(b" ")?;
                stream.flush()?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
    }
}
