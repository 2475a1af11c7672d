//! A network on a data set as an objective: what it sees, what it is asked for and what that costs.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{
    augment::augmented,
    data::{CHANNELS, Dataset, Images, PIXELS, SIZE, colour_statistics},
    dual::Dual,
    kernels::Workspace,
    layers::Layer,
    loss::Loss,
    model::{Model, NamedLayer, NamedParameter, Order},
    options::{NetworkOptions, Precision},
    pass::{Moments, Noise, Pass},
    samples::{Chunk, Samples},
    vector::{Weights, split},
    weights,
};
use crate::device::has_doubles;
use crate::error::{Error, Result};
use lyapunov::{Evaluation, Objective, Product, Purpose, Sample, Stream, difference_product};

/// A network with its data: an [`Objective`] over flat weights of n entries.
///
/// Weights are the parameters of all layers one after another, each in PyTorch's layout. Images are standardised per
/// colour with the training set's mean and deviation. Losses are means over examples; large samples are summed chunk by
/// chunk of a batch's size, with exact weights.
///
/// **Training and evaluation.** Losses, gradients, products and [`Network::outputs`] are those of the network in
/// training: under [`Normalization::Batch`] every chunk is normalised by its own mean and variance, and these move with
/// the weights. So a large sample means its chunks, each as large as a training batch; the last one is filled up with
/// images from the beginning of the sample, which take part in its statistics and in nothing else.
/// [`Objective::evaluate`] and [`Network::evaluate_training_set`] are of the network in evaluation, where no image
/// depends on another: means and variances are estimated afresh at the given weights, over the same training images
/// each time (whole batches, 1,024 images or an epoch; "precise" statistics, Wu & Johnson 2021), for a third of a
/// gradient per batch. No running average is kept anywhere: the network is a pure function of its weights, and
/// measuring it changes nothing.
///
/// **The penalty** ½λ‖w‖² of [`NetworkOptions::l2`] is part of every loss, gradient and product: H + λ, and
/// Gauss–Newton + λ. Evaluations are of the data alone.
///
/// **Noise** is a pure function of the seed and the sample. A mini-batch has the dropout masks, crops and flips of its
/// step, whoever asks for it and how often. The full set and subsets show the images as they are; their masks are those
/// of step 0, others in each chunk. In evaluation nothing is dropped.
///
/// [`Normalization::Batch`]: super::Normalization::Batch
///
/// **Costs** count the multiply-adds of a pass relative to those of a gradient: an exact product is 1.5 g-eq where the
/// first layer dominates and 8/3 where deep layers do; Gauss–Newton 1.5 to 5/3. **Memory**: activations of one batch.
/// Exact products keep twice as many per image; where weights serve many times per image, as kernels do, they take each
/// chunk in two halves, unless batch normalisation or dropout holds it together. What a pass has used is kept for the
/// next one until the network is dropped.
#[derive(Debug)]
pub struct Network {
    pub(super) model: Model,
    pub(super) loss: Loss,
    label_smoothing: f64,
    pub(super) l2: f64,
    augment: bool,
    data: Dataset,
    colours: [(f64, f64); CHANNELS],
    samples: Samples,
    pub(super) lengths: Vec<usize>,
    seed: u64,
    device: Device,
    dtype: DType,
    pub(super) space: Arc<Workspace>,
}

