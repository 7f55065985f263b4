//! Checkpoints an operator keeps, held against later extracts; and the copies operators receive.

use super::doubles::{MailServer, Protection, Temper};
use crate::support::World;
use mandatum::anchor::{Anchor, FileKeys, Home, RealDisk};
use mandatum::crypto::System;
use mandatum::ledger::Checkpoint;
use mandatum::model::{Digest, UnitId};
use std::sync::Arc;

fn extract(world: &World, name: &str) -> String {
    let out = world.path(name);
    world.as_member("Olga", &format!("extract Romashka --out {}", out.display())).done();
    out.display().to_string()
}

fn checkpoint(world: &World, operator: &str, name: &str) -> String {
    let out = world.path(name);
    world.as_member("Lena", &format!("checkpoint {operator} --out {}", out.display())).done();
    out.display().to_string()
}

fn anchor(world: &World) -> Anchor {
    let home = Home {
        dir: world.path("state"),
        disk: Arc::new(RealDisk),
        keys: Arc::new(FileKeys::new(world.path("epoch-key"))),
        entropy: Arc::new(System),
    };
    Anchor::open(&home).unwrap()
}

fn unit_of(extract: &str) -> UnitId {
    let text = std::fs::read_to_string(extract).unwrap();
    let head: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    serde_json::from_value(head["unit"].clone()).unwrap()
}

