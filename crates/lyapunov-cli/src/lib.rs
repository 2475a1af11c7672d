//! The program `lyapunov`: trains networks and shows how stable their training is.
//!
//! Without the feature `networks` it trains nothing and needs no engine: it shows what training loops have left,
//! whatever they ran on. The Python package carries that one.
#![cfg_attr(
    not(feature = "networks"),
    allow(dead_code, unused_imports, reason = "lower rooms hold what the rooms of networks need")
)]

mod cli;
mod commands;
mod defaults;
mod error;
mod faults;
#[cfg(test)]
#[path = "../../lyapunov-runs/tests/example/mod.rs"]
mod recorded;
mod show;
mod terminal;
mod text;

// The rooms of networks.
#[cfg(feature = "networks")]
mod compare;
#[cfg(feature = "networks")]
mod config;
#[cfg(feature = "networks")]
mod data;
#[cfg(feature = "networks")]
mod measure;
#[cfg(test)]
#[cfg(feature = "networks")]
mod mutations;
#[cfg(feature = "networks")]
mod reproduce;
#[cfg(feature = "networks")]
mod setup;
#[cfg(feature = "networks")]
mod sweep;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
};

use clap::Parser;
use lyapunov_runs::{checkpoint, export, folder, lock, manifest, seal, store, stored};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// Carries out a command line, of which the first word is the name of the program, and returns the exit code.
///
/// What it prints is written when it returns. Arguments that mean nothing are reported on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    terminal::interrupt::outlive_full_files();
    lyapunov_runs::faults::inject(faults::point);
    text::fit_to(terminal::columns());
    let arguments = match cli::Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(refusal) => {
            // Where nobody reads it, nobody is left to read it.
            let _ = refusal.print();
            return refusal.exit_code().try_into().unwrap_or(1);
        }
    };
    match arguments.execute() {
        Ok(()) => 0,
        Err(fault) if fault.is_broken_pipe() => 0,
        Err(fault) => {
            report(&fault);
            fault.exit_code()
        }
    }
}

/// Whether a sweep of this text can be planned: for fuzz targets.
#[cfg(feature = "networks")]
#[doc(hidden)]
pub fn plan_of(text: &str) -> bool {
    sweep::Plan::of_text("sweep.toml", text.to_owned(), |_| Ok(())).is_ok()
}

/// The command line as clap knows it: for the tests of the book, which parse its commands and write the reference.
#[doc(hidden)]
pub fn program() -> clap::Command {
    <cli::Arguments as clap::CommandFactory>::command()
}

/// Shows a fault on standard error: the sentence, the place, the hint.
fn report(fault: &error::Error) {
    let mut stderr = io::stderr();
    let coloured = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut theme = if coloured { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    theme.characters.error = "error:".into();
    let handler =
        GraphicalReportHandler::new_themed(theme).with_links(false).with_wrap_lines(false).without_cause_chain();
    let mut text = String::new();
    // Where standard error is closed, nobody is left to read it.
    let _ = match handler.render_report(&mut text, fault) {
        Ok(()) => stderr.write_all(outdented(&text).as_bytes()),
        Err(_) => writeln!(stderr, "error: {fault}"),
    };
}

/// The sentence and the hint at the left edge, as everywhere else; the place stays where it is.
fn outdented(text: &str) -> String {
    let outdent = |line: &str| match line.split_once("  ") {
        Some((colour, rest)) if is_colour(colour) && !rest.starts_with([' ', '╭', '│', '╰', '·']) => {
            format!("{colour}{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(outdent).collect()
}

/// Whether this is nothing to see: empty, or one change of colour.
fn is_colour(text: &str) -> bool {
    text.is_empty() || (text.starts_with('\u{1b}') && text.find('m') == Some(text.len() - 1))
}
