//! Invitations, keys made on another machine, and several devices of one member.

use crate::support::{Output, World};
use mandatum::agent::{Identity, Invitation, Seed, SignKey, System, Topic};
use mandatum::anchor::{Anchor, FileKeys, Home, RealDisk};
use mandatum::api::*;
use mandatum::ledger::{Admission, Audit, Directory, Entry, Flaw, bundle_fingerprint, from_blob, to_blob};
use mandatum::model::{
    Bundle, Clock, Deny, Digest, Event, GrantId, Instant, MemberId, Name, Role, SessionId, SharedItem, UnitId, VaultId,
    Verb,
};
use mandatum::store::Store;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Invites, and gives the invitation's text back.
fn invite(world: &World, line: &str) -> String {
    // No `serve` runs here: where the broker is stands in the command.
    let invited =
        world.as_member("Olga", &format!("member invite {line} --url unix:/run/mandatum/broker --json")).done();
    invited.json()["invitation"].as_str().unwrap().to_owned()
}

/// Joins as a new member on a machine of their own; the fingerprint they read out.
fn join(world: &World, machine: &str, name: &str, invitation: &str) -> String {
    let otp = world.otp_file(name);
    let line = format!("join {invitation} --otpauth-out {} --json", otp.display());
    world.as_member_at(machine, name, &line).done().json()["fingerprint"].as_str().unwrap().to_owned()
}

/// Joins with a further device, proven by the code the member has.
fn join_device(world: &World, machine: &str, name: &str, invitation: &str) -> String {
    let joined = world.as_member_at(machine, name, &format!("join {invitation} --json")).done();
    joined.json()["fingerprint"].as_str().unwrap().to_owned()
}

fn confirm(world: &World, name: &str, fingerprint: &str) -> Output {
    world.as_member("Olga", &format!("member confirm {name} --fingerprint {fingerprint}"))
}

/// Sasha with a second device, "phone", that is confirmed and was given nothing yet.
fn with_phone() -> World {
    let world = World::with_mandate();
    let invitation = invite(&world, "Sasha --device phone");
    let fingerprint = join_device(&world, "phone", "Sasha", &invitation);
    confirm(&world, "Sasha", &fingerprint).done();
    world.as_member_at("phone", "Sasha", "unlock").done();
    world
}

const FETCH: &str = "fetch Romashka/CRM --field password";

fn fetch_here(world: &World) -> Output {
    world.as_member("Sasha", FETCH)
}

fn fetch_there(world: &World) -> Output {
    world.as_member_at("phone", "Sasha", FETCH)
}

fn verified(world: &World) {
    let report = world.as_member("Olga", "verify --json").done().json();
    assert_eq!(report["flaws"].as_array().map(Vec::len), Some(0), "{report}");
}

fn roster_size(world: &World) -> u64 {
    let store = Store::open(&mandatum::store::Database::File(world.places().database())).unwrap();
    store.sizes().unwrap().into_iter().map(|(_, size)| size).sum()
}

// ------------------------------------------------------------------------------------------------------- a new member

/// Invite, join on another machine, compare, confirm, grant, fetch; before the confirmation nothing is theirs, and the
/// sentence says what is missing.
#[test]
fn a_newcomer_makes_their_keys_on_their_own_machine() {
    let world = World::with_mandate();
    let invitation = invite(&world, "Katya --role specialist");
    assert!(invitation.starts_with("mandatum:"), "{invitation}");
    let fingerprint = join(&world, "katya", "Katya", &invitation);

    // Not a member: not by name, not by their own keys; told so only under their own signature.
    assert!(!world.as_member("Olga", "member list").done().stdout.contains("Katya"));
    let early = world.as_member_at("katya", "Katya", "unlock").ended(5);
    assert!(early.stderr.contains("not confirmed yet"), "{}", early.stderr);
    let pending = world.as_member("Olga", "member pending").done().stdout;
    assert!(pending.contains("Katya") && pending.contains(&fingerprint), "{pending}");
    // A destruction in between leaves the second factor of who waits alone.
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();

    confirm(&world, "Katya", &fingerprint).done();
    world.as_member_at("katya", "Katya", "unlock").done();
    world.as_member("Lena", "grant Katya Romashka/CRM --level view").done();
    let fetched = world.as_member_at("katya", "Katya", FETCH).done().stdout;
    assert_eq!(fetched, world.as_member("Lena", FETCH).done().stdout);
    assert!(!world.as_member("Olga", "member pending").done().stdout.contains("Katya"));
    verified(&world);
}

/// With `--wait` the command ends when the owner has confirmed, and fails when they reject.
#[test]
fn who_waits_is_told() {
    let world = World::new();
    for (name, confirms) in [("Katya", true), ("Boris", false)] {
        let invitation = invite(&world, &format!("{name} --role specialist"));
        *world.meanwhile.lock().unwrap() = Some(Box::new(move |world| {
            if confirms {
                let pending = world.as_member("Olga", "member pending --json").done().json();
                confirm(world, name, pending[0]["fingerprint"].as_str().unwrap()).done();
            } else {
                world.as_member("Olga", &format!("member reject {name}")).done();
            }
        }));
        let line = format!("join {invitation} --wait --otpauth-out {}", world.otp_file(name).display());
        world.as_member_at(name, name, &line).ended(if confirms { 0 } else { 5 });
    }
}

