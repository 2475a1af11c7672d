//! The optimizers of torch by the rules of the core: edge, momentum and preconditioner of the coming step.

use lyapunov::{Decay, Moment, Moments, Momentum, SgdRule, UpdateRule as _, Vector};
use pyo3::prelude::*;

use crate::{border::border, tensor::Tensor};

enum Kind {
    SgdRule,
    Momentum(Momentum),
    Moments(Moments),
}

/// Gradient descent, heavy ball, Nesterov or Adam.
#[pyclass(frozen)]
pub struct Optimizer(Kind);

/// (threshold, whether it speaks of the preconditioned sharpness, whether mini-batch runs hold the batch sharpness
/// there).
type Edge = (f64, bool, bool);

#[pymethods]
impl Optimizer {
    /// Gradient descent, with momentum where that is not zero.
    #[staticmethod]
    #[pyo3(signature = (momentum = 0.0, nesterov = false))]
    fn sgd(py: Python<'_>, momentum: f64, nesterov: bool) -> PyResult<Self> {
        if momentum == 0.0 {
            return Ok(Self(Kind::SgdRule));
        }
        border(py, || Ok(Self(Kind::Momentum(Momentum::new(momentum, nesterov)?))))
    }

    /// Adam; `AdamW` differs in its decay only.
    #[staticmethod]
    #[pyo3(signature = (beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8))]
    fn adam(py: Python<'_>, beta1: f64, beta2: f64, epsilon: f64) -> PyResult<Self> {
        border(py, || Ok(Self(Kind::Moments(Moments { beta1, beta2, epsilon }.checked()?))))
    }

    /// Where a step of a full-batch run becomes unstable.
    #[pyo3(signature = (learning_rate, decay = 0.0, decoupled = false))]
    fn edge(&self, learning_rate: f64, decay: f64, decoupled: bool) -> Edge {
        let decay = Decay { rate: decay, decoupled };
        let edge = match &self.0 {
            Kind::SgdRule => lyapunov::UpdateRule::<Vec<f64>>::edge(&SgdRule, learning_rate, decay),
            Kind::Momentum(rule) => lyapunov::UpdateRule::<Vec<f64>>::edge(rule, learning_rate, decay),
            Kind::Moments(rule) => lyapunov::UpdateRule::<Vec<f64>>::edge(rule, learning_rate, decay),
        };
        (edge.threshold, edge.preconditioned, edge.holds_batch_sharpness)
    }

    /// m where the coming step is w' = w − η P⁻¹ m. `memory` is the velocity, or Adam's first moment.
    fn momentum<'py>(&self, memory: &Bound<'py, PyAny>, gradient: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, memory, gradient) = (memory.py(), Tensor::new(memory), Tensor::new(gradient));
        // Neither the weights nor the time enter.
        let moment = Moment { learning_rate: 0.0, count: 1 };
        let heading = border(py, || {
            Ok(match &self.0 {
                Kind::SgdRule => gradient.clone(),
                Kind::Momentum(rule) => rule.momentum(&(gradient.clone(), memory), &gradient, moment),
                Kind::Moments(rule) => {
                    rule.momentum(&(gradient.clone(), (memory, gradient.zeros_like())), &gradient, moment)
                }
            })
        })?;
        Ok(heading.bind(py).clone())
    }

    /// The diagonal of P^-½ at the coming step, the `count`-th, from Adam's second moment before it; `None` for the
    /// others.
    fn root<'py>(
        &self,
        second: &Bound<'py, PyAny>,
        gradient: &Bound<'py, PyAny>,
        count: u64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, second, gradient) = (second.py(), Tensor::new(second), Tensor::new(gradient));
        let Kind::Moments(rule) = &self.0 else { return Ok(None) };
        let moment = Moment { learning_rate: 0.0, count };
        let root = border(py, || {
            let mut ones = gradient.zeros_like();
            lyapunov::Elementwise::shift(&mut ones, 1.0);
            let state = (gradient.zeros_like(), (gradient.zeros_like(), second));
            if let Some(action) = rule.preconditioner(&state, &gradient, moment) {
                action(&mut ones);
            }
            Ok(ones)
        })?;
        Ok(Some(root.bind(py).clone()))
    }
}
