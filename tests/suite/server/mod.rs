//! The broker over connections: real servers, real sockets, real TLS; and what must not come through them.

mod account;
mod client;
pub mod http;
mod pinned;
pub mod standby;

use crate::support::World;
use mandatum::api::ServeOptions;
use mandatum::host::serve_until;
use mandatum::model::Digest;
use mandatum::server::{Limits, Log};
use serde_json::Value;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A server on its own thread, for one world.
struct Server {
    pub https: String,
    pub pin: Digest,
    log: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(world: &World) -> Self {
        Self::start_with(world, Limits::default(), ServeOptions::default())
    }

    fn start_with(world: &World, limits: Limits, options: ServeOptions) -> Self {
        let (host, places) = (world.host(), world.places());
        let (stop, stopped) = oneshot::channel();
        let (say, hear) = mpsc::channel();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let say = Mutex::new(say);
        let log: Log = Arc::new(move |line: &str| {
            kept.lock().unwrap().push(line.to_owned());
            let _ = say.lock().unwrap().send(line.to_owned());
        });
        let options =
            ServeOptions { listen: Some(options.listen.unwrap_or("127.0.0.1:0".parse().unwrap())), ..options };
        let thread = std::thread::spawn(move || {
            let stop = || Ok(async move { drop(stopped.await) });
            serve_until(&host, &places, options, limits, &log, stop).unwrap();
        });
        let begun = loop {
            let said: Value = serde_json::from_str(&hear.recv().expect("the server did not begin")).unwrap();
            if said["event"] == "serving" {
                break said;
            }
        };
        Self {
            https: begun["https"].as_str().unwrap().to_owned(),
            pin: serde_json::from_value(begun["pin"].clone()).unwrap(),
            log: lines,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("https://{}", self.https)
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server failed");
    }
}

/// A world whose members work over HTTPS.
fn remote_world() -> (World, Server) {
    let world = World::with_mandate();
    let server = Server::start(&world);
    world.go_remote(&[server.url()], Some(server.pin));
    for member in ["Olga", "Lena", "Sasha"] {
        world.unlock(member);
    }
    (world, server)
}

#[test]
fn members_elsewhere_work_as_at_the_keyboard() {
    let (world, server) = remote_world();
    let secret = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    assert_eq!(secret.trim_end().len(), 24);
    world.as_member("Sasha", "code Romashka/CRM --json").done();
    world.as_member("Sasha", "fetch Romashka/Bot --json").ended(4);
    world.as_member("Sasha", "mandate end Romashka --yes --reason no").denied("ROLE_FORBIDS");
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply").done();
    world.as_member("Sasha", "fetch Romashka/Bot --purpose answers --json").done();
    world.as_member("Lena", "revoke Sasha Romashka/Bot --reason done").done();
    world.as_member("Sasha", "fetch Romashka/Bot --purpose answers --json").denied("NOT_GRANTED");
    world.as_member("Olga", "verify").done();
    // Over loopback there is no other machine, and no record says so.
    let log = world.as_member("Lena", "log Romashka --json").done().json();
    let lines = log["lines"].as_array().or(log.as_array()).unwrap().clone();
    let last = &lines[lines.len() - 1];
    assert_eq!(last["assurance"], "account", "{last}");
    // The log knows what was asked, and nothing about whom.
    let said = server.log();
    assert!(said.contains("\"verb\":\"fetch\"") && said.contains("\"outcome\":\"denied\""), "{said}");
    for name in ["Romashka", "Sasha", "CRM"] {
        assert!(!said.contains(name), "{said}");
    }
}

#[test]
fn what_needs_the_vaults_files_says_so_in_a_profile() {
    let (world, server) = remote_world();
    for line in [
        "doctor",
        "member add Petja --role specialist",
        "serve --listen 127.0.0.1:0",
        "restart --kit kit",
        "restore backup --kit kit",
        "init --owner Petja --kit kit2",
        "backup copy",
    ] {
        let refused = if line.starts_with("rest") {
            world.as_member("Olga", &line.replace("--kit kit", &format!("--kit {}", world.path("kit").display())))
        } else {
            world.as_member("Olga", line)
        };
        assert!(refused.stderr.contains("profile of a broker elsewhere"), "{line}: {}", refused.stderr);
        assert_eq!(refused.code, 2, "{line}");
    }
    drop(server);
}

#[test]
fn a_broker_may_be_named_for_one_command_but_its_key_may_not() {
    let (world, server) = remote_world();
    let url = server.url();
    world.go_remote(&["https://127.0.0.1:1".to_owned()], Some(server.pin));
    let away = world.as_member("Sasha", "status").ended(1);
    assert!(away.stderr.contains("no broker answers"), "{}", away.stderr);
    world.as_member("Sasha", &format!("status --broker {url}")).done();
    world.go_remote(&["https://127.0.0.1:1".to_owned()], Some(Digest([7; 32])));
    let other = world.as_member("Sasha", &format!("status --broker {url}")).ended(1);
    assert!(other.stderr.contains("another TLS key"), "{}", other.stderr);
    world.go_remote(&["https://127.0.0.1:1".to_owned()], None);
    let unpinned = world.as_member("Sasha", &format!("status --broker {url}")).ended(1);
    assert!(unpinned.stderr.contains("pins no TLS key"), "{}", unpinned.stderr);
    for plain in [url.replace("https", "http"), "https://a:b@127.0.0.1".into(), format!("{url}/v2"), "unix:rel".into()]
    {
        let refused = world.as_member("Sasha", &format!("status --broker {plain}")).ended(1);
        assert!(refused.stderr.contains("write "), "{}", refused.stderr);
    }
}

#[test]
fn two_servers_of_one_vault_are_tried_in_order() {
    let (world, first) = remote_world();
    let second = Server::start(&world);
    world.go_remote(&[first.url(), second.url()], Some(first.pin));
    world.as_member("Sasha", "fetch Romashka/CRM --json").done();
    assert!(!second.log().contains("\"verb\":\"fetch\""), "{}", second.log());
    drop(first);
    // It stood by, and takes its turn within a moment.
    let begun = std::time::Instant::now();
    while world.as_member("Sasha", "fetch Romashka/CRM --json").code != 0 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{}", second.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(second.log().contains("\"verb\":\"fetch\""), "{}", second.log());
}

