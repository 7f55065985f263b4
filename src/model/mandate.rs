//! A mandate: its access table, credentials and grants, and how events change them.

use super::event::{CredentialFacts, Event, FoldError, GrantFacts, NewVersion, RowChange};
use super::{CredentialId, Date, Digest, GrantId, Instant, MemberId, Name, ReuseTag, RowId, Term, Text, UnitId, Zone};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// What access under a row allows on the platform.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// просмотр
    View,
    /// ответы
    Reply,
    /// редактирование
    Edit,
    /// настройка
    Configure,
    /// выгрузка
    Export,
    /// удаление
    Delete,
    /// полный доступ
    Admin,
}

impl Level {
    /// Every level with the words it is written by; the first two are the English and Russian names.
    const WORDS: [(Level, &[&str]); 7] = [
        (Level::View, &["view", "просмотр", "чтение", "read"]),
        (Level::Reply, &["reply", "ответы", "ответ"]),
        (Level::Edit, &["edit", "редактирование", "изменение"]),
        (Level::Configure, &["configure", "настройка", "настройки"]),
        (Level::Export, &["export", "выгрузка", "экспорт"]),
        (Level::Delete, &["delete", "удаление"]),
        (Level::Admin, &["admin", "полный доступ", "администратор"]),
    ];

    /// The level of a word, in either language.
    pub fn parse(word: &str) -> Option<Level> {
        let word = word.trim().to_lowercase();
        Self::WORDS.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(level, _)| *level)
    }

    /// The English name.
    pub fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(level, _)| *level == self).map_or("", |(_, words)| words[0])
    }
}

/// What a credential is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// User name and password.
    Login,
    /// A key of an API.
    ApiKey,
    /// A bot's token.
    BotToken,
    /// A secret URL.
    Webhook,
    /// An OAuth token.
    OauthToken,
    /// One-time recovery codes.
    RecoveryCodes,
    /// Anything else that is secret.
    Note,
    /// A guest access on the platform: no secret at all.
    Delegated,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 8] = [
        Kind::Login,
        Kind::ApiKey,
        Kind::BotToken,
        Kind::Webhook,
        Kind::OauthToken,
        Kind::RecoveryCodes,
        Kind::Note,
        Kind::Delegated,
    ];

    /// The name in commands and records.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Login => "login",
            Kind::ApiKey => "api_key",
            Kind::BotToken => "bot_token",
            Kind::Webhook => "webhook",
            Kind::OauthToken => "oauth_token",
            Kind::RecoveryCodes => "recovery_codes",
            Kind::Note => "note",
            Kind::Delegated => "delegated",
        }
    }

    /// The name of its main secret field: what `fetch` hands over unless another is named.
    pub fn main_field(self) -> &'static str {
        match self {
            Kind::Login => "password",
            Kind::ApiKey => "key",
            Kind::BotToken | Kind::OauthToken => "token",
            Kind::Webhook => "webhook",
            Kind::RecoveryCodes => "codes",
            Kind::Note | Kind::Delegated => "note",
        }
    }
}

/// The state of an account's second factor (clause 4.1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecondFactor {
    /// The seed is in the vault.
    On,
    /// The code goes to a named person's device.
    Elsewhere {
        /// Whose.
        holder: Text,
    },
    /// The platform offers none.
    NotPossible {
        /// Why.
        reason: Text,
        /// Found when.
        at: Instant,
    },
    /// Nobody has said.
    Unknown,
}

impl SecondFactor {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            SecondFactor::On => "on",
            SecondFactor::Elsewhere { .. } => "elsewhere",
            SecondFactor::NotPossible { .. } => "not_possible",
            SecondFactor::Unknown => "unknown",
        }
    }
}

/// How hard a secret is to guess, as its author's program found it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Not a secret a person chose (tokens, generated passwords).
    Random,
    /// Hard to guess.
    Strong,
    /// Within reach of an offline attack.
    Fair,
    /// Easy to guess.
    Weak,
}

/// Bounds of a row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowTerms {
    /// Data categories.
    pub data: Vec<Text>,
    /// Access levels.
    pub levels: BTreeSet<Level>,
    /// Purposes; a retrieval names one of them.
    pub purposes: Vec<Text>,
    /// First day.
    pub from: Date,
    /// Last day, inclusive.
    pub until: Date,
    /// What those days mean in the operator's zone.
    pub term: Term,
}