/// A lead who joined can store and fingerprint: the reuse key reached them wrapped to the confirmed keys.
#[test]
fn a_lead_who_joined_works_as_one() {
    let world = World::new();
    let invitation = invite(&world, "Larisa --role lead");
    let fingerprint = join(&world, "larisa", "Larisa", &invitation);
    confirm(&world, "Larisa", &fingerprint).done();
    world.as_member_at("larisa", "Larisa", "unlock").done();
    let rows = world.file("r.csv", "system;category;platform;data;levels;purposes\nCRM;CRM;amoCRM;c;view;calls\n");
    let open =
        format!("mandate open Pion --contract 1 --signed 2026-01-15 --until 2026-12-31 --rows {}", rows.display());
    world.as_member_at("larisa", "Larisa", &open).done();
    world.as_member_at("larisa", "Larisa", "credential add Pion/CRM --user u --generate --totp-unknown").done();
    world.as_member_at("larisa", "Larisa", "fetch Pion/CRM --field password").done();
    verified(&world);
}

/// A token is good once, for its time, until it is withdrawn; what is wrong with it is not told, and wrong ones wait.
#[test]
fn a_token_is_good_once_and_for_its_time() {
    let world = World::new();
    let refused = |output: Output| {
        let output = output.ended(5);
        assert!(output.stderr.contains("unknown, was used, or is over"), "{}", output.stderr);
    };
    let try_join = |machine: &str, invitation: &str| {
        let otp = world.path(&format!("otp-{machine}"));
        let _ = std::fs::remove_file(&otp);
        // The code is asked for under the machine's name: the seed of each attempt is its own.
        world.as_member_at(machine, machine, &format!("join {invitation} --otpauth-out {}", otp.display()))
    };
    let with_code_of = |name: &str, machine: &str, invitation: &str| {
        let otp = world.otp_file(name);
        let _ = std::fs::remove_file(&otp);
        world.as_member_at(machine, name, &format!("join {invitation} --otpauth-out {}", otp.display()))
    };
    // Used.
    let used = invite(&world, "Katya --role specialist");
    with_code_of("Katya", "a", &used).done();
    refused(with_code_of("Katya", "b", &used));
    assert!(!world.path("b-vault").join("profile.json").exists(), "nothing is left where nothing came of it");
    // Over.
    let over = invite(&world, "Boris --role specialist --valid 1h");
    world.clock.pass(3_600_000);
    world.unlock("Olga");
    refused(with_code_of("Boris", "c", &over));
    // Replaced by a newer one, and withdrawn.
    let (older, newer) = (invite(&world, "Vera --role specialist"), invite(&world, "Vera --role specialist"));
    refused(with_code_of("Vera", "d", &older));
    world.as_member("Olga", "member invite Vera --withdraw").done();
    refused(with_code_of("Vera", "e", &newer));
    // Not whole: refused before anything is asked or sent.
    try_join("f", &newer[..newer.len() - 1]).ended(7);
    // Nobody's token; after some of them everybody waits, not long.
    let gate = world.gate();
    let guess = || {
        let newcomer = newcomer(&world, "Nobody");
        let seed = Seed::generate(&System);
        let code = seed.code(Clock::now(&*world.clock).unix_seconds()).0;
        let seed = Some(seed.encode().expose().to_vec().into());
        gate.join(Joining { token: "0".repeat(32).into(), bundle: newcomer.signed_bundle(), seed, code })
    };
    let answers: Vec<Refusal> = (0..12).map(|_| guess().unwrap_err()).collect();
    assert!(answers.iter().all(|answer| matches!(answer, Refusal::Authentication(_))), "{answers:?}");
    assert!(answers.last().unwrap().to_string().contains("too many"), "{answers:?}");
    world.clock.pass(61_000);
    assert!(!guess().unwrap_err().to_string().contains("too many"));
    verified(&world);
}

fn newcomer(world: &World, name: &str) -> Identity {
    let olga = world.identity("Olga");
    Identity::generate(olga.vault, olga.root, Name::parse(name).unwrap(), &System)
}

/// Joins in somebody's place with keys that were chosen here, and a code that is right.
fn join_with(world: &World, invitation: &str, bundle: mandatum::crypto::Signed) -> Result<(), Refusal> {
    let seed = Seed::generate(&System);
    let code = seed.code(Clock::now(&*world.clock).unix_seconds()).0;
    let token = Invitation::parse(invitation).unwrap().token();
    world.gate().join(Joining { token, bundle, seed: Some(seed.encode().expose().to_vec().into()), code })
}

