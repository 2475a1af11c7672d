//! What a layer may know of the pass that runs through it: training or evaluation, its noise, its statistics.
//!
//! Layers keep nothing from one pass to the next: the outputs of a network are a pure function of weights, images and
//! pass.

use burn::tensor::Tensor;

use lyapunov::{Purpose, Stream};

/// What decides the random numbers of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noise {
    /// The seed of the network.
    pub seed: u64,
    /// The training step; 0 for samples that belong to none.
    pub step: u64,
    /// Which chunk of the sample.
    pub chunk: u32,
}

/// Mean and variance per channel.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// The mean, [channels].
    pub mean: Tensor<1>,
    /// The variance around it, [channels].
    pub variance: Tensor<1>,
    /// How many entries of each channel they were taken over.
    pub count: usize,
}

impl Moments {
    /// The moments of the whole, from those of parts of equal size; the variance is the estimate without bias that
    /// PyTorch keeps as well.
    pub fn pooled(parts: &[Self]) -> Self {
        let share = 1.0 / parts.len() as f64;
        let average =
            |of: &dyn Fn(&Self) -> Tensor<1>| parts.iter().map(of).reduce(|a, b| a + b).map(|sum| sum * share);
        let mean = average(&|part| part.mean.clone()).expect("there are parts");
        let variance = average(&|part| part.variance.clone() + (part.mean.clone() - mean.clone()).square());
        let count = parts.iter().map(|part| part.count).sum::<usize>();
        let unbiased = count as f64 / (count as f64 - 1.0);
        Self { mean, variance: variance.expect("there are parts") * unbiased, count }
    }
}

/// One pass through the layers, in their order.
#[derive(Debug)]
pub(super) enum Pass<'a> {
    /// Batches are normalised by their own statistics, and entries dropped.
    Training {
        /// What decides the masks.
        noise: Noise,
        /// How many masks have been drawn.
        masks: u32,
        /// The statistics of the batch, layer after layer, where somebody wants them.
        noted: Option<Vec<Moments>>,
    },
    /// Batches are normalised by the statistics given, layer after layer; no entry is dropped.
    Evaluation(std::slice::Iter<'a, Moments>),
}

impl<'a> Pass<'a> {
    /// The pass whose loss is trained and measured.
    pub fn training(noise: Noise) -> Self {
        Self::Training { noise, masks: 0, noted: None }
    }

    /// The same, keeping the statistics of its batch.
    pub fn observing(noise: Noise) -> Self {
        Self::Training { noise, masks: 0, noted: Some(Vec::new()) }
    }

    /// A pass in which no image depends on another, with these statistics for the layers that normalise over a batch.
    pub fn evaluation(statistics: &'a [Moments]) -> Self {
        Self::Evaluation(statistics.iter())
    }

    /// The random numbers of the next mask; `None` in evaluation.
    pub fn dropout(&mut self) -> Option<Stream> {
        let Self::Training { noise: Noise { seed, step, chunk }, masks, .. } = self else { return None };
        let part = (u64::from(*chunk) << 32) + u64::from(*masks);
        *masks += 1;
        Some(Stream::for_part(*seed, Purpose::Dropout, *step, part))
    }

    /// Whether layers that normalise over a batch take its own statistics.
    pub fn is_training(&self) -> bool {
        matches!(self, Self::Training { .. })
    }

    /// The statistics of the next layer that normalises over a batch; `None` in training, where it takes those of the
    /// batch.
    pub fn statistics(&mut self) -> Option<&'a Moments> {
        match self {
            Self::Training { .. } => None,
            Self::Evaluation(given) => Some(given.next().expect("every layer that needs statistics has been observed")),
        }
    }

    /// Keeps the statistics of a batch, if anybody wants them.
    pub fn note(&mut self, moments: impl FnOnce() -> Moments) {
        if let Self::Training { noted: Some(noted), .. } = self {
            noted.push(moments());
        }
    }

    /// What was noted, layer after layer.
    pub fn noted(self) -> Vec<Moments> {
        match self {
            Self::Training { noted, .. } => noted.unwrap_or_default(),
            Self::Evaluation(_) => Vec::new(),
        }
    }
}
