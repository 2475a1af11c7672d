//! The terminal that the program runs in: signals, and what is shown while it works.

pub mod interrupt;
#[cfg(feature = "networks")]
pub mod progress;
pub mod pulse;