/// Keys that are not what was invited are refused, and leave the invitation as it was: another name, device, vault, an
/// id or key that is somebody's, keys not signed by themselves, no recipient.
#[test]
fn keys_that_are_not_what_was_invited_are_refused() {
    let world = World::new();
    let invitation = invite(&world, "Katya --role specialist");
    let (katya, sasha) = (newcomer(&world, "Katya"), world.identity("Sasha"));
    let signed = |change: &dyn Fn(&mut Bundle), by: &Identity| {
        let mut bundle = katya.bundle();
        change(&mut bundle);
        by.sign.sign(Topic::Bundle, serde_json::to_vec(&bundle).unwrap())
    };
    let before = roster_size(&world);
    type Change<'a> = &'a dyn Fn(&mut Bundle);
    let lies: [(&str, Change<'_>); 7] = [
        ("another name", &|bundle| bundle.name = Name::parse("Sasha").unwrap()),
        ("another device", &|bundle| bundle.device = Name::parse("phone").unwrap()),
        ("another vault", &|bundle| bundle.vault = VaultId([9; 16])),
        ("a member's id", &|bundle| bundle.member = sasha.member),
        ("a member's recipient", &|bundle| bundle.enc = sasha.enc.recipient()),
        ("no recipient", &|bundle| bundle.enc = "age1nothing".into()),
        ("another's signing key", &|bundle| bundle.sign = sasha.sign.public()),
    ];
    for (what, lie) in lies {
        let refused = join_with(&world, &invitation, signed(lie, &katya));
        assert!(matches!(&refused, Err(Refusal::Input { field, .. }) if field == "keys"), "{what}: {refused:?}");
    }
    let by_sasha = signed(&|bundle| bundle.sign = sasha.sign.public(), &sasha);
    assert!(join_with(&world, &invitation, by_sasha).is_err(), "a member's own key under another name");
    let spaced = katya.sign.sign(Topic::Bundle, serde_json::to_vec_pretty(&katya.bundle()).unwrap());
    assert!(join_with(&world, &invitation, spaced).is_err(), "another spelling");
    assert_eq!(roster_size(&world), before, "nothing of it was recorded");
    // A wrong code leaves it good, too.
    let seed = Seed::generate(&System);
    let token = Invitation::parse(&invitation).unwrap().token();
    let seed = Some(seed.encode().expose().to_vec().into());
    let wrong = Joining { token, bundle: katya.signed_bundle(), seed, code: "000000".into() };
    assert!(matches!(world.gate().join(wrong), Err(Refusal::Input { .. })));
    join_with(&world, &invitation, katya.signed_bundle()).unwrap();
    verified(&world);
}

/// The owner signs exactly what was compared: without a comparison nothing is signed, a wrong fingerprint signs nothing,
/// and a broker that puts other keys in the newcomer's place changes the fingerprint (D5).
#[test]
fn substituted_keys_are_not_confirmed() {
    let world = World::new();
    let invitation = invite(&world, "Katya --role lead");
    let fingerprint = join(&world, "katya", "Katya", &invitation);
    let nobody_compared = world.as_member("Olga", "member confirm Katya --yes").ended(2);
    assert!(nobody_compared.stderr.contains("--fingerprint"), "{}", nobody_compared.stderr);
    let other = format!("0000{}", &fingerprint[4..]);
    let before = roster_size(&world);
    world.as_member("Olga", &format!("member confirm Katya --fingerprint {other}")).ended(7);
    assert_eq!(roster_size(&world), before);

    // The broker's lie, as the owner's program meets it.
    let mallory = newcomer(&world, "Katya");
    let gate = Arc::new(Substituting { gate: world.gate(), keys: Mutex::new(Some(mallory.signed_bundle())) });
    let mut program = mandatum::agent::Program::new(
        Arc::clone(&gate) as Arc<dyn Gate>,
        world.identity("Olga"),
        &world.path("state"),
        Arc::new(System),
    );
    program.unlock(world.fresh_code("Olga"), 3_600_000).unwrap();
    let pending = program.ask::<MemberPendingCall>(None, None, Nothing {}).unwrap();
    let (keys, roles) = program.pending_keys(&pending.waiting[0]).unwrap();
    assert_ne!(bundle_fingerprint(&keys), fingerprint, "what people compare tells them");
    // Signed all the same, it is over keys that never came in: the honest broker has no use for it.
    let (admission, reuse_key) = program.confirm(keys, roles.clone()).unwrap();
    let token = program.take_fresh();
    let ask = MemberConfirmAsk { admission, reuse_key };
    assert!(program.ask::<MemberConfirmCall>(None, token, ask).is_err());
    // Keys of another name, or not signed by themselves, are not even shown.
    for keys in [newcomer(&world, "Boris").signed_bundle(), forged(&world)] {
        *gate.keys.lock().unwrap() = Some(keys);
        let pending = program.ask::<MemberPendingCall>(None, None, Nothing {}).unwrap();
        assert!(program.pending_keys(&pending.waiting[0]).is_err());
    }
    // Neither roles beyond the invitation nor keys nobody handed in are admitted, whoever asks.
    *gate.keys.lock().unwrap() = None;
    let pending = program.ask::<MemberPendingCall>(None, None, Nothing {}).unwrap();
    let (keys, _) = program.pending_keys(&pending.waiting[0]).unwrap();
    let raised = roles.iter().copied().chain([Role::Owner]).collect();
    let (admission, reuse_key) = program.confirm(keys, raised).unwrap();
    let token = program.step_up(world.fresh_code("Olga")).unwrap();
    let refused = program.ask::<MemberConfirmCall>(None, Some(token), MemberConfirmAsk { admission, reuse_key });
    assert!(refused.unwrap_err().to_string().contains("roles"));

    confirm(&world, "Katya", &fingerprint.to_uppercase()).done();
    verified(&world);
}

fn forged(world: &World) -> mandatum::crypto::Signed {
    let (katya, mallory) = (newcomer(world, "Katya"), newcomer(world, "Katya"));
    mallory.sign.sign(Topic::Bundle, serde_json::to_vec(&katya.bundle()).unwrap())
}

/// A broker that shows other keys than were handed in.
struct Substituting {
    gate: Arc<dyn Gate>,
    keys: Mutex<Option<mandatum::crypto::Signed>>,
}

impl Gate for Substituting {
    fn hello(&self) -> Result<Hello, Refusal> {
        self.gate.hello()
    }
    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        let verb = frame.verb;
        let answer = self.gate.call(frame)?;
        let Some(keys) = self.keys.lock().unwrap().clone().filter(|_| verb == Verb::MemberPending) else {
            return Ok(answer);
        };
        let mut pending: PendingAnswer = serde_json::from_slice(&answer).unwrap();
        pending.waiting.iter_mut().for_each(|line| line.bundle = Some(keys.clone()));
        Ok(serde_json::to_vec(&pending).unwrap())
    }
    fn join(&self, joining: Joining) -> Result<(), Refusal> {
        self.gate.join(joining)
    }
}

