//! The optimizer that a user has as a dynamical system: its state mirrored, deviations moved by the rules of the core.

use lyapunov::{
    Benettin, Decay, Descent as _, Error, Moments, Momentum, Objective, Optimizer, Outcome, Product, Sample, SgdRule,
    System as _, UpdateRule, Vector,
};
use pyo3::{intern, prelude::*};

use crate::{
    border::{border, or_unwind},
    exponents::Exponents,
    groups::{Group, Groups, Stretches},
    tensor::Tensor,
};

/// A loss of Python over the batches of a run: `gradient(at, step)` is the pair of loss and gradient on the batch of
/// that step, `product(at, step, v)` the product with its Hessian.
struct Batches(Py<PyAny>);

impl Clone for Batches {
    fn clone(&self) -> Self {
        Python::attach(|py| Self(self.0.clone_ref(py)))
    }
}

fn step_of(on: Sample) -> lyapunov::Result<u64> {
    match on {
        Sample::Mini(step) => Ok(step),
        _ => Err(Error::argument("on", "these data", "must be the batch of a step")),
    }
}

impl Objective for Batches {
    type Vector = Tensor;

    fn gradient(&self, at: &Tensor, on: Sample) -> lyapunov::Result<(f64, Tensor)> {
        let step = step_of(on)?;
        Python::attach(|py| {
            or_unwind(py.check_signals());
            let found = self.0.call_method1(py, intern!(py, "gradient"), (at.bind(py), step));
            let (loss, gradient): (f64, Bound<'_, PyAny>) = or_unwind(found.and_then(|found| found.extract(py)));
            Ok((loss, Tensor::new(&gradient)))
        })
    }

    fn product(&self, _kind: Product, at: &Tensor, on: Sample, v: &Tensor) -> lyapunov::Result<Tensor> {
        let step = step_of(on)?;
        Python::attach(|py| {
            or_unwind(py.check_signals());
            let found = self.0.call_method1(py, intern!(py, "product"), (at.bind(py), step, v.bind(py)));
            Ok(Tensor::new(or_unwind(found).bind(py)))
        })
    }
}

/// A state as the tensors that it consists of.
trait Tensors: Vector + Stretches {
    fn tensors(&self) -> Vec<&Tensor>;
    /// The state of these; `None` where they are too many or too few.
    fn of(tensors: Vec<Tensor>) -> Option<Self>;
}

impl Tensors for Tensor {
    fn tensors(&self) -> Vec<&Tensor> {
        vec![self]
    }
    fn of(tensors: Vec<Tensor>) -> Option<Self> {
        <[Tensor; 1]>::try_from(tensors).ok().map(|[weights]| weights)
    }
}

impl Tensors for (Tensor, Tensor) {
    fn tensors(&self) -> Vec<&Tensor> {
        vec![&self.0, &self.1]
    }
    fn of(tensors: Vec<Tensor>) -> Option<Self> {
        <[Tensor; 2]>::try_from(tensors).ok().map(|[weights, velocity]| (weights, velocity))
    }
}

impl Tensors for (Tensor, (Tensor, Tensor)) {
    fn tensors(&self) -> Vec<&Tensor> {
        vec![&self.0, &self.1.0, &self.1.1]
    }
    fn of(tensors: Vec<Tensor>) -> Option<Self> {
        <[Tensor; 3]>::try_from(tensors).ok().map(|[weights, first, second]| (weights, (first, second)))
    }
}

/// What [`Descent`] asks, whatever the rule.
trait Mirror: Send + Sync {
    fn advance(&mut self, steps: u64, every: u64) -> lyapunov::Result<Outcome>;
    fn benettin(&mut self) -> (Option<lyapunov::Exponents>, Vec<Vec<&Tensor>>);
    fn forget(&mut self);
    fn state(&self) -> Vec<&Tensor>;
    fn tangent_error(&self, seed: u64) -> Option<String>;
}

struct Carried<R: UpdateRule<Tensor>>
where
    R::State: Stretches,
{
    descent: Optimizer<Batches, Groups<R>>,
    /// `None` where no deviations are carried.
    benettin: Option<Benettin<R::State>>,
}

impl<R: UpdateRule<Tensor> + Send + Sync> Mirror for Carried<R>
where
    R::State: Tensors + Send + Sync,
{
    fn advance(&mut self, steps: u64, every: u64) -> lyapunov::Result<Outcome> {
        if let Some(benettin) = &mut self.benettin {
            return benettin.advance(&mut self.descent, steps, every);
        }
        (0..steps).try_for_each(|_| self.descent.step(&mut []))?;
        Ok(Outcome::Completed)
    }

    fn benettin(&mut self) -> (Option<lyapunov::Exponents>, Vec<Vec<&Tensor>>) {
        let Some(benettin) = &self.benettin else { return (None, Vec::new()) };
        (Some(benettin.exponents()), benettin.deviations().iter().map(Tensors::tensors).collect())
    }

    fn forget(&mut self) {
        if let Some(benettin) = &mut self.benettin {
            benettin.forget();
        }
    }

    fn state(&self) -> Vec<&Tensor> {
        self.descent.state().tensors()
    }

    fn tangent_error(&self, seed: u64) -> Option<String> {
        lyapunov::testing::tangent_error(&self.descent, seed)
    }
}

/// The loop of an optimizer, taken on beside the user's own: from the same state, over the same batches.
#[pyclass]
pub struct Descent(Box<dyn Mirror>);

/// (length, learning rate, decay, decoupled, momentum or β₁, whether Nesterov's, β₂, ε).
type GroupOf = (usize, f64, f64, bool, f64, bool, f64, f64);

/// The groups with the rule that `make` makes of each.
fn groups<R>(given: &[GroupOf], make: impl Fn(&GroupOf) -> lyapunov::Result<R>) -> lyapunov::Result<Groups<R>> {
    let group = |given: &GroupOf| {
        let (length, learning_rate, rate, decoupled, ..) = *given;
        Ok(Group { rule: make(given)?, length, learning_rate, decay: Decay { rate, decoupled } })
    };
    Ok(Groups(given.iter().map(group).collect::<lyapunov::Result<_>>()?))
}

fn mirror<R>(
    batches: Batches,
    groups: Groups<R>,
    state: Vec<Tensor>,
    taken: u64,
    (count, seed): (usize, u64),
) -> lyapunov::Result<Box<dyn Mirror>>
where
    R: UpdateRule<Tensor> + Send + Sync + 'static,
    R::State: Tensors + Send + Sync,
{
    let found = state.len();
    let Some(state) = R::State::of(state) else {
        return Err(Error::Length { what: "the state of the optimizer", expected: 1, found });
    };
    let learning_rate = groups.0[0].learning_rate;
    let weights = R::weights(&state).clone();
    let mut descent = Optimizer::with_rule(batches, weights, learning_rate, groups, Product::Exact);
    descent.resume(state, learning_rate, taken);
    let benettin = if count == 0 { None } else { Some(Benettin::new(descent.state(), count, seed)?) };
    Ok(Box::new(Carried { descent, benettin }))
}

#[pymethods]
impl Descent {
    /// The optimizer `name` (`"sgd"`, `"momentum"`, `"adam"`) after `taken` steps, with `count` random deviations;
    /// `state` is the weights and what is remembered of each, flat.
    #[new]
    #[pyo3(signature = (name, batches, groups, state, *, taken = 0, count = 0, seed = 0))]
    #[allow(clippy::too_many_arguments, reason = "named in Python")]
    #[allow(clippy::needless_pass_by_value, reason = "so they come from Python")]
    fn new(
        py: Python<'_>,
        name: &str,
        batches: Py<PyAny>,
        groups: Vec<GroupOf>,
        state: Vec<Bound<'_, PyAny>>,
        taken: u64,
        count: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let (batches, state) = (Batches(batches), state.iter().map(Tensor::new).collect());
        let carried = (count, seed);
        border(py, || {
            if groups.is_empty() {
                return Err(Error::argument("groups", 0, "must be at least one"));
            }
            Ok(Self(match name {
                "sgd" => mirror(batches, self::groups(&groups, |_| Ok(SgdRule))?, state, taken, carried)?,
                "momentum" => {
                    let rule = |group: &GroupOf| Momentum::new(group.4, group.5);
                    mirror(batches, self::groups(&groups, rule)?, state, taken, carried)?
                }
                "adam" => {
                    let rule = |group: &GroupOf| {
                        let (.., beta1, _, beta2, epsilon) = *group;
                        Moments { beta1, beta2, epsilon }.checked()
                    };
                    mirror(batches, self::groups(&groups, rule)?, state, taken, carried)?
                }
                _ => {
                    let known = vec!["sgd", "momentum", "adam"];
                    return Err(Error::Unknown { kind: "optimizer", name: name.to_owned(), known });
                }
            }))
        })
    }

