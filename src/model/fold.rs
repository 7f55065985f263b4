//! The fold: how events change a mandate. The broker and `verify` run this same code, so that what a ledger says and
//! what the broker keeps cannot part ways.

use super::access::{AccessRequest, Answer};
use super::event::{CredentialFacts, Event, FoldError, GrantFacts, NewVersion, RowChange, SharedItem};
use super::incident::IncidentEntry;
use super::mandate::{
    Asked, Credential, Ended, Grant, GrantOrigin, Kind, Level, Mandate, Narrowed, Phase, Row, RowTerms, Settled,
    Version, Why,
};
use super::settlement::{Evidence, Recorded};
use super::{CredentialId, GrantId, Instant, MemberId, RowId, Term, Text, UnitId};
use std::collections::{BTreeSet, HashSet};

impl Mandate {
    /// The state after a mandate's first record.
    ///
    /// # Errors
    /// The event is not `opened`, or its table does not hold together.
    pub fn open(unit: UnitId, event: &Event, by: Option<MemberId>, at: Instant) -> Result<Self, FoldError> {
        let no_one = FoldError("a mandate is opened by a member and has a lead");
        match event {
            Event::Opened { operator, contract, signed, until, zone, term, jurisdiction, leads, rows, grants } => {
                let (days, phase) = ((*signed, *until), Phase::Active);
                let mut mandate =
                    Self::blank(unit, operator, contract, days, zone, *term, *jurisdiction, leads, phase, at);
                if leads.is_empty() || by.is_none() {
                    return Err(no_one);
                }
                mandate.try_changes(rows, grants, at)?;
                Ok(mandate)
            }
            Event::Drafted { operator, contract, zone, jurisdiction, on, leads, draft } => {
                if leads.is_empty() || by.is_none() {
                    return Err(no_one);
                }
                // Nothing lies within an empty term.
                let (empty, phase) = (Term { from: at, until: at }, Phase::Draft(draft.clone()));
                Ok(Self::blank(unit, operator, contract, (*on, *on), zone, empty, *jurisdiction, leads, phase, at))
            }
            _ => Err(FoldError("a mandate's ledger begins with its opening or its draft")),
        }
    }

    /// Applies one event. `by` is the member whose request it was; `None` where the broker acted by itself.
    ///
    /// # Errors
    /// The event does not follow from the state, or its author had no authority for it here.
    pub fn apply(&mut self, event: &Event, by: Option<MemberId>, at: Instant) -> Result<(), FoldError> {
        self.check_author(event, by)?;
        match event {
            Event::Opened { .. } | Event::Drafted { .. } => return Err(FoldError("a mandate is opened once")),
            Event::Answered { questions, reading } => self.answered(*questions, reading)?,
            Event::Activated { .. } => self.activate(event, at)?,
            Event::Amended { changes, grants, narrowed } => {
                self.try_changes(changes, grants, at)?;
                if self.narrowed(changes) != *narrowed {
                    return Err(FoldError("the amendment does not narrow the grants it says it narrows"));
                }
            }
            Event::CredentialsAdded { credentials } => {
                let by = by.ok_or(FoldError("a credential has an author"))?;
                self.add_credentials(credentials, by, at)?;
            }
            Event::Rotated { credential, version, second_factor } => {
                let by = by.ok_or(FoldError("a version has an author"))?;
                let credential = self.credential_mut(*credential)?;
                if let Some(new) = version {
                    let last = credential.current.as_ref().map_or(0, |current| current.number);
                    if new.number != last + 1 {
                        return Err(FoldError("versions count by one"));
                    }
                    credential.current = Some(stored(new, by, at));
                    credential.asked = None;
                }
                if let Some(state) = second_factor {
                    credential.second_factor = state.clone();
                }
            }
            Event::Granted { grant, answers } => {
                self.add_grants(std::slice::from_ref(grant), at)?;
                if let (Some(request), Some(by)) = (answers, by) {
                    self.answer_request(*request, by, Answer::Approved { grant: grant.id, by, at })?;
                }
            }
            Event::Revoked { grants, why } => self.end_grants(grants, why, at)?,
            Event::Expired { grants } => self.end_grants(grants, &Why::Term, at)?,
            Event::Destroyed { grants, .. } => {
                self.each_grant(grants, |grant| {
                    if grant.is_live() || grant.destroyed.is_some() {
                        return Err(FoldError("only the key of an ended grant is destroyed, and once"));
                    }
                    grant.destroyed = Some(at);
                    Ok(())
                })?;
            }
            Event::Ended { why } => {
                self.phase = Phase::Ended(Ended { at, why: why.clone() });
                let live: Vec<GrantId> = self.live_grants().map(|grant| grant.facts.id).collect();
                self.end_grants(&live, &Why::MandateEnded, at)?;
            }
            Event::Settled { credential, version, because, confirmed } => {
                let by = by.ok_or(FoldError("somebody settles"))?;
                let (because, confirmed) = (because.clone(), confirmed.clone());
                let settled = Settled { version: *version, because, confirmed, by, at };
                self.credential_mut(*credential)?.settled = Some(settled);
            }
            Event::Closed { retain_until } => self.phase = Phase::Closed { at, retain_until: *retain_until },
            Event::Reissued { grants, replaced } => {
                self.check_again(grants, replaced)?;
                self.end_grants(replaced, &Why::KeyLost, at)?;
                for id in replaced {
                    self.grant_mut(*id)?.destroyed = Some(at);
                }
                self.add_grants(grants, at)?;
            }
            Event::Restarted { .. } | Event::Released { .. } | Event::CodeReleased { .. } | Event::Extracted => {}
            Event::Shared { grant, items, .. } => self.check_shared(*grant, items)?,
            _ => self.apply_paper(event, by.ok_or(FoldError("somebody of the agency acts here")), at)?,
        }
        Ok(())
    }

