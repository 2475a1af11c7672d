//! Randomness as a pure function of (seed, purpose, step).
//!
//! Every random number of the project comes from a [`Stream`] that is opened afresh for the step that needs it, so no
//! generator state has to be carried, saved or advanced: a clone replays a run bit for bit, a resumed run continues
//! exactly, and two paired trajectories see the same batches.
//!
//! Source: the counter-based construction of Salmon et al., *Parallel random numbers: as easy as 1, 2, 3* (2011); the
//! generator is `ChaCha12` (Bernstein 2008), keyed by the numbers.

use rand::{Rng, RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha12Rng;
use rand_distr::StandardNormal;

/// What a stream of random numbers is used for. Two purposes never share numbers, whatever the seed and step.
///
/// The discriminants are part of the meaning of a seed: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum Purpose {
    /// Initial weights; the step is the index of the parameter.
    Weights = 1,
    /// The order of the training examples; the step is the epoch.
    Batches = 2,
    /// The fixed subset that measurements use; the step is its draw.
    Subset = 3,
    /// Start vectors and probe vectors of the Krylov methods.
    Probe = 4,
    /// Synthetic data; the step is the index of the image.
    Data = 5,
    /// The noise of a random dynamical system; the step is the system's.
    System = 6,
    /// Initial deviations; the step is the index of the deviation.
    Deviation = 7,
    /// The choice of training images out of a larger set; the step is 0.
    Choice = 8,
    /// The masks of dropout; the step is that of training, the parts are chunks and layers.
    Dropout = 9,
    /// Crops and flips of training images; the step is that of training, the parts are images.
    Augmentation = 10,
}

/// A stream of random numbers that belongs to one (seed, purpose, step).
///
/// ```
/// use lyapunov::{Purpose, Stream};
/// let mut a = Stream::new(7, Purpose::Batches, 3);
/// let mut b = Stream::new(7, Purpose::Batches, 3);
/// assert_eq!(a.normal(), b.normal());
/// assert_ne!(a.normal(), Stream::new(7, Purpose::Batches, 4).normal());
/// ```
#[derive(Clone, Debug)]
pub struct Stream(ChaCha12Rng);

impl Stream {
    /// The stream of (`seed`, `purpose`, `step`), at its beginning.
    pub fn new(seed: u64, purpose: Purpose, step: u64) -> Self {
        Self::for_part(seed, purpose, step, 0)
    }

    /// The stream of one part of a step, where a step needs several: part 0 is that of [`Stream::new`].
    pub fn for_part(seed: u64, purpose: Purpose, step: u64, part: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&(purpose as u32).to_le_bytes());
        key[16..24].copy_from_slice(&step.to_le_bytes());
        key[24..].copy_from_slice(&part.to_le_bytes());
        Self(ChaCha12Rng::from_seed(key))
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        self.0.sample(StandardNormal)
    }

    /// A number uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// An index uniform in `0..n`.
    ///
    /// # Panics
    /// If `n` is zero.
    pub fn below(&mut self, n: usize) -> usize {
        // u64, so that the numbers do not depend on the width of the machine's pointers.
        self.0.random_range(0..n as u64) as usize
    }

    /// A random order of the indices `0..n` (Fisher–Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.shuffle(&mut self.0);
        order
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        // A change here changes every run ever recorded: it needs a new major version.
        let mut stream = Stream::new(1, Purpose::Weights, 2);
        assert_eq!([stream.bits(), stream.bits()], [9_869_137_665_761_858_437, 13_098_710_182_786_160_445]);
    }

    #[test]
    fn seed_purpose_step_and_part_each_change_the_stream() {
        let first = Stream::new(1, Purpose::Weights, 1).bits();
        for other in [
            Stream::new(2, Purpose::Weights, 1),
            Stream::new(1, Purpose::Batches, 1),
            Stream::new(1, Purpose::Weights, 2),
            Stream::for_part(1, Purpose::Weights, 1, 1),
        ] {
            assert_ne!(first, other.clone().bits());
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(3, Purpose::Batches, 0).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let n = 100_000;
        let mut stream = Stream::new(0, Purpose::Probe, 0);
        let draws: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Four standard errors: 4/√n and 4·√(2/n).
        assert!(mean.abs() < 0.0127, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.018, "variance {variance}");
    }
}
