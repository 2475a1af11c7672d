//! Errors between Rust and Python.
//!
//! A verb of a vector cannot fail in the core, but torch can: out of memory, a tensor on another device, Ctrl-C. The
//! exception unwinds through the core, past its own code only, and becomes an exception again at the border.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use lyapunov::Error;
use pyo3::{
    PyErr, PyResult, Python,
    exceptions::{PyRuntimeError, PyValueError},
    types::PyAnyMethods,
};

/// Runs `work` of the core: its errors become exceptions, and an exception that was raised inside comes out unchanged.
pub fn border<T>(py: Python<'_>, work: impl FnOnce() -> lyapunov::Result<T>) -> PyResult<T> {
    // What `work` was changing is dropped or left as it was: trackers and rules change at their ends only.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(exception(py, &error)),
        Err(payload) => match payload.downcast::<PyErr>() {
            Ok(raised) => Err(*raised),
            Err(bug) => resume_unwind(bug),
        },
    }
}

/// The value, or the exception on its way to the border.
pub fn or_unwind<T>(result: PyResult<T>) -> T {
    result.unwrap_or_else(|error| resume_unwind(Box::new(error)))
}

/// The exception that tells an error of the core.
fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let own = |name: &str| {
        let made = py.import("lyapunov.errors").and_then(|module| module.getattr(name)?.call1((error.to_string(),)));
        made.map_or_else(|failure| failure, |instance| PyErr::from_value(instance))
    };
    match error {
        Error::NotDeterministic { .. } => own("NotDeterministic"),
        Error::Unsuitable { .. } => own("Unsuitable"),
        Error::Argument { .. } | Error::Unknown { .. } | Error::Length { .. } | Error::Saved { .. } => {
            PyValueError::new_err(error.to_string())
        }
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}
