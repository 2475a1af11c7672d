//! Databases of rows, read in every way.
#![no_main]

use std::{fs, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use lyapunov_runs::{folder::ROWS, store};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    let path = FOLDER.path().join(ROWS);
    fs::write(&path, bytes).expect("the folder is writable");
    let _ = store::latest(&path);
    let _ = store::last_step(&path);
    let _ = store::read_from(&path, 3);
    let _ = store::read(&path);
});
