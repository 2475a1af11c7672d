//! Manifests of runs.
#![no_main]

use std::{fs, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use lyapunov_runs::{Manifest, folder::MANIFEST};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    fs::write(FOLDER.path().join(MANIFEST), bytes).expect("the folder is writable");
    if let Ok(manifest) = Manifest::read(FOLDER.path()) {
        manifest.end();
        fs::write(FOLDER.path().join(MANIFEST), manifest.to_json()).expect("the folder is writable");
        let again = Manifest::read(FOLDER.path()).expect("what was written is read");
        assert_eq!(again.to_json(), manifest.to_json());
    }
});
