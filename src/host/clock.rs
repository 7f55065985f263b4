//! The machine's clock: the one place where time is read.

use crate::model::{Clock, Instant, Uptime};
use std::sync::OnceLock;

/// Wall clock and uptime of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the edge")]
    fn now(&self) -> Instant {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Instant(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn uptime(&self) -> Uptime {
        read_uptime().unwrap_or(Uptime { boot: 0, ms: 0 })
    }
}

/// From the kernel, on Linux. Elsewhere no uptime is known, and every long pause is a jump that the owner confirms.
fn read_uptime() -> Option<Uptime> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    // No process outlives a boot.
    static BOOT: OnceLock<Option<u64>> = OnceLock::new();
    let boot = (*BOOT.get_or_init(read_boot))?;
    #[expect(clippy::cast_possible_truncation, reason = "an uptime in ms fits")]
    Some(Uptime { boot, ms: (seconds * 1000.0) as i64 })
}

fn read_boot() -> Option<u64> {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let hex: String = boot_id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&hex, 16).ok()
}
