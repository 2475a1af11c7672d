//! How far a download has come, on standard error: a bar on a terminal, a line per tenth elsewhere.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a download has come.
pub enum Meter {
    /// On a terminal.
    Bar(ProgressBar),
    /// Elsewhere; the tenths that have been shown.
    Lines(u64),
    /// Not at all.
    Silent,
}

impl Meter {
    /// At the beginning; nothing is shown if `quiet`.
    pub fn new(quiet: bool) -> Self {
        match quiet {
            true => Self::Silent,
            false if io::stderr().is_terminal() => Self::Bar(bar()),
            false => Self::Lines(0),
        }
    }

    /// So many bytes are here, of so many in all where that is known.
    pub fn show(&mut self, bytes: u64, all: Option<u64>) {
        match (self, all) {
            (Self::Bar(bar), all) => {
                bar.set_length(all.unwrap_or(bytes));
                bar.set_position(bytes);
            }
            (Self::Lines(tenths), Some(all)) if bytes * 10 / all.max(1) > *tenths => {
                *tenths = bytes * 10 / all.max(1);
                let (here, all) = (bytes as f64 / 1e6, all as f64 / 1e6);
                let _ = writeln!(io::stderr(), "{here:.1} of {all:.1} MB");
            }
            _ => {}
        }
    }

    /// Says a sentence.
    pub fn say(&mut self, sentence: &str) {
        match self {
            Self::Bar(bar) => bar.println(sentence),
            // Where standard error is closed, nobody is left to watch.
            Self::Lines(tenths) => {
                *tenths = 0;
                let _ = writeln!(io::stderr(), "{sentence}");
            }
            Self::Silent => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left") {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar
}
