//! What befalls runs and downloads: kills, signals, races, writes that fail, hostile files. A run that goes on must
//! reach the bits of one that was left alone.
//!
//! The short form takes some seconds per test; `LYAPUNOV_FAULTS=long` asks for the numbers in
//! docs/book/src/reliability.md.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod course;
mod disk;
mod fetching;
mod kills;
mod races;
#[path = "../program/server.rs"]
mod server;
mod signals;
mod values;
mod writes;

/// How often a fault is tried: `short` times, or `long` times where the long form is asked for.
fn times(short: usize, long: usize) -> usize {
    if std::env::var_os("LYAPUNOV_FAULTS").is_some_and(|form| form == "long") { long } else { short }
}
