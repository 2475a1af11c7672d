//! The nearby trajectory in runs: against its law, against recorded weights, and without a trace in the run.

use lyapunov::{
    Constant, Controller, Dense, Descent, Difference, Estimator, Measurement, NearbyValue, Objective, Operator,
    Outcome, Plan, Product, Quantity, QuasiNewton, Result, Sample, Sgd, Target, Training, Vector, run,
    systems::{Quadratic, ScalarNetwork},
};

/// Every batch has a target of its own.
struct Batches;

fn target(on: Sample) -> f64 {
    match on {
        Sample::Mini(step) => 2.0 + [0.0, 0.6, -0.5, 0.2, -0.1][step as usize % 5],
        _ => 2.0,
    }
}

impl Objective for Batches {
    type Vector = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>, on: Sample) -> Result<(f64, Vec<f64>)> {
        ScalarNetwork { target: target(on) }.gradient(at, on)
    }

    fn offers(&self, _kind: Product) -> bool {
        true
    }

    fn product(&self, kind: Product, at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        ScalarNetwork { target: target(on) }.product(kind, at, on, v)
    }
}

fn plan(value: NearbyValue, what: Vec<Quantity>, steps: u64) -> Plan {
    // The period is that of everything else: a trajectory moves at every step.
    Plan { steps, measure_every: 1000, what, estimator: Estimator::NearbyTrajectory(value), ..Plan::default() }
}

#[test]
fn at_frozen_weights_it_comes_to_either_end_at_the_rate_of_the_theory() {
    let (rate, curvatures) = (0.15, [5.0, 4.0, 2.0, 0.5, -0.5, -1.5]);
    // δ' = (I ± ηH)δ: the second component shrinks against the first by this ratio per step, and errors by its square.
    let ends = [
        (Quantity::LambdaMax, 5.0, (1.0 + rate * 4.0) / (1.0 + rate * 5.0)),
        (Quantity::LambdaMin, -1.5, (1.0 + rate * 0.5) / (1.0 + rate * 1.5)),
    ];
    for value in NearbyValue::ALL {
        for (quantity, exact, ratio) in ends {
            let bowl = Quadratic::new(curvatures.to_vec());
            let mut frozen = Sgd::new(bowl, vec![1.0; 6], rate, Product::Exact).frozen();
            let plan = Plan { products: 1, ..plan(value, vec![quantity], 60) };
            let mut rows: Vec<Measurement> = Vec::new();
            run(&mut frozen, &plan, &mut Constant(rate), &mut rows).unwrap();
            let errors: Vec<f64> = rows.iter().map(|row| (row.sharpness[0].value - exact).abs()).collect();
            assert!(errors[0] > 1e-3, "two products have not found it: {errors:?}");
            // Where the other components are gone and the rounding is far.
            let late = 40..50;
            for step in late {
                let found = (errors[step + 1] / errors[step]).sqrt();
                assert!((found / ratio - 1.0).abs() < 0.01, "{value}, {quantity}: {found} for {ratio} at step {step}");
            }
            assert!(rows[59].sharpness[0].residual >= errors[59] && errors[59] < 1e-3);
            assert_eq!(rows[1].nearby[0].factor, if quantity == Quantity::LambdaMin { -rate } else { rate });
        }
    }
}

#[test]
fn beyond_the_edge_the_smallest_one_turns_to_the_sharp_end_as_the_training_does() {
    // 1 − ηλ_max = −1.8 and 1 + η|λ_min| = 1.2: the tangent map of training itself grows along λ_max.
    let mut frozen = Sgd::new(Quadratic::new(vec![14.0, 1.0, -1.0]), vec![1.0; 3], 0.2, Product::Exact).frozen();
    let plan = Plan { products: 1, ..plan(NearbyValue::Rayleigh, vec![Quantity::LambdaMin], 80) };
    let mut rows: Vec<Measurement> = Vec::new();
    run(&mut frozen, &plan, &mut Constant(0.2), &mut rows).unwrap();
    assert!((rows[79].sharpness[0].value - 14.0).abs() < 1e-6, "{:?}", rows[79].sharpness);
    assert!((rows[79].nearby[0].growth - 1.8_f64.ln()).abs() < 1e-6);
}

/// The Hessian of the batch of this step at these weights, by its formula.
fn hessian(weights: &[f64], step: u64) -> Dense {
    let (a, b) = (weights[0], weights[1]);
    let mixed = 2.0 * a * b - target(Sample::Mini(step));
    Dense::new(vec![vec![b * b, mixed], vec![mixed, a * a]])
}

