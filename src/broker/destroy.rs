//! Destroying keys, and finishing it after a crash: the same steps both times.

use super::mandates::encode;
use super::recorder::Draft;
use super::vault::Vault;
use crate::anchor::{Change, Destroy};
use crate::api::Refusal;
use crate::ledger::Outcome;
use crate::model::{Event, GrantId, Member, MemberId, Phase, RosterEvent, UnitId};
use std::collections::HashSet;

impl Vault<'_> {
    /// Destroys every key in these units that is over by their state, by an epoch rotation, and records it. Returns how
    /// many grants' keys went and the epoch that is gone, if any.
    ///
    /// # Errors
    /// Then nothing is acknowledged; `unfinished` in the anchor makes the next start do it again.
    pub fn destroy_dead(&mut self, units: &[UnitId]) -> Result<(u64, Option<u64>), Refusal> {
        let mut destroy = Destroy::default();
        for &unit in units {
            self.find_dead(unit, &mut destroy)?;
        }
        // Members who left have no second factor any more, and an older roster must not bring them back; newcomers who
        // wait to be confirmed have theirs already.
        let waiting = super::invite::waiting_members(&self.roster);
        let gone = |id: &MemberId| match self.roster.member(*id) {
            Some(member) => matches!(member.standing, crate::model::Standing::Removed { .. }),
            None => !waiting.contains(id),
        };
        let left = self.roster.members.iter().map(Member::id).filter(gone);
        let left = left.filter(|id| !self.anchor.core().gone.contains(id)).map(Change::Gone).collect::<Vec<_>>();
        if !left.is_empty() {
            self.anchor.note(left)?;
        }
        let factors = self.anchor.core().factors.iter().map(|factor| factor.member);
        destroy.members = factors.filter(gone).collect();
        let epoch = if destroy.is_empty() { None } else { Some(self.anchor.rotate(&destroy)?) };
        let recorded = self.record_destroyed(units, epoch.unwrap_or_else(|| self.anchor.epoch().saturating_sub(1)))?;
        self.anchor.note(vec![Change::Unfinished(Vec::new())])?;
        Ok((recorded, epoch))
    }

    /// Finishes what a crash left between the record of an end and the record of its keys' destruction.
    pub fn finish_interrupted(&mut self) -> Result<(), Refusal> {
        let units = self.anchor.core().unfinished.clone();
        if !units.is_empty() {
            self.destroy_dead(&units)?;
        }
        Ok(())
    }

    fn find_dead(&mut self, unit: UnitId, destroy: &mut Destroy) -> Result<(), Refusal> {
        let mandate = self.mandate(unit)?;
        let Some(segment) = self.anchor.segment(unit)? else { return Ok(()) };
        let live: HashSet<GrantId> =
            mandate.iter().flat_map(|mandate| mandate.live_grants().map(|grant| grant.facts.id)).collect();
        let dead = segment.grants.iter().map(|(id, ..)| *id).filter(|id| !live.contains(id));
        destroy.grants.extend(dead.map(|id| (unit, id)));
        let phase = mandate.as_ref().map(|mandate| &mandate.phase);
        let closed = matches!(phase, Some(Phase::Closed { .. }));
        let over = !matches!(phase, Some(Phase::Active | Phase::Draft(_)));
        if (over && segment.next_state_key.is_some()) || (closed && segment.state_key.is_some()) {
            destroy.state_keys.push(unit);
        } else if segment.next_state_key.is_some() {
            self.keep_state_key(unit)?;
        }
        Ok(())
    }

    /// Takes back the new state key of an end that was never recorded: the state and the seeds are sealed by the old
    /// one, which stays.
    pub fn keep_state_key(&mut self, unit: UnitId) -> Result<(), Refusal> {
        let segment = self.segment(unit)?;
        if let (Some(kept), Some(next)) = (&segment.state_key, &segment.next_state_key)
            && kept != next
        {
            let kept = kept.duplicate();
            self.anchor.note(vec![Change::Rekeyed(unit, kept)])?;
        }
        Ok(())
    }

    /// Records which keys are gone, in each mandate's own ledger.
    fn record_destroyed(&mut self, units: &[UnitId], epoch: u64) -> Result<u64, Refusal> {
        let (mut drafts, mut count) = (Vec::new(), 0);
        for &unit in units {
            let Some(mut mandate) = self.mandate(unit)? else { continue };
            let Some(segment) = self.anchor.segment(unit)? else { continue };
            let over = mandate.grants.iter().filter(|grant| !grant.is_live() && grant.destroyed.is_none());
            let kept: HashSet<GrantId> = segment.grants.iter().map(|(id, ..)| *id).collect();
            let grants: Vec<GrantId> = over.map(|grant| grant.facts.id).filter(|id| !kept.contains(id)).collect();
            if grants.is_empty() || matches!(mandate.phase, Phase::Closed { .. }) {
                continue;
            }
            count += u64::try_from(grants.len()).unwrap_or(0);
            let event = Event::Destroyed { grants, epoch };
            let applied = mandate.apply(&event, None, self.now());
            applied.map_err(|error| Refusal::Integrity(error.to_string()))?;
            drafts.push(Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) });
        }
        if !drafts.is_empty() {
            self.record(None, drafts, Vec::new(), |_| Ok(()))?;
        }
        Ok(count)
    }

    /// Destroys the evidence keys of units whose retention is over, and their rows, with a record in the roster.
    pub fn forget(&mut self, units: &[UnitId]) -> Result<(), Refusal> {
        if units.is_empty() {
            return Ok(());
        }
        // Rows that are gone were recorded when they went, and a crash kept the key: what is left is to destroy it.
        let mut there = Vec::new();
        for &unit in units {
            there.extend(self.store.unit(unit)?.map(|_| unit));
        }
        if !there.is_empty() {
            let epoch = self.anchor.epoch();
            let event = RosterEvent::KeysDestroyed { epoch, evidence: there.clone() };
            let draft = Draft { unit: self.roster.unit, outcome: Outcome::Roster(event), state: None };
            self.record(None, vec![draft], Vec::new(), |txn| there.iter().try_for_each(|unit| txn.drop_unit(*unit)))?;
        }
        let destroy = Destroy { evidence: units.to_vec(), state_keys: units.to_vec(), ..Destroy::default() };
        self.anchor.rotate(&destroy)?;
        Ok(())
    }
}
