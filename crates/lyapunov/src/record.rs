//! The typed row of a run, and those who watch it.

use crate::objective::{Evaluation, Product, Sample};

/// λ_max as it was measured: never without its residual, its data, its kind of product and its cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sharpness {
    /// The estimate of the algebraically largest eigenvalue of the Hessian, in units of loss per weight².
    pub value: f64,
    /// ‖Hv − λv‖ for the unit vector found: some eigenvalue lies within this distance of the value.
    pub residual: f64,
    /// The data whose loss the Hessian belongs to.
    pub on: Sample,
    /// How the products were computed.
    pub product: Product,
    /// What this value cost, in g-eq.
    pub cost: f64,
}

impl Sharpness {
    /// Whether the residual is at most 5 % of the value.
    pub fn converged(&self) -> bool {
        self.residual <= 0.05 * self.value.abs()
    }
}

/// One row of a run: what is known of the weights before step `step`. `None` and absence mean "not measured now".
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The step t that comes next; row t speaks of the weights before it.
    pub step: u64,
    /// The mean loss of the mini-batch of step t.
    pub loss: f64,
    /// The norm of that batch's gradient.
    pub gradient_norm: f64,
    /// The learning rate η that step t uses.
    pub learning_rate: f64,
    /// Loss and accuracy on held-out data.
    pub evaluation: Option<Evaluation>,
    /// λ_max, once per kind of data that was due.
    pub sharpness: Vec<Sharpness>,
    /// The cost of all measurements up to and including this row, in g-eq.
    pub measuring_cost: f64,
}

impl Measurement {
    /// λ_max of the mini-batch, where it was measured.
    pub fn batch_lambda_max(&self) -> Option<&Sharpness> {
        self.sharpness.iter().find(|s| matches!(s.on, Sample::Mini(_)))
    }
}

/// Someone who keeps or shows the rows of a run.
pub trait Observer {
    /// Takes the row of the coming step, in order, once each.
    ///
    /// # Errors
    /// Where the row could not be kept; the run stops.
    fn record(&mut self, measurement: &Measurement) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Keeps every row in memory.
impl Observer for Vec<Measurement> {
    fn record(&mut self, measurement: &Measurement) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.push(measurement.clone());
        Ok(())
    }
}
