//! Both verifiers as commands, before files that somebody kept: apart from `verifier.rs`, which needs no program.

use crate::support::binary;
use crate::verifier::{an_extract, python_or_skip, script};
use std::process::Command;

/// A note file as a mail program leaves it is read by both; what is no text, or too long for one, by neither.
#[test]
fn two_verifiers_read_a_note_file_alike() {
    let Some(python) = python_or_skip() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (file, note) = an_extract();
    std::fs::write(dir.path().join("extract"), &file).unwrap();
    std::fs::write(dir.path().join("cut"), &file[..file.len() - 1]).unwrap();
    std::fs::write(dir.path().join("good"), &note).unwrap();
    let long = note.clone() + &"\n".repeat(16 * 1024);
    for (extract, bytes, exit) in [
        ("extract", Some(note.clone().into_bytes()), 0),
        ("extract", Some(note.replace('\n', "\r\n").into_bytes()), 0),
        ("extract", Some(note.replace('\n', "\r").into_bytes()), 6),
        ("extract", Some(note.replacen('\n', "\r\r\n", 1).into_bytes()), 6),
        ("extract", Some(format!("\u{feff}{note}").into_bytes()), 6),
        ("extract", Some([note.as_bytes(), b"\xff"].concat()), 7),
        ("extract", Some(long.as_bytes()[..16 * 1024].to_vec()), 6),
        ("extract", Some(long.as_bytes()[..16 * 1024 + 1].to_vec()), 7),
        ("extract", None, 7),
        // The extract is looked at first.
        ("cut", Some(vec![0xff]), 6),
        ("absent", Some(note.clone().into_bytes()), 7),
        (".", Some(note.clone().into_bytes()), 7),
    ] {
        let place = dir.path().join("note");
        match bytes.clone() {
            Some(bytes) => std::fs::write(&place, bytes).unwrap(),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let asked = ["--checkpoint", "note", "--checkpoint", "good"];
        let mut theirs = Command::new(python);
        let theirs = theirs.arg(script()).arg(extract).args(asked).current_dir(dir.path()).output().unwrap();
        let mut ours = Command::new(binary());
        let ours = ours.args(["verify", extract]).args(asked).current_dir(dir.path()).output().unwrap();
        let both = (ours.status.code(), theirs.status.code());
        assert_eq!(both, (Some(exit), Some(exit)), "{extract} {bytes:?}: {ours:?} {theirs:?}");
        assert!(!String::from_utf8_lossy(&theirs.stderr).contains("Traceback"), "{theirs:?}");
    }
}
