//! A network on a data set as an objective: gradient, exact and Gauss–Newton products, all from one list of layers.
//!
//! **Exact product** (Pearlmutter 1994): the forward pass carries (x, ẋ), so that the directional derivative
//! D = Σ ∂ℓ/∂z · ż comes out of it as a scalar; its reverse pass gives ∂D/∂w = H v. First-order autodiff suffices. Where
//! the ẇ are leaves as well, the same reverse pass gives ∂D/∂ẇ = g: the joint pass.
//!
//! **Gauss–Newton**: the forward pass carries ż = J v on plain tensors, then (z · (∂²ℓ/∂z²) ż) goes backward.
//!
//! Every call makes fresh leaves and ends with their backward pass, so no graph outlives it.

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};

use super::{
    dataset::{Dataset, Images, PIXELS, colour_statistics},
    dual::Dual,
    layers::Parameter,
    loss::Loss,
    model::{Activation, Architecture, CHANNELS, Model, NamedLayer, NamedParameter, SIZE},
    samples::Samples,
    vector::split,
    weights,
};
use crate::{
    error::{Error, Result},
    objective::{Evaluation, Objective, Product, Sample, difference_product},
    vector::Vector,
};

/// The storage of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits: for training.
    Single,
    /// 64 bits: for checking.
    Double,
}

/// What a network is and how it sees its data.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkOptions {
    /// The layers.
    pub architecture: Architecture,
    /// The function between layers.
    pub activation: Activation,
    /// The loss per example.
    pub loss: Loss,
    /// Images per training step.
    pub batch_size: usize,
    /// The seed of the initial weights, the batches and the measuring subset.
    pub seed: u64,
    /// The storage of weights and activations.
    pub precision: Precision,
}

impl Default for NetworkOptions {
    /// A three-layer convolutional network with ReLU and cross-entropy, batches of 64, seed 0, single precision.
    fn default() -> Self {
        Self {
            architecture: Architecture::Cnn { widths: vec![8, 16, 32] },
            activation: Activation::Relu,
            loss: Loss::CrossEntropy,
            batch_size: 64,
            seed: 0,
            precision: Precision::Single,
        }
    }
}

/// A network with its data: an [`Objective`] over flat weights of n entries.
///
/// Weights are the parameters of all layers one after another, each in PyTorch's layout. Images are standardised per
/// colour with the training set's mean and deviation. Losses are means over examples; large samples are summed batch by
/// batch with exact weights.
///
/// **Costs** count the multiply-adds of a pass relative to those of a gradient: an exact product is 1.5 g-eq where the
/// first layer dominates and 8/3 where deep layers do; Gauss–Newton 1.5 to 5/3. **Memory**: activations of one batch, twice that for exact
/// products.
#[derive(Debug)]
pub struct Network {
    model: Model,
    loss: Loss,
    data: Dataset,
    colours: [(f64, f64); CHANNELS],
    samples: Samples,
    lengths: Vec<usize>,
    seed: u64,
    device: Device,
    dtype: DType,
}

impl Network {
    /// The network of `options` on `data`, computing on `device`.
    ///
    /// # Errors
    /// [`Error::Argument`] for widths that do not fit 32×32 images and for a batch size that is zero or larger than the
    /// training set; [`Error::Data`] for an empty held-out set.
    pub fn new(options: &NetworkOptions, data: Dataset, device: &Device) -> Result<Self> {
        let model = Model::new(&options.architecture, options.activation, data.classes)?;
        let samples = Samples::new(data.train.len(), options.batch_size, options.seed)?;
        if data.test.is_empty() {
            return Err(Error::Data { path: data.name.into(), reason: "there are no held-out images".into() });
        }
        Ok(Self {
            lengths: model.parameters().iter().map(Parameter::len).collect(),
            model,
            loss: options.loss,
            colours: colour_statistics(&data.train),
            data,
            samples,
            seed: options.seed,
            device: device.clone(),
            dtype: match options.precision {
                Precision::Single => DType::F32,
                Precision::Double => DType::F64,
            },
        })
    }

    /// The weights that training starts from: uniform in ±1/√fan-in, biases too, as PyTorch's layers do by default; a
    /// pure function of the seed.
    pub fn initial_weights(&self) -> Tensor<1> {
        self.model.initial_weights(self.seed, &self.device, self.dtype)
    }

