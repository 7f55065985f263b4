//! The figures the program is held to, measured on this machine: `cargo bench`, or `cargo bench -- --small` for a look
//! of a minute.
//!
//! Vaults are built through the library's own API; what is measured is the release program, a fresh process for each
//! run, as a person starts it. What is compared runs in turns within one run, and medians are compared: the machine's
//! other work then falls on both sides. Where a tool is not there, its row says so. Nothing here fails on a slow machine.

mod measure;
mod office;
mod report;

use mandatum::agent::Program;
use mandatum::model::Role;
use measure::{Commits, Decryption, Item, cold, in_turns, median, peak_kib, this};
use office::{OWNER, Office, PER_MANDATE, PROGRAM, import_lines, operator, path, system, text};
use report::{Report, load, mib, ms, progress};
use std::fs;
use std::process::Command;
use std::time::Instant;

/// How much is built and how often it is measured.
struct Scale {
    rounds: usize,
    mandates: usize,
    listed: usize,
    records: usize,
    /// A code is good once, and three steps are open at a time: three runs with a passphrase for each of these.
    specialists: usize,
}

fn main() {
    let small = std::env::args().any(|arg| arg == "--small");
    if std::env::args().any(|arg| arg == "--nothing") {
        return;
    }
    let scale = if small {
        Scale { rounds: 7, mandates: 10, listed: 10, records: 2_000, specialists: 2 }
    } else {
        Scale { rounds: 31, mandates: 1_000, listed: 100, records: 100_000, specialists: 7 }
    };
    let mut report = Report::default();
    report.note(&format!("Load before: {}", load()));
    fetch_figures(&scale, &mut report);
    list_figures(&scale, &mut report);
    verify_figures(&scale, &mut report);
    paper_figures(&scale, &mut report);
    report.note(&format!("Load after: {}", load()));
    println!("\n{}", report.text(small));
}

/// `fetch` and `code` at both sizes beside their floors; passphrase, `add` and `revoke` on the same vaults.
fn fetch_figures(scale: &Scale, report: &mut Report) {
    let names: Vec<String> = (0..scale.specialists).map(|number| format!("Specialist {number}")).collect();
    let mut few = Office::found("10 credentials");
    few.open_mandate(0, 10);
    few.fill(0, 10);
    names.iter().for_each(|name| few.admit(name, Role::Specialist));
    names.iter().for_each(|name| few.grant(name, 0, 1));
    let count = scale.mandates * PER_MANDATE;
    let mut many = Office::found(&format!("{count} credentials"));
    for number in 0..scale.mandates {
        many.open_mandate(number, PER_MANDATE);
        many.fill(number, PER_MANDATE);
        progress("mandates", number + 1, scale.mandates);
    }
    many.admit("Sasha", Role::Specialist);
    (0..scale.rounds + 1).for_each(|row| many.grant("Sasha", scale.mandates / 2, row));
    few.unlock();
    many.unlock();

    eprintln!("fetch and code, in turns …");
    let age = Decryption::find(&few.path("age"));
    let mut commits = Commits::open(&few.path("commits.db"));
    // Another mandate each time, far from the last one.
    let place = |round: usize| (round * 37 % scale.mandates, 1 + round * 7 % (PER_MANDATE - 1));
    let mut items: Vec<Item<'_>> = vec![
        ("an empty Rust process", Box::new(|_| cold(Command::new(this()).arg("--nothing")))),
        ("mandatum --version", Box::new(|_| cold(Command::new(PROGRAM).arg("--version")))),
        ("one durable commit", Box::new(|_| commits.insert())),
        ("fetch, 10", Box::new(|_| cold(&mut few.fetch(0, 1)))),
        (
            "fetch, many",
            Box::new(|round| {
                let (m, row) = place(round);
                cold(&mut many.fetch(m, row))
            }),
        ),
        ("code, 10", Box::new(|_| cold(&mut few.code(0)))),
        ("code, many", Box::new(|round| cold(&mut many.code(place(round).0)))),
    ];
    if let Some(age) = &age {
        items.push((age.tool, Box::new(|_| cold(&mut age.command()))));
    }
    let costs = in_turns(scale.rounds, items);
    let commit = costs.wall("one durable commit");
    for (floor, name) in [
        ("an empty Rust process", ""),
        ("mandatum --version", ""),
        ("one durable commit", "SQLite, WAL, synchronous=FULL, in this process"),
    ] {
        report.row(floor, name, &costs.shown(floor), "");
    }
    match &age {
        Some(age) => {
            report.row(&format!("{} of one file", age.tool), "", &costs.shown(age.tool), "");
            let floor = costs.wall(age.tool) + commit;
            for (work, item) in
                [("fetch --field password, 10 credentials", "fetch, 10"), ("code, 10 credentials", "code, 10")]
            {
                let reach = format!("≤ 1.5 × ({} + commit)", age.tool);
                report.ratio(work, &reach, &costs.shown(item), costs.wall(item), floor, 1.5);
            }
        }
        None => {
            report.row("rage -d of one file", "", "neither rage nor age is on PATH", "");
            report.row("fetch --field password, 10 credentials", "", &costs.shown("fetch, 10"), "");
        }
    }
    for (verb, a, b) in [("fetch", "fetch, many", "fetch, 10"), ("code", "code, many", "code, 10")] {
        report.ratio(
            &format!("{verb}, {count} credentials"),
            "≤ 1.2 × the same of 10",
            &costs.shown(a),
            costs.wall(a),
            costs.wall(b),
            1.2,
        );
    }
    for (size, command) in [("10".to_owned(), few.fetch(0, 1)), (count.to_string(), many.fetch(scale.mandates / 3, 5))]
    {
        match peak_kib(&command) {
            Some(kib) => {
                report.bound(&format!("peak memory of fetch, {size} credentials"), "≤ 12 MiB", mib(kib), 12.0, "MiB")
            }
            None => report.row("peak memory of fetch", "≤ 12 MiB", "/usr/bin/time is not there", ""),
        }
    }
    passphrase_figures(&mut few, &names, report);
    many.unlock();
    add_and_revoke_figures(scale, &mut many, report);
}

