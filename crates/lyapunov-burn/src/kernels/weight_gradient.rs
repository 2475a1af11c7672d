//! The gradient of a convolution in its kernel, and in its bias.
//!
//! dw[row, output] is a sum over all pixels of all images, of a number of the window times one of dy. It is taken over
//! strips of pixels that stay in the first cache, each from zero, and the strips are added in their order. Threads
//! share the rows of dw, not the images: so no sum depends on how many there are.

use pulp::{Simd, WithSimd};

use super::{
    convolve::{Windows, framed},
    number::{Real, arch, lanes, lanes_here},
    shape::Shape,
    tile::{Run, transpose},
    workspace::Workspace,
};

/// Pixels of a strip.
const STRIP: usize = 128;

/// dw [outputs, inputs, kernel, kernel] of x [examples, size, size, inputs] and dy [examples, side, side, outputs].
pub(crate) fn weight_gradient<T: Real>(space: &Workspace, shape: &Shape, x: &[T], dy: &[T], dw: &mut [T]) {
    let lanes = lanes_here::<T>();
    if !shape.is_pointwise() {
        let columns = shape.outputs.next_multiple_of(lanes);
        let mut sums = space.numbers::<T>(shape.rows() * columns);
        correlate(space, shape, [x, dy], sums.slice_mut());
        return unpack(shape, sums.slice(), columns, dw);
    }
    // Turned round, a matrix is in PyTorch's order at once.
    let turned = Shape { inputs: shape.outputs, outputs: shape.inputs, ..*shape };
    let columns = shape.inputs.next_multiple_of(lanes);
    if columns == shape.inputs {
        return correlate(space, &turned, [dy, x], dw);
    }
    let mut sums = space.numbers::<T>(shape.outputs * columns);
    correlate(space, &turned, [dy, x], sums.slice_mut());
    for (to, from) in dw.chunks_exact_mut(shape.inputs).zip(sums.slice().chunks_exact(columns)) {
        to.copy_from_slice(&from[..shape.inputs]);
    }
}

/// Writes what all images give to `sums` [kernel × kernel × inputs, outputs], whose rows are whole registers.
fn correlate<T: Real>(space: &Workspace, shape: &Shape, [x, dy]: [&[T]; 2], sums: &mut [T]) {
    let (rows, columns) = (shape.rows(), shape.outputs.next_multiple_of(lanes_here::<T>()));
    let examples = x.len() / shape.image();
    // Images of one pixel fill a strip together.
    let windows = match shape.size {
        1 => Windows::of_group(shape, examples),
        _ => Windows::new::<T>(shape, examples),
    };
    let height = rows.div_ceil(space.threads());
    space.for_each(sums.chunks_mut(height * columns).enumerate(), |(part, sums)| {
        let runs = cut(&windows.runs, part * height, sums.len() / columns);
        correlate_rows(space, shape, &windows, &runs, [x, dy], sums);
    });
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

/// Writes what all images give to the rows of `sums` that meet the `runs`.
fn correlate_rows<T: Real>(
    space: &Workspace,
    shape: &Shape,
    windows: &Windows,
    runs: &[Run],
    [x, dy]: [&[T]; 2],
    sums: &mut [T],
) {
    let columns = shape.outputs.next_multiple_of(lanes_here::<T>());
    let mut room = space.numbers::<T>(room(columns));
    let mut wide = (columns > shape.outputs).then(|| space.zeros::<T>(windows.at.len() * columns));
    let groups = x.chunks(windows.group * shape.image()).zip(dy.chunks(windows.group * shape.output()));
    for (group, (x, dy)) in groups.enumerate() {
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
            let at = &windows.at[..pixels];
            let room = room.slice_mut();
            let adds = group > 0;
            arch().dispatch(Correlation { x, dy, at, runs, sums: &mut *sums, columns, room, adds });
        });
    }
}

/// From [kernel × kernel × inputs, columns] to [outputs, inputs, kernel × kernel].
fn unpack<T: Real>(shape: &Shape, sums: &[T], columns: usize, dw: &mut [T]) {
    const BLOCK: usize = 16;
    let (taps, rows) = (shape.kernel * shape.kernel, shape.rows());
    if taps == 1 {
        return transpose([rows, shape.outputs], (sums, columns), (dw, rows));
    }
    for (block, dw) in dw.chunks_mut(BLOCK * rows).enumerate() {
        for (input, tap) in (0..shape.inputs).flat_map(|input| (0..taps).map(move |tap| (input, tap))) {
            let from = &sums[(tap * shape.inputs + input) * columns + block * BLOCK..];
            for (to, from) in dw[input * taps + tap..].iter_mut().step_by(rows).zip(from) {
                *to = *from;
            }
        }
    }
}

