//! A vault for one test: a temporary directory, a clock that is moved by hand, and a person at every prompt.

use crate::cluster::{Database, database_of_this_test};
use mandatum::agent::{Key, Profile, Secret, Seed, SessionError, SessionKeys, System};
use mandatum::api::Host;
use mandatum::cli::{Cli, Edge, Progress, Terminal, over_network};
use mandatum::host::LocalHost;
use mandatum::model::{Clock, Instant, Uptime};
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// The program under test: the one `MANDATUM_TEST_BINARY` names, else the one that was built beside this test.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("MANDATUM_TEST_BINARY").map(|path| std::path::absolute(path).unwrap());
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_mandatum").into())
}

/// 2026-03-02 09:00 in Moscow.
pub const START: i64 = 1_772_431_200_000;

/// A clock that stands still until it is moved.
pub struct FakeClock {
    now: AtomicI64,
    uptime: AtomicI64,
}

impl FakeClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { now: AtomicI64::new(START), uptime: AtomicI64::new(1_000_000) })
    }
    /// Time passes, and the machine runs along.
    pub fn pass(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
        self.uptime.fetch_add(ms, Ordering::SeqCst);
    }
    /// Somebody sets the wall clock; the machine's uptime does not move.
    pub fn set_wall(&self, ms: i64) {
        self.now.store(ms, Ordering::SeqCst);
    }
    pub fn now_ms(&self) -> i64 {
        self.now().0
    }
    /// To an instant, with the machine running along (backwards moves only the wall).
    pub fn pass_to(&self, ms: i64) {
        self.pass((ms - self.now().0).max(0));
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Instant {
        Instant(self.now.load(Ordering::SeqCst))
    }
    fn uptime(&self) -> Uptime {
        Uptime { boot: 1, ms: self.uptime.load(Ordering::SeqCst) }
    }
}

/// Session keys in memory.
#[derive(Default)]
pub struct MemoryKeys(Mutex<HashMap<String, Key>>);

impl SessionKeys for MemoryKeys {
    fn read(&self, name: &str) -> Option<Key> {
        self.0.lock().unwrap().get(name).map(Key::duplicate)
    }
    fn write(&self, name: &str, key: &Key, _seconds: u64) -> Result<(), SessionError> {
        self.0.lock().unwrap().insert(name.to_owned(), key.duplicate());
        Ok(())
    }
    fn touch(&self, _name: &str, _seconds: u64) {}
    fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}

