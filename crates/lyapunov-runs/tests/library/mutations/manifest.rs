//! Manifests of runs.

use std::fs;

use lyapunov_runs::{Manifest, folder::MANIFEST};

use super::mutant::{endure, mutations};

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
fn a_spoilt_manifest_is_refused_or_one() {
    let folder = tempfile::tempdir().unwrap();
    let known = Manifest { format: 1, steps: Some(7), train_loss: Some(0.5), ..Manifest::default() };
    endure(&known.to_json(), mutations(2_000), &WORDS, |text| {
        fs::write(folder.path().join(MANIFEST), text).unwrap();
        Manifest::read(folder.path()).map(|manifest| manifest.end()).is_ok()
    });
}
