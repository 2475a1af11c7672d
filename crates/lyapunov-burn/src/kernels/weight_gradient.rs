//! The gradient of a convolution in its kernel, and in its bias.
//!
//! dw[row, output] is a sum over all pixels of all images, of a number of the window times one of dy. It is taken over
//! strips of pixels that stay in the first cache, each from zero, and the strips are added in their order. Threads share
//! the rows of dw, not the images: so no sum depends on how many there are.

use pulp::{Arch, Simd, WithSimd};

use super::{
    convolve::{Windows, framed},
    number::{Real, lanes, lanes_here},
    shape::Shape,
    tile::Run,
    workspace::Workspace,
};

/// Pixels of a strip.
const STRIP: usize = 96;

/// dw [outputs, inputs, kernel, kernel] of x [examples, size, size, inputs] and dy [examples, side, side, outputs].
pub(crate) fn weight_gradient<T: Real>(space: &Workspace, shape: &Shape, x: &[T], dy: &[T], dw: &mut [T]) {
    let (rows, columns) = (shape.rows(), shape.outputs.next_multiple_of(lanes_here::<T>()));
    let windows = Windows::new::<T>(shape, x.len() / shape.image());
    let mut sums = space.zeros::<T>(rows * columns);
    let share = rows.div_ceil(space.threads());
    let parts = sums.slice_mut::<T>().chunks_mut(share * columns).enumerate();
    space.for_each(parts, |(part, sums)| {
        let runs = cut(&windows.runs, part * share, sums.len() / columns);
        correlate(space, shape, &windows, &runs, [x, dy], sums);
    });
    unpack(shape, sums.slice(), columns, dw);
}

/// The part of the runs, put one after another, that begins at a number and has a length.
fn cut(runs: &[Run], mut skipped: usize, mut length: usize) -> Vec<Run> {
    let mut parts = Vec::new();
    for run in runs {
        let before = skipped.min(run.length);
        let taken = length.min(run.length - before);
        if taken > 0 {
            parts.push(Run { start: run.start + before, length: taken });
        }
        (skipped, length) = (skipped - before, length - taken);
    }
    parts
}

/// Adds what all images give to the rows of `sums` that meet the `runs`.
fn correlate<T: Real>(
    space: &Workspace,
    shape: &Shape,
    windows: &Windows,
    runs: &[Run],
    [x, dy]: [&[T]; 2],
    sums: &mut [T],
) {
    let columns = shape.outputs.next_multiple_of(lanes_here::<T>());
    let to: Vec<u32> = (0..windows.at.len()).map(|pixel| (pixel * columns) as u32).collect();
    let mut wide = (columns > shape.outputs).then(|| space.zeros::<T>(to.len() * columns));
    for (x, dy) in x.chunks(windows.group * shape.image()).zip(dy.chunks(windows.group * shape.output())) {
        let pixels = dy.len() / shape.outputs;
        let dy = match &mut wide {
            Some(wide) => {
                let rows = wide.slice_mut::<T>().chunks_exact_mut(columns);
                dy.chunks_exact(shape.outputs).zip(rows).for_each(|(from, to)| to[..from.len()].copy_from_slice(from));
                wide.slice()
            }
            None => dy,
        };
        framed(space, &windows.frame, x, |x| {
            let places = (&windows.at[..pixels], &to[..pixels]);
            Arch::new().dispatch(Correlation { x, dy, places, runs, sums: &mut *sums, columns });
        });
    }
}

/// From [kernel × kernel × inputs, columns] to [outputs, inputs, kernel × kernel].
fn unpack<T: Real>(shape: &Shape, sums: &[T], columns: usize, dw: &mut [T]) {
    const BLOCK: usize = 16;
    let (taps, rows) = (shape.kernel * shape.kernel, shape.rows());
    for (block, dw) in dw.chunks_mut(BLOCK * rows).enumerate() {
        for (input, tap) in (0..shape.inputs).flat_map(|input| (0..taps).map(move |tap| (input, tap))) {
            let from = &sums[(tap * shape.inputs + input) * columns + block * BLOCK..];
            for (to, from) in dw[input * taps + tap..].iter_mut().step_by(rows).zip(from) {
                *to = *from;
            }
        }
    }
}

/// sums[row, :] += Σ over pixels of x[at + row] dy[to, :].
struct Correlation<'a, T> {
    x: &'a [T],
    dy: &'a [T],
    places: (&'a [u32], &'a [u32]),
    runs: &'a [Run],
    sums: &'a mut [T],
    columns: usize,
}

impl<T: Real> WithSimd for Correlation<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = lanes::<T, S>();
        let (at, to) = self.places;
        for strip in at.chunks(STRIP).zip(to.chunks(STRIP)) {
            let mut column = 0;
            while column + 2 * lanes <= self.columns {
                self.panel::<S, 2>(simd, strip, column);
                column += 2 * lanes;
            }
            if column < self.columns {
                self.panel::<S, 1>(simd, strip, column);
            }
        }
    }
}

impl<T: Real> Correlation<'_, T> {
    /// All rows of V registers of columns.
    #[inline(always)]
    fn panel<S: Simd, const V: usize>(&mut self, simd: S, strip: (&[u32], &[u32]), column: usize) {
        let mut first = 0;
        for run in self.runs {
            let mut row = 0;
            while row < run.length {
                let start = run.start + row;
                row += match run.length - row {
                    0..3 => self.rows::<S, 1, V>(simd, strip, start, first + row, column),
                    3 => self.rows::<S, 3, V>(simd, strip, start, first + row, column),
                    4 | 5 => self.rows::<S, 4, V>(simd, strip, start, first + row, column),
                    _ => self.rows::<S, 6, V>(simd, strip, start, first + row, column),
                };
            }
            first += run.length;
        }
    }

    /// R rows of V registers of columns over a strip of pixels; how many rows these are.
    #[inline(always)]
    fn rows<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        (at, to): (&[u32], &[u32]),
        start: usize,
        row: usize,
        column: usize,
    ) -> usize {
        let mut sums = [[T::splat(simd, T::ZERO); V]; R];
        let (x, dy) = (&self.x[start..], &self.dy[column..]);
        for (at, to) in at.iter().zip(to) {
            let x: &[T; R] = x[*at as usize..].first_chunk().expect("windows lie inside the frame");
            let dy: &[T::Vector<S>; V] =
                T::vectors::<S>(&dy[*to as usize..]).first_chunk().expect("columns are whole registers");
            for r in 0..R {
                let x = T::splat(simd, x[r]);
                for v in 0..V {
                    sums[r][v] = T::multiply_add(simd, x, dy[v], sums[r][v]);
                }
            }
        }
        for (sums, row) in sums.iter().zip(row..) {
            let targets = T::vectors_mut::<S>(&mut self.sums[row * self.columns + column..]);
            for (target, sum) in targets.iter_mut().zip(sums) {
                *target = T::plus(simd, *target, *sum);
            }
        }
        R
    }
}
