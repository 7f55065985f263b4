//! The real program, killed at its system calls: afterwards the vault is as before or as after, never between.
//!
//! Needs strace, oathtool and a kernel keyring that keeps a session; where one is missing the test says so loudly and
//! proves nothing.

use crate::support::{PASSPHRASE, copy_dir};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The calls that change files or make changes durable, and every how many of them a kill is tried.
const CALLS: [(&str, usize); 6] =
    [("fdatasync", 1), ("fsync", 1), ("rename", 1), ("unlink", 1), ("write", 2), ("pwrite64", 4)];
const OTP: &str = "oathtool -b --totp \"$(sed -e 's/.*secret=//' -e 's/&.*//' otpauth)\"\n";

struct Vault(tempfile::TempDir);

impl Vault {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("MANDATUM_VAULT", self.path("vault"))
            .env("MANDATUM_STATE", self.path("state"))
            .env("MANDATUM_PASSPHRASE_FILE", self.path("pw"))
            .env("MANDATUM_OTP_COMMAND", format!("sh {}", self.path("otp.sh").display()))
            .current_dir(self.0.path());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(crate::support::binary().to_str().unwrap()).args(line.split(' ')).output().unwrap()
    }

    #[track_caller]
    fn done(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs under strace, which kills at the k-th of these calls; whether it came to that.
    fn killed_at(&self, call: &str, k: usize, line: &str) -> bool {
        let trace = self.path("trace");
        let inject = format!("inject={call}:signal=KILL:when={k}");
        let mut strace = self.command("strace");
        strace.args(["-f", "-o", trace.to_str().unwrap(), "-e", &format!("trace={call}"), "-e", &inject]);
        strace.arg(crate::support::binary()).args(line.split(' ')).output().unwrap();
        std::fs::read_to_string(trace).unwrap().contains("killed by SIGKILL")
    }

    fn keep(&self) {
        copy_dir(&self.path("vault"), &self.path("vault.kept"));
        copy_dir(&self.path("state"), &self.path("state.kept"));
        std::fs::copy(self.path("ek"), self.path("ek.kept")).unwrap();
    }

    fn put_back(&self) {
        copy_dir(&self.path("vault.kept"), &self.path("vault"));
        copy_dir(&self.path("state.kept"), &self.path("state"));
        std::fs::copy(self.path("ek.kept"), self.path("ek")).unwrap();
        for left in ["ek.next", "ek.new", "ek.next.new"] {
            let _ = std::fs::remove_file(self.path(left));
        }
    }
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn set_up() -> Option<Vault> {
    for tool in ["strace", "oathtool"] {
        if Command::new(tool).arg("--version").output().is_err() {
            println!("SKIPPED, NOTHING PROVEN: {tool} is not installed");
            return None;
        }
    }
    let vault = Vault(tempfile::tempdir().unwrap());
    private(&vault.path("pw"), PASSPHRASE);
    private(&vault.path("kit-pw"), "kit zebra umbrella quantum teapot");
    private(&vault.path("otp.sh"), OTP);
    private(&vault.path("rows.csv"), "system,levels,purposes\nCRM,view,x\nBot,view,x\n");
    let ek = vault.path("ek");
    vault.done(&format!(
        "init --owner A --epoch-key file:{} --kit kit --kit-passphrase-file kit-pw --otpauth-out otpauth",
        ek.display()
    ));
    let unlocked = vault.run("unlock");
    if !unlocked.status.success() {
        println!("SKIPPED, NOTHING PROVEN: {}", String::from_utf8_lossy(&unlocked.stderr));
        return None;
    }
    vault.done("member role A --add lead");
    vault.done("mandate open Op --contract 1 --signed 2026-01-15 --until 2199-03-31 --rows rows.csv");
    vault.done("credential add Op/CRM --generate --totp-unknown");
    vault.done("credential add Op/Bot --generate --totp-unknown");
    vault.keep();
    Some(vault)
}

/// Killed anywhere in a fetch or in an amendment that destroys keys, the vault verifies at the next start, what was
/// live opens, and a row that is gone stays gone.
#[test]
fn a_killed_command_leaves_the_vault_as_before_or_as_after() {
    let Some(vault) = set_up() else { return };
    let secret = vault.done("fetch Op/CRM --field password");
    let mut tried = 0;
    for line in ["fetch Op/CRM --field password", "mandate amend Op --remove Bot"] {
        for (call, stride) in CALLS {
            for k in (1..200).step_by(stride) {
                vault.put_back();
                if !vault.killed_at(call, k, line) {
                    break;
                }
                tried += 1;
                let at = format!("{line}: {call} {k}");
                let verified = vault.run("verify");
                assert!(verified.status.success(), "{at}: {}", String::from_utf8_lossy(&verified.stdout));
                assert_eq!(vault.done("fetch Op/CRM --field password"), secret, "{at}");
                // Before or after, never a row whose key is half gone.
                let bot = vault.run("fetch Op/Bot --field password").status.code();
                assert!(matches!(bot, Some(0 | 4)), "{at}: {bot:?}");
            }
        }
    }
    println!("killed at {tried} points");
    assert!(tried > 30, "only {tried} points were tried");
    vault.run("lock");
}
