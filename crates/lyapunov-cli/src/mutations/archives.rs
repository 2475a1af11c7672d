//! Archives of images, compressed and not.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};

use super::mutant::{endure, mutations};
use crate::data::archive;

const NAMES: [&str; 2] = ["train.bin", "test.bin"];

fn packed(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

fn tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, length) in [("images/train.bin", 3000), ("images/labels.txt", 10), ("images/test.bin", 700)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o644);
        header.set_cksum();
        let contents: Vec<u8> = (0..length).map(|i| i as u8).collect();
        builder.append_data(&mut header, name, &contents[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Reads it; nothing may appear beside it, and what is read is what the archive was made of, or other bytes under the
/// expected names.
fn read(path: &Path, bytes: &[u8]) -> bool {
    fs::write(path, bytes).unwrap();
    let _ = archive::first_of(path, &NAMES);
    let files = archive::read(path, &NAMES);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is unpacked");
    files.is_ok_and(|files| files.keys().eq(["test.bin", "train.bin"].iter()))
}

#[test]
fn a_spoilt_archive_is_refused_or_has_the_expected_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.tar.gz");
    let taken = endure(&packed(&tar()), mutations(2_000), &[], |bytes| read(&path, bytes));
    println!("{taken} mutations of the compressed file were read");
    // The checksum of the compression hides what is inside from the faults: these are faults of the archive itself.
    endure(&tar(), mutations(1_000), &["../", "/", "\0", "ustar", "7777777"], |bytes| read(&path, &packed(bytes)));
}
