//! Who may do what, and when: pure, so that every rule can be tested as a table.
//!
//! Guarantees: [`decide`] is the only maker of a [`Permit`], and without a permit nothing is released. No I/O, no
//! clock, no keys: what it judges is passed in.

mod clock;
mod decide;
mod matrix;

pub use clock::{ClockReading, judge_clock};
pub use decide::{Permit, Purpose, Situation, decide};
pub use matrix::{Scope, needs_step_up, reach, scope_of};
