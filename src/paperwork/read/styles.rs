//! The styles whose text does not count: what is hidden, and what is struck through.

use super::archive::Archive;
use super::xml::{XmlError, attribute, elements, is_on};
use std::collections::{HashMap, HashSet};

/// How many styles may stand on one another.
const CHAIN_MAX: usize = 32;

/// What formatting says of a text; none where it says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Looks {
    pub hidden: Option<bool>,
    pub struck: Option<bool>,
}

impl Looks {
    /// Takes a property, by name.
    pub fn set(&mut self, name: &str, on: bool) {
        let place = match name {
            "vanish" => &mut self.hidden,
            "strike" | "dstrike" => &mut self.struck,
            _ => return,
        };
        // Single and double are two properties: «strike» on and «dstrike» off is struck.
        *place = Some(*place == Some(true) || on);
    }

    /// What holds where this stands above another.
    pub fn over(self, below: Self) -> Self {
        Self { hidden: self.hidden.or(below.hidden), struck: self.struck.or(below.struck) }
    }
}

/// The styles that hide or strike.
#[derive(Default, Debug)]
pub struct Styles {
    hidden: HashSet<String>,
    struck: HashSet<String>,
}

impl Styles {
    /// What a style says.
    pub fn looks(&self, style: &str) -> Looks {
        let on = |set: &HashSet<String>| set.contains(style).then_some(true);
        Looks { hidden: on(&self.hidden), struck: on(&self.struck) }
    }
}

/// Reads the part of the styles.
///
/// # Errors
/// [`XmlError`].
pub fn read(archive: &mut Archive<'_>, part: &str) -> Result<Styles, XmlError> {
    let mut own: HashMap<String, (Looks, Option<String>)> = HashMap::new();
    let mut current = String::new();
    elements(archive, part, |start| match start.local_name().as_ref() {
        "style" => current = attribute(start, "styleId").unwrap_or_default(),
        "basedOn" => own.entry(current.clone()).or_default().1 = attribute(start, "val"),
        name @ ("vanish" | "strike" | "dstrike") => {
            own.entry(current.clone()).or_default().0.set(name, is_on(start));
        }
        _ => {}
    })?;
    let mut styles = Styles::default();
    for style in own.keys() {
        let mut looks = Looks::default();
        let mut next = Some(style);
        for _ in 0..CHAIN_MAX {
            let Some((here, below)) = next.and_then(|style| own.get(style)) else { break };
            looks = looks.over(*here);
            next = below.as_ref();
        }
        if looks.hidden == Some(true) {
            styles.hidden.insert(style.clone());
        }
        if looks.struck == Some(true) {
            styles.struck.insert(style.clone());
        }
    }
    Ok(styles)
}
