//! The images that `train` uses by default.

use lyapunov_burn::Dataset;

use crate::error::Result;

/// The seed of the images that `train` uses by default; a run's own seed does not touch them.
pub const SEED: u64 = 0;

/// How many training images there are by default.
pub const TRAINING_IMAGES: usize = 5000;

/// How many test images there are by default.
pub const TEST_IMAGES: usize = 1000;

/// The images that `train` uses by default.
pub fn built_in() -> Result<Dataset> {
    Ok(Dataset::synthetic(SEED, TRAINING_IMAGES, TEST_IMAGES)?)
}
