//! The files of image sets: where they are, which set they are, and reading them.

pub mod archive;
pub mod built_in;
pub mod digest;
pub mod download;
mod fault;
pub mod meter;
pub mod published;
pub mod unpack;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use lyapunov_burn::{Dataset, ImageFile, Layout};
use lyapunov_burn::{Error, Result};

/// Files of CIFAR-10 and CIFAR-100 in the form that is not ours.
const PICKLED: [&str; 3] = ["data_batch_1", "batches.meta", "meta"];

/// Where the files of a set are.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Side by side in a folder.
    Folder(PathBuf),
    /// In an archive, a .tar.gz file.
    Archive(PathBuf),
}

impl Source {
    /// What is at `path`. Where nothing is, a folder is missed.
    pub fn at(path: &Path) -> Self {
        if path.is_file() { Self::Archive(path.to_owned()) } else { Self::Folder(path.to_owned()) }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Archive(path) => path,
        }
    }

    /// The first layout of which a file is here, if there is one.
    pub fn layout(&self) -> Option<Layout> {
        let names = |layout: &Layout| [layout.training_files(), layout.test_files()].concat();
        match self {
            Self::Folder(folder) => Layout::ALL.into_iter().find(|layout| {
                names(layout).iter().any(|name| folder.join(name).exists() || folder.join(compressed(name)).exists())
            }),
            Self::Archive(path) => {
                let all: Vec<_> = Layout::ALL.iter().flat_map(names).collect();
                let first = archive::first_of(path, &all).ok()??;
                Layout::ALL.into_iter().find(|layout| names(layout).contains(&first))
            }
        }
    }

    /// The images of `layout`.
    pub fn read(&self, layout: Layout) -> Result<Dataset> {
        let mut files = self.open(layout)?;
        Dataset::from_files(layout, |name| files.take(name))
    }

    /// The files of `layout`: those of a folder one by one, those of an archive all at once.
    pub fn open(&self, layout: Layout) -> Result<Files<'_>> {
        self.check_layout(layout)?;
        let names = [layout.training_files(), layout.test_files()].concat();
        Ok(match self {
            Self::Folder(folder) => Files::Beside(folder),
            Self::Archive(path) => Files::Unpacked(archive::read(path, &names)?),
        })
    }

    /// Refuses the files of another set.
    fn check_layout(&self, layout: Layout) -> Result<()> {
        match self.layout() {
            Some(found) if found.training_files() != layout.training_files() => {
                let reason = format!("these are the files of \"{}\", not of \"{}\"", found.name(), layout.name());
                Err(Error::Data { path: self.path().to_owned(), reason })
            }
            None if self.is_pickled() => {
                let reason = "these are the pickled files of the \"python version\", which only Python can read: \
                              take the \"binary version\", such as cifar-10-binary.tar.gz"
                    .to_owned();
                Err(Error::Data { path: self.path().to_owned(), reason })
            }
            _ => Ok(()),
        }
    }

    /// Whether these are the files of CIFAR as Python pickles them.
    fn is_pickled(&self) -> bool {
        match self {
            Self::Folder(folder) => PICKLED.iter().any(|name| folder.join(name).is_file()),
            Self::Archive(path) => archive::first_of(path, &PICKLED).is_ok_and(|found| found.is_some()),
        }
    }
}

/// The files of a set.
pub enum Files<'a> {
    /// Still in this folder.
    Beside(&'a Path),
    /// In memory.
    Unpacked(BTreeMap<String, ImageFile>),
}

impl Files<'_> {
    /// The file of this name, once.
    pub fn take(&mut self, name: &str) -> Result<ImageFile> {
        match self {
            Self::Beside(folder) => read_file(folder, name),
            Self::Unpacked(files) => Ok(files.remove(name).expect("an archive without it has been refused")),
        }
    }
}

fn compressed(name: &str) -> String {
    format!("{name}.gz")
}

/// The file of this name in `folder`, or its compressed form, `name.gz`.
fn read_file(folder: &Path, name: &str) -> Result<ImageFile> {
    if !folder.is_dir() {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no such file or folder");
        return Err(Error::Io { path: folder.to_owned(), source });
    }
    let (path, packed) = (folder.join(name), folder.join(compressed(name)));
    let failed = |path: &Path, source| Error::Io { path: path.to_owned(), source };
    if path.exists() || !packed.exists() {
        let bytes = fs::read(&path).map_err(|cause| failed(&path, cause))?;
        return Ok(ImageFile { path, bytes });
    }
    let mut bytes = Vec::new();
    archive::unpacked(&packed)?.read_to_end(&mut bytes).map_err(|cause| archive::damaged(&packed, cause))?;
    Ok(ImageFile { path: packed, bytes })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn pickled_files_are_refused_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data_batch_1"), [0x80, 2]).unwrap();
        let message = Source::at(folder.path()).read(Layout::Cifar10).unwrap_err().to_string();
        assert!(message.contains("pickled") && message.contains("cifar-10-binary.tar.gz"), "{message}");
    }

    /// MNIST's files with three training images and two held-out ones.
    fn digits(folder: &Path, pack: bool) {
        let file = |numbers: &[u32], bytes: Vec<u8>| {
            numbers.iter().flat_map(|number| number.to_be_bytes()).chain(bytes).collect::<Vec<u8>>()
        };
        let files = [
            ("train-images-idx3-ubyte", file(&[2051, 3, 28, 28], vec![9; 3 * 784])),
            ("train-labels-idx1-ubyte", file(&[2049, 3], vec![1, 2, 3])),
            ("t10k-images-idx3-ubyte", file(&[2051, 2, 28, 28], vec![8; 2 * 784])),
            ("t10k-labels-idx1-ubyte", file(&[2049, 2], vec![4, 5])),
        ];
        for (name, bytes) in files {
            if pack {
                let mut encoder =
                    GzEncoder::new(fs::File::create(folder.join(compressed(name))).unwrap(), Compression::fast());
                encoder.write_all(&bytes).unwrap();
                encoder.finish().unwrap();
            } else {
                fs::write(folder.join(name), bytes).unwrap();
            }
        }
    }

    #[test]
    fn digits_are_read_compressed_or_not() {
        for pack in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            digits(folder.path(), pack);
            let source = Source::at(folder.path());
            assert_eq!(source.layout(), Some(Layout::Mnist));
            let set = source.read(Layout::FashionMnist).unwrap();
            assert_eq!((set.train.labels(), set.test.labels()), (&[1, 2, 3][..], &[4, 5][..]));
            let message = source.read(Layout::Cifar10).unwrap_err().to_string();
            assert!(message.contains("these are the files of \"mnist\", not of \"cifar10\""), "{message}");
        }
    }

    #[test]
    fn a_compressed_file_that_is_cut_short_is_named() {
        let folder = tempfile::tempdir().unwrap();
        digits(folder.path(), true);
        let path = folder.path().join("train-labels-idx1-ubyte.gz");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let message = Source::at(folder.path()).read(Layout::Mnist).unwrap_err().to_string();
        assert!(message.contains("train-labels-idx1-ubyte.gz") && message.contains("truncated"), "{message}");
    }
}
