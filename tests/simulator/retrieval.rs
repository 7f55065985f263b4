//! Somebody gets a secret or a code, or is denied it.

use crate::model::{Access, Asking, Login};
use crate::steps::{After, Must, PURPOSES, perform};
use crate::world::{World, name, text};
use mandatum::agent::{AgentError, Program, Secret, Seed};
use mandatum::api::Located;
use mandatum::model::{GrantId, Kind, MemberId, UnitId, Verb};

/// Somebody, something they might open, and what for.
pub struct Drawn {
    pub member: MemberId,
    pub unit: UnitId,
    pub login: Login,
    pub grant: GrantId,
    pub purpose: Option<&'static str>,
}

/// Mostly what is granted, sometimes what is not.
pub fn draw(world: &mut World) -> Option<Drawn> {
    let all = world.model.contracts.values();
    let mut places: Vec<(UnitId, Login, Access)> = Vec::new();
    for contract in all {
        for login in &contract.logins {
            let under = contract.grants.iter().filter(|grant| grant.row == login.row);
            places.extend(under.map(|grant| (contract.unit, login.clone(), grant.clone())));
        }
    }
    let live: Vec<_> = places.iter().filter(|(.., grant)| grant.live).cloned().collect();
    let from = if world.dice.chance(85) && !live.is_empty() { live } else { places };
    let (unit, login, grant) = world.dice.pick(&from)?;
    let everybody: Vec<MemberId> = world.model.people.keys().copied().collect();
    let member = if world.dice.chance(88) { grant.member } else { world.dice.pick(&everybody)? };
    let allowed: Vec<&'static str> = PURPOSES.into_iter().filter(|p| grant.purposes.iter().any(|g| g == p)).collect();
    let purpose = match world.dice.below(10) {
        0 => None,
        1 => world.dice.pick(&PURPOSES),
        _ => world.dice.pick(&allowed),
    };
    Some(Drawn { member, unit, login, grant: grant.id, purpose })
}

impl Drawn {
    pub fn located(&self) -> Located {
        Located {
            unit: self.unit,
            operator: name("O"),
            system: name("S"),
            row: self.login.row,
            credential: self.login.id,
            name: text(&self.login.name),
            kind: Kind::Login,
            account: text(""),
            url: text(""),
            second_factor: String::new(),
            version: self.login.version,
            grant: Some(self.grant),
            purposes: Vec::new(),
        }
    }

    pub fn asking(&self, world: &World) -> Asking<'_> {
        let Self { member, unit, login, purpose, .. } = self;
        let (wall, now) = (world.wall, world.now());
        Asking { member: *member, unit: *unit, login: login.id, purpose: *purpose, onward: false, wall, now }
    }

    /// What a retrieval must come to: allowed, denied, or either where a session may have run out.
    fn verdict(&self, world: &World) -> (Must, &'static str) {
        let live = world.model.contracts[&self.unit].live_of(self.member, self.login.row);
        match (world.model.may(&self.asking(world)), world.sits(self.member)) {
            (Err(why), _) => (Must::Refuse, why),
            (Ok(_), Some(false)) => (Must::Refuse, "no session"),
            // It is judged by the live grant: an old one asked for by its id is none.
            (Ok(_), _) if live.is_none_or(|live| live.id != self.grant) => (Must::Refuse, "another's or an old grant"),
            (Ok(_), None) => (Must::May, "a session that may be over"),
            (Ok(_), Some(true)) => (Must::Do, "allowed"),
        }
    }
}

pub fn fetch(world: &mut World) {
    retrieve(world, Verb::Fetch);
}

pub fn code(world: &mut World) {
    retrieve(world, Verb::Code);
}

fn retrieve(world: &mut World, verb: Verb) {
    let Some(drawn) = draw(world) else { return };
    let (member, login) = (drawn.member, &drawn.login);
    if world.model.active(member) && world.dice.chance(90) {
        world.ready(member);
    }
    world.tick();
    let (must, why) = match drawn.verdict(world) {
        (Must::Do | Must::May, _) if verb == Verb::Code && login.seed.is_none() => (Must::Refuse, "no seed"),
        verdict => verdict,
    };
    let (who, operator) = (&world.agent(member).name, &world.model.contracts[&drawn.unit].operator);
    let what = format!("{who}: {verb} {operator}/{} as {:?}: {must:?}, {why}", login.id, drawn.purpose);
    let mut got = None;
    perform(world, what, must, After::Same, |world| {
        got = Some(open(&world.agent(member).program, verb, &drawn)?);
        Ok(())
    });
    world.count(if got.is_some() { "released" } else { "denied" });
    world.touched(member, got.is_some());
    if let Some(got) = got {
        assert!(must != Must::Refuse, "denied by the model, and released");
        let code = |seed: &Vec<u8>| Seed::decode(&Secret::copy_of(seed)).unwrap().code(world.seconds()).0;
        let right = if verb == Verb::Code { login.seed.as_ref().map(code) } else { Some(login.secret.clone()) };
        assert_eq!(Some(got), right, "a wrong secret");
    }
}

/// What a member's program gets: a secret or a code.
pub fn open(program: &Program, verb: Verb, drawn: &Drawn) -> Result<String, AgentError> {
    let (found, purpose) = (drawn.located(), drawn.purpose.map(text));
    if verb == Verb::Code {
        return Ok(program.code(&found, purpose)?.0);
    }
    let fetched = program.fetch(&found, purpose)?;
    assert_eq!(fetched.version, found.version, "another version");
    Ok(fetched.fields.field("password").unwrap().expose_str().unwrap().to_owned())
}
