//! Memory of a process that stays, or that waits for a person, is kept out of swap.

/// Locks all pages, as they come into use: keys pass through heap and stack alike. All or none: under a limit a later
/// allocation would fail in the middle of work, deriving from a passphrase first of all. So this does nothing where the
/// account may not lock without a limit, and elsewhere than on Linux.
///
/// It takes as long as a tenth of a retrieval, so what answers at once does without: it is gone before it is swapped.
pub fn lock_memory() {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{MlockAllFlags, mlockall};
        use rustix::process::{Resource, getrlimit};
        use rustix::thread::{CapabilitySet, capabilities};
        static ONCE: std::sync::Once = std::sync::Once::new();
        let unlimited = || getrlimit(Resource::Memlock).current.is_none();
        let privileged = || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
        ONCE.call_once(|| {
            if unlimited() || privileged() {
                let _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
            }
        });
    }
}
