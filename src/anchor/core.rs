//! What the anchor knows.

use crate::crypto::{Entropy, Key};
use crate::model::{Digest, GrantId, HighWater, Instant, MemberId, SessionId, UnitId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The newest head of a ledger that the broker signed, and the state that goes with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// SHA-256 of the encoded state.
    pub state: Digest,
}

/// A member's second factor.
#[derive(Serialize, Deserialize)]
pub struct Factor {
    /// Whose.
    pub member: MemberId,
    /// The encoded TOTP seed.
    pub seed: Zeroizing<Vec<u8>>,
    /// The last step a code was accepted for.
    pub last_step: u64,
    /// Wrong codes in a row.
    pub failures: u32,
    /// No code is looked at before this.
    pub blocked_until: Instant,
}

/// An authenticated session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub member: MemberId,
    /// When it ends at the latest.
    pub until: Instant,
    /// When it was used last.
    pub used: Instant,
    /// The signing key of the device it was begun on: it is good for no other.
    pub key: Digest,
}

/// The part that belongs to no mandate.
#[derive(Serialize, Deserialize)]
pub struct Core {
    /// Seed of the record key.
    pub record_key: Key,
    /// Seed of the checkpoint key.
    pub checkpoint_key: Key,
    /// The key of blind labels.
    pub label_key: Key,
    /// The roster's unit.
    pub roster: UnitId,
    /// Second factors.
    pub factors: Vec<Factor>,
    /// Sessions.
    pub sessions: Vec<Session>,
    /// The latest believed time.
    pub high: HighWater,
    /// How many records all ledgers hold together.
    pub counter: u64,
    /// The earliest end of anything whose key is here: before it, there is nothing to sweep.
    pub earliest: Instant,
    /// Members who left for good: an older roster put back must not bring them back.
    pub gone: Vec<MemberId>,
    /// Units in which something is to be destroyed and that was not recorded as done yet.
    pub unfinished: Vec<UnitId>,
    /// Whether a member showed a newer head than this broker has: nothing is released until an owner's restart.
    pub rolled_back: bool,
    /// The heads that members showed, signed by this broker and not in its ledgers: what an owner's restart goes on
    /// without.
    pub shown: Vec<(UnitId, Head)>,
    /// Signing keys of devices that were removed: an older roster put back must not bring them back either.
    pub gone_keys: Vec<Digest>,
}

/// The part that belongs to one unit.
#[derive(Serialize, Deserialize)]
pub struct Segment {
    /// The unit.
    pub unit: UnitId,
    /// The newest head.
    pub head: Head,
    /// Opens the state document and the TOTP seeds; gone when the mandate is closed.
    pub state_key: Option<Key>,
    /// Replaces the state key at the next rotation; the state document may be sealed by it already.
    pub next_state_key: Option<Key>,
    /// Opens the records; gone at the end of retention.
    pub evidence_key: Option<Key>,
    /// When the evidence key goes.
    pub retain_until: Instant,
    /// When the mandate's term ends; never for what has ended.
    pub term_until: Instant,
    /// The grants' keys with their ends, by grant.
    pub grants: Vec<(GrantId, Key, Instant)>,
}

