//! `demo`: the main job for real, on a throw-away vault, by the same commands a person types.
//!
//! Everything runs as in life but two things, and the demo says so: the clock is one it can move, and it answers the
//! prompts for the three people itself.

use super::Cli;
use super::context::{Context, Edge};
use super::failure::Failure;
use super::terminal::{Progress, Terminal};
use crate::agent::{Key, Secret, Seed, SessionError, SessionKeys};
use crate::api::Host;
use crate::model::{Clock, Instant, Uptime};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// 2026-03-02 09:00 in Moscow.
const START: i64 = 1_772_431_200_000;
/// 2026-04-01 00:00 in Moscow: the first minute after a term that ends «по 31.03.2026».
const TERM_OVER: i64 = 1_774_990_800_000;

const PASSPHRASE: &str = "throw-away demo passphrase of many words";
/// A mandate as an operator signs it; what it says is invented.
const MANDATE: &[u8] = include_bytes!("../../samples/mandate.docx");
/// What the vault does not know and the closing act needs.
const FACTS: &str = r#"
number = "1/2026"
date = "2026-04-01"
place = "г. Москва"
contact = "Примерова О. О., privacy@agency.example"
subjects = ["клиенты Оператора", "посетители сайта"]
event_log_missing = "журнал событий ведёт Оператор"

[operator]
name = "ООО «Ромашка»"
address = "г. Москва, ул. Выдуманная, д. 1"
representative = "Тестов Т. Т."
position = "директор"

[processor]
name = "ООО «Агентство Пример»"
address = "г. Москва, ул. Примерная, д. 2"
representative = "Примерова О. О."
position = "директор"
"#;
const SEED: &str =
    "otpauth://totp/amoCRM:lead%40romashka.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=amoCRM\n";

/// Runs the demo.
///
/// # Errors
/// Unexpected where a step does not end as it must: the demo is a test of itself.
pub fn demo(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let runner = context.edge.demo.ok_or_else(|| Failure::unexpected("the demo runs as a program of its own only"))?;
    let dir = TempDir::new()?;
    let clock = Arc::new(DemoClock { now: AtomicI64::new(START), uptime: AtomicI64::new(0) });
    let stage =
        Stage { dir: dir.0.clone(), clock: Arc::clone(&clock), sessions: Arc::default(), used: Mutex::default() };
    let mut done = Ok(());
    let entropy = context.edge.entropy.clone();
    let terminal = &mut *context.edge.terminal;
    runner(clock, &mut |host: &dyn Host| {
        done = Play { stage: &stage, host, entropy: entropy.clone(), terminal: &mut *terminal }.play();
    });
    done
}

