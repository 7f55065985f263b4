//! Every oracle can fail: what it forbids is done behind the broker's back, and it says so.

use crate::damage::probe;
use crate::machine::{Fault, When};
use crate::model::{Access, Model, Stands, Wall};
use crate::retrieval::{Drawn, fetch, open};
use crate::steps::{After, PURPOSES, prologue, recover};
use crate::world::{Handed, World, text};
use mandatum::agent::{AgentError, Key, Topic};
use mandatum::anchor::{Anchor, Change, Destroy, Head};
use mandatum::api;
use mandatum::model::{Digest, Instant, UnitId, Verb};
use rusqlite::Connection;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that no broker does.
type Sabotage = fn(&mut World);

/// What is said, and what is done before.
const BROKEN: &[(&str, Sabotage)] = &[
    ("a secret was handed out, and no record says so", |world| {
        let request = world.agents[0].program.identity().sign.sign(Topic::Request, b"{}".to_vec());
        let handed = Handed { request, ..world.handed[0].clone() };
        world.handed.push(handed);
        world.check_all();
    }),
    ("a proof was given for a record that cannot be read back", |world| {
        release(world).unwrap();
        edit(world, "DELETE FROM records WHERE unit = ?1 AND seq = (SELECT max(seq) FROM records WHERE unit = ?1)");
        world.hear();
    }),
    ("an entry does not open at its place", |world| {
        edit(world, "UPDATE records SET entry = (SELECT entry FROM records WHERE unit = ?1 AND seq = 1) WHERE seq = 2");
        world.ledgers.clear();
        world.check_all();
    }),
    ("is not what the anchor names", |world| {
        let (unit, _) = granted(world);
        let mut anchor = Anchor::open(&world.outside()).unwrap();
        let head = Head { state: Digest([7; 32]), ..anchor.segment(unit).unwrap().unwrap().head };
        anchor.note(vec![Change::Head(unit, head)]).unwrap();
        world.check_all();
    }),
    ("the count of records is not the anchor's", |world| {
        let mut anchor = Anchor::open(&world.outside()).unwrap();
        let counted = anchor.core().counter + 1;
        anchor.note(vec![Change::Counted(counted)]).unwrap();
        world.check_all();
    }),
    ("the verified ledgers do not say what should be so", |world| {
        bury(world);
        world.check_all();
    }),
    ("is there, and the grant is over", |world| {
        let (unit, grant) = granted(world);
        revoke(world);
        bury(world);
        world.check_all();
        let change = Change::Granted(unit, grant.id, Key::generate(&*world.entropy), Instant(grant.until));
        Anchor::open(&world.outside()).unwrap().note(vec![change]).unwrap();
        world.check_all();
    }),
    ("is gone while the clock was suspect", |world| {
        world.wall = Wall::Ahead;
        let (unit, grant) = granted(world);
        let destroy = Destroy { grants: vec![(unit, grant.id)], ..Destroy::default() };
        Anchor::open(&world.outside()).unwrap().rotate(&destroy).unwrap();
        world.check_all();
    }),
    ("the second factor of who left is there", |world| {
        let (_, grant) = granted(world);
        let fold = world.check_all();
        world.model.people.get_mut(&grant.member).unwrap().stands = Stands::Removed;
        world.check_keys(&fold);
    }),
    ("shrank from", |world| {
        fs::remove_dir_all(world.dir.path().join("members")).unwrap();
        world.check_pins();
    }),
    ("must be refused", |world| {
        bury(world);
        (0..20).for_each(|_| fetch(world));
    }),
    ("must be done", |world| {
        revoke(world);
        (0..20).for_each(|_| fetch(world));
    }),
    ("it was said to be done, and a crash undid it", |world| {
        let mut after = world.model.clone();
        bury_in(&mut after, granted(world));
        recover(world, CRASH, true, After::is(after));
    }),
    ("neither as before nor as after", |world| {
        bury(world);
        recover(world, CRASH, false, After::Same);
    }),
    ("after damage, a secret that is not the right one for them", |world| {
        (0..20).for_each(|_| drop(probe(world, &[])));
    }),
    ("the ledgers do not verify", |world| {
        world.ledgers.values_mut().for_each(|ledger| ledger.entries.truncate(1));
        world.end_verified();
    }),
    ("a wrong secret", |world| {
        let logins = world.model.contracts.values_mut().flat_map(|contract| &mut contract.logins);
        logins.for_each(|login| login.secret = "another".into());
        (0..20).for_each(|_| fetch(world));
    }),
];

#[test]
fn every_oracle_can_fail() {
    for (words, sabotage) in BROKEN {
        let mut world = (0..).find_map(lived).unwrap();
        let failed = catch_unwind(AssertUnwindSafe(|| sabotage(&mut world)));
        let said = failed.expect_err(words);
        let said = said.downcast_ref::<String>().map(String::as_str).or(said.downcast_ref().copied()).unwrap_or("");
        assert!(said.contains(words), "{said}, and not: {words}");
    }
}

/// A vault in which somebody opened something; not every seed leads there.
fn lived(seed: u64) -> Option<World> {
    let mut world = World::found(seed);
    prologue(&mut world);
    let (_, grant) = world.live().find(|(_, grant)| !grant.of_lead)?;
    let row = grant.row;
    world.model.contracts.values().any(|contract| contract.logins.iter().any(|login| login.row == row)).then_some(())?;
    release(&mut world).ok()?;
    world.settle();
    Some(world)
}

/// The first grant that is not a lead's own, with its mandate.
fn granted(world: &World) -> (UnitId, Access) {
    let (unit, grant) = world.live().find(|(_, grant)| !grant.of_lead).expect("the prologue grants");
    (unit, grant.clone())
}

/// Its member opens what is under it.
fn release(world: &mut World) -> Result<(), AgentError> {
    let (unit, Access { id, member, row, purposes, .. }) = granted(world);
    let login = world.model.contracts[&unit].logins.iter().find(|login| login.row == row).cloned();
    let login = login.expect("a login under it");
    let purpose = PURPOSES.into_iter().find(|purpose| purposes[0] == *purpose);
    world.ready(member);
    open(&world.agent(member).program, Verb::Fetch, &Drawn { member, unit, login, grant: id, purpose }).map(drop)
}

/// Revokes it, and the model does not know.
fn revoke(world: &mut World) {
    let (_, grant) = granted(world);
    let olga = world.olga();
    world.ready(olga);
    let ask = api::RevokeAsk { member: world.agent(grant.member).name.clone(), of: None, reason: text("asked") };
    world.agent(olga).program.ask::<api::RevokeCall>(None, None, ask).unwrap();
}

/// Ends it in the model alone.
fn bury(world: &mut World) {
    let granted = granted(world);
    bury_in(&mut world.model, granted);
}

fn bury_in(model: &mut Model, (unit, grant): (UnitId, Access)) {
    let grants = &mut model.contracts.get_mut(&unit).unwrap().grants;
    grants.iter_mut().find(|known| known.id == grant.id).unwrap().live = false;
}

/// The machine stopped, so to say, and was started again.
const CRASH: Fault = Fault { at: 0, when: When::After, cut: None };

/// Edits the ledger of its mandate.
fn edit(world: &World, sql: &str) {
    let (unit, _) = granted(world);
    Connection::open(world.database()).unwrap().execute(sql, [unit.bytes()]).unwrap();
}
