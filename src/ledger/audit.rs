//! The audit of a whole ledger: every signature, every place, the tree and the fold.

use super::asked::{asks, follows_request};
use super::cores::on_all_cores;
use super::directory::{Admission, Directory, from_blob, open_bundle};
use super::record::{ClockMark, Entry, Outcome, Record, RecordError};
use super::tree::Edge;
use crate::crypto::{Signed, Topic};
use crate::model::{Blob, Bundle, Digest, Event, FoldError, Mandate, Roster, RosterEvent, UnitId, Verb};
use serde_json::Value;
use std::collections::HashSet;

/// What is wrong, and with which record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A record does not open.
    #[error("record {0} {1}")]
    Record(u64, RecordError),
    /// A record is not at its place.
    #[error("record {0} belongs to another vault, ledger or place")]
    Place(u64),
    /// The request inside is not the member's, asks for something else, or was not theirs to make.
    #[error(
        "record {0} holds a request that the named member did not sign, that asks for something else, or that was not \
         theirs to make"
    )]
    Request(u64),
    /// The state does not follow.
    #[error("record {0} does not follow from what was before: {1}")]
    Fold(u64, FoldError),
    /// The state after it is another than it says.
    #[error("record {0} names another state than the one it leads to")]
    State(u64),
}

/// The state a ledger folds to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Audited {
    /// Nothing yet.
    Empty,
    /// A mandate.
    Mandate(Box<Mandate>),
    /// The roster.
    Roster(Box<Roster>),
}

/// An audit under way.
pub struct Audit<'a> {
    directory: &'a Directory,
    unit: UnitId,
    edge: Edge,
    used: HashSet<Digest>,
    state: Audited,
}

impl<'a> Audit<'a> {
    /// Begins an audit of one ledger.
    pub fn new(directory: &'a Directory, unit: UnitId) -> Self {
        Self { directory, unit, edge: Edge::default(), used: HashSet::new(), state: Audited::Empty }
    }

    /// Takes the next records. Signatures are verified on all cores; the fold is in order.
    ///
    /// # Errors
    /// The first [`Flaw`].
    pub fn take(&mut self, entries: &[Entry]) -> Result<Vec<Record>, Flaw> {
        let first = self.edge.size();
        let opened = self.open_all(entries, first)?;
        for (entry, record) in entries.iter().zip(&opened) {
            self.fold(record)?;
            self.edge.push(entry.leaf());
        }
        Ok(opened)
    }

    /// The number of records so far.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The root over them.
    pub fn root(&self) -> Digest {
        self.edge.root()
    }

    /// The state they fold to.
    pub fn state(&self) -> &Audited {
        &self.state
    }

    fn open_all(&self, entries: &[Entry], first: u64) -> Result<Vec<Record>, Flaw> {
        let numbered: Vec<(u64, &Entry)> = (first..).zip(entries).collect();
        on_all_cores(&numbered, |(number, entry)| self.open_one(entry, *number)).into_iter().collect()
    }

    fn open_one(&self, entry: &Entry, number: u64) -> Result<Record, Flaw> {
        let claimed = entry.signed.claimed_key();
        let key = self.directory.record_keys().find(|key| *key == claimed);
        let key = key.ok_or(Flaw::Record(number, RecordError::Signature))?;
        let record = Record::open(&entry.signed, key).map_err(|error| Flaw::Record(number, error))?;
        if (record.vault, record.unit, record.seq) != (self.directory.vault(), self.unit, number) {
            return Err(Flaw::Place(number));
        }
        if !check_request(&record, self.directory) {
            return Err(Flaw::Request(number));
        }
        Ok(record)
    }

