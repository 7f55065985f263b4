//! The member's side of the connection, against servers that lie.

use super::remote_world;
use mandatum::model::Digest;
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
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let pin = pin_by_hand(made.signing_key.public_key_raw(), made.cert.der());
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
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

#[test]
fn a_broker_that_stands_by_is_passed_over() {
    let (world, _server) = remote_world();
    let standby = Liar::saying(|_| http("503 Service Unavailable", "mandatum-standby: 1\r\n", "{\"failed\":\"no\"}"));
    world.go_remote(&[standby.url.clone(), "https://127.0.0.1:1".into()], Some(standby.pin));
    let away = world.as_member("Sasha", "status").ended(1);
    assert!(away.stderr.contains("stands by") && away.stderr.contains("cannot be reached"), "{}", away.stderr);
}
