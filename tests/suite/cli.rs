//! The command line as people and scripts meet it: exit codes, terminal rules, options for everything that prompts.

use crate::support::{Output, PASSPHRASE, World};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::Ordering;

/// The reference page is what the program says of itself.
#[test]
fn the_reference_page_is_current() {
    let page = World::empty().as_member("Olga", "reference").done().stdout;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/cli.md is not what 'mandatum reference' prints; write it anew: mandatum reference > docs/cli.md"
    );
}

/// Nothing secret is printed on a terminal unasked, and into a pipe only by --field or --json; both before anything
/// is released.
#[test]
fn secrets_go_where_they_were_asked_to_go() {
    let world = World::with_mandate();
    let records =
        |world: &World| world.as_member("Lena", "log Romashka --json").done().json()["lines"].as_array().unwrap().len();
    let before = records(&world);
    let on_tty = |line: &str| world.run_with("Sasha", &line.split(' ').collect::<Vec<_>>(), b"", true);
    on_tty("fetch Romashka/CRM --field password").ended(2);
    on_tty("fetch Romashka/CRM --json").ended(2);
    world.as_member("Sasha", "fetch Romashka/CRM").ended(2);
    assert_eq!(records(&world), before, "a refused way out must not reach the broker");

    let secret = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    assert!(on_tty("fetch Romashka/CRM --show").done().stdout.contains(secret.trim_end()));
    let shown = on_tty("fetch Romashka/CRM --field user").done();
    assert_eq!(shown.stdout, "crm@Romashka.test\n");
    assert!(!shown.stderr.contains(secret.trim_end()));
}

/// A row with two purposes asks which; the answer is remembered for the day, and only for it.
#[test]
fn a_purpose_is_asked_once_a_day() {
    let world = World::with_mandate();
    world.attended.store(false, Ordering::SeqCst);
    world.as_member("Lena", "fetch Romashka/Bot --field token").denied("PURPOSE_REQUIRED");
    world
        .run("Lena", &["fetch", "Romashka/Bot", "--field", "token", "--purpose", "something else"])
        .denied("PURPOSE_OUTSIDE_ROW");
    world.run("Lena", &["fetch", "Romashka/Bot", "--field", "token", "--purpose", "Answers"]).done();
    world.as_member("Lena", "fetch Romashka/Bot --field token").done();
    world.as_member("Lena", "fetch Romashka/CRM --field password").done();
    world.attended.store(true, Ordering::SeqCst);
    world.clock.pass(24 * 3_600_000);
    world.unlock("Lena");
    world.attended.store(false, Ordering::SeqCst);
    world.as_member("Lena", "fetch Romashka/Bot --field token").denied("PURPOSE_REQUIRED");
}

/// Without a terminal, whatever would prompt fails with a sentence that names the option; nothing hangs.
#[test]
fn without_a_terminal_the_missing_option_is_named() {
    let world = World::with_mandate();
    world.as_member("Lena", "lock").done();
    world.attended.store(false, Ordering::SeqCst);
    let names = |output: Output, option: &str| assert!(output.stderr.contains(option), "{}", output.stderr);
    names(world.as_member("Lena", "fetch Romashka/CRM --field password").ended(2), "--passphrase-file");
    let passphrase = world.file("pw", crate::support::PASSPHRASE);
    let with = format!("--passphrase-file {} fetch Romashka/CRM --field password", passphrase.display());
    names(world.as_member("Lena", &with).ended(2), "--otp-command");
    names(world.as_member("Sasha", "credential list --json").done(), "");
    let other = World::empty();
    other.attended.store(false, Ordering::SeqCst);
    let init = format!(
        "init --owner Olga --epoch-key file:{} --kit {}",
        other.path("ek").display(),
        other.path("kit").display()
    );
    names(other.as_member("Olga", &init).ended(2), "--passphrase-file");
    assert!(!other.path("kit").exists() && !other.path("vault/vault.db").exists(), "nothing is left of a vault");
}

