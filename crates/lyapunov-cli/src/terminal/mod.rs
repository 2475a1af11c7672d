//! The terminal that the program runs in: signals, and what is shown while it works.

pub mod interrupt;
#[cfg(feature = "networks")]
pub mod progress;
pub mod pulse;

use std::io;

/// How many columns the terminal has that standard output goes to; `None` where it goes elsewhere.
pub fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into()).filter(|columns| *columns > 0)
}