/// sums[row, :] = Σ over pixels of x[at[pixel] + row] dy[pixel, :], or added to what is there.
struct Correlation<'a, T> {
    x: &'a [T],
    dy: &'a [T],
    at: &'a [u32],
    runs: &'a [Run],
    sums: &'a mut [T],
    columns: usize,
    /// Room for the numbers of a strip, side by side.
    room: &'a mut [T],
    adds: bool,
}

/// Rows of dw in a tile, and how far apart the pixels of a tile stand where they are copied.
const TILE: usize = 6;
const STEP: usize = 8;

/// Columns whose numbers of a strip stay in the second cache, at most.
const COLUMNS: usize = 512;

/// How much room a strip takes.
fn room(columns: usize) -> usize {
    STRIP * (STEP + columns.min(COLUMNS))
}

impl<T: Real> WithSimd for Correlation<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for (at, dy) in self.at.chunks(STRIP).zip(self.dy.chunks(STRIP * self.columns)) {
            for start in (0..self.columns).step_by(COLUMNS) {
                self.strip(simd, (at, dy), [start, self.columns.min(start + COLUMNS)]);
            }
            self.adds = true;
        }
    }
}

impl<T: Real> Correlation<'_, T> {
    /// Writes or adds what a strip of pixels gives to the columns from `start` to `end`.
    #[inline(always)]
    fn strip<S: Simd>(&mut self, simd: S, (at, dy): (&[u32], &[T]), [start, end]: [usize; 2]) {
        let lanes = lanes::<T, S>();
        // Where pixels are far apart they fall into the same few places of the cache: side by side they do not.
        let copies = self.columns >= 8 * lanes;
        let (of_x, of_dy) = self.room.split_at_mut(STRIP * STEP);
        if copies {
            for (panel, first) in of_dy.chunks_mut(STRIP * 2 * lanes).zip((start..end).step_by(2 * lanes)) {
                let wide = (2 * lanes).min(end - first);
                for (pixel, target) in dy.chunks_exact(self.columns).zip(panel.chunks_exact_mut(wide)) {
                    target.copy_from_slice(&pixel[first..][..wide]);
                }
            }
        }
        let mut first = 0;
        for run in self.runs {
            let mut row = 0;
            while row < run.length {
                let rows = tile(run.length - row);
                let x = &self.x[run.start + row..];
                if copies {
                    side_by_side((x, at), rows, of_x);
                }
                for column in (start..end).step_by(2 * lanes) {
                    let wide = (2 * lanes).min(end - column);
                    let numbers = &mut self.sums[(first + row) * self.columns + column..];
                    let target = Target { numbers, columns: self.columns, adds: self.adds };
                    if copies {
                        let x = &of_x[..at.len() * STEP];
                        let dy = &of_dy[(column - start) * STRIP..][..at.len() * wide];
                        match (rows, wide == lanes) {
                            (1, false) => copied::<T, S, 1, 2>(simd, x, dy, target),
                            (3, false) => copied::<T, S, 3, 2>(simd, x, dy, target),
                            (4, false) => copied::<T, S, 4, 2>(simd, x, dy, target),
                            (_, false) => copied::<T, S, TILE, 2>(simd, x, dy, target),
                            (1, true) => copied::<T, S, 1, 1>(simd, x, dy, target),
                            (3, true) => copied::<T, S, 3, 1>(simd, x, dy, target),
                            (4, true) => copied::<T, S, 4, 1>(simd, x, dy, target),
                            (_, true) => copied::<T, S, TILE, 1>(simd, x, dy, target),
                        }
                        continue;
                    }
                    let (x, dy) = ((x, at), (dy, column));
                    match (rows, wide == lanes) {
                        (1, false) => in_place::<T, S, 1, 2>(simd, x, dy, target),
                        (3, false) => in_place::<T, S, 3, 2>(simd, x, dy, target),
                        (4, false) => in_place::<T, S, 4, 2>(simd, x, dy, target),
                        (_, false) => in_place::<T, S, TILE, 2>(simd, x, dy, target),
                        (1, true) => in_place::<T, S, 1, 1>(simd, x, dy, target),
                        (3, true) => in_place::<T, S, 3, 1>(simd, x, dy, target),
                        (4, true) => in_place::<T, S, 4, 1>(simd, x, dy, target),
                        (_, true) => in_place::<T, S, TILE, 1>(simd, x, dy, target),
                    }
                }
                row += rows;
            }
            first += run.length;
        }
    }
}

