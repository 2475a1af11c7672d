//! Optimizers against PyTorch's own, and exponents along descents whose answers are known.

use lyapunov::{
    Adam, Constant, Decay, Descent, Dog, Error, ExponentOptions, HeavyBall, Moments, Momentum, Objective, Optimizer,
    Outcome, Plan, Prodigy, Product, Purpose, Quantity, Result, Sample, ScheduleFree, Sgd, Start, Stream, System,
    Training, UpdateRule, Vector, run,
    systems::{Quadratic, ScalarNetwork},
};

const NETWORK: ScalarNetwork = ScalarNetwork { target: 2.0 };
const RATE: f64 = 0.05;

/// The weights after each step, as the fixture has them.
fn fixture(name: &str) -> Vec<[f64; 2]> {
    let lines = include_str!("fixtures/optimizers.csv").lines().map(|line| line.split(',').collect::<Vec<_>>());
    let own = lines.filter(|fields| fields[0] == name);
    own.map(|fields| [fields[2].parse().unwrap(), fields[3].parse().unwrap()]).collect()
}

fn compare<R: UpdateRule<Vec<f64>>>(name: &str, rule: R, decay: Decay) {
    let descent = Optimizer::with_rule(NETWORK, vec![0.7, 1.9], RATE, rule, Product::Exact);
    follow(name, descent.with_decay(decay).unwrap(), 1e-13);
}

fn follow<R: UpdateRule<Vec<f64>>>(name: &str, mut descent: Optimizer<ScalarNetwork, R>, tolerance: f64) {
    let expected = fixture(name);
    assert_eq!(expected.len(), 25, "{name}");
    for (step, expected) in expected.iter().enumerate() {
        descent.step(&mut []).unwrap();
        for (found, expected) in descent.weights().iter().zip(expected) {
            assert!((found - expected).abs() < tolerance, "{name}, step {}: {found} for {expected}", step + 1);
        }
    }
}

#[test]
fn every_optimizer_steps_as_pytorch_does() {
    let coupled = Decay { rate: 0.1, decoupled: false };
    for (suffix, decay) in [("", Decay::default()), ("-decay", coupled)] {
        compare(&format!("sgd{suffix}"), lyapunov::SgdRule, decay);
        compare(&format!("heavy-ball{suffix}"), Momentum::new(0.9, false).unwrap(), decay);
        compare(&format!("nesterov{suffix}"), Momentum::new(0.9, true).unwrap(), decay);
        compare(&format!("adam{suffix}"), Moments::default(), decay);
    }
    compare("adam-betas", Moments { beta1: 0.8, beta2: 0.9, epsilon: 1e-3 }, Decay::default());
    compare("adamw-decay", Moments::default(), Decay { rate: 0.1, decoupled: true });
}

/// The fixtures start from a larger first distance than the defaults, so that 25 steps go somewhere.
#[test]
fn the_rivals_step_as_their_authors_implementations_do() {
    let start = vec![0.7, 1.9];
    let mut dog = Dog::new(NETWORK, start.clone(), 1.0, Product::Exact);
    let (weights, (anchors, [_, squares])) = dog.state().clone();
    dog.set_state((weights, (anchors, [1e-2 * (1.0 + Vector::norm(&start)), squares])));
    follow("dog", dog, 1e-12);
    // Theirs multiplies ε by the next estimate, the paper by the present one: both see nothing of so small a one.
    let moments = Moments { epsilon: 1e-14, ..Moments::default() };
    let mut prodigy = Prodigy::new(NETWORK, start.clone(), 1.0, moments, Product::Exact).unwrap();
    let (weights, (moments, (slopes, _))) = prodigy.state().clone();
    prodigy.set_state((weights, (moments, (slopes, [0.0, 1e-2]))));
    follow("prodigy", prodigy, 1e-10);
    follow("schedule-free", ScheduleFree::new(NETWORK, start, RATE, 0.9, Product::Exact).unwrap(), 1e-12);
}

/// A curvature that is a fair coin at every step: 1 + s or 1 − s.
#[derive(Clone)]
struct Coin(f64);

impl Coin {
    fn curvature(&self, on: Sample) -> f64 {
        let Sample::Mini(step) = on else { return 1.0 };
        1.0 + if Stream::new(7, Purpose::Data, step).uniform() < 0.5 { self.0 } else { -self.0 }
    }
}

impl Objective for Coin {
    type Vector = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>, on: Sample) -> Result<(f64, Vec<f64>)> {
        let h = self.curvature(on);
        Ok((0.5 * h * at[0] * at[0], vec![h * at[0]]))
    }

    fn product(&self, _kind: Product, _at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(vec![self.curvature(on) * v[0]])
    }
}