/// Rejected keys are nobody's: their second factor goes with them, the name is free, and nothing of theirs comes in.
#[test]
fn rejected_keys_are_nobodys() {
    let world = World::new();
    let first = invite(&world, "Katya --role specialist");
    let fingerprint = join(&world, "katya", "Katya", &first);
    // Keys wait: another invitation of this name would hide them.
    world.as_member("Olga", "member invite Katya --role specialist --url unix:/x").ended(7);
    world.as_member("Olga", "member reject Katya").done();
    confirm(&world, "Katya", &fingerprint).ended(7);
    let gone = world.as_member_at("katya", "Katya", "unlock").ended(5);
    assert!(!gone.stderr.contains("not confirmed"), "{}", gone.stderr);
    std::fs::remove_file(world.otp_file("Katya")).unwrap();
    let second = invite(&world, "Katya --role specialist");
    let fingerprint = join(&world, "katya-again", "Katya", &second);
    confirm(&world, "Katya", &fingerprint).done();
    world.as_member_at("katya-again", "Katya", "unlock").done();
    verified(&world);
}

/// An outsider is invited with the operator's paper, and it is on file once they are confirmed.
#[test]
fn an_outsider_comes_with_a_paper() {
    let world = World::with_mandate();
    let paper = world.file("permission.pdf", "signed");
    world.as_member("Olga", "member invite Vesta --role specialist --external --url unix:/x").ended(2);
    let invitation = invite(
        &world,
        &format!("Vesta --role specialist --external --operator Romashka --permission {}", paper.display()),
    );
    let fingerprint = join(&world, "vesta", "Vesta", &invitation);
    confirm(&world, "Vesta", &fingerprint).done();
    world.as_member("Lena", "grant Vesta Romashka/CRM --level view").done();
    world.as_member_at("vesta", "Vesta", "unlock").done();
    world.as_member_at("vesta", "Vesta", FETCH).done();
    verified(&world);
}

// ------------------------------------------------------------------------------------------------------------ devices

/// A further device opens nothing until it was shared with, says so before anything is recorded, and then opens the same;
/// removed, it is refused, and the first goes on.
#[test]
fn a_second_device_opens_what_was_shared_and_nothing_once_removed() {
    let world = with_phone();
    let before = roster_size(&world);
    let refused = fetch_there(&world).ended(7);
    assert!(refused.stderr.contains("mandatum device share"), "{}", refused.stderr);
    assert_eq!(roster_size(&world), before, "nothing was recorded as released");
    verified(&world);

    let shared = world.as_member("Sasha", "device share --json").done().json();
    assert_eq!(
        (&shared[0]["device"], &shared[0]["shared"], &shared[0]["left"]),
        (&"phone".into(), &1.into(), &0.into())
    );
    let password = fetch_here(&world).done().stdout;
    assert_eq!(fetch_there(&world).done().stdout, password);
    assert!(world.as_member("Sasha", "device share").done().stdout.contains("already"));
    // What it was for stands in the mandate's own ledger, and what was shared.
    let log = world.as_member("Lena", "log Romashka --json").done().stdout;
    assert!(log.contains("own device / своё устройство") && log.contains("\"shared\""), "{log}");
    verified(&world);

    world.as_member("Sasha", "device remove Sasha phone -y").done();
    let gone = fetch_there(&world).ended(5);
    assert!(!gone.stderr.contains("not confirmed"), "{}", gone.stderr);
    world.as_member_at("phone", "Sasha", "unlock").ended(5);
    assert_eq!(fetch_here(&world).done().stdout, password);
    assert_eq!(world.as_member_at("phone", "Sasha", "lock").code, 0, "what lies on the device can be put away");
    // The last one is not removed like this.
    let last = world.as_member("Sasha", "device remove Sasha first -y").ended(7);
    assert!(last.stderr.contains("last device"), "{}", last.stderr);
    verified(&world);
}

/// New versions, new credentials and new grants are wrapped to every device of every grantee; a rotation after a removal
/// leaves the removed one out.
#[test]
fn whoever_stores_or_grants_wraps_to_every_device() {
    let world = with_phone();
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    assert_eq!(fetch_here(&world).done().stdout, fetch_there(&world).done().stdout);
    world.as_member("Lena", "credential add Romashka/CRM/second --user u --generate --totp-unknown").done();
    let second = "fetch Romashka/CRM/second --field password";
    let there = world.as_member_at("phone", "Sasha", second).done().stdout;
    assert_eq!(world.as_member("Sasha", second).done().stdout, there);
    world.as_member("Lena", "grant Sasha Romashka/Bot --level reply --purpose setup").done();
    world.as_member_at("phone", "Sasha", "fetch Romashka/Bot --field token").done();
    verified(&world);

    world.as_member("Olga", "device remove Sasha phone -y").done();
    world.as_member("Lena", "credential rotate Romashka/CRM/second --generate").done();
    world.as_member("Sasha", second).done();
    world.as_member_at("phone", "Sasha", second).ended(5);
    verified(&world);
}