/// Copies so many numbers of the pixel at each of these places, [`STEP`] apart.
#[inline(always)]
fn side_by_side<T: Real>((x, at): (&[T], &[u32]), rows: usize, to: &mut [T]) {
    let pixels = at.iter().zip(to.chunks_exact_mut(STEP));
    if rows == TILE {
        for (at, to) in pixels {
            let numbers: &[T; TILE] = x[*at as usize..].first_chunk().expect(INSIDE);
            to[..TILE].copy_from_slice(numbers);
        }
    } else {
        for (at, to) in pixels {
            to[..rows].copy_from_slice(&x[*at as usize..][..rows]);
        }
    }
}

const INSIDE: &str = "windows lie inside the frame";

/// How many rows the next tile has where so many are left.
#[inline(always)]
fn tile(left: usize) -> usize {
    match left {
        0..3 => 1,
        3 => 3,
        4 | 5 => 4,
        _ => TILE,
    }
}

/// Where the sums of a tile begin, how far apart their rows are, and whether they are added to what is there.
struct Target<'a, T> {
    numbers: &'a mut [T],
    columns: usize,
    adds: bool,
}

impl<T: Real> Target<'_, T> {
    #[inline(always)]
    fn write<S: Simd, const R: usize, const V: usize>(self, simd: S, sums: [[T::Vector<S>; V]; R]) {
        for (r, sums) in sums.iter().enumerate() {
            let target = T::vectors_mut::<S>(&mut self.numbers[r * self.columns..]);
            for (target, sum) in target.iter_mut().zip(sums) {
                *target = if self.adds { T::plus(simd, *target, *sum) } else { *sum };
            }
        }
    }
}

// One loop in one function, and its sums written at the end: where two loops share their sums, they are kept on the
// stack, which is five times slower.

/// R rows of V registers of columns over a strip of pixels that were copied: those of x [`STEP`] apart, those of dy
/// side by side.
#[inline(always)]
fn copied<T: Real, S: Simd, const R: usize, const V: usize>(simd: S, x: &[T], dy: &[T], target: Target<T>) {
    let mut sums = [[T::splat(simd, T::ZERO); V]; R];
    for (x, dy) in x.as_chunks::<STEP>().0.iter().zip(T::vectors::<S>(dy).as_chunks::<V>().0) {
        for r in 0..R {
            let x = T::splat(simd, x[r]);
            for v in 0..V {
                sums[r][v] = T::multiply_add(simd, x, dy[v], sums[r][v]);
            }
        }
    }
    target.write::<S, R, V>(simd, sums);
}

/// R rows of V registers of columns over a strip of pixels that lie at these places of x; those of dy are as far apart
/// as the columns of the target.
#[inline(always)]
fn in_place<T: Real, S: Simd, const R: usize, const V: usize>(
    simd: S,
    (x, at): (&[T], &[u32]),
    (dy, column): (&[T], usize),
    target: Target<T>,
) {
    let lanes = lanes::<T, S>();
    let (step, column) = (target.columns / lanes, column / lanes);
    let mut sums = [[T::splat(simd, T::ZERO); V]; R];
    for (at, dy) in at.iter().zip(T::vectors::<S>(dy).chunks_exact(step)) {
        let x: &[T; R] = x[*at as usize..].first_chunk().expect(INSIDE);
        let dy: &[T::Vector<S>; V] = dy[column..].first_chunk().expect("columns are whole registers");
        for r in 0..R {
            let x = T::splat(simd, x[r]);
            for v in 0..V {
                sums[r][v] = T::multiply_add(simd, x, dy[v], sums[r][v]);
            }
        }
    }
    target.write::<S, R, V>(simd, sums);
}
