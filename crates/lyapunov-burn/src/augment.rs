//! Augmentation: a random crop after padding by four black pixels, and a horizontal flip every other time.
//!
//! Source: the standard for CIFAR since He et al. (2015), in torchvision `RandomCrop(32, padding=4)` and
//! `RandomHorizontalFlip()`.

use super::data::{PIXELS, SIZE};
use lyapunov::Stream;

/// Pixels of padding on each side.
const PADDING: usize = 4;

/// A shift and, perhaps, a flip of the `image`, by the next numbers of the stream.
pub(super) fn augmented(image: &[u8], stream: &mut Stream) -> Vec<u8> {
    let (right, down) = (stream.below(2 * PADDING + 1), stream.below(2 * PADDING + 1));
    let flipped = stream.below(2) == 1;
    let mut pixels = Vec::with_capacity(PIXELS);
    for plane in image.chunks_exact(SIZE * SIZE) {
        for (row, column) in (0..SIZE).flat_map(|row| (0..SIZE).map(move |column| (row, column))) {
            let column = if flipped { SIZE - 1 - column } else { column };
            pixels.push(padded(plane, row + down, column + right));
        }
    }
    pixels
}

/// A pixel of the plane with its padding, which is black.
fn padded(plane: &[u8], row: usize, column: usize) -> u8 {
    let inside = |place: usize| place.checked_sub(PADDING).filter(|place| *place < SIZE);
    match (inside(row), inside(column)) {
        (Some(row), Some(column)) => plane[row * SIZE + column],
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lyapunov::Purpose;

    #[test]
    fn every_shift_and_flip_occurs_and_nothing_else() {
        // Every pixel encodes its place, in one of three colours.
        let image: Vec<u8> = (0..PIXELS).map(|i| (i % 251) as u8 + 1).collect();
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..3000 {
            let mut stream = Stream::new(0, Purpose::Augmentation, step);
            let (right, down) = (stream.below(9), stream.below(9));
            let flipped = stream.below(2) == 1;
            seen.insert((right, down, flipped));
            let shown = augmented(&image, &mut Stream::new(0, Purpose::Augmentation, step));
            // The centre is never padding.
            let (row, column) = (15, 15);
            let from = if flipped { SIZE - 1 - column } else { column };
            let place = SIZE * SIZE + (row + down - 4) * SIZE + (from + right - 4);
            assert_eq!(shown[SIZE * SIZE + row * SIZE + column], image[place]);
            // A column of padding for every pixel of shift, on the other side of a flipped image.
            let black = |column: usize| (0..SIZE).all(|row| shown[row * SIZE + column] == 0);
            let left_side = (0..SIZE).take_while(|column| black(*column)).count();
            let expected = if flipped { right.saturating_sub(4) } else { 4_usize.saturating_sub(right) };
            assert_eq!(left_side, expected, "shift {right}, flipped: {flipped}");
        }
        assert_eq!(seen.len(), 9 * 9 * 2);
    }
}
