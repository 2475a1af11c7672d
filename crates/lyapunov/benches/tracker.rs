//! How far the λ_max that a run records lies from the truth, and what it costs.
//!
//! `cargo bench --bench tracker -- FOLDER` trains the 3072-200-200-10 network and a small convolutional one on the
//! CIFAR-10 files in FOLDER (on synthetic images without it), records λ_max of the mini-batch every T steps by a burst of
//! J products, then replays the run and compares each record with a 30-step Lanczos on the same batch and weights.

use std::path::Path;

use lyapunov::{
    Constant, Hessian, Lanczos, Measurement, Objective, Plan, Product, Purpose, Sample, Sgd, Stream, System, Vector,
    lanczos, run,
    train::{Activation, Architecture, Dataset, Network, NetworkOptions, device},
};

const STEPS: u64 = 500;

fn main() {
    // Cargo passes `--bench` along.
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let data = match &folder {
        Some(folder) => Dataset::read_cifar10(Path::new(folder)).expect("the folder holds CIFAR-10"),
        None => Dataset::synthetic(0, 5000, 1000).expect("the sizes are positive"),
    };
    println!("data: {}, {} images; {STEPS} steps, batch 128, seed 0", data.name, data.train.len());
    println!(
        "| network | activation | η | product | J | T | g-eq per step | median error | 90th percentile | median residual | records |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (name, architecture) in
        [("MLP", Architecture::Mlp { widths: vec![200, 200] }), ("CNN", Architecture::Cnn { widths: vec![8, 16, 32] })]
    {
        for activation in [Activation::Tanh, Activation::Relu] {
            let options = NetworkOptions {
                architecture: architecture.clone(),
                activation,
                batch_size: 128,
                ..NetworkOptions::default()
            };
            let network = Network::new(&options, data.clone(), &device("flex").expect("flex is built in"))
                .expect("the options fit");
            for learning_rate in [0.03, 0.1] {
                for (product, products, every) in [
                    (Product::Exact, 3, 50),
                    (Product::Exact, 5, 20),
                    (Product::Exact, 5, 100),
                    (Product::GaussNewton, 5, 100),
                    (Product::Difference(network.difference()), 5, 100),
                ] {
                    let plan = Plan { steps: STEPS, measure_every: every, product, products, ..Plan::default() };
                    let label = format!("| {name} | {activation:?} | {learning_rate} |");
                    println!("{label} {}", compare(&network, learning_rate, &plan));
                }
            }
        }
    }
}

/// One line of the table: errors of the recorded values against the truth.
fn compare(network: &Network, learning_rate: f64, plan: &Plan) -> String {
    let mut rows: Vec<Measurement> = Vec::new();
    let start = || Sgd::new(network, network.initial_weights(), learning_rate, Product::Exact);
    let summary = run(&mut start(), plan, &mut Constant(learning_rate), &mut rows).expect("the run succeeds");
    let mut replay = start();
    let (mut errors, mut residuals) = (Vec::new(), Vec::new());
    for row in &rows {
        if let Some(found) = row.batch_lambda_max() {
            let truth = truth(network, replay.state(), Sample::Mini(row.step));
            errors.push((found.value - truth).abs() / truth);
            residuals.push(found.residual / found.value);
        }
        replay.step(&mut []).expect("the step succeeds");
    }
    format!(
        "{} | {} | {} | {:.3} | {:.4} | {:.4} | {:.4} | {} |",
        plan.product.name(),
        plan.products,
        plan.measure_every,
        summary.measuring_cost,
        quantile(&mut errors, 0.5),
        quantile(&mut errors, 0.9),
        quantile(&mut residuals, 0.5),
        errors.len()
    )
}

/// λ_max from 30 exact products and a random start.
fn truth<O: Objective>(network: &O, at: &O::Vector, on: Sample) -> f64 {
    let mut start = at.zeros_like();
    start.randomize(&mut Stream::new(99, Purpose::Probe, 0));
    let hessian = Hessian { objective: network, at, on, product: Product::Exact, gradient: None };
    let options = Lanczos { tolerance: 1e-9, max_applications: 30, ..Lanczos::default() };
    lanczos(&hessian, &start, &options).expect("the product exists").largest[0].value
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    values[(share * last as f64).round() as usize]
}
