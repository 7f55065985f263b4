//! The vaults: built through the library's own API, then left to processes of their own.

use crate::measure::cold;
use mandatum::agent::{
    Entropy, Fields, Identity, Kit, NewSecret, Program, Secret, Seed, System, Topic, identity_path, new_kit,
};
use mandatum::anchor::{EpochKeys, FileKeys};
use mandatum::api::{self, EnrolLoad, EpochKeyPlace, Founding, Host, MandateView, MemberAddAsk, Places, RowSpec};
use mandatum::host::{LocalHost, SystemClock};
use mandatum::model::{
    Clock, CredentialFacts, CredentialId, Date, Digest, GrantFacts, GrantId, GrantOrigin, Instant, Jurisdiction, Kind,
    Level, Name, NewVersion, Role, Row, SecondFactor, Strength, Text, Uptime, VaultId, Zone,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant as Moment};

/// The program that is measured.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_mandatum");
/// Credentials of one mandate, each under a row of its own.
pub const PER_MANDATE: usize = 100;
/// The owner, who leads every mandate too.
pub const OWNER: &str = "Olga";
const PASSPHRASE: &str = "correct horse battery staple orbit";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The days from today on which rows end, and mandates.
const ROW_DAYS: i64 = 30;
const MANDATE_DAYS: i64 = 300;

/// A clock that runs behind the machine's, so that the past has room for every code that building a vault takes.
struct Late {
    behind: AtomicI64,
}

impl Clock for Late {
    fn now(&self) -> Instant {
        SystemClock.now().plus(-self.behind.load(Ordering::SeqCst))
    }
    fn uptime(&self) -> Uptime {
        let Uptime { boot, ms } = SystemClock.uptime();
        Uptime { boot, ms: ms - self.behind.load(Ordering::SeqCst) }
    }
}

struct Person {
    name: String,
    seed: Seed,
    used: u64,
}

/// A vault in a directory of its own, with its owner at work in this process.
pub struct Office {
    dir: tempfile::TempDir,
    clock: Arc<Late>,
    vault: VaultId,
    people: Vec<Person>,
    views: Vec<MandateView>,
    /// The owner's program with the opened database; gone once the vault is measured from outside.
    program: Option<Program>,
}

