//! Files of runs that went wrong: what is read is refused or read, and never ends the process.
//!
//! The short form takes seconds; `LYAPUNOV_MUTATIONS=10000` tries as many mutations of each kind of file.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod database;
#[path = "../example/mod.rs"]
mod example;
mod manifest;
#[path = "../../../lyapunov/tests/mutant/mod.rs"]
mod mutant;
