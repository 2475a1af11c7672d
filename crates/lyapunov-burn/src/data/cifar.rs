//! The official binary layouts of CIFAR-10 and CIFAR-100: records of labels and 3,072 pixel bytes.
//!
//! Source: Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009, and the data sets' own page.

use std::path::Path;

use super::images::{Images, PIXELS};
use crate::error::{Error, Result};

/// The files of the training set of CIFAR-10, in order.
pub const BATCH_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// The file of the held-out set of CIFAR-10.
pub const TEST_FILE: &str = "test_batch.bin";

/// Bytes per record of CIFAR-10: a label, then the red, green and blue planes of 32×32 pixels.
pub const RECORD_BYTES: usize = 1 + PIXELS;

/// The labels of a record, in order: what they are called, how many classes they name, and which of them is taken.
pub(super) struct Labels {
    set: &'static str,
    all: &'static [(&'static str, u8)],
    taken: usize,
}

const HUNDRED: &[(&str, u8)] = &[("coarse label", 20), ("fine label", 100)];
/// CIFAR-10.
pub(super) const TEN: Labels = Labels { set: "CIFAR-10", all: &[("label", 10)], taken: 0 };
/// CIFAR-100 by its hundred classes.
pub(super) const FINE: Labels = Labels { set: "CIFAR-100", all: HUNDRED, taken: 1 };
/// CIFAR-100 by its twenty classes.
pub(super) const COARSE: Labels = Labels { set: "CIFAR-100", all: HUNDRED, taken: 0 };

/// Adds the images in `bytes`; `path` is what an error calls them.
pub(super) fn parse_into(images: &mut Images, labels: &Labels, bytes: &[u8], path: &Path) -> Result<()> {
    let Labels { set, all, taken } = *labels;
    let record_bytes = all.len() + PIXELS;
    let wrong = |reason: String| Error::Data { path: path.to_owned(), reason };
    if bytes.is_empty() {
        return Err(wrong(format!("the file is empty; expected records of {record_bytes} bytes")));
    }
    let (whole, rest) = (bytes.len() / record_bytes, bytes.len() % record_bytes);
    if rest != 0 {
        return Err(wrong(format!(
            "{} bytes are {whole} records of {record_bytes} bytes and {rest} bytes more; the file is \
             truncated or not in the {set} binary layout",
            bytes.len()
        )));
    }
    for (index, record) in bytes.chunks_exact(record_bytes).enumerate() {
        for (label, (name, classes)) in record.iter().zip(all) {
            if label >= classes {
                return Err(wrong(format!(
                    "record {index} has {name} {label}; {set} has {name}s 0 to {}",
                    classes - 1
                )));
            }
        }
        images.push(record[taken], &record[all.len()..]);
    }
    Ok(())
}

impl Images {
    /// The images as records of the layout of CIFAR-10, one file's worth of bytes.
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

    fn parse(labels: &Labels, bytes: &[u8]) -> Result<Images> {
        let mut images = Images::default();
        parse_into(&mut images, labels, bytes, Path::new("x.bin")).map(|()| images)
    }

    fn message(bytes: &[u8]) -> String {
        parse(&TEN, bytes).unwrap_err().to_string()
    }

    #[test]
    fn records_come_back_as_they_went() {
        let mut bytes = vec![7; RECORD_BYTES];
        bytes.extend((0..RECORD_BYTES).map(|i| (i % 10) as u8));
        let images = parse(&TEN, &bytes).unwrap();
        assert_eq!((images.len(), images.labels()), (2, &[7, 0][..]));
        assert_eq!(images.to_records(), bytes);
    }

    #[test]
    fn a_record_of_a_hundred_classes_has_a_coarse_label_before_the_fine_one() {
        let record = |coarse, fine, pixel| [vec![coarse, fine], vec![pixel; PIXELS - 1], vec![255]].concat();
        let bytes = [record(19, 99, 3), record(0, 42, 4)].concat();
        let fine = parse(&FINE, &bytes).unwrap();
        assert_eq!(fine.labels(), [99, 42]);
        assert_eq!((fine.image(0)[0], fine.image(0)[PIXELS - 1], fine.image(1)[0]), (3, 255, 4));
        let coarse = parse(&COARSE, &bytes).unwrap();
        assert_eq!((coarse.labels(), coarse.image(1)), (&[19, 0][..], fine.image(1)));
        let message = |bytes: &[u8]| parse(&FINE, bytes).unwrap_err().to_string();
        assert!(message(&[record(0, 0, 0), record(20, 0, 0)].concat()).contains("record 1 has coarse label 20"));
        assert!(message(&record(0, 100, 0)).contains("record 0 has fine label 100; CIFAR-100 has fine labels 0 to 99"));
        assert!(message(&bytes[..3075]).contains("1 records of 3074 bytes and 1 bytes more"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        assert!(message(&[]).contains("empty"));
        assert!(message(&[0; RECORD_BYTES + 5]).contains("1 records of 3073 bytes and 5 bytes more"));
        assert!(message(&[10; RECORD_BYTES]).contains("record 0 has label 10"));
        assert!(message(&[0]).starts_with("x.bin: "));
    }
}
