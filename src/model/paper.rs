//! What paper does to a mandate: drafts, permissions, requests, reviews, incidents, evidence.
//!
//! Called by the fold alone (`fold.rs`), after it judged phase and author.

use super::access::{AccessRequest, Answer, Decision, Draft, Jurisdiction, Permission, Reviewed, Wish};
use super::event::{Event, FoldError};
use super::incident::{Incident, IncidentEntry, IncidentFacts};
use super::mandate::{Mandate, Phase, Row};
use super::settlement::{Choice, Evidence};
use super::{CredentialId, Date, GrantId, IncidentId, Instant, MemberId, Name, RequestId, Term, Text, UnitId, Zone};
use std::collections::HashSet;

/// Texts on file are at most so many; a mandate's state is read at every retrieval.
const REQUESTS_MAX: usize = 500;
/// Purposes one request may name.
const PURPOSES_MAX: usize = 20;

impl Mandate {
    /// A mandate without rows.
    #[expect(clippy::too_many_arguments, reason = "the parts of one paper, each of another kind")]
    pub(super) fn blank(
        unit: UnitId,
        operator: &Name,
        contract: &Text,
        (signed, until): (Date, Date),
        zone: &Zone,
        term: Term,
        jurisdiction: Jurisdiction,
        leads: &[MemberId],
        phase: Phase,
        since: Instant,
    ) -> Self {
        Self {
            unit,
            operator: operator.clone(),
            contract: contract.clone(),
            signed,
            until,
            zone: zone.clone(),
            term,
            jurisdiction,
            source: None,
            phase,
            since,
            leads: leads.to_vec(),
            rows: Vec::new(),
            credentials: Vec::new(),
            grants: Vec::new(),
            permissions: Vec::new(),
            requests: Vec::new(),
            reviewed: None,
            incidents: Vec::new(),
            evidence: Vec::new(),
        }
    }

    /// The draft, while it is one.
    pub fn draft(&self) -> Option<&Draft> {
        match &self.phase {
            Phase::Draft(draft) => Some(draft),
            _ => None,
        }
    }

    /// Puts a draft in force; its rows and grants follow.
    pub(super) fn activate(&mut self, event: &Event, at: Instant) -> Result<(), FoldError> {
        let (Event::Activated { contract, signed, until, term, source, rows, grants }, Phase::Draft(draft)) =
            (event, &self.phase)
        else {
            return Err(FoldError("only a draft is activated"));
        };
        if draft.questions > 0 {
            return Err(FoldError("a question about the draft is still open"));
        }
        if draft.source != *source {
            return Err(FoldError("the draft was read from another file"));
        }
        self.contract = contract.clone();
        (self.signed, self.until, self.term) = (*signed, *until, *term);
        (self.source, self.phase, self.since) = (Some(*source), Phase::Active, at);
        self.try_changes(rows, grants, at)
    }

    /// What is written after a question was answered.
    pub(super) fn answered(&mut self, questions: u32, reading: &super::Blob) -> Result<(), FoldError> {
        let Phase::Draft(draft) = &mut self.phase else { return Err(FoldError("only a draft has questions")) };
        (draft.questions, draft.reading) = (questions, reading.clone());
        Ok(())
    }

    /// The operator's permission that lets a member in under a row at a time, if there is one.
    pub fn permission(&self, member: MemberId, row: &Row, at: Instant) -> Option<&Permission> {
        let lasts = |permission: &Permission| match permission.until {
            None => true,
            Some(until) => self.zone.end_of(until).is_ok_and(|end| at < end),
        };
        let covers = |p: &&Permission| p.member == member && (p.rows.is_empty() || p.rows.contains(&row.id));
        self.permissions.iter().filter(covers).find(|permission| lasts(permission))
    }

    /// Puts a permission on file.
    pub(super) fn permit(&mut self, permission: &Permission) -> Result<(), FoldError> {
        if permission.rows.iter().any(|row| self.row(*row).is_none()) {
            return Err(FoldError("a permission names a row that is not in force"));
        }
        self.permissions.push(permission.clone());
        Ok(())
    }

    /// The requests that wait.
    pub fn waiting(&self) -> impl Iterator<Item = &AccessRequest> {
        self.requests.iter().filter(|request| request.answer.is_none())
    }

