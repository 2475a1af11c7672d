//! Write faults for tests: before each part of a write, a build with debug assertions asks a function whether it fails.
//!
//! A release build asks nothing. The function is handed over by the program under test: this crate reads no
//! environment.

use std::{io, sync::OnceLock};

static HOOK: OnceLock<fn() -> io::Result<()>> = OnceLock::new();

/// From now on, `hook` is called before each part of a write of this process, and its error is that of the write.
/// Without debug assertions this does nothing; a second call changes nothing.
pub fn inject(hook: fn() -> io::Result<()>) {
    if cfg!(debug_assertions) {
        let _ = HOOK.set(hook);
    }
}

/// A place where a write may fail: it does where a test asks for it.
pub(crate) fn point() -> io::Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    HOOK.get().map_or(Ok(()), |hook| hook())
}

/// The same for a write to a database.
pub(crate) fn point_of_store() -> rusqlite::Result<()> {
    let fault = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
    point().map_err(|cause| rusqlite::Error::SqliteFailure(fault, Some(cause.to_string())))
}