/// What a command left behind.
#[derive(Debug)]
pub struct Output {
    pub code: u8,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Fails the test unless the command was done.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }
    /// Fails the test unless the command ended with this exit code.
    #[track_caller]
    pub fn ended(self, code: u8) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }
    /// Fails the test unless it was denied with this code.
    #[track_caller]
    pub fn denied(self, deny: &str) -> Self {
        let output = self.ended(3);
        assert!(output.stderr.contains(deny), "{}", output.stderr);
        output
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// Something that happens while a command waits.
pub type Meanwhile = Box<dyn FnOnce(&World) + Send>;

/// A vault with its people.
pub struct World {
    pub dir: tempfile::TempDir,
    pub clock: Arc<FakeClock>,
    pub sessions: Arc<MemoryKeys>,
    /// Where the rows are, if not in a file.
    pub postgres: Option<Database>,
    /// Whether there is somebody at a terminal.
    pub attended: AtomicBool,
    /// The keyrings of machines other than the vault's.
    machines: Mutex<HashMap<String, Arc<MemoryKeys>>>,
    /// What happens elsewhere while a command waits, once.
    pub meanwhile: Mutex<Option<Meanwhile>>,
    /// Whether members reach the vault as a profile, over a connection.
    pub remote: AtomicBool,
    /// Dates of the mandates that are opened here.
    pub terms: String,
    /// The last step each member's code was used for.
    used: Mutex<HashMap<String, u64>>,
}

impl World {
    /// An empty directory: no vault yet.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            dir,
            clock: FakeClock::new(),
            sessions: Arc::default(),
            postgres: database_of_this_test(),
            attended: AtomicBool::new(true),
            machines: Mutex::default(),
            meanwhile: Mutex::default(),
            remote: AtomicBool::new(false),
            terms: "--signed 2026-01-15 --until 2026-12-31".into(),
            used: Mutex::default(),
        }
    }

    /// A vault of owner Olga; lead Lena and specialist Sasha are members, and everybody is unlocked.
    pub fn new() -> Self {
        static KEPT: OnceLock<Kept> = OnceLock::new();
        Self::made_once(&KEPT, |world| {
            world.people();
            world
        })
    }

    /// A copy of the one that was made first. A test that makes more than one gets the others made anew: no two vaults
    /// of a test have anything in common.
    fn made_once(kept: &OnceLock<Kept>, make: impl Fn(Self) -> Self) -> Self {
        thread_local!(static HAS_ONE: Cell<bool> = const { Cell::new(false) });
        let world = Self::empty();
        if world.postgres.is_some() || HAS_ONE.replace(true) {
            return make(world);
        }
        kept.get_or_init(|| Kept::of(&make(Self::empty()))).put_into(world)
    }

    fn people(&self) {
        self.init("Olga");
        self.unlock("Olga");
        self.add_member("Lena", "lead");
        self.add_member("Sasha", "specialist");
        self.unlock("Lena");
        self.unlock("Sasha");
    }

    /// The same, with Lena's mandate of Romashka: four rows, logins under CRM and Bot, CRM with a 2FA seed, and CRM
    /// granted to Sasha. From 2026-01-15 to 2026-12-31, Europe/Moscow.
    pub fn with_mandate() -> Self {
        static KEPT: OnceLock<Kept> = OnceLock::new();
        Self::made_once(&KEPT, Self::mandated)
    }

    /// [`World::with_mandate`] so many ms before now, with mandates that last: for the real program, which has the
    /// machine's clock. Its clock is to be set to now when all is prepared, and everybody to unlock anew.
    pub fn with_mandate_before_now(ms: i64) -> Self {
        Self::empty().before_now(ms).with_people_and_mandate()
    }

    /// What [`World::with_mandate`] has, in this one.
    pub fn with_people_and_mandate(self) -> Self {
        self.mandated()
    }

    /// An empty directory, so many ms before now.
    pub fn before_now(self, ms: i64) -> Self {
        self.clock.set_wall(mandatum::host::SystemClock.now().0 - ms);
        let today = mandatum::model::Zone::utc().date_of(self.clock.now()).unwrap();
        Self { terms: format!("--signed {today} --until 2190-12-31"), ..self }
    }

    /// [`World::with_mandate`], whose database is this one.
    pub fn in_database(database: Database) -> Self {
        Self::empty_in(database).mandated()
    }

    /// [`World::empty`], whose database is this one.
    pub fn empty_in(database: Database) -> Self {
        Self { postgres: Some(database), ..Self::empty() }
    }

    fn mandated(self) -> Self {
        self.people();
        self.open_mandate("Lena", "Romashka");
        self.as_member("Lena", "grant Sasha Romashka/CRM --level view").done();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub fn init(&self, owner: &str) {
        let (ek, kit, kit_pw) =
            (self.path("epoch-key"), self.path("kit"), self.file("kit-pw", "kit zebra umbrella quantum teapot"));
        let command = format!(
            "init --owner {owner} {} --epoch-key file:{} --kit {} --kit-passphrase-file {} --otpauth-out {}",
            self.store_option(),
            ek.display(),
            kit.display(),
            kit_pw.display(),
            self.otp_file(owner).display()
        );
        self.as_member(owner, &command).done();
    }

    /// Names the database, where it is not the file.
    pub fn store_option(&self) -> String {
        let Some(database) = &self.postgres else { return String::new() };
        format!("--store-file {}", self.file("store-address", &database.address).display())
    }

    pub fn unlock(&self, member: &str) {
        self.as_member(member, "unlock --for 8h").done();
    }

    pub fn add_member(&self, name: &str, role: &str) {
        let otp = self.otp_file(name);
        self.as_member("Olga", &format!("member add {name} --role {role} --otpauth-out {}", otp.display())).done();
    }

    pub fn open_mandate(&self, lead: &str, operator: &str) {
        let rows = self.file(
            "rows.csv",
            "system;category;platform;data;levels;purposes\n\
             CRM;CRM;amoCRM;contacts;view / edit;lead handling\n\
             Form;site form;Tilda;contacts;view;lead handling\n\
             Bot;chat-bot;Telegram;messages;reply;answers | setup\n\
             Ads;ad platform;Yandex Direct;audiences;configure;campaigns\n",
        );
        let seed = self.file("seed", "otpauth://totp/amo:lead?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n");
        let rows = rows.display();
        self.as_member(lead, &format!("mandate open {operator} --contract 17/2026 {} --rows {rows}", self.terms))
            .done();
        self.as_member(lead, &format!("credential add {operator}/CRM --user crm@{operator}.test --url https://{operator}.test --generate --totp-file {}", seed.display())).done();
        self.as_member(lead, &format!("credential add {operator}/Bot --kind bot_token --generate 40 --because needed"))
            .done();
    }

    pub fn otp_file(&self, member: &str) -> PathBuf {
        self.path(&format!("otp-{member}"))
    }

    /// A code of a member that was not used before; time passes where there is none in this step.
    pub fn fresh_code(&self, member: &str) -> String {
        let uri = std::fs::read_to_string(self.otp_file(member)).unwrap();
        let seed = Seed::parse(uri.trim()).unwrap();
        let mut used = self.used.lock().unwrap();
        let last = used.get(member).copied().unwrap_or(0);
        if self.clock.now().unix_seconds() / 30 <= last {
            let ahead = (last + 1) * 30 - self.clock.now().unix_seconds();
            self.clock.pass(i64::try_from(ahead).unwrap() * 1000);
        }
        used.insert(member.to_owned(), self.clock.now().unix_seconds() / 30);
        seed.code(self.clock.now().unix_seconds()).0
    }

    /// Runs a command line as a member, words split at spaces.
    pub fn as_member(&self, member: &str, line: &str) -> Output {
        self.run(member, &line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a command as a member who answers every prompt.
    pub fn run(&self, member: &str, args: &[&str]) -> Output {
        self.run_with(member, args, b"", false)
    }

    /// As [`World::run`], with standard input, or on a terminal.
    pub fn run_with(&self, member: &str, args: &[&str], stdin: &[u8], tty: bool) -> Output {
        self.run_in(("vault", "state"), member, args, stdin, tty)
    }

    /// Runs a command line as a member on a machine of their own, words split at spaces.
    pub fn as_member_at(&self, machine: &str, member: &str, line: &str) -> Output {
        let (vault, state) = (format!("{machine}-vault"), format!("{machine}-state"));
        self.run_in((&vault, &state), member, &line.split_whitespace().collect::<Vec<_>>(), b"", false)
    }

    fn run_in(&self, places: (&str, &str), member: &str, args: &[&str], stdin: &[u8], tty: bool) -> Output {
        let mut machines = self.machines.lock().unwrap();
        // Each machine has a keyring of its own.
        let keys = Arc::clone(machines.entry(places.0.to_owned()).or_default());
        drop(machines);
        self.with_edge(member, stdin, tty, |edge| {
            if places.0 != "vault" {
                edge.session_keys = keys;
            }
            let remote = self.remote.load(Ordering::SeqCst) && places.0 == "vault";
            let places = if remote { ("remote", "remote-state") } else { places };
            let vault = self.path(places.0);
            let state = self.path(places.1);
            let fixed = [
                "mandatum",
                "--vault",
                vault.to_str().unwrap(),
                "--state",
                state.to_str().unwrap(),
                "--member",
                member,
            ];
            let all: Vec<&str> = fixed.iter().copied().chain(args.iter().copied()).collect();
            match Cli::parse_args(all) {
                Ok(cli) => cli.run(edge),
                Err(code) => code,
            }
        })
    }

    fn with_edge(&self, member: &str, stdin: &[u8], tty: bool, work: impl FnOnce(&mut Edge<'_>) -> u8) -> Output {
        let host = self.host();
        let mut person = Person {
            world: self,
            member: member.to_owned(),
            stdin: stdin.to_vec(),
            tty,
            stdout: Vec::new(),
            stderr: String::new(),
        };
        let clock: Arc<dyn Clock> = self.clock.clone();
        let wait = |duration: std::time::Duration| {
            self.clock.pass(i64::try_from(duration.as_millis()).unwrap());
            let meanwhile = self.meanwhile.lock().unwrap().take();
            meanwhile.into_iter().for_each(|work| work(self));
        };
        // Whoever came in by an invitation reaches this world's broker by a profile.
        let remote = self.remote.load(Ordering::SeqCst);
        let reach = |profile: &Profile| if remote { over_network(profile) } else { Ok(self.gate()) };
        let mut edge = Edge {
            host: &host,
            clock,
            entropy: Arc::new(System),
            session_keys: self.sessions.clone(),
            terminal: &mut person,
            wait: &wait,
            wire: mandatum::agent::revocation::Wire::danger_allow_loopback_http,
            reach: &reach,
            hand_over: std::process::Command::status,
            demo: None,
        };
        let code = work(&mut edge);
        Output { code, stdout: String::from_utf8_lossy(&person.stdout).into_owned(), stderr: person.stderr }
    }

    pub fn host(&self) -> LocalHost {
        LocalHost { clock: self.clock.clone(), entropy: Arc::new(System), keys: None }
    }

    /// The broker of this vault, as a member's program would reach it.
    pub fn gate(&self) -> Arc<dyn mandatum::api::Gate> {
        self.host().gate(&self.places()).unwrap()
    }

    pub fn places(&self) -> mandatum::api::Places {
        mandatum::api::Places { vault: self.path("vault"), state: self.path("state") }
    }

    /// The member's keys, opened with the passphrase everybody has here.
    pub fn identity(&self, member: &str) -> mandatum::agent::Identity {
        let name = mandatum::model::Name::parse(member).unwrap();
        let vault = self.host().vault_id(&self.places()).unwrap();
        let path = mandatum::agent::identity_path(&self.places().identities(), vault, &name);
        mandatum::agent::Identity::load(&path, &Secret::copy_of(PASSPHRASE.as_bytes())).unwrap()
    }

    /// The roles a member holds, as the owner reads them.
    pub fn roles(&self, member: &str) -> std::collections::BTreeSet<mandatum::model::Role> {
        let lines: Vec<mandatum::api::MemberLine> =
            serde_json::from_value(self.as_member("Olga", "member list --json").done().json()).unwrap();
        lines.into_iter().find(|line| line.name.same(member)).unwrap().roles
    }

    /// A member's program with a fresh session, for requests the command line does not make.
    pub fn program(&self, member: &str) -> mandatum::agent::Program {
        let identity = self.identity(member);
        let mut program = mandatum::agent::Program::new(self.gate(), identity, &self.path("state"), Arc::new(System));
        program.unlock(self.fresh_code(member), 8 * 3_600_000).unwrap();
        program
    }

    /// From here on every member works on another machine, so to say: with their identity and this profile alone.
    pub fn go_remote(&self, urls: &[String], pin: Option<mandatum::model::Digest>) {
        let vault = self.host().vault_id(&self.places()).unwrap();
        let root = self.identity("Olga").root;
        let profile = mandatum::agent::Profile::new(urls.to_vec(), pin, vault, root);
        let _ = std::fs::remove_file(self.path("remote").join("profile.json"));
        profile.save(&self.path("remote")).unwrap();
        self.copy_to("vault/identities", "remote/identities");
        self.remote.store(true, Ordering::SeqCst);
    }

    pub fn copy_to(&self, from: &str, to: &str) {
        copy_dir(&self.path(from), &self.path(to));
    }
}

pub const PASSPHRASE: &str = "correct horse battery staple orbit";

/// A [`World`] that was made: its files, its clock, who is unlocked, and which codes were used.
struct Kept {
    /// Where it was.
    dir: PathBuf,
    files: Vec<(PathBuf, Metadata, Vec<u8>)>,
    clock: (Instant, Uptime),
    sessions: HashMap<String, Key>,
    used: HashMap<String, u64>,
}

impl Kept {
    fn of(world: &World) -> Self {
        let mut files = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(world.dir.path().join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let (path, metadata) = (folder.join(entry.file_name()), entry.metadata().unwrap());
                let bytes = if metadata.is_dir() { Vec::new() } else { std::fs::read(entry.path()).unwrap() };
                if metadata.is_dir() {
                    folders.push(path.clone());
                }
                files.push((path, metadata, bytes));
            }
        }
        Self {
            dir: world.dir.path().to_owned(),
            files,
            clock: (world.clock.now(), world.clock.uptime()),
            sessions: world.sessions.0.lock().unwrap().iter().map(|(n, key)| (n.clone(), key.duplicate())).collect(),
            used: world.used.lock().unwrap().clone(),
        }
    }

    fn put_into(&self, world: World) -> World {
        for (path, metadata, bytes) in &self.files {
            let path = world.dir.path().join(path);
            if metadata.is_dir() {
                std::fs::create_dir(&path).unwrap();
            } else {
                std::fs::write(&path, bytes).unwrap();
            }
            std::fs::set_permissions(&path, metadata.permissions()).unwrap();
        }
        // The one thing that names a place.
        let config = world.path("state/broker.json");
        let said = std::fs::read_to_string(&config).unwrap();
        let (from, to) = (self.dir.to_str().unwrap(), world.dir.path().to_str().unwrap());
        assert!(said.contains(from), "{said}");
        std::fs::write(&config, said.replace(from, to)).unwrap();
        world.clock.now.store(self.clock.0.0, Ordering::SeqCst);
        world.clock.uptime.store(self.clock.1.ms, Ordering::SeqCst);
        *world.sessions.0.lock().unwrap() = self.sessions.iter().map(|(n, key)| (n.clone(), key.duplicate())).collect();
        *world.used.lock().unwrap() = self.used.clone();
        world
    }
}

/// Where a program that is started below a directory may leave anything of its own: nothing is to be found there.
pub fn homes(dir: &Path) -> [(&'static str, PathBuf); 3] {
    let homes = [("HOME", "home"), ("TMPDIR", "tmp"), ("XDG_CACHE_HOME", "cache")];
    homes.map(|(variable, name)| {
        std::fs::create_dir_all(dir.join(name)).unwrap();
        (variable, dir.join(name))
    })
}

/// Copies a directory with everything in it.
pub fn copy_dir(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Answers prompts as the people of a [`World`] do.
struct Person<'a> {
    world: &'a World,
    member: String,
    stdin: Vec<u8>,
    tty: bool,
    stdout: Vec<u8>,
    stderr: String,
}

impl Terminal for Person<'_> {
    fn stdout_is_terminal(&self) -> bool {
        self.tty
    }
    fn can_prompt(&self) -> bool {
        self.world.attended.load(Ordering::SeqCst)
    }
    fn read_secret(&mut self, prompt: &str) -> io::Result<Secret> {
        let kit = prompt.contains("recovery kit");
        let answer = if kit { "kit zebra umbrella quantum teapot" } else { PASSPHRASE };
        Ok(Secret::copy_of(answer.as_bytes()))
    }
    fn read_line(&mut self, prompt: &str) -> io::Result<String> {
        // "Two-factor code of NAME: " and "Code that the app shows for NAME: "
        let name = prompt.trim_end_matches(": ").rsplit(' ').next().unwrap_or("").to_owned();
        if prompt.contains("ode ") {
            return Ok(self.world.fresh_code(&name));
        }
        self.stderr.push_str(prompt);
        let _ = &self.member;
        Ok("1".into())
    }
    fn read_stdin(&mut self) -> io::Result<Secret> {
        Ok(Secret::copy_of(&self.stdin))
    }
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.extend_from_slice(bytes);
        Ok(())
    }
    fn say(&mut self, line: &str) {
        self.stderr.push_str(line);
        self.stderr.push('\n');
    }
    fn progress(&mut self, _what: &str, _total: u64) -> Progress {
        Progress::silent()
    }
}
