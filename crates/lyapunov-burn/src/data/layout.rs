//! The published layouts of image files: which files there are, how many classes, and how the files are read.

use std::path::Path;

use super::{
    cifar::{self, BATCH_FILES, TEST_FILE},
    idx,
    images::{ImageFile, Images},
};
use crate::error::{Error, Result};

/// The layout of a published set of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// CIFAR-10: ten classes; records of a label and 3,072 pixel bytes.
    Cifar10,
    /// CIFAR-100 by its hundred fine classes; records of a coarse label, a fine label and 3,072 pixel bytes.
    Cifar100,
    /// CIFAR-100 by its twenty coarse classes, in the same files.
    Cifar100Coarse,
    /// MNIST: ten classes of grey 28×28 images in IDX files, framed by two black pixels on every side and given the
    /// same value in all three colours.
    Mnist,
    /// Fashion-MNIST: the same layout as MNIST, under the same names.
    FashionMnist,
}

// Of two with the same files, the more usual one comes first.
lyapunov::named! { Layout, "data set":
    Cifar10 = "cifar10",
    Cifar100 = "cifar100",
    Cifar100Coarse = "cifar100-coarse",
    Mnist = "mnist",
    FashionMnist = "fashion-mnist",
}

impl Layout {
    /// How many classes there are.
    pub fn classes(self) -> usize {
        match self {
            Self::Cifar10 | Self::Mnist | Self::FashionMnist => 10,
            Self::Cifar100 => 100,
            Self::Cifar100Coarse => 20,
        }
    }

    /// The names of the files of the training set, in order.
    pub fn training_files(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => &BATCH_FILES,
            Self::Cifar100 | Self::Cifar100Coarse => &["train.bin"],
            Self::Mnist | Self::FashionMnist => &["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
        }
    }

    /// The names of the files of the held-out set, in order.
    pub fn test_files(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => &[TEST_FILE],
            Self::Cifar100 | Self::Cifar100Coarse => &["test.bin"],
            Self::Mnist | Self::FashionMnist => &["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
        }
    }

    /// How many training images and held-out images the published set has.
    pub fn published_size(self) -> (usize, usize) {
        match self {
            Self::Cifar10 | Self::Cifar100 | Self::Cifar100Coarse => (50_000, 10_000),
            Self::Mnist | Self::FashionMnist => (60_000, 10_000),
        }
    }

    /// The images in all of the training files, or in all of the held-out ones.
    ///
    /// # Errors
    /// [`Error::Data`] for a file that is truncated, empty, or holds a label that is no class.
    ///
    /// # Panics
    /// If `files` are not as many as their names.
    pub fn parse(self, files: &[ImageFile]) -> Result<Images> {
        match (self, files) {
            (Self::Mnist | Self::FashionMnist, [images, labels]) => idx::parse(images, labels),
            (Self::Mnist | Self::FashionMnist, _) => panic!("a set of IDX images is two files"),
            _ => {
                let labels = match self {
                    Self::Cifar100 => &cifar::FINE,
                    Self::Cifar100Coarse => &cifar::COARSE,
                    _ => &cifar::TEN,
                };
                let mut all = Images::default();
                for file in files {
                    cifar::parse_into(&mut all, labels, &file.bytes, &file.path)?;
                }
                Ok(all)
            }
        }
    }
}

/// The file of this name in `folder`.
pub(super) fn read_file(folder: &Path, name: &str) -> Result<ImageFile> {
    if !folder.is_dir() {
        let message = if folder.exists() { "this is a file; a folder is needed" } else { "there is no such folder" };
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, message);
        return Err(Error::Io { path: folder.to_owned(), source });
    }
    let path = folder.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(ImageFile { path, bytes }),
        Err(source) => Err(Error::Io { path, source }),
    }
}
