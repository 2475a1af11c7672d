//! `lyapunov config`: the commented default configuration.

use super::print;
use crate::{config::DEFAULTS, error::Result};

/// Prints the default configuration.
pub fn execute() -> Result<()> {
    print(DEFAULTS.as_bytes())
}