/// One change that destroys nothing.
#[derive(Serialize, Deserialize)]
pub enum Change {
    /// A ledger grew.
    Head(UnitId, Head),
    /// A unit was opened.
    Opened {
        /// Which.
        unit: UnitId,
        /// Its state key.
        state_key: Key,
        /// Its evidence key.
        evidence_key: Key,
    },
    /// A grant was made.
    Granted(UnitId, GrantId, Key, Instant),
    /// A grant or its row got another end.
    Ends(UnitId, GrantId, Instant),
    /// A closed unit's evidence goes then.
    Retain(UnitId, Instant),
    /// A unit's state is sealed by this key from now on; the old one dies with the next rotation.
    Rekeyed(UnitId, Key),
    /// A member left for good.
    Gone(MemberId),
    /// A mandate's term ends then.
    Term(UnitId, Instant),
    /// Something is to be destroyed in these units; none: all of it is done and recorded.
    Unfinished(Vec<UnitId>),
    /// Whether nothing is released before an owner's restart.
    RolledBack(bool),
    /// Records were added in all.
    Counted(u64),
    /// Time was believed.
    High(HighWater),
    /// A second factor was enrolled.
    Enrolled(MemberId, Zeroizing<Vec<u8>>, u64),
    /// A code was accepted for this step.
    Accepted(MemberId, u64),
    /// A code was wrong: so many in a row now, none is looked at before then.
    Failed(MemberId, u32, Instant),
    /// A session began.
    Began(Session),
    /// A session was used.
    Used(SessionId, Instant),
    /// A session is over.
    Over(SessionId),
    /// All sessions of a member are over.
    AllOver(MemberId),
    /// A device was removed: by its signing key; its sessions are over.
    KeyGone(Digest),
    /// A member showed a head that this broker signed and does not have.
    Shown(UnitId, Head),
}

impl Change {
    /// The unit it belongs to, if any.
    pub fn unit(&self) -> Option<UnitId> {
        match self {
            Change::Head(unit, _)
            | Change::Opened { unit, .. }
            | Change::Granted(unit, ..)
            | Change::Ends(unit, ..)
            | Change::Rekeyed(unit, _)
            | Change::Term(unit, _)
            | Change::Retain(unit, _) => Some(*unit),
            _ => None,
        }
    }
}

impl Core {
    /// The part of a fresh vault: fresh keys, nothing to sweep.
    pub fn generate(roster: UnitId, high: HighWater, entropy: &dyn Entropy) -> Self {
        Self {
            record_key: Key::generate(entropy),
            checkpoint_key: Key::generate(entropy),
            label_key: Key::generate(entropy),
            roster,
            factors: Vec::new(),
            sessions: Vec::new(),
            high,
            counter: 0,
            earliest: Instant::MAX,
            gone: Vec::new(),
            unfinished: Vec::new(),
            rolled_back: false,
            shown: Vec::new(),
            gone_keys: Vec::new(),
        }
    }

    /// A member's second factor.
    pub fn factor(&self, member: MemberId) -> Option<&Factor> {
        self.factors.iter().find(|factor| factor.member == member)
    }

    /// Takes a change of this part.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Counted(counter) => self.counter = counter,
            Change::High(high) => self.high = high,
            Change::Enrolled(member, seed, last_step) => {
                self.factors.retain(|factor| factor.member != member);
                self.factors.push(Factor { member, seed, last_step, failures: 0, blocked_until: Instant(0) });
            }
            Change::Accepted(member, step) => {
                if let Some(factor) = self.factors.iter_mut().find(|factor| factor.member == member) {
                    (factor.last_step, factor.failures, factor.blocked_until) = (step, 0, Instant(0));
                }
            }
            Change::Failed(member, failures, until) => {
                if let Some(factor) = self.factors.iter_mut().find(|factor| factor.member == member) {
                    (factor.failures, factor.blocked_until) = (failures, until);
                }
            }
            Change::Began(session) => {
                // Sessions that are over are only kept until the next one begins.
                self.sessions.retain(|old| old.until > session.used);
                self.sessions.push(session);
            }
            Change::Used(id, at) => {
                if let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) {
                    session.used = at;
                }
            }
            Change::Over(id) => self.sessions.retain(|session| session.id != id),
            Change::AllOver(member) => self.sessions.retain(|session| session.member != member),
            Change::Unfinished(units) => self.unfinished = units,
            Change::RolledBack(is) => {
                self.rolled_back = is;
                if !is {
                    self.shown.clear();
                }
            }
            Change::Shown(unit, head) => {
                self.rolled_back = true;
                self.shown.push((unit, head));
            }
            Change::Gone(member) => self.gone.push(member),
            Change::KeyGone(key) => {
                self.sessions.retain(|session| session.key != key);
                self.gone_keys.push(key);
            }
            Change::Head(..)
            | Change::Opened { .. }
            | Change::Granted(..)
            | Change::Ends(..)
            | Change::Rekeyed(..)
            | Change::Term(..)
            | Change::Retain(..) => {}
        }
    }
}

