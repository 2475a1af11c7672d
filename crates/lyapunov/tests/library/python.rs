//! Rates and exponents on a small network that the Python package has to give as well: its tests read the same file.
//!
//! The file is written by `LYAPUNOV_WRITE_FIXTURES=1 cargo test -p lyapunov --test library python`.

use std::{
    fmt::Write as _,
    ops::{Add, Mul},
};

use lyapunov::{
    Adgd, BatchSharpnessRule, Benettin, Controller, Decay, EdgeStep, Measurement, Moments, Momentum, Objective, OnEdge,
    Optimizer, Plan, Product, Quantity, QuasiNewton, Result, Sample, SgdRule, System, UpdateRule, Vector, run,
};

const FILE: &str = "tests/library/fixtures/tanh_network.txt";
const BATCHES: usize = 5;
const EXAMPLES: usize = 6;
const INPUTS: usize = 4;
const HIDDEN: usize = 3;

/// f(x) = w·tanh(Wx + b) + c with the mean of (f − y)² over a batch; weights are W, b, w, c.
#[derive(Clone)]
struct Network;

/// A number with its derivative along a direction.
#[derive(Clone, Copy)]
struct Dual(f64, f64);

impl Add for Dual {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

impl Mul for Dual {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0, self.0 * other.1 + self.1 * other.0)
    }
}

impl Dual {
    fn tanh(self) -> Self {
        let value = self.0.tanh();
        Self(value, (1.0 - value * value) * self.1)
    }
}

const ZERO: Dual = Dual(0.0, 0.0);

fn number(value: f64) -> Dual {
    Dual(value, 0.0)
}

/// Input j of example i of a batch, and its target.
fn example(batch: usize, i: usize) -> ([f64; INPUTS], f64) {
    let phase = (batch * EXAMPLES + i) as f64;
    let x = std::array::from_fn(|j| (1.3 * phase + 0.7 * (j as f64 + 1.0) * (j as f64 + 1.0)).sin());
    (x, (0.9 * phase).cos())
}

/// Loss and gradient.
fn gradient(w: &[Dual], batch: usize) -> (Dual, Vec<Dual>) {
    let (matrix, rest) = w.split_at(HIDDEN * INPUTS);
    let (bias, rest) = rest.split_at(HIDDEN);
    let (mut loss, mut slope) = (ZERO, vec![ZERO; w.len()]);
    for i in 0..EXAMPLES {
        let (x, target) = example(batch, i);
        let hidden: Vec<Dual> = (0..HIDDEN)
            .map(|h| (0..INPUTS).fold(bias[h], |sum, j| sum + matrix[h * INPUTS + j] * number(x[j])).tanh())
            .collect();
        let output = (0..HIDDEN).fold(rest[HIDDEN], |sum, h| sum + rest[h] * hidden[h]);
        let error = output + number(-target);
        let share = number(1.0 / EXAMPLES as f64);
        loss = loss + share * error * error;
        let back = number(2.0) * share * error;
        for h in 0..HIDDEN {
            let inner = back * rest[h] * (number(1.0) + number(-1.0) * hidden[h] * hidden[h]);
            for j in 0..INPUTS {
                slope[h * INPUTS + j] = slope[h * INPUTS + j] + inner * number(x[j]);
            }
            slope[HIDDEN * INPUTS + h] = slope[HIDDEN * INPUTS + h] + inner;
            slope[HIDDEN * (INPUTS + 1) + h] = slope[HIDDEN * (INPUTS + 1) + h] + back * hidden[h];
        }
        slope[HIDDEN * (INPUTS + 2)] = slope[HIDDEN * (INPUTS + 2)] + back;
    }
    (loss, slope)
}

fn batch(on: Sample) -> usize {
    match on {
        Sample::Mini(step) => step as usize % BATCHES,
        other => panic!("{other:?} was not expected"),
    }
}

impl Objective for Network {
    type Vector = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>, on: Sample) -> Result<(f64, Vec<f64>)> {
        let weights: Vec<Dual> = at.iter().map(|w| number(*w)).collect();
        let (loss, slope) = gradient(&weights, batch(on));
        Ok((loss.0, slope.iter().map(|g| g.0).collect()))
    }

    fn product(&self, _kind: Product, at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        let weights: Vec<Dual> = at.iter().zip(v).map(|(w, v)| Dual(*w, *v)).collect();
        Ok(gradient(&weights, batch(on)).1.iter().map(|g| g.1).collect())
    }
}

fn start() -> Vec<f64> {
    (0..=HIDDEN * (INPUTS + 2)).map(|i| 0.6 * (2.0 * i as f64 + 1.0).sin()).collect()
}

/// The rates of 100 steps, every fourth, of a run so long that its last fifth, where the batch sharpness is read more
/// often, comes later: a loop that somebody else owns does not know its end.
fn rates<R: UpdateRule<Vec<f64>>>(rule: R, decay: Decay, controller: &mut dyn Controller, what: Quantity) -> Vec<f64> {
    let mut descent = Optimizer::with_rule(Network, start(), 1.0, rule, Product::Exact).with_decay(decay).unwrap();
    let plan = Plan { steps: 126, measure_every: 3, what: vec![what], ..Plan::default() };
    let mut rows: Vec<Measurement> = Vec::new();
    run(&mut descent, &plan, controller, &mut rows).unwrap();
    rows.iter().take(101).step_by(4).map(|row| row.learning_rate).collect()
}

