//! Files of runs that went wrong: what is read is refused or read, and never ends the process.
//!
//! The short form takes seconds; `LYAPUNOV_MUTATIONS=10000` tries as many mutations of each kind of file.

mod database;
mod manifest;

use super::{example, mutant};
