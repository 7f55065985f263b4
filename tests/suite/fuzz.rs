//! Every file of `fuzz/corpus` through the function it was made for: seeds, and whatever once broke a parser.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn below(dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(dir);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_parser_breaks_on_its_corpus() {
    for (name, target) in targets::TARGETS {
        let files = below(&format!("corpus/{name}"));
        assert!(files.len() >= 3, "{name} has seeds");
        for file in files {
            eprintln!("{}", file.display());
            target(&fs::read(&file).unwrap());
        }
    }
}

/// A target that libFuzzer does not run, or that has no corpus here, would be forgotten.
#[test]
fn every_target_is_run() {
    let names = |dir: &str| -> BTreeSet<String> {
        below(dir).iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let targets: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}

/// Each verb's request, load and answer are among what is tried.
#[test]
fn every_verb_is_among_the_calls() {
    mandatum::model::Verb::ALL.iter().for_each(|verb| targets::call(*verb, b"{}", b""));
}
