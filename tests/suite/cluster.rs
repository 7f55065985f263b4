//! A PostgreSQL server of the tests' own: made from the installed programs, in a directory of its own, as an account
//! without rights, and gone when the test process is, however that ends.

use crate::skip::skip;
use postgres::{Client, NoTls};
use std::cell::Cell;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

thread_local! {
    static ON_POSTGRES: Cell<bool> = const { Cell::new(false) };
}

/// Runs a test with every vault it makes on PostgreSQL; loudly not at all where the server is not installed.
pub fn on_postgres(test: impl FnOnce()) {
    if shared().is_some() {
        ON_POSTGRES.set(true);
        test();
        ON_POSTGRES.set(false);
    }
}

/// A database for a new vault, if this test runs on PostgreSQL.
pub fn database_of_this_test() -> Option<Database> {
    ON_POSTGRES.get().then(|| shared().unwrap().database())
}

/// The one server of this process that tests share.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&[])).as_ref()
}

/// Runs the server it was given and waits for it; stops it when its input ends, which it does when this process ends.
/// It clears the server's directory away, unless the server was killed: then it is to be started again.
const KEEPER: &str = r#"exec 3<&0
"$@" >>"$HOME/log" 2>&1 3<&- &
server=$!
(cat <&3 >/dev/null; kill -QUIT $server 2>/dev/null) &
wait $server
[ $? = 137 ] || rm -rf "$HOME""#;

pub struct Cluster {
    bin: PathBuf,
    dir: PathBuf,
    pub port: u16,
    settings: Vec<String>,
    keeper: Option<Child>,
}

