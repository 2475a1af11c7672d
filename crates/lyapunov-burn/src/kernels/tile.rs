//! The inner loop of a convolution: a few pixels by two registers of channels, summed over a window in registers.
//!
//! A pixel of the output is a sum over runs of consecutive numbers of the framed input, one for each row of the kernel;
//! each number meets a row of the packed weights. Every sum is taken in the order of the rows, from the bias on, in
//! parts of up to 256 terms, by multiplications and additions that are rounded once: so its bits depend neither on the
//! instruction set nor on the tile that a pixel falls into.

use pulp::{Simd, WithSimd};

use super::{
    number::{Real, lanes, lanes_here},
    workspace::{Numbers, Workspace},
};

/// Consecutive numbers of a framed image, `start` away from where its pixel begins, that meet as many rows of weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub start: usize,
    pub length: usize,
}

impl Run {
    /// The same in pieces that are added up at once.
    pub fn pieces(self) -> impl Iterator<Item = Self> {
        let piece = move |first| Self { start: self.start + first, length: TERMS.min(self.length - first) };
        (0..self.length).step_by(TERMS).map(piece)
    }
}

/// Weights [rows, columns] in panels of two registers of columns, the last of one or two, padded with zeros.
#[derive(Debug)]
pub(super) struct Packed {
    numbers: Numbers,
    rows: usize,
    columns: usize,
}

impl Packed {
    /// Packs what `entry(row, column)` gives.
    pub fn new<T: Real>(
        space: &Workspace,
        [rows, columns]: [usize; 2],
        entry: impl Fn(usize, usize) -> T + Sync,
    ) -> Self {
        Self::by_panels(space, [rows, columns], |panel, wide, first, there| {
            for (row, target) in panel.chunks_exact_mut(wide).enumerate() {
                for (column, target) in target[..there].iter_mut().enumerate() {
                    *target = entry(row, first + column);
                }
                target[there..].fill(T::ZERO);
            }
        })
    }

    /// Packs a matrix [rows, columns] whose rows are so far apart.
    pub fn rows<T: Real>(space: &Workspace, [rows, columns]: [usize; 2], (matrix, step): (&[T], usize)) -> Self {
        Self::by_panels(space, [rows, columns], |panel, wide, first, there| {
            for (target, row) in panel.chunks_exact_mut(wide).zip(matrix.chunks(step)) {
                target[..there].copy_from_slice(&row[first..][..there]);
                target[there..].fill(T::ZERO);
            }
        })
    }

    /// Packs the transpose of a matrix [columns, rows] whose rows are so far apart.
    pub fn transposed<T: Real>(space: &Workspace, [rows, columns]: [usize; 2], (matrix, step): (&[T], usize)) -> Self {
        Self::by_panels(space, [rows, columns], |panel, wide, first, there| {
            if there < wide {
                panel.fill(T::ZERO);
            }
            transpose([there, rows], (&matrix[first * step..], step), (panel, wide));
        })
    }

    /// Packs panel by panel: `fill` gets one, its width, its first column, and how many columns there are of it.
    fn by_panels<T: Real>(
        space: &Workspace,
        [rows, columns]: [usize; 2],
        fill: impl Fn(&mut [T], usize, usize, usize) + Sync,
    ) -> Self {
        let lanes = lanes_here::<T>();
        let (total, most) = (columns.next_multiple_of(lanes), 2 * lanes);
        let mut numbers = space.numbers::<T>(rows * total);
        let panels = numbers.slice_mut::<T>().chunks_mut((rows * most).max(1)).enumerate();
        let fill = |(index, panel): (usize, &mut [T])| {
            let first = index * most;
            let wide = most.min(total - first);
            fill(panel, wide, first, wide.min(columns - first));
        };
        // A few numbers are packed before a thread is awake.
        if rows * total < SHARED {
            panels.for_each(fill);
        } else {
            space.for_each(panels, fill);
        }
        Self { numbers, rows, columns }
    }
}

/// Numbers from which on threads pack together.
const SHARED: usize = 1 << 16;

/// Numbers along a side of the squares in which a matrix is transposed: rows that are far apart fall into the same few
/// places of the cache, unless whole lines of it are read and written.
const SQUARE: usize = 16;

/// to[column, row] = from[row, column], where rows of each are so far apart.
pub(super) fn transpose<T: Real>(
    [rows, columns]: [usize; 2],
    (from, width): (&[T], usize),
    (to, height): (&mut [T], usize),
) {
    let mut square = [[T::ZERO; SQUARE]; SQUARE];
    for row in (0..rows).step_by(SQUARE) {
        let tall = SQUARE.min(rows - row);
        for column in (0..columns).step_by(SQUARE) {
            let wide = SQUARE.min(columns - column);
            for (line, square) in square[..tall].iter_mut().enumerate() {
                square[..wide].copy_from_slice(&from[(row + line) * width + column..][..wide]);
            }
            for line in 0..wide {
                let to = &mut to[(column + line) * height + row..][..tall];
                to.iter_mut().zip(&square).for_each(|(to, square)| *to = square[line]);
            }
        }
    }
}

/// out[to[i], :] = bias + Σ over runs of x[at[i] + run] × weights.
pub(super) struct Tiles<'a, T> {
    /// Framed images.
    pub x: &'a [T],
    /// Where the window of each pixel begins.
    pub at: &'a [u32],
    /// Where each pixel of the output begins.
    pub to: &'a [u32],
    pub runs: &'a [Run],
    pub weights: &'a Packed,
    pub bias: Option<&'a [T]>,
    pub out: &'a mut [T],
    /// Whether the sums are added to what is there.
    pub adds: bool,
}

