//! What leaves the agency by itself: checkpoints an operator keeps, and notices by mail and webhook.

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
