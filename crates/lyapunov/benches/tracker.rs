//! How far the λ_max that a tracker reads lies from the truth, and what it costs: error against cost, for any network.
//!
//! ```sh
//! cargo bench --workspace --bench tracker -- [FOLDER] [network=mlp|cnn] [widths=200,200] [activation=relu|tanh]
//!     [rates=0.01,0.1,0.3] [steps=500] [batch=128] [full=50]
//! ```
//!
//! Trains once per learning rate on the CIFAR-10 files in FOLDER (on synthetic images without it), and lets every contender
//! watch the same run. There are two truths: λ_max of the mini-batch at the very step, every 10 steps, beside which stands what a
//! contender has just read; and λ_max of the whole training set every `full` steps after the first tenth of the run (0: never),
//! beside which stands the log-average of its readings, with a memory of 60 steps. Errors are relative: the median with its sign
//! (bias), the median and the 90th percentile without. A contender of period T runs up to five times, started at as many
//! phases of it, so that it has more records.

use std::path::Path;

use lyapunov::{
    Hessian, Lanczos, LogAverage, Nearby, Objective, Product, Purpose, Sample, Sgd, Stream, System, Tracker, Vector,
    lanczos, rayleigh_quotient,
    train::{Activation, Architecture, Dataset, Network, NetworkOptions, Tensor, device},
};

/// Steps between two truths of the mini-batch.
const EVERY: u64 = 10;
/// Runs of every contender, at most, at different phases of its period.
const PHASES: u64 = 5;
/// The memory of the averages, in steps.
const MEMORY: f64 = 60.0;