impl<T: Real> WithSimd for Tiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (lanes, rows) = (lanes::<T, S>(), self.weights.rows);
        let total = self.weights.columns.next_multiple_of(lanes);
        let weights = self.weights.numbers.slice::<T>();
        // The window is taken in parts, for all pixels and channels before the next part, so that what is read again
        // stays in the caches: long sums also lose less that way.
        let (mut rest, mut done, mut adds) = (self.runs, 0, self.adds);
        while !rest.is_empty() {
            let (runs, others) = rest.split_at(together(rest));
            let terms: usize = runs.iter().map(|run| run.length).sum();
            for first in (0..total).step_by(2 * lanes) {
                let wide = (2 * lanes).min(total - first);
                let panel = &weights[first * rows + done * wide..][..wide * terms];
                // As many sums as registers hold beside the weights and a pixel.
                match (wide == lanes, S::REGISTER_COUNT >= 32) {
                    (true, false) => self.panel::<S, 10, 1>(simd, runs, panel, first, adds),
                    (false, false) => self.panel::<S, 6, 2>(simd, runs, panel, first, adds),
                    (true, true) => self.panel::<S, 12, 1>(simd, runs, panel, first, adds),
                    (false, true) => self.panel::<S, 8, 2>(simd, runs, panel, first, adds),
                }
            }
            (rest, done, adds) = (others, done + terms, true);
        }
    }
}

impl<T: Real> Tiles<'_, T> {
    /// What some of the runs give to the channels from `first` on that a panel of weights makes, of all pixels.
    #[inline(always)]
    fn panel<S: Simd, const P: usize, const V: usize>(
        &mut self,
        simd: S,
        runs: &[Run],
        panel: &[T],
        first: usize,
        adds: bool,
    ) {
        let weights = T::vectors::<S>(panel).as_chunks::<V>().0;
        let width = (V * lanes::<T, S>()).min(self.weights.columns - first);
        let mut start = [T::splat(simd, T::ZERO); V];
        if let (Some(bias), false) = (self.bias, adds) {
            bytemuck::cast_slice_mut(&mut start)[..width].copy_from_slice(&bias[first..][..width]);
        }
        let (ats, at) = self.at.as_chunks::<P>();
        let (tos, to) = self.to.as_chunks::<P>();
        for (at, to) in ats.iter().zip(tos) {
            let sums = tile::<T, S, P, V>(simd, (self.x, at), runs, weights, start);
            for (sums, to) in sums.into_iter().zip(to) {
                store::<T, S, V>(simd, &mut self.out[*to as usize + first..][..width], sums, adds);
            }
        }
        match at {
            [] => {}
            [at] => {
                let [sums] = tile::<T, S, 1, V>(simd, (self.x, &[*at]), runs, weights, start);
                store::<T, S, V>(simd, &mut self.out[to[0] as usize + first..][..width], sums, adds);
            }
            // The last of them stands in for those that are missing: a few alone would wait for each other's sums.
            [.., last] => {
                let mut whole = [*last; P];
                whole[..at.len()].copy_from_slice(at);
                let sums = tile::<T, S, P, V>(simd, (self.x, &whole), runs, weights, start);
                for (sums, to) in sums.into_iter().zip(to) {
                    store::<T, S, V>(simd, &mut self.out[*to as usize + first..][..width], sums, adds);
                }
            }
        }
    }
}

/// How many terms are added up before they are added to those before them.
pub(super) const TERMS: usize = 256;

/// How many of the runs are added up together: one at least.
fn together(runs: &[Run]) -> usize {
    let mut terms = 0;
    let fits = |run: &&Run| {
        terms += run.length;
        terms <= TERMS
    };
    runs.iter().take_while(fits).count().max(1)
}

/// Writes sums, or adds them to what is there: as many as there is room for.
#[inline(always)]
fn store<T: Real, S: Simd, const V: usize>(simd: S, out: &mut [T], mut sums: [T::Vector<S>; V], adds: bool) {
    let registers = T::vectors_mut::<S>(out);
    if registers.len() == V {
        for (register, sum) in registers.iter_mut().zip(sums) {
            *register = if adds { T::plus(simd, *register, sum) } else { sum };
        }
        return;
    }
    if adds {
        let mut before = [T::splat(simd, T::ZERO); V];
        bytemuck::cast_slice_mut(&mut before)[..out.len()].copy_from_slice(out);
        for (sum, before) in sums.iter_mut().zip(before) {
            *sum = T::plus(simd, before, *sum);
        }
    }
    out.copy_from_slice(&bytemuck::cast_slice(&sums)[..out.len()]);
}

/// `start` + Σ over runs, for P pixels.
#[inline(always)]
fn tile<T: Real, S: Simd, const P: usize, const V: usize>(
    simd: S,
    (x, at): (&[T], &[u32; P]),
    runs: &[Run],
    mut weights: &[[T::Vector<S>; V]],
    start: [T::Vector<S>; V],
) -> [[T::Vector<S>; V]; P] {
    let mut sums = [start; P];
    for run in runs {
        let (rows, others) = weights.split_at(run.length);
        weights = others;
        let mut pixels = [x; P];
        for (pixel, at) in pixels.iter_mut().zip(at) {
            *pixel = &x[*at as usize + run.start..][..rows.len()];
        }
        for (row, weights) in rows.iter().enumerate() {
            for p in 0..P {
                let pixel = T::splat(simd, pixels[p][row]);
                for v in 0..V {
                    sums[p][v] = T::multiply_add(simd, pixel, weights[v], sums[p][v]);
                }
            }
        }
    }
    sums
}
