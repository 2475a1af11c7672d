//! Two runs beside each other on the same noise: how far they part.

use super::decide;
use crate::{
    control::Controller, descent::Descent, error::Result, objective::Objective, record::Measurement, system::Outcome,
    vector::Vector,
};

/// How far two runs have parted before step `step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwinRow {
    /// The step that comes next.
    pub step: u64,
    /// ‖w − w'‖/‖w‖.
    pub distance: f64,
    /// The loss of each on the mini-batch of this step.
    pub losses: [f64; 2],
    /// The share of held-out examples on which their predictions differ.
    pub disagreement: Option<f64>,
}

/// Trains `first` and `second` in step, both at the learning rates that `controller` decides for the first, and says
/// how far they are apart before steps 0, m, 2m, … and after the last. Ends where one of them is not finite.
///
/// **Cost**: two gradients per step, and two evaluations per row.
///
/// # Errors
/// Those of the objectives; a learning rate that is negative or not finite;
/// [`Error::Unmeasured`](crate::Error::Unmeasured) for a rule that decides by measurements: none are made here.
///
/// ```
/// use lyapunov::{Constant, Product, Sgd, separation, systems::Quadratic, twins};
/// let run = |start| Sgd::new(Quadratic::new(vec![-1.0, 1.0]), start, 0.1, Product::Exact);
/// let (mut first, mut second) = (run(vec![0.0, 1.0]), run(vec![1e-9, 1.0]));
/// let (rows, _) = twins(&mut first, &mut second, 50, 1, &mut Constant(0.1))?;
/// // ‖w‖ shrinks by 0.9 while the distance grows by 1.1.
/// let distances: Vec<_> = rows.iter().map(|row| (row.step, row.distance)).collect();
/// let rate = separation(&distances).expect("they part").rate;
/// assert!((rate.value - (1.1_f64 / 0.9).ln()).abs() < 1e-6);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn twins<D: Descent>(
    first: &mut D,
    second: &mut D,
    steps: u64,
    every: u64,
    controller: &mut dyn Controller,
) -> Result<(Vec<TwinRow>, Outcome)> {
    let mut rows = Vec::new();
    loop {
        let step = first.steps_taken();
        let losses = [first.gradient()?.0, second.gradient()?.0];
        if !losses.iter().all(|loss| loss.is_finite()) {
            return Ok((rows, Outcome::Diverged { step }));
        }
        if step == steps || step.is_multiple_of(every.max(1)) {
            rows.push(apart(first, second, losses)?);
        }
        if step == steps {
            return Ok((rows, Outcome::Completed));
        }
        let learning_rate = decide(controller, &mut plain_row(first)?)?;
        for descent in [&mut *first, &mut *second] {
            descent.set_learning_rate(learning_rate);
            descent.step(&mut [])?;
        }
    }
}

fn apart<D: Descent>(first: &D, second: &D, losses: [f64; 2]) -> Result<TwinRow> {
    let mut difference = first.weights().clone();
    difference.axpy(-1.0, second.weights());
    let size = first.weights().norm();
    let distance = difference.norm() / if size > 0.0 { size } else { 1.0 };
    let predictions = |descent: &D| descent.objective().predictions(descent.weights());
    let disagreement = predictions(first)?.zip(predictions(second)?).map(|(a, b)| {
        let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count();
        differing as f64 / a.len().max(1) as f64
    });
    Ok(TwinRow { step: first.steps_taken(), distance, losses, disagreement })
}

/// The row of a step on which nothing is measured.
fn plain_row<D: Descent>(descent: &mut D) -> Result<Measurement> {
    let (loss, gradient) = descent.gradient()?;
    let row = Measurement::of_step(0, *loss, gradient.norm());
    let (step, learning_rate, edge) = (descent.steps_taken(), descent.learning_rate(), descent.edge());
    Ok(Measurement { step, learning_rate, edge, ..row })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::Constant,
        descent::Sgd,
        objective::Product,
        systems::{Quadratic, ScalarNetwork},
    };

    #[test]
    fn equal_twins_stay_together_and_rows_come_when_due() {
        let run = || Sgd::new(ScalarNetwork { target: 2.0 }, vec![0.7, 1.9], 0.1, Product::Exact);
        let (rows, outcome) = twins(&mut run(), &mut run(), 10, 4, &mut Constant(0.1)).unwrap();
        assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 4, 8, 10]);
        assert!(rows.iter().all(|row| row.distance == 0.0 && row.losses[0] == row.losses[1]));
        assert_eq!(outcome, Outcome::Completed);
    }

    #[test]
    fn twins_that_blow_up_keep_their_rows() {
        let run = |start| Sgd::new(Quadratic::new(vec![1.0]), vec![start], 3.0, Product::Exact);
        let (rows, outcome) = twins(&mut run(1.0), &mut run(1.1), 5000, 1, &mut Constant(3.0)).unwrap();
        let Outcome::Diverged { step } = outcome else { panic!("|1 - 3| = 2") };
        assert_eq!(rows.len() as u64, step);
    }
}