/// Everything that prompts can be driven by files and commands alone.
#[test]
fn a_vault_can_be_made_and_used_by_a_script() {
    let world = World::with_mandate();
    world.as_member("Lena", "lock").done();
    let passphrase = world.file("pw", crate::support::PASSPHRASE);
    let code = world.fresh_code("Lena");
    world.attended.store(false, Ordering::SeqCst);
    let otp = format!("echo {code}");
    let args = [
        "--passphrase-file",
        passphrase.to_str().unwrap(),
        "--otp-command",
        &otp,
        "fetch",
        "Romashka/CRM",
        "--field",
        "password",
    ];
    let fetched = world.run("Lena", &args).done();
    assert_eq!(fetched.stdout.trim_end().len(), 24);
}

/// A secret from standard input, a file, or JSON is the same secret; weak and reused ones need a reason.
#[test]
fn secrets_come_in_by_every_way_but_the_command_line() {
    let world = World::with_mandate();
    let stored = "Tq7-vk_2mZ.xR9w!Hs4bYd";
    let add = |name: &str, more: &[&str], stdin: &str| {
        let path = format!("Romashka/Form/{name}");
        let args: Vec<&str> =
            ["credential", "add", &path, "--totp-unknown"].iter().copied().chain(more.iter().copied()).collect();
        world.run_with("Lena", &args, stdin.as_bytes(), false)
    };
    let fetch = |name: &str| {
        let path = format!("fetch Romashka/Form/{name} --field password");
        world.as_member("Lena", &path).done().stdout
    };
    add("stdin", &["--secret-file", "-"], &format!("{stored}\n")).done();
    assert_eq!(fetch("stdin"), format!("{stored}\n"));
    let refused = add("again", &["--secret-file", "-"], stored).ended(7);
    assert!(refused.stderr.contains("Romashka/Form") && !refused.stderr.contains(stored), "{}", refused.stderr);
    add("again", &["--secret-file", "-", "--allow-weak", "one account, two forms"], stored).done();
    add(
        "json",
        &["--input", "-"],
        r#"{"secret":"Zz9_kq!4mW.pL7xvB2-ng","user":"u","url":"https://x.test","fields":{"pin":"4711"}}"#,
    )
    .done();
    assert_eq!(fetch("json"), "Zz9_kq!4mW.pL7xvB2-ng\n");
    let pin = world.as_member("Lena", "fetch Romashka/Form/json --field pin").done();
    assert_eq!(pin.stdout, "4711\n");
    for (input, why) in [("Пароль123", "secret"), ("йцукен123", "secret"), ("", "empty"), ("{\"secret\":1}", "input")]
    {
        let more = if input.starts_with('{') { ["--input", "-"] } else { ["--secret-file", "-"] };
        let refused = add("bad", &more, input).ended(7);
        assert!(
            refused.stderr.contains(why) && (input.is_empty() || !refused.stderr.contains(input)),
            "{}",
            refused.stderr
        );
    }
    world.as_member("Lena", "fetch Romashka/Form/bad --field password").ended(4);
    add("words", &["--words"], "").done();
    assert_eq!(fetch("words").split('-').count(), 7);
}

