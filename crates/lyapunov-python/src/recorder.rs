//! Run folders of training loops in Python, by the recorder of `lyapunov-runs`.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use lyapunov::{Edge, Evaluation, Measurement, Observer, Outcome, Product, Quantity, Sample, Sharpness};
use lyapunov_runs::{
    Error, Manifest,
    folder::{self, ROWS},
    store::read_from,
};
use pyo3::{
    exceptions::{PyOSError, PyRuntimeError, PyValueError},
    prelude::*,
};

/// A run that is being recorded. It is closed once, by `finish` or `leave`; what is called later fails.
#[pyclass(frozen)]
pub struct Recorder {
    open: Mutex<Option<lyapunov_runs::Recorder>>,
    /// The folder of the run.
    #[pyo3(get)]
    folder: PathBuf,
}

/// (quantity, value, residual, kind, cost).
type Reading = (String, f64, Option<f64>, String, f64);

/// (threshold, whether it speaks of the preconditioned sharpness, whether mini-batch runs hold the batch sharpness
/// there).
type OptimizersEdge = (f64, bool, bool);

#[pymethods]
impl Recorder {
    /// Begins a run in `out/name`, or the first free one of `out/name-2`, `out/name-3`, …
    #[staticmethod]
    #[pyo3(signature = (out, name, configuration, *, engine, device, seed, parameters))]
    #[allow(clippy::too_many_arguments, reason = "named in Python")]
    fn create(
        out: PathBuf,
        name: &str,
        configuration: &str,
        engine: String,
        device: String,
        seed: u64,
        parameters: usize,
    ) -> PyResult<Self> {
        let manifest = Manifest { engine: Some(engine), device, seed, parameters, ..Manifest::starting() };
        Self::of(lyapunov_runs::Recorder::create(&out, name, configuration, manifest))
    }

    /// Goes on with the run in `folder` after `steps` steps, which took `seconds`: later rows are forgotten.
    #[staticmethod]
    fn resume(folder: PathBuf, steps: u64, seconds: f64) -> PyResult<Self> {
        Self::of(lyapunov_runs::Recorder::resume(&folder, steps, seconds))
    }

    /// Keeps the row of a step. What is `None` was not measured.
    #[pyo3(signature = (step, *, loss = None, gradient_norm = None, learning_rate = None, edge = None,
        readings = Vec::new(), test_loss = None, test_accuracy = None, measuring_cost = 0.0))]
    #[allow(clippy::too_many_arguments, reason = "named in Python")]
    fn record(
        &self,
        step: u64,
        loss: Option<f64>,
        gradient_norm: Option<f64>,
        learning_rate: Option<f64>,
        edge: Option<OptimizersEdge>,
        readings: Vec<Reading>,
        test_loss: Option<f64>,
        test_accuracy: Option<f64>,
        measuring_cost: f64,
    ) -> PyResult<()> {
        let mut row = Measurement::of_step(step, unknown(loss), unknown(gradient_norm));
        row.learning_rate = unknown(learning_rate);
        row.measuring_cost = measuring_cost;
        row.evaluation = evaluation(test_loss, test_accuracy);
        if let Some((threshold, preconditioned, holds_batch_sharpness)) = edge {
            row.edge = Edge { threshold, preconditioned, holds_batch_sharpness };
        }
        row.sharpness = readings.into_iter().map(|reading| sharpness(step, reading)).collect::<PyResult<_>>()?;
        self.with(|recorder| recorder.record(&row).map_err(|fault| PyOSError::new_err(fault.to_string())))
    }

    /// Writes the rows that are waiting.
    fn flush(&self) -> PyResult<()> {
        self.with(|recorder| recorder.flush().map_err(|fault| exception(&fault)))
    }

    /// How long the run has taken.
    fn seconds(&self) -> PyResult<f64> {
        self.with(|recorder| Ok(recorder.seconds()))
    }

    /// Seals a run that has taken its steps, or at `diverged_at` could not.
    #[pyo3(signature = (steps, *, diverged_at = None, train_loss = None, test_loss = None, test_accuracy = None))]
    fn finish(
        &self,
        steps: u64,
        diverged_at: Option<u64>,
        train_loss: Option<f64>,
        test_loss: Option<f64>,
        test_accuracy: Option<f64>,
    ) -> PyResult<()> {
        let outcome = diverged_at.map_or(Outcome::Completed, |step| Outcome::Diverged { step });
        let test = evaluation(test_loss, test_accuracy);
        let train = Evaluation { loss: unknown(train_loss), accuracy: f64::NAN };
        let evaluations = (train_loss.is_some() || test.is_some()).then_some((train, test));
        let recorder = self.take()?;
        recorder.finish(outcome, steps, evaluations).map(drop).map_err(|fault| exception(&fault))
    }

    /// Seals a run that a fault has ended, or that was interrupted where there is none.
    #[pyo3(signature = (steps, fault = None))]
    fn leave(&self, steps: u64, fault: Option<String>) -> PyResult<()> {
        self.take()?.leave(fault, steps).map(drop).map_err(|fault| exception(&fault))
    }

    /// Lets the folder go as a process does that is killed.
    fn forget(&self) {
        drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Recorder {
    fn of(begun: lyapunov_runs::Result<lyapunov_runs::Recorder>) -> PyResult<Self> {
        let recorder = begun.map_err(|fault| exception(&fault))?;
        let folder = recorder.path().to_owned();
        Ok(Self { open: Mutex::new(Some(recorder)), folder })
    }

    fn with<T>(&self, work: impl FnOnce(&mut lyapunov_runs::Recorder) -> PyResult<T>) -> PyResult<T> {
        match self.open.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(recorder) => work(recorder),
            None => Err(closed(&self.folder)),
        }
    }

    fn take(&self) -> PyResult<lyapunov_runs::Recorder> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(|| closed(&self.folder))
    }
}