impl Network {
    /// The network of `options` on `data`, computing on `device`.
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] for widths, depths, heads or patches that do not fit each other or 32×32 images,
    /// for a batch size that is zero or larger than the training set (or one, with batch normalisation), for groups
    /// that do not divide the widths, for a penalty that is negative, a scale of the initial weights that is not
    /// positive, for a dropout rate outside [0, 1) and for a label smoothing outside [0, 1) or with another loss than
    /// cross-entropy; [`Error::Data`] for an empty held-out set.
    pub fn new(options: &NetworkOptions, data: Dataset, device: &Device) -> Result<Self> {
        let samples = Samples::new(data.train.len(), options.batch_size, options.seed)?;
        let model = Model::new(options, data.classes)?;
        check_smoothing(options)?;
        if !(options.l2.is_finite() && options.l2 >= 0.0) {
            return Err(Error::argument("l2", options.l2, "must be a number that is at least 0"));
        }
        if options.precision == Precision::Double && !has_doubles(device) {
            let reason = "needs the device \"flex\": graphics adapters compute in single precision, and some return wrong \
                numbers in double precision without a word";
            return Err(Error::argument("precision", "double", reason));
        }
        if data.test.is_empty() {
            return Err(Error::Data { path: data.name.into(), reason: "there are no held-out images".into() });
        }
        Ok(Self {
            lengths: model.named_parameters().iter().map(|parameter| parameter.range.len()).collect(),
            model,
            loss: options.loss,
            label_smoothing: options.label_smoothing,
            l2: options.l2,
            augment: options.augment,
            colours: colour_statistics(&data.train),
            data,
            samples,
            seed: options.seed,
            device: device.clone(),
            dtype: match options.precision {
                Precision::Single => DType::F32,
                Precision::Double => DType::F64,
            },
            space: Arc::default(),
        })
    }

    /// The same network and data, computing on as many threads; one without this. Not one bit of any result depends on
    /// the number.
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] for none, and where the operating system refuses them.
    pub fn with_threads(mut self, threads: usize) -> Result<Self> {
        let refused = |reason| Error::argument("threads", threads, reason);
        if threads == 0 {
            return Err(refused("must be at least 1".to_owned()));
        }
        let space = Workspace::new(threads);
        self.space = Arc::new(space.map_err(|error| refused(format!("cannot be started: {error}")))?);
        Ok(self)
    }

    /// How many threads it computes on.
    pub fn threads(&self) -> usize {
        self.space.threads()
    }

    /// The same network and data, but for the order of the images inside the batch of this training step: what differs
    /// in the run is the rounding of sums.
    #[must_use]
    pub fn with_reversed_batch(mut self, step: u64) -> Self {
        self.samples.reverse(step);
        self
    }

    /// The same network and data, but for one training image, which is replaced by a copy of the next one with its
    /// label. Images are standardised as before.
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] where there is no such image, or no other.
    pub fn with_replaced_image(mut self, index: usize) -> Result<Self> {
        let images = self.data.train.len();
        if index >= images || images < 2 {
            let reason = format!("must be less than the number of training images, {images}, and not the only one");
            return Err(Error::argument("image", index, reason));
        }
        self.data.train.replace(index, (index + 1) % images);
        Ok(self)
    }

    /// The weights that training starts from, as [`NetworkOptions::init`] says, and the identity for normalisations; a
    /// pure function of the seed.
    pub fn initial_weights(&self) -> Weights {
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

    /// The weights `at` as a safetensors file: one tensor per parameter, named and laid out as [`NamedParameter`] says,
    /// so that PyTorch's `load_state_dict` takes them.
    ///
    /// A normalisation over batches has its statistics in evaluation there as well, as PyTorch's buffers.
    pub fn weights_to_safetensors(&self, at: &Weights) -> Vec<u8> {
        let buffers = self.model.layers.buffers();
        let batches = self.samples.for_statistics().len();
        weights::write(&self.named_parameters(), at, (&buffers, &self.statistics(at), batches))
    }

    /// The weights in a safetensors file. Statistics of normalisations may be there, and are not used: they are
    /// estimated afresh where they are needed.
    ///
    /// # Errors
    /// [`Error::Weights`] for a file that is cut short or malformed, that names a tensor twice or like a path, or whose
    /// tensors are not this network's: a missing or an extra one, another shape, another type of number, an entry that
    /// is not finite.
    pub fn weights_from_safetensors(&self, bytes: &[u8]) -> Result<Weights> {
        weights::read((&self.named_parameters(), &self.model.layers.buffers()), bytes, (&self.device, self.dtype))
    }

    /// What another program needs to check a measurement, as a safetensors file: the images that `on` names as the
    /// network sees them, `inputs` \[examples, channels, rows, columns\], the mean and the deviation that their
    /// `colours` \[channels, 2\] were standardised by, their `labels` \[examples\], and the network's `outputs`
    /// \[examples, classes\] before the loss, and `evaluation_outputs`, those in evaluation for the same images.
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] for a subset larger than the training set.
    pub fn examples_to_safetensors(&self, at: &Weights, on: Sample) -> Result<Vec<u8>> {
        let indices = self.samples.indices(on)?;
        let (parameters, statistics) = (self.constants(at), self.statistics(at));
        let shown = |chunk: &Chunk| {
            let inputs = self.batch(chunk, on).inputs.narrow(0, 0, chunk.counted);
            let evaluated = self.forward(&parameters, inputs.clone(), &mut Pass::evaluation(&statistics)).value;
            (inputs, evaluated)
        };
        let (inputs, evaluated): (Vec<_>, Vec<_>) = self.chunks(on)?.iter().map(shown).unzip();
        let (inputs, evaluated) = (Tensor::cat(inputs, 0), Tensor::cat(evaluated, 0));
        let labels = indices.iter().map(|index| i64::from(self.data.train.labels[*index as usize])).collect();
        let images = match self.model.images {
            Order::Planes => inputs.reshape([indices.len(), CHANNELS, SIZE, SIZE]),
            Order::Pixels => inputs.reshape([indices.len(), SIZE, SIZE, CHANNELS]).permute([0, 3, 1, 2]),
        };
        Ok(weights::write_examples(images, labels, [self.outputs(at, on)?, evaluated], &self.colours))
    }

    /// Training steps per epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.samples.steps_per_epoch()
    }

    /// Loss and accuracy over the whole training set, by forward passes alone; the loss is without the penalty.
    ///
    /// # Errors
    /// None at present; the signature is that of [`Objective::evaluate`].
    pub fn evaluate_training_set(&self, at: &Weights) -> lyapunov::Result<Evaluation> {
        Ok(self.evaluate_images(at, &self.data.train))
    }

    /// The outputs z [examples, classes] in training for the images that `on` names, before the loss.
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] for a subset larger than the training set.
    pub fn outputs(&self, at: &Weights, on: Sample) -> lyapunov::Result<Tensor<2>> {
        let parameters = self.constants(at);
        let outputs = |chunk: &Chunk| self.training_outputs(&parameters, &self.batch(chunk, on)).value;
        Ok(Tensor::cat(self.chunks(on)?.iter().map(outputs).collect(), 0))
    }

    /// The outputs [examples, classes] in evaluation for the images that `on` names: those that PyTorch's network gives
    /// in its `eval` mode, with the weights of [`Network::weights_to_safetensors`].
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] for a subset larger than the training set.
    pub fn evaluation_outputs(&self, at: &Weights, on: Sample) -> lyapunov::Result<Tensor<2>> {
        let (parameters, statistics) = (self.constants(at), self.statistics(at));
        let outputs = |indices: &[u32]| {
            let inputs = self.images_at(&self.data.train, indices);
            self.forward(&parameters, inputs, &mut Pass::evaluation(&statistics)).value
        };
        let indices = self.samples.indices(on)?;
        Ok(Tensor::cat(indices.chunks(self.samples.batch_size()).map(outputs).collect(), 0))
    }

    fn evaluate_images(&self, at: &Weights, images: &Images) -> Evaluation {
        let (parameters, statistics) = (self.constants(at), self.statistics(at));
        let all: Vec<u32> = (0..images.len() as u32).collect();
        let (mut loss, mut correct) = (0.0, 0);
        for indices in all.chunks(self.samples.batch_size()) {
            let inputs = self.images_at(images, indices);
            let outputs = self.forward(&parameters, inputs, &mut Pass::evaluation(&statistics)).value;
            let guesses = classes(&outputs);
            correct += guesses.iter().zip(indices).filter(|(g, i)| **g == images.labels[**i as usize]).count();
            loss += self.loss.value(outputs, self.targets(images, indices)).into_scalar::<f64>();
        }
        let n = images.len() as f64;
        Evaluation { loss: loss / n, accuracy: correct as f64 / n }
    }

    /// The statistics of every layer that normalises over a batch, in evaluation at the weights `at`.
    fn statistics(&self, at: &Weights) -> Vec<Moments> {
        if !self.mixes_examples() {
            return Vec::new();
        }
        let parameters = self.constants(at);
        let of_batch = |chunk: &Chunk| {
            let mut pass = Pass::observing(chunk.noise);
            self.forward(&parameters, self.images_at(&self.data.train, &chunk.indices), &mut pass);
            pass.noted()
        };
        let batches: Vec<Vec<Moments>> = self.samples.for_statistics().iter().map(of_batch).collect();
        let layers = batches[0].len();
        (0..layers).map(|k| Moments::pooled(&batches.iter().map(|b| b[k].clone()).collect::<Vec<_>>())).collect()
    }

    /// Whether the output for an image depends on the other images of its batch.
    fn mixes_examples(&self) -> bool {
        !self.model.layers.buffers().is_empty()
    }

    pub(super) fn chunks(&self, on: Sample) -> lyapunov::Result<Vec<Chunk>> {
        self.samples.chunks(on, self.mixes_examples())
    }

    /// The chunks of passes that carry a recorded tangent, and so twice the activations of a gradient: half as large
    /// where that matters and no image depends on which others are in its chunk. It matters where weights serve many
    /// times per image, as kernels do; elsewhere the weights outweigh the activations, and two passes over them take
    /// longer than one.
    pub(super) fn chunks_with_tangents(&self, on: Sample) -> lyapunov::Result<Vec<Chunk>> {
        let chunks = self.chunks(on)?;
        let layers = &self.model.layers;
        let shares_weights = layers.multiply_adds().iter().sum::<usize>() > self.parameters();
        let halve = shares_weights && !self.mixes_examples() && !layers.draws_masks();
        Ok(if halve { chunks.iter().flat_map(Chunk::halves).collect() } else { chunks })
    }

    /// A chunk of the sample `on` as the network sees it.
    pub(super) fn batch(&self, chunk: &Chunk, on: Sample) -> Batch {
        let images = &self.data.train;
        let inputs = match on {
            Sample::Mini(step) if self.augment => self.augmented_images_at(&chunk.indices, step),
            _ => self.images_at(images, &chunk.indices),
        };
        Batch { inputs, targets: self.targets(images, &chunk.indices[..chunk.counted]), noise: chunk.noise }
    }

    /// The images with these indices, standardised [examples, pixels].
    fn images_at(&self, images: &Images, indices: &[u32]) -> Tensor<2> {
        self.standardised(indices.iter().map(|index| images.image(*index as usize)), indices.len())
    }

    /// Training images with the crops and flips of a training step.
    fn augmented_images_at(&self, indices: &[u32], step: u64) -> Tensor<2> {
        let image = |index: &u32| {
            let mut stream = Stream::for_part(self.seed, Purpose::Augmentation, step, u64::from(*index));
            augmented(self.data.train.image(*index as usize), &mut stream)
        };
        self.standardised(indices.iter().map(image), indices.len())
    }

    fn standardised<I: AsRef<[u8]>>(&self, images: impl Iterator<Item = I>, count: usize) -> Tensor<2> {
        let (mut pixels, plane) = (vec![0.0_f32; count * PIXELS], SIZE * SIZE);
        for (image, pixels) in images.zip(pixels.chunks_exact_mut(PIXELS)) {
            for (colour, (from, (mean, deviation))) in image.as_ref().chunks_exact(plane).zip(&self.colours).enumerate()
            {
                let (start, step) = match self.model.images {
                    Order::Planes => (colour * plane, 1),
                    Order::Pixels => (colour, CHANNELS),
                };
                for (to, from) in pixels[start..].iter_mut().step_by(step).zip(from) {
                    *to = ((f64::from(*from) - mean) / deviation) as f32;
                }
            }
        }
        Tensor::from_data(TensorData::new(pixels, [count, PIXELS]), (&self.device, self.dtype))
    }

    /// The targets of the images with these indices [examples, classes].
    fn targets(&self, images: &Images, indices: &[u32]) -> Tensor<2> {
        let (classes, smoothing) = (self.data.classes, self.label_smoothing);
        let mut targets = vec![smoothing / classes as f64; indices.len() * classes];
        for (row, &index) in targets.chunks_exact_mut(classes).zip(indices) {
            row[usize::from(images.labels[index as usize])] += 1.0 - smoothing;
        }
        Tensor::from_data(TensorData::new(targets, [indices.len(), classes]), (&self.device, self.dtype))
    }

    fn constants(&self, at: &Weights) -> Vec<Dual<1>> {
        split(at, &self.lengths).into_iter().map(Dual::constant).collect()
    }

    fn forward(&self, parameters: &[Dual<1>], inputs: Tensor<2>, pass: &mut Pass) -> Dual<2> {
        self.space.enter(|| self.model.layers.forward(parameters, Dual::constant(inputs), pass))
    }

    /// The outputs in training for the images of a batch that have targets.
    pub(super) fn training_outputs(&self, parameters: &[Dual<1>], batch: &Batch) -> Dual<2> {
        let outputs = self.forward(parameters, batch.inputs.clone(), &mut Pass::training(batch.noise));
        let (all, counted) = (batch.inputs.dims()[0], batch.targets.dims()[0]);
        if counted == all { outputs } else { outputs.map_linear(|z| z.narrow(0, 0, counted)) }
    }

    /// Batches' worth of images that `on` names: its cost in passes.
    fn batches(&self, on: Sample) -> f64 {
        let batches = self.samples.len(on) as f64 / self.samples.batch_size() as f64;
        if self.mixes_examples() { batches.ceil() } else { batches }
    }

    /// Multiply-adds of a pass that takes `first` matrix products in the first layer with weights and `deep` in each
    /// later one, relative to a gradient's 2 and 3.
    fn relative_cost(&self, first: f64, deep: f64) -> f64 {
        let counts = self.model.layers.multiply_adds();
        let (head, rest) = (counts[0] as f64, counts[1..].iter().sum::<usize>() as f64);
        (first * head + deep * rest) / (2.0 * head + 3.0 * rest)
    }
}

