//! What came out of a run, read from its folder.

use std::path::Path;

use serde::Serialize;

use crate::{
    error::Result,
    folder::{MANIFEST, ROWS},
    manifest::{Manifest, Outcome as Ended},
    store::{self, Row},
};

/// What came out of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(clippy::struct_field_names, reason = "the name of its column")]
pub struct Outcome {
    /// The folder.
    pub run: String,
    /// How it ended: `completed`, `diverged` or `blown-up`.
    pub outcome: &'static str,
    /// Whether it ended without blowing up.
    pub completed: bool,
    /// The mean loss on the training images after the last step.
    pub train_loss: Option<f64>,
    /// The share of test images classified correctly.
    pub test_accuracy: Option<f64>,
    /// One gradient and the measurements, per step.
    pub cost: Option<f64>,
    /// The step at which the loss reached the target.
    pub steps: Option<u64>,
}

/// The run in `folder`, if it has ended.
pub fn found(folder: &Path, target: Option<f64>) -> Result<Option<Outcome>> {
    if !folder.join(MANIFEST).is_file() {
        return Ok(None);
    }
    let manifest = Manifest::read(folder)?;
    // Another version may have other constants in its rules.
    if manifest.version != env!("CARGO_PKG_VERSION") || !manifest.outcome.is_final() {
        return Ok(None);
    }
    let completed = manifest.outcome == Ended::Completed;
    let steps = match target {
        Some(target) => steps_to(&store::read(&folder.join(ROWS))?.rows, target),
        None => None,
    };
    Ok(Some(Outcome {
        run: folder.display().to_string(),
        outcome: manifest.outcome.name(),
        completed,
        train_loss: manifest.train_loss.filter(|_| completed),
        test_accuracy: manifest.test_accuracy.filter(|_| completed),
        cost: manifest.measuring_cost.map(|cost| 1.0 + cost),
        steps,
    }))
}

/// How many steps the loss of the mini-batch, averaged with a memory of this many steps, is followed by.
const MEMORY: f64 = 20.0;

/// The first step at which the averaged loss of the mini-batches is at most `target`.
pub fn steps_to(rows: &[Row], target: f64) -> Option<u64> {
    let mut mean: Option<f64> = None;
    rows.iter().find_map(|row| {
        let loss = row.loss?;
        let average = mean.map_or(loss, |mean| mean + (loss - mean) / MEMORY);
        mean = Some(average);
        (average <= target).then_some(row.step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_reached_by_the_average_and_not_by_one_lucky_batch() {
        let losses = [2.0, 0.1, 2.0].into_iter().chain(std::iter::repeat_n(0.5, 100));
        let rows: Vec<Row> =
            (0..).zip(losses).map(|(step, loss)| Row { step, loss: Some(loss), ..Row::default() }).collect();
        // 0.5 + 1.4 · (19/20)^k falls below 1 after about 20 steps.
        let reached = steps_to(&rows, 1.0).unwrap();
        assert!((15..30).contains(&reached), "{reached}");
        assert_eq!(steps_to(&rows, 0.4), None);
    }
}
