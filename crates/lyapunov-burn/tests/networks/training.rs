//! Training of networks with deviations: frozen weights, resuming, twins.

use lyapunov::{
    Constant, Descent, ExponentOptions, HeavyBall, Hessian, Lanczos, Objective, Plan, Product, Purpose, Sample, Sgd,
    Start, Stream, System, Training, Vector, lanczos, run,
};
use lyapunov_burn::{Activation, Architecture, Dataset, Network, NetworkOptions, Precision, Weights, device};
use lyapunov_runs::{saved_from_safetensors, saved_to_safetensors};

fn network(architecture: Architecture, activation: Activation) -> Network {
    let options = NetworkOptions { architecture, activation, batch_size: 8, ..NetworkOptions::default() };
    Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap()).unwrap()
}

fn random_like(vector: &Weights, step: u64) -> Weights {
    let mut v = vector.zeros_like();
    v.randomize(&mut Stream::new(8, Purpose::Probe, step));
    v
}

/// The smallest eigenvalue of the Hessian, found by Lanczos, is the exponent of descent whose weights do not move.
#[test]
fn frozen_weights_grow_by_the_bottom_of_the_spectrum() {
    let rate = 0.2;
    // One batch is the whole set, so that the map is the same at every step.
    let whole = Network::new(
        &NetworkOptions {
            architecture: Architecture::Cnn { widths: vec![1; 5] },
            activation: Activation::Tanh,
            batch_size: 8,
            precision: Precision::Double,
            ..NetworkOptions::default()
        },
        Dataset::synthetic(3, 8, 8).unwrap(),
        &device("flex").unwrap(),
    )
    .unwrap();
    assert_eq!(whole.steps_per_epoch(), 1);
    let w = whole.initial_weights();
    let hessian = Hessian { objective: &whole, at: &w, on: Sample::Full, product: Product::Exact, gradient: None };
    let options = Lanczos { largest: 0, smallest: 1, tolerance: 1e-6, ..Lanczos::default() };
    let bottom = lanczos(&hessian, &random_like(&w, 3), &options).unwrap().smallest[0].value;
    assert!(bottom < 0.0, "{bottom}");
    let mut descent = Sgd::new(&whole, w.clone(), rate, Product::Exact).frozen();
    let carry = ExponentOptions { start: Start::LambdaMin(Sample::Full), warm_up: 20, ..ExponentOptions::default() };
    let plan = Plan { steps: 60, measure_every: 0, exponents: Some(carry), ..Plan::default() };
    let chaos = run(&mut descent, &plan, &mut Constant(rate), &mut Vec::new()).unwrap().exponents.unwrap();
    let (found, exact) = (chaos.exponents.values[0], (1.0 - rate * bottom).ln());
    assert!((found / exact - 1.0).abs() < 0.01, "{found} for {exact}");
    assert!(chaos.violation.unwrap() < 1e-10);
    assert_eq!(descent.weights().to_data(), w.to_data());
}

/// Saved in the middle as numbers and bytes, gone on with fresh objects: the bits of the unbroken run.
#[test]
fn a_network_with_two_exponents_resumes_to_the_same_bits() {
    let fresh = || {
        let network = network(Architecture::Cnn { widths: vec![3, 4] }, Activation::Relu);
        let start = network.initial_weights();
        HeavyBall::new(network, start, 0.01, 0.9, Product::Exact).unwrap()
    };
    let carry = ExponentOptions { count: 2, every: 3, warm_up: 50, ..ExponentOptions::default() };
    let plan = Plan { steps: 500, measure_every: 60, products: 3, exponents: Some(carry), ..Plan::default() };
    let (mut whole, mut expected) = (fresh(), Vec::new());
    run(&mut whole, &plan, &mut Constant(0.01), &mut expected).unwrap();

    let (mut first, mut rows) = (fresh(), Vec::new());
    let mut training = Training::new(&mut first, &plan).unwrap();
    training.advance(&mut first, 250, &mut Constant(0.01), &mut rows).unwrap();
    let saved = training.save(&mut first, &mut Constant(0.01)).unwrap();
    let bytes = saved_to_safetensors(&saved, "half of it").unwrap();
    drop((first, training, saved));

    let (saved, note) = saved_from_safetensors(&bytes).unwrap();
    assert_eq!(note, "half of it");
    let mut second = fresh();
    let mut training = Training::resume(&mut second, &plan, &mut Constant(0.01), &saved).unwrap();
    training.advance(&mut second, 500, &mut Constant(0.01), &mut rows).unwrap();
    let numbers = |tensor: &Weights| tensor.to_data().try_to_vec::<f32>().unwrap();
    let pair = |(w, v): &(Weights, Weights)| (numbers(w), numbers(v));
    assert_eq!(rows.len(), 500);
    assert_eq!(rows, expected);
    assert_eq!(pair(second.state()), pair(whole.state()));
}

#[test]
fn twins_differ_in_what_they_are_asked_to_and_nothing_else() {
    let plain = || network(Architecture::Mlp { widths: vec![12, 9] }, Activation::Tanh);
    let w = plain().initial_weights();
    let gradient = |network: &Network, on| network.gradient(&w, on).unwrap().1.to_data();
    let reversed = plain().with_reversed_batch(2);
    assert_eq!(gradient(&plain(), Sample::Mini(1)), gradient(&reversed, Sample::Mini(1)));
    let (one, other) =
        (plain().gradient(&w, Sample::Mini(2)).unwrap().1, reversed.gradient(&w, Sample::Mini(2)).unwrap().1);
    let mut difference = one.clone();
    difference.axpy(-1.0, &other);
    assert!(difference.norm() < 1e-5 * Vector::norm(&one), "the same images in another order");
    let replaced = plain().with_replaced_image(4).unwrap();
    assert_ne!(gradient(&plain(), Sample::Full), gradient(&replaced, Sample::Full));
    let differing = (0..5).filter(|t| gradient(&plain(), Sample::Mini(*t)) != gradient(&replaced, Sample::Mini(*t)));
    assert_eq!(differing.count(), 1, "one batch of the epoch has the image");
    assert!(plain().with_replaced_image(40).unwrap_err().to_string().contains("image = 40"));
    let predictions = plain().predictions(&w).unwrap().unwrap();
    assert!(predictions.len() > 1 && predictions.iter().all(|class| *class < 10));
}
