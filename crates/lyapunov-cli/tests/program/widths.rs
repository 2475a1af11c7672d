//! Tables in terminals of 40, 60 and 80 columns: no line of them is longer, and no number is cut.

use std::{path::Path, process::Command};

use crate::{
    support::{SMALL, program, set, train},
    terminal::Terminal,
};

/// What a command prints in a terminal of so many columns.
fn shown(columns: u16, arguments: &[&str], at: &Path) -> Vec<String> {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    command.args(arguments).current_dir(at).env("NO_COLOR", "1");
    let (mut terminal, _) = Terminal::start_at(columns, command);
    assert!(terminal.wait().success(), "{arguments:?}: {}", terminal.written());
    // What a spinner drew was erased.
    let written = terminal.written();
    let last = |line: &str| line.trim_end_matches('\r').rsplit("\x1b[2K").next().unwrap_or_default().to_owned();
    written.lines().map(last).collect()
}

#[test]
fn tables_fit_the_terminal_and_are_whole_in_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    train(&runs, &["--quiet", "--set", "exponents.count=2"]).assert().success();
    let run = std::fs::read_dir(&runs).unwrap().next().unwrap().unwrap().file_name();
    let run = run.to_str().unwrap().to_owned();
    let sweep = folder.path().join("sweep.toml");
    let keys = "[sweep]\n\"optimizer.learning_rate\" = [0.01, 0.02]\n\"run.seed\" = [1, 2]\n";
    std::fs::write(&sweep, format!("[model]\nname = \"mlp\"\n[run]\nsteps = 2\n{keys}")).unwrap();
    let suite = "[base]\nrun.steps = 4\n[problems.\"a problem with a long name\"]\nmodel.name = \"linear\"\n\
                 [rules.fixed]\ngrid = { \"optimizer.learning_rate\" = [0.01, 0.02] }\n\
                 [rules.edge-step]\ncontrol.rule = \"edge-step\"\n";
    std::fs::write(folder.path().join("suite.toml"), suite).unwrap();
    let small = set(SMALL);
    let of_small = |arguments: &[&'static str]| -> Vec<&str> {
        arguments.iter().copied().chain(small.iter().map(String::as_str)).collect()
    };
    let commands: [&[&str]; 10] = [
        &["list"],
        &["show", &run],
        &["export", "--help"],
        &["measure", "--run", &format!("runs/{run}"), "--on", "subset=20", "--what", "lambda_max"],
        &["exponents", "henon", "--steps", "500", "--warm-up", "10"],
        &["sweep", "plan", "sweep.toml"],
        &["sweep", "status", "sweep"],
        &["measure", "--run", &format!("runs/{run}"), "--on", "subset=20", "--what", "layers"],
        &of_small(&["suggest-rate", "--trial", "20"]),
        &of_small(&["compare-rates", "suite.toml"]),
    ];
    for arguments in commands {
        let piped = program().args(arguments).current_dir(folder.path()).assert().success().get_output().clone();
        let piped = String::from_utf8(piped.stdout).unwrap();
        assert!(!piped.contains("no room for"), "{arguments:?}: {piped}");
        for columns in [40, 60, 80] {
            let lines = shown(columns, arguments, folder.path());
            // Sentences are left to the terminal; lines of tables have two spaces in a row.
            let table = |line: &&String| line.trim_start().contains("  ");
            let long = lines.iter().filter(table).find(|line| line.chars().count() > usize::from(columns));
            assert_eq!(long, None, "{arguments:?} at {columns}");
            assert!(lines.iter().any(|line| table(&line)), "{arguments:?} at {columns}: {lines:?}");
        }
    }
}

#[test]
fn progress_fits_forty_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    command.arg("train").args(set(SMALL)).args(set(["run.steps=12", "measure.every=10"]));
    command.current_dir(folder.path());
    let (mut terminal, _) = Terminal::start_at(40, command);
    assert!(terminal.wait().success());
    let written = terminal.written();
    // What a bar draws stands between moves of the cursor: a line of bar and steps, and one of what was measured.
    let bars = written.split(['\r', '\n', '\x1b']).filter(|part| part.contains("/12") && !part.contains("A step"));
    assert!(bars.clone().count() > 0, "{written:?}");
    for bar in bars {
        let bar = bar.strip_prefix("[1A").unwrap_or(bar);
        let (line, measured) = bar.split_once("left").unwrap();
        assert!(line.chars().count() + 4 <= 40 && measured.chars().count() <= 40, "{bar:?}");
    }
}
