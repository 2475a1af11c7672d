//! The crate from outside: its borders, old and broken files, mutations.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod borders;
#[path = "../example/mod.rs"]
mod example;
#[path = "../../../lyapunov/tests/mutant/mod.rs"]
mod mutant;
mod mutations;
mod reading;