/// A lost first device: a lead shares what the member holds with the one that is left.
#[test]
fn a_lead_shares_for_a_member() {
    let world = with_phone();
    world.as_member("Olga", "device remove Sasha first -y").done();
    fetch_here(&world).ended(5);
    world.as_member_at("phone", "Sasha", "device share").done();
    fetch_there(&world).ended(7);
    let shared = world.as_member("Lena", "device share --for Sasha --json").done().json();
    assert_eq!(shared[0]["shared"], 1);
    fetch_there(&world).done();
    // A lead of other mandates has nothing to share.
    world.add_member("Larisa", "lead");
    world.unlock("Larisa");
    let none = world.as_member("Larisa", "device share --for Sasha --json").done().json();
    assert_eq!(none.as_array().map(Vec::len), Some(0));
    verified(&world);
}

/// The second device of an owner signs for newcomers too, and a lead's stores; what a removed device once signed holds.
#[test]
fn every_device_of_a_member_signs_for_them() {
    let world = World::with_mandate();
    for name in ["Olga", "Lena"] {
        let invitation = invite(&world, &format!("{name} --device laptop"));
        let fingerprint = join_device(&world, &format!("{name}-laptop"), name, &invitation);
        confirm(&world, name, &fingerprint).done();
        world.as_member_at(&format!("{name}-laptop"), name, "unlock").done();
    }
    let katya = world
        .as_member_at("Olga-laptop", "Olga", "member invite Katya --role specialist --url unix:/x --json")
        .done()
        .json()["invitation"]
        .as_str()
        .unwrap()
        .to_owned();
    let fingerprint = join(&world, "katya", "Katya", &katya);
    world.as_member_at("Olga-laptop", "Olga", &format!("member confirm Katya --fingerprint {fingerprint}")).done();
    world.as_member("Lena", "device share").done();
    world.as_member_at("Lena-laptop", "Lena", "credential rotate Romashka/CRM --generate").done();
    world.as_member_at("Lena-laptop", "Lena", "grant Katya Romashka/CRM --level view").done();
    world.as_member_at("katya", "Katya", "unlock").done();
    let password = world.as_member_at("katya", "Katya", FETCH).done().stdout;
    world.as_member("Olga", "device remove Lena laptop -y").done();
    world.as_member("Olga", "device remove Olga laptop -y").done();
    assert_eq!(world.as_member_at("katya", "Katya", FETCH).done().stdout, password);
    assert_eq!(fetch_here(&world).done().stdout, password);
    // New roles are signed over keys that are in use, and reach them.
    world.as_member("Olga", "member role Sasha --add lead").done();
    verified(&world);
    let extract = world.path("extract");
    world.as_member("Lena", &format!("extract Romashka --out {}", extract.display())).done();
    world.as_member("Lena", &format!("verify {}", extract.display())).done();
}

/// A device is its member's by a current code of the member's own second factor, used up by it, and by no new seed.
#[test]
fn a_device_needs_the_members_own_code() {
    let world = World::with_mandate();
    let invitation = invite(&world, "Sasha --device phone");
    let (sasha, token) = (world.identity("Sasha"), Invitation::parse(&invitation).unwrap().token());
    let device = Name::parse("phone").unwrap();
    let phone = Identity::generate_for((sasha.vault, sasha.root), sasha.member, sasha.name.clone(), device, &System);
    let hand_in = |seed: bool, code: String| {
        let seed = seed.then(|| Seed::generate(&System).encode().expose().to_vec().into());
        world.gate().join(Joining { token: token.clone(), bundle: phone.signed_bundle(), seed, code })
    };
    assert!(matches!(hand_in(false, "000000".into()), Err(Refusal::Authentication(_))));
    assert!(matches!(hand_in(true, world.fresh_code("Sasha")), Err(Refusal::Input { .. })));
    assert!(hand_in(false, world.fresh_code("Lena")).is_err(), "somebody else's");
    let code = world.fresh_code("Sasha");
    hand_in(false, code.clone()).unwrap();
    assert!(hand_in(false, code).is_err(), "used, like the token");
    // Nobody else's device comes in under it, and the same name twice neither.
    let again = world.as_member("Olga", "member invite Sasha --device first --url unix:/x").ended(7);
    assert!(again.stderr.contains("already"), "{}", again.stderr);
    confirm(&world, "Sasha", &bundle_fingerprint(&phone.signed_bundle())).done();
    verified(&world);
}

/// One's own devices are one's own matter: nobody but an owner touches another's, and a device's name is no way around.
#[test]
fn devices_of_others_are_not_there() {
    let world = with_phone();
    world.as_member("Lena", "device remove Sasha phone -y").ended(4);
    world.add_member("Nina", "specialist");
    world.unlock("Nina");
    world.as_member("Nina", "device list Sasha").ended(4);
    world.as_member("Nina", "device remove Sasha phone -y").ended(4);
    let list = world.as_member("Sasha", "device list --json").done().json();
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    assert_eq!(list[1]["missing"].as_array().map(Vec::len), Some(1));
    // A lead sees what is missing under their rows, an owner who leads nothing does not.
    let seen = |who: &str| world.as_member(who, "device list Sasha --json").done().json()[1]["missing"].clone();
    assert_eq!(seen("Lena").as_array().map(Vec::len), Some(1));
    assert_eq!(seen("Olga").as_array().map(Vec::len), Some(0));
    verified(&world);
}