/// A directory that goes with the demo.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Result<Self, Failure> {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let name = format!("mandatum-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Never into a directory that somebody else put there.
        builder.create(&path).map_err(|error| Failure::unexpected(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A clock that the demo moves, with an uptime that runs along.
struct DemoClock {
    now: AtomicI64,
    uptime: AtomicI64,
}

impl DemoClock {
    fn pass(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
        self.uptime.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Instant {
        Instant(self.now.load(Ordering::SeqCst))
    }
    fn uptime(&self) -> Uptime {
        Uptime { boot: 1, ms: self.uptime.load(Ordering::SeqCst) }
    }
}

/// Session keys in memory: the demo leaves nothing in the kernel's keyring.
#[derive(Default)]
struct DemoKeys(Mutex<HashMap<String, Key>>);

impl DemoKeys {
    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionKeys for DemoKeys {
    fn read(&self, name: &str) -> Option<Key> {
        self.map().get(name).map(Key::duplicate)
    }
    fn write(&self, name: &str, key: &Key, _seconds: u64) -> Result<(), SessionError> {
        self.map().insert(name.to_owned(), key.duplicate());
        Ok(())
    }
    fn touch(&self, _name: &str, _seconds: u64) {}
    fn remove(&self, name: &str) {
        self.map().remove(name);
    }
}

/// What the steps share.
struct Stage {
    dir: PathBuf,
    clock: Arc<DemoClock>,
    sessions: Arc<DemoKeys>,
    used: Mutex<HashMap<String, u64>>,
}

impl Stage {
    /// A code that was not used before; time passes where this step's was.
    fn code(&self, member: &str) -> io::Result<String> {
        let uri = std::fs::read_to_string(self.dir.join(format!("{member}.otpauth")))?;
        let seed = Seed::parse(&uri).map_err(io::Error::other)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().unix_seconds();
        let step = (now / 30).max(used.get(member).map_or(0, |last| last + 1));
        let ahead = (step * 30).saturating_sub(now);
        self.clock.pass(i64::try_from(ahead).unwrap_or(0) * 1000);
        used.insert(member.to_owned(), step);
        Ok(seed.code(self.clock.now().unix_seconds()).0)
    }
}

/// The people at the prompts; what they see is kept to be shown.
struct People<'a> {
    stage: &'a Stage,
    shown: Vec<u8>,
}

impl Terminal for People<'_> {
    fn stdout_is_terminal(&self) -> bool {
        false
    }
    fn can_prompt(&self) -> bool {
        true
    }
    fn read_secret(&mut self, _prompt: &str) -> io::Result<Secret> {
        Ok(Secret::copy_of(PASSPHRASE.as_bytes()))
    }
    fn read_line(&mut self, prompt: &str) -> io::Result<String> {
        // "Two-factor code of NAME: " and "Code that the app shows for NAME: "
        self.stage.code(prompt.trim_end_matches(": ").rsplit(' ').next().unwrap_or(""))
    }
    fn read_stdin(&mut self) -> io::Result<Secret> {
        Ok(Secret::copy_of(b""))
    }
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.shown.extend_from_slice(bytes);
        Ok(())
    }
    fn say(&mut self, line: &str) {
        self.shown.extend_from_slice(line.as_bytes());
        self.shown.push(b'\n');
    }
    fn progress(&mut self, _what: &str, _total: u64) -> Progress {
        Progress::silent()
    }
}

/// The play.
struct Play<'a> {
    stage: &'a Stage,
    host: &'a dyn Host,
    entropy: Arc<dyn crate::agent::Entropy>,
    terminal: &'a mut dyn Terminal,
}

