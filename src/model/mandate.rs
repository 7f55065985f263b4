//! A mandate: its access table, credentials and grants. `fold.rs` says how events change it.

use super::access::{AccessRequest, Draft, Jurisdiction, Permission};
use super::event::GrantFacts;
use super::incident::Incident;
use super::settlement::Recorded;
use super::{
    CredentialId, Date, Digest, GrantId, IncidentId, Instant, MemberId, Name, ReuseTag, RowId, Term, Text, UnitId, Zone,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What access under a row allows on the platform.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// просмотр
    View,
    /// ответы
    Reply,
    /// редактирование
    Edit,
    /// модерация
    Moderate,
    /// публикация
    Publish,
    /// аналитика
    Analytics,
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
    const WORDS: [(Level, &[&str]); 10] = [
        (Level::View, &["view", "просмотр", "чтение", "read"]),
        (Level::Reply, &["reply", "ответы", "ответ"]),
        (Level::Edit, &["edit", "редактирование", "изменение"]),
        (Level::Moderate, &["moderate", "модерация", "модерирование"]),
        (Level::Publish, &["publish", "публикация", "публикации"]),
        (Level::Analytics, &["analytics", "аналитика", "статистика"]),
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

    /// Every level, the narrowest first.
    pub fn all() -> impl Iterator<Item = Level> {
        Self::WORDS.iter().map(|(level, _)| *level)
    }

    /// The Russian name.
    pub fn russian(self) -> &'static str {
        Self::WORDS.iter().find(|(level, _)| *level == self).map_or("", |(_, words)| words[1])
    }

    /// The English name.
    pub fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(level, _)| *level == self).map_or("", |(_, words)| words[0])
    }
}

/// What a credential is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// A grant under it lasts at most so many days from when it is made («с момента предоставления доступа»).
    pub grant_days: Option<u32>,
}

impl RowTerms {
    /// The latest end of a grant given at a time, where the row counts from the grant. A lead's standing grant goes
    /// with the row.
    pub fn grant_end(&self, at: Instant) -> Option<Instant> {
        self.grant_days.map(|days| at.max(self.term.from).plus(i64::from(days) * 24 * 60 * 60 * 1000))
    }
}

/// One line of the access table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Settled {
    /// Up to this version.
    pub version: u32,
    /// What was done, or why it is accepted as it is.
    pub because: Text,
    /// Who confirmed the change; none: it was not changed, and that is accepted.
    pub confirmed: Option<Text>,
    /// By whom.
    pub by: MemberId,
    /// When.
    pub at: Instant,
}

/// Who was asked to change a secret on its platform.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Asked {
    /// Whom.
    pub of: Text,
    /// By whom.
    pub by: MemberId,
    /// When.
    pub at: Instant,
}

/// Where a token is revoked (RFC 7009), and where it can be tried without harm.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevocationPoint {
    /// The revocation endpoint.
    pub endpoint: Text,
    /// A harmless call that needs the token, or an introspection endpoint (RFC 7662).
    pub probe: Text,
    /// The client the token was issued to; its secret is the credential's field `client_secret`, where it has one.
    pub client: Text,
}

/// A stored credential.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Where an OAuth token is revoked.
    pub revocation: Option<RevocationPoint>,
    /// Why one of the worst kinds of access was taken.
    pub because: Option<Text>,
    /// The current version; none for delegated access.
    pub current: Option<Version>,
    /// Who was asked to change it, since it last was.
    pub asked: Option<Asked>,
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GrantOrigin {
    /// Stands with the lead's role; follows its row.
    Lead,
    /// Given by a lead.
    Given,
}

/// Why access ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ended {
    /// When.
    pub at: Instant,
    /// Why.
    pub why: Why,
}

/// A member's access under a row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Grant {
    /// The facts it was made with, as narrowed since.
    pub facts: GrantFacts,
    /// Since when.
    pub since: Instant,
    /// The incident that holds it locked.
    pub locked: Option<IncidentId>,
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Read from a file and not in force.
    Draft(Draft),
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// The term; of a draft an empty one, so that nothing can be open under it.
    pub term: Term,
    /// Under which law.
    pub jurisdiction: Jurisdiction,
    /// SHA-256 of the signed file, where it was read from one.
    pub source: Option<Digest>,
    /// Where it stands.
    pub phase: Phase,
    /// Since when it is in force, or was drafted.
    pub since: Instant,
    /// Who leads it.
    pub leads: Vec<MemberId>,
    /// The access table.
    pub rows: Vec<Row>,
    /// The credentials.
    pub credentials: Vec<Credential>,
    /// The grants, ended ones too.
    pub grants: Vec<Grant>,
    /// The operator's permissions for people outside the agency.
    pub permissions: Vec<Permission>,
    /// Requests for access, answered ones too.
    pub requests: Vec<AccessRequest>,
    /// When the grants were last reviewed.
    pub reviewed: Option<Instant>,
    /// Incidents, closed ones too.
    pub incidents: Vec<Incident>,
    /// Evidence for the closing.
    pub evidence: Vec<Recorded>,
}

impl Mandate {
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

    /// The row a person means, in force or removed: for settling what was opened under it.
    pub fn any_row_named(&self, name: &str) -> Option<&Row> {
        self.row_named(name)
            .or_else(|| self.rows.iter().rev().find(|row| row.system.same(name) || row.platform.same(name)))
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
}
