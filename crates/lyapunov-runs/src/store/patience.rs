//! Transactions that wait for a reader who holds the database, and rows that wait meanwhile in memory.

use std::{
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode};

/// How long a run goes on with its rows in memory before it gives up, and how long what must be written waits.
pub const LIMIT: Duration = Duration::from_mins(30);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether somebody else holds the database.
pub(super) fn is_busy(fault: &rusqlite::Error) -> bool {
    matches!(fault.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Does `work` in one transaction; begins, and ends it, again and again where the database is held by somebody else,
/// for this long.
pub(super) fn in_transaction<T>(
    connection: &Connection,
    patience: Duration,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // Immediate: whoever holds the database is met here, before anything is done.
    again(patience, || connection.execute_batch("BEGIN IMMEDIATE"))?;
    // A reader of a file without a log holds up the end only.
    let ended = work(connection).and_then(|done| again(patience, || connection.execute_batch("COMMIT")).map(|()| done));
    if ended.is_err() {
        // The fault that led here is the one to report.
        let _ = connection.execute_batch("ROLLBACK");
    }
    ended
}

fn again(patience: Duration, mut attempt: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(fault) if is_busy(&fault) && began.elapsed() < patience => thread::sleep(PAUSE),
            done => return done,
        }
    }
}
