//! Which images a sample names: a pure function of (seed, sample).

use super::pass::Noise;
use lyapunov::{Error, Purpose, Result, Sample, Stream};

/// How many images, at the least, the statistics of evaluation are estimated from, if an epoch has as many.
const STATISTICS_IMAGES: usize = 1024;

/// Images that pass through a network together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Which images.
    pub indices: Vec<u32>,
    /// How many of them, from the first one on, belong to the sample; the others fill the chunk up.
    pub counted: usize,
    /// What decides the random numbers of its pass: those of its training step, of step 0 for samples that have none.
    pub noise: Noise,
}

impl Chunk {
    /// The same images in two passes, the first as large as the other or larger by one.
    pub fn halves(&self) -> impl Iterator<Item = Self> {
        let part = |indices: &[u32]| Self { indices: indices.to_vec(), counted: indices.len(), noise: self.noise };
        self.indices.chunks(self.indices.len().div_ceil(2)).map(part)
    }
}

/// The order of the training images.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    images: usize,
    batch_size: usize,
    seed: u64,
    /// The step whose batch is in the opposite order.
    reversed: Option<u64>,
}

impl Samples {
    /// Batches of `batch_size` out of `images`.
    pub fn new(images: usize, batch_size: usize, seed: u64) -> Result<Self> {
        if batch_size == 0 || batch_size > images {
            let reason = format!("must lie between 1 and the number of training images, {images}");
            return Err(Error::argument("batch_size", batch_size, reason));
        }
        Ok(Self { images, batch_size, seed, reversed: None })
    }

    /// Turns the order inside the batch of this step: the same images, added up the other way round.
    pub fn reverse(&mut self, step: u64) {
        self.reversed = Some(step);
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
                let mut batch = order[start..start + self.batch_size].to_vec();
                if self.reversed == Some(step) {
                    batch.reverse();
                }
                Ok(batch)
            }
        }
    }

    /// The images that `on` names in chunks of a batch's size. Where they are `filled`, the last one is as large as the
    /// others, by images from the beginning of the sample, again and again if it is that small.
    pub fn chunks(&self, on: Sample, filled: bool) -> Result<Vec<Chunk>> {
        let sample = self.indices(on)?;
        let step = if let Sample::Mini(step) = on { step } else { 0 };
        let chunk = |(part, chunk): (&[u32], u32)| {
            let mut indices = part.to_vec();
            if filled {
                indices.extend(sample.iter().cycle().take(self.batch_size - part.len()));
            }
            Chunk { indices, counted: part.len(), noise: Noise { seed: self.seed, step, chunk } }
        };
        Ok(sample.chunks(self.batch_size).zip(0..).map(chunk).collect())
    }

    /// The batches that the statistics of evaluation are estimated from: always the same whole ones.
    pub fn for_statistics(&self) -> Vec<Chunk> {
        let batches = STATISTICS_IMAGES.div_ceil(self.batch_size).min(self.images / self.batch_size);
        let order = Stream::new(self.seed, Purpose::Subset, 1).permutation(self.images);
        let chunk = |(part, chunk): (&[u32], u32)| {
            let noise = Noise { seed: self.seed, step: 0, chunk };
            Chunk { indices: part.to_vec(), counted: part.len(), noise }
        };
        order.chunks(self.batch_size).take(batches).zip(0..).map(chunk).collect()
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
    fn a_reversed_batch_has_the_same_images_and_no_other_changes() {
        let plain = Samples::new(103, 10, 5).unwrap();
        let mut reversed = plain.clone();
        reversed.reverse(3);
        let batches = |samples: &Samples, step| samples.indices(Sample::Mini(step)).unwrap();
        assert_eq!(batches(&plain, 2), batches(&reversed, 2));
        let mut third = batches(&reversed, 3);
        assert_ne!(third, batches(&plain, 3));
        third.reverse();
        assert_eq!(third, batches(&plain, 3));
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

    #[test]
    fn the_last_chunk_is_filled_up_from_the_beginning_of_the_sample() {
        let samples = Samples::new(103, 10, 5).unwrap();
        let on = Sample::Subset(23);
        let sample = samples.indices(on).unwrap();
        let (ragged, filled) = (samples.chunks(on, false).unwrap(), samples.chunks(on, true).unwrap());
        assert_eq!(ragged[..2], filled[..2]);
        assert_eq!((&ragged[2].indices[..], ragged[2].counted), (&sample[20..], 3));
        assert_eq!((&filled[2].indices[..], filled[2].counted), (&[&sample[20..], &sample[..7]].concat()[..], 3));
        let small = samples.chunks(Sample::Subset(4), true).unwrap();
        assert_eq!((&small[0].indices, small[0].counted), (&[&sample[..4], &sample[..4], &sample[..2]].concat(), 4));
        assert_eq!(small.len(), 1);
    }

    #[test]
    fn statistics_come_from_whole_batches_of_distinct_images() {
        let batches = Samples::new(103, 10, 5).unwrap().for_statistics();
        assert!(batches.len() == 10 && batches.iter().all(|batch| batch.indices.len() == 10));
        let mut all: Vec<u32> = batches.into_iter().flat_map(|batch| batch.indices).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 100);
        assert_eq!(Samples::new(50_000, 64, 5).unwrap().for_statistics().len(), 16);
    }
}
