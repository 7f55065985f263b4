//! The broker over connections: real servers, real sockets, real TLS; and what must not come through them.

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
    pub begun: Value,
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
        let begun: Value = serde_json::from_str(&hear.recv().expect("the server did not begin")).unwrap();
        Self {
            https: begun["https"].as_str().unwrap().to_owned(),
            pin: serde_json::from_value(begun["pin"].clone()).unwrap(),
            begun,
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
