//! The borders of the house: who may know whom.

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
            found.push((entry.display().to_string(), code.join("\n")));
        }
    }
    found
}

/// The files of the library, by their path inside `src`.
fn library() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = |path: String| Path::new(&path).strip_prefix(&root).unwrap().display().to_string().replace('\\', "/");
    sources(&root).into_iter().map(|(path, code)| (inside(path), code)).collect()
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
fn no_engine_is_known() {
    check(|_| true, &["burn", "torch"]);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("burn") && !manifest.contains("[features]"), "no engine and no feature");
}

#[test]
fn krylov_knows_vectors_and_operators_only() {
    check(|path| path.starts_with("krylov/"), &["objective", "exponents", "system::", "record", "descent"]);
}

#[test]
fn exponents_know_systems_and_vectors_only() {
    check(|path| path.starts_with("exponents/"), &["objective", "krylov", "record", "descent", "run::"]);
}

#[test]
fn controllers_and_observers_see_measurements_only() {
    check(|path| path.starts_with("control"), &["Vector", "Objective", "krylov"]);
    check(|path| path == "record.rs", &["Vector", "krylov", "system::"]);
}

#[test]
fn the_library_prints_nothing_and_reads_no_environment() {
    check(|_| true, &["println!", "eprintln!", "print!", "dbg!", "env::var", "std::env::args"]);
}

#[test]
fn there_is_no_configuration_switch() {
    for (path, code) in library() {
        for line in code.lines().filter(|line| line.contains("cfg(")) {
            assert!(line.contains("cfg(test)") || line.contains("cfg(doctest)"), "{path}: {line}");
        }
    }
}

/// Inside the library things are imported from their modules, not by the names that lib.rs re-exports: so the words
/// that the borders forbid cannot be bypassed.
#[test]
fn nobody_imports_from_the_crate_root() {
    for (path, code) in library().into_iter().filter(|(path, _)| path != "lib.rs") {
        // What a macro writes into other crates can only be named by the root.
        for (start, _) in code.match_indices("crate::").filter(|(start, _)| !code[..*start].ends_with('$')) {
            let rest = &code[start + "crate::".len()..];
            let items = rest.strip_prefix('{').map_or_else(|| vec![rest], first_level);
            for item in items.iter().map(|item| item.trim_start()).filter(|item| !item.is_empty()) {
                let module: String = item.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let follows = &item[module.len()..];
                assert!(
                    !module.is_empty() && follows.starts_with("::"),
                    "{path}: crate::{}",
                    item.lines().next().unwrap()
                );
            }
        }
    }
}

/// The items of a list in braces, without those of the lists inside it.
fn first_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}