/// A session is good on the device it was begun on: another device of the same member has none by it, and one of a removed
/// device is over at once.
#[test]
fn a_session_is_good_on_its_own_device() {
    let world = with_phone();
    let (first, phone) = (world.identity("Sasha"), phone_of(&world));
    let gate = world.gate();
    let begin = |identity: &Identity| {
        let code = CodeLoad { code: world.fresh_code("Sasha") };
        let load = serde_json::to_vec(&code).unwrap();
        let unlock = request::<UnlockCall>(&*gate, identity, None, UnlockAsk { for_ms: 3_600_000 });
        let answer = gate.call(Frame { load, ..frame::<UnlockCall>(identity, &unlock) }).unwrap();
        serde_json::from_slice::<UnlockAnswer>(&answer).unwrap().session
    };
    let list = |identity: &Identity, session: SessionId| {
        let asked = request::<DeviceListCall>(&*gate, identity, Some(session), DeviceListAsk { name: None });
        gate.call(frame::<DeviceListCall>(identity, &asked))
    };
    let (here, there) = (begin(&first), begin(&phone));
    assert!(list(&first, here).is_ok() && list(&phone, there).is_ok());
    for (identity, session) in [(&first, there), (&phone, here)] {
        assert_eq!(list(identity, session), Err(Refusal::Denied { code: Deny::MfaRequired }));
    }
    world.as_member("Olga", "device remove Sasha phone -y").done();
    assert!(matches!(list(&phone, there), Err(Refusal::Authentication(_))));
    assert!(list(&first, here).is_ok());
}

fn phone_of(world: &World) -> Identity {
    let name = Name::parse("Sasha").unwrap();
    let vault = world.identity("Sasha").vault;
    let path = mandatum::agent::identity_path(&world.path("phone-vault").join("identities"), vault, &name);
    Identity::load(&path, &mandatum::agent::Secret::copy_of(crate::support::PASSPHRASE.as_bytes())).unwrap()
}

fn request<C: Call>(gate: &dyn Gate, by: &Identity, session: Option<SessionId>, ask: C::Ask) -> Request<C::Ask> {
    Request {
        format: FORMAT,
        vault: by.vault,
        verb: C::VERB,
        member: by.member,
        unit: None,
        nonce: gate.hello().unwrap().nonces[0],
        session,
        step_up: None,
        seen: None,
        shown: None,
        ask,
    }
}

fn frame<C: Call>(by: &Identity, request: &Request<C::Ask>) -> Frame {
    let request = by.sign.sign(Topic::Request, serde_json::to_vec(request).unwrap());
    Frame { verb: C::VERB, request, load: Vec::new() }
}

// -------------------------------------------------------------------------------- a broker that lies with its own keys

/// The roster's ledger as this broker could have written it, with its own record key, after a change of one record.
struct Roster {
    directory: Directory,
    unit: UnitId,
    records: Vec<String>,
    key: std::sync::Arc<SignKey>,
}

impl Roster {
    fn of(world: &World) -> Self {
        let (gate, olga) = (world.gate(), world.program("Olga"));
        let charters: Vec<_> = gate.hello().unwrap().charters.iter().map(|blob| from_blob(blob).unwrap()).collect();
        let mut directory = Directory::new(olga.identity().root, &charters).unwrap();
        for line in olga.ask::<MemberListCall>(None, None, Nothing {}).unwrap() {
            for admission in &line.admissions {
                directory.admit(&from_blob(admission).unwrap()).unwrap();
            }
        }
        let all = LogAsk { operator: None, member: None, since: None, denied: false };
        let lines = olga.ask::<LogCall>(None, None, all).unwrap().lines;
        let records = lines.into_iter().map(|line| String::from_utf8(line.record.encode()).unwrap()).collect();
        let home = Home {
            dir: world.path("state"),
            disk: Arc::new(RealDisk),
            keys: Arc::new(FileKeys::new(world.path("epoch-key"))),
            entropy: Arc::new(System),
        };
        let key = Anchor::open(&home).unwrap().record_key();
        Self { unit: directory.charter().roster, directory, records, key }
    }

    fn find(&self, part: &str) -> usize {
        self.records.iter().position(|record| record.contains(part)).unwrap_or_else(|| panic!("{part}"))
    }

    fn audited(&self, directory: &Directory, changed: Option<(usize, String)>) -> Result<(), Flaw> {
        let mut records = self.records.clone();
        if let Some((at, record)) = changed {
            assert_ne!(records[at], record);
            records[at] = record;
        }
        let sign =
            |record: String| Entry { salt: Digest([0; 32]), signed: self.key.sign(Topic::Record, record.into_bytes()) };
        let entries: Vec<Entry> = records.into_iter().map(sign).collect();
        Audit::new(directory, self.unit).take(&entries).map(drop)
    }

    fn with(&self, at: usize, from: &str, to: &str) -> Result<(), Flaw> {
        self.audited(&self.directory, Some((at, self.records[at].replacen(from, to, 1))))
    }
}

