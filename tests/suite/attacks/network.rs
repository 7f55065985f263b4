//! Whoever stands on the line, or hopes that the program calls out.

use super::real::{Served, an_hour_ago, come_to_now};
use crate::matrix::{Place, Voice, asked};
use crate::skip::skip;
use crate::support::World;
use mandatum::api::{FetchCall, Frame, Gate, Refusal};
use mandatum::model::Verb;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The very bytes of a request, sent to the real program once more: refused, and refused by the next process on the
/// same vault; there is one release in the ledger (F2).
#[test]
fn replayed_bytes_release_nothing() {
    let world = an_hour_ago();
    come_to_now(&world);
    let served = Served::new(&world);
    let [lena, sasha] = ["Lena", "Sasha"].map(|name| Voice::at(&served, &world, name));
    let place = Place::of(&served, &lena, "Romashka", "Sasha");
    let fetch = asked::<FetchCall>(Some(place.unit), place.item(sasha.id()), &());
    let request = sasha.request(&served, &fetch, None);
    let recorded = sasha.frame(Verb::Fetch, &request, &fetch.load);
    let replay = |gate: &dyn Gate| {
        let frame = Frame { verb: Verb::Fetch, request: recorded.request.clone(), load: recorded.load.clone() };
        gate.call(frame)
    };
    replay(&served).unwrap();
    let is_refused = |answer: &Result<Vec<u8>, Refusal>| matches!(answer, Err(Refusal::Authentication(_)));
    for _ in 0..3 {
        let again = replay(&served);
        assert!(is_refused(&again), "{again:?}");
    }
    drop(served);
    let served = Served::new(&world);
    let again = replay(&served);
    assert!(is_refused(&again), "{again:?}");
    drop(served);
    come_to_now(&world);
    world.unlock("Lena");
    let log = world.as_member("Lena", "log Romashka --json").done().json();
    let releases = log["lines"].as_array().unwrap().iter();
    assert_eq!(releases.filter(|line| line["event"] == "released" && line["member"] == "Sasha").count(), 1);
}

/// Bytes that are no TLS, half a greeting, and a length of four gigabytes: the real program ends the connection, and
/// serves the next one (J15).
#[test]
fn garbage_at_the_door_is_cut_off() {
    let world = an_hour_ago();
    come_to_now(&world);
    let served = Served::new(&world);
    let address = served.process.url.trim_start_matches("https://").to_owned();
    let garbage: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 70_000],
        vec![0x16, 0x03, 0x01, 0xff, 0xff],
        [&[0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0xff, 0xff, 0xff][..], &[0; 20_000]].concat(),
        vec![0; 1],
    ];
    let mut open = Vec::new();
    for bytes in garbage {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        // At most a TLS alert comes back, never a page.
        assert!(answer.len() < 64, "{answer:?}");
        open.push(stream);
    }
    served.hello().unwrap();
    let memory = std::fs::read_to_string(format!("/proc/{}/status", served.process.id())).unwrap();
    let peak = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 200 * 1024, "{peak}");
}

/// Addresses in a credential, an imported file and a document are text: the real program opens no connection for them,
/// as its system calls show (F9, J3; needs strace).
#[test]
fn nothing_is_fetched_for_an_address() {
    if Command::new("strace").arg("--version").output().is_err() {
        return skip("strace is not installed");
    }
    let world = an_hour_ago();
    come_to_now(&world);
    let lines = world.file(
        "lines.jsonl",
        r#"{"operator":"Romashka","system":"Form","name":"a","secret":"gH4.kk1-Wq9!zTm2_pX","url":"http://127.0.0.1:9/x","totp_elsewhere":"http://127.0.0.1:9/"}"#,
    );
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/mandate.docx");
    let [template, entity] = ["template.docx", "entity.docx"].map(|name| world.path(name));
    let type_of = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate";
    let relations = format!(
        r#"<Relationships><Relationship Id="r" Type="{type_of}" Target="{NOWHERE}t.dotm" TargetMode="External"/></Relationships>"#
    );
    changed(&document, &template, |parts| {
        parts.insert("word/_rels/settings.xml.rels".into(), relations.into_bytes());
    });
    changed(&document, &entity, |parts| {
        let text = String::from_utf8(parts.remove("word/document.xml").unwrap()).unwrap();
        let (head, body) = text.split_once("<w:document").unwrap();
        let declared = format!(r#"{head}<!DOCTYPE d [<!ENTITY x SYSTEM "{NOWHERE}x">]><w:document{body}"#);
        let used = declared.replacen("</w:t>", "&x;</w:t>", 1);
        assert!(used.contains("&x;"));
        parts.insert("word/document.xml".into(), used.into_bytes());
    });
    let commands = [
        format!("mandate read {}", template.display()),
        format!("mandate read {}", entity.display()),
        format!("credential import {}", lines.display()),
        "credential add Romashka/Form/b --generate --totp-unknown --url https://127.0.0.1:9/icon.png".to_owned(),
        format!("mandate read {}", document.display()),
    ];
    for line in commands {
        // Reading a document asks nobody for a code.
        if line.starts_with("credential") {
            come_to_now(&world);
            world.file("code", &world.fresh_code("Lena"));
        }
        let trace = world.path("trace");
        let mut strace = Command::new("strace");
        let program = world.command("Lena", &line);
        strace.args(["-f", "-o", trace.to_str().unwrap(), "-e", "trace=network"]).arg(program.get_program());
        strace.args(program.get_args()).env_clear().current_dir(world.dir.path());
        strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        strace.env("MANDATUM_VAULT", world.path("vault")).env("MANDATUM_STATE", world.path("state"));
        let output = strace.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 7)), "{line}: {said}");
        assert!(output.status.code() == Some(0) || line.starts_with("mandate"), "{line}: {said}");
        assert!(!line.contains("entity") || output.status.code() == Some(7), "{line}: {said}");
        let calls = std::fs::read_to_string(&trace).unwrap();
        assert!(!calls.contains("AF_INET"), "{line}: {calls}");
    }
    come_to_now(&world);
    world.unlock("Lena");
    let listed = world.as_member("Lena", "credential list Romashka").done().stdout;
    assert!(listed.contains("Romashka/Form/a") && listed.contains("Romashka/Form/b"), "{listed}");
}

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9/";

/// A document with other parts.
fn changed(from: &Path, to: &Path, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(from).unwrap()).unwrap();
    let mut parts = BTreeMap::new();
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).unwrap();
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).unwrap();
        parts.insert(part.name().unwrap().into_owned(), bytes);
    }
    change(&mut parts);
    let mut zip = zip::ZipWriter::new(std::fs::File::create(to).unwrap());
    for (name, bytes) in parts {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
}

impl World {
    /// [`World::command`] on the vault's own files, in one process with the broker.
    pub fn command_here(&self, member: &str, line: &str) -> Command {
        let mut command = self.command(member, line);
        command.env("MANDATUM_VAULT", self.path("vault")).env("MANDATUM_STATE", self.path("state"));
        command
    }
}
