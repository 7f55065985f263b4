//! Instants, dates in the operator's zone, and terms.
//!
//! «до» and «по» a date are inclusive: a term ends at 00:00 of the next day in the operator's zone. Inside, terms are
//! half-open UTC intervals `[from, until)`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Instant(pub i64);

impl Instant {
    /// The latest instant there is: for what does not end.
    pub const MAX: Self = Self(i64::MAX);
    /// This long after, in milliseconds; stops at the ends of the range.
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
    /// Milliseconds since the earlier one (negative if it is later).
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
    /// A time as RFC 3339 writes it, with an offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.trim().parse::<jiff::Timestamp>().ok().map(|at| Self(at.as_millisecond()))
    }
    /// Seconds since the Unix epoch, for RFC 6238; 0 before it.
    pub fn unix_seconds(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or(0)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => f.pad(&at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            Err(_) => f.pad("never"),
        }
    }
}

/// How long this machine has run: a second witness for the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Uptime {
    /// Names one boot of the machine.
    pub boot: u64,
    /// Milliseconds since that boot.
    pub ms: i64,
}

/// The latest time that was believed, with the machine's uptime then. Kept in the anchor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HighWater {
    /// The wall clock then.
    pub at: Instant,
    /// The uptime then.
    pub uptime: Uptime,
}

/// Where time comes from. The edge passes the machine's; tests and the demo pass their own.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Instant;
    /// The time since the machine was started.
    fn uptime(&self) -> Uptime;
}

/// A civil date, written `2026-12-31`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(jiff::civil::Date);

impl FromStr for Date {
    type Err = TermError;

    /// `2026-12-31` or, as it is written in Russia, `31.12.2026`. Never month first; never rolled over.
    fn from_str(text: &str) -> Result<Self, TermError> {
        let bad = || TermError::Date(text.chars().take(40).collect());
        let numbers = |separator: char| -> Option<Vec<i16>> {
            let parts: Vec<&str> = text.trim().split(separator).collect();
            let digits = parts.iter().all(|p| !p.is_empty() && p.len() <= 4 && p.bytes().all(|b| b.is_ascii_digit()));
            (parts.len() == 3 && digits).then(|| parts.iter().filter_map(|p| p.parse().ok()).collect())
        };
        let (year, month, day) = match (numbers('-').as_deref(), numbers('.').as_deref()) {
            (Some(&[y, m, d]), _) | (None, Some(&[d, m, y])) => (y, m, d),
            _ => return Err(bad()),
        };
        if !(2000..=2199).contains(&year) {
            return Err(bad());
        }
        let small = |n: i16| i8::try_from(n).map_err(|_| bad());
        jiff::civil::Date::new(year, small(month)?, small(day)?).map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}
impl TryFrom<String> for Date {
    type Error = TermError;
    fn try_from(text: String) -> Result<Self, TermError> {
        text.parse()
    }
}
impl From<Date> for String {
    fn from(date: Date) -> String {
        date.to_string()
    }
}

/// What machines keep beside the zones of the IANA database: their own zone, and none.
const NO_ZONES: &[&str] = &["localtime", "posixrules", "Factory", "Etc/Unknown"];

/// A time zone of the IANA database, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(String);

impl Zone {
    /// Parses a name such as `Europe/Moscow`.
    pub fn parse(name: &str) -> Result<Self, TermError> {
        let zone = Self(name.to_owned());
        zone.zone().map_err(|_| TermError::Zone(name.chars().take(40).collect()))?;
        Ok(zone)
    }
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self("UTC".to_owned())
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The first instant of a date there: 00:00, or the first instant after a gap where the clocks skip midnight.
    pub fn start_of(&self, date: Date) -> Result<Instant, TermError> {
        let zone = self.zone()?;
        let start = date.0.to_zoned(zone).map_err(|_| TermError::Date(date.to_string()))?;
        Ok(Instant(start.timestamp().as_millisecond()))
    }
    /// The first instant after a date there: «до» and «по» are inclusive.
    pub fn end_of(&self, date: Date) -> Result<Instant, TermError> {
        let next = date.0.tomorrow().map_err(|_| TermError::Date(date.to_string()))?;
        self.start_of(Date(next))
    }
    /// The date there at an instant.
    pub fn date_of(&self, at: Instant) -> Option<Date> {
        let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
        Some(Date(at.to_zoned(self.zone().ok()?).date()))
    }
    /// Date and time there, for people: `2026-03-01 09:30`.
    pub fn show(&self, at: Instant) -> String {
        let shown = jiff::Timestamp::from_millisecond(at.0).ok().zip(self.zone().ok());
        shown.map_or_else(|| "never".to_owned(), |(at, zone)| at.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string())
    }
    fn zone(&self) -> Result<jiff::tz::TimeZone, TermError> {
        if NO_ZONES.iter().any(|name| self.0.eq_ignore_ascii_case(name)) {
            return Err(TermError::Zone(self.0.clone()));
        }
        // UTC needs no search through the machine's zone files.
        if self.0 == "UTC" {
            return Ok(jiff::tz::TimeZone::UTC);
        }
        jiff::tz::TimeZone::get(&self.0).map_err(|_| TermError::Zone(self.0.clone()))
    }
}

impl TryFrom<String> for Zone {
    type Error = TermError;
    fn try_from(name: String) -> Result<Self, TermError> {
        // Names were checked when they entered; a record is folded without opening the zone database again.
        if name.len() > 64 { Err(TermError::Zone(name.chars().take(40).collect())) } else { Ok(Self(name)) }
    }
}
impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.0
    }
}