/// What no member signed, a broker with its own keys cannot put into the roster: another invitation, other keys under it,
/// another admission, another device removed; nor a request by a device that was not in use.
#[test]
fn a_broker_cannot_invite_or_admit_by_itself() {
    let world = with_phone();
    let invitation = invite(&world, "Katya --role specialist");
    let fingerprint = join(&world, "katya", "Katya", &invitation);
    confirm(&world, "Katya", &fingerprint).done();
    world.as_member("Olga", "device remove Sasha phone -y").done();
    let roster = Roster::of(&world);
    assert_eq!(roster.audited(&roster.directory, None), Ok(()));
    let refused = |at: usize, from: &str, to: &str| {
        assert_eq!(roster.with(at, from, to), Err(Flaw::Request(at as u64)), "{from}: {}", roster.records[at]);
    };
    // Only the outcome is the broker's to write; the request stands in it as bytes.
    refused(roster.find("\"invited\":{\"invited\""), "\"roles\":[]", "\"roles\":[\"owner\"]");
    let joined = roster.find("\"joined\"");
    let blob = |identity: &Identity| serde_json::to_string(&to_blob(&identity.signed_bundle())).unwrap();
    let phone = phone_of(&world);
    refused(joined, &blob(&phone), &blob(&newcomer(&world, "Sasha")));
    refused(joined, &blob(&phone), &blob(&world.identity("Lena")));
    let admitted = roster.find("\"device_admitted\"");
    refused(admitted, &phone.enc.recipient(), &newcomer(&world, "Sasha").enc.recipient());
    refused(roster.find("\"device_removed\""), "\"device\":\"phone\"", "\"device\":\"first\"");
    // By itself the broker removes, as after a restore, but neither invites nor admits.
    for (event, verb) in [("\"invited\":{\"invited\"", "member_invite"), ("\"device_admitted\"", "member_confirm")] {
        let at = roster.find(event);
        let mut record: serde_json::Value = serde_json::from_str(&roster.records[at]).unwrap();
        assert_eq!(record["verb"], verb);
        for field in ["verb", "by", "request"] {
            record[field] = serde_json::Value::Null;
        }
        let record: mandatum::ledger::Record = serde_json::from_value(record).unwrap();
        let record = String::from_utf8(record.encode()).unwrap();
        assert_eq!(roster.audited(&roster.directory, Some((at, record))), Err(Flaw::Request(at as u64)), "{event}");
    }

    // The same ledger, where the roster says that the device was removed before it began a session.
    let session = roster
        .records
        .iter()
        .rposition(|record| record.contains("session_began") && record.contains(&phone.sign.public().to_string()));
    let session = session.expect("the phone was unlocked");
    for (since, removed) in [(0, Some(1)), (i64::MAX, None)] {
        let mut directory = roster.directory.clone();
        directory.bound(phone.member, &phone.sign.public(), Instant(since), removed.map(Instant));
        assert_eq!(roster.audited(&directory, None), Err(Flaw::Request(session as u64)));
    }
}

/// What a member reads in bulk for a device of their own, a device of their own lacks.
#[test]
fn sharing_is_no_way_to_read_in_bulk() {
    let world = with_phone();
    let program = world.program("Sasha");
    let found = program.locate("Romashka".parse().unwrap(), "CRM".parse().unwrap(), None, false).unwrap().remove(0);
    let sasha = program.identity().member;
    let item = FetchItem { credential: found.credential, version: 1, grant: found.grant.unwrap() };
    let bulk = || FetchAsk { items: vec![item.clone()], purpose: None, onward: Some(sasha) };
    program.ask::<FetchCall>(Some(found.unit), None, bulk()).unwrap();
    program.share(None).unwrap();
    let refused = program.ask::<FetchCall>(Some(found.unit), None, bulk());
    assert!(refused.unwrap_err().to_string().contains("no device of yours that lacks"));
}

/// Sharing never widens: not another's grant, not another row's secret, not an old version, not a device of somebody
/// else; and the fold refuses the same.
#[test]
fn sharing_never_widens() {
    let world = with_phone();
    world.add_member("Nina", "specialist");
    let (lena, sasha) = (world.program("Lena"), world.program("Sasha"));
    let mandate = lena.mandate("Romashka".parse().unwrap()).unwrap().mandate;
    let grant_of = |member: MemberId, row: &str| {
        let row = mandate.row_named(row).unwrap().id;
        mandate.grant_for(member, row).map(|grant| grant.facts.id)
    };
    let credential = |row: &str| mandate.credentials_of(mandate.row_named(row).unwrap().id).next().unwrap().id;
    let devices = sasha.ask::<DeviceListCall>(None, None, DeviceListAsk { name: None }).unwrap();
    let phone = devices[1].key;
    let (own, leads) =
        (grant_of(sasha.identity().member, "CRM").unwrap(), grant_of(lena.identity().member, "Bot").unwrap());
    let nina = world.identity("Nina").sign.public();
    let item = |row: &str, version| vec![SharedItem { credential: credential(row), version }];
    let cases = [
        ("the lead's grant", leads, phone, item("Bot", 1)),
        ("another row's secret", own, phone, item("Bot", 1)),
        ("an old version", own, phone, item("CRM", 2)),
        ("somebody else's device", own, nina, item("CRM", 1)),
        ("nothing", own, phone, Vec::new()),
        ("no grant", GrantId([9; 16]), phone, item("CRM", 1)),
    ];
    let before = roster_size(&world);
    for (what, grant, device, items) in cases {
        let fits = what != "somebody else's device";
        let event = Event::Shared { grant, device, items: items.clone() };
        let at = Clock::now(&*world.clock);
        let folds = mandate.clone().apply(&event, Some(sasha.identity().member), at).is_ok();
        assert!(!folds || !fits, "{what} folds");
        let ask = WrapShareAsk { grant, device, items };
        assert!(sasha.send::<WrapShareCall>(Some(mandate.unit), None, ask, &WrapsLoad::default()).is_err(), "{what}");
    }
    let recorded = roster_size(&world) - before;
    assert!(recorded <= 2, "refusals alone: {recorded}");
    verified(&world);
}

