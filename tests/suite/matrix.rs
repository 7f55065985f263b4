//! Who may do what, cell by cell, across two mandates; and requests that are not what they say (DESIGN.md 10;
//! ATTACKS.md B7, C1, C3, C6, C10, C15).
//!
//! What is expected is written here once more by hand, from the design's table. Requests are built and signed here,
//! not by the member's program, so that a member can say what that program never would.

use crate::support::{World, copy_dir};
use mandatum::agent::{Fields, Identity, Key, Prepared, Secret, Seed, System, Topic};
use mandatum::api::*;
use mandatum::crypto::{Ctx, Signed, Statement, commitment, hash, seal_ct, wrap_inner};
use mandatum::ledger::{Admission, Charter, Outcome, from_blob, recipient_digest};
use mandatum::model::*;
use mandatum::store::Store;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

// ---------------------------------------------------------------------------------------------- people and requests

/// A member who signs whatever is asked of them.
pub struct Voice {
    pub identity: Identity,
    pub session: Option<SessionId>,
}

/// One request before it is signed, with what travels beside it.
pub struct Asked {
    pub verb: Verb,
    pub unit: Option<UnitId>,
    pub ask: Value,
    pub load: Vec<u8>,
}

pub fn asked<C: Call>(unit: Option<UnitId>, ask: C::Ask, load: &C::Load) -> Asked {
    let load = serde_json::to_vec(load).unwrap();
    Asked {
        verb: C::VERB,
        unit,
        ask: serde_json::to_value(ask).unwrap(),
        load: if load == b"null" { Vec::new() } else { load },
    }
}

pub fn with_code<C: Call<Load = CodeLoad>>(ask: C::Ask, code: &str) -> Asked {
    asked::<C>(None, ask, &CodeLoad { code: code.to_owned() })
}

impl Voice {
    /// Keys from the member's file, and a session begun with a fresh code.
    pub fn of(world: &World, name: &str) -> Self {
        Self::at(&*world.gate(), world, name)
    }

    /// The same at another gate.
    pub fn at(gate: &dyn Gate, world: &World, name: &str) -> Self {
        Self::stepped_up(gate, world, name).0
    }

    /// And what the code that began the session is good for besides: one sensitive request.
    pub fn stepped_up(gate: &dyn Gate, world: &World, name: &str) -> (Self, Nonce) {
        let mut voice = Self { identity: world.identity(name), session: None };
        let unlock = with_code::<UnlockCall>(UnlockAsk { for_ms: 8 * 3_600_000 }, &world.fresh_code(name));
        let answer = voice.send(gate, &unlock, None).unwrap();
        let UnlockAnswer { session, step_up, .. } = serde_json::from_slice(&answer).unwrap();
        voice.session = Some(session);
        (voice, step_up)
    }

    pub fn id(&self) -> MemberId {
        self.identity.member
    }

    /// A request that is right in everything that every request has.
    pub fn request(&self, gate: &dyn Gate, asked: &Asked, step_up: Option<Nonce>) -> Request<Value> {
        Request {
            format: FORMAT,
            vault: self.identity.vault,
            verb: asked.verb,
            member: self.id(),
            unit: asked.unit,
            nonce: gate.hello().unwrap().nonces[0],
            session: self.session,
            step_up,
            seen: None,
            shown: None,
            ask: asked.ask.clone(),
        }
    }

    pub fn frame(&self, verb: Verb, request: &Request<Value>, load: &[u8]) -> Frame {
        let request = self.identity.sign.sign(Topic::Request, serde_json::to_vec(request).unwrap());
        Frame { verb, request, load: load.to_vec() }
    }

    /// Also holds what is asked and answered against the documented API.
    pub fn send(&self, gate: &dyn Gate, asked: &Asked, step_up: Option<Nonce>) -> Result<Vec<u8>, Refusal> {
        let request = self.request(gate, asked, step_up);
        let frame = || self.frame(asked.verb, &request, &asked.load);
        let answer = gate.call(frame());
        crate::openapi::check(&frame(), &answer);
        answer
    }

    /// Sends a request that needs no fresh code, and reads the answer.
    pub fn ask<C: Call>(&self, gate: &dyn Gate, unit: Option<UnitId>, ask: C::Ask) -> Result<C::Answer, Refusal> {
        let answer = self.send(gate, &asked::<C>(unit, ask, &C::Load::default()), None)?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }
}

/// A mandate with the ids of what is in it; or one that is made up, ids and all.
#[derive(Clone)]
pub struct Place {
    operator: Text,
    pub unit: UnitId,
    row: RowId,
    /// A row without credentials: a grant under it needs no wraps.
    empty_row: RowId,
    term: Term,
    credential: CredentialId,
    tag: ReuseTag,
    grants: BTreeMap<MemberId, GrantId>,
    /// Who was granted the row, besides the lead.
    grantee: Name,
    /// The grants that were given, not the lead's standing ones.
    given: Vec<GrantId>,
    /// A request of Nina's that waits, and an incident, open in one of the kept states.
    request: RequestId,
    incident: IncidentId,
}

impl Place {
    pub fn of(gate: &dyn Gate, lead: &Voice, operator: &str, grantee: &str) -> Self {
        let view = lead.ask::<MandateShowCall>(gate, None, NameAsk { operator: text(operator) }).unwrap();
        let mandate = view.mandate;
        let row = mandate.row_named("CRM").unwrap();
        let credential = mandate.credentials_of(row.id).next().unwrap();
        let of_row = mandate.live_grants().filter(|grant| grant.facts.row == row.id);
        Self {
            operator: text(operator),
            unit: mandate.unit,
            row: row.id,
            empty_row: mandate.row_named("Form").unwrap().id,
            term: row.terms.term,
            credential: credential.id,
            tag: credential.current.as_ref().unwrap().tag,
            grants: of_row.map(|grant| (grant.facts.member, grant.facts.id)).collect(),
            grantee: name(grantee),
            given: mandate.live_grants().filter(|g| g.facts.origin == GrantOrigin::Given).map(|g| g.facts.id).collect(),
            request: RequestId(*mandate.unit.bytes()),
            incident: IncidentId(*mandate.unit.bytes()),
        }
    }

    /// The same shape with nothing behind it. The secret's fingerprint stays: it is the asker's, not the mandate's.
    fn made_up(like: &Place) -> Self {
        Self {
            operator: text("Nobody"),
            unit: UnitId([0xee; 16]),
            row: RowId([0xee; 16]),
            empty_row: RowId([0xed; 16]),
            credential: CredentialId([0xee; 16]),
            grants: like.grants.keys().map(|member| (*member, GrantId([0xee; 16]))).collect(),
            request: RequestId([0xee; 16]),
            incident: IncidentId([0xee; 16]),
            ..like.clone()
        }
    }

    /// The member's own grant, or else one they heard of.
    fn grant(&self, member: MemberId) -> GrantId {
        self.grants.get(&member).or_else(|| self.grants.values().next()).copied().unwrap()
    }

    pub fn item(&self, member: MemberId) -> FetchAsk {
        let item = FetchItem { credential: self.credential, version: 1, grant: self.grant(member) };
        FetchAsk { items: vec![item], purpose: None, onward: None }
    }

    fn facts(&self, id: u8, member: MemberId) -> GrantFacts {
        GrantFacts {
            id: GrantId([id; 16]),
            member,
            row: self.empty_row,
            levels: BTreeSet::from([Level::View]),
            purposes: vec![text("lead handling")],
            term: self.term,
            origin: GrantOrigin::Given,
        }
    }
}

fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

fn name(name: &str) -> Name {
    Name::parse(name).unwrap()
}

/// Every ledger as the database has it: records and sealed state.
pub fn ledgers(world: &World) -> BTreeMap<UnitId, (u64, Vec<u8>)> {
    let store = Store::open(&mandatum::store::Database::File(world.places().database())).unwrap();
    let units = store.sizes().unwrap();
    units.into_iter().map(|(unit, size)| (unit, (size, store.unit(unit).unwrap().unwrap().state))).collect()
}

// -------------------------------------------------------------------------------------------------------- the matrix

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Person {
    Owner,
    LeadOfA,
    LeadOfB,
    /// Granted one row of A.
    SpecialistInA,
    Auditor,
    /// A specialist who was granted nothing.
    Newcomer,
}

impl Person {
    const ALL: [Person; 6] =
        [Person::Owner, Person::LeadOfA, Person::LeadOfB, Person::SpecialistInA, Person::Auditor, Person::Newcomer];