fn main() {
    let options = Options::read(std::env::args().skip(1).filter(|argument| !argument.starts_with("--")));
    let data = match &options.folder {
        Some(folder) => Dataset::read_cifar10(Path::new(folder)).expect("the folder holds CIFAR-10"),
        None => Dataset::synthetic(0, 5000, 1000).expect("the sizes are positive"),
    };
    println!("data: {}, {} images; {options:?}", data.name, data.train.len());
    let network = NetworkOptions {
        architecture: options.architecture.clone(),
        activation: options.activation,
        batch_size: options.batch,
        ..NetworkOptions::default()
    };
    let network = Network::new(&network, data, &device("flex").expect("flex is built in")).expect("the options fit");
    for rate in &options.rates {
        println!("\nη = {rate}\n");
        println!(
            "| contender | T | g-eq per step | batch: bias | median | 90th | records | full: bias | median | 90th | records |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        watch(&network, *rate, &options);
    }
}

/// The command line.
#[derive(Debug)]
struct Options {
    folder: Option<String>,
    architecture: Architecture,
    activation: Activation,
    rates: Vec<f64>,
    steps: u64,
    batch: usize,
    full: u64,
}

impl Options {
    fn read(arguments: impl Iterator<Item = String>) -> Self {
        let mut found = Self {
            folder: None,
            architecture: Architecture::Mlp { widths: vec![200, 200] },
            activation: Activation::Relu,
            rates: vec![0.01, 0.1, 0.3],
            steps: 500,
            batch: 128,
            full: 50,
        };
        let list = |text: &str| text.split(',').map(|part| part.parse::<f64>().expect("a number")).collect::<Vec<_>>();
        for argument in arguments {
            match argument.split_once('=') {
                None => found.folder = Some(argument),
                Some(("network", "cnn")) => found.architecture = Architecture::Cnn { widths: vec![8, 16, 32] },
                Some(("network", "mlp")) => found.architecture = Architecture::Mlp { widths: vec![200, 200] },
                Some(("widths", text)) => {
                    let given = list(text).into_iter().map(|width| width as usize).collect();
                    found.architecture = match found.architecture {
                        Architecture::Cnn { .. } => Architecture::Cnn { widths: given },
                        _ => Architecture::Mlp { widths: given },
                    };
                }
                Some(("activation", "relu")) => found.activation = Activation::Relu,
                Some(("activation", "tanh")) => found.activation = Activation::Tanh,
                Some(("rates", text)) => found.rates = list(text),
                Some(("steps", text)) => found.steps = text.parse().expect("a number of steps"),
                Some(("batch", text)) => found.batch = text.parse().expect("a number of images"),
                Some(("full", text)) => found.full = text.parse().expect("a number of steps"),
                Some((key, value)) => panic!("{key}={value} is not understood"),
            }
        }
        found
    }
}

/// One training run with everybody watching.
fn watch(network: &Network, rate: f64, options: &Options) {
    let mut descent = Sgd::new(network, network.initial_weights(), rate, Product::Exact);
    let mut watchers: Vec<Watcher> = contenders(network, rate).iter().flat_map(Watcher::phases).collect();
    let mut full_vector = None;
    for step in 0..options.steps {
        let at = descent.state().clone();
        let here = Sample::Mini(step);
        let (loss, gradient) = network.gradient(&at, here).expect("the batch exists");
        if !loss.is_finite() {
            println!("diverged at step {step}");
            break;
        }
        let read: Vec<Option<f64>> =
            watchers.iter_mut().map(|watcher| watcher.look(network, &at, step, &gradient)).collect();
        if step % EVERY == 0 {
            let truth = truth(network, &at, here, &gradient).0;
            for (watcher, value) in watchers.iter_mut().zip(&read) {
                watcher.batch_errors.extend(value.map(|value| value / truth - 1.0));
            }
        }
        if options.full > 0 && step % options.full == 0 && step >= options.steps / 10 {
            let (truth, vector) = truth(network, &at, Sample::Full, full_vector.as_ref().unwrap_or(&gradient));
            full_vector = Some(vector);
            for watcher in &mut watchers {
                let value = watcher.average.value();
                watcher.full_errors.extend(value.map(|value| value / truth - 1.0));
            }
        }
        descent.step(&mut []).expect("the step succeeds");
    }
    for runs in watchers.chunk_by_mut(|a, b| a.contender.name() == b.contender.name()) {
        println!("{}", line(runs, options.steps));
    }
}

/// λ_max and its vector, by exact products and far beyond the errors in question.
fn truth(network: &Network, at: &Tensor<1>, on: Sample, hint: &Tensor<1>) -> (f64, Tensor<1>) {
    let mut start = at.zeros_like();
    start.randomize(&mut Stream::new(99, Purpose::Probe, 0));
    start.scale(0.3 / start.norm());
    start.axpy(1.0 / hint.norm(), hint);
    let hessian = Hessian { objective: network, at, on, product: Product::Exact, gradient: None };
    let options = Lanczos { tolerance: 5e-3, max_applications: 60, ..Lanczos::default() };
    let top = lanczos(&hessian, &start, &options).expect("the product exists").largest.remove(0);
    (top.value, top.vector)
}

/// The line of one contender.
fn line(runs: &mut [Watcher], steps: u64) -> String {
    let cost = runs.iter().map(|run| run.cost).sum::<f64>() / (runs.len() as u64 * steps) as f64;
    let mut batch: Vec<f64> = runs.iter().flat_map(|run| run.batch_errors.clone()).collect();
    let mut full: Vec<f64> = runs.iter().flat_map(|run| run.full_errors.clone()).collect();
    format!("{} {cost:.3} | {} | {} |", runs[0].contender.name(), summary(&mut batch), summary(&mut full))
}

/// The median error with its sign, the median and the 90th percentile without it, and how many there are.
fn summary(errors: &mut [f64]) -> String {
    if errors.is_empty() {
        return "— | — | — | 0".to_owned();
    }
    let bias = quantile(errors, 0.5);
    for error in errors.iter_mut() {
        *error = error.abs();
    }
    format!("{bias:+.3} | {:.4} | {:.4} | {}", quantile(errors, 0.5), quantile(errors, 0.9), errors.len())
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(share * (values.len() - 1) as f64).round() as usize]
}

/// A way to follow λ_max.
#[derive(Clone)]
struct Contender {
    label: String,
    method: Method,
    product: Product,
    period: u64,
}

impl Contender {
    fn name(&self) -> String {
        format!("| {} | {} |", self.label, self.period)
    }
}

#[derive(Clone)]
enum Method {
    /// A burst of the tracker.
    Burst(Tracker<Tensor<1>>),
    /// The same, and one product on the next batch at the vector found: the geometric mean is averaged.
    TwoBatches(Tracker<Tensor<1>>),
    /// The nearby trajectory, read by its quotient.
    Quotient(f64, Option<Nearby<Tensor<1>>>),
    /// The nearby trajectory, read by its growth.
    Growth(f64, Option<Nearby<Tensor<1>>>),
}

