//! `sweep`: what is over by the clock. Access stopped at the minute anyway, since `decide` looks at the term; this
//! destroys the keys.

use super::caller::Caller;
use super::close::prepare_end;
use super::mandates::encode;
use super::recorder::Draft;
use super::vault::Vault;
use crate::anchor::Change;
use crate::api::{Nothing, Refusal, Request, SweepAnswer};
use crate::ledger::Outcome;
use crate::model::{Deny, Event, Grant, GrantId, HighWater, Mandate, Phase, RosterEvent, UnitId, Why};

/// Destroys the keys of what is over.
///
/// # Errors
/// `CLOCK_SUSPECT` where the clock cannot be believed: then nothing is destroyed by time.
pub fn sweep(vault: &mut Vault<'_>, _: &Caller, _: Request<Nothing>, (): ()) -> Result<SweepAnswer, Refusal> {
    if !vault.clock.may_destroy() {
        return Err(Deny::ClockSuspect.into());
    }
    vault.sweep_now()
}

/// The owner confirms the clock after a jump; from here on time destroys again.
///
/// # Errors
/// Input where the clock stands behind: set it right instead.
pub fn confirm_clock(vault: &mut Vault<'_>, caller: &Caller, _: Request<Nothing>, (): ()) -> Result<(), Refusal> {
    if matches!(vault.clock, crate::policy::ClockReading::Behind(_)) {
        return Err(Refusal::input(
            "clock",
            "stands behind the latest record; set it right, there is nothing to confirm",
        ));
    }
    let from = vault.anchor.core().high.at;
    let event = Outcome::Roster(RosterEvent::ClockConfirmed { from });
    vault.record_one(Some(caller), vault.roster.unit, event)?;
    let high = HighWater { at: vault.now(), uptime: vault.settings.clock.uptime() };
    vault.anchor.note(vec![Change::High(high)])?;
    vault.clock = crate::policy::ClockReading::Trusted(high.at);
    Ok(())
}

impl Vault<'_> {
    /// Sweeps before anything else is done, if anything is over.
    pub fn sweep_if_due(&mut self) -> Result<(), Refusal> {
        if self.clock.may_destroy() && self.anchor.core().earliest <= self.now() {
            self.sweep_now()?;
        }
        Ok(())
    }

    /// Ends what is over in every unit, in one transaction, then destroys all its keys in one rotation.
    pub fn sweep_now(&mut self) -> Result<SweepAnswer, Refusal> {
        let now = self.now();
        let (mut drafts, mut before, mut units, mut rekeyed, mut forget) = (vec![], vec![], vec![], vec![], vec![]);
        let mut over = Vec::new();
        let (mut expired, mut ended) = (0, 0);
        for unit in self.anchor.units() {
            let Some(segment) = self.anchor.segment(unit)? else { continue };
            let something_over = segment.term_until <= now || segment.grants.iter().any(|(.., until)| *until <= now);
            if segment.retain_until <= now && segment.evidence_key.is_some() && segment.state_key.is_none() {
                forget.push(unit);
                continue;
            }
            if !something_over {
                continue;
            }
            // By what the anchor knows of ends as well: a database that was put back may say later ones.
            let term_over = segment.term_until <= now;
            let by_key: Vec<GrantId> =
                segment.grants.iter().filter(|(.., until)| *until <= now).map(|(id, ..)| *id).collect();
            let Some(mandate) = self.mandate(unit)? else { continue };
            units.push(unit);
            if (term_over || mandate.term.until <= now) && mandate.phase == Phase::Active {
                ended += 1;
                let (draft, changes, keys) = prepare_end(self, None, mandate, &Why::Term)?;
                before.extend(changes.into_iter().filter(|change| !matches!(change, Change::Unfinished(_))));
                drafts.push(draft);
                rekeyed.push((unit, keys));
            } else if let Some((draft, grants)) = self.prepare_expiry(unit, mandate, &by_key)? {
                expired += u64::try_from(grants.len()).unwrap_or(0);
                drafts.push(draft);
                over.extend(grants.into_iter().map(|grant| (unit, grant)));
            }
        }
        let mut destroyed = 0;
        if !units.is_empty() {
            before.push(Change::Unfinished(units.clone()));
            self.record(None, drafts, before, |txn| {
                over.iter().try_for_each(|(unit, grant)| txn.drop_wraps(*unit, *grant))?;
                rekeyed.iter().try_for_each(|(unit, keys)| {
                    txn.drop_access(*unit)?;
                    txn.put_keys(*unit, keys)
                })
            })?;
            (destroyed, _) = self.destroy_dead(&units)?;
        }
        self.forget(&forget)?;
        let forgotten = u64::try_from(forget.len()).unwrap_or(0);
        Ok(SweepAnswer { expired, ended, destroyed, forgotten })
    }

    fn prepare_expiry(
        &self,
        unit: UnitId,
        mut mandate: Mandate,
        by_key: &[GrantId],
    ) -> Result<Option<(Draft, Vec<GrantId>)>, Refusal> {
        let now = self.now();
        let is_over = |grant: &&Grant| grant.facts.term.until <= now || by_key.contains(&grant.facts.id);
        let over = mandate.live_grants().filter(is_over);
        let grants: Vec<GrantId> = over.map(|grant| grant.facts.id).collect();
        if grants.is_empty() {
            return Ok(None);
        }
        let event = Event::Expired { grants: grants.clone() };
        mandate.apply(&event, None, now).map_err(|error| Refusal::Integrity(error.to_string()))?;
        let draft = Draft { unit, outcome: Outcome::Mandate(event), state: Some(encode(&mandate)?) };
        Ok(Some((draft, grants)))
    }
}
