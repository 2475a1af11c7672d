//! Dynamical systems that are not optimizers: the classical ones by name, and a map of Python's own.

use lyapunov::{
    Error, Map, SpectrumOptions, System, Vector,
    systems::{Choice, Entry, Known, SystemVisitor},
    testing::tangent_error,
};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};

use crate::{
    border::{border, or_unwind},
    exponents::Exponents,
};

/// (count, steps, warm-up, every, seed).
type Options = (Option<usize>, u64, u64, u64, u64);

fn spectrum_options((count, steps, warm_up, every, seed): Options) -> SpectrumOptions {
    SpectrumOptions { count, steps, warm_up, every, seed }
}

/// (name, what it means, default, least, most, whether it counts something).
type Parameter = (&'static str, &'static str, f64, f64, f64, bool);

/// All systems that have a name: (name, what it is, its parameters, where its literature values come from).
#[pyfunction]
pub fn catalogue() -> Vec<(&'static str, &'static str, Vec<Parameter>, &'static str)> {
    let parameter = |p: &lyapunov::systems::Parameter| (p.name, p.about, p.default, p.minimum, p.maximum, p.whole);
    let entry = |e: &Entry| (e.name, e.about, e.parameters.iter().map(parameter).collect(), e.source);
    lyapunov::systems::catalogue().iter().map(entry).collect()
}

/// A system of the catalogue with the values of its parameters.
#[pyclass(frozen)]
pub struct NamedSystem(Choice);

struct Measure(SpectrumOptions);

impl SystemVisitor for Measure {
    type Output = lyapunov::Result<lyapunov::Exponents>;
    fn visit<S: System + Clone>(self, mut system: S) -> Self::Output {
        lyapunov::exponents(&mut system, &self.0)
    }
}

struct Dimension;

impl SystemVisitor for Dimension {
    type Output = usize;
    fn visit<S: System + Clone>(self, system: S) -> usize {
        system.state().len()
    }
}

#[pymethods]
impl NamedSystem {
    #[new]
    #[pyo3(signature = (name, parameters, seed = 0))]
    fn new(py: Python<'_>, name: &str, parameters: Vec<(String, f64)>, seed: u64) -> PyResult<Self> {
        border(py, || {
            let mut choice = Choice::named(name)?;
            parameters.iter().try_for_each(|(name, value)| choice.set(name, *value))?;
            choice.set_seed(seed);
            Ok(Self(choice))
        })
    }

    /// The exponents, per unit of time where the system has one.
    fn exponents(&self, py: Python<'_>, options: Options) -> PyResult<Exponents> {
        let found = border(py, || self.0.visit(Measure(spectrum_options(options))))?;
        Ok(Exponents::of(&if self.0.entry().per_time { found.per_time() } else { found }))
    }

    /// The known exponents at these parameters, and whether they are known in closed form.
    fn literature(&self) -> Option<(Vec<f64>, bool)> {
        self.0.literature().map(|found| (found.values, found.known == Known::Exactly))
    }

    /// Whether exponents are per unit of time; else per step.
    #[getter]
    fn per_time(&self) -> bool {
        self.0.entry().per_time
    }

    /// The number of dimensions.
    #[getter]
    fn dimension(&self) -> usize {
        self.0.visit(Dimension)
    }
}

/// A map of Python: `step(x)` gives the image of a state, `tangent(x, deviations)` those of deviations, all as bytes of
/// f64.
struct Own {
    step: Py<PyAny>,
    tangent: Py<PyAny>,
    state: Vec<f64>,
    time_step: f64,
}

fn bytes<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// As many numbers as are expected, out of bytes.
fn numbers(found: &Bound<'_, PyAny>, expected: usize) -> PyResult<Vec<f64>> {
    let bytes: &[u8] = found.extract()?;
    let (whole, rest) = bytes.as_chunks::<8>();
    if whole.len() != expected || !rest.is_empty() {
        return Err(PyValueError::new_err(format!("{expected} numbers are needed where {} came", whole.len())));
    }
    Ok(whole.iter().map(|chunk| f64::from_ne_bytes(*chunk)).collect())
}

/// The image of `x`. Ctrl-C is seen before it.
fn image(step: &Py<PyAny>, x: &[f64]) -> Vec<f64> {
    Python::attach(|py| {
        let found = py.check_signals().and_then(|()| step.call1(py, (PyBytes::new(py, &bytes(x)),)));
        or_unwind(found.and_then(|found| numbers(found.bind(py), x.len())))
    })
}

impl Clone for Own {
    fn clone(&self) -> Self {
        Python::attach(|py| Self {
            step: self.step.clone_ref(py),
            tangent: self.tangent.clone_ref(py),
            state: self.state.clone(),
            time_step: self.time_step,
        })
    }
}

impl System for Own {
    type Vector = Vec<f64>;

    fn state(&self) -> &Vec<f64> {
        &self.state
    }

    fn set_state(&mut self, state: Vec<f64>) {
        self.state = state;
    }

    fn step(&mut self, deviations: &mut [Vec<f64>]) -> lyapunov::Result<()> {
        let n = self.state.len();
        if !deviations.is_empty() {
            let moved = Python::attach(|py| {
                let at = PyBytes::new(py, &bytes(&self.state));
                let carried = PyBytes::new(py, &bytes(deviations.iter().flatten()));
                let found = self.tangent.call1(py, (at, carried));
                or_unwind(found.and_then(|found| numbers(found.bind(py), n * deviations.len())))
            });
            deviations.iter_mut().zip(moved.chunks_exact(n)).for_each(|(deviation, moved)| {
                deviation.copy_from_slice(moved);
            });
        }
        self.state = image(&self.step, &self.state);
        Ok(())
    }

    fn time_step(&self) -> f64 {
        self.time_step
    }
}

/// A map of Python with its tangent, by a callable or by differences.
#[pyclass(frozen)]
pub struct OwnMap {
    step: Py<PyAny>,
    tangent: Option<Py<PyAny>>,
    start: Vec<f64>,
    time_step: f64,
}

impl OwnMap {
    fn own(&self, py: Python<'_>) -> lyapunov::Result<Own> {
        let Some(tangent) = &self.tangent else {
            return Err(Error::argument(
                "jacobian",
                "none",
                "must be given, or jvp, for there to be something to check",
            ));
        };
        let (step, state) = (self.step.clone_ref(py), self.start.clone());
        Ok(Own { step, tangent: tangent.clone_ref(py), state, time_step: self.time_step })
    }
}

#[pymethods]
impl OwnMap {
    #[new]
    #[pyo3(signature = (step, tangent, start, time_step = 1.0))]
    fn new(step: Py<PyAny>, tangent: Option<Py<PyAny>>, start: Vec<f64>, time_step: f64) -> Self {
        Self { step, tangent, start, time_step }
    }

    /// The exponents, per step.
    fn exponents(&self, py: Python<'_>, options: Options) -> PyResult<Exponents> {
        let options = spectrum_options(options);
        let found = border(py, || {
            if self.tangent.is_some() {
                return lyapunov::exponents(&mut self.own(py)?, &options);
            }
            let step = |x: &Vec<f64>| image(&self.step, x);
            lyapunov::exponents(&mut Map::by_differences(self.start.clone(), step)?, &options)
        })?;
        Ok(Exponents::of(&found))
    }

    /// What is wrong with the tangent, by a Taylor test at the start; `None` where nothing is.
    #[pyo3(signature = (seed = 0))]
    fn tangent_error(&self, py: Python<'_>, seed: u64) -> PyResult<Option<String>> {
        border(py, || Ok(tangent_error(&self.own(py)?, seed)))
    }
}
