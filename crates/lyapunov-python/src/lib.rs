//! `lyapunov._core`: the mathematics of `lyapunov` over PyTorch tensors, as a module of Python.
//!
//! A vector is a flat tensor that stays where torch put it ([`tensor`]); an operator is a callable of Python;
//! exceptions of Python pass through unchanged ([`border`]). Nothing here knows a model: that is the business of the
//! Python half.
#![allow(clippy::needless_pass_by_value, reason = "Python hands arguments over by value")]

mod border;
mod control;
mod descent;
mod exponents;
mod groups;
mod optimizer;
mod program;
mod recorder;
mod search;
mod systems;
mod tensor;

use pyo3::pymodule;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{
        control::Rule,
        descent::Descent,
        exponents::Exponents,
        optimizer::Optimizer,
        program::program,
        recorder::{Recorder, check_writable, history},
        search::{
            Density, Ritz, Trace, Tracker, along, batch_sharpness, check_determinism, density, difference, lanczos,
            rayleigh, trace,
        },
        systems::{NamedSystem, OwnMap, catalogue},
    };
}