#[test]
fn along_a_training_it_is_what_recorded_weights_say() {
    let what = vec![Quantity::LambdaMax, Quantity::LambdaMin];
    for value in NearbyValue::ALL {
        let plan = Plan { on: vec![Target::Batch], ..plan(value, what.clone(), 60) };
        let mut descent = Sgd::new(Batches, vec![0.7, 1.9], 0.05, Product::Exact);
        let mut training = Training::new(&mut descent, &plan).unwrap();
        let (mut rule, mut rows, mut weights) = (Constant(0.05), Vec::<Measurement>::new(), Vec::new());
        for until in 1..=60 {
            weights.push(descent.weights().clone());
            training.advance(&mut descent, until, &mut rule, &mut rows).unwrap();
        }
        for (place, sign) in [(0, 1.0), (1, -1.0)] {
            // Two dimensions: the burst at the beginning has found the eigenvector.
            let first = hessian(&weights[0], 0);
            let end = if sign > 0.0 { first.eigenvalues()[0] } else { first.eigenvalues()[1] };
            let mut v = vec![end - entry(&first, 1, 1), entry(&first, 0, 1)].unit().unwrap();
            let mut factor = 0.0;
            for (step, row) in rows.iter().enumerate() {
                let matrix = hessian(&weights[step], step as u64);
                let image: Vec<f64> = (0..2).map(|i| (0..2).map(|j| entry(&matrix, i, j) * v[j]).sum()).collect();
                let (quotient, norm) = (image.dot(&v), image.norm());
                let mut moved = v.clone();
                moved.axpy(factor, &image);
                // Before the first step no learning rate is known: the perturbation stays.
                let growth = if step == 0 { quotient } else { (moved.norm() - 1.0) / factor };
                let exact = match value {
                    NearbyValue::Growth => growth,
                    NearbyValue::Rayleigh => quotient,
                    NearbyValue::ImageNorm => norm * quotient.signum(),
                };
                let found = row.sharpness[place];
                assert!(
                    (found.value - exact).abs() < 1e-10 * exact.abs().max(1.0),
                    "{value}, {step}: {found:?}, {exact}"
                );
                let shown = row.nearby[place];
                assert_eq!((shown.quantity, shown.factor), (what[place], factor));
                assert!((shown.growth - moved.norm().ln()).abs() < 1e-10 && (shown.image_norm - norm).abs() < 1e-10);
                assert!((shown.rayleigh - quotient).abs() < 1e-10 && (shown.from_growth - growth).abs() < 1e-10);
                v = moved.unit().unwrap();
                factor = sign * row.learning_rate;
            }
        }
    }
}

fn entry(matrix: &Dense, i: usize, j: usize) -> f64 {
    let unit: Vec<f64> = (0..2).map(|k| if k == j { 1.0 } else { 0.0 }).collect();
    matrix.apply(&unit).unwrap()[i]
}

/// The losses of a run by this plan, bit by bit, and its cost per step.
fn losses(plan: &Plan) -> (Vec<u64>, f64, Vec<Measurement>) {
    let mut descent = Sgd::new(Batches, vec![0.7, 1.9], 0.05, Product::Exact);
    let mut rows: Vec<Measurement> = Vec::new();
    let summary = run(&mut descent, plan, &mut Constant(0.05), &mut rows).unwrap();
    assert_eq!(summary.outcome, Outcome::Completed);
    (rows.iter().map(|row| row.loss.to_bits()).collect(), summary.measuring_cost, rows)
}

#[test]
fn a_difference_at_the_nearby_point_leaves_no_trace_and_costs_one_gradient_per_step() {
    let product = Product::Difference(Difference::SMOOTH);
    let carried = Plan { product, ..plan(NearbyValue::Growth, vec![Quantity::LambdaMax], 50) };
    let (with, cost, rows) = losses(&carried);
    let (without, nothing, _) = losses(&Plan { measure_every: 0, ..carried.clone() });
    assert_eq!((with, nothing), (without, 0.0));
    // The burst at the beginning has two products in two dimensions.
    assert_eq!(cost, (2.0 + 50.0) / 50.0);
    assert!(rows.iter().skip(1).all(|row| row.sharpness[0].cost == 1.0 && row.sharpness.len() == 1));
    // The product that it stands for.
    let (_, _, exact) = losses(&Plan { product: Product::Exact, ..carried });
    for (found, exact) in rows.iter().zip(&exact) {
        let (found, exact) = (found.sharpness[0].value, exact.sharpness[0].value);
        assert!((found - exact).abs() < 1e-3 * exact, "{found} for {exact}");
    }
}

#[test]
fn other_data_are_measured_by_bursts_at_their_period() {
    let (_, _, rows) = losses(&Plan {
        on: vec![Target::Batch, Target::Full],
        measure_every: 10,
        ..plan(NearbyValue::Rayleigh, vec![Quantity::LambdaMax], 21)
    });
    let of = |on: &str| rows.iter().filter(|row| row.sharpness.iter().any(|found| found.on.to_string() == on)).count();
    assert_eq!((of("batch"), of("full")), (21, 3));
    assert!(rows.iter().all(|row| row.nearby.len() == 1));
}

#[test]
fn the_papers_rule_is_fed_at_every_step() {
    let mut descent = Sgd::new(Quadratic::new(vec![1.0, 4.0]), vec![1.0, 1.0], 1.0, Product::Exact);
    let mut rule = QuasiNewton::new(1.0, 2.0).unwrap().with_smoothing(10);
    assert_eq!(rule.wants(0), lyapunov::Probes::default());
    let mut rows: Vec<Measurement> = Vec::new();
    run(&mut descent, &plan(NearbyValue::Growth, vec![Quantity::LambdaMax], 30), &mut rule, &mut rows).unwrap();
    assert!(rows.iter().all(|row| (row.learning_rate - 0.25).abs() < 1e-10), "λ_max is 4 everywhere");
    // From the second step on the perturbation moves by η of the step before.
    assert!(rows.windows(2).all(|pair| pair[1].nearby[0].factor == pair[0].learning_rate));
}
