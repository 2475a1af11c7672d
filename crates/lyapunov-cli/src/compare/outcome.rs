//! What came out of a run, read from its folder.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    folder::MANIFEST,
    store::{self, Row},
};

/// What came out of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The folder.
    pub run: String,
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
    let Ok(text) = std::fs::read_to_string(folder.join(MANIFEST)) else { return Ok(None) };
    let manifest: Value = serde_json::from_str(&text).map_err(|cause| Error::Usage {
        message: format!("{}: {cause}", folder.join(MANIFEST).display()),
        help: Some("remove this folder; the run will be made again".to_owned()),
    })?;
    let number = |key: &str| manifest.get(key).and_then(Value::as_f64);
    // Another version may have other constants in its rules.
    if manifest.get("version").and_then(Value::as_str) != Some(env!("CARGO_PKG_VERSION")) {
        return Ok(None);
    }
    let completed = match manifest.get("outcome").and_then(Value::as_str) {
        Some("completed") => true,
        Some("diverged") => false,
        _ => return Ok(None),
    };
    let steps = match target {
        Some(target) => steps_to(&store::read(&folder.join("run.sqlite"))?.rows, target),
        None => None,
    };
    Ok(Some(Outcome {
        run: folder.display().to_string(),
        completed,
        train_loss: number("train_loss").filter(|_| completed),
        test_accuracy: number("test_accuracy").filter(|_| completed),
        cost: number("measuring_cost").map(|cost| 1.0 + cost),
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
        let rows: Vec<Row> = (0..)
            .zip(losses)
            .map(|(step, loss)| Row { step, loss: Some(loss), test_loss: None, learning_rate: None })
            .collect();
        // 0.5 + 1.4 · (19/20)^k falls below 1 after about 20 steps.
        let reached = steps_to(&rows, 1.0).unwrap();
        assert!((15..30).contains(&reached), "{reached}");
        assert_eq!(steps_to(&rows, 0.4), None);
    }
}