    /// The number of weights, n.
    pub fn parameters(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// The parameters by name, in the order of the flat weights.
    pub fn named_parameters(&self) -> Vec<NamedParameter> {
        self.model.named_parameters()
    }

    /// The layers with weights by name, in the order of the flat weights.
    pub fn named_layers(&self) -> Vec<NamedLayer> {
        NamedLayer::of(&self.named_parameters())
    }

    /// How many images `on` names.
    pub fn images(&self, on: Sample) -> usize {
        self.samples.len(on)
    }

    /// The weights `at` as a safetensors file: one tensor per parameter, named and laid out as [`NamedParameter`] says, so
    /// that PyTorch's `load_state_dict` takes them.
    pub fn weights_to_safetensors(&self, at: &Tensor<1>) -> Vec<u8> {
        weights::write(&self.named_parameters(), at)
    }

    /// The weights in a safetensors file.
    ///
    /// # Errors
    /// [`Error::Weights`] for a file that is cut short or malformed, that names a tensor twice or like a path, or whose
    /// tensors are not this network's: a missing or an extra one, another shape, another type of number, an entry that is
    /// not finite.
    pub fn weights_from_safetensors(&self, bytes: &[u8]) -> Result<Tensor<1>> {
        weights::read(&self.named_parameters(), bytes, (&self.device, self.dtype))
    }

    /// What another program needs to check a measurement, as a safetensors file: the images that `on` names as the network
    /// sees them, `inputs` \[examples, channels, rows, columns\], the mean and the deviation that their `colours`
    /// \[channels, 2\] were standardised by, their `labels` \[examples\], and the network's `outputs` \[examples, classes\]
    /// before the loss.
    ///
    /// # Errors
    /// [`Error::Argument`] for a subset larger than the training set.
    pub fn examples_to_safetensors(&self, at: &Tensor<1>, on: Sample) -> Result<Vec<u8>> {
        let indices = self.samples.indices(on)?;
        let (inputs, _) = self.batch(&self.data.train, &indices);
        let labels = indices.iter().map(|index| i64::from(self.data.train.labels[*index as usize])).collect();
        let images = inputs.reshape([indices.len(), CHANNELS, SIZE, SIZE]);
        Ok(weights::write_examples(images, labels, self.outputs(at, on)?, &self.colours))
    }

    /// Training steps per epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.samples.steps_per_epoch()
    }

    /// Loss and accuracy over the whole training set, by forward passes alone.
    ///
    /// # Errors
    /// None at present; the signature is that of [`Objective::evaluate`].
    pub fn evaluate_training_set(&self, at: &Tensor<1>) -> Result<Evaluation> {
        Ok(self.evaluate_images(at, &self.data.train))
    }

    /// The outputs z [examples, classes] for the images that `on` names, before the loss.
    ///
    /// # Errors
    /// [`Error::Argument`] for a subset larger than the training set.
    pub fn outputs(&self, at: &Tensor<1>, on: Sample) -> Result<Tensor<2>> {
        let parameters: Vec<_> = split(at, &self.lengths).into_iter().map(Dual::constant).collect();
        let (inputs, _) = self.batch(&self.data.train, &self.samples.indices(on)?);
        Ok(self.forward(&parameters, inputs).value)
    }

    fn evaluate_images(&self, at: &Tensor<1>, images: &Images) -> Evaluation {
        let parameters: Vec<_> = split(at, &self.lengths).into_iter().map(Dual::constant).collect();
        let all: Vec<u32> = (0..images.len() as u32).collect();
        let (mut loss, mut correct) = (0.0, 0);
        for indices in all.chunks(self.samples.batch_size()) {
            let (inputs, targets) = self.batch(images, indices);
            let outputs = self.forward(&parameters, inputs).value;
            let guesses: Vec<i64> = outputs.clone().argmax(1).into_data().iter::<i64>().collect();
            correct +=
                guesses.iter().zip(indices).filter(|(g, i)| **g == i64::from(images.labels[**i as usize])).count();
            loss += self.loss.value(outputs, targets).into_scalar::<f64>();
        }
        let n = images.len() as f64;
        Evaluation { loss: loss / n, accuracy: correct as f64 / n }
    }

    /// The images with these indices, standardised [examples, pixels], and their one-hot labels [examples, classes].
    fn batch(&self, images: &Images, indices: &[u32]) -> (Tensor<2>, Tensor<2>) {
        let classes = self.data.classes;
        let mut pixels = Vec::with_capacity(indices.len() * PIXELS);
        let mut targets = vec![0.0_f32; indices.len() * classes];
        for (row, &index) in indices.iter().enumerate() {
            let planes = images.image(index as usize).chunks_exact(SIZE * SIZE);
            for (plane, (mean, deviation)) in planes.zip(&self.colours) {
                pixels.extend(plane.iter().map(|p| ((f64::from(*p) - mean) / deviation) as f32));
            }
            targets[row * classes + usize::from(images.labels[index as usize])] = 1.0;
        }
        let tensor = |values, columns| {
            Tensor::from_data(TensorData::new(values, [indices.len(), columns]), (&self.device, self.dtype))
        };
        (tensor(pixels, PIXELS), tensor(targets, classes))
    }