    /// What paper does: no key is touched by it.
    fn apply_paper(&mut self, event: &Event, by: Result<MemberId, FoldError>, at: Instant) -> Result<(), FoldError> {
        match event {
            Event::Permitted { permission } => by.and_then(|_| self.permit(permission)),
            Event::Requested { wish } => self.ask(wish, by?, at),
            Event::RequestDenied { request, reason } => {
                let by = by?;
                self.answer_request(*request, by, Answer::Denied { reason: reason.clone(), by, at })
            }
            Event::Reviewed { lines } => self.review(lines, at),
            Event::RotationAsked { credential, of } => {
                let asked = Asked { of: of.clone(), by: by?, at };
                self.credential_mut(*credential)?.asked = Some(asked);
                Ok(())
            }
            Event::Evidenced { evidence } => {
                if let Evidence::Revoked { credential, .. } = evidence {
                    self.credential_mut(*credential)?;
                }
                self.evidence.push(Recorded { evidence: evidence.clone(), by: by?, at });
                Ok(())
            }
            Event::IncidentOpened { facts, grants } => self.open_incident(facts, grants, by?, at),
            Event::IncidentNoted { incident, step, text } => {
                self.note_incident(*incident, IncidentEntry { step: *step, text: text.clone(), by: by?, at })
            }
            Event::IncidentClosed { incident, unlock, .. } => {
                by.and_then(|_| self.close_incident(*incident, *unlock, at))
            }
            _ => Err(FoldError("not an event of a mandate's course")),
        }
    }

    /// The table after changes, without judging their author: to learn what they do to the grants.
    ///
    /// # Errors
    /// The changes do not fit the table.
    pub fn try_changes(&mut self, changes: &[RowChange], grants: &[GrantFacts], at: Instant) -> Result<(), FoldError> {
        for change in changes {
            self.change_row(change, at)?;
        }
        self.check_standing(changes, grants)?;
        self.add_grants(grants, at)
    }

    /// With a table come its leads' standing grants: one for each lead under each new row, as wide as the row. Nobody
    /// else is let in on the way.
    fn check_standing(&self, changes: &[RowChange], grants: &[GrantFacts]) -> Result<(), FoldError> {
        let added = changes.iter().filter_map(|change| match change {
            RowChange::Add { row, .. } => Some(*row),
            _ => None,
        });
        let expected: Vec<(RowId, MemberId)> =
            added.flat_map(|row| self.leads.iter().map(move |lead| (row, *lead))).collect();
        let stands = |(facts, (row, lead)): (&GrantFacts, &(RowId, MemberId))| {
            let as_wide = self.row(*row).is_some_and(|row| {
                let terms = &row.terms;
                (&facts.levels, &facts.purposes, facts.term) == (&terms.levels, &terms.purposes, terms.term)
            });
            (facts.row, facts.member, facts.origin) == (*row, *lead, GrantOrigin::Lead) && as_wide
        };
        if grants.len() == expected.len() && grants.iter().zip(&expected).all(stands) {
            return Ok(());
        }
        Err(FoldError("with a table come its leads' standing grants under the new rows, and no other grant"))
    }

