//! What every command works with: options, the terminal, and the way to an unlocked member.

use super::failure::Failure;
use super::terminal::{Terminal, trim_secret};
use crate::agent::revocation::Wire;
use crate::agent::{
    AgentError, Entropy, Identity, Profile, Program, RemoteGate, Secret, Session, SessionKeys, Sessions, identity_path,
};
use crate::api::{Gate, Host, Places};
use crate::model::{Blob, Clock, Date, Deny, Instant, Name, Nonce, SessionId, Text, VaultId, Zone};
use crate::paperwork::Lang;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A session that only spans one command, ms.
const ONE_COMMAND_MS: i64 = 5 * 60 * 1000;
/// The longest answer a passphrase or code command may give, bytes.
const ANSWER_MAX: usize = 4096;

/// Options of every command.
#[derive(clap::Args, Clone, Default)]
pub struct Global {
    /// The vault's directory [default: $XDG_DATA_HOME/mandatum/default]
    #[arg(long, env = "MANDATUM_VAULT", value_name = "DIR", global = true, hide_env_values = true)]
    pub vault: Option<PathBuf>,
    /// The state directory [default: $XDG_STATE_HOME/mandatum/<name of the vault's directory>]
    #[arg(long, env = "MANDATUM_STATE", value_name = "DIR", global = true, hide_env_values = true)]
    pub state: Option<PathBuf>,
    /// Work with a broker elsewhere, under the name you joined it by
    #[arg(long, env = "MANDATUM_PROFILE", value_name = "NAME", value_parser = parse_profile, global = true, hide_env_values = true)]
    pub profile: Option<String>,
    /// Where that broker is now, in place of what the profile says; its key and its vault stay the profile's
    #[arg(long, env = "MANDATUM_BROKER", value_name = "URL", global = true, hide_env_values = true)]
    pub broker: Option<String>,
    /// Who you are [default: who is unlocked here]
    #[arg(long, env = "MANDATUM_MEMBER", value_name = "NAME", global = true, hide_env_values = true)]
    pub member: Option<Name>,
    /// Read the passphrase from a file instead of asking
    #[arg(long, env = "MANDATUM_PASSPHRASE_FILE", value_name = "FILE", global = true, hide_env_values = true)]
    pub passphrase_file: Option<PathBuf>,
    /// Run a command that prints the passphrase (no shell)
    #[arg(long, value_name = "CMD", global = true)]
    pub passphrase_command: Option<String>,
    /// Run a command that prints a current two-factor code (no shell)
    #[arg(long, env = "MANDATUM_OTP_COMMAND", value_name = "CMD", global = true, hide_env_values = true)]
    pub otp_command: Option<String>,
    /// Print JSON with documented fields
    #[arg(long, global = true)]
    pub json: bool,
    /// Language of texts for people: ru or en [default: from the locale]
    #[arg(long, value_parser = parse_lang, global = true)]
    pub lang: Option<Lang>,
    /// The agency's own platforms.toml, law_ru.toml, law_eu.toml, wording.toml, agency.toml [default: $XDG_CONFIG_HOME/mandatum]
    #[arg(long, env = "MANDATUM_DATA", value_name = "DIR", global = true, hide_env_values = true)]
    pub data: Option<PathBuf>,
    /// Answer yes to every question
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
}

fn parse_lang(text: &str) -> Result<Lang, String> {
    match text {
        "ru" => Ok(Lang::Ru),
        "en" => Ok(Lang::En),
        _ => Err("write ru or en".into()),
    }
}

/// A name that is one directory.
fn parse_profile(name: &str) -> Result<String, String> {
    let fits = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if fits { Ok(name.to_owned()) } else { Err("write a name such as 'work', without slashes".into()) }
}

/// What the program is wired to: the machine's own in `main`, others in the demo and in tests.
pub struct Edge<'a> {
    /// The host with the broker.
    pub host: &'a dyn Host,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where session keys live.
    pub session_keys: Arc<dyn SessionKeys>,
    /// Prompts and output.
    pub terminal: &'a mut dyn Terminal,
    /// Waits, when the next two-factor code is needed.
    pub wait: &'a dyn Fn(Duration),
    /// How tokens are revoked over the network.
    pub wire: fn() -> Wire,
    /// Reaches the broker of a profile.
    pub reach: &'a Reach<'a>,
    /// Hands over to a command.
    pub hand_over: HandOver,
    /// Makes an edge with another clock, for the demo: what it runs is this program on its own vault.
    pub demo: Option<&'a DemoEdge>,
}

