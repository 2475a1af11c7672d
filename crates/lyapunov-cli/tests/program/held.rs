//! A run whose database somebody else holds for longer than it waits: nothing is lost.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{SMALL, count, losses, program, set};

/// The arguments of a short run with many checkpoints: it may come to its last step while the database is held.
fn settings() -> Vec<String> {
    let keys = ["run.steps=150", "checkpoint.every=10", "measure.every=5", "exponents.count=1"];
    ["train".to_owned(), "--json".to_owned()].into_iter().chain(set(SMALL.iter().chain(&keys))).collect()
}

/// The run, its folder, and the database held by somebody else once it has rows.
#[allow(clippy::zombie_processes, reason = "whoever asks for the run waits for it")]
fn held(out: &Path, journal: &str, patience: &str) -> (Child, PathBuf, Connection) {
    let mut train = Command::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    train.args(settings()).arg("--out").arg(out);
    train.env("LYAPUNOV_PATIENCE", patience).env("LYAPUNOV_JOURNAL", journal);
    let child = train.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_mins(1), "no rows");
        thread::sleep(Duration::from_millis(20));
        let Some(folder) = fs::read_dir(out).ok().and_then(|mut found| found.next()?.ok()) else { continue };
        let Ok(viewer) = Connection::open(folder.path().join("run.sqlite")) else { continue };
        let filled = viewer.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, i64>(0));
        if filled.is_ok_and(|rows| rows > 0) && viewer.execute_batch("BEGIN IMMEDIATE").is_ok() {
            return (child, folder.path(), viewer);
        }
    }
}

/// Goes on with a run, and compares it with one that was left alone.
fn assert_whole(folder: &Path, calm: &Value) {
    assert!(folder.join("waiting.sqlite").is_file(), "what could not be written waits beside the database");
    let resumed = program().args(["train", "--json", "--resume"]).arg(folder).assert().success().get_output().clone();
    let resumed: Value = serde_json::from_slice(&resumed.stdout).unwrap();
    assert_eq!((losses(&resumed), &resumed["train_loss"]), (losses(calm), &calm["train_loss"]));
    assert_eq!((&resumed["lambda_max"], &resumed["exponents"]), (&calm["lambda_max"], &calm["exponents"]));
    for table in ["rows", "sharpness", "exponents"] {
        assert_eq!(count(&resumed, table), count(calm, table), "{table}");
    }
    assert!(!folder.join("waiting.sqlite").exists());
    // And it says the same when it is asked again.
    let again = program().args(["train", "--json", "--resume"]).arg(folder).assert().success().get_output().clone();
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), resumed);
}

#[test]
fn a_run_that_gives_up_waiting_and_one_that_is_asked_to_leave_lose_nothing() {
    let out = tempfile::tempdir().unwrap();
    let calm = program().args(settings()).arg("--out").arg(out.path().join("calm")).assert().success();
    let calm: Value = serde_json::from_slice(&calm.get_output().stdout).unwrap();
    for journal in ["wal", "rollback"] {
        let (child, folder, viewer) = held(&out.path().join(journal), journal, "1.5");
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        viewer.execute_batch("COMMIT").unwrap();
        drop(viewer);
        assert_whole(&folder, &calm);
    }
    let (child, folder, viewer) = held(&out.path().join("signal"), "wal", "600");
    let began = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(began.elapsed() < Duration::from_mins(1), "it waits for nobody for long");
    viewer.execute_batch("COMMIT").unwrap();
    drop(viewer);
    assert_whole(&folder, &calm);
}

#[test]
fn a_patience_that_is_no_number_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let refused = program().args(settings()).arg("--out").arg(out.path()).env("LYAPUNOV_PATIENCE", "long").assert();
    let output = refused.failure().get_output().clone();
    assert!(String::from_utf8_lossy(&output.stderr).contains("LYAPUNOV_PATIENCE is \"long\""));
}