/// Many credentials come in one run; a bad line is named with its reason, and nothing of it is stored.
#[test]
fn an_import_names_its_bad_lines() {
    let world = World::with_mandate();
    let canary = "Canary-81-secret-Xq";
    let mut lines: Vec<String> = (0..40)
        .map(|n| format!(r#"{{"operator":"Romashka","system":"Form","name":"site {n}","secret":"gH4.kk{n}-Wq9!zTm2_pX","user":"u{n}"}}"#))
        .collect();
    lines[3] = format!(r#"{{"operator":"Romashka","system":"Form","name":"x","secret":"{canary}","colour":"red"}}"#);
    lines[7] = format!(r#"{{"operator":"Romashka","system":"Nothing","name":"x","secret":"{canary}"}}"#);
    lines[9] = r#"{"operator":"Romashka","system":"Form","name":"weak","secret":"qwerty"}"#.into();
    lines[11] = format!(r#"{{"operator":"Romashka","system":"Form","name":"site 1","secret":"{canary}"}}"#);
    lines[13] = format!(r#"{{"operator":"Nobody","system":"Form","name":"x","secret":"{canary}"}}"#);
    lines[15] = "not json".into();
    lines[17] = format!(r#"{{"operator":"Romashka","system":"Form","name":"t","secret":"{canary}","totp":"???"}}"#);
    let file = world.file("many.jsonl", &lines.join("\n"));
    let args = ["--json", "credential", "import", file.to_str().unwrap()];
    let output = world.run("Lena", &args).ended(7);
    let report = output.json();
    assert_eq!(report["stored"], 33);
    let refused: Vec<u64> =
        report["refused"].as_array().unwrap().iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(refused, [4, 8, 10, 12, 14, 16, 18]);
    assert!(!output.stdout.contains(canary) && !output.stderr.contains(canary));
    let listed = world.as_member("Lena", "credential list Romashka").done().stdout;
    assert_eq!(listed.lines().filter(|line| line.starts_with("Romashka/Form/site ")).count(), 33);
    world.as_member("Lena", "fetch Romashka/Form/site 20".replace("site 20", "x").as_str()).ended(2);
    world.run("Lena", &["fetch", "Romashka/Form/site 20", "--field", "password"]).done();
    world.as_member("Olga", "verify").done();
}

/// An amendment narrows grants in the same step, and ends those it leaves with nothing.
#[test]
fn an_amendment_narrows_what_was_granted() {
    let world = World::with_mandate();
    let set = world.file("set.csv", "system,levels,until\nCRM,edit,\n");
    let args = ["--json", "mandate", "amend", "Romashka", "--set", set.to_str().unwrap()];
    world.run("Lena", &args).done();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("NOT_GRANTED");
    world.as_member("Lena", "grant Sasha Romashka/CRM --level edit").done();
    let until = world.file("until.csv", "system,until\nCRM,2026-03-31\n");
    world.run("Lena", &["mandate", "amend", "Romashka", "--set", until.to_str().unwrap()]).done();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.clock.pass(30 * 24 * 3_600_000);
    world.unlock("Sasha");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("TERM_EXPIRED");
    world.unlock("Lena");
    world.as_member("Lena", "mandate amend Romashka --remove Bot").done();
    world.run("Lena", &["fetch", "Romashka/Bot", "--field", "token", "--purpose", "answers"]).ended(4);
    world.as_member("Olga", "verify").done();
}

/// Suspension denies at once and ends sessions; removal destroys keys and the second factor.
#[test]
fn suspended_and_removed_members_get_nothing() {
    let world = World::with_mandate();
    world.as_member("Olga", "member suspend Sasha").done();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("GRANT_LOCKED");
    world.as_member("Olga", "member resume Sasha").done();
    world.unlock("Sasha");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    let removed = world.as_member("Olga", "--json member remove Sasha -y").done().json();
    assert_eq!((removed["grants"].as_u64(), removed["exposure"].as_array().unwrap().len()), (Some(1), 1));
    world.as_member("Sasha", "fetch Romashka/CRM --field password").ended(5);
    world.as_member("Olga", "member remove Olga -y").ended(7);
    world.as_member("Olga", "verify").done();
}

/// A lead who is one no longer loses the standing access.
#[test]
fn a_lead_who_is_one_no_longer_loses_standing_access() {
    let world = World::with_mandate();
    world.as_member("Lena", "fetch Romashka/CRM --field password").done();
    world.as_member("Olga", "member role Lena --remove lead --add specialist").done();
    world.unlock("Lena");
    world.as_member("Lena", "fetch Romashka/CRM --field password").denied("NOT_GRANTED");
}

/// `run` hands the secret to the command's environment, and ends with the command's exit code.
#[test]
fn a_command_gets_the_secret_in_its_environment_only() {
    let world = World::with_mandate();
    let secret = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    let out = world.path("seen");
    let script = format!("printf %s \"$PW\" > {}; exit 7", out.display());
    world.run("Sasha", &["run", "Romashka/CRM", "--env", "PW=password", "--", "sh", "-c", &script]).ended(7);
    assert_eq!(std::fs::read_to_string(out).unwrap(), secret.trim_end());
    assert!(std::env::var_os("PW").is_none());
}

/// The current passphrase and a new one that is not easy; afterwards the new one opens the same keys, the old one none.
#[test]
fn a_passphrase_is_changed_by_who_knows_it() {
    let world = World::with_mandate();
    let secret = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    world.as_member("Sasha", "lock").done();
    let [old, new, weak] = [("old", PASSPHRASE), ("new", "maple quartz violin harbour seven"), ("weak", "password1")]
        .map(|(name, text)| world.file(name, text).display().to_string());
    let change = |from: &str, to: &str| {
        world.as_member("Sasha", &format!("passphrase --passphrase-file {from} --new-passphrase-file {to}"))
    };
    let opens = |with: &str| {
        let line = format!("fetch Romashka/CRM --field password --passphrase-file {with}");
        let output = world.as_member("Sasha", &line);
        (output.code, output.stdout == secret)
    };
    change(&new, &old).ended(5);
    assert!(change(&old, &weak).ended(7).stderr.contains("passphrase"));
    change(&old, &old).ended(7);
    world.attended.store(false, Ordering::SeqCst);
    let unasked = world.as_member("Sasha", &format!("passphrase --passphrase-file {old}")).ended(2).stderr;
    assert!(unasked.contains("--new-passphrase-file"), "{unasked}");
    world.attended.store(true, Ordering::SeqCst);
    assert_eq!((opens(&old), opens(&new).0), ((0, true), 5), "nothing was changed");
    world.unlock("Sasha");
    world.as_member("Sasha", "whoami").done();
    change(&old, &new).done();
    world.as_member("Sasha", "whoami").ended(5);
    assert_eq!((opens(&new), opens(&old).0), ((0, true), 5));
    let kept: Vec<_> = std::fs::read_dir(world.path("vault/identities")).unwrap().flatten().collect();
    assert!(kept.len() == 3 && kept.iter().all(|file| file.path().extension().unwrap() == "id"), "{kept:?}");
}

/// Where a row has a login without a name and others with one, the path without a name is the former.
#[test]
fn a_path_without_a_name_is_the_one_that_has_none() {
    let world = World::with_mandate();
    let fetched = |path: &str| world.as_member("Lena", &format!("fetch {path} --field password"));
    let first = fetched("Romashka/CRM").done().stdout;
    world.as_member("Lena", "credential add Romashka/CRM/second --generate --totp-unknown").done();
    assert_eq!(fetched("Romashka/CRM").done().stdout, first);
    assert_ne!(fetched("Romashka/CRM/second").done().stdout, first);
    for name in ["first", "third"] {
        world.as_member("Lena", &format!("credential add Romashka/Form/{name} --generate --totp-unknown")).done();
    }
    assert!(fetched("Romashka/Form").ended(7).stderr.contains("name one of: first, third"));
}

/// What a refused command line is quoted for is shown so that it cannot deceive.
#[test]
fn a_refused_argument_is_quoted_without_what_could_deceive() {
    let lines: [&[&str]; 2] = [&["credential", "add", "Romashka/CRM", "--kind"], &["member", "add", "--role", "lead"]];
    let hostile = ["Gre\u{202e}rog", "Gre\nmandatum: all is well", "Gre\x1b[2J"];
    for (line, hostile) in lines.into_iter().flat_map(|line| hostile.map(|hostile| (line, hostile))) {
        let output = Command::new(crate::support::binary()).args(line).arg(hostile).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("Gre\\u{") && !said.contains('\u{202e}') && !said.contains('\x1b'), "{said:?}");
        assert!(!said.contains("\nmandatum: all is well"), "{said:?}");
    }
}

/// The session here ends by `lock` also where no broker can be reached any more.
#[test]
fn lock_locks_whatever_the_broker_says() {
    let world = World::with_mandate();
    let vault = world.path("vault");
    let open_to = |mode| fs::set_permissions(&vault, fs::Permissions::from_mode(mode)).unwrap();
    open_to(0o755);
    assert!(world.as_member("Sasha", "lock").done().stderr.contains("could not be told"));
    open_to(0o700);
    world.attended.store(false, Ordering::SeqCst);
    let asked = world.as_member("Sasha", "fetch Romashka/CRM --field password").ended(2);
    assert!(asked.stderr.contains("no terminal to ask for the passphrase"), "{}", asked.stderr);
}

/// A secret is text: other bytes would come out of JSON, or out of what is handed back, as something else.
#[test]
fn what_is_no_text_is_not_stored_as_a_secret() {
    let world = World::with_mandate();
    let file = world.file("secret", "");
    for bytes in [&b"\xff\xfe long enough to be fine 9316"[..], b"caf\xe9-au-lait-and-more-of-it"] {
        fs::write(&file, bytes).unwrap();
        for line in ["credential add Romashka/Form --totp-unknown", "credential rotate Romashka/CRM"] {
            let line = format!("{line} --secret-file {} --allow-weak because", file.display());
            let refused = world.as_member("Lena", &line).ended(7).stderr;
            assert!(refused.contains("not text in UTF-8"), "{refused}");
        }
    }
}

/// Names and dates that cannot be are refused with a sentence, and nothing is stored.
#[test]
fn bad_input_is_a_clear_sentence_and_stores_nothing() {
    let world = World::new();
    let records =
        |world: &World| world.as_member("Olga", "log --json").done().json()["lines"].as_array().unwrap().len();
    let before = records(&world);
    for (args, names) in [
        (
            &["mandate", "open", "A/B", "--contract", "1", "--signed", "2026-01-01", "--until", "2026-12-31"][..],
            "separates",
        ),
        (
            &["mandate", "open", "A\u{202E}B", "--contract", "1", "--signed", "2026-01-01", "--until", "2026-12-31"],
            "U+202E",
        ),
        (&["mandate", "open", "AB", "--contract", "1", "--signed", "11/30/2026", "--until", "2026-12-31"], "date"),
        (&["mandate", "open", "AB", "--contract", "1", "--signed", "2026-02-30", "--until", "2026-12-31"], "date"),
        (
            &[
                "mandate",
                "open",
                "AB",
                "--contract",
                "1",
                "--signed",
                "2026-01-01",
                "--until",
                "2026-12-31",
                "--zone",
                "Mars",
            ],
            "zone",
        ),
    ] {
        let output = run_for_usage(&world, args);
        assert!(output.0 == 2 && output.1.contains(names), "{args:?}: {output:?}");
    }
    world
        .run("Lena", &["mandate", "open", "AB", "--contract", "1", "--signed", "2026-12-31", "--until", "2026-01-01"])
        .ended(7);
    assert_eq!(records(&world), before);
}

/// To who may not list the members every name but their own says the same, and no overview tells others' names.
#[test]
fn a_specialist_learns_no_name_by_asking() {
    let world = World::with_mandate();
    world.as_member("Olga", "member role Olga --add lead").done();
    let said = |line: &str, name: &str| {
        let output = world.as_member("Sasha", &format!("{line} --of {name}"));
        (output.code, output.stdout.replace(name, "X"), output.stderr.replace(name, "X"))
    };
    for line in ["log", "log Romashka", "exposure", "exposure Romashka", "log --json", "exposure --json"] {
        let nobody = said(line, "Nobody");
        assert!(nobody.0 == 7 && nobody.2.contains("your own records only"), "{line}: {nobody:?}");
        assert_eq!([said(line, "Lena"), said(line, "Olga")], [nobody.clone(), nobody], "{line}");
        assert_eq!(said(line, "sasha").0, 0, "{line}: their own name");
        assert_eq!(world.as_member("Lena", &format!("{line} --of Sasha")).code, 0, "{line}: who may list the members");
    }
    let lacking = |member: &str| world.as_member(member, "status --json").done().json()["separation_missing"].clone();
    assert_eq!([lacking("Sasha"), lacking("Lena")], [serde_json::json!([]), serde_json::json!(["Olga"])]);
}

/// Usage errors print themselves, so they are seen through the real program.
fn run_for_usage(world: &World, args: &[&str]) -> (i32, String) {
    let output = Command::new(crate::support::binary())
        .args(["--vault", world.path("vault").to_str().unwrap(), "--state", world.path("state").to_str().unwrap()])
        .args(args)
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The demo runs through, as a program of its own.
#[test]
fn the_demo_runs_through() {
    let started = tempfile::tempdir().unwrap();
    let output = Command::new(crate::support::binary()).arg("demo").current_dir(started.path()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    for code in ["TERM_EXPIRED", "SECRET_DESTROYED", "MANDATE_NOT_ACTIVE", "all of it holds"] {
        assert!(shown.contains(code), "{code}");
    }
    // The closing act stays.
    let kept = started.path().join("mandatum-demo");
    for file in ["act.docx", "act.html", "letter.docx", "package.docx", "extract.mandatum"] {
        assert!(kept.join(file).is_file(), "{file}");
    }
}
