//! What memory holds, who may read it, and what is left of it: on the real program (ATTACKS.md D1, L1, L2, L3, L4, L9).
//!
//! Most of it needs root, since nobody else may look at all; where something is missing the test says so loudly and
//! proves nothing.

use crate::faults::{Bench, FETCH};
use crate::matrix::Voice;
use crate::secrecy::Needles;
use crate::skip::skip;
use crate::support::PASSPHRASE;
use mandatum::agent::{Key, Profile, RemoteGate};
use mandatum::api::{FetchAsk, FetchCall, FetchItem, LocateAsk, LocateCall};
use mandatum::crypto::{Statement, open_ct, open_inner};
use mandatum::model::{Digest, Text, VaultId};
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The spellings in which a secret, of ASCII, may lie in memory or in text.
fn spellings(secret: &str) -> Vec<String> {
    let wide: String = secret.chars().flat_map(|c| [c, '\0']).collect();
    let hex = data_encoding::HEXLOWER.encode(secret.as_bytes());
    let mut found = vec![secret.to_owned(), wide, hex.to_uppercase(), hex];
    // Base64 of it, wherever in a longer text it begins; the ends depend on what stands beside it.
    for shift in 0..3 {
        let padded = [vec![0; shift], secret.as_bytes().to_vec()].concat();
        let text = data_encoding::BASE64_NOPAD.encode(&padded);
        found.push(text[4..text.len() - 4].to_owned());
    }
    found
}

/// How often any spelling of a secret is in these bytes.
fn count(bytes: &[u8], secret: &str) -> usize {
    assert!(secret.is_ascii() && secret.len() > 5);
    let text = String::from_utf8_lossy(bytes);
    spellings(secret).iter().map(|needle| text.matches(needle).count()).sum()
}

/// Everything a process can write to: what a core image of it would hold that matters.
fn image(pid: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut bytes = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [begin, end] = [begin, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        memory.seek(SeekFrom::Start(begin)).unwrap();
        // A mapping may have gone meanwhile, or be one that cannot be read.
        let _ = (&mut memory).take(end - begin).read_to_end(&mut bytes);
    }
    assert!(bytes.len() > 100_000, "only {} bytes could be read", bytes.len());
    bytes
}

/// A program that has its answer ready and cannot get rid of it: whoever should read it does not.
struct Waiting {
    child: Child,
    _reader: PipeReader,
}

impl Waiting {
    fn begin(mut command: Command) -> Self {
        let (reader, mut writer) = std::io::pipe().unwrap();
        // A full pipe takes no more.
        let nonblocking = rustix::fs::fcntl_getfl(&writer).unwrap() | rustix::fs::OFlags::NONBLOCK;
        rustix::fs::fcntl_setfl(&writer, nonblocking).unwrap();
        while writer.write(&[b'.'; 4096]).is_ok() {}
        while writer.write(b".").is_ok() {}
        rustix::fs::fcntl_setfl(&writer, nonblocking - rustix::fs::OFlags::NONBLOCK).unwrap();
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let mut waiting = Self { child, _reader: reader };
        let begun = Instant::now();
        while waiting.of("wchan").is_none_or(|on| !on.contains("pipe")) {
            assert!(waiting.child.try_wait().unwrap().is_none(), "it ended: {}", waiting.said());
            assert!(begun.elapsed() < Duration::from_secs(20), "it never answered");
            std::thread::sleep(Duration::from_millis(10));
        }
        waiting
    }

