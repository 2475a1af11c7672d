//! Any Burn module as an objective: forward pass, loss and batches are the user's, and no layer needs a tangent rule.
//!
//! Gradients come from autodiff. **Gauss–Newton products** need J v, which is a difference of *outputs*,
//! J v ≈ ‖v‖ (f(w + εv̂) − f(w)) / ε, and then one reverse pass with the cotangent (∂²ℓ/∂z²) J v. Outputs are
//! continuous across kinks, so this is right for ReLU networks too, where differences of gradients are not.
//!
//! A module is put into training for every pass, as a copy that is thrown away: batch normalisation moves running averages
//! that clones share, and must not move those of the user's module.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Tensor},
};

use super::{
    loss::Loss,
    products::{backward, recorded, scalar},
    vector::{Weights, split},
};
use lyapunov::{
    Difference, Error, Objective, Product, Purpose, Result, Sample, Stream, Vector, difference_product, storage_epsilon,
};

/// Held while a module draws: Burn has one generator for all threads.
static GENERATOR: Mutex<()> = Mutex::new(());

/// A loss of outputs and targets, both [examples, K]: one of [`Loss`], or a function of the two that returns the sum over the
/// examples, which has no curvature and so offers no Gauss–Newton products.
pub trait OutputLoss {
    /// Σ ℓ over the examples.
    fn value(&self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1>;

    /// (∂²ℓ/∂z²) ż, example by example, on tensors without autodiff; `None` where it is not known.
    fn curvature(&self, _outputs: Tensor<2>, _targets: Tensor<2>, _tangents: Tensor<2>) -> Option<Tensor<2>> {
        None
    }

    /// Whether [`OutputLoss::curvature`] is known.
    fn has_curvature(&self) -> bool {
        false
    }
}

impl OutputLoss for Loss {
    fn value(&self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        Loss::value(*self, outputs, targets)
    }

    fn curvature(&self, outputs: Tensor<2>, targets: Tensor<2>, tangents: Tensor<2>) -> Option<Tensor<2>> {
        self.is_curved().then(|| Loss::curvature(*self, outputs, targets, tangents))
    }

    fn has_curvature(&self) -> bool {
        true
    }
}

impl<F: Fn(Tensor<2>, Tensor<2>) -> Tensor<1>> OutputLoss for F {
    fn value(&self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        self(outputs, targets)
    }
}

/// How a [`ModuleObjective`] computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModuleOptions {
    /// The difference of outputs behind Gauss–Newton products.
    pub outputs: Difference,
    /// Whether the gradient jumps somewhere, as with ReLU and max-pooling: there, differences of gradients are wrong.
    pub kinks: bool,
    /// Decides what the module draws at random, together with the sample.
    pub seed: u64,
}

impl Default for ModuleOptions {
    /// Forward differences of outputs at 3e-4 ‖w‖, right for single precision; with kinks, as most networks; seed 0.
    fn default() -> Self {
        Self { outputs: Difference { relative_step: 3e-4, central: false }, kinks: true, seed: 0 }
    }
}

/// A user's Burn module with a loss on batches of their own, as an [`Objective`] over flat weights of n entries.
///
/// The weights are the module's float parameters that require gradients, in the order in which Burn visits them; others, and
/// running averages, stay as they are in the module that was given. Loss and products are of the module in training: batch
/// normalisation uses its batch, dropout drops. Burn draws dropout masks from one generator per process: it is seeded from
/// `(seed, sample, batch)` before every pass, so that a mini-batch has the same masks whenever it is asked for. So forward
/// passes of two such objectives wait for each other, and nothing else should count on Burn's generator meanwhile.
///
/// | product | how | cost in g-eq, beside a known gradient |
/// |---|---|---|
/// | Gauss–Newton | differences of outputs: 0.1–2 % from the exact one in single precision | 4/3; 5/3 two-sided |
/// | difference | of gradients: for smooth modules only | 2; 1 one-sided |
/// | exact | not offered: Burn knows no tangents | |
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use lyapunov::{Hessian, Lanczos, Product, Sample, lanczos};
/// use lyapunov_burn::{Loss, ModuleObjective, Tensor, device};
///
/// // ½(w·x − y)² summed over one example: the Hessian is x xᵀ, with λ_max = ‖x‖² = 25.
/// let device = device("flex")?;
/// let batch = move |_: Sample| Ok(vec![(Tensor::<2>::from_floats([[3.0, 4.0]], &device), Tensor::from_floats([[1.0]], &device))]);
/// let module = LinearConfig::new(2, 1).with_bias(false).init(&lyapunov_burn::device("flex")?);
/// let forward = |module: &Linear, x: Tensor<2>| module.forward(x);
/// let objective = ModuleObjective::new(&module, forward, batch, Loss::SquaredError)?;
/// let w = objective.weights();
/// let (on, product) = (Sample::Full, Product::GaussNewton);
/// let hessian = Hessian::new(&objective, &w, on).product(product);
/// let ritz = lanczos(&hessian, &w, &Lanczos::default())?;
/// assert!((ritz.largest[0].value - 25.0).abs() < 0.01);
/// # Ok::<(), lyapunov_burn::Error>(())
/// ```
pub struct ModuleObjective<M, F, B, L> {
    module: M,
    forward: F,
    batches: B,
    loss: L,
    options: ModuleOptions,
    lengths: Vec<usize>,
}

