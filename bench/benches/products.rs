//! What products with the Hessian cost, as ratios to a gradient measured in the same run.
//!
//! `cargo bench -p lyapunov-bench --bench products`; the `flex` device computes on one thread.

use std::time::Instant;

use lyapunov::{Objective, Product, Sample};
use lyapunov_burn::{
    Activation, Architecture, Dataset, Network, NetworkOptions, Normalization, Shortcut, Weights, device,
};

/// Rounds of every pass; the fastest of each counts.
const ROUNDS: u64 = 12;

fn main() {
    println!(
        "| network | activation | weights | gradient | exact | gradient + exact, joint | Gauss–Newton | counted exact \
            | counted Gauss–Newton |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let plain = NetworkOptions { batch_size: 128, ..NetworkOptions::default() };
    let mlp = NetworkOptions { architecture: Architecture::Mlp { widths: vec![200, 200] }, ..plain.clone() };
    let cnn = NetworkOptions { architecture: Architecture::Cnn { widths: vec![16, 32, 64] }, ..plain.clone() };
    let resnet = Architecture::ResNet { blocks: 3, widths: vec![16, 32, 64], shortcut: Shortcut::Padded };
    for (name, options) in [("MLP 3072-200-200-10", &mlp), ("CNN 16-32-64", &cnn)] {
        for activation in [Activation::Relu, Activation::Tanh] {
            row(name, &NetworkOptions { activation, ..options.clone() }, ROUNDS);
        }
    }
    row("CNN 16-32-64, batch norm", &NetworkOptions { normalization: Normalization::Batch, ..cnn }, ROUNDS);
    let resnet = NetworkOptions { architecture: resnet, normalization: Normalization::Batch, ..plain };
    row("ResNet-20, batch norm", &resnet, ROUNDS / 3);
}

fn row(name: &str, options: &NetworkOptions, rounds: u64) {
    let data = Dataset::synthetic(0, 1280, 10).expect("the sizes are positive");
    let network = Network::new(options, data, &device("flex").expect("flex is built in")).expect("the options fit");
    let w = network.initial_weights();
    let passes: [&dyn Fn(Sample) -> Weights; 4] = [
        &|on| network.gradient(&w, on).expect("the batch exists").1,
        &|on| network.product(Product::Exact, &w, on, &w).expect("exact products exist"),
        &|on| network.gradient_and_product(Product::Exact, &w, on, &w).expect("exact products exist").2,
        &|on| network.product(Product::GaussNewton, &w, on, &w).expect("Gauss–Newton products exist"),
    ];
    let mut best = [f64::INFINITY; 4];
    // Interleaved, so that a busy moment of the machine hits all of them.
    for step in 0..rounds {
        for (fastest, pass) in best.iter_mut().zip(&passes) {
            let start = Instant::now();
            std::hint::black_box(pass(Sample::Mini(step)));
            *fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    let counted = |kind| network.product_cost(kind, Sample::Mini(0));
    println!(
        "| {name} | {:?} | {} | {:.1} ms | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
        options.activation,
        network.parameters(),
        1e3 * best[0],
        best[1] / best[0],
        best[2] / best[0],
        best[3] / best[0],
        counted(Product::Exact),
        counted(Product::GaussNewton),
    );
}
