//! Clocks that lie, under the real program where the machine's clock can be made to.

use super::real::{Front, Served, come_to_now};
use crate::matrix::{Place, Voice, asked};
use crate::support::World;
use crate::tamper::home;
use mandatum::anchor::Anchor;
use mandatum::api::{FetchCall, SweepCall, UnlockAsk, UnlockCall};
use mandatum::model::{Clock, Deny, Zone};

const DAY: i64 = 24 * 3_600_000;

/// A vault that was last used ten years ago, as a clock that jumped shows it: the real program starts, sweeps and is
/// asked, and every key is still there; what ends far off opens, and what would be over by that clock does not (I3).
#[test]
fn ten_years_in_one_step_destroy_nothing_in_the_real_program() {
    let world = World::empty().before_now(3650 * DAY).with_people_and_mandate();
    let date = |ahead: i64| Zone::utc().date_of(world.clock.now().plus(ahead)).unwrap();
    let (today, until, rows) = (date(0), date(365 * DAY), world.path("rows.csv"));
    let open = format!("mandate open Astra --contract 2 --signed {today} --until {until} --rows {}", rows.display());
    world.as_member("Lena", &open).done();
    world.as_member("Lena", "credential add Astra/CRM --generate --totp-unknown").done();
    world.as_member("Lena", "grant Sasha Astra/CRM --level view").done();
    let keys = || {
        let mut anchor = Anchor::open(&home(&world)).unwrap();
        let units = anchor.units();
        let held = units.into_iter().map(|unit| {
            let segment = anchor.segment(unit).unwrap().unwrap();
            (unit, segment.grants.len(), segment.state_key.is_some(), segment.evidence_key.is_some())
        });
        held.collect::<Vec<_>>()
    };
    let before = keys();
    come_to_now(&world);
    let served = Served::new(&world);
    assert_eq!(keys(), before, "on starting");
    let olga = Voice::at(&served, &world, "Olga");
    let swept = olga.send(&served, &asked::<SweepCall>(None, mandatum::api::Nothing {}, &()), None);
    assert_eq!(swept, Err(Deny::ClockSuspect.into()));
    assert_eq!(keys(), before, "on sweeping");
    world.go_remote(std::slice::from_ref(&served.process.url), Some(served.process.pin));
    come_to_now(&world);
    world.unlock("Sasha");
    assert_eq!(world.as_member("Sasha", "status --json").done().json()["clock"], "jumped");
    world.as_member("Sasha", "fetch Romashka/CRM --field password").done();
    world.as_member("Sasha", "fetch Astra/CRM --field password").ended(3);
    assert_eq!(keys(), before, "on fetching");
}

/// An older database brings no older time: the anchor remembers it, and with the clock put back to that day nothing is
/// released, before and after the owner's restart (I2).
#[test]
fn an_older_database_brings_no_older_time() {
    let world = World::with_mandate();
    let place = Place::of(&*world.gate(), &Voice::of(&world, "Lena"), "Romashka", "Sasha");
    world.keep("monday");
    let monday = world.clock.now_ms();
    world.clock.pass(2 * 3_600_000);
    let sasha = Voice::of(&world, "Sasha");
    let fetch = || {
        let asked = asked::<FetchCall>(Some(place.unit), place.item(sasha.id()), &());
        let gate = world.gate();
        gate.hello().and_then(|_| sasha.send(&*gate, &asked, None)).map(drop)
    };
    fetch().unwrap();
    let later = world.clock.now_ms();
    world.put_back_vault("monday");
    world.clock.set_wall(monday);
    assert_eq!(fetch(), Err(Deny::VaultRolledBack.into()));
    world.clock.set_wall(later);
    world.restart("").done();
    world.clock.set_wall(monday);
    assert_eq!(fetch(), Err(Deny::ClockSuspect.into()));
    world.clock.set_wall(later + 60_000);
    fetch().unwrap();
}

/// The broker's clock is an hour ahead of the member's machine: what is given is decided and written down by the
/// broker's, and a code by the member's own clock is none (I7).
#[test]
fn the_brokers_clock_decides_and_not_the_members() {
    let world = World::with_mandate_before_now(3_600_000);
    world.clock.set_wall(mandatum::host::SystemClock.now().0 + 3_600_000);
    let front = Front::of(&world);
    let own_code = {
        let uri = std::fs::read_to_string(world.otp_file("Lena")).unwrap();
        let seed = mandatum::agent::Seed::parse(uri.trim()).unwrap();
        seed.code(mandatum::host::SystemClock.now().unix_seconds()).0
    };
    let lena = Voice { identity: world.identity("Lena"), session: None };
    let unlock = crate::matrix::with_code::<UnlockCall>(UnlockAsk { for_ms: 1000 }, &own_code);
    assert!(lena.send(&*front.gate, &unlock, None).is_err());
    if !world.really_unlock("Sasha") {
        return;
    }
    let fetched = world.really("Sasha", "fetch Romashka/CRM --field password");
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    world.really("Sasha", "lock");
    world.unlock("Lena");
    let log = world.as_member("Lena", "log Romashka --json").done().json();
    let last = log["lines"].as_array().unwrap().iter().rfind(|line| line["member"] == "Sasha");
    let last = last.unwrap_or_else(|| panic!("{log}"));
    let at = last["at"].as_i64().unwrap_or_else(|| panic!("{last}"));
    assert!((world.clock.now_ms() - at).abs() < 120_000, "{last}, by the broker at {}", world.clock.now_ms());
}