/// An extract that grew from what the operator was shown before says how far that proves it, and from when on nothing
/// does. Taking a checkpoint is not recorded.
#[test]
fn an_extract_that_grew_from_a_kept_checkpoint_says_how_far_it_is_proven() {
    let world = World::with_mandate();
    let early = checkpoint(&world, "Romashka", "early");
    world.clock.pass(60_000);
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let late = checkpoint(&world, "Romashka", "late");
    let again = world.as_member("Lena", "checkpoint Romashka --json").done().json();
    assert_eq!(again["checkpoint"], std::fs::read_to_string(&late).unwrap(), "no record was made in between");
    world.clock.pass(60_000);
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let file = extract(&world, "extract");

    let said = world.as_member("Olga", &format!("verify {file} --checkpoint {early} --checkpoint {late} --json"));
    let report = said.done().json();
    let (total, covered) = (report["records"].as_u64().unwrap(), report["covered"].as_u64().unwrap());
    assert_eq!((covered, total), (again["records"].as_u64().unwrap(), covered + 2));
    assert_eq!(report["checkpoints"].as_array().unwrap().len(), 2);
    let at = report["covered_at"].as_i64().unwrap();
    let text = world.as_member("Olga", &format!("verify {file} --checkpoint {late}")).done().stdout;
    for part in [
        format!("Records 0 to {} are covered by your checkpoint (size {covered})", covered - 1),
        format!("Records {covered} to {} are signed by the broker", total - 1),
        format!("since {}", mandatum::model::Instant(at)),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    // Mail programs write other line ends; that changes nothing.
    let crlf = world.file("crlf", &std::fs::read_to_string(&late).unwrap().replace('\n', "\r\n"));
    world.as_member("Olga", &format!("verify {file} --checkpoint {}", crlf.display())).done();
    // The head of the extract itself covers all of it.
    let whole = checkpoint(&world, "Romashka", "whole");
    let text = world.as_member("Olga", &format!("verify {file} --checkpoint {whole}")).done().stdout;
    assert!(text.contains("There is no record after it."), "{text}");
    let none = world.as_member("Olga", &format!("verify {file} --json")).done().json();
    assert!(none["covered"].is_null() && none["checkpoints"].as_array().unwrap().is_empty());
}

/// A checkpoint that does not fit is a failed verification that says which and why; the extract alone would pass.
#[test]
fn a_kept_checkpoint_that_does_not_fit_fails_the_verification() {
    let world = World::with_mandate();
    world.open_mandate("Lena", "Astra");
    let foreign = checkpoint(&world, "Astra", "foreign");
    let good = checkpoint(&world, "Romashka", "good");
    let file = extract(&world, "extract");
    let cut_before = world.as_member("Lena", "checkpoint Romashka --json").done().json()["records"].as_u64().unwrap();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let longer = checkpoint(&world, "Romashka", "longer");

    // A broker that wrote its ledger anew has all its own keys: what the operator kept is of other records.
    let (anchor, unit) = (anchor(&world), unit_of(&file));
    let sign = |size, root| Checkpoint { size, root }.sign(anchor.vault(), unit, &anchor.checkpoint_key());
    let rewritten = world.file("rewritten", &sign(3, Digest([5; 32]))).display().to_string();
    let huge = world.file("huge", &sign(u64::MAX, Digest([5; 32]))).display().to_string();
    let text = std::fs::read_to_string(&good).unwrap();
    let unsigned = world.file("unsigned", &text.replacen("+", "/", 1).replace('A', "B")).display().to_string();
    let garbage = world.file("garbage", "not a checkpoint\n").display().to_string();

    for (note, why) in [
        (&foreign, "is a checkpoint of another ledger".to_owned()),
        (&longer, format!("the extract holds {cut_before}: records are missing")),
        (&huge, "records are missing".to_owned()),
        (&rewritten, "covers 3 records that are not the first 3 of the extract: history was rewritten".to_owned()),
        (&garbage, "is not a checkpoint".to_owned()),
        (&unsigned, "is".to_owned()),
    ] {
        let said = world.as_member("Olga", &format!("verify {file} --checkpoint {good} --checkpoint {note}")).ended(6);
        assert!(said.stderr.contains(&format!("{note}: ")) && said.stderr.contains(&why), "{why}: {}", said.stderr);
        assert!(!said.stderr.contains(&format!("{good}: ")), "the one that fits is not blamed: {}", said.stderr);
    }
    let long = world.file("long", &"x".repeat(1 << 20)).display().to_string();
    world.as_member("Olga", &format!("verify {file} --checkpoint {long}")).ended(7);
    world.as_member("Olga", &format!("verify {file} --checkpoint {}", world.path("absent").display())).ended(7);
}

fn month(world: &World, notices: &mandatum::host::Notices, day: &str) -> mandatum::api::NoticesReport {
    world.clock.pass_to(super::at(world, day) + 9 * 60 * super::MINUTE);
    super::tick(notices)
}

/// Once a month each configured operator gets the signed head of their own ledger, as a file and by mail; a later
/// extract is held against it. Where one way fails, that one is tried again and the other is not repeated.
#[test]
fn an_operator_gets_a_checkpoint_each_month() {
    let world = World::with_mandate();
    world.open_mandate("Lena", "Astra");
    let server = MailServer::start(Protection::None);
    let folder = world.path("folder");
    let config = format!(
        "{}[operators.\"romashka\"]\nmail = \"client@romashka.example\"\nfolder = \"{}\"\n",
        super::smtp(server.port),
        folder.display()
    );
    super::configure(&world, &config);
    let notices = super::ticker(&world);
    let report = month(&world, &notices, "2026-03-03");
    assert_eq!(report.checkpoints, 1, "{report:?}");
    assert!(report.failed[0].contains("folder"), "{:?}", report.failed);
    assert!(!super::finding(&world)["fine"].as_bool().unwrap());
    let letters = server.letters();
    assert_eq!((letters.len(), &letters[0].to[..]), (1, &["<client@romashka.example>".to_owned()][..]));
    std::fs::create_dir(&folder).unwrap();
    world.clock.pass(super::MINUTE);
    assert_eq!(super::tick(&notices).checkpoints, 1);
    assert!(server.letters().is_empty(), "the letter that was taken is not sent again");
    let name = "Romashka-17_2026-2026-03-03.mandatum-checkpoint";
    let file = folder.join(name);
    assert_eq!(std::fs::read(&file).unwrap(), letters[0].parts()[1]);
    assert!(letters[0].text.contains(name));
    assert_eq!(month(&world, &notices, "2026-03-31").checkpoints, 0);
    assert_eq!(month(&world, &notices, "2026-04-01").checkpoints, 2);

    world.unlock("Olga");
    let extract = extract(&world, "extract");
    for note in std::fs::read_dir(&folder).unwrap() {
        let note = note.unwrap().path().display().to_string();
        world.as_member("Olga", &format!("verify {extract} --checkpoint {note}")).done();
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&unit_of(&extract).to_string()), "it is Romashka's, not Astra's");
}

