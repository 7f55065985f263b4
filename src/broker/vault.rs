//! The vault as one call sees it: the anchor and the database, checked against each other.

use super::Settings;
use super::memory::Memory;
use crate::anchor::{Anchor, Change, Head, Segment};
use crate::api::Refusal;
use crate::crypto::{Context, Entropy, Key, Signed, derive_label, hash, open, seal};
use crate::ledger::{Admission, Assurance, Audit, Audited, Directory, Entry, Record, from_blob, on_all_cores, root};
use crate::model::{
    Blob, Deny, Digest, Grant, GrantId, Instant, Mandate, Member, MemberId, Name, Phase, Roster, Text, UnitId, VaultId,
    Verb,
};
use crate::policy::{self, ClockReading, Scope};
use crate::store::{Store, decode_entry};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// How many entries are read at a time.
const BATCH: u32 = 2048;

/// The opened vault.
pub struct Vault<'a> {
    pub(super) settings: &'a Settings,
    pub(super) anchor: &'a mut Anchor,
    pub(super) store: &'a mut Store,
    pub(super) memory: &'a mut Memory,
    pub(super) clock: ClockReading,
    pub(super) roster: Arc<Roster>,
    /// Whether something failed half-way: then what is in memory may not be what is on disk.
    pub(super) stale: bool,
}

impl<'a> Vault<'a> {
    /// Judges the clock, checks the database against the anchor, finishes what a crash left undone, and destroys what
    /// is over.
    ///
    /// # Errors
    /// `VAULT_ROLLED_BACK` where the database is older than the anchor remembers.
    pub fn begin(
        settings: &'a Settings,
        anchor: &'a mut Anchor,
        store: &'a mut Store,
        memory: &'a mut Memory,
        known_roster: Option<Arc<Roster>>,
    ) -> Result<Self, Refusal> {
        let clock = policy::judge_clock(settings.clock.now(), settings.clock.uptime(), anchor.core().high);
        if store.vault()? != anchor.vault() {
            return Err(Refusal::Integrity("the database and the anchor belong to different vaults".into()));
        }
        let (there, known) = (store.counter()?, anchor.core().counter);
        if there < known || anchor.core().rolled_back {
            return Err(Deny::VaultRolledBack.into());
        }
        if there > known {
            catch_up(anchor, store, there - known)?;
        }
        // What was caught up with may be the roster's.
        let roster = match known_roster.filter(|_| there == known) {
            Some(roster) => roster,
            None => Arc::new(read_roster(anchor, store)?),
        };
        let mut vault = Self { settings, anchor, store, memory, clock, roster, stale: false };
        vault.finish_interrupted()?;
        vault.sweep_if_due()?;
        Ok(vault)
    }

    /// The vault's id.
    pub fn id(&self) -> VaultId {
        self.anchor.vault()
    }

