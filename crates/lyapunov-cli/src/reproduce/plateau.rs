//! Where the sharpness of a run came to rest, or came highest: its plateau, which need not be its end.
//!
//! With cross-entropy the sharpness rises to an edge and falls again once the images are fitted, so that the end of a
//! run says nothing of the edge that it travelled at.

use lyapunov::Quantity;

use super::Ended;
use crate::{show::report::digest::Digest, store::SharpnessPoint, text::statistics::median};

/// The data that every step sees.
pub const BATCH: &str = "batch";

/// A plateau is the highest median of η·λ_max over so large a part of the readings, next to each other.
const PART: usize = 5;

/// But over at least so many.
const LEAST: usize = 5;

/// The images are fitted where the loss has fallen to this share of the first one.
const FITTED: f64 = 0.1;

/// The edge is reached where η·λ_max comes to this, the smaller of the two lines of the claim.
pub const REACHED: f64 = 1.0;

/// The plateau of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// η.
    pub rate: f64,
    /// η·λ_max, the median over the plateau.
    pub scaled: f64,
    /// The step of its first reading.
    pub since: u64,
    /// Whether the run fitted its images without having come to the edge.
    pub fitted_before: bool,
    /// The median of λ_max of a fixed subset, or of all images, over that of the batch, on the plateau.
    pub subset_share: Option<f64>,
}

impl Plateau {
    /// The plateau of a run that completed and measured λ_max of the batch often enough.
    pub fn of(run: &Ended) -> Option<Self> {
        let (digest, history) = (&run.digest, &run.history);
        let rate = digest.learning_rate.filter(|_| run.completed())?;
        let series = history.sharpness.iter().filter(|series| series.quantity == Quantity::LambdaMax.name());
        let (batch, others): (Vec<_>, Vec<_>) = series.partition(|series| series.on == BATCH);
        let batch = &batch.first()?.points;
        let (at, scaled) = highest(batch)?;
        let plateau = &batch[at..at + width(batch)];
        let other = others.first().map_or(&[][..], |series| &series.points);
        let share = |point: &SharpnessPoint| {
            let own = other.iter().find(|other| other.step == point.step)?;
            (point.value > 0.0).then(|| own.value / point.value)
        };
        let subset_share = median(plateau.iter().filter_map(share).collect());
        let fitted_before = scaled < REACHED && fitted(digest);
        Some(Self { rate, scaled, since: plateau[0].step, fitted_before, subset_share })
    }

    /// Whether it came to the edge.
    pub fn reached(&self) -> bool {
        self.scaled >= REACHED
    }
}

/// How many readings a plateau of so many has.
fn width(points: &[SharpnessPoint]) -> usize {
    (points.len() / PART).max(LEAST)
}

/// Where the highest plateau begins, and its height.
fn highest(points: &[SharpnessPoint]) -> Option<(usize, f64)> {
    let middle = |(at, part): (usize, &[SharpnessPoint])| {
        let values = part.iter().map(|point| point.learning_rate * point.value).collect();
        Some((at, median(values)?))
    };
    let plateaus = points.windows(width(points)).enumerate().filter_map(middle).filter(|(_, value)| value.is_finite());
    // Of equal ones the first.
    plateaus.reduce(|best, other| if other.1 > best.1 { other } else { best })
}

fn fitted(digest: &Digest) -> bool {
    digest.first_loss.zip(digest.train_loss).is_some_and(|(first, last)| last <= FITTED * first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: impl IntoIterator<Item = f64>) -> Vec<SharpnessPoint> {
        let point = |(step, value)| SharpnessPoint { step, value, learning_rate: 0.1, ..SharpnessPoint::default() };
        (0..).step_by(10).zip(values).map(point).collect()
    }

    #[test]
    fn it_is_the_highest_part_wherever_that_is_and_not_a_spike() {
        // Rises to 20 in the middle, falls to 1 at the end.
        let hill = (0..100).map(|i| if (40..60).contains(&i) { 20.0 } else { 1.0 });
        let (since, height) = highest(&series(hill.clone())).unwrap();
        assert!((height - 2.0).abs() < 1e-12, "{height}");
        // Of the windows whose median lies on the hill the first begins before it.
        assert!((30..=40).contains(&since), "{since}");
        let spike = hill.map(|value| if value > 10.0 { 20.0 } else { value }).enumerate();
        let spike = spike.map(|(i, value)| if i % 25 == 3 { 1e6 } else { value });
        assert!((highest(&series(spike)).unwrap().1 - 2.0).abs() < 1e-12, "single readings do not lift a median");
        // One that still rises has its plateau at the end.
        let (since, height) = highest(&series((0..50).map(f64::from))).unwrap();
        assert!(since == 40 && (height - 4.45).abs() < 1e-12, "{since}, {height}");
    }

    #[test]
    fn too_few_readings_have_none() {
        assert_eq!(highest(&series([1.0; 4])), None);
        assert_eq!(highest(&series([1.0; 5])), Some((0, 0.1)));
        assert_eq!(highest(&[]), None);
    }
}
