//! The inner loop of a convolution: a few pixels by two registers of channels, summed over a window in registers.
//!
//! A pixel of the output is a sum over runs of consecutive numbers of the framed input, one for each row of the kernel;
//! each number meets a row of the packed weights. Every sum is taken in the order of the rows, from the bias on, by
//! multiplications and additions that are rounded once: so its bits depend neither on the instruction set nor on the
//! tile that a pixel falls into.

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
        entry: impl Fn(usize, usize) -> T,
    ) -> Self {
        let lanes = lanes_here::<T>();
        let total = columns.next_multiple_of(lanes);
        let mut numbers = space.numbers::<T>(rows * total);
        let mut rest = numbers.slice_mut::<T>();
        for first in (0..total).step_by(2 * lanes) {
            let wide = (2 * lanes).min(total - first);
            let there = wide.min(columns - first);
            let (panel, others) = rest.split_at_mut(rows * wide);
            for (row, target) in panel.chunks_exact_mut(wide).enumerate() {
                for (column, target) in target[..there].iter_mut().enumerate() {
                    *target = entry(row, first + column);
                }
                target[there..].fill(T::ZERO);
            }
            rest = others;
        }
        Self { numbers, rows, columns }
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
}

impl<T: Real> WithSimd for Tiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (lanes, rows) = (lanes::<T, S>(), self.weights.rows);
        let total = self.weights.columns.next_multiple_of(lanes);
        let weights = self.weights.numbers.slice::<T>();
        for first in (0..total).step_by(2 * lanes) {
            let wide = (2 * lanes).min(total - first);
            let panel = &weights[first * rows..][..wide * rows];
            // As many sums as registers hold beside the weights and a pixel.
            match (wide == lanes, S::REGISTER_COUNT >= 32) {
                (true, false) => self.panel::<S, 10, 1>(simd, panel, first),
                (false, false) => self.panel::<S, 6, 2>(simd, panel, first),
                (true, true) => self.panel::<S, 12, 1>(simd, panel, first),
                (false, true) => self.panel::<S, 8, 2>(simd, panel, first),
            }
        }
    }
}

impl<T: Real> Tiles<'_, T> {
    /// The channels from `first` on that a panel of weights makes.
    #[inline(always)]
    fn panel<S: Simd, const P: usize, const V: usize>(&mut self, simd: S, panel: &[T], first: usize) {
        let panel = T::vectors::<S>(panel).as_chunks::<V>().0;
        let width = (V * lanes::<T, S>()).min(self.weights.columns - first);
        let mut start = [T::splat(simd, T::ZERO); V];
        if let Some(bias) = self.bias {
            bytemuck::cast_slice_mut(&mut start)[..width].copy_from_slice(&bias[first..][..width]);
        }
        let (ats, at) = self.at.as_chunks::<P>();
        let (tos, to) = self.to.as_chunks::<P>();
        for (at, to) in ats.iter().zip(tos) {
            let sums = tile::<T, S, P, V>(simd, (self.x, at), self.runs, panel, start);
            for (sums, to) in sums.iter().zip(to) {
                store::<T, S, V>(&mut self.out[*to as usize + first..][..width], sums);
            }
        }
        for (at, to) in at.iter().zip(to) {
            let [sums] = tile::<T, S, 1, V>(simd, (self.x, &[*at]), self.runs, panel, start);
            store::<T, S, V>(&mut self.out[*to as usize + first..][..width], &sums);
        }
    }
}

/// Writes sums, as many as there is room for.
#[inline(always)]
fn store<T: Real, S: Simd, const V: usize>(out: &mut [T], sums: &[T::Vector<S>; V]) {
    let registers = T::vectors_mut::<S>(out);
    if registers.len() == V {
        registers.copy_from_slice(sums);
    } else {
        let sums: &[T] = bytemuck::cast_slice(sums);
        out.copy_from_slice(&sums[..out.len()]);
    }
}

/// How many terms are added up before they are added to those before them: long sums lose less that way.
const TERMS: usize = 256;

/// `start` + Σ over runs, for P pixels.
#[inline(always)]
fn tile<T: Real, S: Simd, const P: usize, const V: usize>(
    simd: S,
    (x, at): (&[T], &[u32; P]),
    runs: &[Run],
    mut weights: &[[T::Vector<S>; V]],
    start: [T::Vector<S>; V],
) -> [[T::Vector<S>; V]; P] {
    let (mut sums, mut before, mut terms) = ([start; P], None, 0);
    for run in runs {
        if terms + run.length > TERMS && terms > 0 {
            before = Some(joined::<T, S, P, V>(simd, sums, before));
            (sums, terms) = ([[T::splat(simd, T::ZERO); V]; P], 0);
        }
        terms += run.length;
        let (rows, others) = weights.split_at(run.length);
        weights = others;
        let pixels: [&[T]; P] = std::array::from_fn(|p| &x[at[p] as usize + run.start..][..rows.len()]);
        for (row, weights) in rows.iter().enumerate() {
            for p in 0..P {
                let pixel = T::splat(simd, pixels[p][row]);
                for v in 0..V {
                    sums[p][v] = T::multiply_add(simd, pixel, weights[v], sums[p][v]);
                }
            }
        }
    }
    joined::<T, S, P, V>(simd, sums, before)
}

/// What was added up before, and the latest terms.
#[inline(always)]
fn joined<T: Real, S: Simd, const P: usize, const V: usize>(
    simd: S,
    mut sums: [[T::Vector<S>; V]; P],
    before: Option<[[T::Vector<S>; V]; P]>,
) -> [[T::Vector<S>; V]; P] {
    if let Some(before) = before {
        for (sum, before) in sums.as_flattened_mut().iter_mut().zip(before.as_flattened()) {
            *sum = T::plus(simd, *sum, *before);
        }
    }
    sums
}
