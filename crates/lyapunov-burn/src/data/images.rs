//! Labelled images in memory, one byte per pixel and colour, and the files that they come in.

use std::path::PathBuf;

/// The side of an image in pixels.
pub(crate) const SIZE: usize = 32;
/// The colour channels of an image.
pub(crate) const CHANNELS: usize = 3;
/// Bytes per image: 32×32 pixels in three colour planes.
pub(crate) const PIXELS: usize = CHANNELS * SIZE * SIZE;

/// Labelled 32×32 colour images, one byte per pixel and colour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// Pixels, image after image, each as a red, a green and a blue plane, row by row.
    pub(crate) pixels: Vec<u8>,
    /// One label per image.
    pub(crate) labels: Vec<u8>,
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

    pub(crate) fn push(&mut self, label: u8, pixels: &[u8]) {
        self.labels.push(label);
        self.pixels.extend_from_slice(pixels);
    }

    pub(crate) fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * PIXELS..(index + 1) * PIXELS]
    }

    /// Puts another image of the set, and its label, in the place of this one.
    pub(crate) fn replace(&mut self, index: usize, by: usize) {
        self.labels[index] = self.labels[by];
        self.pixels.copy_within(by * PIXELS..(by + 1) * PIXELS, index * PIXELS);
    }

    /// The images whose label has a new one, with it.
    pub(super) fn relabelled(&self, labels: &[Option<u8>; 256]) -> Self {
        let mut kept = Self::default();
        for (index, label) in self.labels.iter().enumerate() {
            if let Some(new) = labels[usize::from(*label)] {
                kept.push(new, self.image(index));
            }
        }
        kept
    }

    pub(super) fn select(&self, indices: &[u32]) -> Self {
        let mut chosen = Self::default();
        for &index in indices {
            chosen.push(self.labels[index as usize], self.image(index as usize));
        }
        chosen
    }
}

/// A file of images: what an error calls it, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// What an error calls it.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Mean and standard deviation of each colour over `images`, on the scale of bytes.
pub(crate) fn colour_statistics(images: &Images) -> [(f64, f64); CHANNELS] {
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
    fn colour_statistics_standardise_the_set() {
        let mut set = Images::default();
        (0..30).for_each(|i| set.push(0, &(0..PIXELS).map(|j| ((i * 31 + j * 7) % 251) as u8).collect::<Vec<_>>()));
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
