//! The platforms the vault knows: names, kinds of access, how access is taken back. Data, not code.
//!
//! `data/platforms.toml` is built in; an agency's own file adds platforms or replaces them by slug. Names are looked
//! up whole, after look-alike letters are folded; a name that may mean two platforms is answered as such.

use super::lang::Phrase;
use super::read::text;
use crate::model::{Date, Kind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const BUILT_IN: &str = include_str!("data/platforms.toml");
/// The ladder's ranks: from this one on, a secret must be replaced when its term ends.
const ROTATE_FROM: u8 = 5;

/// What a platform is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Customer relations.
    Crm,
    /// Forms of a web site.
    SiteForm,
    /// Chat bots, messengers, communities.
    Messenger,
    /// Advertising.
    AdPlatform,
    /// Counters and call tracking.
    Analytics,
    /// Mailings.
    Mailing,
    /// Marketplaces.
    Marketplace,
}

impl Category {
    /// The name in files and records.
    pub fn name(self) -> &'static str {
        match self {
            Category::Crm => "crm",
            Category::SiteForm => "site_form",
            Category::Messenger => "messenger",
            Category::AdPlatform => "ad_platform",
            Category::Analytics => "analytics",
            Category::Mailing => "mailing",
            Category::Marketplace => "marketplace",
        }
    }
}

/// What second factor a platform offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// An authenticator app.
    Totp,
    /// SMS, push or mail.
    Sms,
    /// Its own app.
    Proprietary,
    /// Nobody has checked.
    Unknown,
    /// There is none.
    None,
}

/// One kind of access with its place on the ladder: 1 is best, 6 worst.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The credential's kind.
    pub kind: Kind,
    /// 1 to 6.
    pub rank: u8,
}

impl Access {
    /// Whether the secret must be replaced when the term ends.
    pub fn must_rotate(&self) -> bool {
        self.rank >= ROTATE_FROM
    }
}

/// One platform.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Its identifier.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// What else it is called, in both languages.
    pub aliases: Vec<String>,
    /// Where one logs in; empty where it is not known.
    pub login: String,
    /// What it is for.
    pub category: Category,
    /// Kinds of access, best first where the source says.
    pub access: Vec<Access>,
    /// Second factors.
    pub second_factor: Vec<Factor>,
    /// The access without a secret to prefer.
    pub delegated: Phrase,
    /// How access is taken back, step by step.
    pub revoke: Vec<Phrase>,
    /// Its access levels.
    pub levels: Phrase,
    /// Short marks: `ru`, `foreign`, `localisation`, `ad_law`, `meta`.
    #[serde(default)]
    pub flags: BTreeSet<String>,
    /// What to know before taking access.
    #[serde(default)]
    pub warnings: Vec<Phrase>,
    /// A revocation endpoint in the form of RFC 7009. Its answer 200 proves nothing about the token.
    #[serde(default)]
    pub rfc7009: Option<String>,
    /// A harmless call that answers 401 once a token is dead.
    #[serde(default)]
    pub probe: Option<String>,
    /// When it was checked; the file's date where it is not given.
    #[serde(default)]
    pub as_of: Option<Date>,
}

/// What to do on a platform that is not listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generic {
    /// The access to prefer.
    pub delegated: Phrase,
    /// How access is taken back.
    pub revoke: Vec<Phrase>,
}

/// A rung of the ladder of access kinds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// 1 to 6.
    pub rank: u8,
    /// Its name.
    pub name: String,
    /// What it is.
    pub text: Phrase,
}

/// Words a category is written by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryWords {
    /// Which.
    pub slug: Category,
    /// Its name.
    pub name: Phrase,
    /// Words and phrases.
    pub words: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ambiguous {
    alias: String,
    may_be: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    as_of: Date,
    #[serde(default)]
    ladder: Vec<Rung>,
    #[serde(default)]
    unknown: Option<Generic>,
    #[serde(default)]
    category: Vec<CategoryWords>,
    #[serde(default)]
    ambiguous: Vec<Ambiguous>,
    #[serde(default)]
    platform: Vec<Platform>,
}

