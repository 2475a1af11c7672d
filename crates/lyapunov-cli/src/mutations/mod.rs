//! Files that went wrong: what the program reads is refused or read, and never ends it.
//!
//! The short form takes seconds; `LYAPUNOV_MUTATIONS=10000` tries as many mutations of each kind of file.

mod archives;
mod configuration;
mod fields;
mod json;
#[path = "../../../lyapunov/tests/mutant/mod.rs"]
mod mutant;
