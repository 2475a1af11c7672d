//! The one error type of the library: faults, never findings.
//!
//! A run that diverges or an eigenvalue that has not converged is part of the returned value; an [`Error`] means that
//! the call could not be carried out as asked.

use crate::suitability::{SpectralTarget, Unsuitable};

/// A fault. Fields are typed so that a program can act on them; the message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument lies outside its domain.
    #[error("{name} = {value} {reason}")]
    Argument {
        /// The argument, by the name that the caller used.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// What the value must satisfy, as the end of the sentence.
        reason: String,
    },
    /// A name that is not known; the program suggests the nearest of `known`.
    #[error("unknown {kind} {name:?}")]
    Unknown {
        /// What was named: a system, a parameter.
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// The names that would have worked.
        known: Vec<&'static str>,
    },
    /// Two vectors that must have the same length do not.
    #[error("{what} has {found} entries where {expected} are needed")]
    Length {
        /// Which vector.
        what: &'static str,
        /// The length that was needed.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// An objective does not offer the requested product with its Hessian.
    #[error("the {product} product is not available: {reason}")]
    Product {
        /// The kind that was asked for.
        product: &'static str,
        /// Why this objective cannot give it, and what can be used instead.
        reason: String,
    },
    /// A kind of product with the Hessian cannot give what is wanted of this objective.
    #[error("{product} products cannot give {wanted}: {obstacle}")]
    Unsuitable {
        /// The kind.
        product: &'static str,
        /// What it was wanted for.
        wanted: SpectralTarget,
        /// Why it cannot.
        obstacle: Unsuitable,
    },
    /// A rule for the learning rate lacks a measurement.
    #[error("the rule needs the {what}, which was not measured up to step {step}")]
    Unmeasured {
        /// What it needs.
        what: &'static str,
        /// The step that it was to decide.
        step: u64,
    },
    /// A rule that sets the learning rate by curvature meets a loss that has none: it is piecewise linear there.
    #[error(
        "{rule} has nothing to set the learning rate by at step {step}: the {what} is zero where the gradient is not, \
         as with a loss that is piecewise linear"
    )]
    NoCurvature {
        /// The rule.
        rule: &'static str,
        /// What is zero.
        what: &'static str,
        /// The step that was to be decided.
        step: u64,
    },
    /// An objective does not give the same numbers when it is asked twice.
    #[error("the {what} is not the same when it is computed twice: it moved by {difference:.1e}")]
    NotDeterministic {
        /// The loss or the gradient.
        what: &'static str,
        /// The size of the difference.
        difference: f64,
    },
    /// What was saved of a run cannot be taken up.
    #[error("the saved `{name}` {reason}")]
    Saved {
        /// The row to blame.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An engine outside this library failed: the model of an [`Objective`](crate::Objective), the map of a
    /// [`System`](crate::System), an [`Operator`](crate::Operator) of one's own.
    #[error("the engine failed: {source}")]
    Foreign {
        /// The engine's own error, to be looked into by `downcast_ref`.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An observer failed to keep a measurement.
    #[error("the measurement of step {step} could not be recorded: {source}")]
    Observer {
        /// The step of the row that was lost.
        step: u64,
        /// The cause, from the observer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// An [`Error::Argument`] from its parts.
    #[allow(clippy::needless_pass_by_value, reason = "numbers are passed as they stand at the call")]
    pub fn argument(name: &'static str, value: impl ToString, reason: impl Into<String>) -> Self {
        Self::Argument { name, value: value.to_string(), reason: reason.into() }
    }

    /// An [`Error::Foreign`] from the error of an engine.
    ///
    /// ```
    /// use lyapunov::Error;
    /// let error = "2,0".parse::<f64>().map_err(Error::foreign).unwrap_err();
    /// assert!(std::error::Error::source(&error).expect("the cause is kept").is::<std::num::ParseFloatError>());
    /// ```
    pub fn foreign(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Foreign { source: source.into() }
    }
}

/// The result of every fallible call of the library.
pub type Result<T> = std::result::Result<T, Error>;
