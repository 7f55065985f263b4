//! What the vault does not know and a document needs: parties, numbers, places. From TOML.

use crate::model::{Date, Text};
use crate::paperwork::documents::{Heading, Medium, OwnedSystem, Party, Person, Returned};
use serde::Deserialize;

/// The agency's and the document's own facts.
#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// The document's number.
    pub number: Text,
    /// Its date.
    pub date: Option<Date>,
    /// Where it is made.
    pub place: Text,
    /// The agency.
    pub processor: PartyFacts,
    /// The operator.
    pub operator: PartyFacts,
    /// Who answers for it.
    pub responsible: PersonFacts,
    /// Whom to ask.
    pub contact: Text,
    /// How to reach them.
    pub contact_channel: Text,
    /// Whom to notify of an incident.
    pub incident_contact: Text,
    /// Whose data.
    pub subjects: Vec<Text>,
    /// How many people's.
    pub subject_count: Option<u64>,
    /// What may be done with the data.
    pub actions: Vec<Text>,
    /// The level of protection.
    pub protection: Text,
    /// How it was destroyed.
    pub method: Text,
    /// When.
    pub destroyed: Option<Date>,
    /// Who destroyed it.
    pub destroyers: Vec<PersonFacts>,
    /// Physical media it stood on.
    pub media: Vec<MediumFacts>,
    /// Information systems and their owners.
    pub systems: Vec<SystemFacts>,
    /// What went back.
    pub returned: Vec<ReturnedFacts>,
    /// What the operator's event log lacks.
    pub event_log_missing: Option<Text>,
    /// The operator's request that a package answers.
    pub request: Text,
    /// Its date.
    pub request_date: Option<Date>,
    /// Where backups lie.
    pub backup_place: Text,
    /// When they will be gone.
    pub backups_gone_by: Option<Date>,
}

/// A party as it is written in TOML.
#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub struct PartyFacts {
    name: Text,
    tax_number: Text,
    register_number: Text,
    address: Text,
    representative: Text,
    position: Text,
    authority: Text,
}

/// A person as written in TOML.
#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub struct PersonFacts {
    name: Text,
    position: Text,
}

/// A medium as written in TOML.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct MediumFacts {
    name: Text,
    sheets: Option<u64>,
}

/// A system as written in TOML.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct SystemFacts {
    system: Text,
    owner: Text,
}

/// Something returned, as written in TOML.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct ReturnedFacts {
    what: Text,
    date: Date,
    how: Text,
    to: Text,
}

impl Given {
    /// The agency's standing facts, and over them those of this document.
    ///
    /// # Errors
    /// A sentence naming the place in the file.
    pub fn parse(agency: Option<&str>, own: Option<&str>) -> Result<Self, String> {
        let read = |text: Option<&str>| -> Result<toml::Table, String> {
            text.unwrap_or("").parse::<toml::Table>().map_err(|error| format!("is not TOML: {error}"))
        };
        let mut all = read(agency)?;
        all.extend(read(own)?);
        let given: Result<Self, _> = toml::Value::Table(all).try_into();
        given.map_err(|error| format!("has an unknown or wrong field: {error}"))
    }

    /// The head of a document.
    pub fn heading(&self, source: Option<crate::model::Digest>) -> Heading {
        Heading { number: self.number.clone(), date: self.date, place: self.place.clone(), source }
    }

    /// Who answers.
    pub fn responsible(&self) -> Person {
        self.responsible.person()
    }

    /// Who destroyed.
    pub fn destroyers(&self) -> Vec<Person> {
        self.destroyers.iter().map(PersonFacts::person).collect()
    }

    /// On what the data stood.
    pub fn media(&self) -> Vec<Medium> {
        self.media.iter().map(|m| Medium { name: m.name.clone(), sheets: m.sheets }).collect()
    }

    /// Systems with their owners.
    pub fn systems(&self) -> Vec<OwnedSystem> {
        self.systems.iter().map(|s| OwnedSystem { system: s.system.clone(), owner: s.owner.clone() }).collect()
    }

    /// What went back.
    pub fn returned(&self) -> Vec<Returned> {
        let one =
            |r: &ReturnedFacts| Returned { what: r.what.clone(), date: r.date, how: r.how.clone(), to: r.to.clone() };
        self.returned.iter().map(one).collect()
    }
}

impl PersonFacts {
    fn person(&self) -> Person {
        Person { name: self.name.clone(), position: self.position.clone() }
    }
}

impl PartyFacts {
    /// The party; `name` where the file gives none.
    pub fn party(&self, name: &str) -> Party {
        let known = if self.name.is_empty() { Text::parse(name).unwrap_or_default() } else { self.name.clone() };
        Party {
            name: known,
            tax_number: self.tax_number.clone(),
            register_number: self.register_number.clone(),
            address: self.address.clone(),
            representative: self.representative.clone(),
            position: self.position.clone(),
            authority: self.authority.clone(),
        }
    }
}
