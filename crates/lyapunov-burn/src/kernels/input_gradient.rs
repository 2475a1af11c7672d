//! The gradient of a convolution in its images: dx = dy ∗ wᵀ.
//!
//! With stride s the pixels of an image fall into s² classes by their remainders. Those of one class see the same taps
//! of the kernel, so each class is a convolution of dy with stride 1 and taps of its own.

use super::{
    convolve::framed,
    number::{Real, arch},
    shape::{Frame, Shape, group},
    tile::{Packed, Run, Tiles},
    workspace::Workspace,
};

/// The taps of a kernel, along one side, that pixels with one remainder see, by the pixel of dy that they come from.
struct Reach {
    /// How many pixels of the image have this remainder.
    pixels: usize,
    /// The first of the pixels of dy, relative to the number of the pixel among its class.
    first: isize,
    /// The taps, by ascending pixel of dy.
    taps: Vec<usize>,
}

impl Reach {
    /// Pixel s·k + remainder comes from pixel o of dy by tap t where s·o + t = s·k + remainder + padding.
    fn new(shape: &Shape, remainder: usize) -> Self {
        let (place, stride) = (remainder + shape.padding, shape.stride);
        let taps: Vec<usize> =
            (0..shape.kernel).rev().filter(|tap| (place + stride * tap - tap) % stride == 0).collect();
        let from = |tap: usize| (place.cast_signed() - tap.cast_signed()).div_euclid(stride.cast_signed());
        let first = taps.first().map_or(0, |tap| from(*tap));
        Self { pixels: (shape.size - remainder).div_ceil(stride), first, taps }
    }

    /// The pixels of dy after the last one of the class.
    fn end(&self) -> isize {
        self.pixels.cast_signed() + self.first + self.taps.len().cast_signed() - 1
    }
}

/// The pixels of one class, as a convolution of dy.
struct Class {
    at: Vec<u32>,
    to: Vec<u32>,
    runs: Vec<Run>,
    weights: Packed,
}

/// dx [examples, size, size, inputs] of dy [examples, side, side, outputs].
pub(crate) fn input_gradient<T: Real>(space: &Workspace, shape: &Shape, dy: &[T], weights: &[T], dx: &mut [T]) {
    let side = shape.side();
    let reaches: Vec<Reach> = (0..shape.stride.min(shape.size)).map(|r| Reach::new(shape, r)).collect();
    let before = reaches.iter().map(|reach| -reach.first).max().unwrap_or(0).max(0) as usize;
    let after = reaches.iter().map(|reach| reach.end() - side.cast_signed()).max().unwrap_or(0).max(0) as usize;
    let frame = Frame { size: side, channels: shape.outputs, before, after };
    let group = group::<T>(frame.len().max(shape.image()), shape.size.pow(2), dx.len() / shape.image());
    let mut classes = Vec::new();
    for (row, down) in reaches.iter().enumerate() {
        for (column, across) in reaches.iter().enumerate() {
            classes.extend(class(space, shape, &frame, group, [(row, down), (column, across)], weights));
        }
    }
    // A stride beyond the kernel leaves pixels out.
    let covers = reaches.iter().all(|reach| !reach.taps.is_empty());
    let parts = dy.chunks(group * shape.output()).zip(dx.chunks_mut(group * shape.image()));
    space.for_each(parts, |(dy, dx)| {
        if !covers {
            dx.fill(T::ZERO);
        }
        let images = dx.len() / shape.image();
        framed(space, &frame, dy, |x| {
            for Class { at, to, runs, weights } in &classes {
                let pixels = at.len() / group * images;
                let (at, to) = (&at[..pixels], &to[..pixels]);
                arch().dispatch(Tiles { x, at, to, runs, weights, bias: None, out: &mut *dx, adds: false });
            }
        });
    });
}

/// The pixels with these remainders; none where no tap reaches them.
fn class<T: Real>(
    space: &Workspace,
    shape: &Shape,
    frame: &Frame,
    group: usize,
    [(row, down), (column, across)]: [(usize, &Reach); 2],
    weights: &[T],
) -> Option<Class> {
    if down.taps.is_empty() || across.taps.is_empty() {
        return None;
    }
    let corner =
        |reach: &Reach, pixel: usize| (frame.before.cast_signed() + reach.first + pixel.cast_signed()) as usize;
    let length = across.taps.len() * shape.outputs;
    let run = |tap| Run { start: frame.place(tap, 0), length };
    let runs = (0..down.taps.len()).map(run).flat_map(Run::pieces).collect();
    let taps = shape.kernel * shape.kernel;
    let packed = match taps {
        1 => Packed::rows(space, [shape.outputs, shape.inputs], (weights, shape.inputs)),
        _ => Packed::new(space, [down.taps.len() * length, shape.inputs], |index, input| {
            let (tap, output) = (index % length / shape.outputs, index % shape.outputs);
            let tap = down.taps[index / length] * shape.kernel + across.taps[tap];
            weights[(output * shape.inputs + input) * taps + tap]
        }),
    };
    let (mut at, mut to) = (Vec::new(), Vec::new());
    for image in 0..group {
        for (y, x) in (0..down.pixels).flat_map(|y| (0..across.pixels).map(move |x| (y, x))) {
            at.push((image * frame.len() + frame.place(corner(down, y), corner(across, x))) as u32);
            let pixel = (y * shape.stride + row) * shape.size + x * shape.stride + column;
            to.push((image * shape.image() + pixel * shape.inputs) as u32);
        }
    }
    Some(Class { at, to, runs, weights: packed })
}
