//! A member who sends what their program never would, to the real program that serves.

use super::real::{Served, an_hour_ago, come_to_now};
use crate::matrix::{
    Person, Place, Stage, Target, Voice, asked, keeps_grants_apart, ledgers, refusal_at_b, refuses_what_was_not_signed,
    targets, with_code, with_nina,
};
use crate::server::standby::Process;
use crate::support::World;
use mandatum::agent::{Profile, RemoteGate};
use mandatum::api::{FetchCall, Refusal, UnlockAsk, UnlockCall};
use mandatum::model::{Deny, Digest, UnitId, VaultId, Verb};
use mandatum::policy::needs_step_up;
use std::time::{Duration, Instant};

/// For each verb that can be about a mandate, with all ids of one that is somebody else's: a lead, a specialist and a
/// newcomer are answered as if it were made up, also with a fresh code where the verb needs one; nothing changes in it,
/// and each refusal is one record of the agency's own ledger (C1).
#[test]
fn anothers_mandate_is_not_there_for_any_verb() {
    let mut stage = Stage::active(World::empty().before_now(3 * 3_600_000).with_people_and_mandate());
    stage.open_incidents(&*stage.world.gate());
    let about_b: Vec<Verb> = Verb::ALL.iter().copied().filter(|verb| targets(*verb).contains(&Target::B)).collect();
    let leads_step_up = |verb: &Verb| needs_step_up(*verb) && refusal_at_b(Person::LeadOfA, *verb) == Refusal::NotFound;
    // A code is good once, and begins the session of one lead: as many leads as there are such requests.
    let sensitive: Vec<Verb> = about_b.iter().copied().filter(leads_step_up).collect();
    assert!(sensitive.len() >= 5, "{sensitive:?}");
    let leads: Vec<String> = (0..2 * sensitive.len()).map(|number| format!("Lead-{number}")).collect();
    leads.iter().for_each(|name| stage.world.add_member(name, "lead"));
    come_to_now(&stage.world);
    let served = Served::new(&stage.world);
    let people = [Person::LeadOfA, Person::SpecialistInA, Person::Newcomer];
    for person in people {
        stage.voices.insert(person.name(), Voice::at(&served, &stage.world, person.name()));
    }
    let mut leads: Vec<_> = leads.iter().map(|name| Voice::stepped_up(&served, &stage.world, name)).collect();
    let before = ledgers(&stage.world);
    let mut refused = 0;
    for verb in about_b {
        for person in people {
            let answers = [&stage.place_of_b, &stage.nowhere].map(|place| {
                let asked = stage.well_formed(person, verb, Some(place));
                if person == Person::LeadOfA && leads_step_up(&verb) {
                    let (lead, token) = leads.pop().unwrap();
                    return lead.send(&served, &asked, Some(token));
                }
                stage.voices[person.name()].send(&served, &asked, None)
            });
            let expected = Err(refusal_at_b(person, verb));
            assert_eq!(answers, [expected.clone(), expected], "{} {verb}", person.name());
            refused += 2;
        }
    }
    assert!(refused > 150 && leads.is_empty(), "{refused}");
    let after = ledgers(&stage.world);
    for (unit, was) in &before {
        let recorded = if *unit == stage.roster { refused } else { 0 };
        assert_eq!(after[unit].0, was.0 + recorded, "{unit}");
        assert!(after[unit].1 == was.1, "the state of {unit} changed");
    }
    assert_eq!(after.len(), before.len());
}

/// Route, body and signature that disagree are refused by the real program before it looks at anything (C3).
#[test]
fn a_request_that_says_two_things_is_refused_by_the_real_program() {
    let world = an_hour_ago();
    come_to_now(&world);
    refuses_what_was_not_signed(&world, &Served::new(&world));
}

/// A grant that somebody else names releases nothing from the real program (C15).
#[test]
fn anothers_grant_releases_nothing_from_the_real_program() {
    let world = an_hour_ago();
    with_nina(&world);
    come_to_now(&world);
    keeps_grants_apart(&world, &Served::new(&world));
}

/// A code in another spelling is none and does not use it up; given from two connections at once, one of them gets a
/// session (C5).
#[test]
fn a_code_is_good_once_and_in_one_spelling() {
    let world = an_hour_ago();
    come_to_now(&world);
    let served = Served::new(&world);
    let sasha = Voice { identity: world.identity("Sasha"), session: None };
    let code = world.fresh_code("Sasha");
    let unlock = |code: &str| with_code::<UnlockCall>(UnlockAsk { for_ms: 3_600_000 }, code);
    let wide: String = code.chars().map(|digit| char::from_u32(digit as u32 - 0x30 + 0xFF10).unwrap()).collect();
    for other in [format!("0{code}"), format!("{code}\t"), wide, format!(" {code}")] {
        assert!(sasha.send(&served, &unlock(&other), None).is_err(), "{other:?}");
    }
    let given: Vec<_> = std::thread::scope(|scope| {
        let give = || {
            let profile = Profile::new(
                vec![served.process.url.clone()],
                Some(served.process.pin),
                VaultId([0; 16]),
                Digest([0; 32]),
            );
            sasha.send(&RemoteGate::new(&profile).unwrap(), &unlock(&code), None)
        };
        let both = [scope.spawn(give), scope.spawn(give)];
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(given.iter().filter(|answer| answer.is_ok()).count(), 1, "{given:?}");
    assert!(given.iter().any(|answer| *answer == Err(Deny::MfaReplayed.into())), "{given:?}");
}

/// Somebody who asks for what is not theirs without end is slowed down, and alone: another's release is there at once
/// (C16).
#[test]
fn a_flood_of_refused_requests_holds_nobody_up() {
    let world = an_hour_ago();
    come_to_now(&world);
    let process = Process::start_in(world.dir.path(), &["--pace", "5"]).unwrap();
    let gate = || {
        let profile = Profile::new(vec![process.url.clone()], Some(process.pin), VaultId([0; 16]), Digest([0; 32]));
        RemoteGate::new(&profile).unwrap()
    };
    let (sasha, lena) = (Voice::at(&gate(), &world, "Sasha"), Voice::at(&gate(), &world, "Lena"));
    let place = Place::of(&gate(), &lena, "Romashka", "Sasha");
    let before: u64 = ledgers(&world).values().map(|(size, _)| size).sum();
    let begun = Instant::now();
    let (busy, slowest) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let gate = gate();
            let nowhere = asked::<FetchCall>(Some(UnitId([0xee; 16])), place.item(sasha.id()), &());
            let answers = (0..400).map(|_| sasha.send(&gate, &nowhere, None));
            answers.filter(|answer| matches!(answer, Err(Refusal::Busy { .. }))).count()
        });
        let gate = gate();
        let own = asked::<FetchCall>(Some(place.unit), place.item(lena.id()), &());
        let mut slowest = Duration::ZERO;
        for _ in 0..10 {
            let asked = Instant::now();
            lena.send(&gate, &own, None).unwrap();
            slowest = slowest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(30));
        }
        (flood.join().unwrap(), slowest)
    });
    assert!(busy > 200, "{busy}");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    let after: u64 = ledgers(&world).values().map(|(size, _)| size).sum();
    // A hundred at once and five a second, and what Lena got.
    let most = 100 + 5 * (begun.elapsed().as_secs() + 1) + 10;
    assert!(after - before <= most, "{} records, at most {most} were expected", after - before);
}
