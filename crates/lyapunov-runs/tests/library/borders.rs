//! What a library of run folders must not do: print, read the environment, know an engine or the program.
use std::{fs, path::Path};

const FORBIDDEN: [&str; 9] =
    ["println!", "eprintln!", "print!", "dbg!", "env::var", "env::args", "burn", "clap::", "miette"];

fn check(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            check(&entry);
            continue;
        }
        let text = fs::read_to_string(&entry).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().lines();
        let code: Vec<&str> = code.map(|line| line.split("//").next().unwrap()).collect();
        for word in FORBIDDEN {
            assert!(!code.join("\n").contains(word), "{} must not mention `{word}`", entry.display());
        }
    }
}

#[test]
fn nothing_is_printed_no_environment_is_read_and_no_engine_is_known() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}
