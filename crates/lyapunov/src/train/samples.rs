//! Which images a sample names: a pure function of (seed, sample).

use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    objective::Sample,
};

/// The order of the training images.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    images: usize,
    batch_size: usize,
    seed: u64,
}

impl Samples {
    /// Batches of `batch_size` out of `images`.
    pub fn new(images: usize, batch_size: usize, seed: u64) -> Result<Self> {
        if batch_size == 0 || batch_size > images {
            let reason = format!("must lie between 1 and the number of training images, {images}");
            return Err(Error::argument("batch_size", batch_size, reason));
        }
        Ok(Self { images, batch_size, seed })
    }

    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Whole batches per epoch. What is left over of an epoch's random order is left out of that epoch, so every batch
    /// has the same size and no image weighs more than another in a gradient.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.images / self.batch_size) as u64
    }

    /// How many images `on` names.
    pub fn len(&self, on: Sample) -> usize {
        match on {
            Sample::Full => self.images,
            Sample::Subset(size) | Sample::Disjoint(size) => size,
            Sample::Mini(_) => self.batch_size,
        }
    }

    /// The indices of the images that `on` names.
    pub fn indices(&self, on: Sample) -> Result<Vec<u32>> {
        match on {
            Sample::Full => Ok((0..self.images as u32).collect()),
            Sample::Subset(size) if size == 0 || size > self.images => {
                let reason = format!("must lie between 1 and the number of training images, {}", self.images);
                Err(Error::argument("subset", size, reason))
            }
            Sample::Subset(size) => {
                let mut order = Stream::new(self.seed, Purpose::Subset, 0).permutation(self.images);
                order.truncate(size);
                Ok(order)
            }
            Sample::Disjoint(size) if size == 0 || size > self.images / 2 => {
                let reason = format!("must lie between 1 and half the number of training images, {}", self.images);
                Err(Error::argument("disjoint", size, reason))
            }
            Sample::Disjoint(size) => {
                let order = Stream::new(self.seed, Purpose::Subset, 0).permutation(self.images);
                Ok(order[size..2 * size].to_vec())
            }
            Sample::Mini(step) => {
                let (epoch, batch) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
                let order = Stream::new(self.seed, Purpose::Batches, epoch).permutation(self.images);
                let start = batch as usize * self.batch_size;
                Ok(order[start..start + self.batch_size].to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_image_at_most_once_and_the_next_in_another_order() {
        let samples = Samples::new(103, 10, 5).unwrap();
        assert_eq!(samples.steps_per_epoch(), 10);
        let epoch = |e: u64| -> Vec<u32> {
            (10 * e..10 * (e + 1)).flat_map(|t| samples.indices(Sample::Mini(t)).unwrap()).collect()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            order.dedup();
            assert_eq!(order.len(), 100);
        }
    }

    #[test]
    fn a_subset_is_fixed_and_nested() {
        let samples = Samples::new(103, 10, 5).unwrap();
        let (small, large) =
            (samples.indices(Sample::Subset(20)).unwrap(), samples.indices(Sample::Subset(50)).unwrap());
        assert_eq!(small[..], large[..20]);
        let disjoint = samples.indices(Sample::Disjoint(20)).unwrap();
        assert_eq!(disjoint[..], large[20..40]);
        assert!(samples.indices(Sample::Disjoint(51)).is_ok() && samples.indices(Sample::Disjoint(52)).is_err());
        assert!(samples.indices(Sample::Subset(104)).is_err() && samples.indices(Sample::Subset(0)).is_err());
        assert!(Samples::new(103, 104, 0).unwrap_err().to_string().contains("batch_size = 104"));
    }
}
