//! Records of CIFAR and files in the IDX layout.

use lyapunov_burn::{ImageFile, Layout};

use crate::{
    MEMORY,
    mutant::{endure, mutations},
};

fn file(name: &str, bytes: &[u8]) -> ImageFile {
    ImageFile { path: name.into(), bytes: bytes.to_vec() }
}

/// Whether the bytes are records of `layout`; what is read has all bytes of the file, and labels that are classes.
fn records(layout: Layout, bytes: &[u8]) -> bool {
    let Ok(images) = layout.parse(&[file("records.bin", bytes)]) else { return false };
    let labels = if layout == Layout::Cifar10 { 1 } else { 2 };
    assert_eq!(images.len() * (3072 + labels), bytes.len());
    assert!(images.labels().iter().all(|label| usize::from(*label) < layout.classes()));
    true
}

#[test]
fn spoilt_records_are_refused_or_have_labels_that_are_classes() {
    for (layout, labels) in [(Layout::Cifar10, 1), (Layout::Cifar100, 2), (Layout::Cifar100Coarse, 2)] {
        let record = |i: usize| (0..3072 + labels).map(move |at| if at < labels { i as u8 } else { (at * i) as u8 });
        let whole: Vec<u8> = (0..4).flat_map(record).collect();
        endure(&whole, mutations(3_000), &[], |bytes| records(layout, bytes));
    }
}

/// MNIST's files of two images.
fn digits() -> [Vec<u8>; 2] {
    let header = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
    [[header(&[2051, 2, 28, 28]), vec![7; 2 * 784]].concat(), [header(&[2049, 2]), vec![3, 9]].concat()]
}

fn parses(images: &[u8], labels: &[u8]) -> bool {
    let Ok(read) = Layout::Mnist.parse(&[file("images", images), file("labels", labels)]) else { return false };
    assert_eq!((read.len(), read.labels().iter().max() < Some(&10)), (2, true));
    true
}

#[test]
fn spoilt_digits_are_refused_or_read_as_two_images() {
    let [images, labels] = digits();
    endure(&images, mutations(3_000), &[], |bytes| parses(bytes, &labels));
    endure(&labels, mutations(3_000), &[], |bytes| parses(&images, bytes));
}

#[test]
fn sizes_in_a_header_are_not_believed() {
    let [images, labels] = digits();
    let before = MEMORY.peak_usage();
    for place in [4, 8, 12] {
        let mut bomb = images.clone();
        bomb[place..place + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(!parses(&bomb, &labels));
    }
    assert!(MEMORY.peak_usage() < before.max(200 << 20) + (100 << 20), "{} bytes", MEMORY.peak_usage());
}
