//! The borders of the house: who may know whom.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

/// The Rust files below `folder`, with their text stripped of comments.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&entry).unwrap();
            let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
            found.push((entry.display().to_string().replace('\\', "/"), code.join("\n")));
        }
    }
    found
}

fn library() -> Vec<(String, String)> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn check(inside: impl Fn(&str) -> bool, forbidden: &[&str]) {
    let files: Vec<_> = library().into_iter().filter(|(path, _)| inside(path)).collect();
    assert!(!files.is_empty(), "the border encloses nothing");
    for (path, code) in files {
        for word in forbidden {
            assert!(!code.contains(word), "{path} must not mention `{word}`");
        }
    }
}

#[test]
fn only_train_knows_burn() {
    check(|path| !path.contains("/train/"), &["burn::", "burn_"]);
}

#[test]
fn train_knows_neither_estimators_nor_the_loop() {
    check(|path| path.contains("/train/"), &["krylov", "exponents", "control::", "run::", "lanczos"]);
}

#[test]
fn krylov_knows_vectors_and_operators_only() {
    check(|path| path.contains("/krylov/"), &["objective", "exponents", "train::", "system::", "record", "descent"]);
}

#[test]
fn exponents_know_systems_and_vectors_only() {
    check(|path| path.contains("/src/exponents/"), &["objective", "krylov", "train::", "record", "descent", "run::"]);
}

#[test]
fn controllers_and_observers_see_measurements_only() {
    check(
        |path| path.ends_with("control.rs") || path.contains("/control/"),
        &["Vector", "Objective", "krylov", "train::"],
    );
    check(|path| path.ends_with("record.rs"), &["Vector", "krylov", "train::", "system::"]);
}

#[test]
fn the_library_prints_nothing_and_reads_no_environment() {
    check(|_| true, &["println!", "eprintln!", "print!", "dbg!", "env::var", "std::env::args"]);
}

#[test]
fn train_is_the_only_configuration_switch() {
    for (path, code) in library() {
        for line in code.lines().filter(|line| line.contains("cfg(")) {
            assert!(line.contains("cfg(test)") || line.contains("feature = \"train\""), "{path}: {line}");
        }
    }
}