    /// What became of the grants under the rows that these changes touched.
    pub fn narrowed(&self, changes: &[RowChange]) -> Vec<Narrowed> {
        let touched = |grant: &&Grant| {
            changes.iter().any(|change| match change {
                RowChange::Set { row, .. } | RowChange::Remove { row } => *row == grant.facts.row,
                RowChange::Until { .. } => true,
                RowChange::Add { .. } => false,
            })
        };
        let by_this = |grant: &&Grant| grant.ended.as_ref().is_none_or(|ended| ended.why == Why::Amended);
        let told =
            |grant: &Grant| Narrowed { grant: grant.facts.id, until: grant.facts.term.until, ended: !grant.is_live() };
        let undestroyed = |grant: &&Grant| grant.destroyed.is_none();
        self.grants.iter().filter(touched).filter(by_this).filter(undestroyed).map(told).collect()
    }

    /// Who may have caused an event here: a lead for the table, credentials and grants; anybody the matrix allowed for
    /// the rest. The broker alone may expire, destroy and end by the term.
    fn check_author(&self, event: &Event, by: Option<MemberId>) -> Result<(), FoldError> {
        let phase_allows = match (&self.phase, event) {
            (Phase::Closed { .. }, Event::Extracted | Event::Restarted { .. }) => true,
            (Phase::Closed { .. }, _) => false,
            (
                Phase::Draft(_),
                Event::Answered { .. } | Event::Activated { .. } | Event::Ended { .. } | Event::Extracted,
            )
            | (Phase::Draft(_), Event::Restarted { .. }) => true,
            (Phase::Draft(_), _) | (_, Event::Answered { .. } | Event::Activated { .. }) => false,
            (Phase::Ended(_), Event::Amended { .. } | Event::CredentialsAdded { .. } | Event::Granted { .. }) => false,
            (Phase::Ended(_), Event::Released { .. } | Event::CodeReleased { .. } | Event::Ended { .. }) => false,
            (Phase::Ended(_), Event::Shared { .. }) => false,
            (Phase::Ended(_), Event::Requested { .. } | Event::Reviewed { .. } | Event::Permitted { .. }) => false,
            (Phase::Active, Event::Closed { .. }) => false,
            _ => true,
        };
        if !phase_allows {
            return Err(FoldError("the mandate's state does not allow this"));
        }
        let lead = by.is_some_and(|member| self.is_lead(member));
        let allowed = match event {
            Event::Amended { .. } | Event::CredentialsAdded { .. } | Event::Rotated { .. } => lead,
            Event::Answered { .. } | Event::Activated { .. } => lead,
            Event::RequestDenied { .. } | Event::Reviewed { .. } => lead,
            // An owner settles and closes too; whose role it was stands in the roster.
            Event::Settled { .. } => by.is_some(),
            Event::Granted { grant, answers } => {
                let own_wish = |request: &AccessRequest| {
                    answers.is_some_and(|id| request.wish.id == id) && request.by != grant.member
                };
                let for_another = self.requests.iter().any(own_wish);
                let fits = answers.is_none_or(|id| self.fits_wish(id, grant));
                lead && Some(grant.member) != by && grant.origin == GrantOrigin::Given && !for_another && fits
            }
            Event::Expired { .. } | Event::Destroyed { .. } | Event::Restarted { .. } | Event::Reissued { .. } => {
                by.is_none()
            }
            Event::Released { items, .. } => items.iter().all(|item| self.holds(item.grant, by)),
            Event::CodeReleased { grant, .. } => self.holds(*grant, by),
            Event::Shared { grant, .. } => lead || self.holds(*grant, by),
            _ => true,
        };
        if allowed { Ok(()) } else { Err(FoldError("its author had no authority for this here")) }
    }

    /// What is shared with a further device is what the grant gives already: its row's secrets, as they are now.
    fn check_shared(&self, grant: GrantId, items: &[SharedItem]) -> Result<(), FoldError> {
        let live = self.grant(grant).filter(|grant| grant.is_live());
        let row = live.ok_or(FoldError("only what a live grant gives is shared"))?.facts.row;
        let given = |item: &SharedItem| {
            let credential = self.credential(item.credential).filter(|credential| credential.row == row);
            credential.and_then(|found| found.current.as_ref()).is_some_and(|now| now.number == item.version)
        };
        if items.is_empty() || !items.iter().all(given) {
            return Err(FoldError("only what the grant's row holds now is shared"));
        }
        Ok(())
    }

