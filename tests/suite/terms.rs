//! Terms and clocks: access begins and ends at midnight where the operator is, and a clock that lies releases and
//! destroys nothing (DESIGN.md 8; ATTACKS.md B6, I1, I3, I9).

use crate::support::World;
use mandatum::model::Clock;

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// An instant written in UTC.
fn utc(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Events of an operator's ledger, in order.
fn events(world: &World, reader: &str, operator: &str) -> Vec<String> {
    let lines = world.as_member(reader, &format!("log {operator} --json")).done().json();
    lines["lines"].as_array().unwrap().iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect()
}

// ----------------------------------------------------------------------------------------------- midnight, by real fetches

/// A mandate whose bounds are the days to try: written by hand as the instants they mean.
struct Days {
    zone: &'static str,
    operator: &'static str,
    first: &'static str,
    begins: &'static str,
    last: &'static str,
    ends: &'static str,
}

/// In the order of their ends.
const DAYS: [Days; 4] = [
    // The last day is 23 hours long, and the first has 24.
    Days {
        zone: "Europe/Berlin",
        operator: "Spring",
        first: "2026-03-10",
        begins: "2026-03-09T23:00:00Z",
        last: "2026-03-29",
        ends: "2026-03-29T22:00:00Z",
    },
    Days {
        zone: "Europe/Moscow",
        operator: "Moscow",
        first: "2026-04-01",
        begins: "2026-03-31T21:00:00Z",
        last: "2026-04-30",
        ends: "2026-04-30T21:00:00Z",
    },
    Days {
        zone: "Asia/Kamchatka",
        operator: "Kamchatka",
        first: "2026-05-02",
        begins: "2026-05-01T12:00:00Z",
        last: "2026-05-31",
        ends: "2026-05-31T12:00:00Z",
    },
    // The last day is 25 hours long.
    Days {
        zone: "Europe/Berlin",
        operator: "Autumn",
        first: "2026-06-01",
        begins: "2026-05-31T22:00:00Z",
        last: "2026-10-25",
        ends: "2026-10-25T23:00:00Z",
    },
];

/// At the last second of the last day a secret is released, a second later it is not, though nobody swept; and so at
/// the first second of the first day: for a row's days and for a grant's, in the operator's zone, over both changes of
/// summer time.
#[test]
fn access_begins_and_ends_at_the_operators_midnight() {
    let world = World::new();
    for Days { zone, operator, first, last, .. } in &DAYS {
        let rows = world.file(
            "days.csv",
            &format!(
                "system;category;platform;data;levels;purposes;from;until\n\
                 Row;CRM;amoCRM;contacts;view;lead handling;{first};{last}\n\
                 Grant;CRM;Bitrix;contacts;view;lead handling;;\n"
            ),
        );
        let open =
            format!("mandate open {operator} --contract 1 --signed 2026-01-15 --until 2026-12-31 --zone {zone} --rows");
        world.as_member("Lena", &format!("{open} {}", rows.display())).done();
        for (system, bound) in [("Row", String::new()), ("Grant", format!("--until {last}"))] {
            // Granted first: what is not open yet cannot be read to be granted onward.
            world.as_member("Lena", &format!("grant Sasha {operator}/{system} --level view {bound}")).done();
            world
                .as_member("Lena", &format!("credential add {operator}/{system} --user u --generate --totp-unknown"))
                .done();
        }
    }
    let fetch =
        |operator: &str, system: &str| world.as_member("Sasha", &format!("fetch {operator}/{system} --field password"));
    let mut moments: Vec<(i64, &Days, bool)> =
        DAYS.iter().flat_map(|days| [(utc(days.begins), days, true), (utc(days.ends), days, false)]).collect();
    moments.sort_by_key(|(at, ..)| *at);

    for (at, days, begins) in moments {
        world.clock.pass_to(at - SECOND);
        world.unlock("Sasha");
        assert_eq!(world.clock.now().0, at - SECOND, "the code did not have to wait");
        if begins {
            fetch(days.operator, "Row").denied("TERM_NOT_STARTED");
            fetch(days.operator, "Grant").done();
        } else {
            fetch(days.operator, "Row").done();
            fetch(days.operator, "Grant").done();
        }
        world.clock.pass(SECOND);
        if begins {
            fetch(days.operator, "Row").done();
        } else {
            fetch(days.operator, "Row").denied("TERM_EXPIRED");
            fetch(days.operator, "Grant").denied("TERM_EXPIRED");
        }
    }
}

/// What ended while no broker ran has its keys destroyed before the first answer, whoever asks for what; a mandate that
/// is over is ended as a whole (B6).
#[test]
fn the_first_call_after_the_end_finds_the_keys_destroyed() {
    let world = World::with_mandate();
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply --purpose answers --until 2026-03-10").done();
    world.clock.pass_to(utc("2026-03-10T21:00:00Z"));
    world.gate().hello().unwrap();
    world.unlock("Lena");
    let seen = events(&world, "Lena", "Romashka");
    assert_eq!(seen[seen.len() - 2..], ["expired", "destroyed"]);

    world.clock.pass_to(utc("2026-12-31T20:59:59Z"));
    world.gate().hello().unwrap();
    world.unlock("Sasha");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.clock.pass(SECOND);
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("MANDATE_NOT_ACTIVE");
    world.unlock("Lena");
    let seen = events(&world, "Lena", "Romashka");
    assert_eq!(seen[seen.len() - 3..], ["ended", "destroyed", "denied"]);
}

// --------------------------------------------------------------------------------------------------- clocks that lie

/// With the clock behind the latest record nothing is released, and revoking destroys at once all the same (I1, I9).
#[test]
fn a_clock_that_was_put_back_releases_nothing_and_revokes() {
    let world = World::with_mandate();
    let fetch = || world.as_member("Sasha", "fetch Romashka/CRM --field password");
    fetch().done();
    let right = world.clock.now().0;
    world.clock.set_wall(right - 121 * SECOND);
    fetch().denied("CLOCK_SUSPECT");
    world.as_member("Sasha", "code Romashka/CRM").denied("CLOCK_SUSPECT");
    // Nor in another process.
    world.clock.set_wall(right - DAY);
    world.gate().hello().unwrap();
    fetch().denied("CLOCK_SUSPECT");
    // Within what a time server may correct, it is no lie.
    world.clock.set_wall(right - 120 * SECOND);
    fetch().done();

    world.clock.set_wall(right - DAY);
    let revoked = world.as_member("Lena", "revoke Sasha Romashka/CRM --json").done().json();
    assert_eq!(revoked["grants"], 1);
    assert!(revoked["epoch"].is_number(), "{revoked}");
    let seen = events(&world, "Lena", "Romashka");
    assert_eq!(seen[seen.len() - 2..], ["revoked", "destroyed"]);
    world.clock.set_wall(right);
    fetch().denied("NOT_GRANTED");
}

/// A clock that jumps ten years ahead ends no grant and destroys no key, whoever calls and sweeps; put right again,
/// what was granted opens (I3).
#[test]
fn a_clock_that_jumps_ten_years_destroys_nothing() {
    let world = World::with_mandate();
    world.add_member("Nina", "specialist");
    world.as_member("Lena", "grant Nina Romashka/CRM --level view").done();
    let (before, right) = (events(&world, "Lena", "Romashka"), world.clock.now().0);

    world.clock.set_wall(right + 3653 * DAY);
    world.gate().hello().unwrap();
    // By what the clock shows the term is over: denied by the term itself.
    world.unlock("Nina");
    world.as_member("Nina", "fetch Romashka/CRM --field password").denied("TERM_EXPIRED");
    world.unlock("Lena");
    world.as_member("Lena", "sweep").denied("CLOCK_SUSPECT");

    world.clock.set_wall(right);
    world.unlock("Sasha");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.unlock("Olga");
    let after = events(&world, "Olga", "Romashka");
    assert_eq!(after[..before.len()], before);
    assert_eq!(after[before.len()..], ["denied", "released"]);
}

/// After a jump of days what ends soon is held back and the rest is released; once the owner, and nobody else, has
/// confirmed the clock, what ends soon opens and what is over is destroyed.
#[test]
fn after_a_jump_the_owner_confirms_the_clock() {
    let world = World::with_mandate();
    // Over after the jump, over within two days of it, over just later.
    for (system, level, purpose, last) in [
        ("Form", "view", "lead handling", "2026-03-09"),
        ("Bot", "reply", "answers", "2026-03-11"),
        ("Ads", "configure", "campaigns", "2026-03-12"),
    ] {
        if system != "Bot" {
            world
                .as_member("Lena", &format!("credential add Romashka/{system} --user u --generate --totp-unknown"))
                .done();
        }
        let args =
            ["grant", "Sasha", &format!("Romashka/{system}"), "--level", level, "--purpose", purpose, "--until", last];
        world.run("Lena", &args).done();
    }
    // 00:30 of the 10th: the 11th ends 47.5 hours later, the 12th 71.5.
    world.clock.set_wall(utc("2026-03-09T21:30:00Z"));
    world.unlock("Sasha");
    world.unlock("Lena");
    let fetch =
        |system: &str, field: &str| world.as_member("Sasha", &format!("fetch Romashka/{system} --field {field}"));
    fetch("Form", "password").denied("TERM_EXPIRED");
    fetch("Bot", "token").denied("CLOCK_SUSPECT");
    fetch("Ads", "password").done();
    fetch("CRM", "password").done();
    assert_eq!(world.as_member("Lena", "status --json").done().json()["clock"], "jumped");
    let kept = |seen: &[String]| !seen.iter().any(|event| matches!(event.as_str(), "expired" | "destroyed" | "ended"));
    assert!(kept(&events(&world, "Lena", "Romashka")));

    world.as_member("Lena", "doctor --confirm-clock").denied("ROLE_FORBIDS");
    fetch("Bot", "token").denied("CLOCK_SUSPECT");
    world.unlock("Olga");
    world.as_member("Olga", "doctor --confirm-clock").done();
    fetch("Bot", "token").done();
    let seen = events(&world, "Lena", "Romashka");
    let after: Vec<&str> = seen.iter().map(String::as_str).skip_while(|event| *event != "expired").collect();
    assert_eq!(after, ["expired", "destroyed", "released"]);
    assert_eq!(world.as_member("Lena", "status --json").done().json()["clock"], "trusted");
    fetch("Form", "password").denied("TERM_EXPIRED");
}