    /// The time decisions are made at.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Randomness.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.settings.home.entropy
    }

    /// 16 random bytes, for an id.
    pub fn fresh_id(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.entropy().fill(&mut bytes);
        bytes
    }

    /// A member's name, for people.
    pub fn name_of(&self, id: MemberId) -> Name {
        let unknown = || Name::parse("?").unwrap_or_else(|_| unreachable!("a constant"));
        self.roster.member(id).map_or_else(unknown, |member| member.name().clone())
    }

    /// A member who was not removed, by name.
    pub fn member_named(&self, name: &str) -> Result<Member, Refusal> {
        let found = self.roster.named(name).cloned();
        found.ok_or_else(|| Refusal::input("member", "there is no member of this name; see 'mandatum member list'"))
    }

    /// A mandate's state, checked against the anchor; none where there is no such mandate.
    pub fn mandate(&mut self, unit: UnitId) -> Result<Option<Mandate>, Refusal> {
        Ok(self.known(unit)?.map(|mandate| Arc::try_unwrap(mandate).unwrap_or_else(|shared| (*shared).clone())))
    }

    /// As [`Vault::mandate`], only to be looked at: not decoded again where the anchor still names the same state.
    pub fn known(&mut self, unit: UnitId) -> Result<Option<Arc<Mandate>>, Refusal> {
        if unit == self.roster.unit {
            return Ok(None);
        }
        let head = match self.anchor.segment(unit)? {
            Some(segment) if segment.head.size > 0 => segment.head,
            _ => return Ok(None),
        };
        if let Some(mandate) = self.memory.state(unit, &head.state) {
            self.check_root(unit, &head)?;
            return Ok(Some(mandate));
        }
        let row = self.store.unit(unit)?.ok_or(Deny::VaultRolledBack)?;
        check_size(&head, row.size)?;
        self.check_root(unit, &head)?;
        if row.state.is_empty() {
            return self.fold(unit, head).map(|mandate| Some(Arc::new(mandate)));
        }
        let segment = self.anchor.segment(unit)?.ok_or(Deny::VaultRolledBack)?;
        let plain = open_state(segment, self.roster.vault, &row.state)?;
        if hash(&plain) != head.state {
            return Err(changed("a mandate's state"));
        }
        let mandate: Mandate = postcard::from_bytes(&plain).map_err(|_| changed("a mandate's state"))?;
        if self.label(mandate.operator.folded()) != row.label {
            return Err(changed("a mandate's label"));
        }
        let mandate = Arc::new(mandate);
        if self.settings.assurance != Assurance::Solo {
            // A process that serves one command never asks twice.
            self.memory.keep_state(head.state, &mandate, plain.len());
        }
        Ok(Some(mandate))
    }

    /// A node of a ledger's tree, from memory or the database.
    pub fn node(&mut self, unit: UnitId, level: u32, index: u64) -> Result<Digest, Refusal> {
        if let Some(hash) = self.memory.node(unit, level, index) {
            return Ok(hash);
        }
        let hash = self.store.node(unit, level, index)?;
        self.memory.keep_node(unit, level, index, hash);
        Ok(hash)
    }

    /// Compares a ledger's tree with the head the anchor remembers.
    fn check_root(&mut self, unit: UnitId, head: &Head) -> Result<(), Refusal> {
        let found = root(head.size, |level, index| self.node(unit, level, index))?;
        if found == head.root { Ok(()) } else { Err(changed("a ledger's tree")) }
    }

    /// Every mandate there is.
    pub fn mandates(&mut self) -> Result<Vec<Mandate>, Refusal> {
        let mut mandates = Vec::new();
        for unit in self.anchor.units() {
            mandates.extend(self.mandate(unit)?);
        }
        Ok(mandates)
    }

    /// One mandate, or every one there is.
    pub fn one_or_all(&mut self, only: Option<UnitId>) -> Result<Vec<Mandate>, Refusal> {
        match only {
            Some(unit) => Ok(self.mandate(unit)?.into_iter().collect()),
            None => self.mandates(),
        }
    }

    /// The mandates a member may use a verb on.
    pub fn mandates_for(&mut self, member: &Member, verb: Verb) -> Result<Vec<Mandate>, Refusal> {
        let mut mandates = self.mandates()?;
        mandates.retain(|mandate| policy::reach(member, verb, Some(mandate)) != Scope::Never);
        Ok(mandates)
    }

    /// The mandate a member means by an operator's name, or `operator@contract`: the active one before those that are
    /// over. The same answer where there is none and where it is not theirs.
    pub fn find(&mut self, member: &Member, verb: Verb, operator: &Text) -> Result<Mandate, Refusal> {
        // `operator#draft` means the draft alone, where a mandate is in force beside it.
        let shown = operator.as_str().strip_suffix("#draft").filter(|_| verb == Verb::MandateShow);
        let draft_of = shown.and_then(|name| Text::parse(name).ok());
        if let Some(name) = draft_of {
            let mut drafts = self.labelled(name.folded())?;
            drafts.retain(|m| m.draft().is_some() && policy::reach(member, verb, Some(m)) != Scope::Never);
            return drafts.pop().ok_or(Refusal::NotFound);
        }
        let mut found = self.labelled(operator.folded())?;
        if found.is_empty()
            && let Some((name, contract)) = operator.as_str().rsplit_once('@')
        {
            let name = Text::parse(name).map_err(|_| Refusal::NotFound)?;
            found = self.labelled(name.folded())?;
            found.retain(|mandate| mandate.contract.same(contract));
        }
        let of_drafts = matches!(verb, Verb::MandateAnswer | Verb::MandateActivate);
        found.retain(|mandate| {
            policy::reach(member, verb, Some(mandate)) != Scope::Never && (!of_drafts || mandate.draft().is_some())
        });
        let rank = |mandate: &Mandate| match mandate.phase {
            Phase::Active => (4, mandate.term.from),
            // What is discarded is a draft, not what is over already.
            Phase::Draft(_) if verb == Verb::MandateEnd => (3, mandate.term.from),
            Phase::Ended(_) => (2, mandate.term.from),
            Phase::Draft(_) if verb == Verb::MandateShow => (1, mandate.term.from),
            Phase::Draft(_) | Phase::Closed { .. } => (0, mandate.term.from),
        };
        found.into_iter().max_by_key(rank).ok_or(Refusal::NotFound)
    }

    /// Every mandate of an operator, whoever asks.
    pub fn labelled(&mut self, folded: String) -> Result<Vec<Mandate>, Refusal> {
        let label = self.label(folded.clone());
        let mut found = Vec::new();
        for unit in self.store.units_labelled(&label)? {
            found.extend(self.mandate(unit)?.filter(|mandate| mandate.operator.folded() == folded));
        }
        Ok(found)
    }

    /// The blind label of an operator.
    pub fn label(&self, folded: String) -> Digest {
        derive_label(&self.anchor.core().label_key, &folded)
    }

    /// The keys and head of a unit that must be there.
    pub fn segment(&mut self, unit: UnitId) -> Result<&Segment, Refusal> {
        self.anchor.segment(unit)?.ok_or_else(|| Refusal::Integrity("the anchor does not know this ledger".into()))
    }

    /// Whose keys are whose, as everybody can verify it.
    pub fn directory(&self) -> Result<Directory, Refusal> {
        directory_of(&self.roster)
    }

    /// Every entry of a ledger in batches, opened with the evidence key.
    pub fn each_batch(
        &mut self,
        unit: UnitId,
        mut take: impl FnMut(Vec<Entry>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let segment = self.segment(unit)?;
        let (size, key) = (segment.head.size, evidence_key(segment)?);
        let mut from = 0;
        while from < size {
            let mut rows = self.store.entries(unit, from, BATCH)?;
            if (from..).zip(&rows).any(|(expected, (seq, _))| *seq != expected) {
                return Err(changed("a ledger"));
            }
            rows.retain(|(seq, _)| *seq < size);
            let vault = self.anchor.vault();
            let opened = on_all_cores(&rows, |(seq, sealed)| open_entry(&key, vault, unit, *seq, sealed));
            let entries = opened.into_iter().collect::<Result<Vec<Entry>, Refusal>>()?;
            from += u64::try_from(entries.len()).unwrap_or(u64::MAX);
            if entries.is_empty() {
                return Err(changed("a ledger"));
            }
            take(entries)?;
        }
        Ok(())
    }

    /// A mandate's state from its records alone, compared with what the anchor remembers of it.
    pub fn fold(&mut self, unit: UnitId, head: Head) -> Result<Mandate, Refusal> {
        let directory = self.directory()?;
        let mut audit = Audit::new(&directory, unit);
        self.each_batch(unit, |entries| audit.take(&entries).map(drop).map_err(|flaw| changed(&flaw.to_string())))?;
        match audit.state() {
            Audited::Mandate(mandate) if audit.state().digest() == head.state => Ok((**mandate).clone()),
            _ => Err(changed("a mandate's ledger")),
        }
    }
}