    fn of(&self, file: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).ok()
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        let _ = self.child.stderr.take().unwrap().read_to_string(&mut said);
        said
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fetching(bench: &Bench) -> Waiting {
    let mut command = bench.program(crate::support::binary(), "Sasha");
    command.args(FETCH.split(' '));
    Waiting::begin(command)
}

// ---- a broker ----

/// During a hundred releases and after them a serving broker's memory, log and metrics hold no secret that went through
/// it, no data key, no passphrase and no key of a member: it cannot leak what it never had.
#[test]
fn a_broker_never_holds_what_it_releases() {
    if !is_root() {
        return skip("only root may read another process's memory");
    }
    let Some(bench) = Bench::without_strace() else { return };
    let mut command = bench.program(crate::support::binary(), "Olga");
    command.args(["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    // The most that anybody could ask it to say.
    command.envs([("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let log = Arc::new(Mutex::new(String::new()));
    let begun: serde_json::Value = loop {
        let line = lines.next().expect("it ended").unwrap();
        log.lock().unwrap().push_str(&line);
        match serde_json::from_str::<serde_json::Value>(&line) {
            Ok(said) if said["event"] == "serving" => break said,
            _ => {}
        }
    };
    let kept = Arc::clone(&log);
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push_str(&line)));
    let url = format!("https://{}", begun["https"].as_str().unwrap());
    let pin = serde_json::from_value(begun["pin"].clone()).unwrap();
    bench.world.go_remote(std::slice::from_ref(&url), Some(pin));
    bench.world.unlock("Lena");
    let dek = data_key(&bench, &url, pin);
    let [lena, sasha] = ["Lena", "Sasha"].map(|name| bench.world.identity(name));
    let (text, seeds) = (lena.enc.text(), [&lena, &sasha].map(|identity| identity.sign.seed()));
    let never = Needles::of([
        ("CRM's password", bench.secrets[0].trim().as_bytes().to_vec()),
        ("Bot's password", bench.secrets[1].trim().as_bytes().to_vec()),
        ("the passphrase", PASSPHRASE.as_bytes().to_vec()),
        ("CRM's data key", dek.expose().to_vec()),
        ("Lena's signing seed", seeds[0].expose().to_vec()),
        ("Sasha's signing seed", seeds[1].expose().to_vec()),
        ("Lena's key", text.expose().to_vec()),
    ]);
    let ended = AtomicBool::new(false);
    let images = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut images = 0;
            while !ended.load(Ordering::SeqCst) {
                assert_eq!(never.found_in(&image(child.id())), Vec::<&str>::new(), "during the releases");
                images += 1;
            }
            images
        });
        // Also where a release fails.
        let ending = Ending(&ended);
        for _ in 0..50 {
            for (system, secret) in ["CRM", "Bot"].iter().zip(&bench.secrets) {
                let line = format!("fetch Romashka/{system} --field password");
                assert_eq!(bench.world.as_member("Lena", &line).done().stdout, *secret);
            }
        }
        drop(ending);
        looking.join().unwrap()
    });
    assert!(images > 1, "{images}");
    bench.world.as_member("Lena", "fetch Romashka/Nothing --field password").ended(4);
    bench.world.as_member("Lena", "lock").done();
    let image = image(child.id());
    assert_eq!(never.found_in(&image), Vec::<&str>::new());
    let metrics = metrics(begun["metrics"].as_str().unwrap());
    let _ = child.kill();
    let _ = child.wait();
    assert!(count(&image, "Romashka") > 0, "what it does know is found: this way of looking works");
    let known = Needles::of([("the vault's id", lena.vault.bytes().to_vec())]);
    assert!(!known.found_in(&image).is_empty(), "and so is what is no text");
    for secret in bench.secrets.iter().map(|secret| secret.trim()).chain([PASSPHRASE]) {
        assert_eq!(count(&image, secret), 0);
        assert_eq!(count(log.lock().unwrap().as_bytes(), secret), 0);
        assert_eq!(count(metrics.as_bytes(), secret), 0);
    }
    assert!(metrics.contains("mandatum"), "{metrics}");
}

