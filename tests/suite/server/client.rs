//! The client printed in `docs/api.md`, run as it stands there against a real server.
//!
//! Needs Python with the package `cryptography`; without it the test says so loudly and proves nothing.

use super::{Server, remote_world};
use crate::openapi::page;
use crate::skip::skip;
use crate::support::World;
use serde_json::Value;
use std::process::{Command, Output};

const STORY: &str = r#"
from client import Broker
import json, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

host, port, pin, vault, member, seed, code = sys.argv[1:]
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
broker = Broker(host, int(port), pin, vault, member, key)
said = [broker.ask("status", {})]
said.append(broker.ask("unlock", {"for_ms": 3600000}, {"code": code}))
broker.session = said[-1][1]["session"]
said.append(broker.ask("status", {}))
found = broker.ask("locate", {"operator": "Romashka", "system": "CRM", "credential": None, "all": False})[1][0]
ask = {"items": [{name: found[name] for name in ("credential", "version", "grant")}], "purpose": None, "onward": None}
said.append(broker.ask("fetch", ask, unit=found["unit"]))
said.append(broker.ask("mandate_show", {"operator": "Nobody"}))
said.append(broker.ask("mandate_show", {"operator": "Nobody", "more": 1}))
print(json.dumps(said))
"#;

fn run(world: &World, server: &Server, pin: &str) -> Output {
    let page = page();
    let (client, _) = page.split_once("```python\n").and_then(|(_, rest)| rest.split_once("```")).unwrap();
    let dir = world.path("client");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("client.py"), client).unwrap();
    std::fs::write(dir.join("story.py"), STORY).unwrap();
    let sasha = world.identity("Sasha");
    let seed = data_encoding::HEXLOWER.encode(sasha.sign.seed().expose());
    let (host, port) = server.https.rsplit_once(':').unwrap();
    let (vault, member, code) = (sasha.vault.to_string(), sasha.member.to_string(), world.fresh_code("Sasha"));
    let args = [host, port, pin, &vault, &member, &seed, &code];
    Command::new("python3").arg("story.py").args(args).current_dir(&dir).output().unwrap()
}

fn python() -> bool {
    let tried = Command::new("python3").args(["-c", "import cryptography"]).output();
    let there = tried.is_ok_and(|tried| tried.status.success());
    if !there {
        skip("no python3 with the package 'cryptography': the client of docs/api.md is not run");
    }
    there
}

#[test]
fn the_printed_client_works() {
    if !python() {
        return;
    }
    let (world, server) = remote_world();
    let output = run(&world, &server, &server.pin.to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<(u16, Value)> = serde_json::from_slice(&output.stdout).unwrap();
    let statuses: Vec<u16> = said.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [403, 200, 200, 200, 404, 422], "{said:?}");
    assert_eq!(said[0].1["denied"]["code"], "MFA_REQUIRED");
    assert_eq!(said[2].1["mandates"], 1);
    assert_eq!(said[3].1["released"].as_array().unwrap().len(), 1);
    // What it did is recorded as anybody's doing is.
    let log = world.as_member("Lena", "log Romashka --json").done().json();
    let last = log["lines"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["event"], &last["member"]), (&"released".into(), &"Sasha".into()), "{last}");
}

/// It says nothing to a server that shows another key than the pinned one.
#[test]
fn the_printed_client_compares_the_pin() {
    if !python() {
        return;
    }
    let (world, server) = remote_world();
    let before = server.log().lines().count();
    let output = run(&world, &server, &"ab".repeat(32));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not the broker"));
    assert_eq!(server.log().lines().count(), before, "{}", server.log());
}