impl Objective for Network {
    type Vector = Weights;

    fn gradient(&self, at: &Weights, on: Sample) -> lyapunov::Result<(f64, Weights)> {
        self.plain_gradient(at, on)
    }

    fn product(&self, kind: Product, at: &Weights, on: Sample, v: &Weights) -> lyapunov::Result<Weights> {
        match kind {
            Product::Exact => self.exact(at, on, v),
            Product::GaussNewton if !self.loss.is_curved() => Err(lyapunov::Error::Product {
                product: kind.name(),
                reason: "the hinge loss is piecewise linear in the outputs, so it would be zero; use exact".to_owned(),
            }),
            Product::GaussNewton => self.gauss_newton(at, on, v),
            Product::Difference(difference) => difference_product(self, difference, at, on, v, None),
        }
    }

    fn gradient_and_product(
        &self,
        kind: Product,
        at: &Weights,
        on: Sample,
        v: &Weights,
    ) -> lyapunov::Result<(f64, Weights, Weights)> {
        if kind == Product::Exact {
            return self.joint(at, on, v);
        }
        let (loss, gradient) = self.gradient(at, on)?;
        Ok((loss, gradient, self.product(kind, at, on, v)?))
    }

    fn evaluate(&self, at: &Weights) -> lyapunov::Result<Option<Evaluation>> {
        Ok(Some(self.evaluate_images(at, &self.data.test)))
    }

