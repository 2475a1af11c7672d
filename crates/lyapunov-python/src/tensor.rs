//! A vector that stays where torch put it.

use lyapunov::{Archive, Elementwise, Numbers, Persist, Stream, Vector};
use pyo3::{
    intern,
    prelude::*,
    types::{PyByteArray, PyDict},
};

use crate::border::or_unwind;

/// A flat tensor of f32 or f64, by reference: a verb is one call of torch on the tensor's own device.
///
/// `clone` copies the numbers; the tensor that came from Python is never written to.
pub struct Tensor(Py<PyAny>);

impl Tensor {
    /// The tensor itself, not a copy.
    pub fn new(tensor: &Bound<'_, PyAny>) -> Self {
        Self(tensor.clone().unbind())
    }

    /// The tensor itself, for Python.
    pub fn bind<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.0.bind(py)
    }

    /// `length` entries from `start` on, sharing the memory.
    pub fn narrow(&self, start: usize, length: usize) -> Self {
        self.verb(|t| Ok(Self(t.call_method1(intern!(t.py(), "narrow"), (0, start, length))?.unbind())))
    }

    /// Overwrites the entries with those of `other`.
    pub fn copy(&mut self, other: &Self) {
        self.by("copy_", other);
    }

    fn verb<T>(&self, verb: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> T {
        Python::attach(|py| or_unwind(verb(self.0.bind(py))))
    }

    /// A verb that changes the tensor in place, by a number.
    fn entrywise(&mut self, name: &str, a: f64) {
        self.verb(|t| t.call_method1(name, (a,)).map(drop));
    }

    fn by(&mut self, name: &str, other: &Self) {
        self.verb(|t| t.call_method1(name, (other.bind(t.py()),)).map(drop));
    }

    /// The numbers as bytes of this machine.
    fn bytes(&self) -> Vec<u8> {
        self.verb(|t| {
            let py = t.py();
            let size: usize = t.getattr(intern!(py, "nbytes"))?.extract()?;
            let held = PyByteArray::new(py, &vec![0; size]);
            window(&held, t)?.call_method1(intern!(py, "copy_"), (t,))?;
            Ok(held.to_vec())
        })
    }

    /// Replaces the numbers; `None` where there are more or fewer.
    fn fill(&mut self, bytes: &[u8]) -> Option<()> {
        self.verb(|t| {
            let py = t.py();
            let size: usize = t.getattr(intern!(py, "nbytes"))?.extract()?;
            if bytes.len() != size {
                return Ok(None);
            }
            let held = PyByteArray::new(py, bytes);
            t.call_method1(intern!(py, "copy_"), (window(&held, t)?,))?;
            Ok(Some(()))
        })
    }
}

/// A tensor of the host that shares its memory with `bytes`, in the type of `like`.
fn window<'py>(bytes: &Bound<'py, PyByteArray>, like: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = bytes.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "dtype"), like.getattr(intern!(py, "dtype"))?)?;
    py.import(intern!(py, "torch"))?.call_method(intern!(py, "frombuffer"), (bytes,), Some(&options))
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        self.verb(|t| Ok(Self(t.call_method0(intern!(t.py(), "clone"))?.unbind())))
    }
}

impl Vector for Tensor {
    // One component after another: all at once, vectors in single precision that nearly fill their space lose
    // orthogonality, and a trace is off by per cents.
    const BATCHED: bool = false;

    fn len(&self) -> usize {
        self.verb(|t| t.call_method0(intern!(t.py(), "numel"))?.extract())
    }

    fn zeros_like(&self) -> Self {
        self.verb(|t| {
            let torch = t.py().import(intern!(t.py(), "torch"))?;
            Ok(Self(torch.call_method1(intern!(t.py(), "zeros_like"), (t,))?.unbind()))
        })
    }

    /// By a generator of the tensor's own device, seeded from `stream`: no other generator moves.
    fn randomize(&mut self, stream: &mut Stream) {
        let seed = stream.bits();
        self.verb(|t| {
            let py = t.py();
            let torch = py.import(intern!(py, "torch"))?;
            let device = t.getattr(intern!(py, "device"))?;
            let generator = torch.call_method1(intern!(py, "Generator"), (device,))?;
            generator.call_method1(intern!(py, "manual_seed"), (seed,))?;
            let options = PyDict::new(py);
            options.set_item(intern!(py, "generator"), generator)?;
            t.call_method(intern!(py, "normal_"), (), Some(&options)).map(drop)
        });
    }

    fn dot(&self, other: &Self) -> f64 {
        self.verb(|t| {
            let py = t.py();
            t.call_method1(intern!(py, "dot"), (other.bind(py),))?.call_method0(intern!(py, "item"))?.extract()
        })
    }

    /// The device is waited for once.
    fn dots(&self, others: &[Self]) -> Vec<f64> {
        if others.is_empty() {
            return Vec::new();
        }
        self.verb(|t| {
            let py = t.py();
            let dot = t.getattr(intern!(py, "dot"))?;
            let found = others.iter().map(|other| dot.call1((other.bind(py),))).collect::<PyResult<Vec<_>>>()?;
            let torch = py.import(intern!(py, "torch"))?;
            let stacked = torch.call_method1(intern!(py, "stack"), (found,))?;
            stacked.call_method0(intern!(py, "tolist"))?.extract()
        })
    }

    fn axpy(&mut self, a: f64, x: &Self) {
        self.verb(|t| {
            let py = t.py();
            let options = PyDict::new(py);
            options.set_item(intern!(py, "alpha"), a)?;
            t.call_method(intern!(py, "add_"), (x.bind(py),), Some(&options)).map(drop)
        });
    }

    fn scale(&mut self, a: f64) {
        self.entrywise("mul_", a);
    }
}

impl Elementwise for Tensor {
    fn multiply(&mut self, x: &Self) {
        self.by("mul_", x);
    }

    fn divide(&mut self, x: &Self) {
        self.by("div_", x);
    }

    fn sqrt(&mut self) {
        self.verb(|t| t.call_method0(intern!(t.py(), "sqrt_")).map(drop));
    }

    fn shift(&mut self, a: f64) {
        self.entrywise("add_", a);
    }
}

impl Persist for Tensor {
    fn keep(&mut self, name: &str, keeper: &mut Archive<'_>) -> lyapunov::Result<()> {
        let read = |field: &mut Self, row: &Numbers| match row {
            Numbers::Bytes(bytes) => field.fill(bytes),
            _ => None,
        };
        keeper.row(name, self, |field| Numbers::Bytes(field.bytes()), read)
    }
}
