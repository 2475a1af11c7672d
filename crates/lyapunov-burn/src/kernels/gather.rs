//! Channels put side by side, taken apart, and left out.

use super::{number::Real, workspace::Workspace};

/// Numbers of a part, about.
const PART: usize = 1 << 16;

/// Pixels of `first` channels of a and behind them `second` of b.
pub(crate) fn concatenate<T: Real>(space: &Workspace, [first, second]: [usize; 2], [a, b]: [&[T]; 2], out: &mut [T]) {
    let pixels = (PART / (first + second)).max(1);
    let parts = a.chunks(pixels * first).zip(b.chunks(pixels * second)).zip(out.chunks_mut(pixels * (first + second)));
    space.for_each(parts, |((a, b), out)| {
        let pixels = a.chunks_exact(first).zip(b.chunks_exact(second)).zip(out.chunks_exact_mut(first + second));
        for ((a, b), out) in pixels {
            out[..first].copy_from_slice(a);
            out[first..].copy_from_slice(b);
        }
    });
}

/// The channels from `start` on, as many as `out` has, of pixels with `channels`.
pub(crate) fn part<T: Real>(space: &Workspace, [channels, start, kept]: [usize; 3], pixels: &[T], out: &mut [T]) {
    let count = (PART / channels).max(1);
    space.for_each(pixels.chunks(count * channels).zip(out.chunks_mut(count * kept)), |(pixels, out)| {
        for (pixel, out) in pixels.chunks_exact(channels).zip(out.chunks_exact_mut(kept)) {
            out.copy_from_slice(&pixel[start..start + kept]);
        }
    });
}

/// Every `stride`-th pixel, along both sides, between channels of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thinning {
    /// The side of an image, a multiple of the stride.
    pub size: usize,
    /// The step between two pixels that are kept.
    pub stride: usize,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels of zeros before them.
    pub before: usize,
    /// Channels that go out.
    pub outputs: usize,
}

impl Thinning {
    /// Numbers of an image that comes in.
    pub fn image(&self) -> usize {
        self.size * self.size * self.inputs
    }

    /// Numbers of an image that comes out.
    pub fn output(&self) -> usize {
        (self.size / self.stride).pow(2) * self.outputs
    }

    /// Where each pixel that is kept begins, in an image and in what comes out of it.
    fn places(self) -> impl Iterator<Item = (usize, usize)> {
        let side = self.size / self.stride;
        (0..side * side).map(move |pixel| {
            let (row, column) = (pixel / side * self.stride, pixel % side * self.stride);
            ((row * self.size + column) * self.inputs, pixel * self.outputs)
        })
    }

    /// The pixels of x that are kept.
    pub fn thin<T: Real>(&self, space: &Workspace, x: &[T], y: &mut [T]) {
        space.for_each(x.chunks(self.image()).zip(y.chunks_mut(self.output())), |(x, y)| {
            y.fill(T::ZERO);
            for (from, to) in self.places() {
                y[to + self.before..][..self.inputs].copy_from_slice(&x[from..][..self.inputs]);
            }
        });
    }

    /// The gradient in x.
    pub fn gradient<T: Real>(&self, space: &Workspace, u: &[T], dx: &mut [T]) {
        space.for_each(dx.chunks_mut(self.image()).zip(u.chunks(self.output())), |(dx, u)| {
            dx.fill(T::ZERO);
            for (to, from) in self.places() {
                dx[to..][..self.inputs].copy_from_slice(&u[from + self.before..][..self.inputs]);
            }
        });
    }
}