    fn forward(&self, parameters: &[Dual<1>], inputs: Tensor<2>) -> Dual<2> {
        let mut rest = parameters;
        self.model.layers.iter().fold(Dual::constant(inputs), |input, layer| {
            let (own, others) = rest.split_at(layer.parameters().len());
            rest = others;
            layer.forward(own, input)
        })
    }

    /// Sums `part(inputs, targets, 1/examples)` over the batches of `on`: a scalar and flat vectors.
    fn accumulate<const K: usize>(
        &self,
        on: Sample,
        part: impl Fn(Tensor<2>, Tensor<2>, f64) -> (f64, [Tensor<1>; K]),
    ) -> Result<(f64, [Tensor<1>; K])> {
        let indices = self.samples.indices(on)?;
        let share = 1.0 / indices.len() as f64;
        let mut parts = indices.chunks(self.samples.batch_size()).map(|chunk| {
            let (inputs, targets) = self.batch(&self.data.train, chunk);
            part(inputs, targets, share)
        });
        let first = parts.next().expect("a sample names at least one image");
        Ok(parts.fold(first, |(loss, mut sums), (more, terms)| {
            for (sum, term) in sums.iter_mut().zip(&terms) {
                sum.axpy(1.0, term);
            }
            (loss + more, sums)
        }))
    }

    /// Loss and gradient of one batch.
    fn batch_gradient(
        &self,
        at: &Tensor<1>,
        inputs: Tensor<2>,
        targets: Tensor<2>,
        share: f64,
    ) -> (f64, [Tensor<1>; 1]) {
        let leaves = recorded(split(at, &self.lengths));
        let parameters: Vec<_> = leaves.iter().cloned().map(Dual::constant).collect();
        let loss = self.loss.value(self.forward(&parameters, inputs).value, targets) * share;
        (scalar(&loss), [backward(&loss, &leaves)])
    }

    /// The directional derivative D of one batch along the `directions`, with the loss; D's reverse pass gives H v.
    fn directional_derivative(
        &self,
        leaves: &[Tensor<1>],
        directions: Vec<Tensor<1>>,
        (inputs, targets): (Tensor<2>, Tensor<2>),
        share: f64,
    ) -> (f64, Tensor<1>) {
        let duals: Vec<_> = leaves
            .iter()
            .zip(directions)
            .map(|(value, dot)| Dual { value: value.clone(), tangent: Some(dot) })
            .collect();
        let outputs = self.forward(&duals, inputs);
        let loss = self.loss.value(outputs.value.clone().inner(), targets.clone()) * share;
        let slope = self.loss.slope(outputs.value, targets);
        let tangent = outputs.tangent.expect("weights with tangents move the outputs");
        (scalar(&loss), (slope * tangent).sum() * share)
    }

    fn exact(&self, at: &Tensor<1>, on: Sample, v: &Tensor<1>) -> Result<Tensor<1>> {
        let (_, [product]) = self.accumulate(on, |inputs, targets, share| {
            let leaves = recorded(split(at, &self.lengths));
            let directions = split(v, &self.lengths).into_iter().map(Tensor::autodiff).collect();
            let (loss, derivative) = self.directional_derivative(&leaves, directions, (inputs, targets), share);
            (loss, [backward(&derivative, &leaves)])
        })?;
        Ok(product)
    }

    fn joint(&self, at: &Tensor<1>, on: Sample, v: &Tensor<1>) -> Result<(f64, Tensor<1>, Tensor<1>)> {
        let (loss, [gradient, product]) = self.accumulate(on, |inputs, targets, share| {
            let leaves = recorded(split(at, &self.lengths));
            let directions = recorded(split(v, &self.lengths));
            let (loss, derivative) = self.directional_derivative(&leaves, directions.clone(), (inputs, targets), share);
            let mut gradients = derivative.backward();
            (loss, [flat(&mut gradients, &directions), flat(&mut gradients, &leaves)])
        })?;
        Ok((loss, gradient, product))
    }

