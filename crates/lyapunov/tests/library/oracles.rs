//! Runs whose course is known exactly: gradient descent on losses with closed forms.

use lyapunov::{
    Constant, Controller, Measurement, Objective, Outcome, Plan, Product, Sample, Sgd, System, Target, run,
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
fn a_last_step_that_blows_up_is_a_divergence_too() {
    // The loss before step 511 is the last finite one, so that step is taken and leads nowhere.
    let (rows, summary) = descend(&[1.0], 3.0, 512);
    assert_eq!((summary.outcome, rows.len()), (Outcome::Diverged { step: 512 }, 512));
    let (_, summary) = descend(&[1.0], 3.0, 511);
    assert_eq!(summary.outcome, Outcome::Completed);
}

/// Multiplies the learning rate that it is shown.
struct RunningExponents(f64);

impl Controller for RunningExponents {
    fn next(&mut self, measurement: &Measurement) -> lyapunov::Result<f64> {
        Ok(self.0 * measurement.learning_rate)
    }
}

#[test]
fn a_controller_sees_the_learning_rate_before_it_decides_and_may_not_break_it() {
    let steps = |factor| {
        let mut descent = Sgd::new(Quadratic::new(vec![1.0]), vec![1.0], 0.01, Product::Exact);
        let mut rows = Vec::new();
        run(&mut descent, &Plan { steps: 5, ..Plan::default() }, &mut RunningExponents(factor), &mut rows).map(|_| rows)
    };
    let rates: Vec<f64> = steps(2.0).unwrap().iter().map(|row| row.learning_rate).collect();
    assert_eq!(rates, [0.02, 0.04, 0.08, 0.16, 0.32]);
    for factor in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(steps(factor).unwrap_err().to_string().contains("before step 0"));
    }
}

/// A quadratic that counts how often its gradient is asked for.
struct Counting(Quadratic, std::cell::Cell<u32>);

impl Objective for Counting {
    type Vector = Vec<f64>;
    fn gradient(&self, at: &Vec<f64>, on: Sample) -> lyapunov::Result<(f64, Vec<f64>)> {
        self.1.set(self.1.get() + 1);
        self.0.gradient(at, on)
    }
    fn product(&self, _: Product, _: &Vec<f64>, _: Sample, _: &Vec<f64>) -> lyapunov::Result<Vec<f64>> {
        unreachable!("differences go through the gradient")
    }
}

#[test]
fn differences_cost_what_is_recorded_on_all_data() {
    for central in [false, true] {
        let product = Product::Difference(lyapunov::Difference { relative_step: 1e-4, central });
        let counting = Counting(Quadratic::new(vec![1.0, 2.0, 3.0, 4.0]), std::cell::Cell::new(0));
        let plan =
            Plan { steps: 1, on: vec![Target::Batch, Target::Subset(7), Target::Full], product, ..Plan::default() };
        let mut rows = Vec::new();
        run(&mut Sgd::new(&counting, vec![1.0; 4], 0.1, product), &plan, &mut Constant(0.1), &mut rows).unwrap();
        // One gradient for the step, one to look at its result; all others are measurements.
        assert_eq!(f64::from(counting.1.get()) - 2.0, rows[0].measuring_cost, "central: {central}");
    }
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