/// An extract goes by mail and into a folder with the very bytes of `--out`; what is wrong with a way out is said
/// before anything is recorded.
#[test]
fn an_operators_copy_is_the_same_bytes_by_every_way() {
    let world = World::with_mandate();
    let server = MailServer::start(Protection::None);
    let config = world.file(
        "mail.toml",
        &format!("[smtp]\nurl = \"smtp+plain://127.0.0.1:{}\"\nfrom = \"a@agency.example\"\n", server.port),
    );
    let (out, folder, config) = (world.path("out"), world.path("folder"), config.display());
    std::fs::create_dir(&folder).unwrap();
    let to = "--mail client@romashka.example --mail-config";
    let command =
        format!("extract Romashka --out {} --folder {} {to} {config} --json", out.display(), folder.display());
    let report = world.as_member("Lena", &command).done().json();
    assert_eq!(report["mailed_to"], "client@romashka.example");
    let bytes = std::fs::read(&out).unwrap();
    assert_eq!(std::fs::read(folder.join("Romashka-2026-03-02.mandatum-extract")).unwrap(), bytes);
    let letters = server.letters();
    assert_eq!(letters[0].parts()[1], bytes);
    assert!(letters[0].body().contains(report["root_fingerprint"].as_str().unwrap()));

    let records = || world.as_member("Lena", "checkpoint Romashka --json").done().json()["records"].clone();
    let before = records();
    world.as_member("Lena", "extract Romashka").ended(2);
    world.as_member("Lena", "extract Romashka --mail a@b.example").ended(2);
    world.as_member("Lena", &format!("extract Romashka --mail nobody --mail-config {config}")).ended(2);
    world.as_member("Lena", &format!("extract Romashka --folder {}", folder.display())).ended(7);
    world.as_member("Lena", &format!("extract Romashka --folder {}", world.path("absent").display())).ended(7);
    let wrong = world.file("wrong.toml", "[smtp]\nurl = \"smtps://r:hunter2@h\"\nfrom = \"a@b.example\"\n");
    let said = world.as_member("Lena", &format!("extract Romashka {to} {}", wrong.display())).ended(7);
    assert!(said.stderr.contains("holds a password") && !said.stderr.contains("hunter2"), "{}", said.stderr);
    assert_eq!(records(), before, "nothing was recorded");
    server.be(Temper::Refuses(550));
    let said = world.as_member("Lena", &format!("extract Romashka {to} {config}")).ended(1);
    assert!(said.stderr.contains("the extract was made and not mailed: 127.0.0.1 refused it"), "{}", said.stderr);
}

fn with_kit(world: &World, command: &str) {
    let (kit, passphrase) = (world.path("kit"), world.path("kit-pw"));
    let kit = format!("--kit {} --kit-passphrase-file {}", kit.display(), passphrase.display());
    world.as_member("Olga", &format!("{command} {kit} -y")).done();
}

/// After a restore the ledger lacks what the operator was shown before: that is found, and the record that admits the
/// loss is named. A checkpoint from before the backup stays good, also under the keys of a new anchor.
#[test]
fn what_a_restore_lost_is_found_by_the_checkpoint_and_older_ones_stay_good() {
    let world = World::with_mandate();
    let before = checkpoint(&world, "Romashka", "before");
    world.as_member("Olga", &format!("backup {}", world.path("backup.db").display())).done();
    for _ in 0..20 {
        world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    }
    let lost = checkpoint(&world, "Romashka", "lost");
    with_kit(&world, &format!("restore {}", world.path("backup.db").display()));
    world.unlock("Olga");
    let file = extract(&world, "after");
    world.as_member("Olga", &format!("verify {file} --checkpoint {before}")).done();
    let said = world.as_member("Olga", &format!("verify {file} --checkpoint {lost}")).ended(6).stderr;
    assert!(said.contains("records are missing; record ") && said.contains("went on from an older state"), "{said}");

    for entry in std::fs::read_dir(world.path("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("anchor") {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::remove_file(world.otp_file("Olga")).unwrap();
    with_kit(&world, &format!("restart --otpauth-out {}", world.otp_file("Olga").display()));
    world.unlock("Olga");
    let file = extract(&world, "under-new-keys");
    world.as_member("Olga", &format!("verify {file} --checkpoint {before}")).done();
    world.as_member("Olga", &format!("verify {file} --checkpoint {lost}")).ended(6);
}
