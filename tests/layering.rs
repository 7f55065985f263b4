//! Holds the floor plan: which room of `src` may use which, and where the names that matter may stand.
//!
//! The source is read as text, without comments, strings and `#[cfg(test)]` items: what counts is what ships.

#[path = "layering/source.rs"]
mod source;

use source::Source;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms it may import. `main.rs` and `lib.rs` wire the rooms together and are not in it.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("policy", &["model"]),
    ("crypto", &["model"]),
    ("ledger", &["crypto", "model"]),
    ("anchor", &["crypto", "model"]),
    ("store", &["ledger", "model"]),
    // DESIGN's table gives api only model; Signed, Ctx and Record are the wire's own types.
    ("api", &["crypto", "ledger", "model"]),
    ("broker", &["api", "anchor", "store", "ledger", "crypto", "policy", "model"]),
    ("server", &["api", "model"]),
    ("paperwork", &["ledger", "model"]),
    ("agent", &["api", "crypto", "ledger", "model"]),
    ("post", &["crypto", "model"]),
    ("cli", &["agent", "api", "paperwork", "post", "ledger", "model"]),
    // Of paperwork the numbers of the law and the languages: what is overdue, and how a notice says it.
    ("host", &["server", "broker", "anchor", "store", "crypto", "ledger", "api", "paperwork", "post", "model"]),
];

/// External crates, and the only places that may name them: rooms, or files of `src` itself.
const CRATES: &[(&[&str], &[&str])] = &[
    (
        &["age", "argon2", "ed25519_dalek", "chacha20poly1305", "hkdf", "hmac", "sha2", "totp_rs", "getrandom"],
        &["crypto"],
    ),
    (&["rusqlite", "postgres", "tokio_postgres_rustls", "webpki_roots"], &["store"]),
    (&["keyring"], &["anchor", "agent"]),
    (&["linux_keyutils"], &["agent"]),
    (&["ureq"], &["agent", "post"]),
    (&["log"], &["agent"]),
    (&["lettre"], &["post"]),
    // The server keeps connections; host makes the key they show, agent asks for it, and crypto knows what a pin is.
    (&["hyper", "hyper_util", "http_body_util", "tokio_rustls"], &["server"]),
    (&["tokio"], &["server", "host"]),
    (&["rustls"], &["server", "host", "agent", "crypto", "store"]),
    (&["webpki"], &["crypto"]),
    (&["rcgen"], &["host"]),
    (&["docx_rs", "zip", "quick_xml"], &["paperwork"]),
    (
        &["clap", "comfy_table", "indicatif", "rpassword", "arboard", "qrcode", "zxcvbn", "bip39", "anyhow"],
        &["cli", "main.rs"],
    ),
];

/// Proofs, and the one file that may make them.
const PROOFS: &[(&str, &str)] = &[("Permit", "src/policy/decide.rs"), ("Receipt", "src/broker/recorder.rs")];

/// What the product must not claim, because it would not be true.
const NEVER_CLAIMED: &[&str] =
    &["tamper-proof", "hidden password", "remote wipe", "purpose enforced", "152-ФЗ compliant"];

/// Files that name those claims in order to refuse them.
const REFUSES_CLAIMS: &[&str] = &["src/paperwork/wording.rs"];

#[test]
fn every_room_is_in_the_table_and_every_entry_is_a_room() {
    let found: BTreeSet<String> = entries(&root().join("src"))
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let listed: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    let unlisted = found.difference(&listed).map(|room| format!("src/{room} is not in the table of rooms"));
    let missing =
        listed.difference(&found).map(|room| format!("the table names {room}, but src/{room} does not exist"));
    report(unlisted.chain(missing).collect());
}

#[test]
fn imports_go_one_way() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(room) = &source.room else { continue };
        let allowed = ROOMS.iter().find(|(name, _)| name == room).map_or(&[] as &[&str], |(_, allowed)| allowed);
        for (line, target) in source.imports() {
            if target != *room && !allowed.contains(&target.as_str()) {
                let may = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
                faults.push(format!("{}:{line} imports {target}; {room} may import: {may}", source.name));
            }
        }
    }
    report(faults);
}

#[test]
fn external_crates_stay_in_their_rooms() {
    let mut faults = Vec::new();
    for source in sources() {
        let place = source.room.as_deref().unwrap_or_else(|| source.name.trim_start_matches("src/"));
        for (line, named) in source.external_names() {
            let Some((_, places)) = CRATES.iter().find(|(crates, _)| crates.contains(&named)) else { continue };
            if !places.contains(&place) {
                faults.push(format!("{}:{line} names {named}, which belongs to: {}", source.name, places.join(", ")));
            }
        }
    }
    report(faults);
}

#[test]
fn the_broker_takes_its_half_off_in_one_place() {
    let may = |source: &Source| source.name == "src/broker/release.rs" || source.room.as_deref() == Some("crypto");
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !may(source)) {
        for (line, _) in source.sequences([".", "take_off", "("]) {
            faults.push(format!("{}:{line} calls take_off; only src/broker/release.rs and crypto may", source.name));
        }
    }
    report(faults);
}

#[test]
fn permits_and_receipts_are_made_in_one_file_each() {
    let mut faults = Vec::new();
    for source in sources() {
        for (proof, home) in PROOFS.iter().filter(|(_, home)| source.name != *home) {
            // `-> Permit {`, `for Permit {` and `impl Permit {` open a body instead of making one.
            let made = source
                .sequences([proof, "{"])
                .into_iter()
                .filter(|(_, before)| !matches!(*before, ">" | "for" | "impl"));
            faults.extend(made.map(|(line, _)| format!("{}:{line} makes a {proof}; only {home} may", source.name)));
        }
    }
    report(faults);
}

#[test]
fn nothing_is_claimed_that_is_not_true() {
    let mut files = vec![root().join("README.md"), root().join("SECURITY.md")];
    files.extend(["src", "docs"].iter().flat_map(|dir| files_under(&root().join(dir))));
    let mut faults = Vec::new();
    for path in files.iter().filter(|path| !REFUSES_CLAIMS.contains(&name_of(path).as_str())) {
        let Ok(text) = fs::read(path) else { continue };
        let (words, lines) = plain_words(&String::from_utf8_lossy(&text));
        for claim in NEVER_CLAIMED {
            for (at, _) in words.match_indices(&plain_words(claim).0) {
                let line = lines[words[..at].matches(' ').count()];
                faults.push(format!("{}:{line} claims \"{claim}\"", name_of(path)));
            }
        }
    }
    report(faults);
}

/// Lower case, one space between words, hyphens as spaces, comment and quote marks left out; and each word's line.
fn plain_words(text: &str) -> (String, Vec<usize>) {
    let (mut words, mut lines) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase().replace('-', " ");
        for word in line.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)) {
            words.push(word.to_owned());
            lines.push(number + 1);
        }
    }
    (words.join(" "), lines)
}

fn sources() -> Vec<Source> {
    let files = files_under(&root().join("src"));
    let found: Vec<Source> = files
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| Source::read(path, name_of(path)))
        .collect();
    assert!(found.len() > ROOMS.len(), "the source was not found");
    found
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    entries(dir).into_iter().flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

/// In the order of their names; none where there is no such directory.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn name_of(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

fn report(mut faults: Vec<String>) {
    faults.dedup();
    assert!(faults.is_empty(), "\n  {}\n", faults.join("\n  "));
}
