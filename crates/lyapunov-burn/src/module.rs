//! Any Burn module as an objective: forward pass, loss and batches are the user's, and no layer needs a tangent rule.
//!
//! Gradients come from autodiff. **Gauss–Newton products** need J v, which is a difference of *outputs*,
//! J v ≈ ‖v‖ (f(w + εv̂) − f(w)) / ε, and then one reverse pass with the cotangent (∂²ℓ/∂z²) J v. Outputs are
//! continuous across kinks, so this is right for ReLU networks too, where differences of gradients are not.
//!
//! A module is put into training for every pass, as a copy that is thrown away: batch normalisation moves running
//! averages that clones share, and must not move those of the user's module.

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

/// A loss of outputs and targets, both [examples, K]: one of [`Loss`], or a function of the two that returns the sum
/// over the examples, which has no curvature and so offers no Gauss–Newton products.
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
/// The weights are the module's float parameters that require gradients, in the order in which Burn visits them;
/// others, and running averages, stay as they are in the module that was given. Loss and products are of the module in
/// training: batch normalisation uses its batch, dropout drops. Burn draws dropout masks from one generator per
/// process: it is seeded from `(seed, sample, batch)` before every pass, so that a mini-batch has the same masks
/// whenever it is asked for. So forward passes of two such objectives wait for each other, and nothing else should
/// count on Burn's generator meanwhile.
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
/// let batch = move |_: Sample| {
///     let (x, y) = (Tensor::<2>::from_floats([[3.0, 4.0]], &device), Tensor::from_floats([[1.0]], &device));
///     Ok(vec![(x, y)])
/// };
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
    /// The objective of `module`, whose outputs [examples, K] for an input are `forward(&module, input)`. `batches`
    /// names the inputs and the targets [examples, K] of every sample: one pair for a mini-batch, as many as it likes
    /// for larger ones; the same ones whenever it is asked.
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

    /// A copy of the module with these parameters, which shares nothing that a pass could change. What is not recorded
    /// yet becomes a leaf.
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
mod tests;
