//! Revoking a token at a real authorization server, and at servers that lie, hang, redirect and flood.

mod server;
mod stub;

use mandatum as product;

use product::agent::revocation::{
    AddressError, Client, Code, Fault, Hint, Order, Outcome, Point, Stage, Why, Wire, revoke_token,
};
use product::crypto::Secret;
use product::model::{Instant, RevocationPoint, Text};
use server::{CLIENT_SECRET, Server};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stub::{Answer, Request, Stub, say};

/// Every part of it of four characters is unlike anything else.
const TOKEN: &str = "s3crs3crs3crs3crs3crs3crs3crs3cr";
const SECRET: &str = "pa55pa55pa55pa55";

fn point(wire: &Wire, endpoint: &str, probe: &str) -> Result<Point, AddressError> {
    let text = |text| Text::parse(text).unwrap();
    let record = RevocationPoint { endpoint: text(endpoint), probe: text(probe), client: text("agency") };
    Point::read(&record, wire)
}

/// One revocation, with the waits it asked for.
fn revoke(wire: &Wire, point: &Point, token: &str, client: Client<'_>) -> (Outcome, Vec<Duration>) {
    let (now, waits) = (Cell::new(0), RefCell::new(Vec::new()));
    let clock = || Instant(now.replace(now.get() + 1000));
    let order = Order { point, token: &Secret::copy_of(token.as_bytes()), hint: Some(Hint::AccessToken), client };
    let outcome = revoke_token(wire, &order, &clock, &|wait| waits.borrow_mut().push(wait));
    for text in [outcome.english(), outcome.russian(), format!("{outcome:?}")] {
        assert!(!text.contains(token) && !text.contains(SECRET) && !text.contains(CLIENT_SECRET), "{text}");
    }
    (outcome, waits.into_inner())
}

fn failed(stage: Stage, host: &str, fault: Fault) -> Outcome {
    Outcome::Failed { why: Why { stage, host: host.into(), fault } }
}

fn not_proven(stage: Stage, host: &str, fault: Fault) -> Outcome {
    Outcome::NotProven { why: Why { stage, host: host.into(), fault } }
}

#[test]
fn at_a_real_authorization_server() {
    let server = match Server::start() {
        Ok(server) => server,
        Err(missing) => return skipped(&missing),
    };
    let wire = Wire::danger_allow_loopback_http();
    let host = format!("127.0.0.1:{}", server.port);
    let revocation = server.url("/token/revocation");
    let introspection = point(&wire, &revocation, &server.url("/token/introspection")).unwrap();
    let resource = point(&wire, &revocation, &server.url("/api/leads")).unwrap();
    let blind = point(&wire, &revocation, "").unwrap();
    let (secret, wrong) = (Secret::copy_of(CLIENT_SECRET.as_bytes()), Secret::copy_of(b"opensesame"));
    let agency = Client::Basic("agency", &secret);
    let dead = Outcome::Dead { host: host.clone(), alive_at: Instant(0), checked_at: Instant(1000) };
    let gone = Outcome::WasDeadBefore { host: host.clone(), checked_at: Instant(0), refused: None };

    // Each way to look, each way to name the client.
    for (token, point, client) in [
        (server.issue(), &introspection, agency),
        (server.issue(), &resource, agency),
        (server.issue_to("ag:ency/form"), &introspection, Client::Post("ag:ency/form", &secret)),
        (server.issue_to("public"), &introspection, Client::Public("public")),
    ] {
        assert!(server.lets_in(&token));
        assert_eq!(revoke(&wire, point, &token, client).0, dead);
        assert!(!server.lets_in(&token));
        // Once more: the server answers 200 again, and that proves nothing.
        assert_eq!(revoke(&wire, point, &token, client).0, gone);
    }

    // A wrong client secret: nothing is revoked, whichever way it is looked at.
    let token = server.issue();
    for point in [&introspection, &resource] {
        let outcome = revoke(&wire, point, &token, Client::Basic("agency", &wrong)).0;
        assert_eq!(outcome, failed(Stage::Revocation, &host, Fault::ClientRefused));
        assert!(server.lets_in(&token));
    }

    // Another client's token: RFC 7009, 2.1 has the server refuse.
    let outcome = revoke(&wire, &resource, &token, Client::Post("ag:ency/form", &secret)).0;
    let refused = Fault::Refused { status: 400, code: Some(Code::InvalidRequest) };
    assert_eq!(outcome, failed(Stage::Revocation, &host, refused));
    assert!(server.lets_in(&token));

    // Without a probe it is dead and nobody can say so.
    assert_eq!(revoke(&wire, &blind, &token, agency).0, not_proven(Stage::Before, &host, Fault::NoProbe));
    assert!(!server.lets_in(&token));
}