    /// Takes a request in.
    pub(super) fn ask(&mut self, wish: &Wish, by: MemberId, at: Instant) -> Result<(), FoldError> {
        if wish.purposes.len() > PURPOSES_MAX {
            return Err(FoldError("a request names too many purposes"));
        }
        if wish.levels.is_empty() || self.requests.iter().any(|request| request.wish.id == wish.id) {
            return Err(FoldError("a request has an id of its own and at least one level"));
        }
        if self.waiting().count() >= REQUESTS_MAX {
            return Err(FoldError("too many requests wait already"));
        }
        self.requests.push(AccessRequest { wish: wish.clone(), by, at, answer: None });
        Ok(())
    }

    /// Whether a grant is no more than was asked for.
    pub(super) fn fits_wish(&self, id: RequestId, grant: &super::GrantFacts) -> bool {
        self.waiting().map(|request| &request.wish).filter(|wish| wish.id == id).any(|wish| {
            let row = self.row_named(wish.system.as_str());
            let asked = |purpose: &Text| wish.purposes.iter().any(|asked| asked.same(purpose.as_str()));
            let lasts = |until| self.zone.end_of(until).is_ok_and(|end| grant.term.until <= end);
            row.is_some_and(|row| row.id == grant.row)
                && grant.levels.is_subset(&wish.levels)
                && (wish.purposes.is_empty() || grant.purposes.iter().all(asked))
                && wish.until.is_none_or(lasts)
        })
    }

    /// Answers a request; nobody answers their own.
    pub(super) fn answer_request(&mut self, id: RequestId, by: MemberId, answer: Answer) -> Result<(), FoldError> {
        let request = self.requests.iter_mut().find(|request| request.wish.id == id && request.answer.is_none());
        let request = request.ok_or(FoldError("there is no such request waiting"))?;
        if request.by == by {
            return Err(FoldError("nobody answers their own request"));
        }
        request.answer = Some(answer);
        Ok(())
    }

    /// Takes a review's decisions in: what it narrows is narrowed here; what it revokes is revoked by a record of its
    /// own.
    pub(super) fn review(&mut self, lines: &[Reviewed], at: Instant) -> Result<(), FoldError> {
        for line in lines {
            let grant = self.grants.iter_mut().find(|grant| grant.facts.id == line.grant);
            let grant = grant.filter(|grant| grant.is_live()).ok_or(FoldError("only live grants are reviewed"))?;
            if let Decision::Narrow { levels, until } = &line.decision {
                let facts = &mut grant.facts;
                let narrower = !levels.is_empty()
                    && levels.is_subset(&facts.levels)
                    && facts.term.from < *until
                    && *until <= facts.term.until;
                if !narrower {
                    return Err(FoldError("a review narrows, it never widens"));
                }
                (facts.levels, facts.term.until) = (levels.clone(), *until);
            }
        }
        self.reviewed = Some(at);
        Ok(())
    }

