//! The real program at work: as the broker of a vault, and as a member's command before a broker that lies.

use crate::server::http::made_tls;
use crate::server::standby::Process;
use crate::skip::skip;
use crate::support::{PASSPHRASE, World, binary, homes};
use crate::tamper::Between;
use mandatum::agent::{Profile, RemoteGate};
use mandatum::api::{Frame, Gate, Hello, Joining, Refusal};
use mandatum::host::SystemClock;
use mandatum::model::{Clock, Digest, VaultId};
use mandatum::server::{Limits, Log, Serve, ServeGates, serve};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A vault as of an hour ago, so that the real program finds it in the past, with all its people.
pub fn an_hour_ago() -> World {
    World::with_mandate_before_now(3_600_000)
}

/// The clock of the tests' own programs is now the machine's too. It stands still from then on: to be repeated before a
/// code is made, where much happened since.
pub fn come_to_now(world: &World) {
    world.clock.set_wall(SystemClock.now().0);
}

// ---- the broker ----

/// The real program serving a vault, as a gate. It ends with it.
pub struct Served {
    gate: RemoteGate,
    pub process: Process,
}

impl Served {
    pub fn new(world: &World) -> Self {
        Self::start(world.dir.path()).unwrap()
    }

    fn start(dir: &Path) -> Result<Self, String> {
        let process = Process::start_in(dir, &[])?;
        // The root is looked at by programs, not by the gate.
        let profile = Profile::new(vec![process.url.clone()], Some(process.pin), VaultId([0; 16]), Digest([0; 32]));
        Ok(Self { gate: RemoteGate::new(&profile).unwrap(), process })
    }
}

impl Gate for Served {
    fn hello(&self) -> Result<Hello, Refusal> {
        self.gate.hello()
    }
    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        self.gate.call(frame)
    }
    fn join(&self, joining: Joining) -> Result<(), Refusal> {
        self.gate.join(joining)
    }
}

/// What a program that did not even begin to serve has said.
struct Unserved(String);

impl Gate for Unserved {
    fn hello(&self) -> Result<Hello, Refusal> {
        Err(Refusal::Failed(self.0.clone()))
    }
    fn call(&self, _: Frame) -> Result<Vec<u8>, Refusal> {
        Err(Refusal::Failed(self.0.clone()))
    }
    fn join(&self, _: Joining) -> Result<(), Refusal> {
        Err(Refusal::Failed(self.0.clone()))
    }
}

/// The real program on the vault in a directory.
pub fn serve_in(_: &World, dir: &Path) -> Arc<dyn Gate> {
    match Served::start(dir) {
        Ok(served) => Arc::new(served),
        Err(said) => Arc::new(Unserved(said)),
    }
}

// ---- a member's command ----

impl World {
    /// The real program as a member's command, in the way [`World::go_remote`] left; each argument is one word.
    pub fn command(&self, member: &str, line: &str) -> Command {
        let passphrase = self.file("passphrase", PASSPHRASE);
        let mut command = Command::new(binary());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(homes(self.dir.path()))
            .env("MANDATUM_VAULT", self.path("remote"))
            .env("MANDATUM_STATE", self.path("remote-state"))
            .env("MANDATUM_MEMBER", member)
            .env("MANDATUM_PASSPHRASE_FILE", passphrase)
            .env("MANDATUM_OTP_COMMAND", format!("cat {}", self.path("code").display()))
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .args(line.split_whitespace())
            .current_dir(self.dir.path());
        command
    }

    /// Runs [`World::command`].
    pub fn really(&self, member: &str, line: &str) -> Output {
        self.command(member, line).output().unwrap()
    }

    /// Begins a session of the real program, whose key the kernel keeps; whether it does, and says so where it does not.
    pub fn really_unlock(&self, member: &str) -> bool {
        self.file("code", &self.fresh_code(member));
        let output = self.really(member, "unlock --for 2h");
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("keyring for the session key") {
            skip(&said);
            return false;
        }
        assert!(output.status.success(), "{said}");
        true
    }
}

/// A broker that lies, on this machine, in front of a world's true one.
pub struct Front {
    pub gate: Arc<Between>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Members' programs come here from now on.
    pub fn of(world: &World) -> Self {
        let gate = Arc::new(Between::default());
        *gate.real.lock().unwrap() = Some(world.gate());
        let (tls, pin, _) = made_tls();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let log: Log = Arc::new(|_: &str| {});
        let set = Serve {
            gates: ServeGates { account: gate.clone(), host: gate.clone() },
            ready: Arc::new(|| true),
            socket: None,
            https: Some((listener, tls)),
            metrics: None,
            account: u32::MAX,
            clock: world.clock.clone(),
            log,
            limits: Limits::default(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || serve(set, || Ok(async move { drop(stopped.await) })).unwrap());
        world.go_remote(&[url], Some(pin));
        Self { gate, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server failed");
    }
}
