//! `lyapunov data`: makes images.

use lyapunov_burn::{BATCH_FILES, Dataset, Images, RECORD_BYTES, TEST_FILE};

use super::print;
use crate::{
    args::SynthesizeArguments,
    error::{Error, Result},
    folder::make_folder_of_files,
};

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

/// Writes made-up images as the files of CIFAR-10.
pub fn synthesize(arguments: &SynthesizeArguments) -> Result<()> {
    let SynthesizeArguments { folder, seed, train, test } = arguments;
    if *train < BATCH_FILES.len() || *test == 0 {
        let message = format!("{train} training images and {test} test images do not fill six files");
        let help = Some("ask for at least 5 training images and 1 test image".to_owned());
        return Err(Error::Usage { message, help });
    }
    let dataset = Dataset::synthetic(*seed, *train, *test)?;
    make_folder_of_files(folder, &files(&dataset.train, &dataset.test))?;
    let told = format!("Wrote {train} training images and {test} test images to {}\n", folder.display());
    print(told.as_bytes())
}

/// The training images in five parts as equal as can be, the test images in one.
fn files(train: &Images, test: &Images) -> Vec<(String, Vec<u8>)> {
    let records = train.to_records();
    let count = train.len();
    let part = |i: usize| {
        let bounds = [i, i + 1].map(|i| i * count / BATCH_FILES.len() * RECORD_BYTES);
        records[bounds[0]..bounds[1]].to_vec()
    };
    let mut files: Vec<_> = BATCH_FILES.iter().enumerate().map(|(i, name)| ((*name).to_owned(), part(i))).collect();
    files.push((TEST_FILE.to_owned(), test.to_records()));
    files
}