impl<M, F, B, L> fmt::Debug for ModuleObjective<M, F, B, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, lengths, .. } = self;
        f.debug_struct("ModuleObjective").field("options", options).field("lengths", lengths).finish_non_exhaustive()
    }
}

impl<M, I, F, B, L> ModuleObjective<M, F, B, L>
where
    M: Module,
    F: Fn(&M, I) -> Tensor<2>,
    B: Fn(Sample) -> Result<Vec<(I, Tensor<2>)>>,
    L: OutputLoss,
{
    /// The objective of `module`, whose outputs [examples, K] for an input are `forward(&module, input)`. `batches` names
    /// the inputs and the targets [examples, K] of every sample: one pair for a mini-batch, as many as it likes for larger
    /// ones; the same ones whenever it is asked.
    ///
    /// # Errors
    /// [`Error::Argument`] for a module without parameters that require gradients.
    pub fn new(module: &M, forward: F, batches: B, loss: L) -> Result<Self> {
        let module = in_training(module);
        let lengths: Vec<usize> = parameters(&module).iter().map(|part| part.dims()[0]).collect();
        if lengths.is_empty() {
            return Err(Error::argument("weights", 0, "must be at least one float parameter that requires a gradient"));
        }
        Ok(Self { module, forward, batches, loss, options: ModuleOptions::default(), lengths })
    }

    /// The same with other options.
    #[must_use]
    pub fn with_options(mut self, options: ModuleOptions) -> Self {
        self.options = options;
        self
    }

    /// The weights of the module that was given, flat.
    pub fn weights(&self) -> Weights {
        Weights(Tensor::cat(parameters(&self.module), 0))
    }

    /// The weights of another module of the same shape, flat: of one that is being trained elsewhere.
    pub fn weights_of(&self, module: &M) -> Weights {
        Weights(Tensor::cat(parameters(module), 0))
    }

    /// The module with the weights `at`, in training. Its running averages are those of the module that was given.
    pub fn module(&self, at: &Weights) -> M {
        self.with(&split(at, &self.lengths))
    }

    /// A copy of the module with these parameters, which shares nothing that a pass could change. What is not recorded yet
    /// becomes a leaf.
    fn with(&self, parameters: &[Tensor<1>]) -> M {
        in_training(&self.module).map(&mut Writer { parameters: parameters.iter() })
    }

    /// The outputs for an input, with the random numbers of this sample's batch.
    fn outputs(&self, parameters: &[Tensor<1>], input: I, on: Sample, batch: u64) -> Tensor<2> {
        let step = if let Sample::Mini(step) = on { step } else { 0 };
        let device: Device = parameters[0].device();
        let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        device.seed(Stream::for_part(self.options.seed, Purpose::Dropout, step, batch).bits());
        (self.forward)(&self.with(parameters), input)
    }

    /// Batches of `on` and one over the number of their examples.
    fn shared(&self, on: Sample) -> Result<(Vec<(I, Tensor<2>)>, f64)> {
        let batches = (self.batches)(on)?;
        let examples: usize = batches.iter().map(|(_, targets)| targets.dims()[0]).sum();
        if examples == 0 {
            return Err(Error::argument("batches", on, "must name at least one example"));
        }
        Ok((batches, 1.0 / examples as f64))
    }
}

impl<M, I, F, B, L> ModuleObjective<M, F, B, L>
where
    M: Module,
    I: Clone,
    F: Fn(&M, I) -> Tensor<2>,
    B: Fn(Sample) -> Result<Vec<(I, Tensor<2>)>>,
    L: OutputLoss,
{
    fn gauss_newton(&self, at: &Weights, on: Sample, v: &Weights) -> Result<Weights> {
        let step = self.output_step(at, v)?;
        let mut sum = v.zeros_like();
        let Some((step, norm)) = step else { return Ok(sum) };
        let (batches, share) = self.shared(on)?;
        for ((input, targets), batch) in batches.into_iter().zip(0..) {
            let leaves = recorded(split(at, &self.lengths));
            let outputs = self.outputs(&leaves, input.clone(), on, batch);
            let moved = |offset: f64| {
                let mut point = at.clone();
                point.axpy(offset / norm, v);
                // Recorded, as training is, but by no leaf: nothing is kept.
                let parameters: Vec<_> = split(&point, &self.lengths).into_iter().map(Tensor::autodiff).collect();
                self.outputs(&parameters, input.clone(), on, batch).inner()
            };
            let tangents = if self.options.outputs.central {
                (moved(step) - moved(-step)) * (norm / (2.0 * step))
            } else {
                (moved(step) - outputs.clone().inner()) * (norm / step)
            };
            let curved = self.loss.curvature(outputs.clone().inner(), targets, tangents);
            // A graph ends with its reverse pass, also where it is not needed.
            let cotangent = curved.clone().unwrap_or_else(|| outputs.clone().inner().zeros_like());
            let product = backward(&((outputs * cotangent).sum() * share), &leaves);
            if curved.is_none() {
                return Err(no_product("gauss-newton", "the loss has no curvature; use one of `Loss` but the hinge"));
            }
            sum.axpy(1.0, &product);
        }
        Ok(sum)
    }

    /// ε and ‖v‖; `None` where v = 0.
    fn output_step(&self, at: &Weights, v: &Weights) -> Result<Option<(f64, f64)>> {
        let (relative, least) = (self.options.outputs.relative_step, 8.0 * storage_epsilon(at));
        if !(relative.is_finite() && relative >= least) {
            let reason =
                format!("must be finite and at least {least:.1e}, or it is lost in the rounding of the weights");
            return Err(Error::argument("relative_step", relative, reason));
        }
        let (scale, norm) = (at.norm(), v.norm());
        Ok((norm > 0.0).then_some((relative * if scale > 0.0 { scale } else { 1.0 }, norm)))
    }
}

