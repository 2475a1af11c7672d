//! The IDX layout of MNIST and Fashion-MNIST: big-endian sizes, then bytes; grey images become 32×32 colour images.
//!
//! An image file is the numbers 2051, count, 28, 28 and 784 bytes per image; a label file is 2049, count and one byte
//! per image. Images are framed by two black pixels on every side, and red, green and blue are all the grey value.
//!
//! Source: LeCun, Cortes, Burges, *The MNIST database of handwritten digits*, 1998.

use super::images::{CHANNELS, ImageFile, Images, PIXELS, SIZE};
use crate::error::{Error, Result};

/// Rows and columns of a grey image.
const GREY: usize = 28;

/// Black pixels on every side.
const FRAME: usize = (SIZE - GREY) / 2;

/// The numbers that begin a file of images and one of labels: bytes, in three dimensions and in one.
const MAGIC: [u32; 2] = [0x0803, 0x0801];

const CLASSES: u8 = 10;

/// The images in `images`, with the labels in `labels`.
pub(super) fn parse(images: &ImageFile, labels: &ImageFile) -> Result<Images> {
    let ([count, rows, columns], pixels) = header::<3>(images, MAGIC[0], "images")?;
    if [rows, columns] != [GREY; 2] {
        return Err(wrong(images, format!("the images are {rows}×{columns}; {GREY}×{GREY} are needed")));
    }
    let ([label_count], classes) = header::<1>(labels, MAGIC[1], "labels")?;
    if count == 0 {
        return Err(wrong(images, "the file holds no images".into()));
    }
    check_size(images, "image", count, GREY * GREY, pixels)?;
    check_size(labels, "label", label_count, 1, classes)?;
    if label_count != count {
        let message = format!("{label_count} labels for the {count} images in {}", images.path.display());
        return Err(wrong(labels, message));
    }
    if let Some(index) = classes.iter().position(|label| *label >= CLASSES) {
        return Err(wrong(labels, format!("record {index} has label {}; there are labels 0 to 9", classes[index])));
    }
    let mut found = Images::default();
    for (label, grey) in classes.iter().zip(pixels.chunks_exact(GREY * GREY)) {
        found.push(*label, &framed(grey));
    }
    Ok(found)
}

fn wrong(file: &ImageFile, reason: String) -> Error {
    Error::Data { path: file.path.clone(), reason }
}

/// The sizes at the beginning of a file, and the bytes after them.
fn header<'a, const N: usize>(file: &'a ImageFile, magic: u32, what: &str) -> Result<([usize; N], &'a [u8])> {
    let number = |index: usize| {
        let bytes = file.bytes.get(4 * index..4 * index + 4)?;
        bytes.try_into().ok().map(u32::from_be_bytes)
    };
    let sizes = (1..=N).filter_map(number).map(|size| size as usize).collect::<Vec<_>>();
    match (number(0), <[usize; N]>::try_from(sizes)) {
        (Some(found), Ok(sizes)) if found == magic => Ok((sizes, &file.bytes[4 * (N + 1)..])),
        (Some(found), _) if found != magic => Err(wrong(
            file,
            format!("the file begins with {found}, not with {magic}: these are no {what} in the IDX layout"),
        )),
        _ => {
            let length = file.bytes.len();
            Err(wrong(
                file,
                format!("{length} bytes are too few for the header of {what}; the file is truncated or empty"),
            ))
        }
    }
}

fn check_size(file: &ImageFile, what: &str, count: usize, size: usize, bytes: &[u8]) -> Result<()> {
    let (whole, expected) = (bytes.len() / size, count.checked_mul(size));
    if expected == Some(bytes.len()) {
        return Ok(());
    }
    let message = if whole < count {
        format!("the file promises {count} {what}s and ends inside {what} {whole} (counted from 0); it is truncated")
    } else {
        format!("the file promises {count} {what}s and holds {} bytes more", bytes.len() - count * size)
    };
    Err(wrong(file, message))
}

/// A grey image as a 32×32 colour image.
fn framed(grey: &[u8]) -> [u8; PIXELS] {
    let mut pixels = [0; PIXELS];
    for plane in pixels.chunks_exact_mut(SIZE * SIZE).take(CHANNELS) {
        for (row, line) in grey.chunks_exact(GREY).enumerate() {
            let start = (row + FRAME) * SIZE + FRAME;
            plane[start..start + GREY].copy_from_slice(line);
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, numbers: &[u32], bytes: Vec<u8>) -> ImageFile {
        let header = numbers.iter().flat_map(|number| number.to_be_bytes());
        ImageFile { path: name.into(), bytes: header.chain(bytes).collect() }
    }

    /// Two images: pixel (row, column) of image i is 100 i + row + 2 column.
    fn images() -> ImageFile {
        let pixel = |i: usize| (100 * (i / 784) + i % 784 / 28 + 2 * (i % 28)) as u8;
        file("images", &[2051, 2, 28, 28], (0..2 * 784).map(pixel).collect())
    }

    fn labels() -> ImageFile {
        file("labels", &[2049, 2], vec![9, 0])
    }

    fn message(images: &ImageFile, labels: &ImageFile) -> String {
        parse(images, labels).unwrap_err().to_string()
    }

    #[test]
    fn grey_images_are_framed_and_the_same_in_every_colour() {
        let found = parse(&images(), &labels()).unwrap();
        assert_eq!(found.labels(), [9, 0]);
        for (index, image) in [found.image(0), found.image(1)].into_iter().enumerate() {
            for (at, value) in image.iter().enumerate() {
                let (row, column) = (at % 1024 / 32, at % 32);
                let inside = (2..30).contains(&row) && (2..30).contains(&column);
                let expected = if inside { 100 * index + (row - 2) + 2 * (column - 2) } else { 0 };
                assert_eq!(usize::from(*value), expected, "image {index}, row {row}, column {column}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let (images, labels) = (images(), labels());
        let cut = |file: &ImageFile, length| ImageFile { bytes: file.bytes[..length].to_vec(), ..file.clone() };
        let refused = |images: &ImageFile, labels: &ImageFile, expected: &str| {
            let found = message(images, labels);
            assert!(found.contains(expected), "{found}");
        };
        refused(&cut(&images, 0), &labels, "images: 0 bytes are too few for the header");
        refused(&cut(&images, 15), &labels, "too few for the header");
        refused(&cut(&images, 16 + 784 + 5), &labels, "promises 2 images and ends inside image 1");
        refused(&images, &cut(&labels, 9), "labels: the file promises 2 labels and ends inside label 1");
        refused(&labels, &labels, "begins with 2049, not with 2051");
        refused(&images, &file("labels", &[2049, 2], vec![9, 10]), "record 1 has label 10");
        refused(&images, &file("labels", &[2049, 1], vec![9]), "1 labels for the 2 images in images");
        refused(&images, &file("labels", &[2049, 2], vec![1, 2, 3]), "1 bytes more");
        refused(&file("images", &[2051, 2, 28, 29], vec![]), &labels, "28×29");
        refused(&file("images", &[2051, 0, 28, 28], vec![]), &labels, "no images");
        refused(&file("images", &[2051, u32::MAX, 28, 28], vec![0]), &labels, "ends inside image 0");
    }
}