/// One line of the access table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its id.
    pub id: RowId,
    /// The system; unique among the rows that were not removed.
    pub system: Name,
    /// Category as written.
    pub category: Text,
    /// Platform as written.
    pub platform: Text,
    /// The bounds.
    pub terms: RowTerms,
    /// When it was removed, if it was.
    pub removed: Option<Instant>,
}

/// One version of a secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Version {
    /// 1 for the first.
    pub number: u32,
    /// Since when.
    pub at: Instant,
    /// Who made it.
    pub author: MemberId,
    /// SHA-256 of the ciphertext.
    pub ct: Digest,
    /// Keyed fingerprint.
    pub tag: ReuseTag,
    /// Strength.
    pub strength: Strength,
    /// Why a weak or reused one was accepted.
    pub allowed_weak: Option<Text>,
}

/// What was done about exposed versions outside this vault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settled {
    /// Up to this version.
    pub version: u32,
    /// What was done.
    pub because: Text,
    /// By whom.
    pub by: MemberId,
    /// When.
    pub at: Instant,
}

/// A stored credential.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// Its row.
    pub row: RowId,
    /// Name under the row; may be empty.
    pub name: Text,
    /// What it is.
    pub kind: Kind,
    /// The account.
    pub account: Text,
    /// Where it is used.
    pub url: Text,
    /// The second factor's state.
    pub second_factor: SecondFactor,
    /// The current version; none for delegated access.
    pub current: Option<Version>,
    /// What was done about earlier exposure.
    pub settled: Option<Settled>,
}

impl Credential {
    /// The highest version that is no longer a danger: everything before the current one, or what was settled.
    pub fn safe_below(&self) -> u32 {
        let rotated = self.current.as_ref().map_or(0, |version| version.number);
        rotated.max(self.settled.as_ref().map_or(0, |settled| settled.version + 1))
    }
}

/// Where a grant comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantOrigin {
    /// Stands with the lead's role; follows its row.
    Lead,
    /// Given by a lead.
    Given,
}

/// Why access ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Why {
    /// The term is over.
    Term,
    /// Somebody asked for it.
    Asked {
        /// Their reason.
        reason: Text,
    },
    /// The access table no longer allows it.
    Amended,
    /// The mandate ended.
    MandateEnded,
    /// The member left.
    MemberRemoved,
    /// The broker's half was lost with the anchor, or was not in the restored state.
    KeyLost,
}

/// When and why access ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Instant,
    /// Why.
    pub why: Why,
}

/// A member's access under a row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The facts it was made with, as narrowed since.
    pub facts: GrantFacts,
    /// Since when.
    pub since: Instant,
    /// When and why it ended.
    pub ended: Option<Ended>,
    /// When the broker's half was destroyed.
    pub destroyed: Option<Instant>,
}

impl Grant {
    /// Whether it has not ended (its term may be over all the same: `decide` looks at the clock).
    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }
}

/// What an amendment did to one grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Narrowed {
    /// Which grant.
    pub grant: GrantId,
    /// Its end now.
    pub until: Instant,
    /// Whether it ended altogether.
    pub ended: bool,
}

/// Where a mandate stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Signed and in force (its term may not have begun, or be over).
    Active,
    /// Nothing can be retrieved.
    Ended(Ended),
    /// Everything settled.
    Closed {
        /// Since when.
        at: Instant,
        /// When the evidence goes too.
        retain_until: Instant,
    },
}

/// The state of one mandate: the fold of its ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mandate {
    /// Its unit.
    pub unit: UnitId,
    /// The operator.
    pub operator: Name,
    /// The contract's number.
    pub contract: Text,
    /// When it was signed.
    pub signed: Date,
    /// Its last day.
    pub until: Date,
    /// The operator's zone.
    pub zone: Zone,
    /// The term.
    pub term: Term,
    /// Where it stands.
    pub phase: Phase,
    /// Who leads it.
    pub leads: Vec<MemberId>,
    /// The access table.
    pub rows: Vec<Row>,
    /// The credentials.
    pub credentials: Vec<Credential>,
    /// The grants, ended ones too.
    pub grants: Vec<Grant>,
}