fn contenders(network: &Network, rate: f64) -> Vec<Contender> {
    let (exact, newton) = (Product::Exact, Product::GaussNewton);
    let difference = Product::Difference(network.difference());
    let one = |name: String, method, product: Product, period| Contender {
        label: format!("{name}, {}", product.name()),
        method,
        product,
        period,
    };
    let burst = |product, products: usize, period| {
        one(format!("burst {products}"), Method::Burst(Tracker::new(products)), product, period)
    };
    let adaptive = |tolerance: f64, period| {
        let method = Method::Burst(Tracker::adaptive(tolerance));
        one(format!("burst to {tolerance}"), method, exact, period)
    };
    let two = |product, tolerance: f64, period| {
        let method = Method::TwoBatches(Tracker::adaptive(tolerance));
        one(format!("two batches, burst to {tolerance}"), method, product, period)
    };
    // Periods are multiples of ten, so that every reading meets a truth.
    vec![
        burst(exact, 3, 50),
        burst(exact, 5, 20),
        burst(exact, 5, 100),
        adaptive(0.1, 70),
        adaptive(0.05, 40),
        adaptive(0.05, 80),
        adaptive(0.02, 100),
        burst(newton, 5, 80),
        burst(difference, 3, 30),
        burst(difference, 5, 60),
        two(exact, 0.05, 40),
        two(exact, 0.05, 100),
        two(exact, 0.1, 80),
        two(newton, 0.05, 80),
        one("nearby quotient".to_owned(), Method::Quotient(rate, None), exact, 1),
        one("nearby growth".to_owned(), Method::Growth(rate, None), exact, 1),
        one("nearby quotient".to_owned(), Method::Quotient(rate, None), difference, 1),
    ]
}

/// A contender at work, with what it has read.
struct Watcher {
    contender: Contender,
    phase: u64,
    average: LogAverage,
    cost: f64,
    batch_errors: Vec<f64>,
    full_errors: Vec<f64>,
}

impl Watcher {
    /// The same contender at each phase of its period.
    fn phases(contender: &Contender) -> Vec<Self> {
        let moments = (contender.period / EVERY).max(1);
        let one = |phase| Self {
            phase: phase * (moments / PHASES).max(1) * EVERY,
            average: LogAverage::new(MEMORY),
            contender: contender.clone(),
            cost: 0.0,
            batch_errors: Vec::new(),
            full_errors: Vec::new(),
        };
        (0..moments.min(PHASES)).map(one).collect()
    }

    /// What it reads before `step`, if it looks there.
    fn look(&mut self, network: &Network, at: &Tensor<1>, step: u64, gradient: &Tensor<1>) -> Option<f64> {
        let Contender { period, product, .. } = self.contender;
        if step % period != self.phase {
            return None;
        }
        let on = Sample::Mini(step);
        let hessian = Hessian { objective: network, at, on, product, gradient: Some(gradient) };
        let mut products = 1;
        let (value, averaged) = match &mut self.contender.method {
            Method::Burst(tracker) | Method::TwoBatches(tracker) => {
                let found = tracker.update(&hessian, gradient).expect("the product exists");
                products = found.applications;
                let top = found.largest.first()?;
                let mut averaged = top.value;
                if matches!(self.contender.method, Method::TwoBatches(_)) {
                    let next = Hessian { on: Sample::Mini(step + 1), gradient: None, ..hessian };
                    let outside = rayleigh_quotient(&next, &top.vector).expect("the product exists")?;
                    averaged = (top.value * outside.max(0.0)).sqrt();
                    products += 1;
                }
                (top.value, averaged)
            }
            Method::Quotient(factor, nearby) => {
                let nearby = nearby.get_or_insert_with(|| Nearby::new(*factor, gradient).expect("a gradient"));
                let value = nearby.update(&hessian).expect("the product exists")?.rayleigh;
                (value, value)
            }
            Method::Growth(factor, nearby) => {
                let nearby = nearby.get_or_insert_with(|| Nearby::new(*factor, gradient).expect("a gradient"));
                let value = nearby.update(&hessian).expect("the product exists")?.from_growth;
                (value, value)
            }
        };
        self.cost += products as f64 * network.product_cost(product, on);
        self.average.update(period as f64, averaged);
        Some(value)
    }
}
