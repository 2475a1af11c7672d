//! Labelled images in memory, whatever they came from.

use std::path::Path;

use super::{
    cifar,
    model::{CHANNELS, SIZE},
    synthetic,
};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
};

/// Bytes per image: 32×32 pixels in three colour planes.
pub(super) const PIXELS: usize = CHANNELS * SIZE * SIZE;

/// Labelled 32×32 colour images, one byte per pixel and colour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// Pixels, image after image, each as a red, a green and a blue plane, row by row.
    pub(super) pixels: Vec<u8>,
    /// One label per image.
    pub(super) labels: Vec<u8>,
}

impl Images {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The labels, image after image.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    pub(super) fn push(&mut self, label: u8, pixels: &[u8]) {
        self.labels.push(label);
        self.pixels.extend_from_slice(pixels);
    }

    pub(super) fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * PIXELS..(index + 1) * PIXELS]
    }

    /// Puts another image of the set, and its label, in the place of this one.
    pub(super) fn replace(&mut self, index: usize, by: usize) {
        self.labels[index] = self.labels[by];
        self.pixels.copy_within(by * PIXELS..(by + 1) * PIXELS, index * PIXELS);
    }

    fn select(&self, indices: &[u32]) -> Self {
        let mut chosen = Self::default();
        for &index in indices {
            chosen.push(self.labels[index as usize], self.image(index as usize));
        }
        chosen
    }
}

/// Images to train on and images held out, with at most ten classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// What to call it in reports.
    pub name: String,
    /// The training set.
    pub train: Images,
    /// The held-out set.
    pub test: Images,
    /// How many classes the labels name.
    pub classes: usize,
}

impl Dataset {
    /// Reads the official CIFAR-10 binary layout: `data_batch_1.bin` … `data_batch_5.bin` and `test_batch.bin` in
    /// `folder`, each a whole number of 3,073-byte records (label, then three colour planes).
    ///
    /// # Errors
    /// [`Error::Io`] for a folder or file that cannot be read, [`Error::Data`] for a file that is truncated, empty, or
    /// holds a label above 9.
    pub fn read_cifar10(folder: &Path) -> Result<Self> {
        let (train, test) = cifar::read(folder)?;
        Ok(Self { name: "cifar10".into(), train, test, classes: cifar::CLASSES })
    }

    /// Synthetic images of CIFAR's shape: ten classes, each one of five shapes filled with one of two stripe directions,
    /// at a random place, size and colour, under noise. Image i is a pure function of (`seed`, i).
    ///
    /// The images pass through the same reader as files do.
    ///
    /// # Errors
    /// [`Error::Argument`] for an empty set.
    pub fn synthetic(seed: u64, train: usize, test: usize) -> Result<Self> {
        if train == 0 || test == 0 {
            return Err(Error::argument("train, test", format!("{train}, {test}"), "must both be positive"));
        }
        let generate = |first, count| cifar::parse(&synthetic::records(seed, first, count), Path::new("synthetic"));
        let (train, test) = (generate(0, train)?, generate(synthetic::FIRST_TEST_IMAGE, test)?);
        Ok(Self { name: "synthetic".into(), train, test, classes: cifar::CLASSES })
    }

    /// Keeps a random choice of `size` training images, the same for the same `seed`; the held-out set stays whole.
    ///
    /// # Errors
    /// [`Error::Argument`] where there are fewer images, or `size` is zero.
    pub fn subset(mut self, size: usize, seed: u64) -> Result<Self> {
        let available = self.train.len();
        if size == 0 || size > available {
            let reason = format!("must lie between 1 and the number of training images, {available}");
            return Err(Error::argument("subset", size, reason));
        }
        let order = Stream::new(seed, Purpose::Choice, 0).permutation(available);
        self.train = self.train.select(&order[..size]);
        Ok(self)
    }
}

/// Mean and standard deviation of each colour over `images`, on the scale of bytes.
pub(super) fn colour_statistics(images: &Images) -> [(f64, f64); CHANNELS] {
    let plane = SIZE * SIZE;
    let mut sums = [(0_u64, 0_u64); CHANNELS];
    for (index, pixels) in images.pixels.chunks_exact(plane).enumerate() {
        let (sum, squares) = &mut sums[index % CHANNELS];
        for &p in pixels {
            *sum += u64::from(p);
            *squares += u64::from(p) * u64::from(p);
        }
    }
    let count = (images.len() * plane) as f64;
    sums.map(|(sum, squares)| {
        let mean = sum as f64 / count;
        let variance = (squares as f64 / count - mean * mean).max(0.0);
        // A colour that never changes is only shifted, not divided by zero.
        (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_is_a_choice_without_repetition() {
        let all = Dataset::synthetic(1, 50, 5).unwrap();
        let some = all.clone().subset(20, 3).unwrap();
        assert_eq!(some.train.len(), 20);
        assert_eq!(some, all.clone().subset(20, 3).unwrap());
        assert_ne!(some, all.clone().subset(20, 4).unwrap());
        let whole = all.clone().subset(50, 3).unwrap();
        let sorted = |images: &Images| {
            let mut rows: Vec<_> = (0..images.len()).map(|i| images.image(i).to_vec()).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(&whole.train), sorted(&all.train));
        assert!(all.subset(51, 3).unwrap_err().to_string().contains("50"));
    }

    #[test]
    fn colour_statistics_standardise_the_set() {
        let set = Dataset::synthetic(2, 30, 1).unwrap().train;
        let (mean, deviation) = colour_statistics(&set)[1];
        let plane = SIZE * SIZE;
        let green: Vec<f64> = (0..30)
            .flat_map(|i| set.image(i)[plane..2 * plane].iter().map(|p| f64::from(*p)).collect::<Vec<_>>())
            .collect();
        let n = green.len() as f64;
        let expected = green.iter().sum::<f64>() / n;
        let variance = green.iter().map(|g| (g - expected).powi(2)).sum::<f64>() / n;
        assert!((mean - expected).abs() < 1e-9 && (deviation - variance.sqrt()).abs() < 1e-9);
    }
}
