//! No autodiff graph outlives the call that made it: peak memory does not grow with the number of measurements.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(feature = "train")]

use lyapunov::{
    Objective, Product, Sample,
    train::{Architecture, Dataset, Network, NetworkOptions, device},
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[test]
fn fifty_measurements_need_no_more_memory_than_two() {
    let options = NetworkOptions {
        architecture: Architecture::Cnn { widths: vec![8, 16] },
        batch_size: 32,
        ..NetworkOptions::default()
    };
    let data = Dataset::synthetic(1, 64, 1).unwrap();
    let network = Network::new(&options, data, &device("flex").unwrap()).unwrap();
    let w = network.initial_weights();
    let measure = |step| {
        let on = Sample::Mini(step);
        let (_, gradient) = network.gradient(&w, on).unwrap();
        for kind in [Product::Exact, Product::GaussNewton, Product::Difference(network.difference())] {
            network.product(kind, &w, on, &gradient).unwrap();
        }
        network.gradient_and_product(Product::Exact, &w, on, &gradient).unwrap();
        network.evaluate(&w).unwrap();
    };
    (0..2).for_each(measure);
    let held = MEMORY.current_usage();
    let peak = MEMORY.peak_usage();
    (2..52).for_each(measure);
    // One activation map of the first layer alone is 32·8·32·32·4 bytes, a megabyte.
    let allowed = 200_000;
    assert!(MEMORY.current_usage() < held + allowed, "{held} bytes became {}", MEMORY.current_usage());
    assert!(MEMORY.peak_usage() < peak + allowed, "the peak of {peak} bytes became {}", MEMORY.peak_usage());
}
