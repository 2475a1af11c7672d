//! The program `lyapunov`, for `python -m lyapunov`.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Carries out a command line, of which the first word is the name of the program, and returns the exit code. Other
/// threads of Python go on meanwhile.
#[pyfunction]
pub fn program(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| lyapunov_cli::run(arguments))
}
