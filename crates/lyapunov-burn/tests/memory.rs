//! No autodiff graph outlives the call that made it: peak memory does not grow with the number of measurements.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use burn::nn::{Linear, LinearConfig};
use lyapunov::{Difference, Objective, Product, Sample};
use lyapunov_burn::{
    Architecture, Dataset, Loss, ModuleObjective, Network, NetworkOptions, Normalization, Tensor, device,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Measures fifty-two times; the last fifty must not need more than the first two.
fn check(measure: impl Fn(u64)) {
    MEMORY.reset_peak_usage();
    (0..2).for_each(&measure);
    let held = MEMORY.current_usage();
    let peak = MEMORY.peak_usage();
    (2..52).for_each(measure);
    // One activation map of the first layer alone is 32·8·32·32·4 bytes, a megabyte; so is the input of the module.
    let allowed = 200_000;
    assert!(MEMORY.current_usage() < held + allowed, "{held} bytes became {}", MEMORY.current_usage());
    assert!(MEMORY.peak_usage() < peak + allowed, "the peak of {peak} bytes became {}", MEMORY.peak_usage());
}

// One test: the allocator counts for all threads.
#[test]
fn fifty_measurements_need_no_more_memory_than_two() {
    for normalization in [Normalization::None, Normalization::Batch] {
        check_network(normalization);
    }
    check_module();
}

fn check_module() {
    let device = device("flex").unwrap();
    let inputs = Tensor::<2>::ones([256, 1024], &device);
    let targets = Tensor::<2>::ones([256, 256], &device);
    let batches = |_: Sample| Ok(vec![(inputs.clone(), targets.clone())]);
    let module = LinearConfig::new(1024, 256).init(&device);
    let objective = ModuleObjective::new(&module, |m: &Linear, x| m.forward(x), batches, Loss::SquaredError).unwrap();
    let w = objective.weights();
    let without_curvature = |z: Tensor<2>, y: Tensor<2>| (z - y).abs().sum();
    let module = objective.module(&w);
    let refusing = ModuleObjective::new(&module, |m: &Linear, x| m.forward(x), batches, without_curvature).unwrap();
    check(|step| {
        let on = Sample::Mini(step);
        let (_, gradient) = objective.gradient(&w, on).unwrap();
        for kind in [Product::GaussNewton, Product::Difference(Difference::SMOOTH)] {
            objective.product(kind, &w, on, &gradient).unwrap();
        }
        assert!(refusing.product(Product::GaussNewton, &w, on, &gradient).is_err());
    });
}

fn check_network(normalization: Normalization) {
    let options = NetworkOptions {
        architecture: Architecture::Cnn { widths: vec![8, 16] },
        batch_size: 32,
        normalization,
        ..NetworkOptions::default()
    };
    let data = Dataset::synthetic(1, 64, 1).unwrap();
    let network = Network::new(&options, data, &device("flex").unwrap()).unwrap();
    let w = network.initial_weights();
    check(|step| {
        let on = Sample::Mini(step);
        let (_, gradient) = network.gradient(&w, on).unwrap();
        for kind in [Product::Exact, Product::GaussNewton, Product::Difference(network.difference())] {
            network.product(kind, &w, on, &gradient).unwrap();
        }
        network.gradient_and_product(Product::Exact, &w, on, &gradient).unwrap();
        network.evaluate(&w).unwrap();
    });
}
