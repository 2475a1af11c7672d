//! What each command does.

mod check;
mod compare_rates;
mod completions;
mod config;
pub mod data;
mod exponents;
pub mod export;
mod fetch;
pub mod list;
mod man;
mod measure;
pub mod report;
pub mod reproduce;
mod scan;
pub mod show;
mod suggest_rate;
pub mod sweep;
pub mod train;
mod twin;
pub mod verify;
pub mod watch;

use std::io::{self, Write};

use crate::{
    args::{Arguments, Command, DataCommand, TrainArguments, VerifyCommand},
    error::Result,
};

/// Carries out a command line.
pub fn execute(arguments: Arguments) -> Result<()> {
    match arguments.command {
        None => train::execute(&TrainArguments { file: None, flags: arguments.flags }),
        Some(Command::Train(arguments)) => train::execute(&arguments),
        Some(Command::Twin(arguments)) => twin::execute(&arguments),
        Some(Command::Verify(VerifyCommand::ExponentCurvature(arguments))) => verify::execute(&arguments),
        Some(Command::CompareRates(arguments)) => compare_rates::execute(&arguments),
        Some(Command::Reproduce(arguments)) => reproduce::execute(&arguments),
        Some(Command::Sweep(arguments)) => sweep::execute(&arguments),
        Some(Command::Exponents(arguments)) => exponents::execute(&arguments),
        Some(Command::Measure(arguments)) => measure::execute(&arguments),
        Some(Command::Report(arguments)) => report::execute(&arguments),
        Some(Command::SuggestRate(arguments)) => suggest_rate::execute(&arguments),
        Some(Command::List(arguments)) => list::execute(&arguments),
        Some(Command::Watch(arguments)) => watch::execute(&arguments),
        Some(Command::Show(arguments)) => show::execute(&arguments),
        Some(Command::Export(arguments)) => export::execute(&arguments),
        Some(Command::Config) => config::execute(),
        Some(Command::Data(DataCommand::Synthesize(arguments))) => data::synthesize(&arguments),
        Some(Command::Data(DataCommand::Fetch(arguments))) => fetch::execute(&arguments),
        Some(Command::Data(DataCommand::Check(arguments))) => check::execute(&arguments),
        Some(Command::Completions { shell }) => completions::execute(shell),
        Some(Command::Man) => man::execute(),
    }
}

/// An MD5 as it may be typed, in small letters.
pub fn md5(text: &str) -> std::result::Result<String, String> {
    let digits = text.len() == 32 && text.chars().all(|digit| digit.is_ascii_hexdigit());
    if digits { Ok(text.to_ascii_lowercase()) } else { Err("an MD5 has 32 hexadecimal digits".to_owned()) }
}

/// Writes all of it to standard output.
fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}
