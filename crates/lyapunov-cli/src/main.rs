//! The program `lyapunov`: trains networks and shows how stable their training is.

mod cli;
mod commands;
mod compare;
mod config;
mod data;
mod error;
mod faults;
mod measure;
#[cfg(test)]
mod mutations;
#[cfg(test)]
#[path = "../../lyapunov-runs/tests/example/mod.rs"]
mod recorded;
mod reproduce;
mod setup;
mod show;
mod sweep;
mod terminal;
mod text;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;
use lyapunov_runs::{checkpoint, export, folder, lock, manifest, seal, store, stored};
use miette::{GraphicalReportHandler, GraphicalTheme};

fn main() -> ExitCode {
    terminal::interrupt::outlive_full_files();
    lyapunov_runs::faults::inject(faults::point);
    match cli::Arguments::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if fault.is_broken_pipe() => ExitCode::SUCCESS,
        Err(fault) => {
            report(&fault);
            fault.exit_code()
        }
    }
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
    // Where standard error is closed, nobody is left to tell.
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
