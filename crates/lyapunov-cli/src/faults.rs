//! What tests ask of a build with debug assertions: writes that fail, and a word about every step. A release build has
//! none of it.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// Which write of the process fails: `7` is the seventh alone, `7+` the seventh and all after it.
const FAILING: &str = "LYAPUNOV_FAIL_WRITE";

/// A file that gets one line for each step that is taken: the folder of the run and the number of steps so far.
const STEPS: &str = "LYAPUNOV_NOTE_STEPS";

/// A place where a write may fail: it does where a test asks for it.
pub fn point() -> io::Result<()> {
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let Ok(asked) = env::var(FAILING) else { return Ok(()) };
    let number = PASSED.fetch_add(1, Ordering::Relaxed) + 1;
    if !fails(&asked, number) {
        return Ok(());
    }
    let message = format!("write {number} fails for a test");
    // A test has to know of it also where the fault is not the one that is reported.
    eprintln!("{message}");
    Err(io::Error::other(message))
}

fn fails(asked: &str, number: u64) -> bool {
    match asked.strip_suffix('+') {
        Some(first) => first.parse().is_ok_and(|first: u64| number >= first),
        None => asked.parse() == Ok(number),
    }
}

/// Notes that a run has taken so many steps, where a test counts them.
pub fn note_step(run: &Path, steps: u64) {
    if !cfg!(debug_assertions) {
        return;
    }
    let Some(file) = env::var_os(STEPS) else { return };
    let line = format!("{} {steps}\n", run.display());
    let noted =
        OpenOptions::new().append(true).create(true).open(file).and_then(|mut file| file.write_all(line.as_bytes()));
    noted.expect("a test that counts steps has a file for them");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_fails_or_that_and_all_after_it() {
        let failing = |asked: &str| (1..6).filter(|number| fails(asked, *number)).collect::<Vec<_>>();
        assert_eq!(failing("3"), [3]);
        assert_eq!(failing("3+"), [3, 4, 5]);
        assert!(failing("").is_empty() && failing("+").is_empty());
    }
}
