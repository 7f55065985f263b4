//! Files and texts that were made to hurt.

use super::real::{Served, an_hour_ago, come_to_now};
use crate::matrix::{Voice, asked};
use crate::skip::skip;
use crate::support::{PASSPHRASE, World, binary, copy_dir};
use crate::tamper::extract_of;
use mandatum::agent::{Seed, Topic};
use mandatum::api::{Frame, Gate, MandateListCall, Nothing, Refusal};
use mandatum::model::Verb;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Runs the real program with so much address space, and fails the test where it takes long. Beside its answer, the most
/// memory it was seen to have, in KiB.
fn bounded(args: &[&str]) -> (Output, u64) {
    let begun = Instant::now();
    // A debug build maps itself, 370 MB of it; what it reads comes on top.
    let limit = 1024 * 1024 * 1024;
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={limit}")).arg(binary());
    if Command::new("prlimit").arg("--version").output().is_err() {
        skip("without prlimit nothing bounds the program's memory");
        command = Command::new(binary());
    }
    let child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (status, ended) = (format!("/proc/{}/status", child.id()), AtomicBool::new(false));
    let (output, peak) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::SeqCst) {
                let said = std::fs::read_to_string(&status).unwrap_or_default();
                let line = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                peak = line
                    .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
                    .map_or(peak, |kib: u64| peak.max(kib));
                std::thread::sleep(Duration::from_millis(1));
            }
            peak
        });
        let output = child.wait_with_output().unwrap();
        ended.store(true, Ordering::SeqCst);
        (output, watching.join().unwrap())
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{args:?} took {:?}", begun.elapsed());
    (output, peak)
}

/// So many blanks, deflated by hand (RFC 1951, 3.2.6): one, and then the longest repetition of it again and again.
fn blanks(len: usize) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    let mut put = |code: u32, count: u32| {
        // Codes begin with their highest bit, everything else with the lowest.
        held |= (code.reverse_bits() >> (32 - count)) << bits;
        bits += count;
        while bits >= 8 {
            bytes.push(held.to_le_bytes()[0]);
            held >>= 8;
            bits -= 8;
        }
    };
    // The last block, of fixed codes; a blank.
    put(0b110, 3);
    put(0x30 + 0x20, 8);
    for _ in 0..len / 258 {
        // 258 bytes, from one byte back.
        put(0b1100_0101, 8);
        put(0, 5);
    }
    put(0, 7);
    put(0, 7);
    bytes
}

/// A container whose names all lead to the same deflated bytes, and what it says of their size.
fn archive_of(names: &[&str], deflated: &[u8], size: usize) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let short = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
    // Version, flags, deflate, time, date, checksum, sizes, the name's length, nothing further.
    let facts = |name: &str| {
        [
            &[20, 0, 0, 0, 8, 0, 0, 0, 0x21, 0, 0, 0, 0, 0],
            &number(deflated.len())[..],
            &number(size),
            &short(name.len()),
            &[0, 0],
        ]
        .concat()
    };
    let mut file = [b"PK\x03\x04", &facts(names[0])[..], names[0].as_bytes(), deflated].concat();
    let begins = file.len();
    for name in names {
        file.extend([b"PK\x01\x02", &[20, 0][..], &facts(name), &[0; 14], name.as_bytes()].concat());
    }
    let directory = [number(file.len() - begins), number(begins)].concat();
    file.extend([b"PK\x05\x06", &[0; 4][..], &short(names.len()), &short(names.len()), &directory, &[0, 0]].concat());
    file
}

