//! How fast one member may ask.
//!
//! Counted after the signature was verified: nobody slows another member down by asking in their name.

use crate::model::{Clock, MemberId};
use std::collections::HashMap;

/// A bound on one member's requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// So many at once.
    pub burst: u32,
    /// And so many a second from then on.
    pub per_second: u32,
}

impl Pace {
    /// No bound: where a member's own process is the broker.
    pub const FREE: Pace = Pace { burst: u32::MAX, per_second: u32::MAX };
}

/// What members have left of their pace.
#[derive(Default)]
pub struct Paces(HashMap<MemberId, Left>);

struct Left {
    /// Thousandths of a request.
    requests: u64,
    /// Uptime, ms.
    at: i64,
}

impl Paces {
    /// Counts one request; how many ms to wait where there is none left.
    pub fn count(&mut self, member: MemberId, pace: Pace, clock: &dyn Clock) -> Result<(), u64> {
        if pace == Pace::FREE {
            return Ok(());
        }
        let (at, full) = (clock.uptime().ms, u64::from(pace.burst) * 1000);
        let left = self.0.entry(member).or_insert(Left { requests: full, at });
        let passed = u64::try_from(at.saturating_sub(left.at)).unwrap_or(0);
        left.requests = full.min(left.requests.saturating_add(passed.saturating_mul(u64::from(pace.per_second))));
        left.at = at;
        match left.requests.checked_sub(1000) {
            Some(requests) => {
                left.requests = requests;
                Ok(())
            }
            None => Err((1000 - left.requests).div_ceil(u64::from(pace.per_second.max(1)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Instant, Uptime};

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Instant {
            Instant(0)
        }
        fn uptime(&self) -> Uptime {
            Uptime { boot: 1, ms: self.0 }
        }
    }

    #[test]
    fn a_burst_then_so_many_a_second_for_each_member_alone() {
        let (pace, mut paces) = (Pace { burst: 3, per_second: 2 }, Paces::default());
        let (fast, other) = (MemberId([1; 16]), MemberId([2; 16]));
        assert!((0..3).all(|_| paces.count(fast, pace, &At(0)).is_ok()));
        assert_eq!(paces.count(fast, pace, &At(0)), Err(500));
        assert_eq!(paces.count(other, pace, &At(0)), Ok(()));
        assert_eq!(paces.count(fast, pace, &At(499)), Err(1));
        assert_eq!(paces.count(fast, pace, &At(500)), Ok(()));
        assert!((0..3).all(|_| paces.count(fast, pace, &At(1_000_000)).is_ok()));
        assert!(paces.count(fast, pace, &At(1_000_000)).is_err());
    }
}