impl Play<'_> {
    fn play(&mut self) -> Result<(), Failure> {
        let dir = self.stage.dir.display().to_string();
        self.print(&format!(
            "A throw-away vault in {dir}; it is deleted at the end.\n\
             The clock is one the demo moves (it begins on 2026-03-02), and the demo answers the prompts.\n\
             To type along: export MANDATUM_VAULT={dir}/vault MANDATUM_STATE={dir}/state"
        ))?;
        std::fs::write(self.stage.dir.join("mandate.docx"), MANDATE)?;
        std::fs::write(self.stage.dir.join("facts.toml"), FACTS)?;
        super::init::write_private(&self.stage.dir.join("seed"), SEED.as_bytes())?;

        self.chapter("1. The agency makes a vault: an owner, a lead, a specialist")?;
        let (key, kit) = (self.file("epoch-key"), self.file("kit.txt"));
        self.step(
            "Olga",
            &[
                "init",
                "--owner",
                "Olga",
                "--epoch-key",
                &format!("file:{key}"),
                "--kit",
                &kit,
                "--otpauth-out",
                &self.file("Olga.otpauth"),
            ],
            0,
        )?;
        self.step("Olga", &["unlock"], 0)?;
        self.step(
            "Olga",
            &["member", "add", "Lena", "--role", "lead", "--otpauth-out", &self.file("Lena.otpauth")],
            0,
        )?;
        self.step(
            "Olga",
            &["member", "add", "Boris", "--role", "specialist", "--otpauth-out", &self.file("Boris.otpauth")],
            0,
        )?;

        self.chapter("2. Lena reads the signed mandate of a client, puts it in force, and adds the logins")?;
        self.step("Lena", &["unlock"], 0)?;
        let paper = self.file("mandate.docx");
        self.step("Lena", &["mandate", "import", &paper, "--operator", "Ромашка"], 0)?;
        self.step("Lena", &["mandate", "activate", "Ромашка", "--signed", "15.01.2026", "--yes"], 0)?;
        for (system, user) in [("CRM", "lead@romashka.example"), ("Tilda", "forms@romashka.example")] {
            let path = format!("Ромашка/{system}");
            self.step(
                "Lena",
                &["credential", "add", &path, "--user", user, "--generate", "--totp-file", &self.file("seed")],
                0,
            )?;
        }
        self.step(
            "Lena",
            &[
                "credential",
                "add",
                "Ромашка/Чат-бот",
                "--kind",
                "bot_token",
                "--generate",
                "46",
                "--because",
                "боту иначе не войти",
                "--no-totp",
                "у токена бота второго фактора нет",
            ],
            0,
        )?;

        self.step(
            "Lena",
            &[
                "credential",
                "add",
                "Ромашка/Яндекс Директ",
                "--kind",
                "delegated",
                "--user",
                "agency@yandex.example",
                "--totp-elsewhere",
                "Lena",
            ],
            0,
        )?;

        self.chapter("3. Boris gets one row until the end of March, and another one")?;
        self.step("Lena", &["grant", "Boris", "Ромашка/CRM", "--level", "просмотр", "--until", "31.03.2026"], 0)?;
        self.step("Lena", &["grant", "Boris", "Ромашка/Чат-бот", "--level", "ответы"], 0)?;
        self.print("  … and never more than the mandate allows:")?;
        self.step("Lena", &["grant", "Boris", "Ромашка/CRM", "--level", "admin"], 7)?;

        self.chapter("4. Boris works: a login, a code, and nothing that was not granted")?;
        self.step("Boris", &["unlock"], 0)?;
        self.step("Boris", &["fetch", "Ромашка/CRM", "--field", "password"], 0)?;
        self.step("Boris", &["code", "Ромашка/CRM"], 0)?;
        self.step("Boris", &["fetch", "Ромашка/Чат-бот", "--field", "token"], 0)?;
        self.step("Boris", &["fetch", "Ромашка/Яндекс Директ", "--field", "password"], 4)?;

        self.chapter("5. A backup is taken; then Lena revokes the bot")?;
        self.step("Olga", &["backup", &self.file("backup.db")], 0)?;
        self.step("Lena", &["revoke", "Boris", "Ромашка/Чат-бот"], 0)?;
        self.step("Boris", &["fetch", "Ромашка/Чат-бот", "--field", "token"], 3)?;

        self.chapter(
            "6. The clock passes midnight of 31 March in Moscow (the demo moves it): access is gone by itself",
        )?;
        self.stage.clock.pass(TERM_OVER - self.stage.clock.now().0);
        self.step("Boris", &["unlock"], 0)?;
        self.step("Boris", &["fetch", "Ромашка/CRM", "--field", "password"], 3)?;

        self.chapter("7. Somebody restores the old backup, in which Boris still had both: it stays gone")?;
        self.step("Olga", &["restore", &self.file("backup.db"), "--kit", &kit, "--yes"], 0)?;
        self.step("Boris", &["unlock"], 0)?;
        self.step("Boris", &["fetch", "Ромашка/Чат-бот", "--field", "token"], 3)?;
        self.step("Boris", &["fetch", "Ромашка/CRM", "--field", "password"], 3)?;
        self.print("  … while Lena's access, which nobody took, goes on:")?;
        self.step("Lena", &["unlock"], 0)?;
        self.step("Lena", &["fetch", "Ромашка/CRM", "--field", "user"], 0)?;

        self.chapter("8. What the client receives: who had access, when, why; checked without the vault")?;
        self.step("Lena", &["exposure", "Ромашка"], 0)?;
        self.step("Lena", &["extract", "Ромашка", "--out", &self.file("extract.jsonl")], 0)?;
        self.step("Lena", &["verify", &self.file("extract.jsonl")], 0)?;

        self.chapter("9. The contract ends")?;
        self.step("Lena", &["mandate", "end", "Ромашка", "--yes"], 0)?;
        self.step("Lena", &["fetch", "Ромашка/CRM", "--field", "password"], 3)?;
        self.print("  … and is settled in three legs: the platforms, the vault, copies outside:")?;
        self.step("Lena", &["mandate", "close", "Ромашка", "--yes"], 7)?;
        let how = "пользователи отключены, пароли и токен сменил оператор";
        self.step(
            "Lena",
            &["mandate", "revoked", "Ромашка", "--all", "--how", how, "--by", "Тестов Т. Т., Ромашка"],
            0,
        )?;
        self.step("Lena", &["mandate", "choice", "Ромашка", "delete", "--by", "Тестов Т. Т."], 0)?;
        self.step("Lena", &["mandate", "copies", "Ромашка", "--none", "--by", "Примерова О. О."], 0)?;
        let papers = self.file("closing");
        self.step(
            "Lena",
            &["document", "Ромашка", "closing", "--out", &papers, "--facts", &self.file("facts.toml")],
            0,
        )?;
        self.step("Lena", &["mandate", "close", "Ромашка", "--yes"], 0)?;
        self.step("Olga", &["unlock"], 0)?;
        self.step("Olga", &["verify"], 0)?;
        self.keep(&papers)?;
        self.print("\nThat is the main job. Begin your own: mandatum init --owner NAME --kit FILE")
    }

    /// The closing act stays where the demo was started, if there is room for a directory of that name.
    fn keep(&mut self, papers: &str) -> Result<(), Failure> {
        let kept = Path::new("mandatum-demo");
        if kept.exists() {
            return self.print("\nThe closing act of an earlier demo is in ./mandatum-demo; this one is not kept.");
        }
        std::fs::create_dir(kept)?;
        for entry in std::fs::read_dir(papers)? {
            let entry = entry?;
            std::fs::copy(entry.path(), kept.join(entry.file_name()))?;
        }
        self.print("\nThe closing act and its enclosures are in ./mandatum-demo.")
    }

    fn file(&self, name: &str) -> String {
        self.stage.dir.join(name).display().to_string()
    }

    fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.terminal.out(format!("{text}\n").as_bytes())?;
        Ok(())
    }

    fn chapter(&mut self, title: &str) -> Result<(), Failure> {
        self.print(&format!("\n{title}"))
    }

    /// Runs one command as a member, shows it with what it printed, and holds it to its exit code.
    fn step(&mut self, member: &str, args: &[&str], expected: u8) -> Result<(), Failure> {
        let plain = |word: &&str| {
            if word.chars().all(|c| c.is_alphanumeric() || "-_./:@".contains(c)) {
                (*word).to_owned()
            } else {
                format!("'{word}'")
            }
        };
        let words: Vec<String> = args.iter().map(plain).collect();
        self.print(&format!("\n  $ mandatum --member {member} {}", words.join(" ")))?;
        let (code, shown) = self.run(member, args)?;
        for line in String::from_utf8_lossy(&shown).lines() {
            self.print(&format!("    {line}"))?;
        }
        if code != 0 {
            self.print(&format!("    (exit code {code})"))?;
        }
        if code == expected {
            return Ok(());
        }
        Err(Failure::unexpected(format!(
            "this step was to end with exit code {expected}, not {code}: the demo stops here"
        )))
    }

    fn run(&mut self, member: &str, args: &[&str]) -> Result<(u8, Vec<u8>), Failure> {
        let place = |name: &str| Path::new(&self.stage.dir).join(name).into_os_string();
        let mut all = vec!["mandatum".into(), "--vault".into(), place("vault"), "--state".into(), place("state")];
        all.extend(["--member", member].iter().chain(args).map(std::ffi::OsString::from));
        let cli = Cli::parse_args(all).map_err(|_| Failure::unexpected("a command of the demo does not parse"))?;
        let mut people = People { stage: self.stage, shown: Vec::new() };
        let clock = Arc::clone(&self.stage.clock);
        let wait = |duration: std::time::Duration| clock.pass(i64::try_from(duration.as_millis()).unwrap_or(0));
        let mut edge = Edge {
            host: self.host,
            clock: Arc::clone(&self.stage.clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&self.entropy),
            session_keys: Arc::clone(&self.stage.sessions) as Arc<dyn SessionKeys>,
            terminal: &mut people,
            wait: &wait,
            wire: crate::agent::revocation::Wire::new,
            reach: &super::over_network,
            hand_over: std::process::Command::status,
            demo: None,
        };
        let code = cli.run(&mut edge);
        Ok((code, people.shown))
    }
}
