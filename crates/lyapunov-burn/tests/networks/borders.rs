//! What networks must not know: they are objectives, and what is done with an objective is not their business.

use std::{fs, path::Path};

/// What is no test: those may print.
fn check(folder: &Path, forbidden: &[&str]) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            check(&entry, forbidden);
        } else if !entry.to_string_lossy().ends_with("tests.rs") {
            let text = fs::read_to_string(&entry).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().lines();
            let code: Vec<&str> = code.map(|line| line.split("//").next().unwrap()).collect();
            for word in forbidden {
                assert!(!code.join("\n").contains(word), "{} must not mention `{word}`", entry.display());
            }
        }
    }
}

#[test]
fn networks_know_neither_estimators_nor_rules_nor_the_loop() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    check(&source, &["krylov", "lanczos", "Tracker", "exponents", "Controller", "Training::", "lyapunov_runs"]);
}

#[test]
fn nothing_is_printed_and_no_environment_is_read() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    check(&source, &["println!", "eprintln!", "print!", "dbg!", "env::var", "std::env::args"]);
}