/// `fetch` by who is not unlocked, against opening the identity file alone.
fn passphrase_figures(few: &mut Office, names: &[String], report: &mut Report) {
    eprintln!("fetch with passphrase …");
    let (mut whole, mut argon) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        for name in names {
            let code = few.code_now(name);
            let mut command = few.command(name);
            command
                .arg("--passphrase-file")
                .arg(few.path("passphrase"))
                .args(["--otp-command", &format!("echo {code}")]);
            command.args(["fetch", "--field", "password", &path(0, 1)]);
            whole.push(cold(&mut command).wall);
            let begun = Instant::now();
            few.load(name);
            argon.push(begun.elapsed());
        }
    }
    let (whole, argon) = (median(whole), median(argon));
    report.row("Argon2id of an identity file", "", &ms(argon), "in this process");
    let above = whole.saturating_sub(argon);
    report.bound("fetch with passphrase and code, above Argon2id", "≤ 10 ms", above.as_secs_f64() * 1e3, 10.0, "ms");
}

fn add_and_revoke_figures(scale: &Scale, many: &mut Office, report: &mut Report) {
    eprintln!("credential add and revoke, in turns …");
    let (mandate, count) = (scale.mandates / 2, scale.mandates * PER_MANDATE);
    let costs = in_turns(
        scale.rounds,
        vec![
            (
                "add",
                Box::new(|round| {
                    let path = format!("{}/fresh {round}", path(round * 31 % scale.mandates, 3));
                    cold(many.command(OWNER).args(["credential", "add", &path, "--generate", "--totp-unknown"]))
                }),
            ),
            ("revoke", Box::new(|round| cold(many.command(OWNER).args(["revoke", "Sasha", &path(mandate, round)])))),
        ],
    );
    report.duration(&format!("credential add, durable, {count} credentials"), "≤ 10 ms", &costs, "add", 10.0);
    report.duration(&format!("revoke one of {count} grants, epoch rotated"), "≤ 100 ms", &costs, "revoke", 100.0);
}