/// Why a catalogue is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// Not TOML, or not this shape.
    #[error("the catalogue is not as it is written: {0}")]
    Form(String),
    /// A value that cannot be.
    #[error("platform '{slug}': {field} {what}")]
    Value {
        /// Which platform.
        slug: String,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// One name, two platforms.
    #[error("'{alias}' names both '{first}' and '{second}'; keep it with one, or list it under [[ambiguous]]")]
    Twice {
        /// The name.
        alias: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// The words to fall back on are missing.
    #[error("the catalogue has no {0}")]
    Missing(&'static str),
}

/// What a name was found to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// One platform.
    Platform(&'a Platform),
    /// It may be any of these.
    Ambiguous(Vec<&'a Platform>),
    /// Not listed: the steps that hold anywhere.
    Unknown(&'a Generic),
}

/// The platforms.
#[derive(Clone, Debug)]
pub struct Catalogue {
    as_of: Date,
    ladder: Vec<Rung>,
    unknown: Generic,
    categories: Vec<CategoryWords>,
    ambiguous: BTreeMap<String, Vec<String>>,
    platforms: Vec<Platform>,
    names: BTreeMap<String, String>,
}

impl Catalogue {
    /// The catalogue that comes with the program.
    ///
    /// # Errors
    /// [`CatalogueError`], which a test rules out for the file that is built in.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::parse(BUILT_IN)
    }

    /// A whole catalogue.
    ///
    /// # Errors
    /// [`CatalogueError`] naming the platform and the field.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let file = read_file(text)?;
        let unknown = file.unknown.ok_or(CatalogueError::Missing("[unknown] steps"))?;
        let made = Self {
            as_of: file.as_of,
            ladder: file.ladder,
            unknown,
            categories: file.category,
            ambiguous: fold_ambiguous(file.ambiguous),
            platforms: file.platform,
            names: BTreeMap::new(),
        };
        made.checked()
    }

    /// This catalogue with an agency's own file over it: platforms are added or replaced by slug.
    ///
    /// # Errors
    /// [`CatalogueError`] naming the platform and the field.
    pub fn with_override(mut self, text: &str) -> Result<Self, CatalogueError> {
        let file = read_file(text)?;
        for mut platform in file.platform {
            platform.as_of = platform.as_of.or(Some(file.as_of));
            match self.platforms.iter_mut().find(|known| known.slug == platform.slug) {
                Some(known) => *known = platform,
                None => self.platforms.push(platform),
            }
        }
        for words in file.category {
            match self.categories.iter_mut().find(|known| known.slug == words.slug) {
                Some(known) => *known = words,
                None => self.categories.push(words),
            }
        }
        self.ambiguous.append(&mut fold_ambiguous(file.ambiguous));
        self.unknown = file.unknown.unwrap_or(self.unknown);
        self.checked()
    }

    /// When it was written.
    pub fn as_of(&self) -> Date {
        self.as_of
    }

    /// Every platform.
    pub fn platforms(&self) -> &[Platform] {
        &self.platforms
    }

    /// The categories with their words.
    pub fn categories(&self) -> &[CategoryWords] {
        &self.categories
    }

    /// The ladder of access kinds, best first.
    pub fn ladder(&self) -> &[Rung] {
        &self.ladder
    }

    /// What to do on a platform that is not listed.
    pub fn generic(&self) -> &Generic {
        &self.unknown
    }

    /// A platform by its slug.
    pub fn platform(&self, slug: &str) -> Option<&Platform> {
        self.platforms.iter().find(|platform| platform.slug == slug)
    }

    /// A platform by a name it goes by: whole, after look-alike letters are folded.
    pub fn find(&self, name: &str) -> Found<'_> {
        let name = text::words(&text::unmix(name).0);
        if let Some(slugs) = self.ambiguous.get(&name) {
            return Found::Ambiguous(slugs.iter().filter_map(|slug| self.platform(slug)).collect());
        }
        let slug = self.names.get(&name).map_or(name.as_str(), String::as_str);
        self.platform(slug).map_or(Found::Unknown(&self.unknown), Found::Platform)
    }

    /// Every name in a text with what it means; the longest name wins where several begin.
    pub(super) fn names_in<'a>(&'a self, words: &[&str]) -> Named<'a> {
        let mut named = Named::default();
        let mut at = 0;
        while at < words.len() {
            let longest = (1..=6.min(words.len() - at)).rev().find_map(|length| {
                let name = words.get(at..at + length)?.join(" ");
                self.meaning(&name).map(|meaning| (length, meaning))
            });
            match longest {
                Some((length, meaning)) => {
                    named.add(meaning);
                    at += length;
                }
                None => {
                    named.rest.push(words.get(at).copied().unwrap_or("").to_owned());
                    at += 1;
                }
            }
        }
        named
    }

    fn meaning(&self, name: &str) -> Option<Meaning<'_>> {
        if let Some(slug) = self.names.get(name) {
            return self.platform(slug).map(Meaning::Platform);
        }
        if let Some(slugs) = self.ambiguous.get(name) {
            return Some(Meaning::Ambiguous(slugs));
        }
        let words = self.categories.iter().find(|category| category.words.iter().any(|word| word == name));
        words.map(|category| Meaning::Category(category.slug))
    }

    fn checked(mut self) -> Result<Self, CatalogueError> {
        for category in &mut self.categories {
            category.words = category.words.iter().map(|word| text::words(word)).collect();
        }
        self.names.clear();
        let mut slugs = BTreeSet::new();
        for platform in &self.platforms {
            check_platform(platform)?;
            if !slugs.insert(&platform.slug) {
                let (first, second) = (platform.slug.clone(), platform.slug.clone());
                return Err(CatalogueError::Twice { alias: platform.slug.clone(), first, second });
            }
            for alias in platform.aliases.iter().chain([&platform.name]) {
                let alias = text::words(alias);
                let before = self.names.insert(alias.clone(), platform.slug.clone());
                if let Some(first) = before.filter(|slug| *slug != platform.slug) {
                    return Err(CatalogueError::Twice { alias, first, second: platform.slug.clone() });
                }
            }
        }
        for (alias, slugs) in &self.ambiguous {
            let stray = slugs.iter().find(|slug| self.platform(slug).is_none());
            if let Some(slug) = stray {
                let what = format!("names '{slug}', which is not listed");
                return Err(CatalogueError::Value { slug: alias.clone(), field: "may_be", what });
            }
        }
        Ok(self)
    }
}