#[test]
fn the_preconditioned_sharpness_is_that_of_the_dense_matrix() {
    let curvatures = vec![1.0, 30.0, -2.0, 4.0];
    let start = vec![1.0, -0.5, 0.3, 2.0];
    let mut adam =
        Adam::new(Quadratic::new(curvatures.clone()), start, 0.01, Moments::default(), Product::Exact).unwrap();
    let what = vec![Quantity::LambdaMax, Quantity::PreconditionedSharpness];
    let plan = Plan { steps: 20, measure_every: 1, what, ..Plan::default() };
    let mut rows = Vec::new();
    let summary = run(&mut adam, &plan, &mut Constant(0.01), &mut rows).unwrap();
    // The moments again, by hand: P = (1 − β₁ᵗ)(√v̂ + ε) after the gradient of the coming step.
    let (mut replay, mut second) = (
        Adam::new(
            Quadratic::new(curvatures.clone()),
            vec![1.0, -0.5, 0.3, 2.0],
            0.01,
            Moments::default(),
            Product::Exact,
        )
        .unwrap(),
        [0.0; 4],
    );
    for row in &rows {
        let t = row.step as i32 + 1;
        let expected = (0..4)
            .map(|i| {
                let gradient = curvatures[i] * replay.weights()[i];
                second[i] = 0.999 * second[i] + 0.001 * gradient * gradient;
                let root = (second[i] / (1.0 - 0.999_f64.powi(t))).sqrt();
                curvatures[i] / ((1.0 - 0.9_f64.powi(t)) * (root + 1e-8))
            })
            .fold(f64::NEG_INFINITY, f64::max);
        let found = row.sharpness.iter().find(|s| s.quantity == Quantity::PreconditionedSharpness).unwrap();
        assert!((found.value / expected - 1.0).abs() < 1e-9, "{} for {expected}", found.value);
        assert!((row.share_of_edge(found).unwrap() / (expected * 0.01 / 38.0) - 1.0).abs() < 1e-9);
        assert_eq!(row.share_of_edge(&row.sharpness[0]), None, "λ_max has no threshold under Adam");
        replay.step(&mut []).unwrap();
    }
    let [bare, preconditioned] = &summary.edge[..] else { panic!("both are summarised") };
    assert_eq!((bare.share, preconditioned.count, preconditioned.since), (None, 4, 16));
    let late: Vec<f64> = rows[16..].iter().map(|row| row.sharpness[1].value).collect();
    assert!((preconditioned.value - late.iter().sum::<f64>() / 4.0).abs() < 1e-9 * preconditioned.value);
}

fn carried(count: usize) -> Plan {
    Plan {
        measure_every: 0,
        exponents: Some(ExponentOptions { count, ..ExponentOptions::default() }),
        ..Plan::default()
    }
}

#[test]
fn descent_on_a_curvature_that_is_a_coin_has_the_mean_of_the_two_logarithms() {
    let mut descent = Sgd::new(Coin(0.9), vec![1.0], 0.5, Product::Exact);
    let mut rows = Vec::new();
    let summary = run(&mut descent, &Plan { steps: 4000, ..carried(1) }, &mut Constant(0.5), &mut rows).unwrap();
    // The growth of every single step is that of its own toss.
    for pair in rows.windows(2) {
        let h = Coin(0.9).curvature(Sample::Mini(pair[0].step));
        let grown = pair[1].exponents.as_ref().unwrap();
        assert!((grown.local[0] - (1.0 - 0.5 * h).abs().ln()).abs() < 1e-12 && (grown.rayleigh - h).abs() < 1e-12);
    }
    let found = summary.exponents.unwrap();
    let (value, error) = (found.exponents.values[0], found.exponents.std_errors[0]);
    let exact = 0.5 * ((1.0_f64 - 0.5 * 1.9).abs().ln() + (1.0_f64 - 0.5 * 0.1).ln());
    assert!((value - exact).abs() < 4.0 * error && error < 0.05, "{value} ± {error} for {exact}");
    assert!(found.violation.unwrap() < 1e-12);
    // The mean of vᵀHv is that of the coin.
    assert!((found.negative_rayleigh + 1.0).abs() < 0.05);
}

