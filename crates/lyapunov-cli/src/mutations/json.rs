//! Plans of sweeps.

use std::fs;

use super::mutant::{endure, mutations};
use crate::sweep::{PLAN, Plan, Planned};

const WORDS: [&str; 16] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e400",
    "99999999999999999999",
    "\\ud800",
    "\\u0000",
    "\n",
    "../..",
];

#[test]
fn a_spoilt_plan_is_refused_or_one() {
    let folder = tempfile::tempdir().unwrap();
    let run =
        |id: &str| Planned { id: id.into(), values: vec!["0.1".into()], steps: 5, set: vec!["run.steps=5".into()] };
    let plan = Plan::new("sweep.toml".into(), vec!["optimizer.learning_rate".into()], vec![run("a-1"), run("b-2")]);
    let text = serde_json::to_vec_pretty(&plan).unwrap();
    endure(&text, mutations(2_000), &WORDS, |text| {
        fs::write(folder.path().join(PLAN), text).unwrap();
        Plan::read(folder.path()).is_ok()
    });
}