    fn fold(&mut self, record: &Record) -> Result<(), Flaw> {
        let released = matches!(&record.outcome, Outcome::Mandate(Event::Released { .. } | Event::CodeReleased { .. }));
        // A request is good for one release: its signature is the same each time it is shown.
        if let Some(request) = record.request.as_ref().filter(|_| released)
            && !self.used.insert(crate::crypto::hash(request.signature()))
        {
            return Err(Flaw::Request(record.seq));
        }
        let flaw = |error| Flaw::Fold(record.seq, error);
        match (&mut self.state, &record.outcome) {
            (Audited::Empty, Outcome::Mandate(event)) => {
                let opened = Mandate::open(self.unit, event, record.by, record.at).map_err(flaw)?;
                if !follows_request(record, event, &opened, self.directory) {
                    return Err(Flaw::Request(record.seq));
                }
                self.state = Audited::Mandate(Box::new(opened));
            }
            (Audited::Empty, Outcome::Roster(event)) => {
                let founded = Roster::found(self.unit, event, record.at).map_err(flaw)?;
                self.state = Audited::Roster(Box::new(founded));
            }
            (Audited::Mandate(mandate), Outcome::Mandate(event)) => {
                if !follows_request(record, event, mandate, self.directory) {
                    return Err(Flaw::Request(record.seq));
                }
                mandate.apply(event, record.by, record.at).map_err(flaw)?;
            }
            (Audited::Roster(roster), Outcome::Roster(event)) => {
                if !follows_roster_request(record, event, roster) {
                    return Err(Flaw::Request(record.seq));
                }
                roster.apply(event, record.at).map_err(flaw)?;
            }
            (Audited::Mandate(_) | Audited::Roster(_), Outcome::Denied(_) | Outcome::Refused) => {}
            _ => return Err(flaw(FoldError("it belongs to another kind of ledger"))),
        }
        if record.state.is_some_and(|claimed| claimed != self.state.digest()) {
            return Err(Flaw::State(record.seq));
        }
        Ok(())
    }
}

impl Audited {
    /// The encoding whose digest records name: what the state document holds.
    pub fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Audited::Empty => Ok(Vec::new()),
            Audited::Mandate(mandate) => postcard::to_stdvec(mandate),
            Audited::Roster(roster) => postcard::to_stdvec(roster),
        };
        encoded.unwrap_or_else(|_| unreachable!("plain data"))
    }

    /// The digest records name.
    pub fn digest(&self) -> Digest {
        crate::crypto::hash(&self.encode())
    }
}

/// Whether the request inside a record is the member's, and asks for what the record says was done.
fn check_request(record: &Record, directory: &Directory) -> bool {
    let (Some(member), Some(request)) = (record.by, &record.request) else {
        // The broker acts by itself only where no member's authority is needed; the fold holds that.
        return record.by.is_none() && record.request.is_none() && record.verb.is_none();
    };
    // A member who was admitted by this very record signs nothing in it; everyone else is known before.
    let Some(bundle) = directory.device(member, request.claimed_key()) else { return false };
    // Where the clock was not believed, its time says nothing about before and after.
    if record.clock == ClockMark::Trusted && !directory.was_in_use(member, &bundle.sign, record.at) {
        return false;
    }
    let Ok(bytes) = request.open(Topic::Request, &bundle.sign) else { return false };
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(bytes) else { return false };
    let says = |field: &str, value: String| body.get(field).and_then(|v| v.as_str()) == Some(value.as_str());
    let elsewhere = body.get("unit").and_then(|unit| unit.as_str()).is_some_and(|unit| unit != record.unit.to_string());
    if elsewhere && record.unit != directory.charter().roster {
        return false;
    }
    let right_verb = record.verb.is_some_and(|verb| says("verb", verb.name().to_owned()));
    says("vault", record.vault.to_string())
        && says("member", member.to_string())
        && right_verb
        && asks_for(record, &body)
}

