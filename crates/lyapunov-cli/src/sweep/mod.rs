//! A sweep: a grid of configurations, planned once, carried out by any number of workers on any engine.
//!
//! A run of a sweep is found again by its identity, the hash of its resolved configuration, and belongs to whoever
//! holds the lock of its folder. So every task may be started at any time, any number of times, by anybody: it is made,
//! gone on with, or left alone.

mod axes;
mod driver;
mod engine;
mod plan;
mod standing;

pub use driver::{SweepOutcome, drive};
pub use engine::{Engine, Submission, largest_array};
pub use plan::{PLAN, Plan, Planned, Subjects, short};
pub use standing::{RunStatus, standings};
