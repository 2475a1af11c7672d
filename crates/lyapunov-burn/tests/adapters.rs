//! Networks on a graphics adapter beside the same on the processor, whose numbers are checked everywhere else. Run where
//! there is one, if only a driver in software: `./check --gpu`.
#![allow(clippy::unwrap_used, reason = "in a test a fault is a failure")]

use lyapunov::{Hessian, Lanczos, Objective, Product, Purpose, Sample, Stream, Vector, lanczos, orthonormalize};
use lyapunov_burn::{
    Activation, Architecture, Dataset, Loss, Network, NetworkOptions, Normalization, Precision, Shortcut, Weights,
    device, devices, largest_tensor,
};

const ADAPTER: &str = "wgpu";

/// The relative distance of what both devices compute in single precision.
const CLOSE: f64 = 2e-4;

fn network(architecture: Architecture, normalization: Normalization, activation: Activation, on: &str) -> Network {
    let options =
        NetworkOptions { architecture, normalization, activation, batch_size: 8, ..NetworkOptions::default() };
    Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device(on).unwrap()).unwrap()
}

fn numbers(weights: &Weights) -> Vec<f64> {
    weights.to_data().iter::<f64>().collect()
}

/// ‖a − b‖ / ‖b‖.
fn relative_error(a: &Weights, b: &Weights) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    let distance = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    distance / b.iter().map(|b| b * b).sum::<f64>().sqrt()
}

fn random_like(vector: &Weights, step: u64) -> Weights {
    let mut v = vector.zeros_like();
    v.randomize(&mut Stream::new(8, Purpose::Probe, step));
    v
}

/// Every kind of layer.
fn kinds() -> Vec<(Architecture, Normalization, Activation)> {
    let residual = Architecture::ResNet { blocks: 1, widths: vec![3, 4, 5], shortcut: Shortcut::Projected };
    let tokens = Architecture::VisionTransformer { depth: 1, heads: 2, patch: 8, widths: vec![8, 12] };
    vec![
        (Architecture::Mlp { widths: vec![12, 9] }, Normalization::None, Activation::Tanh),
        (Architecture::Cnn { widths: vec![3, 4] }, Normalization::None, Activation::Relu),
        (Architecture::Cnn { widths: vec![4, 4] }, Normalization::Group { groups: 2 }, Activation::Silu),
        (residual, Normalization::Batch, Activation::Relu),
        (tokens, Normalization::None, Activation::Gelu),
    ]
}

#[test]
fn gradients_and_products_are_those_of_the_processor() {
    for (architecture, normalization, activation) in kinds() {
        let made = |on| network(architecture.clone(), normalization, activation, on);
        let (own, right) = (made(ADAPTER), made("flex"));
        let (w, flat) = (own.initial_weights(), right.initial_weights());
        assert_eq!(numbers(&w), numbers(&flat));
        for on in [Sample::Mini(3), Sample::Full] {
            let (loss, gradient) = own.gradient(&w, on).unwrap();
            let (expected_loss, expected) = right.gradient(&flat, on).unwrap();
            let error = relative_error(&gradient, &expected);
            assert!(
                error < CLOSE && (loss - expected_loss).abs() < CLOSE * expected_loss,
                "{architecture:?}: {error:.1e}"
            );
            let (v, flat_v) = (random_like(&w, 0), random_like(&flat, 0));
            for kind in [Product::Exact, Product::GaussNewton] {
                let found = own.product(kind, &w, on, &v).unwrap();
                let error = relative_error(&found, &right.product(kind, &flat, on, &flat_v).unwrap());
                assert!(error < CLOSE, "{architecture:?}, {kind:?}: {error:.1e}");
            }
        }
    }
}

#[test]
fn the_same_work_has_the_same_bits_twice() {
    for (architecture, normalization, activation) in kinds() {
        let network = network(architecture, normalization, activation, ADAPTER);
        let w = network.initial_weights();
        let v = random_like(&w, 1);
        let work = || numbers(&network.product(Product::Exact, &w, Sample::Mini(1), &v).unwrap());
        assert_eq!(work(), work());
    }
}

#[test]
fn vectors_agree_with_plain_ones() {
    let on = |name: &str| {
        let network = network(Architecture::Mlp { widths: vec![50] }, Normalization::None, Activation::Tanh, name);
        let w = network.initial_weights();
        [random_like(&w, 1), random_like(&w, 2), random_like(&w, 3)]
    };
    let (mut own, mut right) = (on(ADAPTER), on("flex"));
    let scale = right[0].norm().powi(2);
    for (a, b) in own[0].dots(&own).iter().zip(right[0].dots(&right)) {
        assert!((a - b).abs() < 1e-5 * scale, "{a} for {b}");
    }
    assert!(own[0].dots(&[]).is_empty());
    own[0].axpy(-0.3, &own[1].clone());
    right[0].axpy(-0.3, &right[1].clone());
    assert!(relative_error(&own[0], &right[0]) < 1e-6);
    orthonormalize(&mut own);
    assert!(own[0].dot(&own[1]).abs() < 1e-5 && (own[2].norm() - 1.0).abs() < 1e-5);
}

#[test]
fn eigenvalues_are_those_of_the_processor() {
    let found = [ADAPTER, "flex"].map(|on| {
        let network = network(Architecture::Cnn { widths: vec![3, 4] }, Normalization::None, Activation::Tanh, on);
        let w = network.initial_weights();
        let (objective, at) = (&network, &w);
        let hessian = Hessian { objective, at, on: Sample::Full, product: Product::Exact, gradient: None };
        let start = random_like(&w, 4);
        lanczos(&hessian, &start, &Lanczos::default()).unwrap().largest[0].value
    });
    assert!((found[0] / found[1] - 1.0).abs() < 1e-3, "{found:?}");
}

#[test]
fn double_precision_is_refused_and_adapters_are_listed() {
    let options = NetworkOptions {
        architecture: Architecture::Mlp { widths: Vec::new() },
        loss: Loss::SquaredError,
        precision: Precision::Double,
        batch_size: 8,
        ..NetworkOptions::default()
    };
    let data = || Dataset::synthetic(1, 40, 10).unwrap();
    let message = Network::new(&options, data(), &device(ADAPTER).unwrap()).unwrap_err().to_string();
    assert!(message.contains("flex") && message.contains("double precision"), "{message}");
    assert!(Network::new(&options, data(), &device("flex").unwrap()).is_ok());
    let adapters = devices();
    assert!(adapters.len() > 1 && adapters[1].0.starts_with("wgpu:"), "{adapters:?}");
    assert!(largest_tensor(ADAPTER).is_some_and(|limit| limit > 1 << 20));
    let message = device("wgpu:discrete:7").unwrap_err().to_string();
    assert!(message.contains("is not there; there are wgpu:"), "{message}");
}