/// `credential import`, the list of what it stored, and a sweep when all of its grants are over.
fn list_figures(scale: &Scale, report: &mut Report) {
    let count = scale.listed * PER_MANDATE;
    let mut office = Office::found(&format!("import of {count}"));
    for number in 0..scale.listed {
        office.open_mandate(number, PER_MANDATE);
        progress("mandates", number + 1, scale.listed);
    }
    let lines = office.path("lines.jsonl");
    fs::write(&lines, import_lines(scale.listed)).expect("writing the lines");
    office.unlock();
    eprintln!("credential import …");
    let import = cold(office.command(OWNER).args(["credential", "import"]).arg(&lines));
    report.bound(&format!("credential import of {count}"), "≤ 15 s", import.wall.as_secs_f64(), 15.0, "s");
    eprintln!("credential list …");
    let costs = in_turns(
        scale.rounds,
        vec![
            ("start", Box::new(|_| cold(Command::new(PROGRAM).arg("--version")))),
            ("list", Box::new(|_| cold(office.command(OWNER).args(["credential", "list"])))),
        ],
    );
    let above = costs.wall("list").saturating_sub(costs.wall("start"));
    report.bound(
        &format!("credential list of {count}, above process start"),
        "≤ 10 ms",
        above.as_secs_f64() * 1e3,
        10.0,
        "ms",
    );
    eprintln!("sweep …");
    let mut sweeps = Vec::new();
    for copy in 0..3 {
        let (cost, answer) = office.swept_copy(copy);
        assert_eq!(answer, (count, 0), "grants swept, and left to sweep");
        sweeps.push(cost);
    }
    let work = format!("sweep of {count} expired grants");
    report.bound(
        &work,
        "≤ 200 ms",
        median(sweeps).as_secs_f64() * 1e3,
        200.0,
        "ms (in this process, vault opened anew)",
    );
}

/// `verify` of one long ledger.
fn verify_figures(scale: &Scale, report: &mut Report) {
    let mut office = Office::found(&format!("ledger of {}", scale.records));
    office.open_mandate(0, 10);
    office.fill(0, 10);
    let located = |program: &Program| program.locate(text(&operator(0)), text(&system(1)), None, false);
    let found = located(office.program()).expect("located").remove(0);
    for number in 2..scale.records {
        office.program().fetch(&found, None).expect("fetched");
        progress("records", number + 1, scale.records);
    }
    office.unlock();
    eprintln!("verify …");
    let costs = in_turns(2, vec![("verify", Box::new(|_| cold(office.command(OWNER).arg("verify"))))]);
    let seconds = costs.wall("verify").as_secs_f64();
    report.bound(&format!("verify of a ledger of {} records", scale.records), "≤ 10 s", seconds, 10.0, "s");
    eprintln!("exposure …");
    let costs =
        in_turns(3, vec![("exposure", Box::new(|_| cold(office.command(OWNER).args(["exposure", &operator(0)]))))]);
    let seconds = costs.wall("exposure").as_secs_f64();
    report.bound(&format!("exposure over {} records", scale.records), "≤ 1 s", seconds, 1.0, "s");
}

/// Documents in and out: a mandate of 50 rows read, the closing package of 200 credentials written.
fn paper_figures(scale: &Scale, report: &mut Report) {
    let mut office = Office::found("documents");
    office.open_mandate(0, 50);
    let papers = office.path("papers");
    office.unlock();
    eprintln!("documents …");
    cold(office.stepped_up(&["document", &operator(0), "mandate"]).arg("--out").arg(&papers));
    let file = papers.join("mandate.docx");
    let costs = in_turns(
        scale.rounds,
        vec![("read", Box::new(|_| cold(Command::new(PROGRAM).args(["mandate", "read", "--json"]).arg(&file))))],
    );
    let ms = costs.wall("read").as_secs_f64() * 1e3;
    report.bound("mandate read, 50 rows", "≤ 100 ms", ms, 100.0, "ms (cold process)");

    let mut office = Office::found("200 credentials");
    office.open_mandate(0, 2 * PER_MANDATE);
    office.fill(0, 2 * PER_MANDATE);
    let papers = office.path("closing");
    office.unlock();
    let cost = cold(office.stepped_up(&["document", &operator(0), "closing"]).arg("--out").arg(&papers));
    let seconds = cost.wall.as_secs_f64();
    report.bound("closing package, 200 credentials", "≤ 5 s", seconds, 5.0, "s (cold process)");
}
