//! A deterministic simulator: members, leads and an owner at two brokers of one vault, on a machine that fails, with a
//! clock that lies and a database that somebody edits. Every step is drawn from one number, and after it everything
//! must be as a naive model says.

mod access;
mod broken;
mod damage;
mod dice;
mod evil;
mod hostile;
mod kit;
#[path = "../machine/mod.rs"]
mod machine;
mod mandates;
mod model;
mod oracles;
mod retrieval;
mod steps;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use world::{Counts, World};

/// Steps of most seeds, and of each eighth: many short lives, and some in which much comes together.
const STEPS: [u64; 2] = [10, 40];
/// Seeds of one run, where nobody asks for more.
const SEEDS: u64 = 2000;

thread_local! {
    /// Where this thread's seed failed.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs one seed to its end; the steps, and what was wrong.
fn run(seed: u64) -> (Vec<String>, Counts, Option<String>) {
    let mut world = World::found(seed);
    let done = catch_unwind(AssertUnwindSafe(|| {
        steps::prologue(&mut world);
        let many = number("MANDATUM_STEPS").unwrap_or(STEPS[usize::from(seed.is_multiple_of(8))]);
        (0..many).for_each(|_| steps::step(&mut world));
        world.the_end();
    }));
    let flaw = done.err().map(|_| PLACE.take());
    (world.steps, world.counts, flaw)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn whatever_happens_the_promises_hold() {
    let (first, many) = match number("MANDATUM_SEED") {
        Some(seed) => (seed, 1),
        None => (number("MANDATUM_FIRST_SEED").unwrap_or(0), number("MANDATUM_SEEDS").unwrap_or(SEEDS)),
    };
    std::panic::set_hook(Box::new(|panic| PLACE.set(panic.to_string())));
    let (next, failed, total) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(Counts::new()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 8);
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !failed.load(Ordering::SeqCst) || std::env::var_os("MANDATUM_GO_ON").is_some() {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + many {
                        break;
                    }
                    let (steps, counts, flaw) = run(seed);
                    counts.iter().for_each(|(what, many)| *total.lock().unwrap().entry(what).or_default() += many);
                    if many == 1 && flaw.is_none() {
                        println!("{}", steps.join("\n"));
                    }
                    if let Some(flaw) = flaw {
                        failed.store(true, Ordering::SeqCst);
                        let replay =
                            format!("MANDATUM_SEED={seed} cargo test --test simulator -- --nocapture whatever");
                        println!("seed {seed}:\n{}\n{flaw}\nreplay: {replay}", steps.join("\n"));
                    }
                }
            });
        }
    });
    println!("{many} seeds in {:?}: {:?}", began.elapsed(), total.lock().unwrap());
    drop(std::panic::take_hook());
    assert!(!failed.load(Ordering::SeqCst), "a promise did not hold; the seed and its steps stand above");
}

/// The same seed takes the same steps to the same end: a failure can be looked at again.
#[test]
fn a_seed_replays() {
    for seed in [3, 4] {
        assert_eq!(run(seed).0, run(seed).0, "seed {seed}");
    }
}