#[test]
fn the_key_is_made_once_and_kept_private() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let key = world.path("state").join("tls.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let first = Server::start(&world).pin;
    assert_eq!(Server::start(&world).pin, first);
    // One half is never made up for: every member would be shut out.
    std::fs::remove_file(&key).unwrap();
    let options = || ServeOptions { listen: Some("127.0.0.1:0".parse().unwrap()), ..ServeOptions::default() };
    let begin = |options: ServeOptions| {
        let log: Log = Arc::new(|_: &str| {});
        let stop = || Ok(std::future::ready(()));
        serve_until(&world.host(), &world.places(), options, Limits::default(), &log, stop)
    };
    let refused = begin(options()).unwrap_err().to_string();
    assert!(refused.contains("tls.key is missing"), "{refused}");
    std::fs::remove_file(world.path("state").join("tls.crt")).unwrap();
    begin(options()).unwrap();
    let public = vec!["https://vault.agency.test:8443".to_owned()];
    let second =
        Server::start_with(&world, Limits::default(), ServeOptions { public: public.clone(), ..options() }).pin;
    assert_ne!(second, first);
    // What an invitation will name.
    let served = std::fs::read_to_string(world.path("state").join("served.json")).unwrap();
    let served: mandatum::api::Served = serde_json::from_str(&served).unwrap();
    assert_eq!((served.urls, served.pin), (public, Some(second)));
    // A key that everybody can read is no key.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = begin(options()).unwrap_err().to_string();
    assert!(refused.contains("read by every account"), "{refused}");
    let open = ServeOptions { metrics: Some("0.0.0.0:0".parse().unwrap()), ..options() };
    assert!(begin(open).unwrap_err().to_string().contains("not this machine alone"));
}
