//! Failed authentications: some at once from one source, then one a second. A token bucket for each.

use super::door::Source;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The buckets of all sources that failed lately.
pub struct Throttle {
    size: f64,
    sources: usize,
    buckets: Mutex<HashMap<Source, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Throttle {
    /// So many failures at once, remembered of so many sources.
    pub fn new(failures: u32, sources: usize) -> Self {
        Self { size: f64::from(failures), sources, buckets: Mutex::default() }
    }

    /// Whether a source may try now; otherwise after so many ms.
    pub fn allows(&self, source: Source, now: Instant) -> Result<(), u64> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let left = buckets.get(&source).map_or(self.size, |bucket| bucket.left_at(now, self.size));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        if left < 1.0 { Err(((1.0 - left) * 1000.0).ceil().max(1.0) as u64) } else { Ok(()) }
    }

    /// A source failed.
    pub fn failed(&self, source: Source, now: Instant) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let left = buckets.get(&source).map_or(self.size, |bucket| bucket.left_at(now, self.size));
        let new = !buckets.contains_key(&source);
        if new && buckets.len() >= self.sources {
            buckets.retain(|_, bucket| bucket.left_at(now, self.size) < self.size);
        }
        if new
            && buckets.len() >= self.sources
            && let Some(oldest) = buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(source, _)| *source)
        {
            buckets.remove(&oldest);
        }
        buckets.insert(source, Bucket { left: (left - 1.0).max(0.0), at: now });
    }
}

impl Bucket {
    fn left_at(self, now: Instant, size: f64) -> f64 {
        (self.left + now.saturating_duration_since(self.at).as_secs_f64()).min(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_source_that_failed_too_often_waits_and_others_do_not() {
        let (throttle, start) = (Throttle::new(3, 2), Instant::now());
        let (bad, good) = (Source::Account(1), Source::Account(2));
        for _ in 0..3 {
            assert_eq!(throttle.allows(bad, start), Ok(()));
            throttle.failed(bad, start);
        }
        assert_eq!(throttle.allows(bad, start), Err(1000));
        assert_eq!(throttle.allows(good, start), Ok(()));
        assert_eq!(throttle.allows(bad, start + Duration::from_millis(400)), Err(600));
        let later = start + Duration::from_secs(1);
        assert_eq!(throttle.allows(bad, later), Ok(()));
        throttle.failed(bad, later);
        assert_eq!(throttle.allows(bad, later), Err(1000));
    }

    #[test]
    fn the_table_does_not_grow_without_end() {
        let (throttle, start) = (Throttle::new(3, 2), Instant::now());
        for account in 0..100 {
            throttle.failed(Source::Account(account), start);
        }
        assert_eq!(throttle.buckets.lock().unwrap().len(), 2);
    }
}
