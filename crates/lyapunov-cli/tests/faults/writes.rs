//! Errors at every write of a run, one after the other.

use std::{fs, path::Path};

use lyapunov_runs::saved_from_safetensors;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::{
    course::{Ground, Traces, status},
    times,
};

/// As small as a run can be that writes everything: rows, exponents, checkpoints, weights, a picture.
const TINY: &str = "
    [data]
    subset = 40
    [model]
    name = \"mlp\"
    widths = [4]
    [optimizer]
    name = \"heavy-ball\"
    [measure]
    every = 2
    [exponents]
    count = 1
    every = 2
    [checkpoint]
    every = 2
    [run]
    steps = 5
    batch_size = 10
";

/// What a failing write has left.
#[derive(Default)]
struct Seen {
    failures: usize,
    with_checkpoint: usize,
    ended: usize,
}

#[test]
fn whichever_write_fails_the_last_checkpoint_is_whole_and_the_run_goes_on_to_the_same_bits() {
    let ground = Ground::of(TINY);
    let expected = ground.unbroken();
    let mut seen = Seen::default();
    // One write, or that and all that come after it, as on a disk that stays full. The short form takes one of the two
    // in turn.
    for (form, parity) in [("", 1), ("+", 0)] {
        for number in (1..).filter(|number| number % 2 == parity || times(0, 1) == 1) {
            let out = format!("run-{number}{form}");
            let output = ground.train(&out).env("LYAPUNOV_FAIL_WRITE", format!("{number}{form}")).output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = status(output);
            if !message.contains("fails for a test") {
                assert_eq!(code, Some(0), "{message}");
                assert!(number > 20, "a run has more writes than {number}");
                break;
            }
            assert!(
                matches!(code, Some(1 | 2)) && message.contains("error:"),
                "write {number}{form}: {code:?}, \
                {message}"
            );
            seen.failures += 1;
            go_on(&ground, &out, &mut seen);
            assert_eq!(Traces::of(&ground.run(&out).unwrap()), expected, "write {number}{form}");
            fs::remove_dir_all(ground.path(&out)).unwrap();
        }
    }
    let Seen { failures, with_checkpoint, ended } = seen;
    println!(
        "{failures} failing writes, {with_checkpoint} with a checkpoint to go on from, {ended} after the end: all the \
            same bits"
    );
    assert!(with_checkpoint > 0 && with_checkpoint < failures);
}

/// Looks at what is there, and goes on with room.
fn go_on(ground: &Ground, out: &str, seen: &mut Seen) {
    let run = ground.run(out).filter(|run| run.join("manifest.json").is_file());
    let checkpoints = run.as_deref().map_or(0, whole_checkpoints);
    let outcome = run.as_deref().map(outcome);
    let output = ground.attempt(out).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(status(output), Some(0));
    if checkpoints > 0 {
        seen.with_checkpoint += 1;
        assert!(!message.contains("warning:"), "the last checkpoint is used: {message}");
    }
    if outcome.as_deref() == Some("completed") {
        seen.ended += 1;
    }
}

/// A manifest is whole wherever there is one.
fn outcome(run: &Path) -> String {
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
    manifest["outcome"].as_str().unwrap().to_owned()
}

/// How many checkpoints the database lists: each is there, with its digest, and loads.
fn whole_checkpoints(run: &Path) -> usize {
    // A reader may tidy up: what is looked at is a copy.
    let copy = tempfile::tempdir().unwrap();
    for name in ["run.sqlite", "run.sqlite-wal"] {
        let _ = fs::copy(run.join(name), copy.path().join(name));
    }
    let connection = Connection::open(copy.path().join("run.sqlite")).unwrap();
    let health: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    assert_eq!(health, "ok");
    let Ok(mut select) = connection.prepare("SELECT file, sha256 FROM checkpoints") else { return 0 };
    let listed = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let check = |listed: rusqlite::Result<(String, String)>| {
        let (file, sha256) = listed.unwrap();
        let bytes = fs::read(run.join(&file)).unwrap();
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        assert_eq!(digest, sha256, "{file}");
        saved_from_safetensors(&bytes).unwrap();
    };
    listed.map(check).count()
}
