//! The commands, each with its arguments beside it.

pub mod completions;
pub mod exponents;
pub mod export;
pub mod list;
pub mod man;
mod parallel;
pub mod report;
pub mod show;
pub mod watch;

// Those of networks.
#[cfg(feature = "networks")]
pub mod check;
#[cfg(feature = "networks")]
pub mod compare_rates;
#[cfg(feature = "networks")]
pub mod config;
#[cfg(feature = "networks")]
pub mod data;
#[cfg(feature = "networks")]
pub mod fetch;
#[cfg(feature = "networks")]
pub mod measure;
#[cfg(feature = "networks")]
pub mod reproduce;
#[cfg(feature = "networks")]
pub mod scan;
#[cfg(feature = "networks")]
pub mod suggest_rate;
#[cfg(feature = "networks")]
pub mod sweep;
#[cfg(feature = "networks")]
pub mod train;
#[cfg(feature = "networks")]
pub mod twin;
#[cfg(feature = "networks")]
pub mod verify;

use std::{
    io::{self, Write},
    path::Path,
};

use crate::{
    error::{Error, Result},
    manifest::Manifest,
};

/// What reads a flag that takes a whole number of at least so much.
#[cfg(feature = "networks")]
fn at_least(least: u64) -> impl Fn(&str) -> std::result::Result<u64, String> + Clone {
    move |text| {
        let count = text.parse().ok().filter(|count| *count >= least);
        count.ok_or_else(|| format!("must be a whole number of at least {least}"))
    }
}

/// Fails for a run whose network is not of this program.
///
/// # Errors
/// As said.
fn of_program(folder: &Path, manifest: &Manifest) -> Result<()> {
    let Some(engine) = &manifest.engine else { return Ok(()) };
    let message = format!("{} was recorded from {engine}: its network is not here", folder.display());
    let help = "measure it there, by lyapunov.hessian; `lyapunov show`, `report` and `export` read what was recorded";
    Err(Error::usage(message, Some(help.to_owned())))
}

/// Writes all of it to standard output.
fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}