/// Reaches the broker of a profile.
pub type Reach<'a> = dyn Fn(&Profile) -> Result<Arc<dyn Gate>, AgentError> + 'a;

/// Reaches the broker of a profile where it is served.
///
/// # Errors
/// The profile names no place this program can reach.
pub fn over_network(profile: &Profile) -> Result<Arc<dyn Gate>, AgentError> {
    Ok(Arc::new(RemoteGate::new(profile)?))
}

/// Hands over to a command: gives back how it ended, or why it never began.
pub type HandOver = fn(&mut Command) -> io::Result<ExitStatus>;

/// Becomes the command, so that no process keeps what this one knew; runs it where a process cannot become another.
///
/// # Errors
/// It cannot be run.
pub fn hand_over(command: &mut Command) -> io::Result<ExitStatus> {
    #[cfg(unix)]
    return Err(std::os::unix::process::CommandExt::exec(command));
    #[cfg(not(unix))]
    command.status()
}

/// Runs work against a host with a given clock.
pub type DemoEdge = dyn Fn(Arc<dyn Clock>, &mut dyn FnMut(&dyn Host));

/// One command under way.
pub struct Context<'a, 'b> {
    /// Options.
    pub global: Global,
    /// What the program is wired to.
    pub edge: &'a mut Edge<'b>,
}

impl<'a, 'b> Context<'a, 'b> {
    /// For one command.
    pub fn new(global: Global, edge: &'a mut Edge<'b>) -> Self {
        Self { global, edge }
    }

    /// The terminal.
    pub fn terminal(&mut self) -> &mut dyn Terminal {
        &mut *self.edge.terminal
    }

    /// Says a line to standard error.
    pub fn say(&mut self, line: &str) {
        self.edge.terminal.say(line);
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.edge.clock.now()
    }

    /// Where the vault is.
    ///
    /// # Errors
    /// Usage where no home directory is known.
    pub fn places(&self) -> Result<Places, Failure> {
        use etcetera::BaseStrategy;
        let base = || {
            etcetera::choose_base_strategy()
                .map_err(|_| Failure::usage("no home directory is known; name the vault with --vault and --state"))
        };
        let vault = match (&self.global.vault, &self.global.profile) {
            (Some(_), Some(_)) => {
                return Err(Failure::usage(
                    "a vault's directory and a profile are both named; give --vault or --profile",
                ));
            }
            (Some(vault), None) => std::path::absolute(vault)?,
            (None, profile) => {
                let name = profile.as_deref().unwrap_or("default");
                base()?.data_dir().join("mandatum").join(name)
            }
        };
        let state = match &self.global.state {
            Some(state) => std::path::absolute(state)?,
            None => {
                let base = base()?;
                let dir = base.state_dir().unwrap_or_else(|| base.data_dir());
                dir.join("mandatum").join(vault.file_name().unwrap_or("default".as_ref()))
            }
        };
        Ok(Places { vault, state })
    }

    /// Where the vault is, for what needs its files.
    ///
    /// # Errors
    /// Usage where only a profile is there: the files are on the broker's machine.
    pub fn vault_places(&self) -> Result<Places, Failure> {
        let places = self.places()?;
        if self.profile(&places)?.is_some() {
            let sentence = format!(
                "{} is a profile of a broker elsewhere; this works on the vault's own files, on the broker's machine",
                places.vault.display()
            );
            return Err(Failure::usage(sentence));
        }
        Ok(places)
    }

    /// The way to the broker: to that of the profile which stands there, or to the one in this process.
    ///
    /// # Errors
    /// Input where there is neither.
    pub fn gate(&self, places: &Places) -> Result<Arc<dyn Gate>, Failure> {
        match self.profile(places)? {
            Some(profile) => Ok((self.edge.reach)(&profile)?),
            None => Ok(self.edge.host.gate(places)?),
        }
    }

