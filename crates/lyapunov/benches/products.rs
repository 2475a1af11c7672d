//! What products with the Hessian cost, as ratios to a gradient measured in the same run.
//!
//! `cargo bench --bench products`; the `flex` device computes on one thread.

use std::time::Instant;

use lyapunov::{
    Objective, Product, Sample,
    train::{Activation, Architecture, Dataset, Network, NetworkOptions, Tensor, device},
};

/// Rounds of every pass; the fastest of each counts.
const ROUNDS: u64 = 12;

fn main() {
    println!(
        "| network | activation | weights | gradient | exact | gradient + exact, joint | Gauss–Newton | counted exact | counted Gauss–Newton |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, architecture) in [
        ("MLP 3072-200-200-10", Architecture::Mlp { widths: vec![200, 200] }),
        ("CNN 16-32-64", Architecture::Cnn { widths: vec![16, 32, 64] }),
    ] {
        for activation in [Activation::Relu, Activation::Tanh] {
            row(name, &architecture, activation);
        }
    }
}

fn row(name: &str, architecture: &Architecture, activation: Activation) {
    let options =
        NetworkOptions { architecture: architecture.clone(), activation, batch_size: 128, ..NetworkOptions::default() };
    let data = Dataset::synthetic(0, 1280, 10).expect("the sizes are positive");
    let network = Network::new(&options, data, &device("flex").expect("flex is built in")).expect("the options fit");
    let w = network.initial_weights();
    let passes: [&dyn Fn(Sample) -> Tensor<1>; 4] = [
        &|on| network.gradient(&w, on).expect("the batch exists").1,
        &|on| network.product(Product::Exact, &w, on, &w).expect("exact products exist"),
        &|on| network.gradient_and_product(Product::Exact, &w, on, &w).expect("exact products exist").2,
        &|on| network.product(Product::GaussNewton, &w, on, &w).expect("Gauss–Newton products exist"),
    ];
    let mut best = [f64::INFINITY; 4];
    // Interleaved, so that a busy moment of the machine hits all of them.
    for step in 0..ROUNDS {
        for (fastest, pass) in best.iter_mut().zip(&passes) {
            let start = Instant::now();
            std::hint::black_box(pass(Sample::Mini(step)));
            *fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    let counted = |kind| network.product_cost(kind, Sample::Mini(0));
    println!(
        "| {name} | {activation:?} | {} | {:.1} ms | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
        network.parameters(),
        1e3 * best[0],
        best[1] / best[0],
        best[2] / best[0],
        best[3] / best[0],
        counted(Product::Exact),
        counted(Product::GaussNewton),
    );
}