impl Segment {
    /// Of a unit that is about to be opened.
    pub fn new(unit: UnitId) -> Self {
        let none = Digest([0; 32]);
        Self {
            unit,
            head: Head { size: 0, root: none, state: none },
            state_key: None,
            next_state_key: None,
            evidence_key: None,
            retain_until: Instant::MAX,
            term_until: Instant::MAX,
            grants: Vec::new(),
        }
    }

    /// A grant's key and end.
    pub fn grant(&self, id: GrantId) -> Option<&Key> {
        self.grants.iter().find(|(grant, ..)| *grant == id).map(|(_, key, _)| key)
    }

    /// When a grant's key ends: with the grant, or with the mandate's term; none where there is no key.
    pub fn grant_until(&self, id: GrantId) -> Option<Instant> {
        self.grants.iter().find(|(grant, ..)| *grant == id).map(|(.., until)| (*until).min(self.term_until))
    }

    /// The earliest end of anything in it.
    pub(super) fn earliest(&self) -> Instant {
        let grants = self.grants.iter().map(|(.., until)| *until);
        let evidence = self.evidence_key.as_ref().map(|_| self.retain_until);
        grants.chain(evidence).chain([self.term_until]).min().unwrap_or(Instant::MAX)
    }

    /// Takes a change of this part.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Head(_, head) => self.head = head,
            Change::Opened { state_key, evidence_key, .. } => {
                (self.state_key, self.evidence_key) = (Some(state_key), Some(evidence_key));
            }
            Change::Granted(_, id, key, until) => self.grants.push((id, key, until)),
            Change::Ends(_, id, until) => {
                if let Some(grant) = self.grants.iter_mut().find(|(grant, ..)| *grant == id) {
                    grant.2 = until;
                }
            }
            Change::Rekeyed(_, key) => self.next_state_key = Some(key),
            Change::Term(_, until) => self.term_until = until,
            Change::Retain(_, until) => self.retain_until = until,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::System;
    use crate::model::Uptime;

    const ONE: MemberId = MemberId([1; 16]);
    const TWO: MemberId = MemberId([2; 16]);

    fn core() -> Core {
        let high = HighWater { at: Instant(1), uptime: Uptime { boot: 1, ms: 1 } };
        let mut core = Core::generate(UnitId([9; 16]), high, &System);
        for member in [ONE, TWO] {
            core.apply(Change::Enrolled(member, Zeroizing::new(vec![1]), 5));
            core.apply(Change::Failed(member, 3, Instant(8)));
        }
        core
    }

    fn told(core: &Core, member: MemberId) -> (Vec<u8>, u64, u32, Instant) {
        let factor = core.factor(member).unwrap();
        (factor.seed.to_vec(), factor.last_step, factor.failures, factor.blocked_until)
    }

    #[test]
    fn a_second_factor_is_one_members_alone() {
        let before = (vec![1], 5, 3, Instant(8));
        for (change, after) in [
            (Change::Enrolled(ONE, Zeroizing::new(vec![2]), 6), (vec![2], 6, 0, Instant(0))),
            (Change::Accepted(ONE, 7), (vec![1], 7, 0, Instant(0))),
            (Change::Failed(ONE, 4, Instant(9)), (vec![1], 5, 4, Instant(9))),
        ] {
            let mut core = core();
            core.apply(change);
            assert_eq!((told(&core, ONE), told(&core, TWO)), (after, before.clone()));
            assert_eq!(core.factors.len(), 2);
        }
        assert!(core().factor(MemberId([3; 16])).is_none());
    }

