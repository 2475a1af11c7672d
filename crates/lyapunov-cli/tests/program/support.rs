//! The program, small runs of it, and what they left behind.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use assert_cmd::Command;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

/// The keys of a run of a second or less, but for its length.
pub const SMALL: [&str; 4] = ["model.name=mlp", "model.widths=[8]", "data.subset=200", "run.batch_size=20"];

/// The arguments that set these keys.
pub fn set<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Vec<String> {
    keys.into_iter().flat_map(|key| ["--set".to_owned(), key.as_ref().to_owned()]).collect()
}

/// The arguments of a small run of so many steps.
pub fn small(steps: u64) -> Vec<String> {
    set(SMALL.iter().map(|key| (*key).to_owned()).chain([format!("run.steps={steps}")]))
}

pub fn program() -> Command {
    let mut command = Command::cargo_bin("lyapunov").unwrap();
    command.env_remove("BURN_DEVICE").env_remove("NO_COLOR");
    command
}

/// `lyapunov train`, small, with these arguments more.
pub fn train(out: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("train").args(small(12)).args(arguments).arg("--out").arg(out);
    command
}

/// The JSON object of a small run.
pub fn json(out: &Path, arguments: &[&str]) -> Value {
    let output = train(out, arguments).arg("--json").assert().success().get_output().clone();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn folder_of(run: &Value) -> PathBuf {
    PathBuf::from(run["run"].as_str().unwrap())
}

/// The losses of a run, as bits, in order.
pub fn losses(run: &Value) -> Vec<u64> {
    let connection = Connection::open(folder_of(run).join("run.sqlite")).unwrap();
    let mut select = connection.prepare("SELECT loss FROM rows WHERE loss IS NOT NULL ORDER BY step").unwrap();
    select.query_map([], |row| row.get::<_, f64>(0)).unwrap().map(|loss| loss.unwrap().to_bits()).collect()
}

pub fn count(run: &Value, what: &str) -> i64 {
    let connection = Connection::open(folder_of(run).join("run.sqlite")).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Files of made-up images, 50 to train on.
pub fn images(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("images");
    program().args(["data", "synthesize", "--train", "50", "--test", "10"]).arg(&path).assert().success();
    path
}

/// What is said of a fault, with the folder of the test left out.
pub fn fault(output: &Output, folder: &TempDir) -> String {
    assert!(output.stdout.is_empty());
    text(&output.stderr).replace(&folder.path().display().to_string(), "DIR")
}