    /// An incident by id.
    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.incidents.iter().find(|incident| incident.facts.id == id)
    }

    /// The incidents that are not closed.
    pub fn open_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().filter(|incident| incident.closed.is_none())
    }

    /// The live grants an incident reaches: the member's, or everybody's.
    pub fn reached(&self, member: Option<MemberId>) -> Vec<GrantId> {
        let reached = |grant: &&super::mandate::Grant| member.is_none_or(|member| grant.facts.member == member);
        self.live_grants().filter(reached).map(|grant| grant.facts.id).collect()
    }

    /// Opens an incident and locks what it reaches, in one step.
    pub(super) fn open_incident(
        &mut self,
        facts: &IncidentFacts,
        grants: &[GrantId],
        by: MemberId,
        at: Instant,
    ) -> Result<(), FoldError> {
        if self.incident(facts.id).is_some() {
            return Err(FoldError("an incident of this id is on file"));
        }
        if self.reached(facts.member) != grants {
            return Err(FoldError("an incident locks every live grant it reaches"));
        }
        // What an earlier incident holds stays held by that one.
        let free = |grant: &&mut super::mandate::Grant| grant.locked.is_none() && grants.contains(&grant.facts.id);
        for grant in self.grants.iter_mut().filter(free) {
            grant.locked = Some(facts.id);
        }
        let (facts, locked) = (facts.clone(), grants.to_vec());
        self.incidents.push(Incident { facts, by, opened: at, locked, course: Vec::new(), closed: None });
        Ok(())
    }

    /// Adds to an incident's course.
    pub(super) fn note_incident(&mut self, id: IncidentId, entry: IncidentEntry) -> Result<(), FoldError> {
        let open = self.incidents.iter_mut().find(|incident| incident.facts.id == id && incident.closed.is_none());
        open.ok_or(FoldError("there is no such open incident"))?.course.push(entry);
        Ok(())
    }

    /// Whether an incident is closed and still holds grants locked: closing it once more, with unlocking, frees them.
    pub fn still_holds(&self, id: IncidentId) -> bool {
        let closed = self.incident(id).is_some_and(|incident| incident.closed.is_some());
        closed && self.live_grants().any(|grant| grant.locked == Some(id))
    }

    /// Closes an incident; a second time only to free what the first left locked.
    pub(super) fn close_incident(&mut self, id: IncidentId, unlock: bool, at: Instant) -> Result<(), FoldError> {
        let again = unlock && self.still_holds(id);
        let found = self.incidents.iter_mut().find(|incident| incident.facts.id == id);
        let incident = found.filter(|incident| incident.closed.is_none() || again);
        let incident = incident.ok_or(FoldError("there is no such open incident"))?;
        incident.closed = incident.closed.or(Some(at));
        let member = incident.facts.member;
        if unlock {
            // What another open incident reaches stays locked by that one.
            let locks: Vec<Option<IncidentId>> =
                self.grants.iter().map(|grant| self.lock_for(grant.facts.member)).collect();
            for (grant, lock) in self.grants.iter_mut().zip(locks).filter(|(grant, _)| grant.locked == Some(id)) {
                grant.locked = lock;
            }
        } else {
            // Whichever other incident is closed after it. But what was left locked by an incident about one member is
            // not taken over by one about everybody, or that member could free it by closing the latter.
            let left = |incident: &&Incident| incident.closed.is_some() && incident.facts.member.is_some();
            let left: HashSet<IncidentId> = self.incidents.iter().filter(left).map(|i| i.facts.id).collect();
            let reached = |grant: &&mut super::mandate::Grant| member.is_none_or(|member| grant.facts.member == member);
            let taken = |lock: IncidentId| member.is_some() || !left.contains(&lock);
            let locked = self.grants.iter_mut().filter(reached).filter(|grant| grant.locked.is_some_and(taken));
            locked.for_each(|grant| grant.locked = Some(id));
        }
        Ok(())
    }

    /// The open incident that reaches a member's grants, if there is one: a grant made meanwhile is locked too.
    pub fn lock_for(&self, member: MemberId) -> Option<IncidentId> {
        let reaches = |incident: &&Incident| incident.facts.member.is_none_or(|reached| reached == member);
        self.open_incidents().find(reaches).map(|incident| incident.facts.id)
    }

    /// When and by whom a credential's access was taken away on its platform, as somebody put on file since its secret
    /// was last changed.
    pub fn platform_leg(&self, id: CredentialId) -> Option<&super::Recorded> {
        let about = |evidence: &Evidence| matches!(evidence, Evidence::Revoked { credential, .. } if *credential == id);
        let changed = self.credential(id).and_then(|credential| credential.current.as_ref()).map(|version| version.at);
        let since = |recorded: &&super::Recorded| changed.is_none_or(|changed| recorded.at >= changed);
        self.evidence.iter().rev().filter(since).find(|recorded| about(&recorded.evidence))
    }

    /// Whether it ever was in force: a draft's term is empty.
    pub fn was_in_force(&self) -> bool {
        self.term.from < self.term.until
    }

    /// The declaration on copies outside, if one is on file.
    pub fn copies_leg(&self) -> Option<&super::Recorded> {
        self.evidence.iter().rev().find(|recorded| matches!(recorded.evidence, Evidence::Copies { .. }))
    }

    /// The operator's choice, if it is on file.
    pub fn choice(&self) -> Option<Choice> {
        self.evidence.iter().rev().find_map(|recorded| match recorded.evidence {
            Evidence::Chosen { choice, .. } => Some(choice),
            _ => None,
        })
    }

    /// The return of the logins, if it is on file.
    pub fn returned(&self) -> Option<&super::Recorded> {
        self.evidence.iter().rev().find(|recorded| matches!(recorded.evidence, Evidence::Returned { .. }))
    }
}
