//! Eigenvalues, traces, densities and curvatures of operators that Python gives.

use lyapunov::{
    Affine, Archive, DensityOptions, Difference, Elementwise, Error, Hessian, Lanczos, Objective, Operator,
    Preconditioned, Product, Sample, Snapshot, TraceOptions, Vector,
};
use pyo3::{intern, prelude::*};

use crate::{
    border::{border, or_unwind},
    tensor::Tensor,
};

/// A callable of Python as a linear map. Ctrl-C is seen before every product.
struct Callable<'a, 'py>(&'a Bound<'py, PyAny>);

impl Operator<Tensor> for Callable<'_, '_> {
    fn apply(&self, v: &Tensor) -> lyapunov::Result<Tensor> {
        let py = self.0.py();
        or_unwind(py.check_signals());
        Ok(Tensor::new(&or_unwind(self.0.call1((v.bind(py),)))))
    }
}

/// S A S for a diagonal S; A itself where there is none.
struct Scaled<'a, 'py> {
    operator: Callable<'a, 'py>,
    root: Option<&'a Tensor>,
}

impl Operator<Tensor> for Scaled<'_, '_> {
    fn apply(&self, v: &Tensor) -> lyapunov::Result<Tensor> {
        match self.root {
            None => self.operator.apply(v),
            Some(root) => Preconditioned { operator: &self.operator, root: |v: &mut Tensor| v.multiply(root) }.apply(v),
        }
    }
}

/// A loss of Python: `gradient(at, batch)` is the pair of loss and gradient, `product(batch, v)` the product with the
/// Hessian; `batch` is an index, or `None` for all of the data.
struct Loss<'a, 'py>(&'a Bound<'py, PyAny>);

fn index(on: Sample) -> Option<u64> {
    match on {
        Sample::Mini(index) => Some(index),
        _ => None,
    }
}

impl Objective for Loss<'_, '_> {
    type Vector = Tensor;

    fn gradient(&self, at: &Tensor, on: Sample) -> lyapunov::Result<(f64, Tensor)> {
        let py = self.0.py();
        or_unwind(py.check_signals());
        let found = self.0.call_method1(intern!(py, "gradient"), (at.bind(py), index(on)));
        let (loss, gradient): (f64, Bound<'_, PyAny>) = or_unwind(found.and_then(|found| found.extract()));
        Ok((loss, Tensor::new(&gradient)))
    }

    fn product(&self, _kind: Product, _at: &Tensor, on: Sample, v: &Tensor) -> lyapunov::Result<Tensor> {
        let py = self.0.py();
        or_unwind(py.check_signals());
        let found = self.0.call_method1(intern!(py, "product"), (index(on), v.bind(py)));
        Ok(Tensor::new(&or_unwind(found)))
    }
}

/// What a Krylov method found.
#[pyclass(frozen, get_all)]
pub struct Ritz {
    /// (value, residual) of the largest eigenvalues, largest first.
    largest: Vec<(f64, f64)>,
    /// (value, residual) of the smallest eigenvalues, smallest first.
    smallest: Vec<(f64, f64)>,
    /// The unit vectors of all of these, in this order.
    vectors: Vec<Py<PyAny>>,
    /// Products that it took.
    products: usize,
    /// Whether every residual is within the tolerance.
    converged: bool,
}

fn ritz(py: Python<'_>, found: &lyapunov::Ritz<Tensor>) -> Ritz {
    let values = |pairs: &[lyapunov::Eigenpair<Tensor>]| pairs.iter().map(|p| (p.value, p.residual)).collect();
    let pairs = found.largest.iter().chain(&found.smallest);
    Ritz {
        largest: values(&found.largest),
        smallest: values(&found.smallest),
        vectors: pairs.map(|pair| pair.vector.bind(py).clone().unbind()).collect(),
        products: found.applications,
        converged: found.converged,
    }
}

/// Extreme eigenvalues of a symmetric operator, by Lanczos.
#[pyfunction]
#[pyo3(signature = (operator, start, *, largest = 1, smallest = 0, tolerance = 1e-3, max_products = 100,
    max_basis = 100, root = None))]
#[allow(clippy::too_many_arguments, reason = "named in Python")]
pub fn lanczos(
    operator: &Bound<'_, PyAny>,
    start: &Bound<'_, PyAny>,
    largest: usize,
    smallest: usize,
    tolerance: f64,
    max_products: usize,
    max_basis: usize,
    root: Option<&Bound<'_, PyAny>>,
) -> PyResult<Ritz> {
    let py = operator.py();
    let options = Lanczos { largest, smallest, tolerance, max_applications: max_products, max_basis };
    let root = root.map(Tensor::new);
    let scaled = Scaled { operator: Callable(operator), root: root.as_ref() };
    Ok(ritz(py, &border(py, || lyapunov::lanczos(&scaled, &Tensor::new(start), &options))?))
}

