//! `lyapunov data`: makes images.

use lyapunov_burn::{BATCH_FILES, Dataset, Images, RECORD_BYTES, TEST_FILE};

use super::print;
use crate::{
    data::built_in,
    error::{Error, Result},
    folder::make_folder_of_files,
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The commands for images.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Write made-up images in the binary layout of CIFAR-10
    ///
    /// Ten classes of 32×32 colour images, the ones that `train` uses by default, in the files data_batch_1.bin …
    /// data_batch_5.bin and test_batch.bin. Nothing is overwritten.
    #[command(after_help = "Example:\n  lyapunov data synthesize images && lyapunov train --data images")]
    Synthesize(SynthesizeArguments),
    /// Download CIFAR-10 or CIFAR-100
    ///
    /// Downloads the published archive, checks its MD5, and unpacks the images into DIR/cifar10 or DIR/cifar100, which
    /// appears whole or not at all. A download that was cut, or killed, goes on where it ended. No other command opens
    /// a connection.
    #[command(after_help = "Examples:\n  \
        lyapunov data fetch cifar10 && lyapunov train --data data/cifar10\n  \
        lyapunov data fetch cifar100 --dir images --mirror https://example.org/cifar-100-binary.tar.gz")]
    Fetch(super::fetch::FetchArguments),
    /// Look at the files of images: sizes, labels, fingerprints, and whether they can be used
    ///
    /// The SHA-256 of a set is that of its unpacked files one after another, training before test. Where `data fetch`
    /// has written one down (SHA256SUMS), the two must agree. The exit code is 1 where the files cannot be used.
    #[command(after_help = "Examples:\n  \
        lyapunov data check data/cifar10\n  \
        lyapunov data check cifar-10-binary.tar.gz --json | jq .verdict")]
    Check(super::check::CheckArguments),
}

/// What to make, and where.
#[derive(Args, Debug)]
pub struct SynthesizeArguments {
    /// The folder to make; it must not exist, or be empty
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Decides every pixel
    #[arg(long, default_value_t = built_in::SEED)]
    pub seed: u64,
    /// Training images, spread over five files
    #[arg(long, value_name = "COUNT", default_value_t = built_in::TRAINING_IMAGES)]
    pub train: usize,
    /// Test images
    #[arg(long, value_name = "COUNT", default_value_t = built_in::TEST_IMAGES)]
    pub test: usize,
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
    let text = format!("Wrote {train} training images and {test} test images to {}\n", folder.display());
    print(text.as_bytes())
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