    pub fn name(self) -> &'static str {
        match self {
            Person::Owner => "Olga",
            Person::LeadOfA => "Lena",
            Person::LeadOfB => "Larisa",
            Person::SpecialistInA => "Sasha",
            Person::Auditor => "Anton",
            Person::Newcomer => "Nina",
        }
    }

    fn right(self, verb: Verb) -> Right {
        let [owner, lead, specialist, auditor] = rights(verb);
        match self {
            Person::Owner => owner,
            Person::LeadOfA | Person::LeadOfB => lead,
            Person::SpecialistInA | Person::Newcomer => specialist,
            Person::Auditor => auditor,
        }
    }

    /// Whether this person leads the mandate or was granted something in it.
    fn has_to_do_with(self, target: Target) -> bool {
        matches!((self, target), (Person::LeadOfA | Person::SpecialistInA, Target::A) | (Person::LeadOfB, Target::B))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// No mandate is named.
    Vault,
    A,
    B,
    /// A mandate that does not exist.
    MadeUp,
}

/// How far a role's right reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Right {
    No,
    /// The mandates one leads or was granted something in.
    Own,
    Any,
}

/// Owner, lead, specialist, auditor: the table of DESIGN.md 10, and for verbs it does not name the line they belong to.
fn rights(verb: Verb) -> [Right; 4] {
    use Right::{Any, No, Own};
    match verb {
        // Everybody's own session.
        Verb::Unlock | Verb::Lock | Verb::StepUp => [Any, Any, Any, Any],
        // "members, roles, suspension"
        Verb::MemberAdd
        | Verb::MemberRole
        | Verb::MemberSuspend
        | Verb::MemberResume
        | Verb::MemberFactor
        | Verb::MemberRemove
        | Verb::MemberInvite
        | Verb::MemberPending
        | Verb::MemberConfirm
        | Verb::MemberReject => [Any, No, No, No],
        // Whoever may list the members may list their devices; everybody has their own.
        Verb::DeviceList => [Any, Any, Own, Any],
        Verb::DeviceRemove => [Any, Own, Own, Own],
        // What one was granted, to one's own devices; a lead's also to those of the members under their rows.
        Verb::WrapShare => [Own, Own, Own, No],
        // Whoever grants or reviews must know the members; who fetches need not.
        Verb::MemberList => [Any, Any, No, Any],
        // "open / amend / end / close a mandate"
        Verb::MandateOpen | Verb::MandateImport => [No, Any, No, No],
        Verb::MandateAmend | Verb::MandateAnswer | Verb::MandateActivate => [No, Own, No, No],
        // Whoever grants also denies and reviews; requests are anybody's who works.
        Verb::Deny | Verb::Review => [No, Own, No, No],
        Verb::Request => [Any, Any, Any, No],
        // What is put on file for the end, and incidents: an owner acts where the lead is gone.
        Verb::MandatePermit | Verb::MandateEvidence | Verb::RotationAsk => [Any, Own, No, No],
        Verb::IncidentOpen | Verb::IncidentNote | Verb::IncidentClose => [Any, Own, No, No],
        Verb::IncidentList => [Any, Own, No, Any],
        Verb::MandateEnd | Verb::MandateClose => [Any, Own, No, No],
        // Settling belongs to closing: an owner closes where the lead is gone.
        Verb::MandateSettle => [Any, Own, No, No],
        // "add / rotate credentials, grant / revoke", and what a program asks to do so
        Verb::CredentialAdd | Verb::CredentialRotate | Verb::Grant | Verb::Recipients | Verb::Reuse => {
            [No, Own, No, No]
        }
        Verb::Revoke => [Any, Own, No, No],
        // "fetch, code", and finding what to fetch
        Verb::Fetch | Verb::Code | Verb::Locate => [Own, Own, Own, No],
        // "read a mandate's ledger, exposure, reviews"
        Verb::Log | Verb::Exposure | Verb::MandateShow | Verb::MandateList | Verb::Due | Verb::Status => {
            [Any, Own, Own, Any]
        }
        // Logins and accounts are no records: an auditor does not see them.
        Verb::CredentialList => [Any, Own, Own, No],
        // What an operator is given.
        Verb::Extract | Verb::Checkpoint => [Any, Own, No, Any],
        Verb::Verify => [Any, Any, No, Any],
        Verb::Sweep => [Any, Any, No, No],
        // "recovery, restore, restart"
        Verb::Backup | Verb::ConfirmClock => [Any, No, No, No],
    }
}

/// What a verb can be about.
pub fn targets(verb: Verb) -> &'static [Target] {
    use Target::{A, B, MadeUp, Vault};
    match verb {
        Verb::Unlock
        | Verb::Lock
        | Verb::StepUp
        | Verb::MemberAdd
        | Verb::MemberList
        | Verb::MemberRole
        | Verb::MemberSuspend
        | Verb::MemberResume
        | Verb::MemberFactor
        | Verb::MemberRemove
        | Verb::MemberInvite
        | Verb::MemberPending
        | Verb::MemberConfirm
        | Verb::MemberReject
        | Verb::DeviceList
        | Verb::DeviceRemove
        | Verb::MandateOpen
        | Verb::MandateImport
        | Verb::Request
        | Verb::IncidentList
        | Verb::MandateList
        | Verb::Verify
        | Verb::Sweep
        | Verb::Due
        | Verb::Status
        | Verb::Backup
        | Verb::ConfirmClock => &[Vault],
        Verb::CredentialList | Verb::Log | Verb::Exposure => &[Vault, A, B, MadeUp],
        Verb::MandateShow
        | Verb::MandateAnswer
        | Verb::MandateActivate
        | Verb::MandatePermit
        | Verb::MandateEvidence
        | Verb::Deny
        | Verb::Review
        | Verb::RotationAsk
        | Verb::IncidentOpen
        | Verb::IncidentNote
        | Verb::IncidentClose
        | Verb::MandateAmend
        | Verb::MandateEnd
        | Verb::MandateSettle
        | Verb::MandateClose
        | Verb::CredentialAdd
        | Verb::CredentialRotate
        | Verb::Locate
        | Verb::Reuse
        | Verb::Recipients
        | Verb::Grant
        | Verb::WrapShare
        | Verb::Revoke
        | Verb::Fetch
        | Verb::Code
        | Verb::Extract
        | Verb::Checkpoint => &[A, B, MadeUp],
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Done,
    RoleForbids,
    /// The same for what is not there and for what is somebody else's.
    NotThere,
}

fn expected(person: Person, verb: Verb, target: Target) -> Answer {
    // A retrieval is decided in its mandate; who has nothing to do with that mandate does not learn that it exists.
    let decided_inside = matches!(verb, Verb::Fetch | Verb::Code);
    match (person.right(verb), target) {
        (Right::No, _) if !decided_inside => Answer::RoleForbids,
        (_, Target::Vault) => Answer::Done,
        (_, Target::MadeUp) => Answer::NotThere,
        (Right::Any, Target::A | Target::B) => Answer::Done,
        (Right::Own, _) if person.has_to_do_with(target) => Answer::Done,
        (Right::Own | Right::No, _) => Answer::NotThere,
    }
}

/// What is said to somebody who has nothing to do with B, whatever they ask of it.
pub fn refusal_at_b(person: Person, verb: Verb) -> Refusal {
    match expected(person, verb, Target::B) {
        Answer::RoleForbids => Deny::RoleForbids.into(),
        Answer::NotThere => Refusal::NotFound,
        Answer::Done => panic!("{person:?} may {verb}"),
    }
}

/// The vault of the matrix, kept in two states that every cell can begin from.
pub struct Stage {
    pub world: World,
    pub voices: BTreeMap<&'static str, Voice>,
    codes: BTreeMap<&'static str, String>,
    place_of_a: Place,
    pub place_of_b: Place,
    pub nowhere: Place,
    /// The agency's own ledger.
    pub roster: UnitId,
    spare_seed: Seed,
    /// Each person's further device, which can open nothing yet.
    spares: BTreeMap<&'static str, Identity>,
    /// Keys of a newcomer that wait to be confirmed, and the digest of their invitation's token.
    waiting: (Identity, Digest),
    at: i64,
}