#[test]
fn the_exponents_of_a_run_on_a_quadratic_are_those_of_its_optimizer() {
    let quadratic = || Quadratic::new(vec![3.0, -0.5]);
    let plan = Plan { steps: 3000, ..carried(2) };
    let mut ball = HeavyBall::new(quadratic(), vec![1e-9, 0.0], 0.1, 0.9, Product::Exact).unwrap();
    let found = run(&mut ball, &plan, &mut Constant(0.1), &mut Vec::new()).unwrap().exponents.unwrap();
    let exact = HeavyBall::<Quadratic>::moduli(-0.5, 0.1, 0.9)[0].ln();
    assert!((found.exponents.values[0] - exact).abs() < 1e-3, "{} for {exact}", found.exponents.values[0]);
    assert_eq!(found.violation, None, "the identity is one of plain descent");

    let mut sgd = Sgd::new(quadratic(), vec![0.0, 0.0], 0.1, Product::Exact);
    let found = run(&mut sgd, &plan, &mut Constant(0.1), &mut Vec::new()).unwrap().exponents.unwrap();
    let per_time = found.exponents.per_time();
    assert!((per_time.values[0] - 1.05_f64.ln() / 0.1).abs() < 1e-3 && (found.negative_rayleigh - 0.5).abs() < 1e-3);
}

#[test]
fn deviations_start_where_they_are_asked_to_and_forget_their_warm_up() {
    let quadratic = || Quadratic::new(vec![3.0, 2.0, 1.0, -0.5]);
    let run = |carry: ExponentOptions| {
        let mut descent = Sgd::new(quadratic(), vec![0.0; 4], 0.1, Product::Exact);
        let plan = Plan { steps: 300, exponents: Some(carry), ..carried(1) };
        run(&mut descent, &plan, &mut Constant(0.1), &mut Vec::new()).unwrap()
    };
    let exact = 1.05_f64.ln();
    let value = |summary: &lyapunov::Summary| summary.exponents.clone().unwrap().exponents.values[0];
    let bottom = run(ExponentOptions { start: Start::LambdaMin(Sample::Full), ..ExponentOptions::default() });
    assert!((value(&bottom) - exact).abs() < 1e-9, "aligned from the first step");
    assert!(bottom.measuring_cost > 1.0, "the search is booked beside one product per step");
    let random = run(ExponentOptions::default());
    assert!((value(&random) - exact).abs() > 1e-3, "the first steps of a random start turn the deviation");
    let warm = run(ExponentOptions { warm_up: 150, ..ExponentOptions::default() });
    assert!((value(&warm) - exact).abs() < 1e-9 && warm.exponents.unwrap().exponents.steps == 150);
}

/// Whatever the period of the renormalisations, and whether it divides the run or not.
#[test]
fn exponent_and_curvature_speak_of_the_same_steps() {
    let run = |every: u64, warm_up: u64| {
        let mut descent = Sgd::new(Coin(0.5), vec![1.0], 0.1, Product::Exact);
        let carry = ExponentOptions { every, warm_up, ..ExponentOptions::default() };
        let plan = Plan { steps: 70, exponents: Some(carry), ..carried(1) };
        run(&mut descent, &plan, &mut Constant(0.1), &mut Vec::new()).unwrap().exponents.unwrap()
    };
    for warm_up in [0, 25] {
        let exact = run(1, warm_up);
        let curvatures = (warm_up..70).map(|t| Coin(0.5).curvature(Sample::Mini(t)));
        let mean = curvatures.sum::<f64>() / (70 - warm_up) as f64;
        assert!((exact.negative_rayleigh + mean).abs() < 1e-12, "{} for {mean}", -exact.negative_rayleigh);
        for every in [3, 30, 1000] {
            let found = run(every, warm_up);
            assert!((found.negative_rayleigh - exact.negative_rayleigh).abs() < 1e-12, "{every}, {warm_up}");
            assert!((found.exponents.values[0] - exact.exponents.values[0]).abs() < 1e-12, "{every}, {warm_up}");
            assert_eq!(found.exponents.steps, 70 - warm_up);
        }
    }
}

#[test]
fn deviations_that_outgrow_the_numbers_are_renormalised_before() {
    let mut descent = Sgd::new(Quadratic::new(vec![-90.0]), vec![0.0], 1.0, Product::Exact);
    let carry = ExponentOptions { every: 500, ..ExponentOptions::default() };
    let plan = Plan { steps: 400, exponents: Some(carry), ..carried(1) };
    let found = run(&mut descent, &plan, &mut Constant(1.0), &mut Vec::new()).unwrap().exponents.unwrap();
    // 91^400 is beyond every number.
    assert!((found.exponents.values[0] - 91.0_f64.ln()).abs() < 1e-12 && found.exponents.steps == 400);
}