    /// Takes steps, the deviations re-orthonormalised every `every` of them. The step before which numbers were not
    /// finite, or `None`.
    fn advance(&mut self, py: Python<'_>, steps: u64, every: u64) -> PyResult<Option<u64>> {
        border(py, || self.0.advance(steps, every)).map(|outcome| match outcome {
            Outcome::Completed => None,
            Outcome::Diverged { step } => Some(step),
        })
    }

    /// Forgets what the deviations have grown, and keeps them: the end of a warm-up.
    fn forget(&mut self) {
        self.0.forget();
    }

    /// The exponents so far; `None` without deviations.
    fn exponents(&mut self, py: Python<'_>) -> PyResult<Option<Exponents>> {
        border(py, || Ok(self.0.benettin().0.map(|found| Exponents::of(&found))))
    }

    /// The state: weights, and what the optimizer remembers of each.
    fn state<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        self.0.state().iter().map(|tensor| tensor.bind(py).clone()).collect()
    }

    /// The deviations, each as the tensors of a state.
    fn deviations<'py>(&mut self, py: Python<'py>) -> Vec<Vec<Bound<'py, PyAny>>> {
        let states = self.0.benettin().1;
        states.iter().map(|state| state.iter().map(|tensor| tensor.bind(py).clone()).collect()).collect()
    }

    /// What is wrong with the tangent of the coming step, by a Taylor test; `None` where nothing is.
    #[pyo3(signature = (seed = 0))]
    fn tangent_error(&self, py: Python<'_>, seed: u64) -> PyResult<Option<String>> {
        border(py, || Ok(self.0.tangent_error(seed)))
    }
}