/// A trace with its standard error.
#[pyclass(frozen, get_all)]
pub struct Trace {
    /// The estimate of the sum of the eigenvalues.
    value: f64,
    /// The standard error of its random part.
    std_error: f64,
    /// Products that it took.
    products: usize,
}

/// The trace of a symmetric operator, by Hutch++.
#[pyfunction]
#[pyo3(signature = (operator, like, *, products = 60, seed = 0))]
pub fn trace(operator: &Bound<'_, PyAny>, like: &Bound<'_, PyAny>, products: usize, seed: u64) -> PyResult<Trace> {
    let options = TraceOptions { applications: products, seed };
    let found = border(operator.py(), || lyapunov::trace(&Callable(operator), &Tensor::new(like), &options))?;
    Ok(Trace { value: found.value, std_error: found.std_error, products: found.applications })
}

/// The spectral density of a symmetric operator, as nodes and weights.
#[pyclass(frozen)]
pub struct Density(lyapunov::Density);

#[pymethods]
impl Density {
    /// Per random vector, the nodes with their weights.
    #[getter]
    fn quadratures(&self) -> Vec<Vec<(f64, f64)>> {
        self.0.quadratures.clone()
    }

    /// The dimension n.
    #[getter]
    fn dimension(&self) -> usize {
        self.0.dimension
    }

    /// Products that it took.
    #[getter]
    fn products(&self) -> usize {
        self.0.applications
    }

    /// The density at `t`, smoothed by a normal distribution, with its standard error.
    fn at(&self, t: f64, width: f64) -> (f64, f64) {
        self.0.at(t, width)
    }

    /// The share of eigenvalues at most `t`, with its standard error.
    fn cumulative(&self, t: f64) -> (f64, f64) {
        self.0.cumulative(t)
    }

    /// The mean of the k-th power of the eigenvalues, with its standard error.
    fn moment(&self, k: i32) -> (f64, f64) {
        self.0.mean(|value| value.powi(k))
    }

    /// The smallest and the largest node.
    fn range(&self) -> (f64, f64) {
        self.0.range()
    }
}

/// The spectral density of a symmetric operator, by stochastic Lanczos quadrature.
#[pyfunction]
#[pyo3(signature = (operator, like, *, probes = 10, steps = 40, seed = 0))]
pub fn density(
    operator: &Bound<'_, PyAny>,
    like: &Bound<'_, PyAny>,
    probes: usize,
    steps: usize,
    seed: u64,
) -> PyResult<Density> {
    let options = DensityOptions { probes, steps, seed };
    let found = border(operator.py(), || lyapunov::density(&Callable(operator), &Tensor::new(like), &options))?;
    Ok(Density(found))
}

/// Value, standard error, spread over batches, and how many batches had a gradient.
type MeanQuotient = (f64, f64, f64, usize);

/// The batch sharpness over batches 0 … `batches` − 1; `None` where fewer than two have a gradient.
#[pyfunction]
pub fn batch_sharpness(loss: &Bound<'_, PyAny>, at: &Bound<'_, PyAny>, batches: u64) -> PyResult<Option<MeanQuotient>> {
    let at = Tensor::new(at);
    let all = (0..batches).map(Sample::Mini);
    let found = border(loss.py(), || lyapunov::batch_sharpness(&Loss(loss), Product::Exact, &at, all))?;
    Ok(found.map(|found| (found.value, found.std_error, found.spread, found.batches)))
}