/// A document that unpacks to half a gigabyte, one within another, with more entries than any has, with two entries of
/// one name, with entries that all lead to the same bytes: refused by the real program, soon and in little more memory
/// than an honest document takes (J1).
#[test]
fn a_document_that_grows_is_refused_by_the_real_program() {
    const WHOLE: usize = 498 * 1024 * 1024;
    let world = World::empty();
    let zip = |parts: &[(String, Vec<u8>)]| {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in parts {
            zip.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let of_one = |name: &str, bytes: Vec<u8>| zip(&[(name.to_owned(), bytes)]);
    let (deflated, document) = (blanks(WHOLE), "word/document.xml");
    let nested = of_one(document, of_one(document, vec![b' '; 1024 * 1024]));
    let many: Vec<(String, Vec<u8>)> = (0..3000).map(|n| (format!("word/{n}"), Vec::new())).collect();
    let mut twice =
        zip(&[(document.into(), b"<w:document/>".to_vec()), ("word/documenu.xml".into(), b"<w:x/>".to_vec())]);
    for at in 0..twice.len() - 17 {
        if &twice[at..at + 17] == b"word/documenu.xml" {
            twice[at + 12] = b't';
        }
    }
    let parts = [document, "word/styles.xml", "word/numbering.xml", "word/footnotes.xml", "word/header1.xml"];
    let honest = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/mandate.docx");
    let (read, base) = bounded(&["mandate", "read", "--json", honest.to_str().unwrap()]);
    let said: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
    assert!(said["status"] != "rejected" && base > 4 * 1024, "{base} KiB: {said}");
    for (what, bytes) in [
        ("grown", archive_of(&[document], &deflated, WHOLE)),
        ("lying", archive_of(&[document], &deflated, 1000)),
        ("one for all", archive_of(&parts, &deflated, 1000)),
        ("nested", nested),
        ("many", zip(&many)),
        ("twice", twice),
    ] {
        let path = world.path("file.docx");
        std::fs::write(&path, bytes).unwrap();
        let (output, peak) = bounded(&["mandate", "read", "--json", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(7), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["status"], "rejected", "{what}");
        assert!(peak > 0 && peak < base + 64 * 1024, "{what}: {peak} KiB, an honest one {base} KiB");
    }
}

/// A line of four gigabytes, NULs, other encodings, columns without end, a quote that never closes: a sentence, little
/// memory, and nothing of it stored; a byte order mark is no fault (J4).
#[test]
fn a_hostile_table_is_one_sentence_and_stores_nothing() {
    let world = World::with_mandate();
    let mandates = || world.as_member("Lena", "mandate list --json").done().stdout;
    let before = mandates();
    let rows = world.path("hostile.csv");
    let open =
        format!("mandate open Hostile --contract 1 --signed 2026-01-15 --until 2026-12-31 --rows {}", rows.display());
    let head = "system;levels;purposes\n";
    let wide: String = (0..100_000).map(|n| format!("c{n};")).collect();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("NUL", format!("{head}C\0RM;view;x\n").into_bytes()),
        ("UTF-16", head.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("Latin-1", [head.as_bytes(), b"caf\xe9;view;x\n"].concat()),
        ("columns", format!("{wide}\n{wide}\n").into_bytes()),
        ("open quote", format!("{head}\"CRM;view;x\n{}", "x\n".repeat(1000)).into_bytes()),
        ("a bad row after good ones", format!("{head}A;view;x\nB;view;x\nC;fly;x\n").into_bytes()),
        ("rows", format!("{head}{}", "A;view;x\n".repeat(501)).into_bytes()),
        ("nothing", Vec::new()),
    ];
    for (what, bytes) in cases {
        std::fs::write(&rows, bytes).unwrap();
        let output = world.as_member("Lena", &open);
        assert_eq!(output.code, 7, "{what}: {}{}", output.stdout, output.stderr);
        assert!(output.stderr.len() < 500, "{what}: {}", output.stderr);
        assert_eq!(mandates(), before, "{what}");
    }
    // As long as a disk: not read into memory.
    let endless = std::fs::File::create(&rows).unwrap();
    endless.set_len(4 << 30).unwrap();
    for line in [open.clone(), format!("credential import {}", rows.display())] {
        let begun = Instant::now();
        let output = world.as_member("Lena", &line).ended(7);
        assert!(output.stderr.contains("longer than"), "{}", output.stderr);
        assert!(begun.elapsed() < Duration::from_secs(30), "{line}: {:?}", begun.elapsed());
    }
    assert_eq!(mandates(), before);
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 3 << 20, "{peak}");
    std::fs::write(&rows, format!("\u{FEFF}{head}CRM;view;x\n")).unwrap();
    world.as_member("Lena", &open).done();
}

/// What an authenticator's address can be made to say: refused where it is not one of the few things it may say, never
/// a division by nothing (J7).
#[test]
fn hostile_otpauth_addresses_are_refused() {
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let of = |more: &str| format!("otpauth://totp/a:b?secret={secret}{more}");
    let long = format!("otpauth://totp/a?secret={}", "A".repeat(1024 * 1024));
    let refused = [
        of("&period=0"),
        of("&period=-1"),
        of("&period=14"),
        of("&period=121"),
        of("&period=99999999999999999999"),
        of("&period=30.0"),
        of("&digits=0"),
        of("&digits=5"),
        of("&digits=9"),
        of("&digits=100"),
        of("&digits=-6"),
        of("&algorithm=MD5"),
        of("&algorithm=SHA3"),
        of("&algorithm="),
        of("&period=30&period=60"),
        of(&format!("&secret={secret}")),
        "otpauth://totp/a:b".into(),
        "otpauth://totp/a:b?secret=".into(),
        "otpauth://totp/a:b?secret=A".into(),
        "otpauth://totp/a:b?secret=0189".into(),
        format!("otpauth://hotp/a:b?secret={secret}&counter=18446744073709551615"),
        format!("otpauth://steam/a?secret={secret}"),
        "otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8".into(),
        "\0".into(),
        String::new(),
        long,
    ];
    for text in refused {
        assert!(Seed::parse(&text).is_err(), "{}", &text[..text.len().min(80)]);
    }
    for text in [
        of(""),
        of("&period=15&digits=8&algorithm=SHA512"),
        format!("OTPAUTH://totp/a:b?secret={secret}"),
        secret.to_lowercase(),
        format!("{}====", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq"),
    ] {
        let seed = Seed::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert!(seed.code(59).0.len() >= 6);
    }
}

/// Signed nonsense, to the real program: nesting without end, numbers no one has, marks, names twice, bytes that are no
/// text. Refused before anything is looked at, nothing is recorded, and the next request is answered (J11).
#[test]
fn signed_nonsense_is_refused_before_it_is_looked_at() {
    let world = an_hour_ago();
    come_to_now(&world);
    let served = Served::new(&world);
    let sasha = Voice::at(&served, &world, "Sasha");
    let list = asked::<MandateListCall>(None, Nothing {}, &());
    let before = crate::matrix::ledgers(&world);
    let good = || String::from_utf8(serde_json::to_vec(&sasha.request(&served, &list, None)).unwrap()).unwrap();
    let with_ask = |ask: &str| good().replace("\"ask\":{}", &format!("\"ask\":{ask}"));
    assert_ne!(with_ask("1"), good());
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("deep lists", with_ask(&deep("[", "]")).into_bytes()),
        ("deep objects", with_ask(&deep("{\"a\":", "}")).into_bytes()),
        ("a float", good().replace("\"format\":1", "\"format\":1.0").into_bytes()),
        ("an exponent", good().replace("\"format\":1", "\"format\":1e0").into_bytes()),
        ("more than 2^53", good().replace("\"format\":1", "\"format\":9007199254740993").into_bytes()),
        ("more than 2^64", good().replace("\"format\":1", "\"format\":18446744073709551617").into_bytes()),
        ("minus", good().replace("\"format\":1", "\"format\":-1").into_bytes()),
        ("a mark", format!("\u{FEFF}{}", good()).into_bytes()),
        ("twice", good().replacen('{', "{\"format\":1,", 1).into_bytes()),
        ("unknown", good().replacen('{', "{\"x\":1,", 1).into_bytes()),
        (
            "in front",
            format!("  {}", good())
                .replace("\"format\"", "\"f\\u006frmat\"")
                .replace("  {", "{\"format\":1,")
                .into_bytes(),
        ),
        ("behind", format!("{} x", good()).into_bytes()),
        ("no text", [b"\xff\xfe".to_vec(), good().into_bytes()].concat()),
        ("nothing", Vec::new()),
        ("null", b"null".to_vec()),
    ];
    for (what, body) in bodies {
        let request = sasha.identity.sign.sign(Topic::Request, body);
        let answer = served.call(Frame { verb: Verb::MandateList, request, load: Vec::new() });
        assert!(matches!(answer, Err(Refusal::Authentication(_) | Refusal::Input { .. })), "{what}: {answer:?}");
    }
    assert!(crate::matrix::ledgers(&world) == before);
    sasha.send(&served, &list, None).unwrap();
}

/// An extract that was made to keep a reader busy: sizes no tree has, thousands of signatures, a line without end. The
/// real program's verdict is the right one, soon (J13).
#[test]
fn a_hostile_extract_gets_its_verdict_soon() {
    let world = World::with_mandate();
    let genuine = extract_of(&world.program("Lena"), &world, "Romashka");
    let text = String::from_utf8(genuine).unwrap();
    let tail = text.lines().last().unwrap().to_owned();
    let size = tail.split("\\n").nth(1).unwrap();
    let huge =
        |number: &str| text.replace(&tail, &tail.replacen(&format!("\\n{size}\\n"), &format!("\\n{number}\\n"), 1));
    let line = tail.split("\\n\\n").nth(1).unwrap().split("\\n").next().unwrap();
    let many = text.replace(&tail, &tail.replacen(line, &[line; 20_000].join("\\n"), 1));
    let cases = [
        ("2^63", huge("9223372036854775808")),
        ("2^64", huge("18446744073709551616")),
        ("zero", huge("0")),
        ("many signatures", many),
        ("a line without end", "[".repeat(16 * 1024 * 1024)),
        ("nesting", format!("{{\"mandatum_extract\":{}\n{text}", "[".repeat(100_000))),
        ("the records a hundred times", {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let records = lines[1..lines.len() - 1].concat();
            format!("{}{}{}", lines[0], records.repeat(100), lines[lines.len() - 1])
        }),
    ];
    let file = world.path("hostile.extract");
    for (what, extract) in cases {
        assert_ne!(extract, text, "{what}");
        std::fs::write(&file, extract).unwrap();
        let (output, _) = bounded(&["verify", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(6), "{what}: {output:?}");
    }
    std::fs::write(&file, &text).unwrap();
    assert_eq!(bounded(&["verify", file.to_str().unwrap()]).0.status.code(), Some(0));
}

/// Names that hide or reorder, or write to the terminal, are refused where somebody is named, and are no names of
/// systems either; nothing printed for a person holds an escape (J12).
#[test]
fn names_that_deceive_are_refused() {
    let world = World::with_mandate();
    let before = world.as_member("Olga", "member list --json").done().stdout;
    // Of nobody who is there: each is refused for what is in it.
    let hostile = [
        ("Gre\u{202E}rog", Some("U+202E")),
        ("Gre\u{200B}gor", Some("U+200B")),
        ("\u{2066}Gregor", Some("U+2066")),
        ("\u{1b}]52;c;QUJD\u{7}", Some("U+001B")),
        ("Gre\u{0}gor", Some("U+0000")),
        ("Gre\ngor", Some("which separates names")),
        // Blanks around a name are no part of it: this one is taken.
        ("Sasha\r", None),
        ("Sasha\n", None),
    ];
    for (name, why) in hostile {
        let otp = world.path("otp-hostile").display().to_string();
        let output = world.run("Olga", &["member", "add", name, "--role", "specialist", "--otpauth-out", &otp]);
        assert_ne!(output.code, 0, "{name:?}");
        let says = |said: &str| why.is_none_or(|why| said.contains(why));
        // What is wrong with an argument is said before there is a world; no argument holds a NUL.
        if why.is_some() && !name.contains('\0') {
            let refused =
                Command::new(binary()).args(["member", "add", name, "--role", "specialist"]).output().unwrap();
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(refused.status.code() == Some(2) && says(&said) && said.contains("<NAME>"), "{name:?}: {said:?}");
        }
        let rows = world.file("rows.csv", &format!("system,levels,purposes\n\"{name}\",view,x\n"));
        let open = [
            "mandate",
            "open",
            "Hostile",
            "--contract",
            "1",
            "--signed",
            "2026-01-15",
            "--until",
            "2026-12-31",
            "--rows",
        ];
        let open: Vec<&str> = open.into_iter().chain([rows.to_str().unwrap()]).collect();
        let output = world.run("Lena", &open);
        let printed = format!("{}{}", output.stdout, output.stderr);
        assert!(!printed.contains('\u{1b}') && !printed.contains('\u{202E}'), "{name:?}: {printed:?}");
        // A line break around a cell is no part of it.
        assert!(output.code == 7 || name.trim() == "Sasha", "{name:?}: {printed:?}");
        assert!(says(&printed), "{name:?}: {printed}");
        if output.code == 0 {
            world.as_member("Lena", "mandate end Hostile -y").done();
        }
    }
    assert_eq!(world.as_member("Olga", "member list --json").done().stdout, before);
}

/// A home directory of any name, programs named for paging and editing, and a passphrase file that others may read: the
/// real program starts nothing it was not told to, and does not take the file (J14).
#[test]
fn the_environment_starts_nothing() {
    let world = an_hour_ago();
    come_to_now(&world);
    let home = world.path("home of\nAnna; touch owned `touch owned` $(touch owned)");
    for (from, to) in [("vault", ".local/share"), ("state", ".local/state")] {
        copy_dir(&world.path(from), &home.join(to).join("mandatum/default"));
    }
    let trap = world.file("trap.sh", &format!("#!/bin/sh\ntouch '{}'\n", world.path("owned").display()));
    let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&trap, 0o755);
    let code = world.file("code", &world.fresh_code("Sasha"));
    let passphrase = world.file("passphrase", PASSPHRASE);
    let run = |line: &str| {
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", &home).env("PATH", std::env::var_os("PATH").unwrap());
        for name in ["PAGER", "EDITOR", "VISUAL", "BROWSER", "SHELL", "MANPAGER", "LESSOPEN"] {
            command.env(name, &trap);
        }
        command.env("MANDATUM_PASSPHRASE_FILE", &passphrase);
        command.env("MANDATUM_OTP_COMMAND", format!("cat {}", code.display()));
        command.args(["--member", "Sasha"]).args(line.split(' ')).current_dir(world.dir.path()).output().unwrap()
    };
    let fetch = "fetch Romashka/CRM --field password";
    mode(&passphrase, 0o644);
    let open = run(fetch);
    assert_eq!(open.status.code(), Some(7), "{open:?}");
    assert!(String::from_utf8_lossy(&open.stderr).contains("chmod 600"), "{open:?}");
    mode(&passphrase, 0o600);
    let fetched = run(fetch);
    assert!(fetched.status.success() && fetched.stdout.len() > 20, "{fetched:?}");
    for line in ["doctor", "whoami", "--help", "fetch --help", "lock"] {
        run(line);
    }
    assert!(!world.path("owned").exists() && !home.join("owned").exists());
}