/// Straight to standard error: what `eprintln!` says in a test that passes, nobody sees.
fn skipped(missing: &str) {
    let line = format!("\n*** SKIPPED: revocation at a real OAuth server: {missing} ***\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    assert!(std::env::var_os("MANDATUM_TEST_NO_SKIP").is_none(), "nothing may be skipped: {missing}");
}

/// A platform with both probes. `revoke` answers a revocation and says whether the token dies by it.
fn platform(revoke: impl Fn(&Request) -> (bool, Answer) + Send + Sync + 'static) -> Stub {
    let alive = AtomicBool::new(true);
    Stub::start(move |request| match request.path() {
        "/introspect" => say("200 OK", "", &format!("{{\"active\":{}}}", alive.load(Ordering::SeqCst))),
        "/leads" if alive.load(Ordering::SeqCst) => say("200 OK", "", "[]"),
        "/leads" => say("401 Unauthorized", "", ""),
        _ => {
            let (dies, answer) = revoke(request);
            alive.fetch_and(!dies, Ordering::SeqCst);
            answer
        }
    })
}

/// Revokes at a platform, looking by introspection.
fn revoke_at(stub: &Stub) -> (Outcome, Vec<Duration>, String) {
    let wire = Wire::danger_allow_loopback_http().time_limit(Duration::from_secs(1));
    let point = point(&wire, &stub.url("/revoke"), &stub.url("/introspect")).unwrap();
    let (outcome, waits) = revoke(&wire, &point, TOKEN, Client::Public("agency"));
    (outcome, waits, format!("127.0.0.1:{}", stub.port))
}

#[test]
fn two_hundred_proves_nothing() {
    let liar = platform(|_| (false, say("200 OK", "", "")));
    let (outcome, waits, host) = revoke_at(&liar);
    assert_eq!(outcome, failed(Stage::After, &host, Fault::StillAlive));
    assert_eq!(waits, [Duration::from_secs(2)], "a slow cache gets a second look");
}

#[test]
fn a_cache_that_is_slow_gets_a_second_look() {
    let looks = AtomicUsize::new(0);
    let slow = Stub::start(move |request| match request.path() {
        "/introspect" if looks.fetch_add(1, Ordering::SeqCst) < 2 => say("200 OK", "", "{\"active\":true}"),
        "/introspect" => say("200 OK", "", "{\"active\":false}"),
        _ => say("200 OK", "", ""),
    });
    assert!(matches!(revoke_at(&slow).0, Outcome::Dead { .. }));
}

#[test]
fn each_refusal_has_its_own_outcome() {
    let json = "content-type: application/json\r\n";
    let refused = |status, code| Fault::Refused { status, code };
    for (status, headers, body, fault) in [
        ("400 Bad Request", json, "{\"error\":\"unsupported_token_type\"}", Fault::UnsupportedTokenType),
        ("503 Busy", json, "{\"error\":\"unsupported_token_type\"}", Fault::Busy { seconds: None }),
        ("400 Bad Request", json, "{\"error\":\"invalid_grant\"}", refused(400, Some(Code::InvalidGrant))),
        ("400 Bad Request", json, "{\"error\":\"s3crs3cr is not known\"}", refused(400, None)),
        ("400 Bad Request", "", "<html>no</html>", refused(400, None)),
        ("400 Bad Request", json, "{\"error\":\"invalid_client\"}", Fault::ClientRefused),
        ("401 Unauthorized", "", "", Fault::ClientRefused),
        ("200 OK", json, "{\"error\":{\"error_code\":5}}", refused(200, None)),
        ("200 OK", json, "{\"error\":\"unsupported_token_type\"}", Fault::UnsupportedTokenType),
        ("500 Oh", "", "", Fault::ServerFailed { status: 500 }),
        ("502 Oh", "", "<html>", Fault::ServerFailed { status: 502 }),
        ("503 Busy", "retry-after: 3600\r\n", "", Fault::Busy { seconds: Some(3600) }),
        ("404 Not Found", "", "", refused(404, None)),
        ("307 Go", "location: /introspect\r\n", "", Fault::Redirected { status: 307 }),
        ("302 Go", "location: https://example.org/\r\n", "", Fault::Redirected { status: 302 }),
    ] {
        let stub = platform(move |_| (false, say(status, headers, body)));
        let (outcome, waits, host) = revoke_at(&stub);
        assert_eq!(outcome, failed(Stage::Revocation, &host, fault), "{status} {body}");
        assert!(waits.is_empty() && outcome.leaves_a_task());
        let paths: Vec<String> = stub.seen().iter().map(|request| request.path().to_owned()).collect();
        assert_eq!(paths, ["/introspect", "/revoke", "/introspect"], "no redirect is followed, nothing is retried");
    }
}

#[test]
fn what_is_no_answer_is_a_failure_in_time() {
    let started = std::time::Instant::now();
    let flood = "x".repeat(64 * 1024 + 1);
    let head = format!("x-filler: {}\r\n", "x".repeat(20 * 1024));
    let cases: Vec<(Box<dyn Fn() -> Answer + Send + Sync>, Fault)> = vec![
        (Box::new(|| Answer::Hang), Fault::TimedOut),
        (Box::new(|| Answer::Drip), Fault::TimedOut),
        (Box::new(move || say("200 OK", "", &flood)), Fault::TooLong),
        (Box::new(move || say("200 OK", &head, "")), Fault::TooLong),
        (Box::new(|| Answer::Say(b"SSH-2.0-x\r\n\r\n".to_vec())), Fault::NotHttp),
        (Box::new(|| Answer::Say(Vec::new())), Fault::Unreachable),
    ];
    for (answer, fault) in cases {
        let stub = platform(move |_| (false, answer()));
        let (outcome, _, host) = revoke_at(&stub);
        assert_eq!(outcome, failed(Stage::Revocation, &host, fault));
    }
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[test]
fn an_answer_of_exactly_the_limit_is_read() {
    let stub = platform(|_| (false, say("200 OK", "", &" ".repeat(64 * 1024))));
    let (outcome, _, host) = revoke_at(&stub);
    assert_eq!(outcome, failed(Stage::After, &host, Fault::StillAlive), "the answer itself was taken");
}

#[test]
fn a_token_that_died_of_an_answer_that_never_came_is_dead() {
    let stub = platform(|_| (true, Answer::Hang));
    assert!(matches!(revoke_at(&stub).0, Outcome::Dead { .. }));
}

#[test]
fn a_busy_server_is_waited_for_once() {
    let calls = AtomicUsize::new(0);
    let once = platform(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => (false, say("503 Busy", "retry-after: 2\r\n", "")),
        _ => (true, say("200 OK", "", "")),
    });
    let (outcome, waits, _) = revoke_at(&once);
    assert!(matches!(outcome, Outcome::Dead { .. }));
    assert_eq!(waits, [Duration::from_secs(2)]);

    let always = platform(|_| (false, say("503 Busy", "retry-after: 2\r\n", "")));
    let (outcome, waits, host) = revoke_at(&always);
    assert_eq!(outcome, failed(Stage::Revocation, &host, Fault::Busy { seconds: None }));
    assert_eq!(waits.len(), 1);
}

#[test]
fn a_probe_that_cannot_tell_proves_nothing_and_stops_nothing() {
    for (status, headers, body, fault) in [
        ("200 OK", "", "<html>", Fault::NotJson),
        ("200 OK", "", "{\"active\":\"false\"}", Fault::NoActive),
        ("200 OK", "", "[]", Fault::NoActive),
        ("401 Unauthorized", "", "", Fault::ClientRefused),
        ("403 Forbidden", "", "{\"active\":false}", Fault::CannotTell { status: 403 }),
        ("302 Go", "location: /leads\r\n", "", Fault::Redirected { status: 302 }),
        ("500 Oh", "", "", Fault::ServerFailed { status: 500 }),
    ] {
        let stub = Stub::start(move |request| match request.path() {
            "/introspect" => say(status, headers, body),
            _ => say("200 OK", "", ""),
        });
        let (outcome, _, host) = revoke_at(&stub);
        assert_eq!(outcome, not_proven(Stage::Before, &host, fault), "{status} {body}");
        assert!(stub.seen().iter().any(|request| request.path() == "/revoke"), "access is taken away all the same");
    }
}

#[test]
fn a_probe_that_falls_silent_afterwards_proves_nothing() {
    let looks = AtomicUsize::new(0);
    let stub = Stub::start(move |request| match request.path() {
        "/introspect" if looks.fetch_add(1, Ordering::SeqCst) == 0 => say("200 OK", "", "{\"active\":true}"),
        "/introspect" => say("500 Oh", "", ""),
        _ => say("200 OK", "", ""),
    });
    let (outcome, _, host) = revoke_at(&stub);
    assert_eq!(outcome, not_proven(Stage::After, &host, Fault::ServerFailed { status: 500 }));
}

#[test]
fn a_resource_that_refuses_everyone_proves_nothing() {
    let stub = Stub::start(|request| match request.path() {
        "/leads" => say("401 Unauthorized", "www-authenticate: Bearer realm=\"api\"\r\n", ""),
        _ => say("200 OK", "", ""),
    });
    let wire = Wire::danger_allow_loopback_http();
    let point = point(&wire, &stub.url("/revoke"), &stub.url("/leads")).unwrap();
    let outcome = revoke(&wire, &point, TOKEN, Client::Public("")).0;
    assert_eq!(outcome, not_proven(Stage::Before, &format!("127.0.0.1:{}", stub.port), Fault::Refuses));
}

#[test]
fn what_is_sent() {
    let secret = Secret::copy_of(SECRET.as_bytes());
    for (client, form, basic) in [
        (Client::Public(""), "", None),
        (Client::Public("ag ency"), "&client_id=ag+ency", None),
        (Client::Post("agency", &secret), "&client_id=agency&client_secret=pa55pa55pa55pa55", None),
        (Client::Basic("agency", &secret), "", Some("Basic YWdlbmN5OnBhNTVwYTU1cGE1NXBhNTU=")),
    ] {
        let stub = platform(|_| (true, say("200 OK", "set-cookie: a=b\r\n", "")));
        let wire = Wire::danger_allow_loopback_http();
        let point = point(&wire, &stub.url("/revoke"), &stub.url("/leads")).unwrap();
        assert!(matches!(revoke(&wire, &point, TOKEN, client).0, Outcome::Dead { .. }));
        let seen = stub.seen();
        let heads: Vec<_> = seen.iter().map(|request| request.head.lines().next().unwrap()).collect();
        assert_eq!(heads, ["GET /leads HTTP/1.1", "POST /revoke HTTP/1.1", "GET /leads HTTP/1.1"]);
        assert_eq!(seen[1].body, format!("token={TOKEN}&token_type_hint=access_token{form}"));
        assert_eq!(seen[1].header("authorization"), basic);
        assert_eq!(seen[1].header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(seen[2].header("authorization"), Some(&*format!("Bearer {TOKEN}")));
        for request in &seen {
            assert_eq!(request.header("user-agent"), Some("mandatum"));
            assert_eq!((request.header("cookie"), request.header("accept-encoding")), (None, None));
        }
    }
}

#[test]
fn a_record_names_its_client() {
    let secret = Secret::copy_of(SECRET.as_bytes());
    let text = |text| Text::parse(text).unwrap();
    let record = RevocationPoint { endpoint: text("x"), probe: text("x"), client: text("agency") };
    assert!(matches!(Client::of(&record, None), Client::Public("agency")));
    assert!(matches!(Client::of(&record, Some(&secret)), Client::Basic("agency", found) if *found == secret));
}

#[test]
fn plain_http_and_a_secret_for_another_host_are_refused() {
    let (safe, loose) = (Wire::new(), Wire::danger_allow_loopback_http());
    let stub = platform(|_| (true, say("200 OK", "", "")));
    let here = point(&safe, &stub.url("/revoke"), "");
    assert_eq!(here.err(), Some(AddressError::NotHttps("endpoint")));
    let away = point(&loose, "http://example.org/revoke", "");
    assert_eq!(away.err(), Some(AddressError::NotHttps("endpoint")));
    let probe = point(&safe, "https://example.org/revoke", "http://example.org/introspect");
    assert_eq!(probe.err(), Some(AddressError::NotHttps("probe")));
    let other = point(&safe, "https://example.org/revoke", "https://example.com/oauth2/introspect/");
    assert!(matches!(other, Err(AddressError::OtherHost { .. })));

    // An address that a looser wire let through is stopped at the call.
    let slipped = point(&loose, &stub.url("/revoke"), "").unwrap();
    let outcome = revoke(&safe, &slipped, TOKEN, Client::Public("")).0;
    assert_eq!(outcome, failed(Stage::Revocation, &format!("127.0.0.1:{}", stub.port), Fault::PlainHttp));
    assert!(stub.seen().is_empty());
}

#[test]
fn a_certificate_must_be_trusted_and_fit_the_name() {
    let (stub, root) = behind_tls();
    let wire = Wire::new().time_limit(Duration::from_secs(5));
    let of = |wire: &Wire, host: &str| {
        let url = |path| format!("https://{host}:{}{path}", stub.port);
        let point = point(wire, &url("/revoke"), &url("/introspect")).unwrap();
        revoke(wire, &point, TOKEN, Client::Public("agency")).0
    };
    let untrusted = |host: &str| failed(Stage::Revocation, &format!("{host}:{}", stub.port), Fault::Untrusted);

    assert_eq!(of(&wire, "localhost"), untrusted("localhost"), "nobody has signed it");
    let trusting = wire.trusting(&root);
    assert_eq!(of(&trusting, "127.0.0.1"), untrusted("127.0.0.1"), "it is another's");
    assert!(stub.seen().is_empty(), "nothing was sent before the certificate was accepted");
    assert!(matches!(of(&trusting, "localhost"), Outcome::Dead { .. }), "it is this one's");
}

/// A platform with a certificate for `localhost` that signs itself, and the certificate.
fn behind_tls() -> (Stub, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = made.cert.der().to_vec();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let alive = AtomicBool::new(true);
    let stub = Stub::behind(
        move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).ok()?;
            Some(rustls::StreamOwned::new(connection, stream))
        },
        move |request| match request.path() {
            "/introspect" => say("200 OK", "", &format!("{{\"active\":{}}}", alive.load(Ordering::SeqCst))),
            _ => {
                alive.store(false, Ordering::SeqCst);
                say("200 OK", "", "")
            }
        },
    );
    (stub, root)
}