/// The Rayleigh quotient of an operator at a direction with its residual: (value, residual); `None` where the direction
/// is zero.
#[pyfunction]
#[pyo3(signature = (operator, direction, root = None))]
pub fn rayleigh(
    operator: &Bound<'_, PyAny>,
    direction: &Bound<'_, PyAny>,
    root: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<(f64, f64)>> {
    let root = root.map(Tensor::new);
    let scaled = Scaled { operator: Callable(operator), root: root.as_ref() };
    border(operator.py(), || {
        let Some(unit) = Tensor::new(direction).unit() else { return Ok(None) };
        let mut image = scaled.apply(&unit)?;
        let value = unit.dot(&image);
        image.axpy(-value, &unit);
        Ok(value.is_finite().then(|| (value, image.norm())))
    })
}

/// (slope, curvature, stretch, reach) along the step against `heading`, in the metric of the preconditioner whose
/// inverse root is the diagonal `root`; `None` where the heading is zero or the product is not finite.
#[pyfunction]
#[pyo3(signature = (operator, heading, gradient, root = None))]
pub fn along(
    operator: &Bound<'_, PyAny>,
    heading: &Bound<'_, PyAny>,
    gradient: &Bound<'_, PyAny>,
    root: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<(f64, f64, f64, f64)>> {
    let root = root.map(Tensor::new);
    let scaled = Scaled { operator: Callable(operator), root: root.as_ref() };
    border(operator.py(), || {
        let (mut heading, mut gradient) = (Tensor::new(heading).clone(), Tensor::new(gradient).clone());
        if let Some(root) = &root {
            heading.multiply(root);
            gradient.multiply(root);
        }
        let Some(direction) = heading.unit() else { return Ok(None) };
        let image = scaled.apply(&direction)?;
        let found = (gradient.dot(&direction), image.dot(&direction), image.norm(), heading.norm());
        Ok([found.0, found.1, found.2].iter().all(|number| number.is_finite()).then_some(found))
    })
}

/// Whether the loss over all data gives the same bits again: raises `NotDeterministic` where it does not.
#[pyfunction]
pub fn check_determinism(
    loss: &Bound<'_, PyAny>,
    at: &Bound<'_, PyAny>,
    known_loss: f64,
    known_gradient: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (at, known) = (Tensor::new(at), (known_loss, Tensor::new(known_gradient)));
    border(loss.py(), || lyapunov::check_determinism(&Loss(loss), &at, Sample::Full, &known))
}

/// H v by a difference of gradients.
#[pyfunction]
#[pyo3(signature = (loss, at, v, *, batch = None, gradient = None, relative_step = 1e-4, central = false))]
pub fn difference<'py>(
    loss: &Bound<'py, PyAny>,
    at: &Bound<'py, PyAny>,
    v: &Bound<'py, PyAny>,
    batch: Option<u64>,
    gradient: Option<&Bound<'py, PyAny>>,
    relative_step: f64,
    central: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = loss.py();
    let (at, gradient) = (Tensor::new(at), gradient.map(Tensor::new));
    let on = batch.map_or(Sample::Full, Sample::Mini);
    let product = Product::Difference(Difference { relative_step, central });
    let (objective, gradient) = (&Loss(loss), gradient.as_ref());
    let image = border(py, || Hessian { objective, at: &at, on, product, gradient }.apply(&Tensor::new(v)))?;
    Ok(image.bind(py).clone())
}

/// Follows one end of the spectrum of an operator that changes a little from call to call.
#[pyclass]
pub struct Tracker {
    tracker: lyapunov::Tracker<Tensor>,
    smallest: bool,
}

#[pymethods]
impl Tracker {
    #[new]
    #[pyo3(signature = (products = 5, *, tolerance = None, smallest = false))]
    fn new(products: usize, tolerance: Option<f64>, smallest: bool) -> Self {
        let mut tracker = lyapunov::Tracker::new(products);
        if let Some(tolerance) = tolerance {
            (tracker.tolerance, tracker.stop_early) = (tolerance, true);
        }
        Self { tracker, smallest }
    }

    /// One burst of products at the present operator, from the last vector and `hint`.
    #[pyo3(signature = (operator, hint, root = None))]
    fn update(
        &mut self,
        operator: &Bound<'_, PyAny>,
        hint: &Bound<'_, PyAny>,
        root: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Ritz> {
        let (py, root) = (operator.py(), root.map(Tensor::new));
        let scaled = Scaled { operator: Callable(operator), root: root.as_ref() };
        let Self { tracker, smallest } = self;
        let found = border(py, || {
            let mut hint = Tensor::new(hint);
            if let Some(root) = &root {
                hint = hint.clone();
                hint.multiply(root);
            }
            if *smallest {
                tracker.update(&Affine { a: -1.0, operator: &scaled, b: 0.0 }, &hint)
            } else {
                tracker.update(&scaled, &hint)
            }
        })?;
        let mut found = ritz(py, &found);
        if *smallest {
            found.smallest = found.largest.drain(..).map(|(value, residual)| (-value, residual)).collect();
        }
        Ok(found)
    }

    /// The vector that the next burst starts from, as bytes; `None` before the first one. `like` is a tensor of its
    /// shape and type.
    fn vector<'py>(&mut self, like: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = like.py();
        let (tracker, like) = (&mut self.tracker, Tensor::new(like));
        border(py, || {
            let mut saved = Snapshot::default();
            tracker.keep(&mut Archive::saving(&mut saved), &like)?;
            let mut vector = None;
            Archive::loading(&saved).maybe("vector", &mut vector, &like)?;
            Ok(vector)
        })
        .map(|vector: Option<Tensor>| vector.map(|vector| vector.bind(py).clone()))
    }

    /// Takes up a vector that [`Tracker::vector`] gave.
    fn set_vector(&mut self, vector: Option<&Bound<'_, PyAny>>, like: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, tracker, like) = (like.py(), &mut self.tracker, Tensor::new(like));
        let mut vector = vector.map(Tensor::new);
        border(py, || {
            let found = vector.as_ref().map_or(Vector::len(&like), Vector::len);
            if found != Vector::len(&like) {
                return Err(Error::Length { what: "the saved vector", expected: Vector::len(&like), found });
            }
            let mut saved = Snapshot::default();
            Archive::saving(&mut saved).maybe("vector", &mut vector, &like)?;
            tracker.keep(&mut Archive::loading(&saved), &like)
        })
    }
}