/// The state the vault is in, where nothing was done to it since, and the broker that has it open.
type Kept = Option<(&'static str, Arc<dyn Gate>)>;

/// Every mandate active.
const ACTIVE: &str = "kept-active";
/// Every mandate ended and settled: what closing needs.
const SETTLED: &str = "kept-settled";
/// Every mandate active, with an incident open in each.
const INCIDENT: &str = "kept-incident";

/// A mandate as it might have been read: opaque to the broker.
fn draft() -> Draft {
    Draft { source: Digest([7; 32]), questions: 0, reading: Blob(b"{}".to_vec()) }
}

fn row_spec() -> RowSpec {
    RowSpec {
        system: name("CRM"),
        category: text("crm"),
        platform: text("amoCRM"),
        data: Vec::new(),
        levels: BTreeSet::from([Level::View]),
        purposes: vec![text("calls")],
        from: None,
        until: None,
        grant_days: None,
    }
}

fn wish(id: RequestId) -> Wish {
    let levels = BTreeSet::from([Level::View]);
    Wish { id, system: text("CRM"), levels, purposes: Vec::new(), until: None, reason: text("a stand-in") }
}

fn incident(id: IncidentId, detected: Instant) -> IncidentFacts {
    IncidentFacts { id, kind: IncidentKind::DeviceLost, member: None, detected, since: None, note: Text::default() }
}

fn invited(whom: &str, roles: &[Role], device: Option<(MemberId, &str)>, token: &str) -> InvitedFacts {
    InvitedFacts {
        token: token_digest(token),
        name: name(whom),
        roles: roles.iter().copied().collect(),
        of: device.map(|(member, _)| member),
        device: name(device.map_or(FIRST_DEVICE, |(_, label)| label)),
        permission: None,
    }
}

/// Olga's requests that need a fresh code.
fn as_owner<C: Call<Load = ()>>(world: &World, ask: C::Ask) {
    let (mut olga, gate) = (Voice { identity: world.identity("Olga"), session: None }, world.gate());
    let unlock = with_code::<UnlockCall>(UnlockAsk { for_ms: 1000 }, &world.fresh_code("Olga"));
    let answer = olga.send(&*gate, &unlock, None).unwrap();
    // The code that began the session also stands for one sensitive request.
    let UnlockAnswer { session, step_up, .. } = serde_json::from_slice(&answer).unwrap();
    olga.session = Some(session);
    olga.send(&*gate, &asked::<C>(None, ask, &()), Some(step_up)).unwrap();
}

/// A further device of a member, invited, joined and confirmed.
fn spare_device(world: &World, member: &str) -> Identity {
    let first = world.identity(member);
    let (vault, spare) = ((first.vault, first.root), name("spare"));
    let device = Identity::generate_for(vault, first.member, first.name.clone(), spare, &System);
    let invited = invited(member, &[], Some((first.member, "spare")), member);
    as_owner::<MemberInviteCall>(world, MemberInviteAsk { invited, valid_ms: 3_600_000 });
    let token = member.to_owned().into();
    let joining = Joining { token, bundle: device.signed_bundle(), seed: None, code: world.fresh_code(member) };
    world.gate().join(joining).unwrap();
    let olga = world.identity("Olga");
    let roles = world.roles(member);
    let admission = Admission { bundle: device.signed_bundle(), roles, by: Some(olga.member) };
    let admission = olga.sign.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap());
    as_owner::<MemberConfirmCall>(world, MemberConfirmAsk { admission, reuse_key: None });
    device
}

/// A newcomer's keys, handed in and not confirmed.
fn waiting_keys(world: &World, whom: &str) -> (Identity, Digest) {
    let olga = world.identity("Olga");
    let newcomer = Identity::generate(olga.vault, olga.root, name(whom), &System);
    let invited = invited(whom, &[Role::Specialist], None, whom);
    let digest = invited.token;
    as_owner::<MemberInviteCall>(world, MemberInviteAsk { invited, valid_ms: 3_600_000 });
    let seed = Seed::generate(&System);
    let joining = Joining {
        token: whom.to_owned().into(),
        bundle: newcomer.signed_bundle(),
        seed: Some(seed.encode().expose().to_vec().into()),
        code: seed.code(world.clock.now().unix_seconds()).0,
    };
    world.gate().join(joining).unwrap();
    (newcomer, digest)
}

impl Stage {
    fn build() -> Self {
        Self::active(World::with_mandate()).kept()
    }

    /// Two mandates with their people, out of [`World::with_mandate`].
    pub fn active(world: World) -> Self {
        let paper = world.file("permission.pdf", "signed");
        let otp = world.otp_file("Vesta");
        let add = "member add Vesta --role specialist --external --operator Romashka --permission";
        world.as_member("Olga", &format!("{add} {} --otpauth-out {}", paper.display(), otp.display())).done();
        for (member, role) in [
            ("Larisa", "lead"),
            ("Boris", "specialist"),
            ("Anton", "auditor"),
            ("Nina", "specialist"),
            ("Pavel", "specialist"),
        ] {
            world.add_member(member, role);
        }
        world.unlock("Larisa");
        world.open_mandate("Larisa", "Vasilek");
        world.as_member("Larisa", "grant Boris Vasilek/CRM --level view").done();
        world.as_member("Olga", "member suspend Pavel -y").done();

        let spares = Person::ALL.iter().map(|person| (person.name(), spare_device(&world, person.name()))).collect();
        let waiting = waiting_keys(&world, "Polina");
        let people = Person::ALL.iter().map(|person| person.name()).chain(["Pavel"]);
        let mut voices: BTreeMap<_, _> =
            people.map(|name| (name, Voice { identity: world.identity(name), session: None })).collect();
        for person in Person::ALL {
            voices.insert(person.name(), Voice::of(&world, person.name()));
        }
        let gate = world.gate();
        let place_of_a = Place::of(&*gate, &voices["Lena"], "Romashka", "Sasha");
        let place_of_b = Place::of(&*gate, &voices["Larisa"], "Vasilek", "Boris");
        let nowhere = Place::made_up(&place_of_b);

        let charter: Charter = {
            let charters = gate.hello().unwrap().charters;
            serde_json::from_slice(from_blob(&charters[0]).unwrap().unverified_bytes()).unwrap()
        };
        for (lead, place) in [("Lena", &place_of_a), ("Larisa", &place_of_b)] {
            let ask = MandateImportAsk {
                operator: name(place.operator.as_str()),
                contract: text("next"),
                zone: None,
                jurisdiction: Jurisdiction::Ru,
                lead: None,
                draft: draft(),
                again: true,
            };
            voices[lead].ask::<MandateImportCall>(&*gate, None, ask).unwrap();
            let ask = RequestAsk { operator: place.operator.clone(), wish: wish(place.request) };
            voices["Nina"].ask::<RequestCall>(&*gate, None, ask).unwrap();
        }
        Self {
            roster: charter.roster,
            world,
            voices,
            codes: Person::ALL.iter().map(|person| (person.name(), String::new())).collect(),
            place_of_a,
            place_of_b,
            nowhere,
            spare_seed: Seed::generate(&System),
            spares,
            waiting,
            at: 0,
        }
    }

    /// Every state that a cell can begin from, and the codes of one moment.
    fn kept(self) -> Self {
        let mut stage = self;
        let gate = stage.world.gate();
        stage.keep(ACTIVE);
        stage.open_incidents(&*gate);
        stage.keep(INCIDENT);
        drop(gate);
        stage.copy(&stage.world.path(ACTIVE), stage.world.dir.path());
        for (lead, operator) in [("Lena", "Romashka"), ("Larisa", "Vasilek")] {
            stage.world.as_member(lead, &format!("mandate end {operator} -y")).done();
            // Granting onward read it.
            stage.world.as_member(lead, &format!("mandate settle {operator}/CRM --because changed")).done();
            stage
                .world
                .as_member(lead, &format!("mandate revoked {operator} --all --how deactivated --by Lena"))
                .done();
            stage.world.as_member(lead, &format!("mandate choice {operator} delete --by Director")).done();
            stage.world.as_member(lead, &format!("mandate copies {operator} --none --by Lena")).done();
        }
        stage.keep(SETTLED);
        // One moment for every cell, in which nobody's code was used in either state.
        stage.codes = Person::ALL.iter().map(|person| (person.name(), stage.world.fresh_code(person.name()))).collect();
        stage.at = stage.world.clock.now().0;
        stage
    }

    /// One in each mandate.
    pub fn open_incidents(&self, gate: &dyn Gate) {
        for (lead, place) in [("Lena", &self.place_of_a), ("Larisa", &self.place_of_b)] {
            let facts = incident(place.incident, self.world.clock.now());
            let ask = IncidentOpenAsk { operator: Some(place.operator.clone()), facts };
            self.voices[lead].ask::<IncidentOpenCall>(gate, None, ask).unwrap();
        }
    }

    fn keep(&self, name: &str) {
        self.copy(self.world.dir.path(), &self.world.path(name));
    }

    fn restore(&self, name: &str) {
        for slot in ["epoch-key", "epoch-key.next"] {
            let _ = std::fs::remove_file(self.world.path(slot));
        }
        self.copy(&self.world.path(name), self.world.dir.path());
        self.world.clock.set_wall(self.at);
    }

    /// Database, anchor and epoch key.
    fn copy(&self, from: &std::path::Path, to: &std::path::Path) {
        for dir in ["vault", "state"] {
            copy_dir(&from.join(dir), &to.join(dir));
        }
        std::fs::copy(from.join("epoch-key"), to.join("epoch-key")).unwrap();
    }

