//! The gradient of a convolution in its kernel, and in its bias.
//!
//! dw[row, output] is a sum over all pixels of all images, of a number of the window times one of dy. It is taken over
//! strips of pixels that stay in the first cache, each from zero, and the strips are added in their order. Threads
//! height the rows of dw, not the images: so no sum depends on how many there are.

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
    let (rows, columns) = (shape.rows(), shape.outputs.next_multiple_of(lanes_here::<T>()));
    let examples = x.len() / shape.image();
    // Images of one pixel fill a strip together.
    let windows = match shape.size {
        1 => Windows::of_group(shape, examples),
        _ => Windows::new::<T>(shape, examples),
    };
    let mut sums = space.zeros::<T>(rows * columns);
    let height = rows.div_ceil(space.threads());
    let parts = sums.slice_mut::<T>().chunks_mut(height * columns).enumerate();
    space.for_each(parts, |(part, sums)| {
        let runs = cut(&windows.runs, part * height, sums.len() / columns);
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
    let mut room = space.numbers::<T>(room(columns));
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
            let room = room.slice_mut();
            arch().dispatch(Correlation { x, dy, places, runs, sums: &mut *sums, columns, room });
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

/// sums[row, :] += Σ over pixels of x[at + row] dy[to, :].
struct Correlation<'a, T> {
    x: &'a [T],
    dy: &'a [T],
    places: (&'a [u32], &'a [u32]),
    runs: &'a [Run],
    sums: &'a mut [T],
    columns: usize,
    /// Room for the numbers of a strip, side by side.
    room: &'a mut [T],
}

/// Rows of dw in a tile, and how far apart the pixels of a tile stand where they are copied.
const TILE: usize = 6;
const STEP: usize = 8;

/// How much room a strip takes.
fn room(columns: usize) -> usize {
    STRIP * (STEP + columns)
}

/// Numbers at regular places, or at given ones.
#[derive(Clone, Copy)]
struct Column<'a, T> {
    numbers: &'a [T],
    places: &'a [u32],
}

impl<T: Real> WithSimd for Correlation<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (lanes, columns) = (lanes::<T, S>(), self.columns);
        // Where pixels are far apart they fall into the same few places of the cache: side by side they do not.
        let copies = columns >= 8 * lanes;
        let (of_x, of_dy) = self.room.split_at_mut(STRIP * STEP);
        let regular = |step: usize| -> [u32; STRIP] { std::array::from_fn(|pixel| (pixel * step) as u32) };
        let (by_steps, by_registers) = (regular(STEP), [regular(lanes), regular(2 * lanes)]);
        for (at, to) in self.places.0.chunks(STRIP).zip(self.places.1.chunks(STRIP)) {
            if copies {
                for (panel, target) in of_dy.chunks_mut(STRIP * 2 * lanes).enumerate() {
                    let (first, wide) = (panel * 2 * lanes, (2 * lanes).min(columns - panel * 2 * lanes));
                    for (to, target) in to.iter().zip(target.chunks_exact_mut(wide)) {
                        target.copy_from_slice(&self.dy[*to as usize + first..][..wide]);
                    }
                }
            }
            let mut first = 0;
            for run in self.runs {
                let mut row = 0;
                while row < run.length {
                    let rows = tile(run.length - row);
                    let mut x = Column { numbers: &self.x[run.start + row..], places: at };
                    if copies {
                        for (at, target) in at.iter().zip(of_x.chunks_exact_mut(STEP)) {
                            target[..rows].copy_from_slice(&x.numbers[*at as usize..][..rows]);
                        }
                        x = Column { numbers: of_x, places: &by_steps[..at.len()] };
                    }
                    for column in (0..columns).step_by(2 * lanes) {
                        let wide = (2 * lanes).min(columns - column);
                        let dy = if copies {
                            let places = &by_registers[wide / lanes - 1][..at.len()];
                            Column { numbers: &of_dy[column * STRIP..], places }
                        } else {
                            Column { numbers: &self.dy[column..], places: to }
                        };
                        let target = &mut self.sums[(first + row) * columns + column..];
                        match (rows, wide == lanes) {
                            (1, false) => add::<T, S, 1, 2>(simd, x, dy, target, columns),
                            (3, false) => add::<T, S, 3, 2>(simd, x, dy, target, columns),
                            (4, false) => add::<T, S, 4, 2>(simd, x, dy, target, columns),
                            (_, false) => add::<T, S, TILE, 2>(simd, x, dy, target, columns),
                            (1, true) => add::<T, S, 1, 1>(simd, x, dy, target, columns),
                            (3, true) => add::<T, S, 3, 1>(simd, x, dy, target, columns),
                            (4, true) => add::<T, S, 4, 1>(simd, x, dy, target, columns),
                            (_, true) => add::<T, S, TILE, 1>(simd, x, dy, target, columns),
                        }
                    }
                    row += rows;
                }
                first += run.length;
            }
        }
    }
}

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

/// R rows of V registers of columns over a strip of pixels.
#[inline(always)]
fn add<T: Real, S: Simd, const R: usize, const V: usize>(
    simd: S,
    x: Column<T>,
    dy: Column<T>,
    target: &mut [T],
    columns: usize,
) {
    let mut sums = [[T::splat(simd, T::ZERO); V]; R];
    for (at, to) in x.places.iter().zip(dy.places) {
        let x: &[T; R] = x.numbers[*at as usize..].first_chunk().expect("windows lie inside the frame");
        let dy: &[T::Vector<S>; V] =
            T::vectors::<S>(&dy.numbers[*to as usize..]).first_chunk().expect("columns are whole registers");
        for r in 0..R {
            let x = T::splat(simd, x[r]);
            for v in 0..V {
                sums[r][v] = T::multiply_add(simd, x, dy[v], sums[r][v]);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (target, sum) in T::vectors_mut::<S>(&mut target[r * columns..]).iter_mut().zip(sums) {
            *target = T::plus(simd, *target, *sum);
        }
    }
}