    /// The vault's id, as the profile or the vault says it.
    ///
    /// # Errors
    /// Input where there is neither.
    pub fn vault_id(&self, places: &Places) -> Result<VaultId, Failure> {
        match self.profile(places)? {
            Some(profile) => Ok(profile.vault),
            None => Ok(self.edge.host.vault_id(places)?),
        }
    }

    fn profile(&self, places: &Places) -> Result<Option<Profile>, Failure> {
        let profile = Profile::read(&places.vault).map_err(|error| Failure::input("profile", error))?;
        match (profile, &self.global.broker) {
            (Some(mut profile), Some(broker)) => {
                profile.urls = vec![broker.clone()];
                Ok(Some(profile))
            }
            (None, Some(_)) => {
                let shown = places.vault.display();
                Err(Failure::usage(format!("--broker says where a profile's broker is, and {shown} is no profile")))
            }
            (profile, None) => Ok(profile),
        }
    }

    /// The language of texts for people: as asked for, or the locale's.
    pub fn lang(&self) -> Lang {
        let locale = || {
            ["LC_ALL", "LC_MESSAGES", "LANG"]
                .into_iter()
                .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
        };
        self.global.lang.unwrap_or_else(|| match locale() {
            Some(locale) if locale.starts_with("ru") => Lang::Ru,
            _ => Lang::En,
        })
    }

    /// Where the agency keeps its own data files, if anywhere.
    pub fn data_dir(&self) -> Option<PathBuf> {
        use etcetera::BaseStrategy;
        let own = || etcetera::choose_base_strategy().ok().map(|base| base.config_dir().join("mandatum"));
        self.global.data.clone().or_else(own)
    }

    /// The sessions of this machine.
    pub fn sessions(&self, places: &Places) -> Sessions {
        Sessions::new(&places.state, Arc::clone(&self.edge.session_keys))
    }

    /// An unlocked member: under the session that lives here, or by passphrase and code for this command.
    ///
    /// # Errors
    /// Authentication; usage that names the missing option where there is no terminal to ask on.
    pub fn program(&mut self) -> Result<Program, Failure> {
        self.unlocked().map(|(program, _)| program)
    }

    /// As [`Context::program`], with the session's remembered purposes.
    ///
    /// # Errors
    /// As [`Context::program`].
    pub fn unlocked(&mut self) -> Result<(Program, Option<Remembered>), Failure> {
        if let Some((program, remembered)) = self.session_here()? {
            return Ok((program, Some(remembered)));
        }
        let places = self.places()?;
        let mut program = self.prove(&places)?;
        self.with_code(&mut program, |program, code| program.unlock(code, ONE_COMMAND_MS).map(drop))?;
        Ok((program, None))
    }

    /// The member whose session lives here, if there is one.
    ///
    /// # Errors
    /// Input where there is no vault.
    pub fn session_here(&mut self) -> Result<Option<(Program, Remembered)>, Failure> {
        let places = self.places()?;
        let Some(session) = self.session(&places)? else { return Ok(None) };
        let gate = self.gate(&places)?;
        let Session { identity, id, until, idle_ms, reuse_key, purposes } = session;
        let remembered = Remembered { id, until, idle_ms, reuse_key: reuse_key.clone(), purposes };
        let program = Program::new(gate, identity, &places.state, Arc::clone(&self.edge.entropy));
        Ok(Some((program.under(id, reuse_key), remembered)))
    }

    /// A member proven by passphrase, not yet by code.
    ///
    /// # Errors
    /// Authentication.
    pub fn prove(&mut self, places: &Places) -> Result<Program, Failure> {
        let vault = self.vault_id(places)?;
        let path = self.identity_file(places, vault)?;
        let passphrase = self.passphrase("Passphrase", false)?;
        let identity = Identity::load(&path, &passphrase)?;
        let gate = self.gate(places)?;
        Ok(Program::new(gate, identity, &places.state, Arc::clone(&self.edge.entropy)))
    }

    fn session(&mut self, places: &Places) -> Result<Option<Session>, Failure> {
        let (sessions, now) = (self.sessions(places), self.now());
        match self.global.member.clone() {
            Some(member) => Ok(sessions.resume(self.vault_id(places)?, &member, now)),
            None => Ok(sessions.resume_only(now)),
        }
    }