/// Whose keys are whose, from a roster.
pub fn directory_of(roster: &Roster) -> Result<Directory, Refusal> {
    let mut directory = charters_of(roster)?;
    for admission in admissions_in_order(roster) {
        directory.admit(&admission).map_err(|_| changed("the roster's signatures"))?;
    }
    for member in &roster.members {
        for device in &member.devices {
            directory.bound(member.id(), &device.bundle.sign, device.since, device.removed);
        }
    }
    Ok(directory)
}

/// The charters alone, verified: broker keys and the recovery recipient.
pub fn charters_of(roster: &Roster) -> Result<Directory, Refusal> {
    let charters: Option<Vec<_>> = roster.charters.iter().map(from_blob).collect();
    let charters = charters.ok_or_else(|| changed("the roster's charters"))?;
    let first = charters.first().ok_or_else(|| changed("the roster's charters"))?;
    Directory::new(*first.claimed_key(), &charters).map_err(|_| changed("the roster's signatures"))
}

/// All admissions in an order in which each signer is known before: members in the order they came; where somebody
/// became an owner later and then signed for an earlier member, in further rounds.
pub fn admissions_in_order(roster: &Roster) -> Vec<Signed> {
    let mut waiting: Vec<Signed> =
        roster.members.iter().flat_map(|member| member.admissions.iter().filter_map(from_blob)).collect();
    let charters: Vec<Signed> = roster.charters.iter().filter_map(from_blob).collect();
    let known = charters.first().and_then(|first| Directory::new(*first.claimed_key(), &charters).ok());
    let Some(mut known) = known else { return waiting };
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|admission| {
            let taken = known.admit(admission).is_ok();
            if taken {
                ordered.push(admission.clone());
            }
            !taken
        });
        if waiting.len() == before {
            // What nobody can vouch for is handed on, so that it is found and refused.
            ordered.append(&mut waiting);
        }
    }
    ordered
}