impl Cluster {
    /// A new server with settings beside its own; `None`, and a loud word, where none is installed.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(std::env::var_os("MANDATUM_TEST_POSTGRES").is_none(), "PostgreSQL's server must be installed here");
            skip("PostgreSQL's server (initdb, postgres) is not installed");
            return None;
        };
        let mut cluster = Self::at(bin, settings);
        let initdb = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N", "-D"];
        let made = cluster.command("initdb").args(initdb).arg(cluster.dir.join("data")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.run();
        // What a vault gets: a role without rights beyond its own database.
        cluster.admin("postgres").batch_execute("CREATE ROLE vault LOGIN").unwrap();
        Some(cluster)
    }

    /// A replica of this server.
    pub fn replica(&self) -> Self {
        let mut replica = Self::at(self.bin.clone(), &[]);
        let mut copy = replica.command("pg_basebackup");
        copy.args(["-R", "-X", "stream", "-c", "fast", "-U", "postgres", "-h", "127.0.0.1"]);
        copy.arg("-p").arg(self.port.to_string()).arg("-D").arg(replica.dir.join("data"));
        let copied = copy.output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        replica.run();
        replica
    }

    fn at(bin: PathBuf, settings: &[&str]) -> Self {
        // In memory where there is a file system of it; what is fsynced survives a killed server there as well.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap().keep();
        if is_root() {
            assert!(Command::new("chown").arg("nobody").arg(&dir).status().unwrap().success());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = settings.iter().map(ToString::to_string).collect();
        Self { bin, dir, port, settings, keeper: None }
    }

    /// A command as an account without rights: PostgreSQL refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env("HOME", &self.dir).current_dir(&self.dir);
        command
    }

    fn run(&mut self) {
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.dir.join("data")).arg("-k").arg(&self.dir).arg("-p").arg(self.port.to_string());
        server.args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "max_connections=200",
            "-c",
            "dynamic_shared_memory_type=mmap",
        ]);
        self.settings.iter().for_each(|setting| {
            server.arg("-c").arg(setting);
        });
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg("keeper").arg(server.get_program()).args(server.get_args());
        keeper.env("HOME", &self.dir).current_dir(&self.dir).stdin(Stdio::piped());
        self.keeper = Some(keeper.spawn().unwrap());
        let ready = || Client::connect(&self.address("postgres", "postgres"), NoTls).is_ok();
        for _ in 0..200 {
            if ready() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}", std::fs::read_to_string(self.dir.join("log")).unwrap_or_default());
    }

    /// As a power cut would leave it: no process of it writes another byte.
    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        // The children share its memory: they are killed as well, or they would flush what it had not.
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &pid]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let all: Vec<&str> = std::iter::once(pid.as_str()).chain(children.split_whitespace()).collect();
        assert!(Command::new("kill").arg("-KILL").args(&all).status().unwrap().success());
    }

    /// Starts it again on what is on its disk.
    pub fn start_again(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.wait().unwrap();
        }
        self.run();
    }

    pub fn address(&self, user: &str, database: &str) -> String {
        format!("host=127.0.0.1 port={} user={user} dbname={database}", self.port)
    }

    /// A superuser's connection.
    pub fn admin(&self, database: &str) -> Client {
        Client::connect(&self.address("postgres", database), NoTls).unwrap()
    }

    /// A new database that the vault's role owns.
    pub fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("vault_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        self.admin("postgres").batch_execute(&format!("CREATE DATABASE {name} OWNER vault")).unwrap();
        Database { address: self.address("vault", &name), admin: self.address("postgres", &name) }
    }

    /// A file that only the server's account can read.
    pub fn private_file(&self, name: &str, content: &str) {
        let path = self.dir.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        if is_root() {
            assert!(Command::new("chown").arg("nobody").arg(&path).status().unwrap().success());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// One vault's database on a server.
#[derive(Clone)]
pub struct Database {
    /// As the vault's role.
    pub address: String,
    /// As a superuser.
    pub admin: String,
}

pub const TABLES: [&str; 7] = ["meta", "units", "records", "secrets", "wraps", "seeds", "reuse"];

impl Database {
    pub fn admin(&self) -> Client {
        Client::connect(&self.admin, NoTls).unwrap()
    }

    pub fn store(&self) -> mandatum::store::Database {
        mandatum::store::Database::Postgres(mandatum::store::Address::parse(&self.address).unwrap())
    }

    /// Copies every table into a schema of its own, as an administrator's copy of the database is.
    pub fn keep(&self, name: &str) {
        let mut sql = format!("DROP SCHEMA IF EXISTS \"{name}\" CASCADE; CREATE SCHEMA \"{name}\";");
        for table in TABLES {
            sql += &format!("CREATE TABLE \"{name}\".{table} AS TABLE mandatum.{table};");
        }
        self.admin().batch_execute(&sql).unwrap();
    }

    /// Puts the rows of a kept copy in place of those that are there.
    pub fn put_back(&self, name: &str) {
        let mut sql = String::from("BEGIN;");
        for table in TABLES {
            sql += &format!("DELETE FROM mandatum.{table}; INSERT INTO mandatum.{table} TABLE \"{name}\".{table};");
        }
        self.admin().batch_execute(&(sql + "COMMIT;")).unwrap();
    }

    /// Every row of the vault, as text.
    pub fn rows(&self) -> Vec<u8> {
        let mut admin = self.admin();
        let mut all = String::new();
        for table in TABLES {
            let sql = format!("SELECT t::text FROM mandatum.{table} AS t ORDER BY 1");
            admin.query(&sql, &[]).unwrap().iter().for_each(|row| all += row.get(0));
        }
        all.into_bytes()
    }

    pub fn has_schema(&self, name: &str) -> bool {
        self.admin().query_opt("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&name]).unwrap().is_some()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The directory of the server's programs: where Debian puts them, or in PATH.
fn programs() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|e| e.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all: Vec<PathBuf> = debian.chain(std::env::split_paths(&path)).collect();
    all.retain(|dir| ["initdb", "postgres"].iter().all(|program| Path::new(&dir.join(program)).exists()));
    all.into_iter().next()
}
