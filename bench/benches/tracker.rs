//! How far the λ_max that a tracker reads lies from the truth, and what it costs: error against cost, for any network.
//!
//! ```sh
//! cargo bench -p lyapunov-bench --bench tracker -- [FOLDER] [network=mlp|cnn] [widths=200,200] [activation=relu|tanh]
//!     [rates=0.01,0.1,0.3] [steps=500] [batch=128] [full=50] [only=batches] [warm=true]
//! ```
//!
//! Trains once per learning rate on the CIFAR-10 files in FOLDER (on synthetic images without it), and lets every
//! contender watch the same run. There are two truths: λ_max of the mini-batch at the very step, every 10 steps, beside
//! which stands what a contender has just read; and λ_max of the whole training set every `full` steps after the first
//! tenth of the run (0: never), beside which stands the log-average of its readings, with a memory of 60 steps: at any
//! moment, and where it has just looked. Errors are relative: the median with its sign (bias), the median and the 90th
//! percentile without. A contender of period T runs up to five times, started at as many phases of it, so that it has
//! more records. `only` runs the contenders in whose name the text occurs.
//!
//! With `warm=true` it asks something else: how many products a search for the λ_max of one batch needs until its error
//! is at most half a percent, when the vector that a converged search found some steps earlier is known.

use std::path::Path;

use lyapunov::{
    Hessian, Lanczos, LogAverage, Nearby, Objective, Product, Purpose, Sample, Sgd, Stream, System, Tracker, Vector,
    lanczos, rayleigh_quotient,
};
use lyapunov_burn::{Activation, Architecture, Dataset, Layout, Network, NetworkOptions, Weights, device};

/// Steps between two truths of the mini-batch.
const EVERY: u64 = 10;
/// Runs of every contender, at most, at different phases of its period.
const PHASES: u64 = 5;
/// The memory of the averages, in steps.
const MEMORY: f64 = 60.0;

fn main() {
    let options = Options::read(std::env::args().skip(1).filter(|argument| !argument.starts_with("--")));
    let data = match &options.folder {
        Some(folder) => Dataset::read(Layout::Cifar10, Path::new(folder)).expect("the folder holds CIFAR-10"),
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
        if options.warm {
            search_warm(&network, *rate, options.steps);
            continue;
        }
        println!(
            "| contender | T | g-eq per step | batch: bias | median | 90th | records | full, any moment: bias | \
                median | 90th | records | full, just read: bias | median | 90th | records |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
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
    only: String,
    warm: bool,
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
            only: String::new(),
            warm: false,
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
                Some(("only", text)) => text.clone_into(&mut found.only),
                Some(("warm", text)) => found.warm = text.parse().expect("true or false"),
                Some((key, value)) => panic!("{key}={value} is not understood"),
            }
        }
        found
    }
}

/// One training run with everybody watching.
fn watch(network: &Network, rate: f64, options: &Options) {
    let mut descent = Sgd::new(network, network.initial_weights(), rate, Product::Exact);
    let chosen = contenders(network, rate).into_iter().filter(|contender| contender.label.contains(&options.only));
    let mut watchers: Vec<Watcher> = chosen.flat_map(|contender| Watcher::phases(&contender)).collect();
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
            for (watcher, value) in watchers.iter_mut().zip(&read) {
                let error = watcher.average.value().map(|value| value / truth - 1.0);
                watcher.full_errors.extend(error);
                watcher.read_errors.extend(value.and(error));
            }
        }
        descent.step(&mut []).expect("the step succeeds");
    }
    for runs in watchers.chunk_by_mut(|a, b| a.contender.name() == b.contender.name()) {
        println!("{}", line(runs, options.steps));
    }
}

/// Steps between a converged search and the ones that start from its vector.
const DISTANCES: [u64; 4] = [1, 10, 20, 100];
/// Steps between two converged searches, the largest of the distances.
const BETWEEN: u64 = 100;