/// The admissions that lead to one member's keys, each after those of its signer. Nothing is verified here: that is
/// for whoever receives them.
pub fn chain_to(roster: &Roster, member: MemberId) -> Vec<Blob> {
    let (mut chain, mut seen) = (Vec::new(), vec![member]);
    let mut waiting = vec![member];
    while let Some(id) = waiting.pop() {
        for admission in roster.member(id).into_iter().flat_map(|member| member.admissions.iter().rev()) {
            let signed = from_blob(admission);
            let by =
                signed.and_then(|s| serde_json::from_slice::<Admission>(s.unverified_bytes()).ok()).and_then(|a| a.by);
            if let Some(owner) = by.filter(|owner| !seen.contains(owner)) {
                seen.push(owner);
                waiting.push(owner);
            }
            chain.push(admission.clone());
        }
    }
    chain.reverse();
    chain
}

/// The roster, checked against the anchor.
pub fn read_roster(anchor: &mut Anchor, store: &Store) -> Result<Roster, Refusal> {
    let (unit, vault) = (anchor.core().roster, anchor.vault());
    let segment = anchor.segment(unit)?.ok_or_else(|| Refusal::Integrity("the anchor holds no roster".into()))?;
    let row = store.unit(unit)?.ok_or(Deny::VaultRolledBack)?;
    check_size(&segment.head, row.size)?;
    if root(row.size, |level, index| store.node(unit, level, index))? != segment.head.root {
        return Err(changed("a ledger's tree"));
    }
    let plain = open_state(segment, vault, &row.state)?;
    if hash(&plain) != segment.head.state {
        return Err(changed("the roster"));
    }
    postcard::from_bytes(&plain).map_err(|_| changed("the roster"))
}

/// Compares a ledger's size with the head the anchor remembers.
fn check_size(head: &Head, size: u64) -> Result<(), Refusal> {
    match size.cmp(&head.size) {
        Ordering::Less => Err(Deny::VaultRolledBack.into()),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(changed("a ledger's size")),
    }
}

/// Takes in records that were committed while the anchor could not be written: a crash between the two. They must be
/// this broker's, at their places, and lead to the tree and state that are there.
fn catch_up(anchor: &mut Anchor, store: &Store, expected: u64) -> Result<(), Refusal> {
    store.settle()?;
    let (vault, record_key, roster) = (anchor.vault(), anchor.record_key().public(), anchor.core().roster);
    let (mut changes, mut found) = (Vec::new(), 0);
    for (unit, size) in store.sizes()? {
        let Some(segment) = anchor.segment(unit)? else { continue };
        let (mut head, key) = (segment.head, evidence_key(segment)?);
        if size <= head.size {
            continue;
        }
        for seq in head.size..size {
            let (sealed, leaf) = store.entry(unit, seq)?.ok_or_else(|| changed("a ledger"))?;
            let entry = open_entry(&key, vault, unit, seq, &sealed)?;
            let record = Record::open(&entry.signed, &record_key).map_err(|_| changed("a ledger"))?;
            let in_place = (record.vault, record.unit, record.seq) == (vault, unit, seq);
            if !in_place || leaf != entry.leaf() {
                return Err(changed("a ledger"));
            }
            head.state = record.state.unwrap_or(head.state);
            found += 1;
        }
        let old = root(head.size, |level, index| store.node(unit, level, index))?;
        if head.size > 0 && old != head.root {
            return Err(changed("a ledger's tree"));
        }
        head = Head { size, root: root(size, |level, index| store.node(unit, level, index))?, state: head.state };
        changes.push(Change::Head(unit, head));
        let state = store.unit(unit)?.map(|row| row.state).filter(|state| !state.is_empty() && unit != roster);
        if let Some(state) = state {
            let plain = open_state(segment, vault, &state)?;
            let mandate = postcard::from_bytes(&plain).map_err(|_| changed("a mandate's state"))?;
            if hash(&plain) != head.state {
                return Err(changed("a mandate's state"));
            }
            changes.extend(new_ends(segment, &mandate));
        }
    }
    if found != expected {
        return Err(changed("the count of records"));
    }
    changes.push(Change::Counted(anchor.core().counter + found));
    anchor.note(changes)?;
    Ok(())
}

