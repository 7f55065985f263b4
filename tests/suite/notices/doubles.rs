//! A mail server and a receiver of webhooks, on this machine: real sockets, real protocols, several tempers.

use data_encoding::BASE64;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How a server behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Temper {
    Good,
    /// Answers everything with this code.
    Refuses(u16),
    /// Takes the connection and says nothing.
    Silent,
    /// Says lines without end.
    Floods,
    /// Says one line without end.
    FloodsOneLine,
    /// Says one byte every now and then.
    Drips,
}

/// What a server's encryption is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    None,
    Tls,
    StartTls,
}

/// What a mail server took.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    pub login: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    pub text: String,
    /// Whether TLS was there when it came.
    pub protected: bool,
}

impl Letter {
    pub fn header(&self, name: &str) -> String {
        let start = format!("{name}: ");
        let line = self.text.lines().find(|line| line.starts_with(&start));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.text))[start.len()..].to_owned()
    }

    /// The decoded bodies: the text, and what goes with it.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let boundary = self.text.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
        match boundary {
            None => vec![decoded(&self.text)],
            Some(boundary) => {
                let between = format!("--{boundary}");
                let parts = self.text.split(&between).skip(1);
                parts.filter(|part| !part.starts_with("--")).map(|part| decoded(part.trim_start())).collect()
            }
        }
    }

    pub fn body(&self) -> String {
        String::from_utf8(self.parts().remove(0)).unwrap()
    }
}

fn decoded(part: &str) -> Vec<u8> {
    let (head, body) = part.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no body in {part}"));
    let body = body.strip_suffix("\r\n").unwrap_or(body);
    if head.contains("Content-Transfer-Encoding: base64") {
        let joined: String = body.split_whitespace().collect();
        BASE64.decode(joined.as_bytes()).unwrap()
    } else if head.contains("Content-Transfer-Encoding: quoted-printable") {
        let mut pieces = body.replace("=\r\n", "").into_bytes().into_iter();
        let mut plain = Vec::new();
        while let Some(byte) = pieces.next() {
            let hex = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
            plain.push(if byte == b'=' {
                hex(pieces.next().unwrap()) * 16 + hex(pieces.next().unwrap())
            } else {
                byte
            });
        }
        plain
    } else {
        assert!(head.contains("Content-Transfer-Encoding: 7bit"), "{head}");
        body.as_bytes().to_vec()
    }
}

/// A mail server.
pub struct MailServer {
    pub port: u16,
    /// Its certificate, in PEM.
    pub certificate: String,
    pub temper: Arc<Mutex<Temper>>,
    letters: Arc<Mutex<Vec<Letter>>>,
    calls: Arc<Mutex<u32>>,
}

impl MailServer {
    pub fn start(protection: Protection) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            certificate: pem(cert.der()),
            temper: Arc::new(Mutex::new(Temper::Good)),
            letters: Arc::default(),
            calls: Arc::default(),
        };
        let (temper, letters, calls) =
            (Arc::clone(&server.temper), Arc::clone(&server.letters), Arc::clone(&server.calls));
        let tls = Arc::new(tls);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *calls.lock().unwrap() += 1;
                let (temper, letters, tls) = (*temper.lock().unwrap(), Arc::clone(&letters), Arc::clone(&tls));
                thread::spawn(move || attend(stream, temper, protection, &tls, &letters));
            }
        });
        server
    }

    pub fn be(&self, temper: Temper) {
        *self.temper.lock().unwrap() = temper;
    }

    /// The letters that came since this was asked last.
    pub fn letters(&self) -> Vec<Letter> {
        std::mem::take(&mut self.letters.lock().unwrap())
    }

    /// How often somebody connected so far.
    pub fn calls(&self) -> u32 {
        *self.calls.lock().unwrap()
    }
}