/// Searches that start from the vector of a converged one some steps earlier: the cost of half a percent.
fn search_warm(network: &Network, rate: f64, steps: u64) {
    let mut products = vec![Product::Exact];
    products.extend((!network.has_kinks()).then(|| Product::Difference(network.difference())));
    let mut searches = Vec::new();
    for distance in DISTANCES {
        for of_step in [true, false] {
            for &product in &products {
                searches.extend([true, false].map(|hinted| Search {
                    distance,
                    of_step,
                    product,
                    hinted,
                    found: Vec::new(),
                    corrected: Vec::new(),
                }));
            }
        }
    }
    let mut descent = Sgd::new(network, network.initial_weights(), rate, Product::Exact);
    let mut known: Option<(u64, [Tracker<Weights>; 2])> = None;
    for step in 0..steps {
        let at = descent.state().clone();
        if let Some((base, trackers)) = &known {
            for search in searches.iter_mut().filter(|search| step == base + search.distance) {
                search.run(network, &at, step, &trackers[usize::from(search.of_step)]);
            }
        }
        if step % BETWEEN == 0 && step > 0 {
            let converged = |on| {
                let (hessian, gradient) = (exact(network, &at, on), network.gradient(&at, on).expect("it exists").1);
                let mut tracker = Tracker::adaptive(1e-3);
                tracker.first_products = 60;
                tracker.update(&hessian, &gradient).expect("the product exists");
                tracker
            };
            known = Some((step, [Sample::Subset(network.images(Sample::Mini(0))), Sample::Mini(step)].map(converged)));
        }
        descent.step(&mut []).expect("the step succeeds");
    }
    println!(
        "| steps since | images | products | start | g-eq to 0.5 %: median | 90th | corrected: median | 90th | \
            searches |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for search in &mut searches {
        println!("{}", search.line());
    }
}

fn exact<'a>(network: &'a Network, at: &'a Weights, on: Sample) -> Hessian<'a, Network> {
    Hessian { objective: network, at, on, product: Product::Exact, gradient: None }
}

/// One kind of warm search, with what its searches cost.
struct Search {
    distance: u64,
    /// On the batch of the step, another one than that of the vector; else on the same images each time.
    of_step: bool,
    product: Product,
    /// Whether the gradient is added to the vector that it starts from.
    hinted: bool,
    found: Vec<f64>,
    /// With θ + r²/θ in place of the Ritz value θ, r its residual: what a product more adds if all beyond the space is
    /// small.
    corrected: Vec<f64>,
}

impl Search {
    fn run(&mut self, network: &Network, at: &Weights, step: u64, tracker: &Tracker<Weights>) {
        let on = if self.of_step { Sample::Mini(step) } else { Sample::Subset(network.images(Sample::Mini(0))) };
        let (_, gradient) = network.gradient(at, on).expect("the batch exists");
        let truth = truth(network, at, on, &gradient).0;
        let hessian = Hessian { product: self.product, gradient: Some(&gradient), ..exact(network, at, on) };
        let hint = if self.hinted { gradient.clone() } else { gradient.zeros_like() };
        // The error of the value after one product, two, …; and that of the value corrected by its residual.
        let errors = |products| {
            let mut tracker = tracker.clone();
            (tracker.products, tracker.stop_early) = (products, false);
            let top = tracker.update(&hessian, &hint).expect("the product exists").largest.remove(0);
            [top.value, top.value + top.residual.powi(2) / top.value].map(|value| (value / truth - 1.0).abs())
        };
        let far: Vec<[f64; 2]> = (1..=20).map(errors).take_while(|error| error[0] > 5e-3).collect();
        // From there on it stays below half a percent, as Ritz values only grow.
        let needed = |k: usize| 1 + far.iter().rposition(|error| error[k] > 5e-3).map_or(0, |last| last + 1);
        // The gradient of the step is there; that of other images is not, and is the base of differences as well.
        let needs_gradient = self.hinted || self.product != Product::Exact;
        let gradients = f64::from(u8::from(needs_gradient && !self.of_step));
        let cost = |k| needed(k) as f64 * network.product_cost(self.product, on) + gradients;
        self.found.push(cost(0));
        self.corrected.push(cost(1));
    }