    fn holds(&self, grant: GrantId, by: Option<MemberId>) -> bool {
        self.grant(grant).is_some_and(|grant| grant.is_live() && Some(grant.facts.member) == by)
    }

    fn change_row(&mut self, change: &RowChange, at: Instant) -> Result<(), FoldError> {
        match change {
            RowChange::Add { row, system, category, platform, terms } => {
                if self.rows.iter().any(|r| r.id == *row || (r.removed.is_none() && r.system == *system)) {
                    return Err(FoldError("a row of this system exists"));
                }
                self.check_terms(terms)?;
                self.rows.push(Row {
                    id: *row,
                    system: system.clone(),
                    category: category.clone(),
                    platform: platform.clone(),
                    terms: terms.clone(),
                    removed: None,
                });
            }
            RowChange::Set { row, terms } => {
                self.check_terms(terms)?;
                self.row_mut(*row)?.terms = terms.clone();
                self.narrow_under(*row, at);
            }
            RowChange::Remove { row } => {
                self.row_mut(*row)?.removed = Some(at);
                self.narrow_under(*row, at);
            }
            RowChange::Until { until, term } => {
                self.until = *until;
                self.term = *term;
                let rows: Vec<RowId> = self.live_rows().map(|row| row.id).collect();
                for id in rows {
                    let row = self.row_mut(id)?;
                    match row.terms.term.meet(term) {
                        Some(met) if met == row.terms.term => {}
                        Some(met) => {
                            row.terms.term = met;
                            row.terms.until = (*until).min(row.terms.until);
                        }
                        None => row.removed = Some(at),
                    }
                    self.narrow_under(id, at);
                }
            }
        }
        Ok(())
    }

    fn check_terms(&self, terms: &RowTerms) -> Result<(), FoldError> {
        if terms.levels.is_empty() || terms.purposes.is_empty() {
            return Err(FoldError("a row has a level and a purpose"));
        }
        if !terms.term.within(&self.term) {
            return Err(FoldError("a row's term is within the mandate's"));
        }
        Ok(())
    }

    /// Cuts every live grant under a row to what the row now allows; what is left with nothing ends.
    fn narrow_under(&mut self, row: RowId, at: Instant) {
        let bounds = self.row(row).map(|row| row.terms.clone());
        for grant in self.grants.iter_mut().filter(|grant| grant.is_live() && grant.facts.row == row) {
            let facts = &mut grant.facts;
            let cut = bounds.as_ref().and_then(|bounds| match facts.origin {
                GrantOrigin::Lead => Some((bounds.levels.clone(), bounds.purposes.clone(), bounds.term)),
                GrantOrigin::Given => {
                    let levels: BTreeSet<Level> = facts.levels.intersection(&bounds.levels).copied().collect();
                    let kept = |purpose: &&Text| bounds.purposes.contains(purpose);
                    let purposes: Vec<Text> = facts.purposes.iter().filter(kept).cloned().collect();
                    let longest = bounds.grant_end(grant.since).unwrap_or(Instant::MAX);
                    let term = facts.term.meet(&bounds.term)?;
                    let term = Term { until: term.until.min(longest), ..term };
                    (!levels.is_empty() && !purposes.is_empty()).then_some((levels, purposes, term))
                }
            });
            match cut {
                Some((levels, purposes, term)) => (facts.levels, facts.purposes, facts.term) = (levels, purposes, term),
                None => grant.ended = Some(Ended { at, why: Why::Amended }),
            }
        }
    }

