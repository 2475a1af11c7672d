//! How much memory a search for eigenvalues holds beside that of one gradient.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use lyapunov::{Hessian, Lanczos, Objective, Product, Sample, lanczos};
use lyapunov_burn::{Activation, Architecture, Dataset, Network, NetworkOptions, device};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The bytes that `work` with a fresh network needs at its peak, beyond what was held before: a network keeps what a
/// pass has used.
fn peak<T>(network: impl Fn() -> Network, work: impl Fn(&Network) -> T) -> f64 {
    // What is made once and kept is nobody's need.
    work(&network());
    let network = network();
    let held = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work(&network);
    (MEMORY.peak_usage() - held) as f64
}

/// Peak memory of a search by four products without its vectors (a basis of five, the image that becomes part of it,
/// and the Ritz vector), in gradients.
fn share(network: impl Fn() -> Network, on: Sample, product: Product) -> f64 {
    let w = network().initial_weights();
    let gradient = peak(&network, |network| network.gradient(&w, on).unwrap());
    let (_, start) = network().gradient(&w, on).unwrap();
    let options = Lanczos { max_applications: 4, tolerance: 1e-9, ..Lanczos::default() };
    let search = peak(&network, |network| {
        let hessian = Hessian { objective: network, at: &w, on, product, gradient: None };
        lanczos(&hessian, &start, &options).unwrap()
    });
    (search - 7.0 * 4.0 * network().parameters() as f64) / gradient
}

fn network(architecture: Architecture, activation: Activation, batch_size: usize) -> Network {
    let options = NetworkOptions { architecture, activation, batch_size, ..NetworkOptions::default() };
    Network::new(&options, Dataset::synthetic(1, 2 * batch_size, 1).unwrap(), &device("flex").unwrap()).unwrap()
}

#[test]
fn a_search_holds_at_most_half_a_gradient_more_beside_its_vectors() {
    for architecture in [Architecture::Mlp { widths: vec![100] }, Architecture::Cnn { widths: vec![8, 16] }] {
        for activation in [Activation::Relu, Activation::Tanh] {
            let network = || network(architecture.clone(), activation, 32);
            for on in [Sample::Mini(0), Sample::Full] {
                for product in [Product::Exact, Product::GaussNewton] {
                    let share = share(network, on, product);
                    assert!(share <= 1.5, "{activation:?}, {} on {on}: {share:.2} gradients", product.name());
                }
            }
        }
    }
}

#[test]
#[ignore = "the table of docs/notebook/tracking.md, a minute"]
fn the_memory_of_searches() {
    for architecture in [Architecture::Mlp { widths: vec![200, 200] }, Architecture::Cnn { widths: vec![16, 32, 64] }] {
        for activation in [Activation::Relu, Activation::Tanh] {
            let network = || network(architecture.clone(), activation, 128);
            let [exact, newton] =
                [Product::Exact, Product::GaussNewton].map(|product| share(network, Sample::Mini(0), product));
            println!("| {architecture:?} | {activation:?} | {exact:.2} | {newton:.2} |");
        }
    }
}