    #[test]
    fn a_session_ends_by_itself_by_its_member_and_by_its_device() {
        let session = |id, member, until, used| Session {
            id: SessionId([id; 16]),
            member,
            until: Instant(until),
            used: Instant(used),
            key: Digest([id; 32]),
        };
        let left = |changes: Vec<Change>| {
            let mut core = core();
            for change in
                [session(1, ONE, 100, 0), session(2, TWO, 50, 0)].map(Change::Began).into_iter().chain(changes)
            {
                core.apply(change);
            }
            core.sessions.iter().map(|session| (session.id.0[0], session.used.0)).collect::<Vec<_>>()
        };
        assert_eq!(left(vec![]), [(1, 0), (2, 0)]);
        assert_eq!(left(vec![Change::Used(SessionId([2; 16]), Instant(7))]), [(1, 0), (2, 7)]);
        assert_eq!(left(vec![Change::Over(SessionId([2; 16]))]), [(1, 0)]);
        assert_eq!(left(vec![Change::AllOver(ONE)]), [(2, 0)]);
        assert_eq!(left(vec![Change::KeyGone(Digest([1; 32]))]), [(2, 0)]);
        // One that is over goes when the next one begins; over is what has reached its end.
        assert_eq!(left(vec![Change::Began(session(3, ONE, 100, 49))]), [(1, 0), (2, 0), (3, 49)]);
        assert_eq!(left(vec![Change::Began(session(3, ONE, 100, 50))]), [(1, 0), (3, 50)]);
    }

    #[test]
    fn a_rollback_is_over_when_it_is_said_to_be() {
        let mut core = core();
        let head = Segment::new(UnitId([4; 16])).head;
        core.apply(Change::Shown(UnitId([4; 16]), head));
        assert!(core.rolled_back && core.shown == [(UnitId([4; 16]), head)]);
        core.apply(Change::RolledBack(true));
        assert!(core.rolled_back && core.shown.len() == 1);
        core.apply(Change::RolledBack(false));
        assert!(!core.rolled_back && core.shown.is_empty());
    }

    #[test]
    fn a_unit_takes_what_is_its_own() {
        let (unit, one, two) = (UnitId([4; 16]), GrantId([5; 16]), GrantId([6; 16]));
        let key = |byte| Key::from_slice(&[byte; 32]).unwrap();
        let mut segment = Segment::new(unit);
        assert_eq!(segment.earliest(), Instant::MAX);
        segment.apply(Change::Opened { unit, state_key: key(1), evidence_key: key(2) });
        segment.apply(Change::Granted(unit, one, key(3), Instant(300)));
        segment.apply(Change::Granted(unit, two, key(4), Instant(400)));
        assert!(segment.state_key == Some(key(1)) && segment.evidence_key == Some(key(2)));
        assert!(segment.grant(one) == Some(&key(3)) && segment.grant(two) == Some(&key(4)));
        assert!(segment.grant(GrantId([7; 16])).is_none());
        assert_eq!(segment.earliest(), Instant(300));
        segment.apply(Change::Ends(unit, two, Instant(200)));
        assert_eq!(segment.grants.iter().map(|(.., until)| until.0).collect::<Vec<_>>(), [300, 200]);
        segment.apply(Change::Term(unit, Instant(100)));
        assert_eq!((segment.term_until, segment.earliest()), (Instant(100), Instant(100)));
        segment.apply(Change::Retain(unit, Instant(50)));
        assert_eq!((segment.retain_until, segment.earliest()), (Instant(50), Instant(50)));
        segment.evidence_key = None;
        assert_eq!(segment.earliest(), Instant(100), "without evidence there is none to end");
        segment.apply(Change::Rekeyed(unit, key(5)));
        assert!(segment.next_state_key == Some(key(5)) && segment.state_key == Some(key(1)));
        let head = Head { size: 1, root: Digest([8; 32]), state: Digest([9; 32]) };
        segment.apply(Change::Head(unit, head));
        assert_eq!(segment.head, head);
    }
}