#[test]
fn no_host_and_no_listener_are_named() {
    let wire = Wire::danger_allow_loopback_http().time_limit(Duration::from_secs(2));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let point = point(&wire, &format!("http://127.0.0.1:{port}/revoke"), "").unwrap();
    let outcome = revoke(&wire, &point, TOKEN, Client::Public("")).0;
    assert_eq!(outcome, failed(Stage::Revocation, &format!("127.0.0.1:{port}"), Fault::Unreachable));
}

#[test]
fn a_proxy_is_taken_from_the_environment_only_when_asked() {
    const INSIDE: &str = "REVOCATION_BEHIND_A_PROXY";
    if std::env::var_os(INSIDE).is_none() {
        let me = std::env::current_exe().unwrap();
        let run = std::process::Command::new(me)
            .args(["--exact", "oauth::a_proxy_is_taken_from_the_environment_only_when_asked"])
            .envs([(INSIDE, "1"), ("ALL_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let stub = platform(|_| (true, say("200 OK", "", "")));
    assert!(matches!(revoke_at(&stub).0, Outcome::Dead { .. }));
    let wire = Wire::danger_allow_loopback_http().through_the_environments_proxy();
    let point = point(&wire, &stub.url("/revoke"), "").unwrap();
    let outcome = revoke(&wire, &point, TOKEN, Client::Public("")).0;
    assert_eq!(outcome, failed(Stage::Revocation, &format!("127.0.0.1:{}", stub.port), Fault::Unreachable));
}

/// Keeps every line that any crate logs in this process.
struct Listener(Mutex<Vec<String>>);

impl log::Log for Listener {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(format!("{}: {}", record.target(), record.args()));
    }
    fn flush(&self) {}
}

static LISTENER: Listener = Listener(Mutex::new(Vec::new()));

#[test]
fn no_secret_is_logged() {
    log::set_logger(&LISTENER).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let stub = platform(|_| (true, say("200 OK", "", "{\"echo\":\"s3crs3cr\"}")));
    let wire = Wire::danger_allow_loopback_http();
    let secret = Secret::copy_of(SECRET.as_bytes());
    for client in [Client::Post("agency", &secret), Client::Basic("agency", &secret)] {
        let point = point(&wire, &stub.url("/revoke?key=s3crs3cr"), &stub.url("/leads")).unwrap();
        let _ = revoke(&wire, &point, TOKEN, client);
    }
    let lines = LISTENER.0.lock().unwrap();
    assert!(lines.iter().any(|line| line.starts_with("ureq")), "the client logs, and it was listened to");
    for line in lines.iter() {
        assert!(!line.contains("s3cr") && !line.contains("pa55") && !line.contains("Basic Y"), "{line}");
    }
}
