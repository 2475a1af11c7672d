//! A comparison of learning-rate rules: a suite of problems and rules, its runs, and what came out of them.

mod outcome;
mod suite;
mod table;

pub use outcome::{Outcome, found};
pub use suite::{Case, Suite};
pub use table::{Comparison, Line, Mean};