    fn line(&mut self) -> String {
        let images = if self.of_step { "batch of the step" } else { "the same" };
        let start = if self.hinted { "vector and gradient" } else { "vector" };
        let count = self.found.len();
        let [found, corrected] = [&mut self.found, &mut self.corrected]
            .map(|costs| format!("{:.1} | {:.1}", quantile(costs, 0.5), quantile(costs, 0.9)));
        let product = self.product.name();
        format!("| {} | {images} | {product} | {start} | {found} | {corrected} | {count} |", self.distance)
    }
}

/// λ_max and its vector, by exact products and far beyond the errors in question.
fn truth(network: &Network, at: &Weights, on: Sample, hint: &Weights) -> (f64, Weights) {
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
    let mut just_read: Vec<f64> = runs.iter().flat_map(|run| run.read_errors.clone()).collect();
    let mut full: Vec<f64> = runs.iter().flat_map(|run| run.full_errors.clone()).collect();
    let [batch, full, just_read] = [&mut batch, &mut full, &mut just_read].map(|errors| summary(errors));
    format!("{} {cost:.3} | {batch} | {full} | {just_read} |", runs[0].contender.name())
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
    Burst(Tracker<Weights>),
    /// The same, and one product on each of so many batches to come at the vector found: the geometric mean of the
    /// burst's value and the mean of these quotients speaks of the whole set.
    Batches(Tracker<Weights>, u64),
    /// The nearby trajectory, read by its quotient.
    Quotient(f64, Option<Nearby<Weights>>),
    /// The nearby trajectory, read by its growth.
    Growth(f64, Option<Nearby<Weights>>),
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
    let batches = |product, outside: u64, tolerance: f64, period| {
        let method = Method::Batches(Tracker::adaptive(tolerance), outside);
        one(format!("{} batches, burst to {tolerance}", 1 + outside), method, product, period)
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
        batches(exact, 1, 0.05, 40),
        batches(exact, 1, 0.05, 100),
        batches(exact, 1, 0.1, 80),
        batches(exact, 2, 0.1, 100),
        batches(exact, 3, 0.1, 120),
        batches(newton, 1, 0.05, 80),
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
    read_errors: Vec<f64>,
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
            read_errors: Vec::new(),
            full_errors: Vec::new(),
        };
        (0..moments.min(PHASES)).map(one).collect()
    }

    /// What it reads before `step`, if it looks there.
    fn look(&mut self, network: &Network, at: &Weights, step: u64, gradient: &Weights) -> Option<f64> {
        let Contender { period, product, .. } = self.contender;
        if step % period != self.phase {
            return None;
        }
        let on = Sample::Mini(step);
        let hessian = Hessian { objective: network, at, on, product, gradient: Some(gradient) };
        let mut products = 1;
        let (batch, full) = match &mut self.contender.method {
            Method::Burst(tracker) => {
                let found = tracker.update(&hessian, gradient).expect("the product exists");
                products = found.applications;
                let value = found.largest.first()?.value;
                (value, value)
            }
            Method::Batches(tracker, outside) => {
                let found = tracker.update(&hessian, gradient).expect("the product exists");
                products = found.applications + *outside as usize;
                let top = found.largest.first()?;
                let quotient = |ahead| {
                    let other = Hessian { product, ..exact(network, at, Sample::Mini(step + ahead)) };
                    rayleigh_quotient(&other, &top.vector).expect("the product exists")
                };
                let quotients: Option<Vec<f64>> = (1..=*outside).map(quotient).collect();
                let mean = quotients?.iter().sum::<f64>() / *outside as f64;
                (top.value, (top.value * mean.max(0.0)).sqrt())
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
        self.average.update(period as f64, full);
        Some(batch)
    }
}
