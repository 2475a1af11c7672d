//! Synthetic images of CIFAR's shape, hard enough to be worth training on.
//!
//! The class is a shape (disc, square, ring, cross, triangle) with horizontal or vertical stripes. Place, size, tilt,
//! stripe period, colours, a shaded background and pixel noise are drawn per image, so that neither colour nor any
//! single pixel gives the class away.

use super::{
    cifar::RECORD_BYTES,
    images::{CHANNELS, SIZE},
};
use lyapunov::{Purpose, Stream};

/// The index of the first held-out image: far beyond any training set.
pub(super) const FIRST_TEST_IMAGE: u64 = 1 << 32;

/// Standard deviation of the pixel noise, in bytes.
const NOISE: f64 = 18.0;

/// The images of these indices, as records of the CIFAR-10 layout.
pub(super) fn records(seed: u64, indices: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(indices.len() * RECORD_BYTES);
    for index in indices {
        let mut stream = Stream::new(seed, Purpose::Data, index);
        let label = stream.below(10) as u8;
        bytes.push(label);
        Scene::draw(label, &mut stream).paint(&mut stream, &mut bytes);
    }
    bytes
}

/// Everything about one image but its noise.
struct Scene {
    shape: u8,
    centre: (f64, f64),
    radius: f64,
    /// Sine and cosine of the tilt.
    tilt: (f64, f64),
    /// Angle across the stripes, their angular frequency per pixel and their phase.
    stripes: (f64, f64, f64),
    colours: [[f64; 2]; CHANNELS],
    shade: (f64, f64),
}

impl Scene {
    fn draw(label: u8, stream: &mut Stream) -> Self {
        let mut between = |low: f64, high: f64| low + (high - low) * stream.uniform();
        let centre = (between(11.0, 21.0), between(11.0, 21.0));
        let radius = between(6.5, 10.5);
        let tilt = between(-0.4, 0.4).sin_cos();
        let direction = if label < 5 { 0.0 } else { std::f64::consts::FRAC_PI_2 };
        let stripes = (
            direction + between(-0.35, 0.35),
            std::f64::consts::TAU / between(3.5, 6.0),
            between(0.0, std::f64::consts::TAU),
        );
        let colours = std::array::from_fn(|_| {
            let background = between(40.0, 215.0);
            [background, background + between(-60.0, 60.0)]
        });
        Self {
            shape: label % 5,
            centre,
            radius,
            tilt,
            stripes,
            colours,
            shade: (between(-1.5, 1.5), between(-1.5, 1.5)),
        }
    }

    fn contains(&self, x: f64, y: f64) -> bool {
        let (sin, cos) = self.tilt;
        let (x, y) = ((cos * x + sin * y) / self.radius, (cos * y - sin * x) / self.radius);
        let (square, reach) = (x * x + y * y, x.abs().max(y.abs()));
        match self.shape {
            0 => square < 1.0,
            1 => reach < 0.88,
            2 => (0.5 * 0.5..1.1 * 1.1).contains(&square),
            3 => reach < 1.1 && x.abs().min(y.abs()) < 0.38,
            _ => y < 0.8 && y > -1.1 && x.abs() < 0.6 * (y + 1.1),
        }
    }

    fn paint(&self, stream: &mut Stream, bytes: &mut Vec<u8>) {
        let (angle, frequency, phase) = self.stripes;
        let (sin, cos) = angle.sin_cos();
        for [background, fill] in self.colours {
            for row in 0..SIZE {
                for column in 0..SIZE {
                    let (x, y) = (column as f64 - self.centre.0, row as f64 - self.centre.1);
                    let value = if self.contains(x, y) {
                        let along = cos * x + sin * y;
                        fill + 55.0 * (frequency * along + phase).sin()
                    } else {
                        background + self.shade.0 * x + self.shade.1 * y
                    };
                    bytes.push((value + NOISE * stream.normal()).clamp(0.0, 255.0) as u8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_function_of_seed_and_index() {
        let five = records(3, [10, 11, 12, 13, 14].into_iter());
        let one = |seed| records(seed, [12].into_iter());
        assert_eq!(five[2 * RECORD_BYTES..3 * RECORD_BYTES], one(3));
        assert_ne!(one(3), one(4));
    }

    #[test]
    fn every_class_occurs_about_equally_often() {
        let bytes = records(0, (0..2000_u32).map(u64::from));
        let mut counts = [0_u32; 10];
        bytes.iter().step_by(RECORD_BYTES).for_each(|label| counts[usize::from(*label)] += 1);
        assert!(counts.iter().all(|c| (140..260).contains(c)), "{counts:?}");
    }
}
