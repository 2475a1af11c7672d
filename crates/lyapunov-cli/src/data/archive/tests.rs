//! Archives as they should be, and as an enemy would make them.

use std::{fs, io::Write, path::PathBuf};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;

const NAMES: [&str; 2] = ["train.bin", "test.bin"];

/// An entry without the checks that a well-meaning writer makes.
fn entry(kind: EntryType, name: &str, link: &str, contents: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let raw = header.as_ustar_mut().unwrap();
    raw.name[..name.len()].copy_from_slice(name.as_bytes());
    raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(contents.len() as u64);
    header.set_cksum();
    let padding = contents.len().next_multiple_of(512) - contents.len();
    [header.as_bytes(), contents, &vec![0; padding]].concat()
}

fn file(name: &str, contents: &[u8]) -> Vec<u8> {
    entry(EntryType::Regular, name, "", contents)
}

fn good() -> Vec<Vec<u8>> {
    vec![
        entry(EntryType::Directory, "cifar-100-binary/", "", b""),
        file("cifar-100-binary/fine_label_names.txt", b"apple"),
        file("cifar-100-binary/train.bin", b"many images"),
        file("cifar-100-binary/test.bin", b"few images"),
    ]
}

fn pack(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

/// An archive of these entries.
fn packed(entries: &[Vec<u8>]) -> Vec<u8> {
    pack(&[entries.concat(), vec![0; 1024]].concat())
}

fn written(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.tar.gz");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Why an archive is refused.
fn refusal(bytes: &[u8]) -> String {
    let (folder, path) = written(bytes);
    let fault = read(&path, &NAMES).unwrap_err().to_string();
    assert!(fault.contains("images.tar.gz"), "{fault}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is unpacked");
    fault
}

#[track_caller]
fn refused_for(bytes: &[u8], reason: &str) {
    let fault = refusal(bytes);
    assert!(fault.contains(reason), "{fault}");
}

#[test]
fn the_expected_files_are_read_and_others_are_passed_over() {
    let (_folder, path) = written(&packed(&good()));
    let files = read(&path, &NAMES).unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!(files["train.bin"].bytes, b"many images");
    assert_eq!(files["test.bin"].path, path.join("test.bin"));
    assert_eq!(first_of(&path, &["test.bin", "train.bin", "data_batch_1.bin"]).unwrap(), Some("train.bin"));
    let mut builder = Builder::new(Vec::new());
    for name in ["./test.bin", "./train.bin"] {
        let mut header = Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, name, &b"abc"[..]).unwrap();
    }
    let (_folder, path) = written(&pack(&builder.into_inner().unwrap()));
    assert_eq!(read(&path, &NAMES).unwrap()["test.bin"].bytes, b"abc", "as GNU tar writes them");
}

#[test]
fn paths_that_lead_out_are_refused_whoever_they_are() {
    for name in ["../train.bin", "cifar/../../test.bin", "/etc/passwd", "/train.bin", "..\\train.bin", "a/.."] {
        refused_for(&packed(&[good(), vec![file(name, b"x")]].concat()), "a path that leads out of it");
    }
}

#[test]
fn links_and_devices_are_refused() {
    let kinds = [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo];
    for kind in kinds {
        for name in ["train.bin", "extra"] {
            let hostile = entry(kind, name, "/etc/passwd", b"");
            refused_for(&packed(&[vec![hostile], good()].concat()), "which is no plain file");
        }
    }
    refusal(&packed(&[entry(EntryType::GNUSparse, "train.bin", "", b"")]));
}

#[test]
fn a_file_that_comes_twice_is_refused() {
    refused_for(&packed(&[good(), vec![file("train.bin", b"other images")]].concat()), "it holds train.bin twice");
}

#[test]
fn what_is_missing_is_named() {
    refused_for(&packed(&[]), "none of the expected files, train.bin, test.bin");
    refused_for(&packed(&good()[..3]), "it lacks test.bin");
    refused_for(&packed(&[good()[..3].to_vec(), vec![file("a/b/test.bin", b"x")]].concat()), "it lacks test.bin");
    refused_for(
        &packed(&[good()[..3].to_vec(), vec![entry(EntryType::Directory, "test.bin", "", b"")]].concat()),
        "lacks",
    );
}

#[test]
fn a_bomb_goes_off_at_the_cap() {
    let zeros = pack(&vec![0; 1 << 20]);
    // Zeros after the end are padding, up to the cap: three hundred million of them, in three hundred thousand bytes.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&good().concat()).unwrap();
    for _ in 0..300 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 4 << 20 && zeros.len() < 1 << 16);
    refused_for(&bomb, "it unpacks to more than 268435456 bytes");
}

#[test]
fn a_claim_of_eight_gibibytes_is_refused_before_anything_is_read() {
    let mut header = Header::new_gnu();
    header.set_path("train.bin").unwrap();
    header.set_size(8 << 30);
    header.set_cksum();
    let claim = pack(&[header.as_bytes(), &[0; 512][..]].concat());
    refused_for(&claim, "which claims to have 8589934592 bytes");
}

#[test]
fn an_archive_that_is_cut_short_anywhere_is_refused() {
    let whole = packed(&good());
    for length in [whole.len() - 1, whole.len() - 8, whole.len() / 2, 20, 10, 3] {
        refused_for(&whole[..length], "truncated");
    }
    // The compression is whole and the archive inside is not.
    let tar = good().concat();
    for length in [tar.len() - 505, tar.len() - 700] {
        let fault = refusal(&pack(&tar[..length]));
        assert!(fault.contains("ends inside") || fault.contains("damaged"), "{fault}");
    }
    refused_for(&[], "the file is empty");
}

#[test]
fn one_changed_byte_changes_no_image() {
    let (_folder, path) = written(&packed(&good()));
    let (whole, expected) = (fs::read(&path).unwrap(), read(&path, &NAMES).unwrap());
    let mut refusals = 0;
    for at in 12..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        // Some bits of a compressed file mean nothing.
        read(&path, &NAMES).map_or_else(|_| refusals += 1, |found| assert_eq!(found, expected, "byte {at}"));
    }
    assert!(refusals > whole.len() / 2, "{refusals} of {}", whole.len());
}

#[test]
fn bytes_after_the_end_are_refused() {
    refused_for(&[packed(&good()), b"more".to_vec()].concat(), "there are bytes after its end");
    refused_for(&pack(&[good().concat(), vec![0; 1024], b"more".to_vec()].concat()), "it goes on after its end");
}

#[test]
fn what_is_no_archive_is_reported_by_what_it_is() {
    refused_for(b"\n<!DOCTYPE html><html>Not found</html>", "this is a web page");
    refused_for(b"PK\x03\x04", "this is not a gzip archive");
    refused_for(&pack(b"neither this"), "image");
}
