//! The real binary as another account, over its socket: the broker is `nobody`, the member is who runs the tests.

use crate::skip::skip;
use crate::support::World;
use mandatum::model::Clock;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The account nobody.
const NOBODY: u32 = 65534;

/// Whether a server can be run as another account here; says so where it cannot.
fn can_become_nobody() -> bool {
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let setpriv = Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !root || !setpriv {
        skip("running the broker as another account needs root and 'setpriv'");
    }
    root && setpriv
}

fn give_to_nobody(path: &Path) {
    std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_to_nobody(&entry.unwrap().path());
        }
    }
}

struct Process {
    child: Child,
    socket: PathBuf,
}

/// The vault's files become nobody's, and the binary serves them under that account.
fn serve_as_nobody(world: &World) -> Process {
    std::fs::set_permissions(world.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["vault", "state", "epoch-key"] {
        give_to_nobody(&world.path(name));
    }
    let run = world.path("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
    give_to_nobody(&run);
    // A copy where nobody can reach it, whatever directory this was built in.
    let binary = world.path("mandatum");
    std::fs::copy(crate::support::binary(), &binary).unwrap();
    let (socket, notify) = (run.join("broker"), run.join("notify"));
    let supervisor = UnixDatagram::bind(&notify).unwrap();
    std::fs::set_permissions(&notify, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut child = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&binary)
        .arg("--vault")
        .arg(world.path("vault"))
        .arg("--state")
        .arg(world.path("state"))
        .args(["serve", "--socket"])
        .arg(&socket)
        .env("NOTIFY_SOCKET", &notify)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    log.read_line(&mut line).unwrap();
    let begun: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it did not begin: {line}"));
    assert_eq!(begun["socket"], socket.display().to_string());
    supervisor.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut word = [0; 64];
    let n = supervisor.recv(&mut word).unwrap();
    assert_eq!(&word[..n], b"READY=1");
    // The rest of the log is read away, or the pipe would fill.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Process { child, socket }
}

impl Process {
    /// As systemd stops it.
    fn terminate(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let begun = Instant::now();
        let ended = loop {
            if let Some(ended) = self.child.try_wait().unwrap() {
                break ended;
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "it did not stop");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(ended.success(), "{ended}");
        assert!(!self.socket.exists(), "the socket is left");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole way: two accounts, two parties, and the record says so.
#[test]
fn a_broker_of_another_account_is_a_second_party() {
    if !can_become_nobody() {
        return;
    }
    let world = World::empty();
    // The binary has the machine's clock. What is prepared here was a little before.
    world.clock.pass_to(mandatum::host::SystemClock.now().0 - 600_000);
    world.init("Olga");
    world.unlock("Olga");
    world.add_member("Lena", "lead");
    let today = mandatum::model::Zone::utc().date_of(world.clock.now()).unwrap();
    let rows =
        world.file("rows.csv", "system;category;platform;data;levels;purposes\nCRM;CRM;amoCRM;contacts;view;leads\n");
    world.unlock("Lena");
    let line =
        format!("mandate open Romashka --contract 1 --signed {today} --until 2190-12-31 --rows {}", rows.display());
    world.as_member("Lena", &line).done();
    world.as_member("Lena", "credential add Romashka/CRM --user a --generate --totp-unknown").done();

    let process = serve_as_nobody(&world);
    world.clock.set_wall(mandatum::host::SystemClock.now().0);
    world.go_remote(&[format!("unix:{}", process.socket.display())], None);
    assert_eq!(std::fs::metadata(&process.socket).unwrap().mode() & 0o777, 0o666);
    world.unlock("Lena");
    world.as_member("Lena", "fetch Romashka/CRM --json").done();
    let status = world.as_member("Lena", "status --json").done().json();
    assert_eq!(status["assurance"], "account");
    let log = world.as_member("Lena", "log Romashka --json").done().json();
    let released = log["lines"].as_array().unwrap().iter().rfind(|line| line["event"] == "released");
    assert_eq!(released.unwrap()["record"]["assurance"], "account", "{released:?}");

    // A second one finds the first and leaves it alone; what nobody listens at any more is replaced.
    let second = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(world.path("mandatum"))
        .arg("--vault")
        .arg(world.path("vault"))
        .arg("--state")
        .arg(world.path("state"))
        .args(["serve", "--socket"])
        .arg(&process.socket)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("listens"), "{said}");
    world.as_member("Lena", "status").done();
    process.terminate();
    let away = world.as_member("Lena", "status").ended(1);
    assert!(away.stderr.contains("no broker answers"), "{}", away.stderr);
}

/// A socket of the member's own account: both halves would be in one hand.
#[test]
fn a_broker_of_ones_own_account_is_refused_by_the_members_program() {
    let world = World::with_mandate();
    let run = world.path("run");
    std::fs::create_dir(&run).unwrap();
    let socket = run.join("broker");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    world.go_remote(&[format!("unix:{}", socket.display())], None);
    let refused = world.as_member("Olga", "unlock").ended(1);
    assert!(refused.stderr.contains("no two parties"), "{}", refused.stderr);
}

#[test]
fn a_socket_is_made_only_where_it_is_safe() {
    use mandatum::api::ServeOptions;
    use mandatum::server::{Limits, Log};
    let world = World::new();
    let begin = |socket: PathBuf, group: Option<&str>, look: &dyn Fn()| {
        let log: Log = Arc::new(|_: &str| {});
        let options =
            ServeOptions { socket: Some(socket), socket_group: group.map(str::to_owned), ..ServeOptions::default() };
        let stop = || {
            look();
            Ok(std::future::ready(()))
        };
        mandatum::host::serve_until(&world.host(), &world.places(), options, Limits::default(), &log, stop)
    };
    use std::sync::Arc;
    let nothing = || {};
    let refused = |result: Result<(), mandatum::api::Refusal>, why: &str| {
        let said = result.unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    };
    let run = world.path("run");
    refused(begin(run.join("broker"), None, &nothing), "is not there");
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o777)).unwrap();
    refused(begin(run.join("broker"), None, &nothing), "written by others");
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(run.join("file"), "kept").unwrap();
    refused(begin(run.join("file"), None, &nothing), "no socket");
    assert_eq!(std::fs::read_to_string(run.join("file")).unwrap(), "kept");
    refused(begin(run.join("broker"), Some("no-such-group"), &nothing), "no group");
    // A stale one: its listener is gone.
    drop(std::os::unix::net::UnixListener::bind(run.join("broker")).unwrap());
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().mode() & 0o777;
    begin(run.join("broker"), None, &|| assert_eq!(mode(run.join("broker")), 0o666)).unwrap();
    assert!(!run.join("broker").exists());
    let own_group = std::fs::metadata(&run).unwrap().gid().to_string();
    begin(run.join("broker"), Some(&own_group), &|| assert_eq!(mode(run.join("broker")), 0o660)).unwrap();
}