/// Why a date, zone or term is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// Not a date.
    #[error("'{0}' is not a date; write 2026-12-31 or 31.12.2026")]
    Date(String),
    /// Not a time zone.
    #[error("'{0}' is not a time zone; write a name such as Europe/Moscow")]
    Zone(String),
    /// Ends before it begins.
    #[error("the term ends {until} before it begins {from}")]
    Reversed {
        /// First day.
        from: Date,
        /// Last day.
        until: Date,
    },
}

/// A half-open UTC interval `[from, until)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// The first instant inside.
    pub from: Instant,
    /// The first instant after.
    pub until: Instant,
}

impl Term {
    /// From the first to the last day, both inclusive, in a zone.
    pub fn of_days(from: Date, until: Date, zone: &Zone) -> Result<Self, TermError> {
        if until < from {
            return Err(TermError::Reversed { from, until });
        }
        Ok(Self { from: zone.start_of(from)?, until: zone.end_of(until)? })
    }
    /// Whether an instant is inside.
    pub fn contains(&self, at: Instant) -> bool {
        self.from <= at && at < self.until
    }
    /// Whether all of this is inside the other; nothing lies in a term that ends before it begins.
    pub fn within(&self, outer: &Term) -> bool {
        self.from < self.until && outer.from <= self.from && self.until <= outer.until
    }
    /// What both have in common, if anything.
    pub fn meet(&self, other: &Term) -> Option<Term> {
        let term = Term { from: self.from.max(other.from), until: self.until.min(other.until) };
        (term.from < term.until).then_some(term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_in_a_reversed_or_empty_term() {
        let term = |from, until| Term { from: Instant(from), until: Instant(until) };
        assert!(term(1, 2).within(&term(0, 3)) && term(0, 3).within(&term(0, 3)));
        assert!(!term(2, 2).within(&term(0, 3)) && !term(2, 1).within(&term(0, 3)));
    }

    fn term(from: &str, until: &str, zone: &str) -> Term {
        Term::of_days(from.parse().unwrap(), until.parse().unwrap(), &Zone::parse(zone).unwrap()).unwrap()
    }

    /// The edge of the last day, written as UTC by hand.
    #[test]
    fn the_last_day_is_inclusive_in_its_own_zone() {
        for (zone, until, utc_end) in [
            ("Europe/Moscow", "31.12.2026", "2026-12-31T21:00:00Z"),
            ("Asia/Kamchatka", "2026-12-31", "2026-12-31T12:00:00Z"),
            ("Europe/Berlin", "2026-03-29", "2026-03-29T22:00:00Z"), // the day is 23 hours long
            ("Europe/Berlin", "2026-10-25", "2026-10-25T23:00:00Z"), // and this one 25
            ("America/Havana", "2026-03-07", "2026-03-08T05:00:00Z"), // the next day begins at 01:00
        ] {
            let until = term("2026-01-01", until, zone).until;
            assert_eq!(until.to_string(), utc_end, "{zone}");
        }
    }

    /// What would be another zone on each machine, or none, is no zone; nor is what only describes one.
    #[test]
    fn a_zone_is_a_name_of_the_database() {
        for zone in ["Europe/Moscow", "europe/MOSCOW", "UTC", "utc", "EST5EDT", "Etc/GMT+3"] {
            assert!(Zone::parse(zone).is_ok(), "{zone}");
        }
        for none in
            ["localtime", "LocalTime", "posixrules", "Factory", "factory", "Etc/Unknown", "posix/UTC", "right/UTC"]
        {
            assert!(Zone::parse(none).is_err(), "{none}");
        }
        for none in ["", "<+03>-3", "EST5EDT,M3.2.0,M11.1.0", "+03:00", "Europe/Moscow ", "America/New_Yor\u{212A}"] {
            assert!(Zone::parse(none).is_err(), "{none}");
        }
    }

    #[test]
    fn dates_are_day_first_or_iso_and_never_rolled_over() {
        assert_eq!("30.11.2026".parse::<Date>(), "2026-11-30".parse());
        for bad in ["11/30/2026", "31.02.2027", "2026-13-01", "1.1.26", "0x7-1-1", "2026-11-30 ", "", "2026-11-30-1"] {
            let parsed = bad.parse::<Date>();
            assert!(parsed.is_err() || bad.ends_with(' '), "{bad} gave {parsed:?}");
        }
    }

    #[test]
    fn terms_meet_as_intervals_do() {
        let long = term("2026-01-01", "2026-12-31", "Europe/Moscow");
        let short = term("2026-06-01", "2027-06-01", "Europe/Moscow");
        let both = long.meet(&short).unwrap();
        assert!(both.within(&long) && both.within(&short) && !short.within(&long));
        assert!(both.contains(both.from) && !both.contains(both.until));
        assert_eq!(term("2026-01-01", "2026-01-01", "UTC").meet(&term("2026-01-02", "2026-01-02", "UTC")), None);
    }
}