impl Office {
    pub fn found(what: &str) -> Self {
        eprintln!("a vault: {what} …");
        let dir = tempfile::tempdir().expect("a directory");
        private(&dir.path().join("passphrase"), PASSPHRASE);
        let clock = Arc::new(Late { behind: AtomicI64::new(2 * 60 * 60 * 1000) });
        let host = LocalHost { clock: Arc::clone(&clock) as Arc<dyn Clock>, entropy: Arc::new(System), keys: None };
        let places = places(dir.path());
        let key = EpochKeyPlace::File(dir.path().join("epoch-key"));

        let kit = new_kit(&System);
        host.prepare(&places, kit.vault, &key).expect("prepared");
        let name = Name::parse(OWNER).expect("a name");
        let identity = Identity::generate(kit.vault, kit.root.public(), name, &System);
        let mut owner = Person { name: OWNER.into(), seed: Seed::generate(&System), used: 0 };
        let founding = Founding {
            vault: kit.vault,
            zone: Zone::parse("Europe/Moscow").expect("a zone"),
            recovery: kit.recovery.recipient(),
            admission: kit.admit(identity.signed_bundle(), BTreeSet::from([Role::Owner])),
            reuse_key: Kit::fresh_reuse_key(&identity, &System).expect("wrapped"),
            seed: owner.seed.encode().expose().to_vec().into(),
            code: owner.late_code(&clock),
            sign_charter: Box::new(move |charter| kit.root.sign(Topic::Charter, charter)),
        };
        host.found(&places, &key, founding).expect("founded");
        identity.save(&places.identities(), &passphrase(), &System).expect("saved");
        let (gate, vault) = (host.gate(&places).expect("a gate"), identity.vault);
        let mut program = Program::new(gate, identity, &places.state, Arc::new(System));
        program.unlock(owner.late_code(&clock), 8 * 60 * 60 * 1000).expect("unlocked");
        let token = program.step_up(owner.late_code(&clock)).expect("stepped up");
        let lines = program.ask::<api::MemberListCall>(None, None, api::Nothing {}).expect("listed");
        let roles = BTreeSet::from([Role::Owner, Role::Lead]);
        let (admission, reuse_keys) = program.admit_again(lines[0].member, roles).expect("signed");
        let ask = api::MemberRoleAsk { member: lines[0].member, admission, reuse_keys };
        program.ask::<api::MemberRoleCall>(None, Some(token), ask).expect("made a lead");
        Self { dir, clock, vault, people: vec![owner], views: Vec::new(), program: Some(program) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn program(&self) -> &Program {
        self.program.as_ref().expect("at work in this process")
    }

    pub fn open_mandate(&mut self, number: usize, rows: usize) {
        let row = |row: usize| RowSpec {
            system: name(&system(row)),
            category: text("CRM"),
            platform: text("amoCRM"),
            data: vec![text("contacts")],
            levels: BTreeSet::from([Level::View, Level::Edit]),
            purposes: vec![text("lead handling")],
            from: None,
            until: Some(self.date(ROW_DAYS)),
            grant_days: None,
        };
        let ask = api::MandateOpenAsk {
            operator: name(&operator(number)),
            contract: text(&format!("{number}/2026")),
            signed: self.date(-ROW_DAYS),
            until: self.date(MANDATE_DAYS),
            zone: None,
            jurisdiction: Jurisdiction::Ru,
            lead: None,
            rows: (0..rows).map(row).collect(),
        };
        self.program().ask::<api::MandateOpenCall>(None, None, ask).expect("opened");
        self.views.push(self.program().mandate(text(&operator(number))).expect("shown"));
    }

    /// A credential under each row; the first row's has a second factor.
    pub fn fill(&mut self, number: usize, count: usize) {
        let rows = self.views[number].mandate.rows.iter().take(count);
        let fresh = |(index, row): (usize, &Row)| {
            let secret = Secret::new(random_text().into_bytes());
            let version = NewVersion {
                number: 1,
                ct: Digest([0; 32]),
                tag: self.program().reuse_tag(&secret).expect("tagged"),
                strength: Strength::Random,
                allowed_weak: None,
            };
            let seed = (index == 0).then(|| Seed::generate(&System).encode());
            let facts = CredentialFacts {
                id: CredentialId(random_id()),
                row: row.id,
                name: Text::default(),
                kind: Kind::Login,
                account: text("crm@operator.test"),
                url: text("https://crm.operator.test/login"),
                second_factor: if seed.is_some() { SecondFactor::On } else { SecondFactor::Unknown },
                revocation: None,
                because: None,
                version: Some(version),
            };
            NewSecret { facts, fields: Some(Fields::default().with("password", secret)), seed }
        };
        let new = rows.enumerate().map(fresh).collect();
        self.program().add_credentials(self.views[number].mandate.unit, new).expect("stored");
    }

    pub fn admit(&mut self, member: &str, role: Role) {
        let me = self.program().identity();
        let identity = Identity::generate(me.vault, me.root, name(member), &System);
        let newcomer = self.program().admit(identity, BTreeSet::from([role])).expect("admitted");
        newcomer.identity.save(&places(self.dir.path()).identities(), &passphrase(), &System).expect("saved");
        let mut person = Person { name: member.into(), seed: Seed::generate(&System), used: 0 };
        let owners = self.people[0].late_code(&self.clock);
        let token = self.program().step_up(owners).expect("stepped up");
        let load = EnrolLoad { seed: person.seed.encode().expose().to_vec(), code: person.late_code(&self.clock) };
        let ask = MemberAddAsk { admission: newcomer.admission, reuse_key: newcomer.reuse_key };
        self.program().send::<api::MemberAddCall>(None, Some(token), ask, &load).expect("added");
        self.people.push(person);
    }

    pub fn grant(&mut self, member: &str, mandate: usize, row: usize) {
        let lines = self.program().ask::<api::MemberListCall>(None, None, api::Nothing {}).expect("listed");
        let member = lines.iter().find(|line| line.name.same(member)).expect("a member").member;
        let mandate = &self.views[mandate].mandate;
        let row = &mandate.rows[row];
        let facts = GrantFacts {
            id: GrantId(random_id()),
            member,
            row: row.id,
            levels: row.terms.levels.clone(),
            purposes: row.terms.purposes.clone(),
            term: row.terms.term,
            origin: GrantOrigin::Given,
        };
        let found = self.program().locate(text(mandate.operator.as_str()), text(row.system.as_str()), None, true);
        self.program().grant(mandate.unit, facts, None, &found.expect("located")).expect("granted");
    }

    /// Leaves the vault to processes of its own, and begins a session as a person would.
    pub fn unlock(&mut self) {
        self.program = None;
        let code = self.code_now(OWNER);
        let mut command = self.command(OWNER);
        command.arg("--passphrase-file").arg(self.path("passphrase")).args(["--otp-command", &format!("echo {code}")]);
        cold(command.arg("unlock"));
    }

    /// A code of the machine's own time that was not used before; waits for one where there is none.
    pub fn code_now(&mut self, member: &str) -> String {
        let person = self.people.iter_mut().find(|person| person.name == member).expect("a member");
        loop {
            if let Some(code) = person.code_at(SystemClock.now()) {
                return code;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    pub fn load(&self, member: &str) -> Identity {
        let path = identity_path(&places(self.dir.path()).identities(), self.vault, &name(member));
        Identity::load(&path, &passphrase()).expect("loaded")
    }

    pub fn command(&self, member: &str) -> Command {
        let (mut command, places) = (Command::new(PROGRAM), places(self.dir.path()));
        command.arg("--vault").arg(places.vault).arg("--state").arg(places.state).args(["--member", member]);
        command
    }

    /// A command that asks for a fresh code.
    pub fn stepped_up(&mut self, args: &[&str]) -> Command {
        let code = self.code_now(OWNER);
        let mut command = self.command(OWNER);
        command.args(["--otp-command", &format!("echo {code}")]).args(args);
        command
    }

    pub fn fetch(&self, mandate: usize, row: usize) -> Command {
        let mut command = self.command(OWNER);
        command.args(["fetch", "--field", "password", &path(mandate, row)]);
        command
    }

    pub fn code(&self, mandate: usize) -> Command {
        let mut command = self.command(OWNER);
        command.args(["code", &path(mandate, 0)]);
        command
    }

    /// Sweeps a copy of this vault after the rows' last day; gives back how many grants were swept, and how many the
    /// next sweep finds.
    pub fn swept_copy(&self, number: usize) -> (Duration, (usize, usize)) {
        let copy = self.path(&format!("copy-{number}"));
        for part in ["vault", "state"] {
            copy_dir(&self.path(part), &copy.join(part));
        }
        fs::copy(self.path("epoch-key"), copy.join("epoch-key")).expect("copied");
        let clock = Arc::new(Late { behind: AtomicI64::new(-(ROW_DAYS + 2) * DAY_MS) });
        let keys = Some(Arc::new(FileKeys::new(copy.join("epoch-key"))) as Arc<dyn EpochKeys>);
        let host = LocalHost { clock: Arc::clone(&clock) as Arc<dyn Clock>, entropy: Arc::new(System), keys };
        let gate = host.gate(&places(&copy)).expect("a gate");
        let begun = Moment::now();
        gate.hello().expect("swept");
        let cost = begun.elapsed();

        let mut program = Program::new(gate, self.load(OWNER), &copy.join("state"), Arc::new(System));
        let code = self.people[0].seed.code(clock.now().unix_seconds()).0;
        program.unlock(code, DAY_MS).expect("unlocked");
        let sweep = || program.ask::<api::SweepCall>(None, None, api::Nothing {}).expect("swept");
        let left = sweep();
        let shown = (0..self.views.len()).map(|number| program.mandate(text(&operator(number))).expect("shown"));
        let over = shown.flat_map(|view| view.mandate.grants).filter(|grant| grant.destroyed.is_some()).count();
        (cost, (over, usize::try_from(left.expired).unwrap_or(usize::MAX)))
    }

    fn date(&self, days: i64) -> Date {
        let text = SystemClock.now().plus(days * DAY_MS).to_string();
        text[..10].parse().expect("a date")
    }
}

impl Person {
    /// A code by a clock that is moved where the next code is not in reach.
    fn late_code(&mut self, clock: &Late) -> String {
        loop {
            if let Some(code) = self.code_at(clock.now()) {
                return code;
            }
            clock.behind.fetch_sub(30_000, Ordering::SeqCst);
        }
    }

    /// The earliest code after the last one used that a broker still or already takes.
    fn code_at(&mut self, now: Instant) -> Option<String> {
        let current = now.unix_seconds() / 30;
        let step = (self.used + 1).max(current - 1);
        if step > current + 1 {
            return None;
        }
        self.used = step;
        Some(self.seed.code(step * 30).0)
    }
}

pub fn operator(number: usize) -> String {
    format!("Operator {number:04}")
}

pub fn system(number: usize) -> String {
    format!("System {number:02}")
}

pub fn path(mandate: usize, row: usize) -> String {
    format!("{}/{}", operator(mandate), system(row))
}

fn places(dir: &Path) -> Places {
    Places { vault: dir.join("vault"), state: dir.join("state") }
}

fn passphrase() -> Secret {
    Secret::copy_of(PASSPHRASE.as_bytes())
}

pub fn text(text: &str) -> Text {
    Text::parse(text).expect("a text")
}

fn name(name: &str) -> Name {
    Name::parse(name).expect("a name")
}

fn random_id() -> [u8; 16] {
    let mut bytes = [0; 16];
    System.fill(&mut bytes);
    bytes
}

pub fn random_text() -> String {
    CredentialId(random_id()).to_string().chars().take(24).collect()
}

fn private(path: &Path, content: &str) {
    fs::write(path, content).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("made private");
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("made private");
    for entry in fs::read_dir(from).expect("read").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

pub fn import_lines(mandates: usize) -> String {
    let mut lines = String::new();
    for (mandate, row) in (0..mandates).flat_map(|mandate| (0..PER_MANDATE).map(move |row| (mandate, row))) {
        let line = serde_json::json!({
            "operator": operator(mandate), "system": system(row), "secret": random_text(),
            "user": "crm@operator.test", "url": "https://crm.operator.test/login",
        });
        let _ = writeln!(lines, "{line}");
    }
    lines
}