/// Says that it is over, however it ends.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The data key that Sasha's program gets, asked for over the connection.
fn data_key(bench: &Bench, url: &str, pin: Digest) -> Key {
    let profile = Profile::new(vec![url.to_owned()], Some(pin), VaultId([0; 16]), Digest([0; 32]));
    let gate = RemoteGate::new(&profile).unwrap();
    let sasha = Voice::at(&gate, &bench.world, "Sasha");
    let [operator, system] = ["Romashka", "CRM"].map(|word| Text::parse(word).unwrap());
    let locate = LocateAsk { operator, system, credential: None, all: false };
    let found = sasha.ask::<LocateCall>(&gate, None, locate).unwrap().remove(0);
    let item = FetchItem { credential: found.credential, version: found.version, grant: found.grant.unwrap() };
    let ask = FetchAsk { items: vec![item], purpose: None, onward: None };
    let released = sasha.ask::<FetchCall>(&gate, Some(found.unit), ask).unwrap().released.remove(0);
    let said: Statement = serde_json::from_slice(released.statement.unverified_bytes()).unwrap();
    let dek = open_inner(&sasha.identity.enc, &said.ctx, &released.inner.0).unwrap();
    let fields = open_ct(&dek, &said.ctx, &released.ct.0).unwrap();
    assert_eq!(fields.field("password").unwrap().expose_str(), Some(bench.secrets[0].trim()));
    dek
}

fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

// ---- a member's program ----

/// While a member's program has a secret, root finds it in its memory, in pages that are locked. When it has answered
/// there is no process, and after `lock` no key from which anything could be opened again.
#[test]
fn after_the_answer_and_after_lock_nothing_is_left() {
    let Some(bench) = Bench::without_strace() else { return };
    let ours = crate::support::binary();
    let vault = bench.world.path("vault").display().to_string();
    let processes = || {
        let pids =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let of_this_vault = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == ours)
                && fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| count(&environ, &vault) > 0)
        };
        pids.filter(of_this_vault).count()
    };
    if is_root() {
        let waiting = fetching(&bench);
        assert_eq!(processes(), 1);
        let held = image(waiting.child.id());
        assert!(count(&held, bench.secrets[0].trim()) > 0, "what it does hold is found: this way of looking works");
        assert_eq!(count(&held, PASSPHRASE), 0, "the session spared it");
    } else {
        skip("only root may read another process's memory");
    }
    bench.done("Sasha", FETCH);
    // Whoever may not look at all would see none in any case.
    assert!(!is_root() || processes() == 0, "a process stayed behind");

    // A session's file and its key in the kernel's keyring have one name, which the kernel tells to their owner.
    let files: Vec<String> = fs::read_dir(bench.world.path("state/sessions"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".session").map(str::to_owned))
        .collect();
    let live = || {
        let keys = fs::read_to_string("/proc/keys").unwrap_or_default();
        // The second word is its flags: one that is marked `i` opens nothing any more, and is collected at once.
        let opens = |line: &&str| !line.split(' ').nth(1).is_some_and(|flags| flags.contains('i'));
        let keys: String = keys.lines().filter(opens).collect();
        files.iter().filter(|name| keys.contains(&format!("mandatum:{name}"))).count()
    };
    assert_eq!(live(), 3, "the kernel does not tell of {files:?}");
    for (left, member) in ["Olga", "Lena", "Sasha"].iter().enumerate() {
        bench.done(member, "lock");
        assert_eq!(live(), 2 - left);
    }
    // Those of the prepared vault had keys in another keyring, which is gone already.
    let refused = bench.run("Sasha", FETCH);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    let left = fs::read_dir(bench.world.path("state/sessions")).unwrap().count();
    assert_eq!(left, 0, "a session file is left");
}

