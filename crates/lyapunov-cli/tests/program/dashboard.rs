//! `lyapunov watch` in a terminal: its keys, and that it leaves the terminal as it was.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    support::{program, set, small},
    terminal::{Modes, Terminal},
};

fn runs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for seed in ["run.seed=0", "run.seed=1"] {
        let mut train = program();
        train
            .arg("train")
            .args(small(6))
            .args(set([seed]))
            .args(["--quiet", "--out"])
            .arg(folder.path())
            .assert()
            .success();
    }
    folder
}

/// The dashboard, once it is drawn.
fn watch(runs: &Path) -> (Terminal, Modes) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    command.arg("watch").arg(runs);
    let (terminal, before) = Terminal::start(command);
    terminal.wait_for("q quit");
    assert!(terminal.is_raw() && terminal.modes() != before);
    (terminal, before)
}

#[test]
fn however_it_ends_it_leaves_the_terminal_as_it_was() {
    let runs = runs();
    let ends: [fn(&mut Terminal); 5] = [
        |terminal| terminal.press("q"),
        |terminal| terminal.press("\x03"),
        |terminal| terminal.signal("TERM"),
        |terminal| terminal.signal("INT"),
        |terminal| terminal.signal("HUP"),
    ];
    for end in ends {
        let (mut terminal, before) = watch(runs.path());
        end(&mut terminal);
        assert!(terminal.wait().success());
        terminal.assert_left_as(&before);
    }
}

#[test]
fn keys_choose_runs_and_views() {
    let runs = runs();
    let (mut terminal, _) = watch(runs.path());
    // Spaces are moves of the cursor.
    for text in ["completed", "steps", "mlp-sgd-", "against", "edge", "follow (on)"] {
        terminal.wait_for(text);
    }
    assert!(!terminal.written().contains("choose"));
    terminal.press("?");
    terminal.wait_for("choose");
    terminal.press("f");
    terminal.wait_for("ff)");
    terminal.press("xq");
    assert!(terminal.wait().success());
}