    fn place(&self, target: Target) -> Option<&Place> {
        match target {
            Target::Vault => None,
            Target::A => Some(&self.place_of_a),
            Target::B => Some(&self.place_of_b),
            Target::MadeUp => Some(&self.nowhere),
        }
    }

    fn admission(&self, of: &Identity, by: &Voice, roles: &[Role]) -> Signed {
        let admission =
            Admission { bundle: of.signed_bundle(), roles: roles.iter().copied().collect(), by: Some(by.id()) };
        by.identity.sign.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap())
    }

    /// The verb's request, right in everything but perhaps in who asks. A new verb does not compile until it is here.
    pub fn well_formed(&self, person: Person, verb: Verb, maybe: Option<&Place>) -> Asked {
        let (voice, code) = (&self.voices[person.name()], &self.codes[person.name()]);
        let operator = maybe.map(|place| place.operator.clone());
        let place = || maybe.unwrap_or_else(|| panic!("{verb} names a mandate"));
        let unit = maybe.map(|place| place.unit);
        let enrol = || EnrolLoad {
            seed: self.spare_seed.encode().expose().to_vec(),
            code: self.spare_seed.code(self.world.clock.now().unix_seconds()).0,
        };
        let member = |named: &str| MemberAsk { name: name(named) };
        match verb {
            Verb::Unlock => with_code::<UnlockCall>(UnlockAsk { for_ms: 1000 }, code),
            Verb::Lock => asked::<LockCall>(None, Nothing {}, &()),
            Verb::StepUp => with_code::<StepUpCall>(Nothing {}, code),
            Verb::MemberAdd => {
                let vesna = Identity::generate(voice.identity.vault, voice.identity.root, name("Vesna"), &System);
                let admission = self.admission(&vesna, voice, &[Role::Specialist]);
                asked::<MemberAddCall>(None, MemberAddAsk { admission, reuse_key: None }, &enrol())
            }
            Verb::MemberList => asked::<MemberListCall>(None, Nothing {}, &()),
            Verb::MemberRole => {
                let nina = &self.voices["Nina"].identity;
                let admission = self.admission(nina, voice, &[Role::Specialist, Role::Auditor]);
                let ask = MemberRoleAsk { member: nina.member, admission, reuse_keys: Vec::new() };
                asked::<MemberRoleCall>(None, ask, &())
            }
            Verb::MemberSuspend => asked::<MemberSuspendCall>(None, member("Boris"), &()),
            Verb::MemberResume => asked::<MemberResumeCall>(None, member("Pavel"), &()),
            Verb::MemberFactor => asked::<MemberFactorCall>(None, member("Boris"), &enrol()),
            Verb::MemberRemove => asked::<MemberRemoveCall>(None, member("Boris"), &()),
            Verb::MemberInvite => {
                let invited = invited("Vera", &[Role::Specialist], None, "vera");
                asked::<MemberInviteCall>(None, MemberInviteAsk { invited, valid_ms: 3_600_000 }, &())
            }
            Verb::MemberPending => asked::<MemberPendingCall>(None, Nothing {}, &()),
            Verb::MemberConfirm => {
                let admission = self.admission(&self.waiting.0, voice, &[Role::Specialist]);
                asked::<MemberConfirmCall>(None, MemberConfirmAsk { admission, reuse_key: None }, &())
            }
            Verb::MemberReject => asked::<MemberRejectCall>(None, MemberRejectAsk { token: self.waiting.1 }, &()),
            Verb::DeviceList => asked::<DeviceListCall>(None, DeviceListAsk { name: None }, &()),
            Verb::DeviceRemove => {
                let ask = DeviceRemoveAsk { name: name(person.name()), device: name("spare") };
                asked::<DeviceRemoveCall>(None, ask, &())
            }
            Verb::WrapShare => self.share(voice, person, place()),
            Verb::MandateOpen => {
                let ask = MandateOpenAsk {
                    operator: name("Pion"),
                    contract: text("18/2026"),
                    signed: "2026-02-01".parse().unwrap(),
                    until: "2026-12-31".parse().unwrap(),
                    zone: None,
                    jurisdiction: Jurisdiction::Ru,
                    lead: None,
                    rows: Vec::new(),
                };
                asked::<MandateOpenCall>(None, ask, &())
            }
            Verb::MandateImport => {
                let ask = MandateImportAsk {
                    operator: name("Pion"),
                    contract: text("18/2026"),
                    zone: None,
                    jurisdiction: Jurisdiction::Ru,
                    lead: None,
                    draft: Draft { source: Digest([8; 32]), ..draft() },
                    again: false,
                };
                asked::<MandateImportCall>(None, ask, &())
            }
            Verb::MandateAnswer => {
                let reading = Blob(b"{\"answered\":true}".to_vec());
                let ask = MandateAnswerAsk { operator: place().operator.clone(), questions: 1, reading };
                asked::<MandateAnswerCall>(None, ask, &())
            }
            Verb::MandateActivate => {
                let ask = MandateActivateAsk {
                    operator: place().operator.clone(),
                    contract: text("19/2026"),
                    signed: "2026-02-01".parse().unwrap(),
                    until: "2026-12-31".parse().unwrap(),
                    source: Digest([7; 32]),
                    rows: vec![row_spec()],
                };
                asked::<MandateActivateCall>(None, ask, &())
            }
            Verb::MandatePermit => {
                let permission = Permission {
                    member: self.world.identity("Vesta").member,
                    rows: BTreeSet::new(),
                    until: None,
                    source: Digest([9; 32]),
                    file: text("permission.pdf"),
                };
                let ask = MandatePermitAsk { operator: place().operator.clone(), permission };
                asked::<MandatePermitCall>(None, ask, &())
            }
            Verb::MandateEvidence => {
                let evidence = Evidence::Chosen { choice: Choice::Delete, by: text("Director") };
                let ask = MandateEvidenceAsk { operator: place().operator.clone(), evidence };
                asked::<MandateEvidenceCall>(None, ask, &())
            }
            Verb::Request => {
                let ask = RequestAsk { operator: text("Romashka"), wish: wish(RequestId([0xa0; 16])) };
                asked::<RequestCall>(None, ask, &())
            }
            Verb::Deny => {
                let (operator, request) = (place().operator.clone(), place().request);
                asked::<DenyCall>(None, DenyAsk { operator, request, reason: text("no") }, &())
            }
            Verb::Review => {
                let line =
                    |grant: &GrantId| Reviewed { grant: *grant, decision: Decision::Keep, note: Text::default() };
                let lines = place().given.iter().map(line).collect();
                asked::<ReviewCall>(None, ReviewAsk { operator: place().operator.clone(), lines }, &())
            }
            Verb::RotationAsk => {
                let (operator, credential) = (place().operator.clone(), place().credential);
                asked::<RotationAskCall>(None, RotationAskAsk { operator, credential, of: text("Director") }, &())
            }
            Verb::IncidentOpen => {
                let facts = incident(IncidentId([0xa3; 16]), self.world.clock.now());
                let ask = IncidentOpenAsk { operator: Some(place().operator.clone()), facts };
                asked::<IncidentOpenCall>(None, ask, &())
            }
            Verb::IncidentNote => {
                let (operator, incident) = (Some(place().operator.clone()), place().incident);
                let ask = IncidentNoteAsk { operator, incident, step: Step::Finding, text: text("nothing yet") };
                asked::<IncidentNoteCall>(None, ask, &())
            }
            Verb::IncidentClose => {
                let ask = IncidentCloseAsk { incident: place().incident, unlock: true, outcome: text("found again") };
                asked::<IncidentCloseCall>(None, ask, &())
            }
            Verb::IncidentList => asked::<IncidentListCall>(None, Nothing {}, &()),
            Verb::MandateList => asked::<MandateListCall>(None, Nothing {}, &()),
            Verb::MandateShow => asked::<MandateShowCall>(None, NameAsk { operator: place().operator.clone() }, &()),
            Verb::MandateAmend => {
                let operator = place().operator.clone();
                let remove = vec![name("CRM")];
                let ask = MandateAmendAsk { operator, add: Vec::new(), set: Vec::new(), remove, until: None };
                asked::<MandateAmendCall>(None, ask, &())
            }
            Verb::MandateEnd => {
                let ask = ReasonAsk { operator: place().operator.clone(), reason: text("contract end") };
                asked::<MandateEndCall>(None, ask, &())
            }
            Verb::MandateSettle => {
                let ask = SettleAsk {
                    operator: place().operator.clone(),
                    system: name("CRM"),
                    credential: Text::default(),
                    because: text("changed by the operator"),
                    confirmed: None,
                };
                asked::<MandateSettleCall>(None, ask, &())
            }
            Verb::MandateClose => {
                asked::<MandateCloseCall>(None, CloseAsk { operator: place().operator.clone(), retain_years: 3 }, &())
            }
            Verb::CredentialAdd => {
                let guest = CredentialFacts {
                    id: CredentialId([0xad; 16]),
                    row: place().empty_row,
                    name: Text::default(),
                    kind: Kind::Delegated,
                    account: text("guest"),
                    url: Text::default(),
                    second_factor: SecondFactor::Unknown,
                    revocation: None,
                    because: None,
                    version: None,
                };
                let ask = CredentialAddAsk { credentials: vec![guest], seeds: Prepared::default().seeds_digest() };
                asked::<CredentialAddCall>(unit, ask, &SecretsLoad::default())
            }
            Verb::CredentialRotate => {
                let ask = CredentialRotateAsk {
                    credential: place().credential,
                    version: None,
                    second_factor: Some(SecondFactor::Elsewhere { holder: text("the operator") }),
                    seeds: Prepared::default().seeds_digest(),
                };
                asked::<CredentialRotateCall>(unit, ask, &SecretsLoad::default())
            }
            Verb::CredentialList => asked::<CredentialListCall>(None, OptionalNameAsk { operator }, &()),
            Verb::Locate => {
                let operator = place().operator.clone();
                let ask = LocateAsk { operator, system: text("CRM"), credential: None, all: false };
                asked::<LocateCall>(None, ask, &())
            }
            Verb::Reuse => asked::<ReuseCall>(unit, ReuseAsk { tags: vec![place().tag] }, &()),
            Verb::Recipients => asked::<RecipientsCall>(unit, RecipientsAsk { rows: vec![place().row] }, &()),
            Verb::Grant => {
                let grant = place().facts(0xaf, self.voices["Nina"].id());
                asked::<GrantCall>(unit, GrantAsk { grant, answers: None }, &WrapsLoad::default())
            }
            Verb::Revoke => {
                let of = Some((place().operator.clone(), text("CRM")));
                let ask = RevokeAsk { member: place().grantee.clone(), of, reason: text("revoked") };
                asked::<RevokeCall>(None, ask, &())
            }
            Verb::Fetch => asked::<FetchCall>(unit, place().item(voice.id()), &()),
            Verb::Code => asked::<CodeCall>(unit, place().item(voice.id()), &()),
            Verb::Log => asked::<LogCall>(None, LogAsk { operator, member: None, since: None, denied: false }, &()),
            Verb::Extract => asked::<ExtractCall>(None, NameAsk { operator: place().operator.clone() }, &()),
            Verb::Checkpoint => asked::<CheckpointCall>(None, NameAsk { operator: place().operator.clone() }, &()),
            Verb::Exposure => asked::<ExposureCall>(None, ExposureAsk { operator, member: None }, &()),
            Verb::Verify => asked::<VerifyCall>(None, Nothing {}, &()),
            Verb::Sweep => asked::<SweepCall>(None, Nothing {}, &()),
            Verb::Due => asked::<DueCall>(None, DueAsk { days: 400 }, &()),
            Verb::Status => asked::<StatusCall>(None, Nothing {}, &()),
            Verb::Backup => {
                // Where the next cell's copy clears it away.
                let path = self.world.path("vault").join("backup.db").display().to_string();
                asked::<BackupCall>(None, BackupAsk { path }, &())
            }
            Verb::ConfirmClock => asked::<ConfirmClockCall>(None, Nothing {}, &()),
        }
    }

    /// The place's secret, wrapped to the person's own further device under the grant they hold, or have heard of.
    fn share(&self, voice: &Voice, person: Person, place: &Place) -> Asked {
        let (grant, device) = (place.grant(voice.id()), self.spares[person.name()].bundle());
        let store = Store::open(&mandatum::store::Database::File(self.world.places().database())).unwrap();
        let row = store.secret(place.unit, place.credential, 1).unwrap();
        let said = row.map(|row| postcard::from_bytes::<Signed>(&row.statement).unwrap());
        let said = said.map(|signed| serde_json::from_slice::<Statement>(signed.unverified_bytes()).unwrap());
        let wraps = said.into_iter().map(|said| {
            let ctx = Ctx { to: Some((grant, voice.id())), recipient: recipient_digest(&device.enc), ..said.ctx };
            let inner = wrap_inner(&device.enc, &ctx, &Key::generate(&System)).unwrap();
            let said = Statement { ctx, inner: hash(&inner), author: voice.id(), ..said };
            let statement = voice.identity.sign.sign(Topic::Statement, serde_json::to_vec(&said).unwrap());
            WrapLoad { ctx, inner: Blob(inner), statement }
        });
        let load = WrapsLoad { wraps: wraps.collect() };
        let items = vec![SharedItem { credential: place.credential, version: 1 }];
        asked::<WrapShareCall>(Some(place.unit), WrapShareAsk { grant, device: device.sign, items }, &load)
    }

    /// Sends one cell's request from a kept state; gives back what is wrong with what came of it. The gate is left
    /// only where nothing was changed but the roster's ledger.
    fn try_cell(&self, kept: &mut Kept, person: Person, verb: Verb, target: Target) -> Vec<String> {
        let state = match verb {
            Verb::MandateClose | Verb::MandateActivate => SETTLED,
            Verb::IncidentNote | Verb::IncidentClose => INCIDENT,
            _ => ACTIVE,
        };
        let gate = match kept.take() {
            Some((there, gate)) if there == state => gate,
            _ => {
                self.restore(state);
                self.world.gate()
            }
        };
        let voice = &self.voices[person.name()];
        let token = mandatum::policy::needs_step_up(verb).then(|| {
            let answer = voice.send(&*gate, &with_code::<StepUpCall>(Nothing {}, &self.codes[person.name()]), None);
            serde_json::from_slice(&answer.unwrap()).unwrap()
        });
        let before = ledgers(&self.world);
        let answer = voice.send(&*gate, &self.well_formed(person, verb, self.place(target)), token);
        let after = ledgers(&self.world);

        let wanted = expected(person, verb, target);
        let seen = match &answer {
            Ok(_) => Ok(Answer::Done),
            Err(Refusal::Denied { code: Deny::RoleForbids }) => Ok(Answer::RoleForbids),
            Err(Refusal::NotFound) => Ok(Answer::NotThere),
            Err(other) => Err(other),
        };
        let mut wrong = Vec::new();
        if seen != Ok(wanted) {
            wrong.push(format!("{person:?} {verb} {target:?}: {seen:?}, expected {wanted:?}"));
        }
        let changed = |unit: &UnitId| before.get(unit) != after.get(unit);
        let (a, b) = (self.place_of_a.unit, self.place_of_b.unit);
        let may_change = |unit: UnitId| {
            wanted == Answer::Done && (target == Target::Vault || self.place(target).unwrap().unit == unit)
        };
        for unit in [a, b].into_iter().filter(|unit| changed(unit) && !may_change(*unit)) {
            wrong.push(format!("{person:?} {verb} {target:?} left a trace in the mandate {unit}"));
        }
        if wanted != Answer::Done {
            // One denial in the agency's own ledger, whose state it leaves as it was; no new ledger.
            let roster = self.roster;
            let one_more = (before[&roster].0 + 1, before[&roster].1.clone());
            if after.get(&roster) != Some(&one_more) || after.len() != before.len() {
                wrong.push(format!("{person:?} {verb} {target:?}: the refusal is not one record of the roster"));
            }
        }
        wrong.extend(self.check_reach(person, verb, target, answer.as_deref().unwrap_or_default()));
        *kept = (token.is_none() && answer.is_err()).then_some((state, gate));
        wrong
    }

    /// Whose right does not reach everywhere reads nothing of a mandate that is not theirs; whose does, reads of both.
    fn check_reach(&self, person: Person, verb: Verb, target: Target, answer: &[u8]) -> Option<String> {
        let answer = String::from_utf8_lossy(answer);
        let told = |place: &Place| answer.contains(place.operator.as_str()) || answer.contains(&place.unit.to_string());
        let [of_a, of_b] = [&self.place_of_a, &self.place_of_b].map(told);
        let lists = matches!(verb, Verb::MandateList | Verb::CredentialList | Verb::Due | Verb::Exposure);
        let fits = match person.right(verb) {
            Right::Any if lists && target == Target::Vault => of_a && of_b,
            Right::Any => true,
            Right::Own | Right::No => {
                (!of_a || person.has_to_do_with(Target::A)) && (!of_b || person.has_to_do_with(Target::B))
            }
        };
        (!fits).then(|| format!("{person:?} {verb} {target:?} read of A: {of_a}, of B: {of_b}"))
    }
}