impl<M, I, F, B, L> Objective for ModuleObjective<M, F, B, L>
where
    M: Module,
    I: Clone,
    F: Fn(&M, I) -> Tensor<2>,
    B: Fn(Sample) -> Result<Vec<(I, Tensor<2>)>>,
    L: OutputLoss,
{
    type Vector = Weights;

    fn gradient(&self, at: &Weights, on: Sample) -> Result<(f64, Weights)> {
        let (batches, share) = self.shared(on)?;
        let (mut loss, mut gradient) = (0.0, at.zeros_like());
        for ((input, targets), batch) in batches.into_iter().zip(0..) {
            let leaves = recorded(split(at, &self.lengths));
            let outputs = self.outputs(&leaves, input, on, batch);
            let value = self.loss.value(outputs, targets) * share;
            loss += scalar(&value);
            gradient.axpy(1.0, &backward(&value, &leaves));
        }
        Ok((loss, gradient))
    }

    fn product(&self, kind: Product, at: &Weights, on: Sample, v: &Weights) -> Result<Weights> {
        match kind {
            Product::GaussNewton => self.gauss_newton(at, on, v),
            Product::Difference(difference) => difference_product(self, difference, at, on, v, None),
            Product::Exact => Err(no_product(
                "exact",
                "Burn carries no tangents through a module; use gauss-newton, or difference if the module is smooth",
            )),
        }
    }

    fn offers(&self, kind: Product) -> bool {
        match kind {
            Product::Exact => false,
            Product::GaussNewton => self.loss.has_curvature(),
            Product::Difference(_) => true,
        }
    }

    fn has_kinks(&self) -> bool {
        self.options.kinks
    }

    fn gradient_cost(&self, on: Sample) -> f64 {
        let examples = |on| self.shared(on).map_or(f64::NAN, |(_, share)| 1.0 / share);
        let batches = examples(on) / examples(Sample::Mini(0));
        if matches!(on, Sample::Mini(_)) || !batches.is_finite() { 1.0 } else { batches }
    }

    fn product_cost(&self, kind: Product, on: Sample) -> f64 {
        let passes = match kind {
            // A forward pass is a third of a gradient.
            Product::GaussNewton => 1.0 + f64::from(1 + u8::from(self.options.outputs.central)) / 3.0,
            Product::Difference(Difference { central: true, .. }) => 2.0,
            Product::Difference(_) | Product::Exact => 1.0,
        };
        passes * self.gradient_cost(on)
    }
}

fn no_product(product: &'static str, reason: &str) -> Error {
    Error::Product { product, reason: reason.to_owned() }
}

/// A copy of the module in training, with running averages of its own.
fn in_training<M: Module>(module: &M) -> M {
    module.valid().train()
}

/// The parameters that require gradients, each flat and without its graph.
fn parameters<M: Module>(module: &M) -> Vec<Tensor<1>> {
    let mut reader = Reader { parameters: Vec::new() };
    module.visit(&mut reader);
    reader.parameters
}

struct Reader {
    parameters: Vec<Tensor<1>>,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        // Statistics of normalisations are visited as well.
        if parameter.is_require_grad() {
            let value = parameter.base().inner();
            let length = value.dims().iter().product::<usize>();
            self.parameters.push(value.reshape([length]));
        }
    }
}

struct Writer<'a> {
    parameters: std::slice::Iter<'a, Tensor<1>>,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !parameter.is_require_grad() {
            return parameter;
        }
        let value = self.parameters.next().expect("a module has the same parameters whenever it is visited");
        parameter.map(|old| {
            let value = value.clone().reshape(old.dims());
            if value.is_autodiff() { value } else { value.autodiff().require_grad() }
        })
    }
}

#[cfg(test)]
mod tests {
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
                let objective =
                    ModuleObjective::new(&module, forward, batches_of(&network), Loss::CrossEntropy).unwrap();
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
}
