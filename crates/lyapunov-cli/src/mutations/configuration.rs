//! Texts of configurations and sweeps.

use std::{fs, path::Path};

use super::mutant::{endure, mutations};
use crate::{
    config::{DEFAULTS, Draft},
    stored::keys_of,
    sweep::Plan,
};

const WORDS: [&str; 28] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    "\"",
    "'''",
    "\"\"\"",
    "\\u0000",
    "\\ud800",
    "#",
    "\n",
    "\r",
    "-1",
    "nan",
    "-inf",
    "1e400",
    "9223372036854775807",
    "0x7f",
    "true",
    "\"auto\"",
    "[run]",
    "model.name",
    "1979-05-27T07:32:00Z",
    "é",
];

fn read(path: &Path, text: &[u8]) -> bool {
    fs::write(path, text).unwrap();
    let mut draft = Draft::default();
    let settings = draft.read(path).and_then(|()| draft.finish());
    let Ok(settings) = settings else { return false };
    // What is valid is written and read again as the same.
    let mut again = Draft::default();
    fs::write(path, settings.text()).unwrap();
    again.read(path).unwrap();
    assert_eq!(again.finish().unwrap().config.digest(), settings.config.digest());
    true
}

#[test]
fn a_spoilt_configuration_is_refused_or_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    endure(DEFAULTS.as_bytes(), mutations(150), &WORDS, |text| read(&path, text));
    // Without comments more of the faults meet keys and values.
    let bare: String = DEFAULTS
        .lines()
        .map(|line| line.split('#').next().unwrap().trim_end())
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n");
    endure(bare.as_bytes(), mutations(400), &WORDS, |text| read(&path, text));
}

#[test]
fn a_spoilt_configuration_of_a_stored_run_has_keys_or_none() {
    endure(DEFAULTS.as_bytes(), mutations(400), &WORDS, |text| keys_of(&String::from_utf8_lossy(text)).is_some());
}

const SWEEP: &str = "
[model]
name = \"linear\"
[run]
steps = 5
[data]
subset = 100
[sweep]
seed = 2
\"optimizer.learning_rate\" = [0.1, 0.2]
zip = [{ \"optimizer.weight_decay\" = [0.0, 0.1], \"run.batch_size\" = [10, 20] }]
exclude = [{ \"run.seed\" = 1, \"run.batch_size\" = 20 }]
";

#[test]
fn a_spoilt_sweep_is_refused_or_planned() {
    endure(SWEEP.as_bytes(), mutations(60), &WORDS, |text| {
        // A seed of many digits is a long sweep, and no fault.
        let text = String::from_utf8_lossy(text).into_owned();
        let long = text.lines().any(|line| line.starts_with("seed") && line.len() > 12);
        long || Plan::of_text("sweep.toml", text, |_| Ok(())).is_ok()
    });
}
