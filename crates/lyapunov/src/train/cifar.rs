//! The official binary layout of CIFAR-10: records of one label byte and 3,072 pixel bytes.
//!
//! Source: Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009, and the data set's own page.

use std::path::Path;

use super::dataset::{Images, PIXELS};
use crate::error::{Error, Result};

/// The files of the training set, in order.
pub const BATCH_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// The file of the held-out set.
pub const TEST_FILE: &str = "test_batch.bin";

/// Bytes per record: a label, then the red, green and blue planes of 32×32 pixels.
pub const RECORD_BYTES: usize = 1 + PIXELS;

/// How many classes there are.
pub(super) const CLASSES: usize = 10;

/// The training and the held-out set in `folder`.
pub(super) fn read(folder: &Path) -> Result<(Images, Images)> {
    if !folder.is_dir() {
        let told = if folder.exists() { "this is a file; a folder is needed" } else { "there is no such folder" };
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, told);
        return Err(Error::Io { path: folder.to_owned(), source });
    }
    let mut train = Images::default();
    for name in BATCH_FILES {
        let part = read_file(&folder.join(name))?;
        train.labels.extend(part.labels);
        train.pixels.extend(part.pixels);
    }
    Ok((train, read_file(&folder.join(TEST_FILE))?))
}

fn read_file(path: &Path) -> Result<Images> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    parse(&bytes, path)
}

/// The images in `bytes`; `path` is what an error calls them.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Images> {
    let wrong = |reason: String| Error::Data { path: path.to_owned(), reason };
    if bytes.is_empty() {
        return Err(wrong("the file is empty; expected records of 3073 bytes".into()));
    }
    if !bytes.len().is_multiple_of(RECORD_BYTES) {
        let (whole, rest) = (bytes.len() / RECORD_BYTES, bytes.len() % RECORD_BYTES);
        return Err(wrong(format!(
            "{} bytes are {whole} records of {RECORD_BYTES} bytes and {rest} bytes more; the file is truncated or not in the CIFAR-10 binary layout",
            bytes.len()
        )));
    }
    let mut images = Images::default();
    for (index, record) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
        if usize::from(record[0]) >= CLASSES {
            return Err(wrong(format!("record {index} has label {}; CIFAR-10 has labels 0 to 9", record[0])));
        }
        images.push(record[0], &record[1..]);
    }
    Ok(images)
}

impl Images {
    /// The images as records of the official layout, one file's worth of bytes.
    pub fn to_records(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() * RECORD_BYTES);
        for (index, label) in self.labels.iter().enumerate() {
            bytes.push(*label);
            bytes.extend_from_slice(self.image(index));
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        parse(bytes, Path::new("x.bin")).unwrap_err().to_string()
    }

    #[test]
    fn records_come_back_as_they_went() {
        let mut bytes = vec![7; RECORD_BYTES];
        bytes.extend((0..RECORD_BYTES).map(|i| (i % 10) as u8));
        let images = parse(&bytes, Path::new("x.bin")).unwrap();
        assert_eq!((images.len(), images.labels()), (2, &[7, 0][..]));
        assert_eq!(images.to_records(), bytes);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        assert!(message(&[]).contains("empty"));
        assert!(message(&[0; RECORD_BYTES + 5]).contains("1 records of 3073 bytes and 5 bytes more"));
        assert!(message(&[10; RECORD_BYTES]).contains("record 0 has label 10"));
        assert!(message(&[0]).starts_with("x.bin: "));
    }

    #[test]
    fn a_missing_folder_or_file_is_named() {
        let error = read(Path::new("/no/such/folder")).unwrap_err().to_string();
        assert!(error.contains("/no/such/folder") && error.contains("no such folder"), "{error}");
        let error = read(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.contains("data_batch_1.bin"), "{error}");
    }
}