/// Fails where no run can be begun in `out`; makes nothing.
#[pyfunction]
pub fn check_writable(out: PathBuf) -> PyResult<()> {
    folder::check_writable(&out).map_err(|fault| exception(&fault))
}

/// Step, loss, learning rate and edge of a row.
type StoredRow = (u64, Option<f64>, Option<f64>, Option<f64>);

/// Quantity, data, and the step, value and residual of every reading.
type StoredSeries = (String, String, Vec<(u64, f64, Option<f64>)>);

/// The rows and the readings of the run in `folder`, read by the library that writes them: a second SQLite in this
/// process would take the locks of a run that goes on.
#[pyfunction]
pub fn history(folder: PathBuf) -> PyResult<(Vec<StoredRow>, Vec<StoredSeries>)> {
    let history = read_from(&folder.join(ROWS), 0).map_err(|fault| exception(&fault))?;
    let rows = history.rows.iter().map(|row| (row.step, row.loss, row.learning_rate, row.edge));
    let series = history.sharpness.into_iter().map(|series| {
        let points = series.points.iter().map(|point| (point.step, point.value, point.residual));
        (series.quantity, series.on, points.collect())
    });
    Ok((rows.collect(), series.collect()))
}

/// The store takes what is not a number for not known.
fn unknown(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

fn evaluation(loss: Option<f64>, accuracy: Option<f64>) -> Option<Evaluation> {
    (loss.is_some() || accuracy.is_some()).then(|| Evaluation { loss: unknown(loss), accuracy: unknown(accuracy) })
}

fn sharpness(step: u64, (quantity, value, residual, kind, cost): Reading) -> PyResult<Sharpness> {
    let shown = |fault: lyapunov::Error| PyValueError::new_err(fault.to_string());
    let (quantity, product) = (quantity.parse::<Quantity>().map_err(shown)?, kind.parse::<Product>().map_err(shown)?);
    Ok(Sharpness { quantity, value, residual: unknown(residual), on: Sample::Mini(step), product, cost })
}

fn closed(folder: &Path) -> PyErr {
    PyRuntimeError::new_err(format!("the run in {} is closed: nothing more is recorded in it", folder.display()))
}

fn exception(fault: &Error) -> PyErr {
    let help = fault.help().map(|help| format!(": {help}")).unwrap_or_default();
    PyOSError::new_err(format!("{fault}{help}"))
}
