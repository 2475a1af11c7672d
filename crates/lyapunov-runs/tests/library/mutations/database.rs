//! Databases of runs.
//!
//! SQLite has no checksum: where a bit of a loss flips, it is another loss, and nothing in the file shows it. So an
//! ended run has the digest of its rows beside them, and with that nothing is accepted that is not the file that the
//! run has left. Without one, as for runs of earlier versions and runs that were killed, "accepted" means that every
//! page, key and type fits (`PRAGMA quick_check`).

use std::{fs, path::Path};

use lyapunov_runs::{
    folder::{MANIFEST, ROWS, RunFolder},
    manifest::{Manifest, Outcome},
    seal,
    store::{self, Store},
};
use rusqlite::Connection;

use super::{
    example,
    mutant::{endure, mutations},
};

/// A run of forty rows with something in every table, in an ended run's folder.
fn ended(out: &Path) -> RunFolder {
    let folder = RunFolder::claim(out, "run").unwrap();
    let mut store = Store::create(&folder.file(ROWS)).unwrap();
    (0..40).for_each(|step| lyapunov::Observer::record(&mut store, &example::row(step)).unwrap());
    store.close().unwrap();
    let connection = Connection::open(folder.file(ROWS)).unwrap();
    let probes = "INSERT INTO along (step, slope, curvature, stretch, reach, product, cost) \
                  VALUES (1, -1.0, 2.0, 3.0, 4.0, 'exact', 2.0); \
                  INSERT INTO secants (step, moved, turned, cost) VALUES (1, 0.5, 0.25, 1.0);";
    connection.execute_batch(probes).unwrap();
    let manifest = Manifest { outcome: Outcome::Completed, ..Manifest::default() };
    folder.write(MANIFEST, &manifest.to_json()).unwrap();
    folder
}

/// Reads the file in every way; whether the rows are taken.
fn read(path: &Path, bytes: &[u8]) -> bool {
    fs::write(path, bytes).unwrap();
    let _ = store::latest(path);
    let _ = store::last_step(path);
    let _ = store::read_from(path, 3);
    store::read(path).is_ok()
}

#[test]
fn a_spoilt_database_is_refused_or_its_pages_fit() {
    let out = tempfile::tempdir().unwrap();
    let path = ended(out.path()).file(ROWS);
    let whole = fs::read(&path).unwrap();
    let count = mutations(400);
    let taken = endure(&whole, count, &[], |bytes| read(&path, bytes));
    println!("{taken} of {count} mutations are read where there is no digest");
}

#[test]
fn a_spoilt_database_of_an_ended_run_is_always_refused() {
    let out = tempfile::tempdir().unwrap();
    let folder = ended(out.path());
    seal::seal(&folder).unwrap();
    let path = folder.file(ROWS);
    let whole = fs::read(&path).unwrap();
    let taken = endure(&whole, mutations(400), &[], |bytes| {
        fs::write(&path, bytes).unwrap();
        let taken = store::read(&path).is_ok();
        assert_eq!(taken, bytes == whole, "what differs is refused, and nothing else");
        taken
    });
    println!("{taken} mutations left the file as it was");
}

#[test]
fn a_number_of_exponents_is_not_believed() {
    let out = tempfile::tempdir().unwrap();
    let path = ended(out.path()).file(ROWS);
    for number in ["9223372036854775807", "1000000000000", "0", "-5"] {
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!("DELETE FROM exponents; INSERT INTO exponents VALUES (3, {number}, 0, 0, 0);"))
            .unwrap();
        drop(connection);
        assert!(store::read(&path).unwrap_err().to_string().contains("out of range"));
    }
}