/// What concerns invitations and devices is what a request asked for, or the broker's own to record: keys that came in
/// under an invitation, and what stays removed after a restore.
fn follows_roster_request(record: &Record, event: &RosterEvent, roster: &Roster) -> bool {
    let bytes = record.request.as_ref().map(Signed::unverified_bytes);
    let body: Value = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    // The request carries the signed admission itself, the event its bytes.
    let admits = |bundle: &Bundle, admission: &Blob| {
        let asked = |signed: &Signed| serde_json::to_value(signed).ok().as_ref() == body.pointer("/ask/admission");
        let said = from_blob(admission).filter(asked);
        let said = said.and_then(|signed| serde_json::from_slice::<Admission>(signed.unverified_bytes()).ok());
        said.and_then(|said| open_bundle(&said.bundle)).as_ref() == Some(bundle)
    };
    match (event, record.verb) {
        (RosterEvent::Invited { .. }, Some(Verb::MemberInvite)) => asks(&body, event, &["invited"]),
        (RosterEvent::Joined { token, bundle }, None) => {
            let invited = roster.invitations.iter().find(|open| open.invited.token == *token);
            let keys = from_blob(bundle).and_then(|signed| open_bundle(&signed));
            invited.zip(keys).is_some_and(|(open, keys)| {
                let (invited, vault) = (&open.invited, roster.vault);
                (keys.vault, &keys.name, &keys.device) == (vault, &invited.name, &invited.device)
                    && invited.of.is_none_or(|member| member == keys.member)
            })
        }
        (RosterEvent::InvitationEnded { .. }, Some(Verb::MemberReject)) => asks(&body, event, &["token"]),
        (RosterEvent::Admitted { bundle, admission, .. }, Some(Verb::MemberAdd | Verb::MemberConfirm))
        | (RosterEvent::DeviceAdmitted { bundle, admission, .. }, Some(Verb::MemberConfirm)) => {
            admits(bundle, admission) && asks(&body, event, &["reuse_key"])
        }
        (RosterEvent::DeviceRemoved { .. }, Some(Verb::DeviceRemove)) => asks(&body, event, &["device"]),
        (RosterEvent::DeviceRemoved { .. }, None) => true,
        (
            RosterEvent::Invited { .. }
            | RosterEvent::Joined { .. }
            | RosterEvent::InvitationEnded { .. }
            | RosterEvent::Admitted { .. }
            | RosterEvent::DeviceAdmitted { .. }
            | RosterEvent::DeviceRemoved { .. },
            _,
        ) => false,
        _ => true,
    }
}

