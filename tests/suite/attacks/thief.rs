//! A thief of what lies around: files, logs, and sealed files without their passphrase.

use super::real::come_to_now;
use crate::secrecy::{LEAD, Needles, SPECIALIST, assert_nothing_found, canaries_in, canary, files_under, needles};
use crate::server::standby::Process;
use crate::support::{PASSPHRASE, World, homes};
use mandatum::agent::{Identity, Secret};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Instant;

/// Names, accounts, secrets, seeds and passphrases that go through the real program, as broker and as a member's
/// command at its most talkative, stand in no file of either, in no log and in no metric; and in what goes wrong there
/// is no secret (A1, L9).
#[test]
fn the_real_program_leaves_nothing_readable_behind() {
    let world = canaries_in(World::empty().before_now(3_600_000));
    come_to_now(&world);
    let needles = needles(&world);
    let process = Process::start_in(world.dir.path(), &["--metrics", "127.0.0.1:0"]).unwrap();
    world.go_remote(std::slice::from_ref(&process.url), Some(process.pin));
    let path = format!("{}/{}/{}", canary("operator"), canary("system"), canary("credential's name"));
    let kept = world.really_unlock(SPECIALIST);
    let mut said = Vec::new();
    if kept {
        let fetched = world.really(SPECIALIST, &format!("fetch {path} --json"));
        assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
        assert!(String::from_utf8_lossy(&fetched.stdout).contains(canary("password")));
        said.extend(fetched.stderr);
        assert!(world.really(SPECIALIST, &format!("code {path}")).status.success());
        let wrong = [
            format!("fetch {path} --json --purpose something"),
            format!("fetch {path}/nothing --json"),
            format!("fetch {path}"),
            "fetch nobody/nothing --field password --json".into(),
            "status --json".into(),
            "mandate end nobody -y --json".into(),
        ];
        for line in wrong {
            let output = world.really(SPECIALIST, &line);
            said.extend([output.stderr, b"\n".to_vec()].concat());
        }
    }
    // A lead's program over the same connection, in this process.
    come_to_now(&world);
    world.unlock(LEAD);
    let fetched = world.run(
        LEAD,
        &["fetch", &format!("{}/{}/{}", canary("operator"), canary("system"), canary("other's name")), "--json"],
    );
    fetched.done();
    let search = || {
        for dir in ["vault", "state", "remote", "remote-state"] {
            assert_nothing_found(&needles, &world.path(dir));
        }
        // Whatever else the programs could leave: there is nothing at all.
        for (_, dir) in homes(world.dir.path()) {
            assert_eq!(files_under(&dir).keys().collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "in {}", dir.display());
        }
    };
    search();
    let secrets = ["password", "token", "further field", "seed"].map(|name| (name, canary(name).as_bytes().to_vec()));
    let secrets = Needles::of(secrets.into_iter().chain([("passphrase", PASSPHRASE.as_bytes().to_vec())]));
    assert_eq!(secrets.found_in(&said), Vec::<&str>::new(), "{}", String::from_utf8_lossy(&said));
    let metrics = metrics_of(&process);
    assert!(metrics.contains("mandatum_request"), "{metrics}");
    assert_eq!(needles.found_in(metrics.as_bytes()), Vec::<&str>::new());
    let log = process.log();
    assert!(log.contains("\"verb\":\"fetch\""), "{log}");
    assert_eq!(needles.found_in(log.as_bytes()), Vec::<&str>::new(), "{log}");
    world.really(SPECIALIST, "lock");
    drop(process);
    search();
}

fn metrics_of(process: &Process) -> String {
    let log = process.log();
    let address = log.split("\"metrics\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Where a sealed file's cost stands: memory in KiB and passes.
fn cost_of(file: &[u8]) -> [u32; 2] {
    [10, 14].map(|at| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()))
}

fn identities(world: &World) -> Vec<PathBuf> {
    std::fs::read_dir(world.places().identities()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Each guess at a passphrase takes the Argon2id that the header names, which is no less than 64 MiB and three passes
/// (A3).
#[test]
fn a_guess_costs_what_the_header_says() {
    let world = World::new();
    let files = identities(&world);
    assert_eq!(files.len(), 3);
    for file in &files {
        let [memory, passes] = cost_of(&std::fs::read(file).unwrap());
        assert!(memory >= 64 * 1024 && passes >= 3, "{memory} KiB, {passes} passes");
    }
    let least = |work: &dyn Fn()| {
        let times = (0..3).map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        });
        times.min().unwrap()
    };
    let params = argon2::Params::new(64 * 1024, 3, 1, Some(32)).unwrap();
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let bare = least(&|| argon.hash_password_into(b"a guess", &[7; 16], &mut [0; 32]).unwrap());
    let guess = least(&|| assert!(Identity::load(&files[0], &Secret::copy_of(b"a guess")).is_err()));
    assert!(guess * 2 > bare, "a guess takes {guess:?}, Argon2id alone {bare:?}");
}

/// A header that asks for less is refused before anything is derived; one that asks for other cost within the bounds
/// opens nothing (A4).
#[test]
fn a_cheaper_header_opens_nothing() {
    let world = World::new();
    for file in identities(&world) {
        let genuine = std::fs::read(&file).unwrap();
        let tried = |at: usize, value: u32| {
            let mut changed = genuine.clone();
            changed[at..at + 4].copy_from_slice(&value.to_le_bytes());
            std::fs::write(&file, changed).unwrap();
            let error = Identity::load(&file, &Secret::copy_of(PASSPHRASE.as_bytes())).err().unwrap().to_string();
            std::fs::write(&file, &genuine).unwrap();
            error
        };
        assert!(tried(10, 8).contains("nothing was derived"));
        assert!(tried(14, 1).contains("nothing was derived"));
        assert!(tried(10, 64 * 1024 + 8).contains("does not open"));
        assert!(tried(0, 0).contains("not a file of this kind"));
    }
}

/// The recovery kit without its passphrase: a wrong passphrase and a damaged kit are told alike (A10).
#[test]
fn a_kit_does_not_say_whether_the_passphrase_was_right() {
    let world = World::new();
    let genuine = std::fs::read_to_string(world.path("kit")).unwrap();
    let tried = |kit: &str, passphrase: &str| {
        std::fs::write(world.path("kit"), kit).unwrap();
        let (kit, passphrase) = (world.path("kit"), world.file("tried-pw", passphrase));
        let line = format!("restart -y --kit {} --kit-passphrase-file {}", kit.display(), passphrase.display());
        world.as_member("Olga", &line).ended(5).stderr
    };
    let right = "kit zebra umbrella quantum teapot";
    let wrong = tried(&genuine, "kit zebra umbrella quantum teapots");
    let body = genuine.split("-----").nth(2).unwrap();
    let sealed = body.replace('\n', "");
    let middle = &sealed[sealed.len() / 2..sealed.len() / 2 + 8];
    let other: String = middle.chars().map(|c| if c == 'A' { 'B' } else { 'A' }).collect();
    let damaged = genuine.replacen(middle, &other, 1);
    assert_ne!(damaged, genuine);
    assert_eq!(tried(&damaged, right), wrong);
}
