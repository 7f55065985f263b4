//! Wires the rooms together: hands the in-process broker to the member's program behind a trait of `api`.
#![forbid(unsafe_code)]

use mandatum::agent::revocation::Wire;
use mandatum::agent::{KernelKeys, System};
use mandatum::api::Host;
use mandatum::cli::{Cli, Edge, OWNER_COMMAND, RealTerminal, hand_over, lock_memory, over_network, own_from_stdin};
use mandatum::host::{LocalHost, SystemClock};
use mandatum::model::Clock;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    harden();
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(OWNER_COMMAND) {
        lock_memory();
        let seconds = args.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        return ExitCode::from(u8::try_from(own_from_stdin(seconds)).unwrap_or(1));
    }
    let cli = match Cli::parse_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    if cli.stays() {
        lock_memory();
    }
    let (clock, entropy): (Arc<dyn Clock>, Arc<System>) = (Arc::new(SystemClock), Arc::new(System));
    let host = LocalHost { clock: Arc::clone(&clock), entropy: entropy.clone(), keys: None };
    // The demo runs the same program on a vault of its own, against a clock it can move.
    let demo = |clock: Arc<dyn Clock>, work: &mut dyn FnMut(&dyn Host)| {
        work(&LocalHost { clock, entropy: Arc::new(System), keys: None });
    };
    let mut edge = Edge {
        host: &host,
        clock,
        entropy,
        session_keys: Arc::new(KernelKeys),
        terminal: &mut RealTerminal,
        wait: &std::thread::sleep,
        wire: Wire::new,
        reach: &over_network,
        hand_over,
        demo: Some(&demo),
    };
    ExitCode::from(cli.run(&mut edge))
}

/// No core dumps, and no other process of this account reads this one's memory.
fn harden() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
