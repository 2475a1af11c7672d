//! The rules that set a learning rate, asked by a loop that the user owns.

use std::collections::BTreeMap;

use lyapunov::{
    Archive, Controller, Measurement, Numbers, Product, Quantity, RuleOptions, Sample, Schedule, Secant, Shape,
    Sharpness, Snapshot, StepCurvature, decide,
};
use pyo3::prelude::*;

use crate::border::border;

/// A rule by its name.
#[pyclass]
pub struct Rule(Box<dyn Controller + Send + Sync>);

#[pymethods]
impl Rule {
    /// The rule `name` with its strength σ, for an optimizer whose edge is at `edge`/η, with momentum `momentum`;
    /// `damped` where the momentum is an average, as Adam's. `schedule`: (steps, share of warm-up, share of cooldown).
    #[new]
    #[pyo3(signature = (name, *, strength, momentum = 0.0, damped = false, edge = 2.0, every = 20,
        bounds = (0.0, f64::INFINITY), schedule = None))]
    #[allow(clippy::too_many_arguments, reason = "named in Python")]
    fn new(
        py: Python<'_>,
        name: &str,
        strength: f64,
        momentum: f64,
        damped: bool,
        edge: f64,
        every: u64,
        bounds: (f64, f64),
        schedule: Option<(u64, f64, f64)>,
    ) -> PyResult<Self> {
        border(py, || {
            let rule: lyapunov::Rule = name.parse()?;
            let bounds = [bounds.0, bounds.1];
            let options = RuleOptions { strength, period: every, smoothing: 1, bounds, edge, momentum, damped };
            Ok(Self(match schedule {
                None => rule.controller(&options)?,
                Some((steps, warm_up, cooldown)) => {
                    rule.scheduled(&options, Schedule::new(Shape::Constant, steps, warm_up, cooldown)?)?
                }
            }))
        })
    }

    /// Whether the curvature along the coming step is wanted, and whether the secant of the step before.
    fn wants(&self, step: u64) -> (bool, bool) {
        let wanted = self.0.wants(step);
        (wanted.along, wanted.secant)
    }

    /// The learning rate of the coming step. `along`: (slope, curvature, length of the product, of the direction);
    /// `secant`: (length of the step before, change of the gradient); `sharpness`: (value, residual) of what the rule
    /// decides by.
    #[pyo3(signature = (step, loss, gradient_norm, *, along = None, secant = None, sharpness = None,
        preconditioned = false))]
    #[allow(clippy::too_many_arguments, reason = "named in Python")]
    fn next(
        &mut self,
        py: Python<'_>,
        step: u64,
        loss: f64,
        gradient_norm: f64,
        along: Option<(f64, f64, f64, f64)>,
        secant: Option<(f64, f64)>,
        sharpness: Option<(f64, f64)>,
        preconditioned: bool,
    ) -> PyResult<f64> {
        let mut row = Measurement::of_step(step, loss, gradient_norm);
        row.edge.preconditioned = preconditioned;
        row.along = along.map(|(slope, curvature, product_norm, direction_norm)| StepCurvature {
            slope,
            curvature,
            product_norm,
            direction_norm,
            product: Product::Exact,
            cost: 0.0,
        });
        row.secant = secant.map(|(step_norm, gradient_change)| Secant { step_norm, gradient_change, cost: 0.0 });
        if let Some((value, residual)) = sharpness {
            let own = [Quantity::LambdaMax, Quantity::PreconditionedSharpness, Quantity::BatchSharpness];
            let (on, product, cost) = (Sample::Mini(step), Product::Exact, 0.0);
            row.sharpness = own.map(|quantity| Sharpness { quantity, value, residual, on, product, cost }).to_vec();
        }
        border(py, || decide(&mut self.0, &mut row))
    }

    /// All that the rule remembers, by name.
    fn state(&mut self, py: Python<'_>) -> PyResult<BTreeMap<String, Vec<f64>>> {
        let mut saved = Snapshot::default();
        border(py, || self.0.keep(&mut Archive::saving(&mut saved)))?;
        let floats = |numbers: Numbers| match numbers {
            Numbers::F64(numbers) => numbers,
            Numbers::F32(numbers) => numbers.into_iter().map(f64::from).collect(),
            // Counts of steps: far below 2^52.
            Numbers::U64(numbers) => numbers.into_iter().map(|number| number as f64).collect(),
            Numbers::Bytes(bytes) => bytes.into_iter().map(f64::from).collect(),
        };
        Ok(saved.rows.into_iter().map(|(name, numbers)| (name, floats(numbers))).collect())
    }

    /// Takes up what [`Rule::state`] gave.
    fn set_state(&mut self, py: Python<'_>, state: BTreeMap<String, Vec<f64>>) -> PyResult<()> {
        // What kind of numbers each row holds is known to the rule only.
        let mut like = Snapshot::default();
        border(py, || self.0.keep(&mut Archive::saving(&mut like)))?;
        let rows = state.into_iter().map(|(name, numbers)| {
            let numbers = match like.rows.get(&name) {
                Some(Numbers::U64(_)) => Numbers::U64(numbers.into_iter().map(|number| number as u64).collect()),
                _ => Numbers::F64(numbers),
            };
            (name, numbers)
        });
        let saved = Snapshot { rows: rows.collect() };
        border(py, || self.0.keep(&mut Archive::loading(&saved)))
    }
}