    /// The identity file of `--member`, or the only one there is.
    ///
    /// # Errors
    /// Authentication where there is none; usage where there are several.
    pub fn identity_file(&self, places: &Places, vault: VaultId) -> Result<PathBuf, Failure> {
        if let Some(member) = &self.global.member {
            let path = identity_path(&places.identities(), vault, member);
            let missing = || Failure::authentication(format!("there is no identity of '{member}' here; see --member"));
            return if path.exists() { Ok(path) } else { Err(missing()) };
        }
        let entries = std::fs::read_dir(places.identities()).into_iter().flatten().flatten();
        let mut files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "id"));
        match (files.next(), files.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Failure::authentication("there is no identity here; 'mandatum init' makes the owner's")),
            _ => Err(Failure::usage(
                "several members have an identity here; say who you are with --member NAME, or 'mandatum unlock'",
            )),
        }
    }

    /// The member's passphrase: from the options, or asked for; twice where it is new.
    ///
    /// # Errors
    /// Usage that names the options; input where the two differ.
    pub fn passphrase(&mut self, what: &str, new: bool) -> Result<Secret, Failure> {
        if let Some(path) = self.global.passphrase_file.clone() {
            return read_secret_file(&path);
        }
        if let Some(command) = self.global.passphrase_command.clone() {
            return answer_of(&command).map(Secret::new);
        }
        if !self.edge.terminal.can_prompt() {
            let options = "--passphrase-file FILE or --passphrase-command CMD";
            return Err(Failure::usage(format!("there is no terminal to ask for the passphrase on; give {options}")));
        }
        self.ask_passphrase(what, new)
    }

    /// Asks for a passphrase on the terminal; a new one twice, and not an easy one.
    ///
    /// # Errors
    /// Input where the two differ, or it is easy to guess.
    pub fn ask_passphrase(&mut self, what: &str, new: bool) -> Result<Secret, Failure> {
        let first = self.edge.terminal.read_secret(&format!("{what}: "))?;
        if new {
            check_passphrase(&first)?;
            let second = self.edge.terminal.read_secret(&format!("{what} once more: "))?;
            if first != second {
                return Err(Failure::input("passphrase", "the two are not the same; nothing was made"));
            }
        }
        Ok(first)
    }

    /// A current two-factor code.
    ///
    /// # Errors
    /// Usage that names the option.
    pub fn code(&mut self, prompt: &str) -> Result<String, Failure> {
        if let Some(command) = self.global.otp_command.clone() {
            let answer = Secret::new(answer_of(&command)?);
            return Ok(answer.expose_str().unwrap_or("").trim().to_owned());
        }
        if !self.edge.terminal.can_prompt() {
            return Err(Failure::usage("there is no terminal to ask for a two-factor code on; give --otp-command CMD"));
        }
        Ok(self.edge.terminal.read_line(&format!("{prompt}: "))?.trim().to_owned())
    }

    /// Does something with a code. Where a command gives the codes and this one was used already, waits for the next.
    ///
    /// # Errors
    /// Whatever the work returns.
    pub fn with_code<T>(
        &mut self,
        program: &mut Program,
        mut work: impl FnMut(&mut Program, String) -> Result<T, crate::agent::AgentError>,
    ) -> Result<T, Failure> {
        let prompt = format!("Two-factor code of {}", program.name());
        let mut tries = 0;
        loop {
            let code = self.code(&prompt)?;
            let done = work(program, code).map_err(Failure::from);
            let replayed = matches!(&done, Err(failure) if failure.deny() == Some(Deny::MfaReplayed));
            if !replayed || self.global.otp_command.is_none() || tries == 2 {
                return done;
            }
            tries += 1;
            let left = 30 - self.now().unix_seconds() % 30;
            self.say(&format!("that code was used already; waiting {left} s for the next one"));
            (self.edge.wait)(Duration::from_secs(left));
        }
    }

    /// A fresh code for one sensitive operation: the one just given for this command, or another.
    ///
    /// # Errors
    /// As [`Context::code`].
    pub fn step_up(&mut self, program: &mut Program) -> Result<Nonce, Failure> {
        match program.take_fresh() {
            Some(token) => Ok(token),
            None => self.with_code(program, |program, code| program.step_up(code)),
        }
    }

    /// Asks before something that cannot be taken back.
    ///
    /// # Errors
    /// Usage where it cannot be asked; unexpected where the answer is no.
    pub fn confirm(&mut self, question: &str) -> Result<(), Failure> {
        if self.global.yes {
            return Ok(());
        }
        if !self.edge.terminal.can_prompt() {
            return Err(Failure::usage(format!("{question} There is no terminal to ask on; give --yes")));
        }
        let answer = self.edge.terminal.read_line(&format!("{question} [y/N] "))?;
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "д" | "да") {
            Ok(())
        } else {
            Err(Failure::unexpected("not done"))
        }
    }

    /// A result: JSON where asked for, else text.
    ///
    /// # Errors
    /// Writing failed.
    pub fn result(&mut self, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut out = if self.global.json {
            serde_json::to_string_pretty(value).map_err(|error| Failure::unexpected(error.to_string()))?
        } else {
            text()
        };
        if !out.is_empty() {
            out.push('\n');
            self.edge.terminal.out(out.as_bytes())?;
        }
        Ok(())
    }
}

