use burn::{
    nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig},
    tensor::{DType, activation},
};

use super::*;
use crate::{Activation, Architecture, Dataset, Network, NetworkOptions, Normalization, Precision, device};
use lyapunov::SpectralTarget;

/// The perceptron of the oracle as a user would write it, but for the layout of its weights, which is ours.
#[derive(Module, Debug)]
struct Perceptron {
    first: Param<Tensor<2>>,
    first_bias: Param<Tensor<1>>,
    norm: Option<BatchNorm>,
    last: Param<Tensor<2>>,
    last_bias: Param<Tensor<1>>,
}

impl Perceptron {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = x.matmul(self.first.val().transpose()) + self.first_bias.val().unsqueeze();
        let hidden = match &self.norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        };
        activation::relu(hidden).matmul(self.last.val().transpose()) + self.last_bias.val().unsqueeze()
    }
}

const WIDTH: usize = 12;

fn network(precision: Precision, normalization: Normalization) -> Network {
    let options = NetworkOptions {
        architecture: Architecture::Mlp { widths: vec![WIDTH] },
        activation: Activation::Relu,
        normalization,
        precision,
        batch_size: 8,
        ..NetworkOptions::default()
    };
    Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap()).unwrap()
}

fn perceptron(network: &Network, normalised: bool) -> Perceptron {
    let (device, w) = (device("flex").unwrap(), network.initial_weights());
    let parts = split(&w, &network.lengths);
    let matrix = |k: usize, shape: [usize; 2]| Param::from_tensor(parts[k].clone().reshape(shape));
    let vector = |k: usize| Param::from_tensor(parts[k].clone());
    let last = parts.len() - 2;
    Perceptron {
        first: matrix(0, [WIDTH, 3072]),
        first_bias: vector(1),
        norm: normalised.then(|| BatchNormConfig::new(WIDTH).init(&device)),
        last: matrix(last, [10, WIDTH]),
        last_bias: vector(last + 1),
    }
}

type Batches = Result<Vec<(Tensor<2>, Tensor<2>)>>;

/// The batches of the network, for a user's module.
fn batches_of(network: &Network) -> impl Fn(Sample) -> Batches {
    |on| {
        let batch = |chunk| {
            let batch = network.batch(chunk, on);
            (batch.inputs, batch.targets)
        };
        Ok(network.chunks(on)?.iter().map(batch).collect())
    }
}

fn random_like(vector: &Weights) -> Weights {
    let mut v = vector.zeros_like();
    v.randomize(&mut Stream::new(8, Purpose::Probe, 0));
    v
}

/// ‖a − b‖ / ‖b‖.
fn relative_error(a: &Weights, b: &Weights) -> f64 {
    let mut error = a.clone();
    error.axpy(-1.0, b);
    error.norm() / b.norm()
}

#[test]
fn a_module_agrees_with_the_same_network_of_ours() {
    for (precision, relative_step, gradient_tolerance, tolerance) in
        [(Precision::Double, 1e-7, 1e-12, 1e-6), (Precision::Single, 3e-4, 1e-5, 0.02)]
    {
        for on in [Sample::Mini(3), Sample::Subset(21)] {
            let network = network(precision, Normalization::None);
            let forward = |module: &Perceptron, x| module.forward(x);
            let module = perceptron(&network, false);
            let objective = ModuleObjective::new(&module, forward, batches_of(&network), Loss::CrossEntropy).unwrap();
            let w = objective.weights();
            assert_eq!(w.to_data(), network.initial_weights().to_data());
            let (loss, gradient) = objective.gradient(&w, on).unwrap();
            let (expected_loss, expected) = network.gradient(&w, on).unwrap();
            assert!((loss - expected_loss).abs() < gradient_tolerance * loss);
            assert!(relative_error(&gradient, &expected) < gradient_tolerance);

            let v = random_like(&w);
            let expected = network.product(Product::GaussNewton, &w, on, &v).unwrap();
            for central in [true, false] {
                let outputs = Difference { relative_step, central };
                let module = perceptron(&network, false);
                let objective = ModuleObjective::new(&module, forward, batches_of(&network), Loss::CrossEntropy)
                    .unwrap()
                    .with_options(ModuleOptions { outputs, ..ModuleOptions::default() });
                let product = objective.product(Product::GaussNewton, &w, on, &v).unwrap();
                let error = relative_error(&product, &expected);
                assert!(error < tolerance, "{precision:?}, {on}, central: {central}: {error:.1e}");
                assert_eq!(objective.product(Product::GaussNewton, &w, on, &v.zeros_like()).unwrap().norm(), 0.0);
            }
        }
    }
}

#[test]
fn batch_normalisation_is_that_of_training_and_its_averages_stay() {
    let network = network(Precision::Single, Normalization::Batch);
    let module = perceptron(&network, true);
    let averages = |module: &Perceptron| module.norm.as_ref().unwrap().running_mean.value_sync().inner().to_data();
    let before = averages(&module);
    let on = Sample::Mini(2);
    let forward = |module: &Perceptron, x| module.forward(x);
    let objective = ModuleObjective::new(&module, forward, batches_of(&network), Loss::CrossEntropy).unwrap();
    let w = objective.weights();
    assert_eq!(w.to_data(), network.initial_weights().to_data(), "γ and β are weights, the averages are not");
    let (loss, gradient) = objective.gradient(&w, on).unwrap();
    let (expected_loss, expected) = network.gradient(&w, on).unwrap();
    assert!((loss - expected_loss).abs() < 1e-5 * loss && relative_error(&gradient, &expected) < 1e-4);
    let v = random_like(&w);
    let product = objective.product(Product::GaussNewton, &w, on, &v).unwrap();
    let expected = network.product(Product::GaussNewton, &w, on, &v).unwrap();
    assert!(relative_error(&product, &expected) < 0.02);
    assert_eq!(before, averages(&module));
    assert_eq!(before, averages(&objective.module(&w)));
    assert_eq!(loss.to_bits(), objective.gradient(&w, on).unwrap().0.to_bits());
}