/// Another process of the same account cannot read the memory of a program that has keys: neither directly nor as a
/// debugger. It can, of any other program of that account.
#[test]
fn another_process_of_the_account_reads_nothing() {
    let setpriv = Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_root() || !setpriv {
        return skip("to be two processes of one other account needs root and setpriv");
    }
    let Some(bench) = Bench::without_strace() else { return };
    let world = &bench.world;
    fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = world.path("mandatum");
    fs::copy(crate::support::binary(), &binary).unwrap();
    let given = Command::new("chown").args(["-R", "65534:65534"]).arg(world.dir.path()).status().unwrap();
    assert!(given.success());
    let as_nobody = |program: &Path, words: &[&str]| {
        let mut command = bench.program("setpriv", "Sasha");
        command.args(NOBODY).arg(program).args(words);
        command
    };
    let unlock = format!("echo {}", world.fresh_code("Sasha"));
    let passphrase = world.path("passphrase").display().to_string();
    let words = ["unlock", "--otp-command", &unlock, "--passphrase-file", &passphrase];
    let unlocked = as_nobody(&binary, &words).output().unwrap();
    if !unlocked.status.success() {
        return skip(&String::from_utf8_lossy(&unlocked.stderr));
    }
    let waiting = Waiting::begin(as_nobody(&binary, &FETCH.split(' ').collect::<Vec<_>>()));
    assert!(waiting.of("status").unwrap().contains("Uid:\t65534"), "it is not nobody's");
    let plain = Waiting::begin(as_nobody(Path::new("echo"), &["nothing secret"]));

    let reads = |pid: u32, file: &str| {
        let script = format!("head -c 1 /proc/{pid}/{file}");
        let output = as_nobody(Path::new("sh"), &["-c", &script]).output().unwrap();
        output.status.success() && !output.stdout.is_empty()
    };
    for file in ["maps", "environ", "auxv"] {
        assert!(reads(plain.child.id(), file), "{file}: a plain program's is readable, or this proves nothing");
        assert!(!reads(waiting.child.id(), file), "{file}");
    }
    let opens = |pid: u32| {
        let script = format!("exec 3< /proc/{pid}/mem");
        as_nobody(Path::new("sh"), &["-c", &script]).output().unwrap().status.success()
    };
    assert!(opens(plain.child.id()) && !opens(waiting.child.id()));
    if Command::new("gdb").arg("--version").stdout(Stdio::null()).status().is_ok() {
        let attaches = |pid: u32| {
            let words = ["-batch", "-nx", "-p", &pid.to_string(), "-ex", "info proc"];
            let output = as_nobody(Path::new("gdb"), &words).output().unwrap();
            !String::from_utf8_lossy(&output.stderr).contains("not permitted")
        };
        assert!(attaches(plain.child.id()) && !attaches(waiting.child.id()));
    } else {
        skip("gdb is not installed, so no debugger tried");
    }
    drop(waiting);
    let _ = as_nobody(&binary, &["lock"]).output();
    Command::new("chown").args(["-R", "0:0"]).arg(world.dir.path()).status().unwrap();
}

/// A crash leaves no core and says no secret, even where the account allows cores of any size.
#[test]
fn a_crash_leaves_no_core() {
    let Some(bench) = Bench::without_strace() else { return };
    let here = tempfile::tempdir().unwrap();
    for signal in ["SEGV", "ABRT", "BUS", "QUIT"] {
        let crash = |mut command: Command| {
            command.current_dir(here.path());
            let mut waiting = Waiting::begin(command);
            let pid = waiting.child.id().to_string();
            let limits = waiting.of("limits").unwrap();
            let ended = loop {
                // The runtime's handler takes the first SIGSEGV for a stack's end, and gives way to the second.
                let _ = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
                std::thread::sleep(Duration::from_millis(50));
                if let Some(ended) = waiting.child.try_wait().unwrap() {
                    break ended;
                }
            };
            (ended, waiting.said(), limits)
        };
        // Whoever starts the tests may ignore some of these signals, and what they start inherits that.
        let unguarded = ["--default-signal", "prlimit", "--core=unlimited"];
        let mut ours = bench.program("env", "Sasha");
        ours.args(unguarded).arg(crate::support::binary()).args(FETCH.split(' '));
        let (ended, said, limits) = crash(ours);
        assert!(ended.signal().is_some() && !ended.core_dumped(), "{signal}: {ended}");
        assert!(
            limits
                .lines()
                .any(|line| line.split_whitespace().collect::<Vec<_>>()[..6]
                    == ["Max", "core", "file", "size", "0", "0"])
        );
        assert!(bench.secrets.iter().all(|secret| count(said.as_bytes(), secret.trim()) == 0), "{signal}: {said}");
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0, "{signal}: something was left");
        let mut plain = Command::new("env");
        plain.args(unguarded).args(["echo", "nothing secret"]);
        if !crash(plain).0.core_dumped() {
            skip("no program leaves a core here, so that ours leaves none proves little");
        }
        fs::read_dir(here.path()).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    }
    // What was killed in the middle of its answer had been recorded; the vault goes on.
    bench.done("Olga", "verify");
}

