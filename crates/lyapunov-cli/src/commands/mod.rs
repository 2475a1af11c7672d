//! The commands, each with its arguments beside it.

pub mod check;
pub mod compare_rates;
pub mod completions;
pub mod config;
pub mod data;
pub mod exponents;
pub mod export;
pub mod fetch;
pub mod list;
pub mod man;
pub mod measure;
pub mod report;
pub mod reproduce;
pub mod show;
pub mod suggest_rate;
pub mod sweep;
pub mod train;
pub mod twin;
pub mod verify;
pub mod watch;

use std::io::{self, Write};

use crate::error::Result;

/// Writes all of it to standard output.
fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}