fn pem(der: &[u8]) -> String {
    let lines = BASE64.encode(der);
    let lines: Vec<&str> = (0..lines.len()).step_by(64).map(|at| &lines[at..lines.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Behaves as the temper says where that is not to serve; says whether it did.
fn misbehaves(stream: &mut TcpStream, temper: Temper, line: &[u8]) -> bool {
    match temper {
        Temper::Silent => {
            let _ = stream.read(&mut [0; 1]);
            thread::sleep(Duration::from_secs(3));
        }
        Temper::Floods => while stream.write_all(&line.repeat(1000)).is_ok() {},
        Temper::FloodsOneLine => while stream.write_all(&[b'2'; 16 * 1024]).is_ok() {},
        Temper::Drips => {
            while stream.write_all(b"2").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        }
        Temper::Good | Temper::Refuses(_) => return false,
    }
    true
}

fn attend(
    mut stream: TcpStream,
    temper: Temper,
    protection: Protection,
    tls: &Arc<ServerConfig>,
    letters: &Mutex<Vec<Letter>>,
) {
    if misbehaves(&mut stream, temper, b"220-hello\r\n") {
        return;
    }
    let encrypted = |stream| StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream);
    let _ = match protection {
        Protection::Tls => converse(&mut encrypted(stream), true, false, true, temper, letters),
        Protection::None => converse(&mut stream, true, false, false, temper, letters),
        Protection::StartTls => converse(&mut stream, true, true, false, temper, letters)
            .filter(|goes_on| *goes_on)
            .and_then(|_| converse(&mut encrypted(stream), false, false, true, temper, letters)),
    };
}

/// One dialogue; true where it goes on under TLS.
fn converse<S: Read + Write>(
    stream: &mut S,
    greet: bool,
    offers_tls: bool,
    protected: bool,
    temper: Temper,
    letters: &Mutex<Vec<Letter>>,
) -> Option<bool> {
    let mut reader = Lines { stream, unread: Vec::new() };
    if greet {
        reader.say("220 double ready")?;
    }
    let mut letter = Letter { protected, ..Letter::default() };
    loop {
        let line = reader.line()?;
        let upper = line.to_uppercase();
        if let Temper::Refuses(code) = temper
            && !upper.starts_with("EHLO")
        {
            reader.say(&format!("{code} the password hunter2 is wrong"))?;
            continue;
        }
        if upper.starts_with("EHLO") {
            let more = if offers_tls { "250-STARTTLS\r\n" } else { "" };
            reader.say(&format!("250-double\r\n{more}250 AUTH PLAIN"))?;
        } else if upper == "STARTTLS" {
            reader.say("220 go on")?;
            return Some(true);
        } else if let Some(login) = line.strip_prefix("AUTH PLAIN ") {
            let login = BASE64.decode(login.as_bytes()).ok()?;
            letter.login = Some(String::from_utf8(login).ok()?.replace('\0', " ").trim().to_owned());
            reader.say("235 welcome")?;
        } else if let Some(from) = line.strip_prefix("MAIL FROM:") {
            letter.from = from.to_owned();
            reader.say("250 ok")?;
        } else if let Some(to) = line.strip_prefix("RCPT TO:") {
            letter.to.push(to.to_owned());
            reader.say("250 ok")?;
        } else if upper == "DATA" {
            reader.say("354 go on")?;
            letter.text.clear();
            loop {
                match reader.line()?.as_str() {
                    "." => break,
                    line => {
                        letter.text.push_str(line.strip_prefix('.').unwrap_or(line));
                        letter.text.push_str("\r\n");
                    }
                }
            }
            letters.lock().unwrap().push(letter.clone());
            reader.say("250 taken")?;
        } else if upper == "QUIT" {
            reader.say("221 bye")?;
            return Some(false);
        } else {
            reader.say("500 what?")?;
        }
    }
}

struct Lines<'a, S> {
    stream: &'a mut S,
    unread: Vec<u8>,
}

impl<S: Read + Write> Lines<'_, S> {
    fn say(&mut self, line: &str) -> Option<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        self.stream.flush().ok()
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let mut more = [0; 4096];
            let read = self.stream.read(&mut more).ok().filter(|read| *read > 0)?;
            self.unread.extend_from_slice(&more[..read]);
        }
    }
}

/// What a receiver of webhooks got.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    pub signature: String,
    pub body: String,
}

/// A receiver of webhooks.
pub struct Receiver {
    pub port: u16,
    temper: Arc<Mutex<Temper>>,
    got: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            temper: Arc::new(Mutex::new(Temper::Good)),
            got: Arc::default(),
        };
        let (temper, got) = (Arc::clone(&server.temper), Arc::clone(&server.got));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (temper, got) = (*temper.lock().unwrap(), Arc::clone(&got));
                thread::spawn(move || receive(stream, temper, &got));
            }
        });
        server
    }

    pub fn be(&self, temper: Temper) {
        *self.temper.lock().unwrap() = temper;
    }

    pub fn got(&self) -> Vec<Posted> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

fn receive(mut stream: TcpStream, temper: Temper, got: &Mutex<Vec<Posted>>) -> Option<()> {
    if misbehaves(&mut stream, temper, b"HTTP/1.1 200 OK\r\nx: y\r\n") {
        return None;
    }
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut first, mut signature, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "mandatum-signature" => signature = value.to_owned(),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    got.lock().unwrap().push(Posted { path, signature, body: String::from_utf8(body).ok()? });
    let status = match temper {
        Temper::Refuses(code) => format!("{code} hunter2"),
        _ => "204 No Content".to_owned(),
    };
    let answer = format!("HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).ok()
}
