//! The member's side of the connection, against servers that lie.

use super::remote_world;
use mandatum::model::Digest;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A server that says one thing to everybody, with a key of its own.
struct Liar {
    url: String,
    pin: Digest,
    /// Requests that came, as they came.
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Liar {
    fn saying(answer: impl Fn(usize) -> Vec<u8> + Send + 'static) -> Self {
        let made = rcgen::generate_simple_self_signed(names()).unwrap();
        Self::with(&made.signing_key, &made.cert, answer)
    }

    /// With this certificate.
    fn with(key: &KeyPair, certificate: &Certificate, answer: impl Fn(usize) -> Vec<u8> + Send + 'static) -> Self {
        let pin = pin_by_hand(key.public_key_raw(), certificate.der());
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (heard, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (kept, counted, config) = (Arc::clone(&heard), Arc::clone(&connections), Arc::new(config));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                let Some(request) = request_on(&mut stream) else { continue };
                let number = {
                    let mut heard = kept.lock().unwrap();
                    heard.push(request);
                    heard.len()
                };
                let _ = stream.write_all(&answer(number)).and_then(|()| stream.flush());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { url, pin, heard, connections }
    }

    fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

fn names() -> Vec<String> {
    ["127.0.0.1", "localhost"].map(str::to_owned).to_vec()
}

/// One whole request, by its length; none where the other side goes.
fn request_on(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<String> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).unwrap().to_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head)
}

/// SHA-256 over the key's structure, put together by hand: RFC 5480 for P-256, around the raw point.
fn pin_by_hand(point: &[u8], certificate: &[u8]) -> Digest {
    let mut spki = vec![
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    spki.extend_from_slice(point);
    let pin = mandatum::agent::hash(&spki);
    assert_eq!(mandatum::crypto::pin_of(certificate), Some(pin));
    pin
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn nothing_is_sent_to_another_key() {
    let liar = Liar::saying(|_| http("200 OK", "", "{}"));
    let other = Liar::saying(|_| http("200 OK", "", "{}"));
    // Not even the next address is asked: somebody stands in between, and the member must know.
    let (world, _server) = remote_world();
    world.go_remote(&[liar.url.clone(), other.url.clone()], Some(other.pin));
    let refused = world.as_member("Sasha", "status").ended(1);
    assert!(refused.stderr.contains("another TLS key"), "{}", refused.stderr);
    assert_eq!((liar.heard(), other.heard()), (0, 0));
    assert_eq!(liar.connections.load(Ordering::SeqCst), 1);
    // The other shows the key, and is asked.
    world.go_remote(std::slice::from_ref(&other.url), Some(other.pin));
    world.as_member("Sasha", "status").ended(1);
    assert_eq!(other.heard(), 1);
}

/// Whoever stands in between with a certificate that this machine trusts, for the right name, has another key: the real
/// program sends nothing, whatever authorities it is told of (F1).
#[test]
fn a_certificate_that_is_trusted_is_no_pin() {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let issued = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = CertificateParams::new(names()).unwrap().signed_by(&key, &issuer).unwrap();
    let (world, server) = remote_world();
    let liar = Liar::with(&key, &certificate, |_| http("200 OK", "", "{}"));
    let trusted = world.file("authority.pem", &issued.pem());
    world.file("code", "000000");
    let asked = |pin| {
        world.go_remote(std::slice::from_ref(&liar.url), Some(pin));
        let mut command = world.command("Sasha", "unlock --for 2h");
        let output = command.env("SSL_CERT_FILE", &trusted).env("SSL_CERT_DIR", world.dir.path()).output().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = asked(server.pin);
    assert!(said.contains("another TLS key"), "{said}");
    assert_eq!((liar.heard(), liar.connections.load(Ordering::SeqCst)), (0, 1));
    // By its own key it is heard, and talks nonsense.
    let said = asked(liar.pin);
    assert!(said.contains("does not speak as a broker") && liar.heard() > 0, "{said}");
}

#[test]
fn an_answer_that_is_none_is_not_quoted_and_not_followed() {
    let elsewhere = Liar::saying(|_| http("200 OK", "", "{}"));
    let (world, _server) = remote_world();
    let there = format!("location: {}/v1/hello\r\n", elsewhere.url);
    for answer in [
        http("307 Temporary Redirect", &there, "SECRETWORD"),
        http("302 Found", &there, "SECRETWORD"),
        http("200 OK", "", "SECRETWORD"),
        http("200 OK", "", "{\"vault\":\"SECRETWORD\"}"),
        http("403 Forbidden", "", "<html>SECRETWORD</html>"),
        http("502 Bad Gateway", "", ""),
        http("204 No Content", "", ""),
    ] {
        let said = String::from_utf8(answer.clone()).unwrap();
        let liar = Liar::saying(move |_| answer.clone());
        world.go_remote(std::slice::from_ref(&liar.url), Some(liar.pin));
        let refused = world.as_member("Sasha", "status").ended(1);
        assert!(refused.stderr.contains("does not speak as a broker"), "{said}: {}", refused.stderr);
        assert!(!refused.stderr.contains("SECRETWORD"), "{said}: {}", refused.stderr);
        assert_eq!(liar.heard(), 1, "{said}");
    }
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn a_refusal_comes_through_as_it_is() {
    let refusal = "{\"busy\":{\"retry_ms\":2500}}";
    let liar = Liar::saying(|_| http("429 Too Many Requests", "retry-after: 3\r\n", refusal));
    let (world, _server) = remote_world();
    world.go_remote(std::slice::from_ref(&liar.url), Some(liar.pin));
    let refused = world.as_member("Sasha", "status").ended(1);
    assert!(refused.stderr.contains("try again in 3 s"), "{}", refused.stderr);
}

/// A request whose outcome is unknown is not repeated, here or elsewhere; hello does nothing and may be.
#[test]
fn a_lost_answer_is_said_and_nothing_is_sent_twice() {
    let (world, server) = remote_world();
    let hello = serde_json::to_string(&world.gate().hello().unwrap()).unwrap();
    let liar = Liar::saying(move |number| match number {
        1 => http("200 OK", "connection: close\r\n", &hello),
        _ => Vec::new(),
    });
    world.go_remote(&[liar.url.clone(), server.url()], Some(liar.pin));
    let lost = world.as_member("Sasha", "status").ended(1);
    assert!(lost.stderr.contains("answer was lost"), "{}", lost.stderr);
    let heard = liar.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].starts_with("post /v1/hello ") && heard[1].starts_with("post /v1/status "), "{heard:?}");

    let silent = Liar::saying(|_| Vec::new());
    world.go_remote(std::slice::from_ref(&silent.url), Some(silent.pin));
    world.as_member("Sasha", "status").ended(1);
    assert_eq!(silent.heard(), 2, "hello is asked once more");
}

/// An answer that is cut off below the length it named, or comes twice, is none: nothing is printed, and the request is
/// sent once (F4).
#[test]
fn a_cut_or_doubled_answer_is_not_used_and_nothing_is_sent_twice() {
    let (world, _server) = remote_world();
    let hello = serde_json::to_string(&world.gate().hello().unwrap()).unwrap();
    let whole = world.as_member("Sasha", "status --json").done().stdout;
    let cut = |body: &str, by: usize| {
        let mut answer = http("200 OK", "connection: close\r\n", body);
        answer.truncate(answer.len() - by);
        answer
    };
    let twice = |body: &str| http("200 OK", "connection: close\r\n", &body.repeat(2));
    let doubled = |body: &str| http("200 OK", "", body).repeat(2);
    let cases = [
        ("hello cut by a byte", cut(&hello, 1), Vec::new()),
        ("hello cut in half", cut(&hello, hello.len() / 2), Vec::new()),
        ("hello twice in one body", twice(&hello), Vec::new()),
        ("hello twice, one after the other", doubled(&hello), Vec::new()),
        ("the answer cut by a byte", cut(&hello, 0), cut(&whole, 1)),
        ("the answer cut to nothing", cut(&hello, 0), cut(&whole, whole.len())),
        ("the answer twice in one body", cut(&hello, 0), twice(&whole)),
    ];
    for (what, hello, answer) in cases {
        // Hello may be asked anew; what comes after it is the request's.
        let is_whole = what.starts_with("the answer");
        let liar = Liar::saying(move |number| if number == 1 || !is_whole { hello.clone() } else { answer.clone() });
        world.go_remote(std::slice::from_ref(&liar.url), Some(liar.pin));
        let refused = world.as_member("Sasha", "status --json");
        let heard = liar.heard.lock().unwrap().clone();
        let sent = heard.iter().filter(|request| request.starts_with("post /v1/status ")).count();
        // The second hello on one connection is read as the next answer. What came whole and is no answer ends with 6.
        let (code, requests) = match what {
            "hello twice, one after the other" | "the answer twice in one body" => (6, 1),
            _ => (1, usize::from(is_whole)),
        };
        assert_eq!((refused.code, refused.stdout.as_str()), (code, ""), "{what}: {}", refused.stderr);
        assert_eq!(sent, requests, "{what}: {heard:?}");
    }
}

#[test]
fn a_broker_that_stands_by_is_passed_over() {
    let (world, _server) = remote_world();
    let standby = Liar::saying(|_| http("503 Service Unavailable", "mandatum-standby: 1\r\n", "{\"failed\":\"no\"}"));
    world.go_remote(&[standby.url.clone(), "https://127.0.0.1:1".into()], Some(standby.pin));
    let away = world.as_member("Sasha", "status").ended(1);
    assert!(away.stderr.contains("stands by") && away.stderr.contains("cannot be reached"), "{}", away.stderr);
}