/// A release is of what its signed request asked for: the same items with their versions, no more and no fewer.
fn asks_for(record: &Record, body: &serde_json::Value) -> bool {
    let asked = body.pointer("/ask/items");
    match (&record.outcome, record.verb) {
        (Outcome::Mandate(Event::Released { items, .. }), Some(Verb::Fetch)) => {
            serde_json::to_value(items).ok().as_ref() == asked
        }
        (Outcome::Mandate(Event::CodeReleased { credential, grant, .. }), Some(Verb::Code)) => {
            let items = asked.and_then(|items| items.as_array()).map(Vec::as_slice);
            let Some([item]) = items else { return false };
            let field = |name: &str| item.get(name).and_then(|value| value.as_str());
            field("credential") == Some(&credential.to_string()) && field("grant") == Some(&grant.to_string())
        }
        // By any other verb nothing is released: `follows_request`.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SignKey, System};
    use crate::ledger::directory::to_blob;
    use crate::ledger::{Assurance, Charter};
    use crate::model::{Deny, Instant, InvitedFacts, MemberId, Name, Role, VaultId, Zone};
    use serde_json::json;

    const VAULT: VaultId = VaultId([1; 16]);
    const UNIT: UnitId = UnitId([2; 16]);
    const OWNER: MemberId = MemberId([3; 16]);
    const NEW: MemberId = MemberId([4; 16]);

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn bundle(member: MemberId, key: &SignKey) -> Bundle {
        let (name, device) = (name(if member == OWNER { "Olga" } else { "Sasha" }), name("first"));
        Bundle { vault: VAULT, member, name, device, sign: key.public(), enc: format!("age1{}", key.public()) }
    }

    fn signed(bundle: &Bundle, key: &SignKey) -> Signed {
        key.sign(Topic::Bundle, serde_json::to_vec(bundle).unwrap())
    }

    fn record(verb: Option<Verb>, ask: Value, outcome: Outcome, key: &SignKey) -> Record {
        let body = json!({"vault": VAULT, "member": OWNER, "verb": verb, "ask": ask});
        Record {
            format: Record::FORMAT,
            vault: VAULT,
            unit: UNIT,
            seq: 0,
            at: Instant(5),
            clock: ClockMark::Trusted,
            assurance: Assurance::Solo,
            verb,
            by: verb.map(|_| OWNER),
            request: verb.map(|_| key.sign(Topic::Request, serde_json::to_vec(&body).unwrap())),
            outcome,
            state: None,
        }
    }

    /// An owner's key and the roster right after the founding.
    fn founded() -> (SignKey, RosterEvent, Roster) {
        let key = SignKey::generate(&System);
        let event = RosterEvent::Founded {
            vault: VAULT,
            zone: Zone::parse("Europe/Moscow").unwrap(),
            charter: Blob(Vec::new()),
            bundle: bundle(OWNER, &key),
            admission: Blob(Vec::new()),
            reuse_key: Blob(Vec::new()),
        };
        let roster = Roster::found(UNIT, &event, Instant(1)).unwrap();
        (key, event, roster)
    }

    fn invited(of: Option<MemberId>) -> InvitedFacts {
        let roles = if of.is_some() { [].into() } else { [Role::Specialist].into() };
        InvitedFacts { token: Digest([7; 32]), name: name("Sasha"), roles, of, device: name("first"), permission: None }
    }

    #[test]
    fn what_concerns_invitations_is_what_was_asked_for() {
        let (key, _, roster) = founded();
        let follows = |event: &RosterEvent, verb, ask| {
            follows_roster_request(&record(verb, ask, Outcome::Refused, &key), event, &roster)
        };
        let token = Digest([7; 32]);
        let [invite, end, remove] = [
            (
                RosterEvent::Invited { invited: invited(None), until: Instant(9) },
                Verb::MemberInvite,
                "invited",
                json!(invited(None)),
            ),
            (RosterEvent::InvitationEnded { token }, Verb::MemberReject, "token", json!(token)),
            (
                RosterEvent::DeviceRemoved { member: OWNER, device: name("first") },
                Verb::DeviceRemove,
                "device",
                json!("first"),
            ),
        ];
        for (event, verb, field, asked) in [&invite, &end, &remove] {
            assert!(follows(event, Some(*verb), json!({*field: asked})), "{field}");
            assert!(!follows(event, Some(*verb), json!({*field: [asked]})), "{field}");
            assert!(!follows(event, Some(*verb), json!({})), "{field}");
            assert!(!follows(event, Some(Verb::MemberAdd), json!({*field: asked})), "{field}");
        }
        // What stays removed after a restore is the broker's own to record, and nothing else of these.
        assert!(
            follows(&remove.0, None, json!({}))
                && !follows(&invite.0, None, json!({}))
                && !follows(&end.0, None, json!({}))
        );
        // Any request may be the reason why somebody is locked out; the fold says who may.
        assert!(follows(&RosterEvent::Suspended { member: OWNER }, Some(Verb::MemberSuspend), json!({})));
    }

    #[test]
    fn keys_join_under_the_invitation_they_carry() {
        let (owner, _, mut roster) = founded();
        let (key, other) = (SignKey::generate(&System), SignKey::generate(&System));
        let good = bundle(NEW, &key);
        let joins = |roster: &Roster, token: u8, blob: Blob, verb| {
            let event = RosterEvent::Joined { token: Digest([token; 32]), bundle: blob };
            follows_roster_request(&record(verb, json!({}), Outcome::Refused, &owner), &event, roster)
        };
        let blob = |bundle: &Bundle| to_blob(&signed(bundle, &key));
        assert!(!joins(&roster, 7, blob(&good), None), "nobody was invited");
        let invite = |roster: &mut Roster, of| {
            roster.invitations.clear();
            roster.apply(&RosterEvent::Invited { invited: invited(of), until: Instant(9) }, Instant(5)).unwrap();
        };
        invite(&mut roster, None);
        assert!(joins(&roster, 7, blob(&good), None));
        assert!(!joins(&roster, 8, blob(&good), None), "another token");
        assert!(!joins(&roster, 7, blob(&good), Some(Verb::MemberInvite)), "a request brings no keys");
        assert!(!joins(&roster, 7, to_blob(&signed(&good, &other)), None), "signed by another key");
        let changes: [fn(&mut Bundle); 3] = [
            |bundle| bundle.vault = VaultId([9; 16]),
            |bundle| bundle.name = name("Vera"),
            |bundle| bundle.device = name("phone"),
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(!joins(&roster, 7, blob(&changed), None), "{changed:?}");
        }
        // A further device is of the member who was invited.
        roster.invitations[0].invited.of = Some(NEW);
        assert!(joins(&roster, 7, blob(&good), None));
        roster.invitations[0].invited.of = Some(OWNER);
        assert!(!joins(&roster, 7, blob(&good), None));
    }

    #[test]
    fn who_is_admitted_is_whom_the_owner_signed_for() {
        let (owner, _, roster) = founded();
        let (key, other) = (SignKey::generate(&System), SignKey::generate(&System));
        let admission = |key: &SignKey| {
            let bundle = signed(&bundle(NEW, key), key);
            let admission = Admission { bundle, roles: [Role::Specialist].into(), by: Some(OWNER) };
            owner.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap())
        };
        let admits = |device: bool, verb: Verb, of: &SignKey, event: &Signed, asked: &Signed, reuse: Value| {
            let (bundle, admission, reuse_key) = (bundle(NEW, of), to_blob(event), Some(Blob(vec![5])));
            let event = match device {
                true => RosterEvent::DeviceAdmitted { bundle, admission, reuse_key },
                false => RosterEvent::Admitted { bundle, roles: [Role::Specialist].into(), admission, reuse_key },
            };
            let ask = json!({"admission": asked, "reuse_key": reuse});
            follows_roster_request(&record(Some(verb), ask, Outcome::Refused, &owner), &event, &roster)
        };
        let (mine, theirs, reuse) = (admission(&key), admission(&other), json!(Blob(vec![5])));
        for device in [false, true] {
            assert!(admits(device, Verb::MemberConfirm, &key, &mine, &mine, reuse.clone()));
            assert!(!admits(device, Verb::MemberConfirm, &other, &mine, &mine, reuse.clone()), "other keys");
            assert!(!admits(device, Verb::MemberConfirm, &key, &theirs, &mine, reuse.clone()), "another admission");
            assert!(
                !admits(device, Verb::MemberConfirm, &key, &mine, &theirs, reuse.clone()),
                "another one was asked for"
            );
            assert!(!admits(device, Verb::MemberConfirm, &key, &mine, &mine, Value::Null), "another reuse key");
            assert!(!admits(device, Verb::MemberInvite, &key, &mine, &mine, reuse.clone()), "another verb");
            assert_eq!(admits(device, Verb::MemberAdd, &key, &mine, &mine, reuse.clone()), !device);
        }
    }

    /// The owner and the broker's key, under a root of their own.
    fn directory(owner: &SignKey, broker: &SignKey) -> Directory {
        let root = SignKey::generate(&System);
        let charter = Charter {
            vault: VAULT,
            number: 1,
            roster: UNIT,
            record_key: broker.public(),
            checkpoint_key: broker.public(),
            recovery: "age1r".into(),
        };
        let charter = root.sign(Topic::Charter, serde_json::to_vec(&charter).unwrap());
        let mut directory = Directory::new(root.public(), &[charter]).unwrap();
        let admission =
            Admission { bundle: signed(&bundle(OWNER, owner), owner), roles: [Role::Owner].into(), by: None };
        directory.admit(&root.sign(Topic::Admission, serde_json::to_vec(&admission).unwrap())).unwrap();
        directory
    }

    /// What is believed of a request depends on when its device was in use, and on which ledger it is about.
    #[test]
    fn a_request_is_of_a_device_in_use_and_about_its_ledger() {
        let (owner, ..) = founded();
        let mut directory = directory(&owner, &SignKey::generate(&System));
        directory.bound(OWNER, &owner.public(), Instant(4), Some(Instant(6)));
        let checks = |change: &dyn Fn(&mut Record)| {
            let mut record = record(Some(Verb::Status), json!({}), Outcome::Refused, &owner);
            change(&mut record);
            check_request(&record, &directory)
        };
        assert!(checks(&|_| ()));
        assert!(checks(&|record| record.at = Instant(6)) && !checks(&|record| record.at = Instant(7)));
        assert!(!checks(&|record| record.at = Instant(3)), "before the device was there");
        let suspect = |record: &mut Record| (record.at, record.clock) = (Instant(3), ClockMark::Suspect);
        assert!(checks(&suspect), "the time of a clock that was not believed says nothing");
        let about = |unit: UnitId, ledger: UnitId| {
            checks(&|record| {
                let body = json!({"vault": VAULT, "member": OWNER, "verb": Verb::Status, "ask": {}, "unit": unit});
                record.request = Some(owner.sign(Topic::Request, serde_json::to_vec(&body).unwrap()));
                record.unit = ledger;
            })
        };
        let (one, two) = (UnitId([8; 16]), UnitId([9; 16]));
        assert!(about(one, one) && !about(one, two) && !about(UNIT, one));
        assert!(about(UNIT, UNIT) && about(one, UNIT), "the agency's own ledger holds what was refused elsewhere");
    }

    /// The agency's own ledger, from its first record.
    #[test]
    fn the_roster_is_folded_and_held_to_its_requests() {
        let broker = SignKey::generate(&System);
        let (owner, event, _) = founded();
        let directory = directory(&owner, &broker);
        let invite = Outcome::Roster(RosterEvent::Invited { invited: invited(None), until: Instant(9) });
        let audit = |records: Vec<Record>| {
            let entries: Vec<Entry> = (0..)
                .zip(records)
                .map(|(seq, mut record)| {
                    record.seq = seq;
                    Entry { salt: Digest([6; 32]), signed: broker.sign(Topic::Record, record.encode()) }
                })
                .collect();
            let mut audit = Audit::new(&directory, UNIT);
            audit.take(&entries).map(|_| audit.state().clone())
        };
        let first = record(None, Value::Null, Outcome::Roster(event), &owner);
        let asked = |ask| record(Some(Verb::MemberInvite), ask, invite.clone(), &owner);
        let denied = record(Some(Verb::Fetch), json!({}), Outcome::Denied(Deny::RoleForbids), &owner);
        let state = audit(vec![first.clone(), asked(json!({"invited": invited(None)})), denied]);
        assert!(
            matches!(state, Ok(Audited::Roster(roster)) if roster.invitations.len() == 1 && roster.members.len() == 1)
        );
        let other = asked(json!({"invited": invited(Some(NEW))}));
        assert_eq!(audit(vec![first.clone(), other]), Err(Flaw::Request(1)));
        assert!(matches!(audit(vec![asked(json!({"invited": invited(None)}))]), Err(Flaw::Fold(0, _))));
        let foreign = record(None, Value::Null, Outcome::Mandate(Event::Extracted), &owner);
        assert!(matches!(audit(vec![first, foreign]), Err(Flaw::Fold(1, _))));
    }
}