    fn predictions(&self, at: &Weights) -> lyapunov::Result<Option<Vec<u8>>> {
        let (parameters, statistics) = (self.constants(at), self.statistics(at));
        let all: Vec<u32> = (0..self.data.test.len() as u32).collect();
        let of_chunk = |indices: &[u32]| {
            let inputs = self.images_at(&self.data.test, indices);
            classes(&self.forward(&parameters, inputs, &mut Pass::evaluation(&statistics)).value)
        };
        Ok(Some(all.chunks(self.samples.batch_size()).flat_map(of_chunk).collect()))
    }

    /// Gauss–Newton products need a loss that is curved in the outputs.
    fn offers(&self, kind: Product) -> bool {
        kind != Product::GaussNewton || self.loss.is_curved()
    }

    fn has_kinks(&self) -> bool {
        self.loss.has_kinks() || self.model.layers.has_kinks()
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

/// Images on their way through the network.
pub(super) struct Batch {
    /// [examples, pixels].
    pub inputs: Tensor<2>,
    /// [examples that count, classes]: those beyond them fill the batch up.
    pub targets: Tensor<2>,
    /// What decides the random numbers of its pass.
    pub noise: Noise,
}

/// The class with the largest output for each example.
fn classes(outputs: &Tensor<2>) -> Vec<u8> {
    let indices = outputs.clone().argmax(1).into_data();
    indices.iter::<i64>().map(|class| u8::try_from(class).expect("labels are bytes")).collect()
}

fn check_smoothing(options: &NetworkOptions) -> Result<()> {
    let share = options.label_smoothing;
    let refuse = |reason| Err(Error::argument("label_smoothing", share, reason));
    match options.loss {
        _ if !(0.0..1.0).contains(&share) => refuse("must be at least 0 and less than 1"),
        Loss::CrossEntropy => Ok(()),
        _ if share > 0.0 => refuse("must be 0 with a loss other than cross-entropy"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