#[allow(clippy::needless_pass_by_value, reason = "a rule is a few numbers")]
fn every_rule<R: UpdateRule<Vec<f64>>>(
    name: &str,
    rule: R,
    decay: Decay,
    edge_step: EdgeStep,
    lines: &mut Vec<(String, Vec<f64>)>,
) {
    let edge = rule.edge(1.0, Decay::default());
    let what = if edge.preconditioned { Quantity::PreconditionedSharpness } else { Quantity::LambdaMax };
    let mut add = |kind: &str, controller: &mut dyn Controller, what| {
        lines.push((format!("{kind} {name}"), rates(rule.clone(), decay, controller, what)));
    };
    add("edge-step", &mut edge_step.with_edge(edge.threshold).with_period(20), what);
    add("on-edge", &mut OnEdge::new(1.0, 2).unwrap(), what);
    add("quasi-newton", &mut QuasiNewton::new(0.5, edge.threshold).unwrap(), what);
}

/// The growth per step of the first three unit vectors of the weights, over 200 steps.
fn grown<R: UpdateRule<Vec<f64>>>(rule: R, learning_rate: f64, decay: Decay) -> Vec<f64> {
    let descent = Optimizer::with_rule(Network, start(), learning_rate, rule, Product::Exact);
    let mut descent = descent.with_decay(decay).unwrap();
    let mut benettin = Benettin::new(descent.state(), 3, 0).unwrap();
    for (i, deviation) in benettin.deviations_mut().iter_mut().enumerate() {
        deviation.scale(0.0);
        R::weights_mut(deviation)[i] = 1.0;
    }
    benettin.advance(&mut descent, 200, 1).unwrap();
    benettin.exponents().values
}

fn everything() -> Vec<(String, Vec<f64>)> {
    let mut lines = Vec::new();
    let (none, coupled, apart) =
        (Decay::default(), Decay { rate: 0.01, decoupled: false }, Decay { rate: 0.05, decoupled: true });
    every_rule("sgd", SgdRule, none, EdgeStep::new(2.0, 0.0).unwrap(), &mut lines);
    let momentum = |nesterov| Momentum::new(0.9, nesterov).unwrap();
    every_rule("heavy-ball", momentum(false), coupled, EdgeStep::new(2.0, 0.9).unwrap(), &mut lines);
    every_rule("nesterov", momentum(true), none, EdgeStep::new(2.0, 0.9).unwrap(), &mut lines);
    every_rule("adam", Moments::default(), coupled, EdgeStep::damped(2.0, 0.9).unwrap(), &mut lines);
    every_rule("adamw", Moments::default(), apart, EdgeStep::damped(2.0, 0.9).unwrap(), &mut lines);
    let sharp = rates(SgdRule, none, &mut BatchSharpnessRule::new(0.4).unwrap(), Quantity::BatchSharpness);
    lines.push(("batch-sharpness sgd".to_owned(), sharp));
    lines.push(("adgd sgd".to_owned(), rates(SgdRule, none, &mut Adgd::new(1.0).unwrap(), Quantity::LambdaMax)));

    let growth = [
        ("sgd", grown(SgdRule, 0.8, Decay { rate: 0.02, decoupled: false })),
        ("heavy-ball", grown(momentum(false), 0.1, none)),
        ("nesterov", grown(momentum(true), 0.1, none)),
        ("adam", grown(Moments::default(), 0.03, none)),
        ("adamw", grown(Moments::default(), 0.03, Decay { rate: 0.5, decoupled: true })),
    ];
    lines.extend(growth.map(|(name, values)| (format!("exponents {name}"), values)));
    lines
}

#[test]
fn the_file_that_the_python_package_is_held_to_is_what_the_library_gives() {
    let found = everything();
    if std::env::var_os("LYAPUNOV_WRITE_FIXTURES").is_some() {
        let mut text = String::new();
        for (name, numbers) in &found {
            write!(text, "{name}:").unwrap();
            for number in numbers {
                write!(text, " {number:.10e}").unwrap();
            }
            text.push('\n');
        }
        std::fs::write(FILE, text).unwrap();
    }
    let text = std::fs::read_to_string(FILE).unwrap();
    assert_eq!(text.lines().count(), found.len());
    for (line, (name, numbers)) in text.lines().zip(&found) {
        let (known, rest) = line.split_once(": ").unwrap();
        let rest: Vec<f64> = rest.split(' ').map(|number| number.parse().unwrap()).collect();
        assert_eq!((known, rest.len()), (name.as_str(), numbers.len()));
        for (number, expected) in numbers.iter().zip(rest) {
            assert!((number - expected).abs() <= 1e-7 * expected.abs(), "{name}: {number} for {expected}");
        }
    }
}

#[test]
fn products_are_those_of_the_gradient() {
    let (w, on) = (start(), Sample::Mini(2));
    let v: Vec<f64> = (0..w.len()).map(|i| (i as f64).cos()).collect();
    let image = Network.product(Product::Exact, &w, on, &v).unwrap();
    let end = |sign: f64| {
        let moved: Vec<f64> = w.iter().zip(&v).map(|(w, v)| w + sign * 1e-5 * v).collect();
        Network.gradient(&moved, on).unwrap()
    };
    let (ahead, behind) = (end(1.0), end(-1.0));
    for (i, part) in image.iter().enumerate() {
        assert!((part - (ahead.1[i] - behind.1[i]) / 2e-5).abs() < 1e-8);
    }
    let slope: f64 = Network.gradient(&w, on).unwrap().1.iter().zip(&v).map(|(g, v)| g * v).sum();
    assert!((slope - (ahead.0 - behind.0) / 2e-5).abs() < 1e-8);
}