/// A program that stays, until this is dropped.
struct Staying(Child);

impl Staying {
    /// Waits until it has begun what it stays for.
    fn begin(mut command: Command, begun: impl Fn() -> bool) -> Self {
        let mut staying = Self(command.stderr(Stdio::null()).spawn().unwrap());
        let since = Instant::now();
        while !begun() {
            assert!(staying.0.try_wait().unwrap().is_none() && since.elapsed() < Duration::from_secs(30), "it ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        staying
    }

    fn of(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the account may lock without a limit, every page that can hold a key of a program that stays is locked; where
/// it may not, none is, and nothing fails for it.
#[test]
fn what_stays_is_locked_where_that_is_allowed() {
    let Some(bench) = Bench::without_strace() else { return };
    let ours = crate::support::binary();
    let socket = bench.world.path("broker");
    let serve = format!("serve --socket {}", socket.display());
    let serving = |command: Command| Staying::begin(command, || socket.exists());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let may = u64::from_str_radix(effective.trim(), 16).unwrap() >> 14 & 1 == 1;
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let unlimited = limits.lines().any(|line| line.starts_with("Max locked memory") && line.contains("unlimited"));
    let mut command = bench.program(&ours, "Sasha");
    command.args(serve.split(' '));
    let staying = serving(command);
    if may || unlimited {
        let maps = staying.of("smaps");
        let (mut region, mut seen) = (String::new(), 0);
        for told in maps.lines() {
            if let Some(flags) = told.strip_prefix("VmFlags:") {
                // What other processes see too is the database's, and sealed.
                let private = region.contains(" rw-p");
                assert!(!private || flags.contains(" lo"), "{region} is not locked: {flags}");
                seen += usize::from(private);
            } else if told.split(' ').next().is_some_and(|first| first.contains('-')) {
                region = told.to_owned();
            }
        }
        assert!(seen > 3 && maps.contains("[stack]") && maps.contains("[heap]"), "{seen}");
        assert!(!staying.of("status").contains("VmLck:\t       0 kB"));
    } else {
        assert!(staying.of("status").contains("VmLck:\t       0 kB"));
        skip("this account may lock only part of its memory, so nothing was locked");
    }
    drop(staying);
    let _ = fs::remove_file(&socket);
    // Four MiB and no privilege: less than it takes.
    let mut limited = bench.program("setpriv", "Sasha");
    limited.args(["--bounding-set=-ipc_lock", "--inh-caps=-all", "prlimit", "--memlock=4194304"]);
    limited.arg(&ours).args(serve.split(' '));
    assert!(serving(limited).of("status").contains("VmLck:\t       0 kB"));
}

/// Under `run` there is one process, the command: nothing of the program that fetched the secret goes on beside it.
#[test]
fn a_program_that_runs_a_command_becomes_it() {
    let Some(bench) = Bench::without_strace() else { return };
    let mut command = bench.program(crate::support::binary(), "Sasha");
    let script = "test \"$PW\" && echo $$; kill -TERM $$";
    command.args(["run", "Romashka/CRM", "--env", "PW=password", "--", "sh", "-c", script]).stdout(Stdio::piped());
    let begun = command.spawn().unwrap();
    let pid = begun.id().to_string();
    let ended = begun.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(ended.stdout).unwrap().trim(), pid);
    assert_eq!(ended.status.signal(), Some(15), "{}", ended.status);
}