#[test]
fn a_run_that_blows_up_says_so_in_its_exponents_too() {
    let mut descent = Sgd::new(ScalarNetwork { target: 2.0 }, vec![9.0, 9.0], 1.0, Product::Exact);
    let plan = Plan { steps: 400, ..carried(1) };
    let summary = run(&mut descent, &plan, &mut Constant(1.0), &mut Vec::new()).unwrap();
    let Outcome::Diverged { step } = summary.outcome else { panic!("a leap of 700 has no way back") };
    let found = summary.exponents.unwrap();
    assert_eq!(found.exponents.outcome, Outcome::Diverged { step });
    assert!(found.exponents.steps > 0 && found.exponents.values[0] > 1.0);
}

#[test]
fn a_run_measured_only_early_is_summed_up_by_its_last_look() {
    let mut descent = Sgd::new(Quadratic::new(vec![3.0]), vec![1.0], 0.1, Product::Exact);
    let plan = Plan { steps: 95, ..Plan::default() };
    let summary = run(&mut descent, &plan, &mut Constant(0.1), &mut Vec::new()).unwrap();
    let [only] = summary.edge[..] else { panic!("one quantity") };
    assert_eq!((only.count, only.since), (1, 0));
    assert!((only.share.unwrap() - 0.15).abs() < 1e-12);
}

#[test]
fn what_cannot_be_carried_is_refused() {
    let refused = |carry: ExponentOptions, product| {
        let mut descent = Sgd::new(Quadratic::new(vec![3.0, 2.0]), vec![0.0; 2], 0.1, product);
        let plan = Plan { exponents: Some(carry), ..carried(1) };
        run(&mut descent, &plan, &mut Constant(0.1), &mut Vec::new()).unwrap_err()
    };
    let too_many = refused(ExponentOptions { count: 3, ..ExponentOptions::default() }, Product::Exact);
    assert!(too_many.to_string().contains("count = 3"), "{too_many}");
    let never = refused(ExponentOptions { every: 0, ..ExponentOptions::default() }, Product::Exact);
    assert!(never.to_string().contains("every = 0"));
    let bottom = ExponentOptions { start: Start::LambdaMin(Sample::Full), ..ExponentOptions::default() };
    assert!(matches!(refused(bottom, Product::GaussNewton), Error::Product { product: "gauss-newton", .. }));
}

#[test]
fn deviations_change_nothing_and_none_cost_nothing() {
    let losses = |plan: &Plan| {
        let mut descent = Adam::new(NETWORK, vec![0.7, 1.9], 0.05, Moments::default(), Product::Exact).unwrap();
        let mut rows = Vec::new();
        let summary = run(&mut descent, plan, &mut Constant(0.05), &mut rows).unwrap();
        (rows.iter().map(|row| row.loss.to_bits()).collect::<Vec<_>>(), summary.measuring_cost)
    };
    let plain = losses(&Plan { steps: 50, exponents: None, ..carried(1) });
    assert_eq!(plain, losses(&Plan { steps: 50, ..carried(0) }));
    let with = losses(&Plan { steps: 50, ..carried(3) });
    assert_eq!((plain.0, 3.0), with);
}

/// Saved in the middle as plain numbers, with fresh objects, a run reaches the bits of an unbroken one.
#[test]
fn a_run_resumes_to_the_same_bits() {
    let plan = Plan {
        steps: 400,
        measure_every: 7,
        exponents: Some(ExponentOptions { count: 2, every: 3, warm_up: 50, ..ExponentOptions::default() }),
        ..Plan::default()
    };
    let fresh = || Adam::new(NETWORK, vec![0.7, 1.9], 0.05, Moments::default(), Product::Exact).unwrap();
    let mut controller = Constant(0.05);
    let (mut descent, mut whole) = (fresh(), Vec::new());
    let summary = run(&mut descent, &plan, &mut controller, &mut whole).unwrap();

    for middle in [1, 50, 101, 399] {
        let (mut first, mut rows) = (fresh(), Vec::new());
        let mut training = Training::new(&mut first, &plan).unwrap();
        assert_eq!(training.advance(&mut first, middle, &mut controller, &mut rows).unwrap(), Outcome::Completed);
        let saved = training.save(&mut first, &mut controller).unwrap();
        let mut second = fresh();
        let mut resumed = Training::resume(&mut second, &plan, &mut controller, &saved).unwrap();
        resumed.advance(&mut second, plan.steps, &mut controller, &mut rows).unwrap();
        assert_eq!(rows, whole, "{middle}");
        assert_eq!(resumed.summary(&mut second).unwrap(), summary);
    }
}