#[derive(Module, Debug)]
struct Two {
    first: Linear,
    last: Linear,
}

impl Two {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(self.first.forward(x))
    }
}

fn two() -> Two {
    let device = device("flex").unwrap();
    Two { first: LinearConfig::new(3, 16).init(&device), last: LinearConfig::new(16, 2).init(&device) }
}

#[allow(clippy::unnecessary_wraps, reason = "batches may fail")]
fn examples(_on: Sample) -> Batches {
    let device = device("flex").unwrap();
    let inputs = Tensor::from_floats([[1.0, -0.5, 0.3], [0.2, 0.9, -1.0]], &device);
    Ok(vec![(inputs, Tensor::from_floats([[1.0, 0.0], [0.0, 1.0]], &device))])
}

#[test]
fn what_needs_no_gradient_is_no_weight() {
    let mut module = two();
    module.first = module.first.no_grad();
    let weight = module.last.weight.val().inner();
    let forward = |module: &Two, x| module.forward(x);
    let objective = ModuleObjective::new(&module, forward, examples, Loss::SquaredError).unwrap();
    let mut w = objective.weights();
    assert_eq!(Vector::len(&w), 16 * 2 + 2);
    w.scale(2.0);
    let doubled = objective.module(&w);
    assert_eq!(doubled.last.weight.val().inner().to_data(), (weight * 2.0).to_data());
    assert!(doubled.last.weight.is_require_grad() && !doubled.first.weight.is_require_grad());
}

#[test]
fn what_is_not_offered_says_what_is() {
    let forward = |module: &Two, x| module.forward(x);
    let absolute = |z: Tensor<2>, y: Tensor<2>| (z - y).abs().sum();
    let objective = ModuleObjective::new(&two(), forward, examples, absolute).unwrap();
    let (w, on) = (objective.weights(), Sample::Mini(0));
    let refused = |kind| objective.product(kind, &w, on, &w).unwrap_err().to_string();
    assert!(refused(Product::Exact).contains("use gauss-newton"));
    assert!(refused(Product::GaussNewton).contains("use one of `Loss`"));
    assert!(objective.product(Product::Difference(Difference::SMOOTH), &w, on, &w).is_ok());
    let tiny = ModuleOptions { outputs: Difference::central(1e-9), ..ModuleOptions::default() };
    let objective = ModuleObjective::new(&two(), forward, examples, Loss::Huber).unwrap().with_options(tiny);
    assert!(objective.product(Product::GaussNewton, &w, on, &w).unwrap_err().to_string().contains("rounding"));
    let nothing = ModuleObjective::new(&two(), forward, |_| Ok(vec![]), Loss::Huber).unwrap();
    let frozen = ModuleObjective::new(&two().no_grad(), forward, examples, Loss::Huber);
    assert!(frozen.unwrap_err().to_string().contains("must be at least one"));
    assert!(nothing.gradient(&w, on).unwrap_err().to_string().contains("at least one example"));
}

#[test]
fn the_choice_of_products_knows_what_a_module_cannot_do() {
    let forward = |module: &Two, x| module.forward(x);
    let objective = ModuleObjective::new(&two(), forward, examples, Loss::SquaredError).unwrap();
    assert_eq!(Product::auto(&objective, SpectralTarget::Largest).unwrap(), Product::GaussNewton);
    // With kinks and without tangents the bottom of the spectrum is refused, not guessed.
    assert!(matches!(Product::auto(&objective, SpectralTarget::Smallest), Err(Error::Unsuitable { .. })));
    let smooth = objective.with_options(ModuleOptions { kinks: false, ..ModuleOptions::default() });
    assert!(matches!(Product::auto(&smooth, SpectralTarget::Smallest).unwrap(), Product::Difference(_)));
    let absolute = |z: Tensor<2>, y: Tensor<2>| (z - y).abs().sum();
    let unknown = ModuleObjective::new(&two(), forward, examples, absolute).unwrap();
    assert!(matches!(Product::auto(&unknown, SpectralTarget::Largest).unwrap(), Product::Difference(_)));
}

#[test]
fn costs_count_batches_and_passes() {
    let network = network(Precision::Double, Normalization::None);
    let forward = |module: &Perceptron, x| module.forward(x);
    let module = perceptron(&network, false);
    let objective = ModuleObjective::new(&module, forward, batches_of(&network), Loss::CrossEntropy).unwrap();
    assert_eq!(objective.gradient_cost(Sample::Full), 5.0);
    assert!((objective.product_cost(Product::GaussNewton, Sample::Mini(0)) - 4.0 / 3.0).abs() < 1e-12);
    assert_eq!(objective.weights().dtype(), DType::F64);
}