/// `verify` finds a wrap that is gone, whether it was made with the version or shared later, and a wrap of a removed
/// device that came back.
#[test]
fn verify_knows_which_wraps_there_must_be() {
    let world = with_phone();
    world.as_member("Sasha", "device share").done();
    verified(&world);
    let database = world.places().database();
    let rows = |sql: &str| {
        let conn = rusqlite::Connection::open(&database).unwrap();
        conn.execute_batch(sql).unwrap();
    };
    let copies = "CREATE TABLE kept AS SELECT * FROM wraps";
    rows(copies);
    let kept: Vec<Vec<u8>> = {
        let conn = rusqlite::Connection::open(&database).unwrap();
        let mut query = conn.prepare("SELECT recipient FROM wraps").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    rows("CREATE TABLE IF NOT EXISTS none (a)");
    for recipient in &kept {
        let hex: String = recipient.iter().map(|byte| format!("{byte:02x}")).collect();
        rows(&format!("DELETE FROM wraps WHERE recipient = x'{hex}'"));
        let report = world.as_member("Olga", "verify --json").json();
        assert_ne!(report["flaws"].as_array().map(Vec::len), Some(0), "{hex}");
        rows("DELETE FROM wraps; INSERT INTO wraps SELECT * FROM kept");
    }
    verified(&world);
    world.as_member("Sasha", "device remove Sasha phone -y").done();
    verified(&world);
    rows("INSERT OR IGNORE INTO wraps SELECT * FROM kept");
    let report = world.as_member("Olga", "verify --json").json();
    assert_ne!(report["flaws"].as_array().map(Vec::len), Some(0), "a removed device's wrap came back");
}

/// An older database put back does not bring a removed device back.
#[test]
fn a_removed_device_stays_removed_after_a_restore() {
    let world = with_phone();
    world.as_member("Sasha", "device share").done();
    let backup = world.path("backup.db");
    world.as_member("Olga", &format!("backup {}", backup.display())).done();
    world.as_member("Sasha", "device remove Sasha phone -y").done();
    let kit = format!(
        "restore {} --kit {} --kit-passphrase-file {} -y",
        backup.display(),
        world.path("kit").display(),
        world.path("kit-pw").display()
    );
    let restored = world.as_member("Olga", &kit);
    assert_eq!(restored.code, 0, "{}{}", restored.stdout, restored.stderr);
    for name in ["Olga", "Sasha"] {
        world.unlock(name);
    }
    world.as_member_at("phone", "Sasha", "unlock").ended(5);
    fetch_here(&world).done();
    verified(&world);
}

/// A former owner's name, an old key: an admission is the asking owner's, from the device that asks.
#[test]
fn an_owner_signs_on_the_device_that_asks() {
    let world = World::new();
    let invitation = invite(&world, "Katya --role specialist");
    let katya = newcomer(&world, "Katya");
    join_with(&world, &invitation, katya.signed_bundle()).unwrap();
    let mut olga = world.program("Olga");
    let sasha = world.identity("Sasha");
    let admission = Admission {
        bundle: katya.signed_bundle(),
        roles: BTreeSet::from([Role::Specialist]),
        by: Some(olga.identity().member),
    };
    let admission = sasha.sign.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap());
    assert!(from_blob(&to_blob(&admission)).is_some());
    let token = olga.take_fresh();
    let refused = olga.ask::<MemberConfirmCall>(None, token, MemberConfirmAsk { admission, reuse_key: None });
    assert!(refused.unwrap_err().to_string().contains("admission"));
    // An invitation that nobody used in a day is dropped.
    let _ = invite(&world, "Boris --role specialist");
    world.clock.pass(DAY);
    world.unlock("Olga");
    assert!(!world.as_member("Olga", "member pending").done().stdout.contains("Boris"));
}

/// Where the older database knows no other device of the only owner, the removed one works again: that is said aloud.
#[test]
fn an_owners_only_device_that_works_again_is_named() {
    let world = World::with_mandate();
    let backup = world.path("backup.db");
    world.as_member("Olga", &format!("backup {}", backup.display())).done();
    let invitation = invite(&world, "Olga --device laptop");
    let fingerprint = join_device(&world, "laptop", "Olga", &invitation);
    confirm(&world, "Olga", &fingerprint).done();
    world.as_member_at("laptop", "Olga", "unlock").done();
    world.as_member_at("laptop", "Olga", "device remove Olga first -y").done();
    world.as_member("Olga", "unlock").ended(5);
    let restored = world.as_member(
        "Olga",
        &format!(
            "restore {} --kit {} --kit-passphrase-file {} -y",
            backup.display(),
            world.path("kit").display(),
            world.path("kit-pw").display()
        ),
    );
    let said = format!("{}{}", restored.stdout, restored.stderr);
    assert!(restored.code == 0 && said.contains("WORKS AGAIN — Olga, first"), "{said}");
}