/// What a session holds beside its keys.
pub struct Remembered {
    id: SessionId,
    until: Instant,
    idle_ms: i64,
    reuse_key: Option<Blob>,
    purposes: Vec<(String, Text, Date)>,
}

impl Remembered {
    /// When the session ends at the latest.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// The purpose given today for this.
    pub fn purpose(&self, what: &str, today: Date) -> Option<Text> {
        let found = self.purposes.iter().find(|(key, _, day)| key == what && *day == today);
        found.map(|(_, purpose, _)| purpose.clone())
    }

    /// The session again, with one more purpose.
    pub fn with(mut self, program: Program, what: String, purpose: Text, day: Date) -> Session {
        self.purposes.retain(|(key, _, kept)| *key != what && *kept == day);
        self.purposes.push((what, purpose, day));
        let Self { id, until, idle_ms, reuse_key, purposes } = self;
        Session { identity: program.into_identity(), id, until, idle_ms, reuse_key, purposes }
    }
}

/// Today, for what is remembered for the day.
pub fn today(now: Instant) -> Result<Date, Failure> {
    Zone::utc().date_of(now).ok_or_else(|| Failure::unexpected("the clock shows no date"))
}

/// A new passphrase protects everything on this machine: easy ones are refused.
pub fn check_passphrase(passphrase: &Secret) -> Result<(), Failure> {
    let text = passphrase.expose_str().ok_or_else(|| Failure::input("passphrase", "is not text"))?;
    let estimate = super::strength::estimate(text, &["mandatum"]);
    if estimate.strength == crate::model::Strength::Weak {
        let sentence = format!("{}; take a sentence of five or more unrelated words", estimate.reason);
        return Err(Failure::input("passphrase", sentence));
    }
    Ok(())
}

/// A secret from a file that others cannot read, without its last line end.
///
/// # Errors
/// Input where the file is not there, is open to others, or is too long.
pub fn read_secret_file(path: &Path) -> Result<Secret, Failure> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|error| Failure::input("file", format!("{shown}: {error}")))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if meta.is_file() && meta.permissions().mode() & 0o077 != 0 {
            let sentence = format!("{shown} can be read by others; run 'chmod 600' on it");
            return Err(Failure::input("file", sentence));
        }
    }
    if meta.len() > 1024 * 1024 {
        return Err(Failure::input("file", format!("{shown} is longer than 1 MiB")));
    }
    Ok(trim_secret(Secret::new(std::fs::read(path)?)))
}

/// What a command prints, without its last line end. No shell: words and quotes only.
fn answer_of(command: &str) -> Result<Vec<u8>, Failure> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| Failure::usage("the command has an open quote, or is empty"))?;
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    let output = Command::new(&program)
        .args(words)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::usage(format!("'{program}' cannot be run: {error}")))?;
    if !output.status.success() || output.stdout.is_empty() || output.stdout.len() > ANSWER_MAX {
        return Err(Failure::usage(format!("'{program}' did not print an answer")));
    }
    Ok(trim_secret(Secret::new(output.stdout)).expose().to_vec())
}

impl From<crate::model::NameError> for Failure {
    fn from(error: crate::model::NameError) -> Self {
        Failure::input("name", error)
    }
}

impl From<crate::model::TermError> for Failure {
    fn from(error: crate::model::TermError) -> Self {
        Failure::input("date", error)
    }
}
