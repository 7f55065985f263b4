//! What leaves the agency by itself: notices by mail and webhook, by the clock.

mod checkpoints;
mod doubles;

use crate::support::World;
use doubles::{Letter, MailServer, Posted, Protection, Receiver, Temper};
use mandatum::api::{NoticesReport, Refusal};
use mandatum::crypto::{Secret, mac_of};
use mandatum::host::Notices;
use mandatum::host::notices::Config;
use mandatum::model::Zone;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const MINUTE: i64 = 60 * 1000;
const DAY: i64 = 24 * 60 * MINUTE;
const SECRET: &str = "a secret of more than 16 bytes";

/// Writes a private file into the state directory.
fn state_file(world: &World, name: &str, content: &str) -> PathBuf {
    let path = world.path("state").join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn smtp(port: u16) -> String {
    format!(
        "lang = \"en\"\n[smtp]\nurl = \"smtp+plain://127.0.0.1:{port}\"\nfrom = \"mandatum <robot@agency.example>\"\n\
         to = [\"lead@agency.example\", \"owner@agency.example\"]\n"
    )
}

fn webhook(world: &World, port: u16) -> String {
    state_file(world, "hook-secret", &format!("{SECRET}\n"));
    format!("[webhook]\nurl = \"http://127.0.0.1:{port}/in\"\nsecret_file = \"hook-secret\"\n")
}

fn configure(world: &World, config: &str) {
    state_file(world, "notices.toml", config);
}

fn ticker(world: &World) -> Notices {
    let config = Config::danger_read_allowing_loopback_http(&world.places()).unwrap();
    let broker = Arc::new(world.host().broker(&world.places()).unwrap());
    Notices::new(broker, world.clock.clone(), world.path("state"), config.time_limit(Duration::from_millis(600)))
}

/// One round. A program that another test starts holds a copy of every lock of this process until it runs.
fn tick(notices: &Notices) -> NoticesReport {
    for _ in 0..10_000 {
        let report = notices.tick().unwrap();
        if !report.busy {
            return report;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("another round never ended");
}

fn lines(letters: &[Letter], part: &str) -> Vec<String> {
    let bodies: Vec<String> = letters.iter().map(Letter::body).collect();
    bodies.iter().flat_map(|body| body.lines()).filter(|line| line.contains(part)).map(str::to_owned).collect()
}

fn at(world: &World, day: &str) -> i64 {
    let _ = world;
    Zone::parse("Europe/Moscow").unwrap().start_of(day.parse().unwrap()).unwrap().0
}

fn finding(world: &World) -> serde_json::Value {
    let findings = world.as_member("Olga", "doctor --json").json();
    findings.as_array().unwrap().iter().find(|finding| finding["what"] == "notices").unwrap().clone()
}

/// Over a whole year each threshold of each term warns once, at its day and not before, and a review that is overdue
/// is said once a week.
#[test]
fn each_threshold_warns_once_over_a_year() {
    let world = World::with_mandate();
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply --until 2026-06-30").done();
    let server = MailServer::start(Protection::None);
    configure(&world, &smtp(server.port));
    let notices = ticker(&world);
    let (end, grant_end) = (at(&world, "2027-01-01"), at(&world, "2026-07-01"));
    let mut said: Vec<(i64, Letter)> = Vec::new();
    while world.clock.now_ms() < end + 40 * DAY {
        let report = tick(&notices);
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        let now = world.clock.now_ms();
        said.extend(server.letters().into_iter().map(|letter| (now, letter)));
        world.clock.pass(12 * 60 * MINUTE);
    }
    for (part, end) in [
        ("Romashka: the mandate ends (last day 2026-12-31", end),
        ("Romashka: a grant ends: Bot, Sasha (last day 2026-06-30", grant_end),
    ] {
        let days: Vec<String> = said.iter().flat_map(|(_, letter)| lines(std::slice::from_ref(letter), part)).collect();
        let left = |line: &String| line.split("days left: ").nth(1).unwrap().trim_end_matches(')').to_owned();
        assert_eq!(days.iter().map(left).collect::<Vec<_>>(), ["30", "14", "7", "1"], "{days:?}");
        for (now, letter) in &said {
            for line in lines(std::slice::from_ref(letter), part) {
                let threshold: i64 = left(&line).parse().unwrap();
                let early = end - threshold * DAY - now;
                assert!((-12 * 60 * MINUTE..=0).contains(&early), "{line} {early} ms too early");
            }
        }
    }
    let reviews = said.iter().filter(|(_, letter)| letter.body().contains("access review is overdue")).count();
    let weeks = (end - (crate::support::START + 93 * DAY)) / (7 * DAY);
    assert!((weeks - 1..=weeks + 2).contains(&(reviews as i64)), "{reviews} in {weeks} weeks");
    let (_, last) = said.last().unwrap();
    assert_eq!(last.to, ["<lead@agency.example>", "<owner@agency.example>"]);
    assert_eq!(last.header("Auto-Submitted"), "auto-generated");
    // What is over is said no more, and nothing is remembered of it but digests.
    let kept = std::fs::read_to_string(world.path("state").join("notices.json")).unwrap();
    assert!(!kept.contains("Romashka") && !kept.contains("agency") && !kept.contains("Sasha"), "{kept}");
}

/// The first round after a pause says the nearest threshold alone.
#[test]
fn after_a_pause_only_the_nearest_threshold_is_said() {
    let world = World::with_mandate();
    let server = MailServer::start(Protection::None);
    configure(&world, &smtp(server.port));
    let (end, notices) = (at(&world, "2027-01-01"), ticker(&world));
    for (days_left, expected) in [(10, Some("10")), (9, None), (5, Some("5")), (2, None), (1, Some("1"))] {
        world.clock.pass_to(end - days_left * DAY);
        tick(&notices);
        let said = lines(&server.letters(), "the mandate ends");
        let left = said.iter().map(|line| line.split("days left: ").nth(1).unwrap().trim_end_matches(')'));
        assert_eq!(left.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>(), "{days_left}");
    }
}

/// Incidents and requests are said at once, again each day while they are open, and no more afterwards; in Russian
/// with the clocks of the law.
#[test]
fn what_is_urgent_is_said_at_once_and_daily() {
    let world = World::with_mandate();
    let server = MailServer::start(Protection::None);
    configure(&world, &smtp(server.port).replace("\"en\"", "\"ru\""));
    let notices = ticker(&world);
    let round = |pass: i64| {
        world.clock.pass(pass);
        tick(&notices);
        server.letters()
    };
    assert!(round(0).is_empty());
    world.as_member("Sasha", "request Romashka/Form --level view --reason needed").done();
    let first = round(MINUTE);
    assert_eq!(lines(&first, "запрос доступа ждёт ответа: Form, Sasha").len(), 1, "{first:?}");
    assert!(first[0].header("Subject").contains("=?utf-8?b?"), "{:?}", first[0].text);
    assert!(round(MINUTE).is_empty() && round(23 * 60 * MINUTE).is_empty());
    assert_eq!(lines(&round(60 * MINUTE), "Form, Sasha").len(), 1);
    world.unlock("Lena");
    world.as_member("Lena", "deny Sasha Romashka/Form --reason no").done();
    assert!(round(2 * DAY).is_empty());

    world.unlock("Lena");
    let opened = world.as_member("Lena", "incident open --kind device_lost --of Sasha --json").done().json();
    let id = opened[0]["incident"]["facts"]["id"].as_str().unwrap().to_owned();
    let said = round(0);
    let line = lines(&said, "утрата устройства").remove(0);
    for part in ["ОПЕРАТОР НЕ УВЕДОМЛЁН, срок", "24 ч до", "72 ч до", "Роскомнадзору"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    world.unlock("Lena");
    world.run("Lena", &["incident", "note", &id, "--step", "notice", "sent"]).done();
    assert!(lines(&round(DAY), "утрата устройства").remove(0).contains("оператор уведомлён"));
    world.unlock("Lena");
    world.run("Lena", &["incident", "close", &id, "--outcome", "found"]).done();
    assert!(round(2 * DAY).is_empty());
}

/// One way out that does not work does not hold the other up.
#[test]
fn a_failed_letter_does_not_hold_the_webhook_up() {
    let world = World::with_mandate();
    assert_eq!(finding(&world)["found"], "none are configured");
    let (server, receiver) = (MailServer::start(Protection::None), Receiver::start());
    configure(&world, &format!("{}{}", smtp(server.port), webhook(&world, receiver.port)));
    world.clock.pass_to(at(&world, "2026-12-20"));
    server.be(Temper::Refuses(451));
    let report = tick(&ticker(&world));
    assert_eq!((report.mailed, report.posted, report.failed.len()), (0, 2, 1), "{report:?}");
    world.clock.pass(MINUTE);
    server.be(Temper::Good);
    let report = tick(&ticker(&world));
    assert_eq!((report.mailed, report.posted, report.failed.len()), (1, 0, 0), "{report:?}");
}

/// What was not delivered is tried again, ever more slowly, delivered once, and `doctor` says so meanwhile.
#[test]
fn a_failed_letter_is_tried_again_and_found() {
    let world = World::with_mandate();
    let server = MailServer::start(Protection::None);
    configure(&world, &smtp(server.port));
    assert_eq!(finding(&world)["found"], "configured, and no round was ever made");
    world.clock.pass_to(at(&world, "2026-12-20"));
    let notices = ticker(&world);
    server.be(Temper::Refuses(451));
    let report = tick(&notices);
    assert_eq!(report.failed, ["mail: 127.0.0.1 refused it with code 451"]);
    assert_eq!((report.mailed, report.due.len()), (0, 2), "{:?}", report.due);
    let found = finding(&world);
    assert_eq!(found["fine"], false);
    assert!(found["found"].as_str().unwrap().contains("refused it with code 451"), "{found}");
    // Not at once again; then after 1, 2, 4 … minutes, never more than an hour.
    let mut tries = Vec::new();
    for minute in 0..300 {
        let before = server.calls();
        tick(&notices);
        if server.calls() > before {
            tries.push(minute);
        }
        world.clock.pass(MINUTE);
    }
    assert_eq!(tries, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
    server.be(Temper::Good);
    world.clock.pass(60 * MINUTE);
    assert_eq!(tick(&notices).mailed, 1);
    tick(&notices);
    assert_eq!(lines(&server.letters(), "the mandate ends").len(), 1);
    assert_eq!(finding(&world)["fine"], true);
    // A host that stopped looking is found as well.
    world.clock.pass(2 * DAY);
    assert!(finding(&world)["found"].as_str().unwrap().contains("no round was made since"));
}

/// Whatever the other side does, a round ends in time, says what it was in our words, and quotes nothing.
#[test]
fn a_hostile_server_holds_nobody_up() {
    let world = World::with_mandate();
    let (server, receiver) = (MailServer::start(Protection::None), Receiver::start());
    configure(&world, &format!("{}{}", smtp(server.port), webhook(&world, receiver.port)));
    world.clock.pass_to(at(&world, "2026-12-20"));
    let notices = ticker(&world);
    let round = |temper: Temper| -> (NoticesReport, Duration) {
        world.clock.pass(61 * MINUTE);
        server.be(temper);
        receiver.be(temper);
        let started = Instant::now();
        (tick(&notices), started.elapsed())
    };
    for (temper, mail, hook) in [
        (Temper::Silent, "did not answer in time", "did not answer in time"),
        (Temper::Drips, "did not answer in time", ""),
        (Temper::Floods, "answers with more than is read", ""),
        (Temper::FloodsOneLine, "answers with more than is read", ""),
        (Temper::Refuses(535), "refused it with code 535", "refused it with code 535"),
        (Temper::Refuses(302), "does not speak the expected protocol", "refused it with code 302"),
    ] {
        let (report, took) = round(temper);
        let [mailed, posted] = &report.failed[..] else { panic!("{temper:?}: {:?}", report.failed) };
        assert!(mailed.starts_with("mail: 127.0.0.1") && mailed.contains(mail), "{temper:?}: {mailed}");
        assert!(posted.starts_with("webhook: 127.0.0.1") && posted.contains(hook), "{temper:?}: {posted}");
        assert!(!format!("{report:?}").contains("hunter2"), "{report:?}");
        assert!(took < Duration::from_secs(20), "{temper:?}: {took:?}");
    }
    let elsewhere = receiver.got().iter().any(|posted| posted.path != "/in");
    assert!(!elsewhere, "a redirect was followed");
    let (report, _) = round(Temper::Good);
    assert!(report.failed.is_empty() && report.mailed == 1, "{report:?}");
}

fn check(posted: &Posted, now: i64) -> serde_json::Value {
    // As docs/operating.md tells the receiver to.
    let (t, v1) = posted.signature.split_once(",v1=").unwrap();
    let t = t.strip_prefix("t=").unwrap();
    assert_eq!(t.parse::<i64>().unwrap(), now / 1000);
    let expected = mac_of(&Secret::copy_of(SECRET.as_bytes()), &[format!("{t}.{}", posted.body).as_bytes()]);
    assert_eq!(v1, expected.to_string());
    serde_json::from_str(&posted.body).unwrap()
}

/// The receiver checks the signature over the bytes as they came; what is sent again has the same id.
#[test]
fn a_webhook_is_signed_and_sent_again_under_the_same_id() {
    let world = World::with_mandate();
    let receiver = Receiver::start();
    configure(&world, &webhook(&world, receiver.port));
    world.clock.pass_to(at(&world, "2026-12-20"));
    let notices = ticker(&world);
    receiver.be(Temper::Refuses(500));
    tick(&notices);
    let refused = receiver.got();
    assert_eq!(refused.len(), 1, "after one that fails the rest waits");
    receiver.be(Temper::Good);
    world.clock.pass(MINUTE);
    assert_eq!(tick(&notices).posted, 2);
    let taken = receiver.got();
    let said: Vec<serde_json::Value> = taken.iter().map(|posted| check(posted, world.clock.now_ms())).collect();
    let first: serde_json::Value = serde_json::from_str(&refused[0].body).unwrap();
    assert_eq!(said[0]["id"], first["id"]);
    assert_ne!(said[0]["id"], said[1]["id"]);
    let mandate = said.iter().find(|notice| notice["kind"] == "mandate").unwrap();
    assert_eq!((mandate["operator"].as_str(), mandate["days"].as_i64()), (Some("Romashka"), Some(12)));
    assert_eq!(mandate["when"].as_i64(), Some(at(&world, "2027-01-01")));
    let fields: Vec<&String> = mandate.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["at", "days", "id", "kind", "operator", "what", "when"]);
    // Changed on the way, or under another secret, it does not check.
    let other = mac_of(&Secret::copy_of(b"another secret of 16"), &[taken[0].body.as_bytes()]);
    assert!(!taken[0].signature.contains(&other.to_string()));
    world.clock.pass(MINUTE);
    tick(&notices);
    assert!(receiver.got().is_empty());
}

/// Mail goes under TLS, whole or by STARTTLS, to a server whose certificate is trusted; else nothing is said at all.
#[test]
fn mail_goes_under_tls_to_a_trusted_server_or_not_at_all() {
    for (protection, scheme) in [(Protection::Tls, "smtps"), (Protection::StartTls, "smtp")] {
        let world = World::with_mandate();
        world.clock.pass_to(at(&world, "2026-12-20"));
        let server = MailServer::start(protection);
        state_file(&world, "ca.pem", &server.certificate);
        state_file(&world, "password", "hunter2 и ещё\n");
        let config = |more: &str| {
            format!(
                "lang = \"en\"\n[smtp]\nurl = \"{scheme}://robot@agency.example@localhost:{}\"\n{more}\
                 password_file = \"password\"\nfrom = \"robot@agency.example\"\nto = [\"lead@agency.example\"]\n",
                server.port
            )
        };
        configure(&world, &config(""));
        let report = tick(&ticker(&world));
        assert!(report.failed[0].contains("is not protected: no trusted certificate"), "{:?}", report.failed);
        assert!(server.letters().is_empty());
        configure(&world, &config("ca_file = \"ca.pem\"\n"));
        world.clock.pass(MINUTE);
        let report = tick(&ticker(&world));
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        let letters = server.letters();
        assert_eq!(letters[0].login.as_deref(), Some("robot@agency.example hunter2 и ещё"));
        assert!(letters[0].protected && letters[0].body().contains("the mandate ends"));

        // A server without STARTTLS gets neither password nor letter.
        let plain = MailServer::start(Protection::None);
        configure(&world, &config("ca_file = \"ca.pem\"\n").replace(&server.port.to_string(), &plain.port.to_string()));
        world.clock.pass(10 * DAY);
        let report = tick(&ticker(&world));
        assert_eq!((report.failed.len(), plain.letters().len()), (1, 0), "{:?}", report.failed);
    }
}

/// A configuration is private, complete and known in every word; an error names the place and never what stands there.
#[test]
fn a_wrong_configuration_is_refused_with_its_place_and_without_its_secrets() {
    let world = World::with_mandate();
    let good = smtp(25);
    let hook = "[webhook]\nurl = \"https://hooks.example/hunter2\"\nsecret_file = \"hook-secret\"\n";
    state_file(&world, "hook-secret", "hunter2-hunter2-hunter2");
    state_file(&world, "short", "hunter2");
    state_file(&world, "empty", "\n");
    std::fs::set_permissions(state_file(&world, "open", "hunter2"), std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(world.path("state").join("short"), world.path("state").join("link")).unwrap();
    let with_user = good.replace("smtp+plain://127", "smtp+plain://robot@127");
    let cases = [
        (good.replace("from =", "password = \"hunter2\"\nfrom ="), "line 4: unknown field `password`"),
        (good.replace("from =", "frm ="), "line 4: unknown field `frm`"),
        (
            good.replace("[\"lead@agency.example\", \"owner@agency.example\"]", "\"hunter2\""),
            "line 5: is not of the form",
        ),
        (good.replace("lead@agency.example", "hunter2"), "line 5: is not of the form"),
        (good.replace("lang = \"en\"", "lang = \"hunter2\""), "line 1: "),
        (good.replace("lang = \"en\"", "lang = \"hunter2"), "line 1: "),
        (good.replace("smtp+plain://127.0.0.1", "smtp+plain://hunter2.example"), "smtp.url would go unprotected"),
        (good.replace("smtp+plain://127", "smtps://robot:hunter2@127"), "smtp.url holds a password"),
        (with_user.clone(), "smtp.password_file is missing"),
        (with_user.replace("from =", "password_file = \"absent\"\nfrom ="), "absent"),
        (with_user.replace("from =", "password_file = \"open\"\nfrom ="), "is open to other accounts"),
        (with_user.replace("from =", "password_file = \"link\"\nfrom ="), "link"),
        (with_user.replace("from =", "password_file = \"empty\"\nfrom ="), "is empty"),
        (good.replace("from =", "password_file = \"short\"\nfrom ="), "smtp.url names no user"),
        (good.replace("from =", "ca_file = \"short\"\nfrom ="), "smtp.ca_file holds no certificate"),
        (good.replace("to = [\"lead@agency.example\", \"owner@agency.example\"]", ""), "smtp.to names nobody"),
        (hook.replace("https", "http"), "webhook.url does not begin with https://"),
        (hook.replace("https://", "https://robot:hunter2@"), "webhook.url holds a user name or password"),
        (hook.replace("hook-secret", "short"), "webhook.secret_file holds less than 16 bytes"),
        ("[operators.\"Ромашка\"]\nmail = \"a@b.example\"\n".to_owned(), "needs a table [smtp]"),
        ("[operators.\"Ромашка\"]\nfolder = \"here\"\n".to_owned(), "is not an absolute path"),
        ("[operators.\"Ромашка\"]\n".to_owned(), "needs mail or folder"),
        ("[operators.\"A/B\"]\nfolder = \"/tmp\"\n".to_owned(), "is not an operator's name"),
        ("lang = \"ru\"\n".to_owned(), "nobody would be told"),
        ("[telegram]\ntoken = \"hunter2\"\n".to_owned(), "line 1: unknown field `telegram`"),
    ];
    for (config, why) in &cases {
        configure(&world, config);
        let said = world.as_member("Olga", "notices");
        assert_eq!(said.code, 7, "{why}: {}", said.stdout);
        assert!(said.stderr.contains(why), "{why}: {}", said.stderr);
        assert!(!said.stderr.contains("hunter2") && !said.stdout.contains("hunter2"), "{}", said.stderr);
        let found = finding(&world);
        assert!(found["fine"] == false && !found.to_string().contains("hunter2"), "{found}");
    }
    configure(&world, &good);
    std::fs::set_permissions(world.path("state").join("notices.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(world.as_member("Olga", "notices").ended(7).stderr.contains("is open to other accounts"));
    std::fs::remove_file(world.path("state").join("notices.toml")).unwrap();
    assert!(world.as_member("Olga", "notices").ended(7).stderr.contains("notices.toml"));
}

/// The command makes one round, needs nobody's passphrase, and a dry one sends and remembers nothing.
#[test]
fn the_command_makes_one_round_and_a_dry_one_sends_nothing() {
    let world = World::with_mandate();
    world.attended.store(false, Ordering::SeqCst);
    world.clock.pass_to(at(&world, "2026-12-20"));
    let dry = world.as_member("Olga", "notices --dry-run --json").done().json();
    assert_eq!((dry["configured"].as_bool(), dry["due"].as_array().unwrap().len()), (Some(false), 2));
    let server = MailServer::start(Protection::None);
    configure(&world, &smtp(server.port));
    let dry = world.as_member("Olga", "notices --dry-run").done().stdout;
    assert!(dry.contains("Romashka") && server.calls() == 0 && !world.path("state").join("notices.json").exists());
    let sent = world.as_member("Olga", "notices --json").done().json();
    assert_eq!(sent["mailed"], 1);
    assert_eq!(server.letters().len(), 1);
    let mode = std::fs::metadata(world.path("state").join("notices.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(world.as_member("Olga", "notices").done().stdout.contains("Nothing is due."));
    server.be(Temper::Refuses(550));
    world.clock.pass_to(at(&world, "2026-12-28"));
    let failed = world.as_member("Olga", "notices").ended(1);
    assert!(failed.stderr.contains("not delivered: mail: 127.0.0.1 refused it with code 550"), "{}", failed.stderr);
}

/// A clock that jumped says nothing of terms: that it is not believed is said instead, and the terms once it is.
#[test]
fn a_clock_that_is_not_believed_is_said_instead_of_the_terms() {
    let world = World::with_mandate();
    let server = MailServer::start(Protection::None);
    configure(&world, &smtp(server.port));
    let notices = ticker(&world);
    let start = world.clock.now_ms();
    world.clock.set_wall(at(&world, "2026-12-20"));
    tick(&notices);
    let said = server.letters();
    assert_eq!(lines(&said, "the clock is not believed").len(), 1, "{said:?}");
    assert!(lines(&said, "the mandate ends").is_empty());
    world.clock.set_wall(start);
    world.clock.pass_to(at(&world, "2026-12-02"));
    tick(&notices);
    let said = server.letters();
    assert!(lines(&said, "the clock").is_empty() && lines(&said, "days left: 30").len() == 1, "{said:?}");
}

/// What cannot be remembered is not sent: a full or broken disk makes no flood. Two hosts at once say it once.
#[test]
fn nothing_is_sent_that_cannot_be_remembered() {
    let world = World::with_mandate();
    world.clock.pass_to(at(&world, "2026-12-20"));
    let server = MailServer::start(Protection::None);
    configure(&world, &smtp(server.port));
    let notices = ticker(&world);
    // Where the new file would be written stands a directory.
    let blocked = world.path("state").join("notices.json.new");
    std::fs::create_dir(&blocked).unwrap();
    assert!(matches!(notices.tick(), Err(Refusal::Failed(_))));
    std::fs::remove_dir(&blocked).unwrap();
    std::fs::write(world.path("state").join("notices.json"), "{\"format\":2}").unwrap();
    assert!(matches!(notices.tick(), Err(Refusal::Input { .. })));
    std::fs::remove_file(world.path("state").join("notices.json")).unwrap();
    let held = std::fs::File::create(world.path("state").join("notices.lock")).unwrap();
    held.lock().unwrap();
    let report = notices.tick().unwrap();
    assert!(report.busy && report.mailed == 0, "{report:?}");
    let said = world.as_member("Olga", "notices").done().stdout;
    assert!(said.contains("Another round is under way") && !said.contains("Nothing is due"), "{said}");
    assert_eq!(server.calls(), 0);
    drop(held);
    assert_eq!(tick(&notices).mailed, 1);
}