/// What the anchor is to learn of when a mandate in force and the grants under it end. By these ends keys die in time,
/// and a database that was put back makes nothing last longer.
pub fn new_ends(segment: &Segment, mandate: &Mandate) -> Vec<Change> {
    if mandate.phase != Phase::Active {
        return Vec::new();
    }
    let (unit, until) = (mandate.unit, mandate.term.until);
    let term = (segment.term_until != until).then_some(Change::Term(unit, until));
    let kept: HashMap<GrantId, Instant> = segment.grants.iter().map(|(id, _, until)| (*id, *until)).collect();
    let of_grant = |grant: &Grant| {
        let (id, until) = (grant.facts.id, grant.facts.term.until);
        kept.get(&id).filter(|known| **known != until).map(|_| Change::Ends(unit, id, until))
    };
    term.into_iter().chain(mandate.live_grants().filter_map(of_grant)).collect()
}

/// The place of a sealed entry.
pub fn entry_context(vault: VaultId, unit: UnitId, seq: u64) -> Context {
    Context::new("mandatum/entry/1").at(vault.bytes()).at(unit.bytes()).number(seq)
}

/// The place of a state document.
pub fn state_context(vault: VaultId, unit: UnitId) -> Context {
    Context::new("mandatum/state/1").at(vault.bytes()).at(unit.bytes())
}

/// The place of a sealed TOTP seed.
pub fn seed_context(vault: VaultId, unit: UnitId, credential: crate::model::CredentialId) -> Context {
    Context::new("mandatum/seed/1").at(vault.bytes()).at(unit.bytes()).at(credential.bytes())
}

/// Opens one sealed entry.
pub fn open_entry(key: &Key, vault: VaultId, unit: UnitId, seq: u64, sealed: &[u8]) -> Result<Entry, Refusal> {
    let plain = open(key, &entry_context(vault, unit, seq), sealed).map_err(|_| changed("a ledger's entry"))?;
    decode_entry(plain.expose()).ok_or_else(|| changed("a ledger's entry"))
}

/// Seals a state document by the key it is to be sealed by from now on.
pub fn seal_state(segment: &Segment, vault: VaultId, plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, Refusal> {
    let key = segment.next_state_key.as_ref().or(segment.state_key.as_ref()).ok_or(Deny::SecretDestroyed)?;
    Ok(seal(key, &state_context(vault, segment.unit), plain, entropy))
}

fn open_state(segment: &Segment, vault: VaultId, sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
    let context = state_context(vault, segment.unit);
    let keys = [&segment.next_state_key, &segment.state_key];
    let opened = keys.into_iter().flatten().find_map(|key| open(key, &context, sealed).ok());
    opened.map(|plain| plain.expose().to_vec()).ok_or_else(|| changed("a state document"))
}

/// Whether a sealed state is sealed by one of these keys.
pub fn opens_state(segment: &Segment, vault: VaultId, sealed: &[u8]) -> bool {
    open_state(segment, vault, sealed).is_ok()
}

/// The evidence key, while it is kept.
pub fn evidence_key(segment: &Segment) -> Result<Key, Refusal> {
    segment.evidence_key.as_ref().map(Key::duplicate).ok_or_else(|| Deny::SecretDestroyed.into())
}

/// Something in the database is not what was written there.
pub fn changed(what: &str) -> Refusal {
    Refusal::Integrity(format!("{what} was changed in the database; run 'mandatum verify' and restore a backup"))
}
