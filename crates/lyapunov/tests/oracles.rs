//! Runs whose course is known exactly: gradient descent on losses with closed forms.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use lyapunov::{
    Constant, Measurement, Outcome, Plan, Product, Sgd, System, Target, run,
    systems::{Quadratic, ScalarNetwork},
};

fn descend(curvatures: &[f64], learning_rate: f64, steps: u64) -> (Vec<Measurement>, lyapunov::Summary) {
    let start = vec![1.0; curvatures.len()];
    let mut descent = Sgd::new(Quadratic::new(curvatures.to_vec()), start, 0.0, Product::Exact);
    let plan = Plan { steps, measure_every: 10, on: vec![Target::Batch, Target::Full], ..Plan::default() };
    let mut rows = Vec::new();
    let summary = run(&mut descent, &plan, &mut Constant(learning_rate), &mut rows).unwrap();
    (rows, summary)
}

#[test]
fn row_t_speaks_of_the_weights_before_step_t() {
    let (rows, summary) = descend(&[1.0, 4.0], 0.1, 30);
    assert_eq!((summary.outcome, summary.steps, rows.len()), (Outcome::Completed, 30, 30));
    for row in &rows {
        let t = row.step as i32;
        let expected = 0.5 * (0.9_f64.powi(2 * t) + 4.0 * 0.6_f64.powi(2 * t));
        assert!((row.loss - expected).abs() < 1e-12 * expected);
        assert_eq!(row.learning_rate, 0.1);
        assert_eq!(row.sharpness.len(), if t % 10 == 0 { 2 } else { 0 }, "None means: not measured now");
    }
    let sharpness = &rows[20].sharpness[0];
    assert!((sharpness.value - 4.0).abs() < 1e-9 && sharpness.residual < 1e-9);
    // Two products exhaust two dimensions: three measurements on two targets cost 12 g-eq over 30 steps.
    assert!((summary.measuring_cost - 12.0 / 30.0).abs() < 1e-12);
}

#[test]
fn three_over_one_diverges_and_the_record_survives() {
    let (rows, summary) = descend(&[1.0], 3.0, 10_000);
    let Outcome::Diverged { step } = summary.outcome else { panic!("η = 3 on h = 1 must diverge") };
    // |w| = 2^t: the loss ½·4^t overflows at t = 512.
    assert_eq!((step, summary.steps, rows.len()), (512, 512, 512));
    assert_eq!(summary.last.as_ref(), rows.last());
    assert!(rows.iter().all(|row| row.loss.is_finite() && row.gradient_norm.is_finite()));
}

#[test]
fn the_edge_of_stability_is_at_two_over_the_sharpness() {
    for (learning_rate, falls) in [(0.499, true), (0.501, false)] {
        let (rows, _) = descend(&[4.0, 0.5], learning_rate, 400);
        assert_eq!(rows[399].loss < rows[0].loss, falls, "η = {learning_rate}");
    }
    let (rows, _) = descend(&[4.0], 0.25, 2);
    assert_eq!(rows[1].loss, 0.0, "at ηλ = 1 the step lands on the minimum");
}

#[test]
fn a_start_beyond_the_edge_ends_in_a_flatter_minimum() {
    // In the valley ab = 1 at (4, ¼) the sharpness is 16.06; with η = 0.2 only minima below 10 are stable.
    let network = ScalarNetwork { target: 1.0 };
    let mut descent = Sgd::new(network, vec![4.0, 0.26], 0.0, Product::Exact);
    let plan = Plan { steps: 2000, measure_every: 100, ..Plan::default() };
    let mut rows = Vec::new();
    let summary = run(&mut descent, &plan, &mut Constant(0.2), &mut rows).unwrap();
    assert_eq!(summary.outcome, Outcome::Completed);
    assert!(rows[0].sharpness[0].value > 2.0 / 0.2);
    let last = summary.sharpness[0];
    assert!(last.value < 2.0 / 0.2 && rows[1999].loss < 1e-10, "{last:?}");
    let (a, b) = (descent.state()[0], descent.state()[1]);
    assert!((last.value - (a * a + b * b)).abs() < 1e-6);
}

#[test]
fn an_observer_that_fails_stops_the_run_and_says_where() {
    struct Full;
    impl lyapunov::Observer for Full {
        fn record(&mut self, row: &Measurement) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            if row.step == 3 { Err("no space left".into()) } else { Ok(()) }
        }
    }
    let mut descent = Sgd::new(Quadratic::new(vec![1.0]), vec![1.0], 0.0, Product::Exact);
    let error = run(&mut descent, &Plan::default(), &mut Constant(0.1), &mut Full).unwrap_err();
    assert_eq!(error.to_string(), "the measurement of step 3 could not be recorded: no space left");
}
