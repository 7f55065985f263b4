//! Whether the wall clock can be believed (DESIGN.md 8).

use crate::model::{HighWater, Instant, Uptime};

/// The wall clock may be behind the high water by this much, ms: corrections by a time server.
const BEHIND_MAX: i64 = 2 * 60 * 1000;
/// The wall clock may run ahead of what the uptime explains by this much, ms.
const AHEAD_MAX: i64 = 48 * 60 * 60 * 1000;

/// What the clocks say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockReading {
    /// Believed; never behind the high water.
    Trusted(Instant),
    /// The wall clock stands behind the high water: nothing is released.
    Behind(Instant),
    /// The wall clock is ahead by more than the uptime explains: nothing is destroyed by time, and what ends soon is
    /// not released, until the owner confirms.
    Jumped(Instant),
}

impl ClockReading {
    /// The time decisions are made at.
    pub fn now(self) -> Instant {
        match self {
            Self::Trusted(at) | Self::Behind(at) | Self::Jumped(at) => at,
        }
    }

    /// Whether time alone may destroy keys now.
    pub fn may_destroy(self) -> bool {
        matches!(self, Self::Trusted(_))
    }

    /// Whether access that ends at `until` may be released now, as far as the clock goes.
    pub fn may_release(self, until: Instant) -> bool {
        match self {
            Self::Trusted(_) => true,
            Self::Behind(_) => false,
            Self::Jumped(now) => now.plus(AHEAD_MAX) < until,
        }
    }
}

/// Judges the wall clock by the high water and the uptime.
pub fn judge_clock(wall: Instant, uptime: Uptime, high: HighWater) -> ClockReading {
    let elapsed = wall.since(high.at);
    if elapsed < -BEHIND_MAX {
        return ClockReading::Behind(high.at);
    }
    let running = if uptime.boot == high.uptime.boot { uptime.ms.saturating_sub(high.uptime.ms) } else { uptime.ms };
    if elapsed.saturating_sub(running.max(0)) > AHEAD_MAX {
        return ClockReading::Jumped(wall);
    }
    ClockReading::Trusted(wall.max(high.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const HIGH: HighWater = HighWater { at: Instant(1_000 * HOUR), uptime: Uptime { boot: 1, ms: 10 * HOUR } };

    fn at(hours: i64, boot: u64, up: i64) -> ClockReading {
        judge_clock(Instant(hours * HOUR), Uptime { boot, ms: up * HOUR }, HIGH)
    }

    #[test]
    fn backwards_is_denied_beyond_two_minutes() {
        let minutes = |m: i64| judge_clock(HIGH.at.plus(-m * 60_000), HIGH.uptime, HIGH);
        assert_eq!(minutes(2), ClockReading::Trusted(HIGH.at));
        assert_eq!(minutes(3), ClockReading::Behind(HIGH.at));
        assert!(!minutes(3).may_release(Instant::MAX) && !minutes(3).may_destroy());
        assert!(minutes(2).may_release(Instant(0)) && minutes(2).may_destroy());
    }

    #[test]
    fn forwards_is_believed_as_far_as_the_uptime_explains_it() {
        assert_eq!(at(1_048, 1, 10), ClockReading::Trusted(Instant(1_048 * HOUR)));
        assert_eq!(at(1_049, 1, 10), ClockReading::Jumped(Instant(1_049 * HOUR)));
        assert_eq!(at(1_500, 1, 510), ClockReading::Trusted(Instant(1_500 * HOUR)));
        // Another boot explains only what it ran itself.
        assert_eq!(at(1_100, 2, 60), ClockReading::Trusted(Instant(1_100 * HOUR)));
        assert_eq!(at(1_100, 2, 1), ClockReading::Jumped(Instant(1_100 * HOUR)));
    }

    #[test]
    fn a_jump_holds_what_ends_soon_and_destroys_nothing() {
        let reading = at(88_600, 1, 11);
        assert!(!reading.may_destroy());
        assert!(!reading.may_release(Instant(88_600 * HOUR)));
        assert!(!reading.may_release(Instant(88_648 * HOUR)));
        assert!(reading.may_release(Instant(88_649 * HOUR)));
    }
}
