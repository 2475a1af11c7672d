//! What a layer may know of the pass that runs through it: training or evaluation, its noise, its statistics.
//!
//! Layers keep nothing from one pass to the next: the outputs of a network are a pure function of weights, images and pass.

use burn::tensor::Tensor;

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
pub(super) struct Pass<'a> {
    mode: Mode<'a>,
}

#[derive(Debug)]
enum Mode<'a> {
    /// Batches are normalised by their own statistics; these are noted where they are asked for.
    Training(Option<Vec<Moments>>),
    /// Batches are normalised by the statistics given, layer after layer.
    Evaluation(std::slice::Iter<'a, Moments>),
}

impl<'a> Pass<'a> {
    /// The pass whose loss is trained and measured.
    pub fn training() -> Self {
        Self { mode: Mode::Training(None) }
    }

    /// The same, keeping the statistics of its batch.
    pub fn observing() -> Self {
        Self { mode: Mode::Training(Some(Vec::new())) }
    }

    /// A pass in which no image depends on another, with these statistics for the layers that normalise over a batch.
    pub fn evaluation(statistics: &'a [Moments]) -> Self {
        Self { mode: Mode::Evaluation(statistics.iter()) }
    }

    /// The statistics of the next layer that normalises over a batch; `None` in training, where it takes those of the batch.
    pub fn statistics(&mut self) -> Option<&'a Moments> {
        match &mut self.mode {
            Mode::Training(_) => None,
            Mode::Evaluation(given) => Some(given.next().expect("every layer that needs statistics has been observed")),
        }
    }

    /// Keeps the statistics of a batch, if anybody wants them.
    pub fn note(&mut self, moments: impl FnOnce() -> Moments) {
        if let Mode::Training(Some(noted)) = &mut self.mode {
            noted.push(moments());
        }
    }

    /// What was noted, layer after layer.
    pub fn noted(self) -> Vec<Moments> {
        match self.mode {
            Mode::Training(noted) => noted.unwrap_or_default(),
            Mode::Evaluation(_) => Vec::new(),
        }
    }
}
