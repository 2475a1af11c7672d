//! The images that `train` uses by default.

use lyapunov_burn::Dataset;

/// The seed of the images that `train` uses by default; a run's own seed does not touch them.
pub const SEED: u64 = 0;

/// How many training images there are by default.
pub const TRAINING_IMAGES: usize = 5000;

/// How many test images there are by default.
pub const TEST_IMAGES: usize = 1000;

/// The images that `train` uses by default.
pub fn built_in() -> lyapunov_burn::Result<Dataset> {
    Dataset::synthetic(SEED, TRAINING_IMAGES, TEST_IMAGES)
}

/// So many of them for training, drawn by this seed.
pub fn built_in_subset(size: usize, choice: u64) -> lyapunov_burn::Result<Dataset> {
    Dataset::synthetic_subset(SEED, TRAINING_IMAGES, TEST_IMAGES, size, choice)
}