/// Every member, with every verb, on every mandate and on none: what the design's table says, and nothing else; what is
/// refused leaves no trace but one record of the agency's own ledger (C1).
#[test]
fn every_cell_of_the_matrix_is_as_the_design_says() {
    let stage = Stage::build();
    let (mut wrong, mut kept) = (Vec::new(), None);
    for &verb in Verb::ALL {
        for person in Person::ALL {
            for &target in targets(verb) {
                wrong.extend(stage.try_cell(&mut kept, person, verb, target));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}

/// Ids of a mandate that is not one's own, each for itself in a request that is otherwise about one's own, answer as ids
/// that were made up (C1, C3).
#[test]
fn ids_of_another_mandate_are_as_if_made_up() {
    type Swap = (&'static str, fn(&mut Place, &Place));
    const IDS: [Swap; 6] = [
        ("row", |place, of| (place.row, place.empty_row) = (of.row, of.empty_row)),
        ("credential", |place, of| place.credential = of.credential),
        ("grants", |place, of| {
            let foreign = *of.grants.values().next().unwrap();
            place.grants.values_mut().for_each(|grant| *grant = foreign);
        }),
        ("given grants", |place, of| place.given.clone_from(&of.given)),
        ("request", |place, of| place.request = of.request),
        ("incident", |place, of| place.incident = of.incident),
    ];
    let stage = Stage::build();
    let nowhere = Place { given: vec![GrantId([0xee; 16]); stage.place_of_b.given.len()], ..stage.nowhere.clone() };
    let mut tried: BTreeMap<&str, BTreeSet<Verb>> = BTreeMap::new();
    for (state, verbs) in [
        (
            ACTIVE,
            vec![
                Verb::CredentialAdd,
                Verb::CredentialRotate,
                Verb::Recipients,
                Verb::Grant,
                Verb::WrapShare,
                Verb::Review,
                Verb::Deny,
                Verb::RotationAsk,
                Verb::Fetch,
                Verb::Code,
            ],
        ),
        (INCIDENT, vec![Verb::IncidentNote]),
    ] {
        stage.restore(state);
        let gate = stage.world.gate();
        let before = ledgers(&stage.world);
        for person in [Person::LeadOfA, Person::SpecialistInA] {
            for verb in verbs.iter().copied().filter(|verb| person.right(*verb) != Right::No) {
                let own = stage.well_formed(person, verb, Some(&stage.place_of_a));
                for (id, swap) in IDS {
                    let [smuggled, made_up] = [&stage.place_of_b, &nowhere].map(|other| {
                        let mut place = stage.place_of_a.clone();
                        swap(&mut place, other);
                        stage.well_formed(person, verb, Some(&place))
                    });
                    // Where the verb's question holds that id.
                    if smuggled.ask == own.ask {
                        continue;
                    }
                    let answer = |asked| stage.voices[person.name()].send(&*gate, asked, None);
                    let refusal = answer(&made_up).unwrap_err();
                    assert_eq!(answer(&smuggled), Err(refusal), "{person:?} {verb}: {id}");
                    tried.entry(id).or_default().insert(verb);
                }
            }
        }
        let after = ledgers(&stage.world);
        for unit in [stage.place_of_a.unit, stage.place_of_b.unit] {
            assert!(before[&unit] == after[&unit], "something was left in {unit}");
        }
    }
    let held: BTreeMap<&str, usize> = tried.iter().map(|(id, verbs)| (*id, verbs.len())).collect();
    let expected = [("row", 3), ("credential", 5), ("grants", 3), ("given grants", 1), ("request", 1), ("incident", 1)];
    assert_eq!(held, expected.into(), "{tried:?}");

    // A secret's fingerprint is the asker's: of another's mandate it tells that some operator has the same, and no more.
    stage.restore(ACTIVE);
    let (gate, place) = (stage.world.gate(), &stage.place_of_a);
    let ask = ReuseAsk { tags: vec![stage.place_of_b.tag] };
    let lines = stage.voices["Lena"].ask::<ReuseCall>(&*gate, Some(place.unit), ask).unwrap();
    assert!(!lines.is_empty());
    for line in lines {
        assert!(line.other_operator && line.operator.is_none() && line.system.is_none(), "{line:?}");
    }
}

// ------------------------------------------------------------------------------------ requests that are not what they say

fn refused_unproven(gate: &dyn Gate, frame: Frame, what: &str) {
    let answer = gate.call(frame);
    assert!(matches!(answer, Err(Refusal::Authentication(_))), "{what}: {answer:?}");
}

/// Route, body and signature must agree on verb, member, vault and format, byte for byte; a request that does not is
/// refused before anything is looked at, and the honest one beside it works, once (C3).
#[test]
fn a_request_is_exactly_what_was_signed_and_for_what() {
    let world = World::with_mandate();
    refuses_what_was_not_signed(&world, &*world.gate());
}

/// The same of a broker that is reached by this gate.
pub fn refuses_what_was_not_signed(world: &World, gate: &dyn Gate) {
    let [sasha, lena] = ["Sasha", "Lena"].map(|name| Voice::at(gate, world, name));
    let place = Place::of(gate, &lena, "Romashka", "Sasha");
    let fetch = asked::<FetchCall>(Some(place.unit), place.item(sasha.id()), &());
    let before = ledgers(world);

    type Change<'a> = &'a dyn Fn(&mut Request<Value>);
    let lies: [(&str, Change<'_>); 6] = [
        ("another verb inside", &|request| request.verb = Verb::Code),
        ("another vault", &|request| request.vault = VaultId([0xee; 16])),
        ("another format", &|request| request.format = FORMAT + 1),
        ("another member", &|request| request.member = lena.id()),
        ("nobody", &|request| request.member = MemberId([0xee; 16])),
        ("a nonce that was never given out", &|request| request.nonce = Nonce([0xee; 16])),
    ];
    for (what, lie) in lies {
        let mut request = sasha.request(gate, &fetch, None);
        lie(&mut request);
        refused_unproven(gate, sasha.frame(Verb::Fetch, &request, &[]), what);
    }
    let honest = sasha.request(gate, &fetch, None);
    refused_unproven(gate, sasha.frame(Verb::Code, &honest, &[]), "another verb in the route");
    refused_unproven(gate, lena.frame(Verb::Fetch, &honest, &[]), "signed by another member");

    let bytes = serde_json::to_vec(&honest).unwrap();
    let signed = sasha.identity.sign.sign(Topic::Request, bytes.clone());
    let own_key = sasha.identity.sign.public();
    let call = |request| Frame { verb: Verb::Fetch, request, load: Vec::new() };
    let as_statement = sasha.identity.sign.sign(Topic::Statement, bytes.clone());
    refused_unproven(gate, call(as_statement), "signed as something else");
    let foreign = lena.identity.sign.sign(Topic::Request, bytes.clone());
    let claimed = Signed::from_parts(bytes.clone(), own_key, foreign.signature().to_vec());
    refused_unproven(gate, call(claimed), "another's signature under one's own key");
    let changed = [bytes.as_slice(), b" "].concat();
    let changed = Signed::from_parts(changed, own_key, signed.signature().to_vec());
    refused_unproven(gate, call(changed), "one byte more than was signed");

    let body = String::from_utf8(bytes).unwrap();
    let again = |body: String| call(sasha.identity.sign.sign(Topic::Request, body.into_bytes()));
    let twice = body.replacen('{', &format!("{{\"member\":\"{}\",", lena.id()), 1);
    refused_unproven(gate, again(twice), "two members");
    refused_unproven(gate, again(body.replacen('{', "{\"admin\":true,", 1)), "an unknown field");
    refused_unproven(gate, again(format!("{body}{{}}")), "two requests");

    // What is asked must be the verb's own question: here, the signature is right and the question is another verb's.
    let locate = LocateAsk { operator: text("Romashka"), system: text("CRM"), credential: None, all: false };
    let other = Asked {
        ask: serde_json::to_value(locate).unwrap(),
        ..asked::<FetchCall>(Some(place.unit), place.item(sasha.id()), &())
    };
    assert!(matches!(sasha.send(gate, &other, None), Err(Refusal::Input { .. })));

    assert_eq!(ledgers(world), before, "what is not proven is not even recorded");
    gate.call(sasha.frame(Verb::Fetch, &honest, &[])).unwrap();
    refused_unproven(gate, sasha.frame(Verb::Fetch, &honest, &[]), "the same request again");
}

/// An old signed request releases nothing a second time: not at the same broker, not after its restart, and not once
/// its member has left; and it is no release in any ledger (B7).
#[test]
fn an_old_request_is_good_for_nothing() {
    let world = World::with_mandate();
    let (sasha, lena, gate) = (Voice::of(&world, "Sasha"), Voice::of(&world, "Lena"), world.gate());
    let place = Place::of(&*gate, &lena, "Romashka", "Sasha");
    let fetch = asked::<FetchCall>(Some(place.unit), place.item(sasha.id()), &());
    let code = world.fresh_code("Sasha");
    let unlock = with_code::<UnlockCall>(UnlockAsk { for_ms: 8 * 3_600_000 }, &code);
    let old = [(&fetch, sasha.request(&*gate, &fetch, None)), (&unlock, sasha.request(&*gate, &unlock, None))];
    let replay = |(asked, request): &(&Asked, Request<Value>)| sasha.frame(asked.verb, request, &asked.load);
    for one in &old {
        gate.call(replay(one)).unwrap();
    }
    let releases = || {
        let lines = lena.ask::<LogCall>(
            &*world.gate(),
            None,
            LogAsk { operator: Some(text("Romashka")), member: None, since: None, denied: false },
        );
        lines
            .unwrap()
            .lines
            .iter()
            .filter(|line| line.event == "released" && line.member == Some(name("Sasha")))
            .count()
    };
    assert_eq!(releases(), 1);

    let before = ledgers(&world);
    for one in &old {
        refused_unproven(&*gate, replay(one), "at the same broker");
        refused_unproven(&*world.gate(), replay(one), "at a broker that was restarted");
    }
    assert_eq!(ledgers(&world), before);

    world.as_member("Olga", "member remove Sasha -y").done();
    let before = ledgers(&world);
    for one in &old {
        refused_unproven(&*gate, replay(one), "after leaving");
        let fresh = sasha.request(&*gate, one.0, None);
        refused_unproven(&*gate, sasha.frame(one.0.verb, &fresh, &one.0.load), "a new request after leaving");
    }
    assert_eq!(ledgers(&world), before);
    assert_eq!(releases(), 1);
}

/// Nobody gives themselves access or a role, nobody gives it in a mandate they do not lead, and no grant is wider or
/// longer than its row; the ledger's fold refuses the same, whatever a broker let through (C6).
#[test]
fn nobody_grants_to_themselves_or_beyond_the_row() {
    let world = World::with_mandate();
    world.add_member("Larisa", "lead");
    let [olga, lena, larisa, sasha] = ["Olga", "Lena", "Larisa", "Sasha"].map(|name| Voice::of(&world, name));
    let gate = world.gate();
    let place = Place::of(&*gate, &lena, "Romashka", "Sasha");
    let unit = Some(place.unit);
    // Without her standing access there, only the rule on oneself is left to refuse Lena.
    let of = Some((text("Romashka"), text("Form")));
    let revoke = RevokeAsk { member: name("Lena"), of, reason: text("a test") };
    olga.ask::<RevokeCall>(&*gate, None, revoke).unwrap();
    let before = ledgers(&world)[&place.unit].clone();
    let role_forbids = || Refusal::from(Deny::RoleForbids);
    let input = |field: &str, refused: Refusal| match refused {
        Refusal::Input { field: named, .. } => assert_eq!(named, field),
        other => panic!("{field}: {other:?}"),
    };
    let grant = |voice: &Voice, grant: GrantFacts| {
        voice.ask::<GrantCall>(&*gate, unit, GrantAsk { grant, answers: None }).unwrap_err()
    };

    // For oneself, and where one does not lead.
    assert_eq!(grant(&sasha, place.facts(1, sasha.id())), role_forbids());
    assert_eq!(grant(&olga, place.facts(1, olga.id())), role_forbids());
    assert_eq!(grant(&larisa, place.facts(1, sasha.id())), Refusal::NotFound);
    assert_eq!(grant(&larisa, place.facts(1, larisa.id())), Refusal::NotFound);
    let own = grant(&lena, place.facts(1, lena.id()));
    assert!(own.to_string().contains("nobody grants to themselves"), "{own}");

    // Beyond the row, by the smallest step.
    let facts = || place.facts(1, sasha.id());
    let (from, until) = (place.term.from, place.term.until);
    input("until", grant(&lena, GrantFacts { term: Term { from, until: until.plus(1) }, ..facts() }));
    input("until", grant(&lena, GrantFacts { term: Term { from: from.plus(-1), until }, ..facts() }));
    input("level", grant(&lena, GrantFacts { levels: BTreeSet::from([Level::View, Level::Reply]), ..facts() }));
    input("purpose", grant(&lena, GrantFacts { purposes: vec![text("something else")], ..facts() }));
    input("grant", grant(&lena, GrantFacts { levels: BTreeSet::new(), ..facts() }));
    input("grant", grant(&lena, GrantFacts { purposes: Vec::new(), ..facts() }));
    // A standing grant comes with leading the mandate, never by being given.
    input("grant", grant(&lena, GrantFacts { origin: GrantOrigin::Lead, ..facts() }));

    // Nobody raises their own roles, and an owner's program cannot be made to carry what somebody else signed.
    let raised = |by: &Voice| {
        let roles = BTreeSet::from([Role::Owner, Role::Lead, Role::Specialist]);
        let admission = Admission { bundle: sasha.identity.signed_bundle(), roles, by: Some(by.id()) };
        by.identity.sign.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap())
    };
    let stepped = |voice: &Voice, member: &str| {
        let code = with_code::<StepUpCall>(Nothing {}, &world.fresh_code(member));
        serde_json::from_slice(&voice.send(&*gate, &code, None).unwrap()).unwrap()
    };
    let ask = |signed| {
        let ask = MemberRoleAsk { member: sasha.id(), admission: signed, reuse_keys: Vec::new() };
        asked::<MemberRoleCall>(None, ask, &())
    };
    let by_self = sasha.send(&*gate, &ask(raised(&sasha)), Some(stepped(&sasha, "Sasha")));
    assert_eq!(by_self, Err(role_forbids()));
    let carried = olga.send(&*gate, &ask(raised(&sasha)), Some(stepped(&olga, "Olga")));
    input("admission", carried.unwrap_err());

    assert_eq!(ledgers(&world)[&place.unit], before);
    let view = lena.ask::<MandateShowCall>(&*gate, None, NameAsk { operator: text("Romashka") }).unwrap();
    let folds = |by: &Voice, grant| {
        view.mandate.clone().apply(&Event::Granted { grant, answers: None }, Some(by.id()), now(&world)).is_ok()
    };
    for (by, to) in [(&sasha, &sasha), (&olga, &sasha), (&larisa, &sasha), (&lena, &lena)] {
        assert!(!folds(by, place.facts(1, to.id())), "{} to {}", by.identity.name, to.identity.name);
    }
    assert!(folds(&lena, facts()), "the same grant by who may give it");
    lena.ask::<GrantCall>(&*gate, unit, GrantAsk { grant: facts(), answers: None }).unwrap();
}

fn now(world: &World) -> Instant {
    Clock::now(&*world.clock)
}

/// Who only reads a secret cannot replace it: not by sending it, not through a lead who carries it, and not in the fold
/// of the ledger (C10).
#[test]
fn who_only_reads_replaces_nothing() {
    let world = World::with_mandate();
    let (sasha, lena, gate) = (Voice::of(&world, "Sasha"), Voice::of(&world, "Lena"), world.gate());
    let place = Place::of(&*gate, &lena, "Romashka", "Sasha");
    let secret = || world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    let (first, before) = (secret(), ledgers(&world));

    let by = |author: &Voice| second_version(&*gate, author, &place, &[&lena, &sasha]);
    assert_eq!(sasha.send(&*gate, &by(&sasha), None), Err(Deny::RoleForbids.into()));
    let carried = lena.send(&*gate, &by(&sasha), None);
    assert!(matches!(&carried, Err(Refusal::Input { field, .. }) if field == "statement"), "{carried:?}");
    assert_eq!(ledgers(&world)[&place.unit], before[&place.unit]);
    assert_eq!(secret(), first);

    let mandate = lena.ask::<MandateShowCall>(&*gate, None, NameAsk { operator: text("Romashka") }).unwrap().mandate;
    let ask: CredentialRotateAsk = serde_json::from_value(by(&lena).ask).unwrap();
    let event = Event::Rotated { credential: ask.credential, version: ask.version, second_factor: None };
    let folds = |by: &Voice| mandate.clone().apply(&event, Some(by.id()), now(&world)).is_ok();
    assert!(!folds(&sasha) && folds(&lena));

    lena.send(&*gate, &by(&lena), None).unwrap();
    assert_eq!(secret(), "second-version-of-the-secret\n");
}

/// A right second version of the credential, sealed and wrapped to its readers by this author.
fn second_version(gate: &dyn Gate, author: &Voice, place: &Place, readers: &[&Voice]) -> Asked {
    let charters = gate.hello().unwrap().charters;
    let charter = charters.last().and_then(from_blob).unwrap();
    let charter: Charter = serde_json::from_slice(charter.unverified_bytes()).unwrap();
    let ctx0 = Ctx {
        vault: author.identity.vault,
        mandate: place.unit,
        credential: place.credential,
        version: 2,
        to: None,
        recipient: recipient_digest(&charter.recovery),
    };
    let dek = Key::generate(&System);
    let fields = Fields::default().with("password", Secret::copy_of(b"second-version-of-the-secret"));
    let (ct, rec) = (seal_ct(&dek, &ctx0, &fields, &System), wrap_inner(&charter.recovery, &ctx0, &dek).unwrap());
    let (of_ct, of_rec) = (hash(&ct), hash(&rec));
    let said =
        Statement { ctx: ctx0, ct: of_ct, inner: of_rec, rec: of_rec, commit: commitment(&dek), author: author.id() };
    let sign = |said: &Statement| author.identity.sign.sign(Topic::Statement, serde_json::to_vec(said).unwrap());
    let wraps = readers.iter().map(|reader| {
        let recipient = reader.identity.enc.recipient();
        let to = Some((place.grants[&reader.id()], reader.id()));
        let ctx = Ctx { to, recipient: recipient_digest(&recipient), ..ctx0 };
        let inner = wrap_inner(&recipient, &ctx, &dek).unwrap();
        let statement = sign(&Statement { ctx, inner: hash(&inner), ..said.clone() });
        WrapLoad { ctx, inner: Blob(inner), statement }
    });
    let wraps = wraps.collect();
    let sealed =
        SecretLoad { credential: place.credential, ct: Blob(ct), rec: Blob(rec), statement: sign(&said), wraps };
    let version =
        NewVersion { number: 2, ct: of_ct, tag: ReuseTag([2; 16]), strength: Strength::Random, allowed_weak: None };
    let seeds = Prepared::default().seeds_digest();
    let ask = CredentialRotateAsk { credential: place.credential, version: Some(version), second_factor: None, seeds };
    asked::<CredentialRotateCall>(Some(place.unit), ask, &SecretsLoad { secrets: vec![sealed], seeds: Vec::new() })
}

/// A grant is good for the member it was made for: named by another, it releases nothing, and nothing is recorded as
/// released (C15).
#[test]
fn a_grant_is_good_for_its_own_member_alone() {
    let world = World::with_mandate();
    with_nina(&world);
    keeps_grants_apart(&world, &*world.gate());
}

/// Nina, who was granted another row than Sasha.
pub fn with_nina(world: &World) {
    world.add_member("Nina", "specialist");
    world.as_member("Lena", "grant Nina Romashka/Form --level view").done();
}

/// The same of a broker that is reached by this gate, with Nina.
pub fn keeps_grants_apart(world: &World, gate: &dyn Gate) {
    let [lena, sasha, nina] = ["Lena", "Sasha", "Nina"].map(|name| Voice::at(gate, world, name));
    let place = Place::of(gate, &lena, "Romashka", "Sasha");
    let ask = |voice: &Voice, grant_of: &Voice, verb: fn(Option<UnitId>, FetchAsk, &()) -> Asked| {
        voice.send(gate, &verb(Some(place.unit), place.item(grant_of.id()), &()), None)
    };
    let verbs = [asked::<FetchCall>, asked::<CodeCall>];
    for verb in verbs {
        // Who holds the row too is told to look again; who does not, that there is nothing.
        let own_row = ask(&sasha, &lena, verb);
        assert!(matches!(own_row, Err(Refusal::Input { .. })), "{own_row:?}");
        let own_row = ask(&lena, &sasha, verb);
        assert!(matches!(own_row, Err(Refusal::Input { .. })), "{own_row:?}");
        assert_eq!(ask(&nina, &sasha, verb), Err(Refusal::NotFound));
        assert_eq!(ask(&nina, &lena, verb), Err(Refusal::NotFound));
    }
    let releases = || {
        let all = LogAsk { operator: Some(text("Romashka")), member: None, since: None, denied: false };
        let lines = lena.ask::<LogCall>(gate, None, all).unwrap().lines;
        lines.iter().filter(|line| line.event == "released" || line.event == "code_released").count()
    };
    // Granting the row onward read it once.
    assert_eq!(releases(), 1);
    for verb in verbs {
        ask(&sasha, &sasha, verb).unwrap();
    }
    assert_eq!(releases(), 3);
}

/// One's own grant releases nothing but what lies under its row: with another row's credential it is answered as if
/// there were no such thing, and nothing is recorded as released (C2, C3).
#[test]
fn a_grant_is_good_for_its_own_row_alone() {
    let world = World::with_mandate();
    let [lena, sasha] = ["Lena", "Sasha"].map(|name| Voice::of(&world, name));
    let gate = world.gate();
    let place = Place::of(&*gate, &lena, "Romashka", "Sasha");
    let locate = LocateAsk { operator: text("Romashka"), system: text("Bot"), credential: None, all: false };
    let bot = lena.ask::<LocateCall>(&*gate, None, locate).unwrap().remove(0);
    let releases = || {
        let all = LogAsk { operator: Some(text("Romashka")), member: None, since: None, denied: false };
        let lines = lena.ask::<LogCall>(&*gate, None, all).unwrap().lines;
        lines.iter().filter(|line| line.event == "released" || line.event == "code_released").count()
    };
    let before = releases();
    let of_row = |voice: &Voice, credential, purpose: Option<&str>| {
        let item = FetchItem { credential, version: 1, grant: place.grant(voice.id()) };
        let ask = || FetchAsk { items: vec![item.clone()], purpose: purpose.map(text), onward: None };
        let verbs = [asked::<FetchCall>, asked::<CodeCall>];
        verbs.map(|verb| voice.send(&*gate, &verb(Some(place.unit), ask(), &()), None).map(drop))
    };
    for purpose in [None, Some("answers"), Some("lead handling")] {
        assert_eq!(of_row(&sasha, bot.credential, purpose), [(); 2].map(|()| Err(Refusal::NotFound)), "{purpose:?}");
    }
    // Who holds both rows is told to look again.
    for answer in of_row(&lena, bot.credential, Some("answers")) {
        assert!(matches!(answer, Err(Refusal::Input { .. })), "{answer:?}");
    }
    assert_eq!(releases(), before);
    assert_eq!(of_row(&sasha, place.credential, None), [Ok(()), Ok(())], "the right one beside it");
    assert_eq!(releases(), before + 2);
}

/// Who reads many secrets in one request names each of them in one record, and only a lead does so, to grant a row
/// onward; the exposure list counts every one (C13).
#[test]
fn a_bulk_read_names_every_secret() {
    let world = World::with_mandate();
    for name in ["second", "third"] {
        world
            .as_member("Lena", &format!("credential add Romashka/CRM/{name} --user u --generate --totp-unknown"))
            .done();
    }
    let [lena, sasha] = ["Lena", "Sasha"].map(|name| Voice::of(&world, name));
    let gate = world.gate();
    let ask = |voice: &Voice, onward: Option<MemberId>| {
        let locate = LocateAsk { operator: text("Romashka"), system: text("CRM"), credential: None, all: true };
        let found = voice.ask::<LocateCall>(&*gate, None, locate).unwrap();
        let item =
            |found: &Located| FetchItem { credential: found.credential, version: 1, grant: found.grant.unwrap() };
        let ask = FetchAsk { items: found.iter().map(item).collect(), purpose: None, onward };
        let names: BTreeSet<CredentialId> = found.iter().map(|found| found.credential).collect();
        (names, voice.ask::<FetchCall>(&*gate, Some(found[0].unit), ask))
    };
    let log = || {
        let all = LogAsk { operator: Some(text("Romashka")), member: None, since: None, denied: false };
        lena.ask::<LogCall>(&*gate, None, all).unwrap().lines
    };
    let before = log().len();
    let (_, many) = ask(&sasha, None);
    assert!(matches!(many, Err(Refusal::Input { .. })), "{many:?}");
    assert_eq!(log().len(), before);
    let (_, onward) = ask(&sasha, Some(lena.id()));
    assert_eq!(onward, Err(Deny::RoleForbids.into()));
    let (names, onward) = ask(&lena, Some(sasha.id()));
    assert_eq!((names.len(), onward.unwrap().released.len()), (3, 3));

    let seen = log();
    assert_eq!(seen.len(), before + 2, "one denial, one release");
    let Outcome::Mandate(Event::Released { items, .. }) = &seen.last().unwrap().record.outcome else {
        panic!("{:?}", seen.last())
    };
    assert_eq!(items.iter().map(|item| item.credential).collect::<BTreeSet<_>>(), names);
    let exposure = ExposureAsk { operator: Some(text("Romashka")), member: Some(name("Lena")) };
    let exposed = lena.ask::<ExposureCall>(&*gate, None, exposure).unwrap();
    assert_eq!(exposed.iter().map(|line| line.credential).collect::<BTreeSet<_>>(), names);
}