impl Mandate {
    /// The state after a mandate's first record.
    ///
    /// # Errors
    /// The event is not `opened`, or its table does not hold together.
    pub fn open(unit: UnitId, event: &Event, by: Option<MemberId>, at: Instant) -> Result<Self, FoldError> {
        let Event::Opened { operator, contract, signed, until, zone, term, leads, rows, grants } = event else {
            return Err(FoldError("a mandate's ledger begins with its opening"));
        };
        let mut mandate = Mandate {
            unit,
            operator: operator.clone(),
            contract: contract.clone(),
            signed: *signed,
            until: *until,
            zone: zone.clone(),
            term: *term,
            phase: Phase::Active,
            leads: leads.clone(),
            rows: Vec::new(),
            credentials: Vec::new(),
            grants: Vec::new(),
        };
        if leads.is_empty() || by.is_none() {
            return Err(FoldError("a mandate is opened by a member and has a lead"));
        }
        for change in rows {
            mandate.change_row(change, at)?;
        }
        mandate.add_grants(grants, at)?;
        Ok(mandate)
    }

    /// Applies one event. `by` is the member whose request it was; `None` where the broker acted by itself.
    ///
    /// # Errors
    /// The event does not follow from the state, or its author had no authority for it here.
    pub fn apply(&mut self, event: &Event, by: Option<MemberId>, at: Instant) -> Result<(), FoldError> {
        self.check_author(event, by)?;
        match event {
            Event::Opened { .. } => return Err(FoldError("a mandate is opened once")),
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
                }
                if let Some(state) = second_factor {
                    credential.second_factor = state.clone();
                }
            }
            Event::Granted { grant } => self.add_grants(std::slice::from_ref(grant), at)?,
            Event::Revoked { grants, why } => self.end_grants(grants, why, at)?,
            Event::Expired { grants } => self.end_grants(grants, &Why::Term, at)?,
            Event::Destroyed { grants, .. } => {
                for id in grants {
                    let grant = self.grant_mut(*id)?;
                    if grant.is_live() || grant.destroyed.is_some() {
                        return Err(FoldError("only the key of an ended grant is destroyed, and once"));
                    }
                    grant.destroyed = Some(at);
                }
            }
            Event::Ended { why } => {
                self.phase = Phase::Ended(Ended { at, why: why.clone() });
                let live: Vec<GrantId> = self.live_grants().map(|grant| grant.facts.id).collect();
                self.end_grants(&live, &Why::MandateEnded, at)?;
            }
            Event::Settled { credential, version, because } => {
                let by = by.ok_or(FoldError("somebody settles"))?;
                let settled = Settled { version: *version, because: because.clone(), by, at };
                self.credential_mut(*credential)?.settled = Some(settled);
            }
            Event::Closed { retain_until } => self.phase = Phase::Closed { at, retain_until: *retain_until },
            Event::Reissued { grants, replaced } => {
                self.end_grants(replaced, &Why::KeyLost, at)?;
                for id in replaced {
                    self.grant_mut(*id)?.destroyed = Some(at);
                }
                self.add_grants(grants, at)?;
            }
            Event::Restarted { .. } | Event::Released { .. } | Event::CodeReleased { .. } | Event::Extracted => {}
        }
        Ok(())
    }

    /// The row of an id that was not removed.
    pub fn row(&self, id: RowId) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id && row.removed.is_none())
    }

    /// The rows in force.
    pub fn live_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.removed.is_none())
    }

    /// The row a person means by a system's or platform's name.
    pub fn row_named(&self, name: &str) -> Option<&Row> {
        let by_system = self.live_rows().find(|row| row.system.same(name));
        by_system.or_else(|| {
            let mut by_platform = self.live_rows().filter(|row| row.platform.same(name));
            by_platform.next().filter(|_| by_platform.next().is_none())
        })
    }

    /// A credential by id.
    pub fn credential(&self, id: CredentialId) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.id == id)
    }

    /// The credentials under a row.
    pub fn credentials_of(&self, row: RowId) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter(move |credential| credential.row == row)
    }

    /// A grant by id.
    pub fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.facts.id == id)
    }

    /// The grants that have not ended.
    pub fn live_grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(|grant| grant.is_live())
    }

    /// The grant a member's retrieval under a row is judged by: the live one if there is one, else the newest.
    pub fn grant_for(&self, member: MemberId, row: RowId) -> Option<&Grant> {
        let mine = self.grants.iter().filter(|grant| grant.facts.member == member && grant.facts.row == row);
        mine.max_by_key(|grant| (grant.is_live(), grant.since))
    }

    /// Whether a member leads it.
    pub fn is_lead(&self, member: MemberId) -> bool {
        self.leads.contains(&member)
    }

    /// Whether a member ever had to do with it: leads it or was granted something.
    pub fn concerns(&self, member: MemberId) -> bool {
        self.is_lead(member) || self.grants.iter().any(|grant| grant.facts.member == member)
    }

    /// Whether a grant stays within its row; else which bound it exceeds, and what would be allowed.
    ///
    /// # Errors
    /// The field and a sentence for the person who asked.
    pub fn check_bounds(&self, row: &Row, facts: &GrantFacts) -> Result<(), (&'static str, String)> {
        let terms = &row.terms;
        if let Some(wider) = facts.levels.difference(&terms.levels).next() {
            let allowed: Vec<&str> = terms.levels.iter().map(|level| level.name()).collect();
            let (wider, allowed) = (wider.name(), allowed.join(", "));
            return Err((
                "level",
                format!("'{wider}' is wider than the row '{}' allows; allowed: {allowed}", row.system),
            ));
        }
        if let Some(outside) = facts.purposes.iter().find(|purpose| !terms.purposes.contains(purpose)) {
            let allowed: Vec<&str> = terms.purposes.iter().map(Text::as_str).collect();
            let allowed = allowed.join("; ");
            return Err((
                "purpose",
                format!("'{outside}' is not a purpose of the row '{}'; allowed: {allowed}", row.system),
            ));
        }
        if !facts.term.within(&terms.term) {
            let (from, until, zone) = (terms.from, terms.until, self.zone.as_str());
            let sentence =
                format!("is outside the row '{}', which runs from {from} to {until} inclusive ({zone})", row.system);
            return Err(("until", sentence));
        }
        Ok(())
    }

    /// The table after changes, without judging their author: to learn what they do to the grants.
    ///
    /// # Errors
    /// The changes do not fit the table.
    pub fn try_changes(&mut self, changes: &[RowChange], grants: &[GrantFacts], at: Instant) -> Result<(), FoldError> {
        for change in changes {
            self.change_row(change, at)?;
        }
        self.add_grants(grants, at)
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
            (Phase::Ended(_), Event::Amended { .. } | Event::CredentialsAdded { .. } | Event::Granted { .. }) => false,
            (Phase::Ended(_), Event::Released { .. } | Event::CodeReleased { .. } | Event::Ended { .. }) => false,
            (Phase::Active, Event::Closed { .. }) => false,
            _ => true,
        };
        if !phase_allows {
            return Err(FoldError("the mandate's state does not allow this"));
        }
        let lead = by.is_some_and(|member| self.is_lead(member));
        let allowed = match event {
            Event::Amended { .. } | Event::CredentialsAdded { .. } | Event::Rotated { .. } | Event::Settled { .. } => {
                lead
            }
            Event::Granted { grant } => lead && Some(grant.member) != by && grant.origin == GrantOrigin::Given,
            Event::Expired { .. } | Event::Destroyed { .. } | Event::Restarted { .. } | Event::Reissued { .. } => {
                by.is_none()
            }
            Event::Released { items, .. } => items.iter().all(|item| self.holds(item.grant, by)),
            Event::CodeReleased { grant, .. } => self.holds(*grant, by),
            _ => true,
        };
        if allowed { Ok(()) } else { Err(FoldError("its author had no authority for this here")) }
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
                    let term = facts.term.meet(&bounds.term)?;
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
                && facts.term.within(&row.terms.term);
            if !within {
                return Err(FoldError("no grant wider or longer than its row"));
            }
            if self.grant(facts.id).is_some() {
                return Err(FoldError("a grant of this id exists"));
            }
            if facts.origin == GrantOrigin::Lead && !self.is_lead(facts.member) {
                return Err(FoldError("a standing grant belongs to a lead"));
            }
            self.grants.push(Grant { facts: facts.clone(), since: at, ended: None, destroyed: None });
        }
        Ok(())
    }

    fn end_grants(&mut self, grants: &[GrantId], why: &Why, at: Instant) -> Result<(), FoldError> {
        for id in grants {
            let grant = self.grant_mut(*id)?;
            if !grant.is_live() {
                return Err(FoldError("the grant ended already"));
            }
            grant.ended = Some(Ended { at, why: why.clone() });
        }
        Ok(())
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
