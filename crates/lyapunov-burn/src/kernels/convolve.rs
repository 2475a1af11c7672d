//! The convolution of images: y = x ∗ w + b.

use super::{
    number::{Real, arch},
    shape::{Frame, Shape, group},
    tile::{Packed, Run, Tiles},
    workspace::Workspace,
};

/// The framed images that a convolution looks at, where its windows begin, and their rows.
pub(super) struct Windows {
    pub frame: Frame,
    /// Images that are worked on together.
    pub group: usize,
    /// Where the windows of the images of a group begin.
    pub at: Vec<u32>,
    pub runs: Vec<Run>,
}

impl Windows {
    pub fn new<T>(shape: &Shape, examples: usize) -> Self {
        Self::of_group(shape, group::<T>(shape.frame().len(), shape.side().pow(2), examples))
    }

    /// The same with as many images in a group.
    pub fn of_group(shape: &Shape, group: usize) -> Self {
        let frame = shape.frame();
        let place = |index: usize| {
            let (image, pixel) = (index / shape.side().pow(2), index % shape.side().pow(2));
            let (row, column) = (pixel / shape.side(), pixel % shape.side());
            (image * frame.len() + frame.place(row * shape.stride, column * shape.stride)) as u32
        };
        let at = (0..group * shape.side().pow(2)).map(place).collect();
        let run = |row| Run { start: frame.place(row, 0), length: shape.kernel * shape.inputs };
        Self { frame, group, at, runs: (0..shape.kernel).map(run).flat_map(Run::pieces).collect() }
    }
}

/// Calls `work` with the images in their frames.
pub(super) fn framed<T: Real>(space: &Workspace, frame: &Frame, images: &[T], work: impl FnOnce(&[T])) {
    if frame.is_empty() {
        return work(images);
    }
    let count = images.len() / (frame.size * frame.size * frame.channels);
    let mut numbers = space.zeros::<T>(count * frame.len());
    frame.fill(images, numbers.slice_mut());
    work(numbers.slice());
}

/// y [examples, side, side, outputs] of x [examples, size, size, inputs].
pub(crate) fn convolve<T: Real>(
    space: &Workspace,
    shape: &Shape,
    x: &[T],
    weights: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
) {
    let (taps, rows) = (shape.kernel * shape.kernel, shape.rows());
    let windows = Windows::new::<T>(shape, x.len() / shape.image());
    // Rows of weights are in the order in which a window lies in memory: row, column, channel.
    let packed = match taps {
        1 => Packed::transposed(space, [rows, shape.outputs], (weights, rows)),
        _ => Packed::new(space, [rows, shape.outputs], |row, output| {
            weights[output * rows + row % shape.inputs * taps + row / shape.inputs]
        }),
    };
    let to: Vec<u32> = (0..windows.at.len()).map(|pixel| (pixel * shape.outputs) as u32).collect();
    let parts = x.chunks(windows.group * shape.image()).zip(y.chunks_mut(windows.group * shape.output()));
    space.for_each(parts, |(x, out)| {
        let pixels = out.len() / shape.outputs;
        let (at, to, runs) = (&windows.at[..pixels], &to[..pixels], &windows.runs[..]);
        framed(space, &windows.frame, x, |x| {
            arch().dispatch(Tiles { x, at, to, runs, weights: &packed, bias, out, adds: false });
        });
    });
}