    fn gauss_newton(&self, at: &Tensor<1>, on: Sample, v: &Tensor<1>) -> Result<Tensor<1>> {
        let (_, [product]) = self.accumulate(on, |inputs, _targets, share| {
            let leaves = recorded(split(at, &self.lengths));
            let duals: Vec<_> = leaves
                .iter()
                .zip(split(v, &self.lengths))
                .map(|(value, dot)| Dual { value: value.clone(), tangent: Some(dot) })
                .collect();
            let outputs = self.forward(&duals, inputs);
            let moved = outputs.tangent.expect("weights with tangents move the outputs");
            let cotangent = self.loss.curvature(outputs.value.clone().inner(), moved);
            (0.0, [backward(&((outputs.value * cotangent).sum() * share), &leaves)])
        })?;
        Ok(product)
    }

    /// Batches' worth of images that `on` names: its cost in passes.
    fn batches(&self, on: Sample) -> f64 {
        self.samples.len(on) as f64 / self.samples.batch_size() as f64
    }

    /// Multiply-adds of a pass that takes `first` matrix products in the first layer with weights and `deep` in each
    /// later one, relative to a gradient's 2 and 3.
    fn relative_cost(&self, first: f64, deep: f64) -> f64 {
        let counts: Vec<f64> =
            self.model.layers.iter().map(|l| l.multiply_adds() as f64).filter(|count| *count > 0.0).collect();
        let (head, rest) = (counts[0], counts[1..].iter().sum::<f64>());
        (first * head + deep * rest) / (2.0 * head + 3.0 * rest)
    }
}

impl Objective for Network {
    type Vector = Tensor<1>;

    fn gradient(&self, at: &Tensor<1>, on: Sample) -> Result<(f64, Tensor<1>)> {
        let (loss, [gradient]) =
            self.accumulate(on, |inputs, targets, share| self.batch_gradient(at, inputs, targets, share))?;
        Ok((loss, gradient))
    }

    fn product(&self, kind: Product, at: &Tensor<1>, on: Sample, v: &Tensor<1>) -> Result<Tensor<1>> {
        match kind {
            Product::Exact => self.exact(at, on, v),
            Product::GaussNewton => self.gauss_newton(at, on, v),
            Product::Difference(difference) => difference_product(self, difference, at, on, v, None),
        }
    }

    fn gradient_and_product(
        &self,
        kind: Product,
        at: &Tensor<1>,
        on: Sample,
        v: &Tensor<1>,
    ) -> Result<(f64, Tensor<1>, Tensor<1>)> {
        if kind == Product::Exact {
            return self.joint(at, on, v);
        }
        let (loss, gradient) = self.gradient(at, on)?;
        Ok((loss, gradient, self.product(kind, at, on, v)?))
    }

    fn evaluate(&self, at: &Tensor<1>) -> Result<Option<Evaluation>> {
        Ok(Some(self.evaluate_images(at, &self.data.test)))
    }

    fn has_kinks(&self) -> bool {
        self.model.layers.iter().any(|layer| layer.has_kinks())
    }

    fn gradient_cost(&self, on: Sample) -> f64 {
        self.batches(on)
    }

    fn product_cost(&self, kind: Product, on: Sample) -> f64 {
        self.batches(on)
            * match kind {
                // Forward: xW, and ẋW + xẆ; backward: to W from both, to x from xW and xẆ, to ẋ. The images have
                // neither tangent nor gradient.
                Product::Exact => self.relative_cost(3.0, 8.0),
                // The tangents take no part in the backward pass.
                Product::GaussNewton => self.relative_cost(3.0, 5.0),
                Product::Difference(difference) => f64::from(1 + u8::from(difference.central)),
            }
    }
}

/// Fresh leaves that record what is done with them.
fn recorded(parts: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    parts.into_iter().map(|part| part.autodiff().require_grad()).collect()
}

/// The gradients of `output` at the `leaves`, flat.
fn backward(output: &Tensor<1>, leaves: &[Tensor<1>]) -> Tensor<1> {
    flat(&mut output.backward(), leaves)
}

/// The `gradients` that belong to the `leaves`, one after another.
fn flat(gradients: &mut Gradients, leaves: &[Tensor<1>]) -> Tensor<1> {
    let parts = leaves.iter().map(|leaf| leaf.grad_remove(gradients).unwrap_or_else(|| zeros_of(leaf)));
    Tensor::cat(parts.collect(), 0)
}

/// The gradient of a leaf that the output does not depend on.
fn zeros_of(leaf: &Tensor<1>) -> Tensor<1> {
    leaf.clone().inner().zeros_like()
}

fn scalar(value: &Tensor<1>) -> f64 {
    value.clone().inner().into_scalar::<f64>()
}
