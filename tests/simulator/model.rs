//! What should be so: plain maps, kept beside the vault and written from the design alone. It shares no rule with
//! `policy` or with the fold.

use mandatum::model::{
    CredentialId, GrantId, IncidentId, Level, Mandate, MemberId, Phase, Role, Roster, RowId, Standing, UnitId,
};
use std::collections::{BTreeMap, BTreeSet};

pub const DAY: i64 = 86_400_000;
pub const HOUR: i64 = 3_600_000;

/// What the clocks of the machine look like from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wall {
    /// As time went.
    True,
    /// Set ahead by days while the machine ran for minutes.
    Ahead,
    /// Set behind what was recorded.
    Behind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    Active,
    Suspended,
    Removed,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Person {
    pub name: String,
    pub roles: BTreeSet<Role>,
    pub stands: Stands,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    pub id: RowId,
    pub system: String,
    pub levels: BTreeSet<Level>,
    pub purposes: Vec<String>,
    pub from: i64,
    pub until: i64,
    pub there: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Login {
    pub id: CredentialId,
    pub row: RowId,
    pub name: String,
    pub version: u32,
    pub secret: String,
    pub seed: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Access {
    pub id: GrantId,
    pub member: MemberId,
    pub row: RowId,
    pub levels: BTreeSet<Level>,
    pub purposes: Vec<String>,
    pub from: i64,
    pub until: i64,
    pub of_lead: bool,
    pub live: bool,
    pub locked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Course {
    Active,
    Ended,
    Closed,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Contract {
    pub unit: UnitId,
    pub operator: String,
    pub course: Course,
    pub from: i64,
    pub until: i64,
    pub lead: MemberId,
    pub rows: Vec<Line>,
    pub logins: Vec<Login>,
    pub grants: Vec<Access>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Model {
    pub people: BTreeMap<MemberId, Person>,
    pub contracts: BTreeMap<UnitId, Contract>,
    /// The open incident, whom it reaches (none: everybody), and in which mandates.
    pub incident: Option<(IncidentId, Option<MemberId>, BTreeSet<UnitId>)>,
}

/// What a fetch or a code is asked under.
pub struct Asking<'a> {
    pub member: MemberId,
    pub unit: UnitId,
    pub login: CredentialId,
    pub purpose: Option<&'a str>,
    pub onward: bool,
    pub wall: Wall,
    pub now: i64,
}

impl Contract {
    pub fn row(&self, id: RowId) -> Option<&Line> {
        self.rows.iter().find(|row| row.id == id && row.there)
    }

    pub fn login(&self, id: CredentialId) -> Option<&Login> {
        self.logins.iter().find(|login| login.id == id)
    }

    pub fn live(&self) -> impl Iterator<Item = &Access> {
        self.grants.iter().filter(|grant| grant.live)
    }

    pub fn live_of(&self, member: MemberId, row: RowId) -> Option<&Access> {
        self.live().find(|grant| grant.member == member && grant.row == row)
    }

    pub fn end(&mut self) {
        self.course = Course::Ended;
        self.grants.iter_mut().for_each(|grant| grant.live = false);
    }

    /// Cuts the grants under a row to what the row now allows.
    pub fn narrow(&mut self, row: RowId) {
        let line = self.row(row).cloned();
        for grant in self.grants.iter_mut().filter(|grant| grant.live && grant.row == row) {
            let Some(line) = &line else {
                grant.live = false;
                continue;
            };
            if grant.of_lead {
                (grant.levels, grant.purposes) = (line.levels.clone(), line.purposes.clone());
                (grant.from, grant.until) = (line.from, line.until);
                continue;
            }
            grant.levels.retain(|level| line.levels.contains(level));
            grant.purposes.retain(|purpose| line.purposes.contains(purpose));
            (grant.from, grant.until) = (grant.from.max(line.from), grant.until.min(line.until));
            grant.live = !grant.levels.is_empty() && !grant.purposes.is_empty() && grant.from < grant.until;
        }
    }
}

impl Model {
    pub fn active(&self, member: MemberId) -> bool {
        self.people.get(&member).is_some_and(|person| person.stands == Stands::Active)
    }

    pub fn is(&self, member: MemberId, role: Role) -> bool {
        self.people.get(&member).is_some_and(|person| person.roles.contains(&role))
    }

    /// Whether a member may do a lead's work in a mandate.
    pub fn leads(&self, member: MemberId, contract: &Contract) -> bool {
        self.active(member) && self.is(member, Role::Lead) && contract.lead == member
    }

    pub fn reached(&self, member: MemberId, unit: UnitId) -> bool {
        let open = self.incident.as_ref();
        open.is_some_and(|(_, whom, units)| whom.is_none_or(|whom| whom == member) && units.contains(&unit))
    }

    /// What is over by the clock ends.
    pub fn sweep(&mut self, now: i64) {
        for contract in self.contracts.values_mut().filter(|contract| contract.course == Course::Active) {
            if contract.until <= now {
                contract.end();
            }
            contract.grants.iter_mut().filter(|grant| grant.until <= now).for_each(|grant| grant.live = false);
        }
    }

    /// Whether a session's holder gets the secret, or a current code; else why not, in words.
    pub fn may(&self, asking: &Asking<'_>) -> Result<&Login, &'static str> {
        let contract = self.contracts.get(&asking.unit).ok_or("no such mandate")?;
        let login = contract.login(asking.login).ok_or("no such credential")?;
        let person = self.people.get(&asking.member).ok_or("nobody")?;
        let is_lead = contract.lead == asking.member && person.roles.contains(&Role::Lead);
        let role = is_lead || person.roles.contains(&Role::Specialist) || person.roles.contains(&Role::Owner);
        let grant = contract.live_of(asking.member, login.row).ok_or("no live grant")?;
        let row = contract.row(login.row).ok_or("no row")?;
        let terms = [(contract.from, contract.until), (row.from, row.until), (grant.from, grant.until)];
        let (starts, ends) = (terms.map(|term| term.0), terms.map(|term| term.1));
        let purpose = match asking.purpose {
            _ if asking.onward => is_lead,
            None => grant.purposes.len() == 1,
            Some(purpose) => grant.purposes.iter().any(|allowed| allowed == purpose),
        };
        match () {
            () if person.stands != Stands::Active => Err("not an active member"),
            () if !role || (grant.of_lead && !is_lead) => Err("no role for it"),
            () if contract.course != Course::Active => Err("the mandate is over"),
            () if grant.locked => Err("locked by an incident"),
            () if starts.iter().any(|from| asking.now < *from) => Err("not begun"),
            () if ends.iter().any(|until| *until <= asking.now) => Err("over"),
            () if asking.wall == Wall::Behind => Err("the clock is behind"),
            () if asking.wall == Wall::Ahead && ends.iter().any(|until| *until <= asking.now + 2 * DAY) => {
                Err("the clock jumped, and this ends soon")
            }
            () if !purpose => Err("no purpose of the grant"),
            () => Ok(login),
        }
    }

    /// Whether the verified fold of the ledgers says the same.
    pub fn compare(&self, roster: &Roster, mandates: &BTreeMap<UnitId, Mandate>) -> Result<(), String> {
        let stands = |standing: &Standing| match standing {
            Standing::Active => Stands::Active,
            Standing::Suspended { .. } => Stands::Suspended,
            Standing::Removed { .. } => Stands::Removed,
        };
        let person = |member: &mandatum::model::Member| Person {
            name: member.name().to_string(),
            roles: member.roles.clone(),
            stands: stands(&member.standing),
        };
        let people: BTreeMap<MemberId, Person> = roster.members.iter().map(|m| (m.id(), person(m))).collect();
        if people != self.people {
            return Err(format!("the roster says {people:?}, it should be {:?}", self.people));
        }
        let units: Vec<UnitId> = mandates.keys().copied().collect();
        if !units.iter().eq(self.contracts.keys()) {
            return Err(format!("mandates {units:?}, they should be {:?}", self.contracts.keys().collect::<Vec<_>>()));
        }
        for contract in self.contracts.values() {
            let open: Vec<IncidentId> =
                mandates[&contract.unit].open_incidents().map(|incident| incident.facts.id).collect();
            let reaches = |(_, _, units): &&(IncidentId, _, BTreeSet<UnitId>)| units.contains(&contract.unit);
            let wanted: Vec<IncidentId> = self.incident.iter().filter(reaches).map(|(id, ..)| *id).collect();
            if open != wanted {
                return Err(format!("{}: open incidents {open:?}, they should be {wanted:?}", contract.operator));
            }
        }
        self.contracts.values().try_for_each(|contract| same(contract, &mandates[&contract.unit]))
    }
}

fn same(contract: &Contract, mandate: &Mandate) -> Result<(), String> {
    let at = &contract.operator;
    let course = match mandate.phase {
        Phase::Draft(_) => return Err(format!("{at} is a draft")),
        Phase::Active => Course::Active,
        Phase::Ended(_) => Course::Ended,
        Phase::Closed { .. } => Course::Closed,
    };
    if course != contract.course {
        return Err(format!("{at} is {course:?}, it should be {:?}", contract.course));
    }
    // What is over is not narrowed any more: only what is live has bounds.
    let (found, wanted) = (lives(&read(mandate)), lives(contract));
    if found != wanted {
        return Err(format!("{at}: live grants {found:#?}, they should be {wanted:#?}"));
    }
    let logins = |contract: &Contract| -> BTreeMap<CredentialId, (RowId, u32, bool)> {
        contract.logins.iter().map(|l| (l.id, (l.row, l.version, l.seed.is_some()))).collect()
    };
    if logins(&read(mandate)) != logins(contract) {
        return Err(format!("{at}: credentials {:?}, they should be {:?}", read(mandate).logins, contract.logins));
    }
    let rows = |contract: &Contract| contract.rows.iter().filter(|row| row.there).cloned().collect::<Vec<_>>();
    if contract.course == Course::Active && rows(&read(mandate)) != rows(contract) {
        return Err(format!("{at}: rows {:?}, they should be {:?}", read(mandate).rows, contract.rows));
    }
    let term = (mandate.term.from.0, mandate.term.until.0);
    if term != (contract.from, contract.until) {
        return Err(format!("{at}: term {term:?}, it should be {:?}", (contract.from, contract.until)));
    }
    Ok(())
}

fn lives(contract: &Contract) -> BTreeMap<GrantId, Access> {
    contract.live().map(|grant| (grant.id, grant.clone())).collect()
}

/// A mandate in this model's words; secrets are not in it.
pub fn read(mandate: &Mandate) -> Contract {
    let texts = |texts: &[mandatum::model::Text]| texts.iter().map(ToString::to_string).collect();
    let line = |row: &mandatum::model::Row| Line {
        id: row.id,
        system: row.system.to_string(),
        levels: row.terms.levels.clone(),
        purposes: texts(&row.terms.purposes),
        from: row.terms.term.from.0,
        until: row.terms.term.until.0,
        there: row.removed.is_none(),
    };
    let login = |credential: &mandatum::model::Credential| Login {
        id: credential.id,
        row: credential.row,
        name: credential.name.to_string(),
        version: credential.current.as_ref().map_or(0, |version| version.number),
        secret: String::new(),
        seed: (credential.second_factor == mandatum::model::SecondFactor::On).then(Vec::new),
    };
    let access = |grant: &mandatum::model::Grant| Access {
        id: grant.facts.id,
        member: grant.facts.member,
        row: grant.facts.row,
        levels: grant.facts.levels.clone(),
        purposes: texts(&grant.facts.purposes),
        from: grant.facts.term.from.0,
        until: grant.facts.term.until.0,
        of_lead: grant.facts.origin == mandatum::model::GrantOrigin::Lead,
        live: grant.is_live(),
        locked: grant.locked.is_some(),
    };
    Contract {
        unit: mandate.unit,
        operator: mandate.operator.to_string(),
        course: Course::Active,
        from: mandate.term.from.0,
        until: mandate.term.until.0,
        lead: mandate.leads[0],
        rows: mandate.rows.iter().map(line).collect(),
        logins: mandate.credentials.iter().map(login).collect(),
        grants: mandate.grants.iter().map(access).collect(),
    }
}
