//! How much memory a search for eigenvalues holds beside that of one gradient.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(feature = "train")]

use lyapunov::{
    Hessian, Lanczos, Objective, Product, Sample, lanczos,
    train::{Activation, Architecture, Dataset, Network, NetworkOptions, device},
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The bytes that `work` needs at its peak, beyond what was held before.
fn peak<T>(work: impl Fn() -> T) -> f64 {
    // What is made once and kept is nobody's need.
    work();
    let held = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work();
    (MEMORY.peak_usage() - held) as f64
}

/// Exact products of tanh networks need more, 1.9 times a gradient of a convolutional one: BENCHMARKS.md has them.
#[test]
fn a_search_holds_at_most_half_a_gradient_beside_its_vectors() {
    for architecture in [Architecture::Mlp { widths: vec![100] }, Architecture::Cnn { widths: vec![8, 16] }] {
        let options =
            NetworkOptions { architecture, activation: Activation::Relu, batch_size: 32, ..NetworkOptions::default() };
        let data = Dataset::synthetic(1, 64, 1).unwrap();
        let network = Network::new(&options, data, &device("flex").unwrap()).unwrap();
        let w = network.initial_weights();
        for on in [Sample::Mini(0), Sample::Full] {
            let gradient = peak(|| network.gradient(&w, on).unwrap());
            let (_, start) = network.gradient(&w, on).unwrap();
            for product in [Product::Exact, Product::GaussNewton] {
                let hessian = Hessian { objective: &network, at: &w, on, product, gradient: None };
                let options = Lanczos { max_applications: 4, tolerance: 1e-9, ..Lanczos::default() };
                let search = peak(|| lanczos(&hessian, &start, &options).unwrap());
                // The basis of five, the image that becomes part of it, and the Ritz vector.
                let vectors = 7.0 * 4.0 * network.parameters() as f64;
                let share = (search - vectors) / gradient;
                assert!(share <= 1.5, "{options:?}, {on}, {}: {share:.2} of a gradient", product.name());
            }
        }
    }
}
