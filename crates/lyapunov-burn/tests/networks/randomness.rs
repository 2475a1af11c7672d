//! Dropout and augmentation: replayed by whoever asks for a step again, part of every product, invisible to evaluation.

use lyapunov::{
    Constant, Difference, Measurement, Objective, Plan, Product, Purpose, Sample, Sgd, Stream, System, Target, Vector,
    run, testing,
};
use lyapunov_burn::{
    Activation, Architecture, Dataset, Network, NetworkOptions, Normalization, Precision, Weights, device,
};

/// Dropout behind a batch normalisation, on images that are shifted and flipped.
fn network(architecture: Architecture, precision: Precision) -> Network {
    let options = NetworkOptions {
        architecture,
        activation: Activation::Tanh,
        normalization: Normalization::Batch,
        dropout: 0.4,
        augment: true,
        precision,
        batch_size: 8,
        ..NetworkOptions::default()
    };
    Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap()).unwrap()
}

fn architectures() -> [Architecture; 2] {
    [Architecture::Mlp { widths: vec![12, 10] }, Architecture::Cnn { widths: vec![4, 6] }]
}

fn random_like(vector: &Weights, step: u64) -> Weights {
    let mut v = vector.zeros_like();
    v.randomize(&mut Stream::new(8, Purpose::Probe, step));
    v
}

fn moved(w: &Weights, e: f64, v: &Weights) -> Weights {
    let mut point = w.clone();
    point.axpy(e, v);
    point
}

#[test]
fn a_sample_has_the_same_noise_whenever_it_is_asked_for() {
    let network = network(architectures()[1].clone(), Precision::Single);
    let w = network.initial_weights();
    let loss = |on| network.gradient(&w, on).unwrap().0.to_bits();
    for on in [Sample::Mini(4), Sample::Subset(21), Sample::Full] {
        let first = loss(on);
        network.evaluate(&w).unwrap();
        loss(Sample::Mini(9));
        assert_eq!(first, loss(on), "{on}");
    }
    // Five steps are an epoch of forty images.
    let images = |step| {
        let file = network.examples_to_safetensors(&w, Sample::Mini(step)).unwrap();
        network.outputs(&w, Sample::Mini(step)).unwrap();
        file
    };
    assert_eq!(images(3), images(3));
    assert_ne!(images(3), images(8));
}

#[test]
fn gradient_and_products_are_those_of_the_loss_with_its_masks() {
    for architecture in architectures() {
        let network = network(architecture.clone(), Precision::Double);
        let w = network.initial_weights();
        let v = random_like(&w, 1).unit().unwrap();
        for on in [Sample::Mini(3), Sample::Subset(21)] {
            let at = |e: f64| network.gradient(&moved(&w, e, &v), on).unwrap();
            let slope = (at(1e-6).0 - at(-1e-6).0) / 2e-6;
            let error = (Vector::dot(&at(0.0).1, &v) - slope).abs() / slope.abs();
            assert!(error <= 1e-6, "{architecture:?}, {on}: {error:.1e}");
            let (_, gradient, exact) = network.gradient_and_product(Product::Exact, &w, on, &v).unwrap();
            assert!(moved(&gradient, -1.0, &at(0.0).1).norm() <= 1e-12 * gradient.norm());
            let error = [1e-4, 1e-5, 1e-6]
                .map(|e| {
                    let kind = Product::Difference(Difference::central(e / w.norm()));
                    moved(&exact, -1.0, &network.product(kind, &w, on, &v).unwrap()).norm() / exact.norm()
                })
                .into_iter()
                .fold(f64::INFINITY, f64::min);
            assert!(error <= 1e-7, "{architecture:?}, {on}: {error:.1e}");
        }
    }
}

#[test]
fn a_descent_passes_the_taylor_test_on_every_batch() {
    let network = network(Architecture::Mlp { widths: vec![12, 10] }, Precision::Double);
    let mut sgd = Sgd::new(&network, network.initial_weights(), 0.1, Product::Exact);
    for seed in 0..3 {
        testing::check_tangent(&sgd, seed);
        sgd.step(&mut []).unwrap();
    }
}

#[test]
fn evaluation_neither_drops_nor_shifts() {
    let architecture = Architecture::Mlp { widths: vec![12] };
    let noisy =
        NetworkOptions { architecture, dropout: 0.5, augment: true, batch_size: 8, ..NetworkOptions::default() };
    let plain = NetworkOptions { dropout: 0.0, augment: false, ..noisy.clone() };
    let [noisy, plain] = [noisy, plain].map(|options| {
        Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap()).unwrap()
    });
    let w = plain.initial_weights();
    assert_eq!(noisy.evaluate(&w).unwrap(), plain.evaluate(&w).unwrap());
    assert_eq!(noisy.evaluate_training_set(&w).unwrap(), plain.evaluate_training_set(&w).unwrap());
    assert_ne!(noisy.gradient(&w, Sample::Full).unwrap().0, plain.gradient(&w, Sample::Full).unwrap().0);
}

/// A run of ten steps.
fn rows(measure_every: u64, evaluate_every: u64) -> Vec<Measurement> {
    let network = network(architectures()[1].clone(), Precision::Single);
    let start = network.initial_weights();
    let mut descent = Sgd::new(network, start, 0.0, Product::Exact);
    let on = vec![Target::Batch, Target::Subset(20), Target::Full];
    let plan = Plan { steps: 10, measure_every, on, evaluate_every, products: 3, ..Plan::default() };
    let mut rows = Vec::new();
    run(&mut descent, &plan, &mut Constant(0.1), &mut rows).unwrap();
    rows
}

#[test]
fn measuring_never_changes_the_run() {
    let (plain, measured) = (rows(0, 0), rows(1, 2));
    assert_eq!((plain.len(), measured[0].sharpness.len()), (10, 3));
    for (a, b) in plain.iter().zip(&measured) {
        assert_eq!(a.loss.to_bits(), b.loss.to_bits());
        assert_eq!(a.gradient_norm.to_bits(), b.gradient_norm.to_bits());
    }
    assert_eq!(measured, rows(1, 2), "same seed, same bits");
}