    fn add_credentials(&mut self, added: &[CredentialFacts], by: MemberId, at: Instant) -> Result<(), FoldError> {
        // Sets, since an import adds thousands.
        let mut ids: HashSet<CredentialId> = self.credentials.iter().map(|credential| credential.id).collect();
        let named = |row: RowId, name: &Text| (row, name.folded());
        let mut names: HashSet<(RowId, String)> = self.credentials.iter().map(|c| named(c.row, &c.name)).collect();
        for facts in added {
            self.row(facts.row).ok_or(FoldError("no credential without a row"))?;
            if !ids.insert(facts.id) {
                return Err(FoldError("a credential of this id exists"));
            }
            if !names.insert(named(facts.row, &facts.name)) {
                return Err(FoldError("a credential of this name exists under the row"));
            }
            if facts.version.is_none() != (facts.kind == Kind::Delegated) {
                return Err(FoldError("every kind but delegated has a secret"));
            }
            if facts.version.as_ref().is_some_and(|version| version.number != 1) {
                return Err(FoldError("versions count from one"));
            }
            self.credentials.push(Credential {
                id: facts.id,
                row: facts.row,
                name: facts.name.clone(),
                kind: facts.kind,
                account: facts.account.clone(),
                url: facts.url.clone(),
                second_factor: facts.second_factor.clone(),
                revocation: facts.revocation.clone(),
                because: facts.because.clone(),
                asked: None,
                current: facts.version.as_ref().map(|version| stored(version, by, at)),
                settled: None,
            });
        }
        Ok(())
    }

    fn add_grants(&mut self, grants: &[GrantFacts], at: Instant) -> Result<(), FoldError> {
        for facts in grants {
            let row = self.row(facts.row).ok_or(FoldError("no grant without a row"))?;
            let within = facts.levels.is_subset(&row.terms.levels)
                && !facts.levels.is_empty()
                && facts.purposes.iter().all(|purpose| row.terms.purposes.contains(purpose))
                && !facts.purposes.is_empty()
                && facts.term.within(&row.terms.term)
                && (facts.origin == GrantOrigin::Lead
                    || row.terms.grant_end(at).is_none_or(|end| facts.term.until <= end));
            if !within {
                return Err(FoldError("no grant wider or longer than its row"));
            }
            if self.grant(facts.id).is_some() {
                return Err(FoldError("a grant of this id exists"));
            }
            if facts.origin == GrantOrigin::Lead && !self.is_lead(facts.member) {
                return Err(FoldError("a standing grant belongs to a lead"));
            }
            let (facts, locked) = (facts.clone(), self.lock_for(facts.member));
            self.grants.push(Grant { facts, since: at, locked, ended: None, destroyed: None });
        }
        Ok(())
    }

    /// A grant made anew is what it replaces, by another id.
    fn check_again(&self, grants: &[GrantFacts], replaced: &[GrantId]) -> Result<(), FoldError> {
        let same = |(new, old): (&GrantFacts, &GrantId)| {
            self.grant(*old).is_some_and(|old| GrantFacts { id: new.id, ..old.facts.clone() } == *new)
        };
        if grants.len() == replaced.len() && grants.iter().zip(replaced).all(same) {
            return Ok(());
        }
        Err(FoldError("a grant is made anew as it was, and no other one"))
    }

    fn end_grants(&mut self, grants: &[GrantId], why: &Why, at: Instant) -> Result<(), FoldError> {
        self.each_grant(grants, |grant| {
            if !grant.is_live() {
                return Err(FoldError("the grant ended already"));
            }
            grant.ended = Some(Ended { at, why: why.clone() });
            Ok(())
        })
    }

    /// Does something to each named grant; a sweep names thousands, so they are looked up in a set.
    fn each_grant(
        &mut self,
        ids: &[GrantId],
        mut work: impl FnMut(&mut Grant) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        let mut named: HashSet<GrantId> = ids.iter().copied().collect();
        if named.len() != ids.len() {
            return Err(FoldError("a grant is named twice"));
        }
        self.grants.iter_mut().filter(|grant| named.remove(&grant.facts.id)).try_for_each(&mut work)?;
        if named.is_empty() { Ok(()) } else { Err(FoldError("no such grant")) }
    }

    fn row_mut(&mut self, id: RowId) -> Result<&mut Row, FoldError> {
        self.rows.iter_mut().find(|row| row.id == id && row.removed.is_none()).ok_or(FoldError("no such row"))
    }

    fn credential_mut(&mut self, id: CredentialId) -> Result<&mut Credential, FoldError> {
        self.credentials.iter_mut().find(|credential| credential.id == id).ok_or(FoldError("no such credential"))
    }

    fn grant_mut(&mut self, id: GrantId) -> Result<&mut Grant, FoldError> {
        self.grants.iter_mut().find(|grant| grant.facts.id == id).ok_or(FoldError("no such grant"))
    }
}

fn stored(new: &NewVersion, author: MemberId, at: Instant) -> Version {
    Version {
        number: new.number,
        at,
        author,
        ct: new.ct,
        tag: new.tag,
        strength: new.strength,
        allowed_weak: new.allowed_weak.clone(),
    }
}
