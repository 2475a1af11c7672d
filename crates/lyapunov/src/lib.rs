//! The stability instrument for neural-network training.
//!
//! Training is a dynamical system: the optimizer maps weights to weights. This library measures that system while it
//! runs. A [`Vector`] is anything with six verbs; an [`Operator`] is a linear map known by its action; [`krylov`] finds
//! the ends of its spectrum, with residuals. A [`System`] moves a state and deviations from it together, and
//! [`exponents`] says how fast they drift apart; [`systems`] holds the classical ones. An
//! [`Objective`] is a loss with its gradient and the products with its [`Hessian`]; a [`Descent`] is an optimizer, and
//! so a `System`. [`run`] is the loop: measure, let a [`Controller`] decide the learning rate, hand one typed
//! [`Measurement`] to an [`Observer`], step. The crate `lyapunov-burn` makes objectives of
//! networks and images, on Burn.
//!
//! Randomness is a pure function of (seed, purpose, step): see [`Stream`]. Errors are faults; divergence and a lack of
//! convergence are findings and part of the returned values. The library prints nothing, reads no environment and opens
//! no path that it was not handed.
//!
//! ```
//! use lyapunov::{Hessian, Lanczos, Sample, lambda_max, lanczos, systems::ScalarNetwork};
//!
//! // f(x) = a·b·x fits y = 2; in the valley ab = y the eigenvalues of the Hessian are 0 and a² + b².
//! let (network, weights) = (ScalarNetwork { target: 2.0 }, vec![0.5, 4.0]);
//! let top = lambda_max(&network, &weights, Sample::Full)?;
//! assert!((top.value - 16.25).abs() < 1e-12 && top.residual < 1e-12);
//! // The same by hand.
//! let hessian = Hessian::new(&network, &weights, Sample::Full);
//! let ritz = lanczos(&hessian, &vec![1.0, 0.0], &Lanczos::default())?;
//! assert!((ritz.largest[0].value - top.value).abs() < 1e-12);
//! # Ok::<(), lyapunov::Error>(())
//! ```

#[macro_use]
mod named;

mod block;
mod control;
mod descent;
mod elementwise;
mod error;
mod exponents;
pub mod krylov;
mod noise;
mod objective;
mod operator;
mod record;
mod run;
mod snapshot;
mod suitability;
mod system;
pub mod systems;
pub mod testing;
mod vector;

pub use block::{Block, Flat};
pub use control::{
    Adgd, BackedOff, BatchSharpnessRule, Bounded, Constant, Controller, EdgeHold, EdgeStep, Guard, OnEdge, Probes,
    QuasiNewton, Rule, RuleOptions, Schedule, Scheduled, Shape,
};
pub use descent::{
    Action, ActionRef, Adam, Curvature, Decay, Descent, DistanceOverGradients, Dog, Edge, HeavyBall, Moment, Moments,
    Momentum, Optimizer, Prodigy, ProdigyRule, ScheduleFree, ScheduleFreeRule, Sgd, SgdRule, UpdateRule,
};
pub use elementwise::Elementwise;
pub use error::{Error, Result};
pub use exponents::{
    Benettin, BoxDimension, Covariant, CovariantVectors, Estimate, Exponents, Growth, Local, Separation, Shadow,
    SpectrumOptions, box_dimension, covariant_vectors, exponents, gali, separation, shadow, zero_one_test,
};
pub use krylov::{
    Density, DensityCurve, DensityOptions, Eigenpair, Lanczos, LogAverage, Nearby, NearbyReading, NearbyValue, Ritz,
    Trace, TraceOptions, Tracker, TwoSamples, density, lambda_max_of_mean, lanczos, power_iteration, trace,
};
pub use named::Named;
pub use noise::{Purpose, Stream};
pub use objective::{
    BatchSharpness, Difference, Evaluation, Extreme, Hessian, Objective, Product, Sample, SpectralTarget, Unsuitable,
    batch_sharpness, check_determinism, difference_product, lambda_max, lambda_min,
};
pub use operator::{Affine, Dense, Operator, Preconditioned, rayleigh_quotient};
pub use record::{Measurement, Observer, Quantity, RunningExponents, Secant, Sharpness, StepCurvature, Trajectory};
pub use run::{
    Chaos, ComingStep, Course, Deviations, EdgeReading, Estimator, ExponentOptions, Follower, Plan, Reading,
    SharpnessMonitor, Start, Summary, Target, Training, TwinRow, along, course, decide, has_blown_up, run, secant,
    twins,
};
pub use snapshot::{Archive, Numbers, Persist, Snapshot};
pub use system::{
    AdaptiveFlow, Closures, Differences, Field, FieldClosures, Flow, Law, Map, Outcome, RandomClosures, System,
};
pub use vector::{Vector, orthogonalize, orthonormalize, storage_epsilon};

/// The blocks of Rust in the book's chapter compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/book/src/own-system.md")]
struct OwnSystem;