enum Meaning<'a> {
    Platform(&'a Platform),
    Ambiguous(&'a [String]),
    Category(Category),
}

/// What the words of a text name.
#[derive(Default, Debug)]
pub(super) struct Named<'a> {
    pub platforms: Vec<&'a Platform>,
    pub ambiguous: Vec<&'a [String]>,
    pub categories: Vec<Category>,
    pub rest: Vec<String>,
}

impl<'a> Named<'a> {
    fn add(&mut self, meaning: Meaning<'a>) {
        match meaning {
            Meaning::Platform(platform) if self.platforms.iter().all(|known| known.slug != platform.slug) => {
                self.platforms.push(platform);
            }
            Meaning::Category(category) if !self.categories.contains(&category) => self.categories.push(category),
            Meaning::Ambiguous(slugs) => self.ambiguous.push(slugs),
            _ => {}
        }
    }
}

fn read_file(text: &str) -> Result<File, CatalogueError> {
    toml::from_str(text).map_err(|error| CatalogueError::Form(error.to_string()))
}

fn fold_ambiguous(list: Vec<Ambiguous>) -> BTreeMap<String, Vec<String>> {
    list.into_iter().map(|one| (text::words(&one.alias), one.may_be)).collect()
}

fn check_platform(platform: &Platform) -> Result<(), CatalogueError> {
    let bad = |field: &'static str, what: &str| {
        Err(CatalogueError::Value { slug: platform.slug.clone(), field, what: what.to_owned() })
    };
    let is_slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_url = |url: &Option<String>| url.as_ref().is_none_or(|url| url.starts_with("https://"));
    if platform.slug.is_empty() || !platform.slug.chars().all(is_slug) {
        return bad("slug", "must be of a–z, 0–9 and _");
    }
    if platform.name.trim().is_empty() {
        return bad("name", "is empty");
    }
    if platform.access.iter().any(|access| !(1..=6).contains(&access.rank)) {
        return bad("access", "has a rank outside 1 to 6");
    }
    if platform.second_factor.is_empty() {
        return bad("second_factor", "is empty; write [\"unknown\"]");
    }
    if platform.revoke.is_empty() || platform.revoke.iter().any(Phrase::is_incomplete) {
        return bad("revoke", "needs steps in both languages");
    }
    if platform.delegated.is_incomplete() || platform.levels.is_incomplete() {
        return bad("delegated, levels", "need a text in both languages");
    }
    if !platform.login.is_empty() && !platform.login.starts_with("https://") {
        return bad("login", "must begin with https://");
    }
    if !is_url(&platform.rfc7009) || !is_url(&platform.probe) {
        return bad("rfc7009, probe", "must begin with https://");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slug_of(catalogue: &Catalogue, name: &str) -> String {
        match catalogue.find(name) {
            Found::Platform(platform) => platform.slug.clone(),
            Found::Ambiguous(several) => several.iter().map(|p| p.slug.as_str()).collect::<Vec<_>>().join("|"),
            Found::Unknown(_) => "?".to_owned(),
        }
    }

    #[test]
    fn platforms_are_found_by_the_names_people_use() {
        let catalogue = Catalogue::built_in().unwrap();
        assert_eq!(catalogue.platforms().len(), 33);
        for (name, slug) in [
            ("Директ", "yandex_direct"),
            ("тильда", "tilda"),
            ("телеграм бот", "telegram_bot"),
            ("Telegram-бот", "telegram_bot"),
            ("Метрика", "yandex_metrica"),
            ("amоСRM", "amocrm"), // Cyrillic о and С
            ("ЯД", "yandex_direct"),
            ("Телеграм", "telegram_bot|telegram_channel"),
            ("наша админка", "?"),
            ("директор", "?"),
        ] {
            assert_eq!(slug_of(&catalogue, name), slug, "{name}");
        }
        assert!(matches!(catalogue.find("ЯД"), Found::Ambiguous(_)), "never taken for sure");
    }

    #[test]
    fn an_agency_adds_and_replaces_platforms() {
        let own = |slug: &str, alias: &str| {
            format!(
                "as_of = \"2026-05-01\"\n[[platform]]\nslug = \"{slug}\"\nname = \"Своя\"\naliases = [\"{alias}\"]\n\
                 login = \"\"\ncategory = \"crm\"\naccess = []\nsecond_factor = [\"unknown\"]\n\
                 delegated = {{ ru = \"а\", en = \"a\" }}\nrevoke = [{{ ru = \"а\", en = \"a\" }}]\n\
                 levels = {{ ru = \"а\", en = \"a\" }}\n"
            )
        };
        let built_in = Catalogue::built_in().unwrap();
        let added = built_in.clone().with_override(&own("own_panel", "наша админка")).unwrap();
        assert_eq!(slug_of(&added, "Наша админка"), "own_panel");
        let replaced = built_in.clone().with_override(&own("tilda", "тильда")).unwrap();
        assert_eq!(replaced.platforms().len(), 33);
        assert_eq!(replaced.platform("tilda").unwrap().as_of.unwrap().to_string(), "2026-05-01");
        let error = built_in.clone().with_override(&own("own_panel", "Директ")).unwrap_err().to_string();
        assert!(error.contains("директ") && error.contains("yandex_direct"), "{error}");
        let error = built_in.with_override(&own("Own Panel", "x")).unwrap_err().to_string();
        assert!(error.contains("Own Panel") && error.contains("slug"), "{error}");
    }
}
