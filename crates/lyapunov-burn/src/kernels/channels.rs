//! Passes over pixels [pixels, channels] with numbers of their own for each channel: maps, and sums over all pixels.
//!
//! Sums are taken in the precision of the numbers over a few pixels, and in f64 over those: parts of a fixed length, in
//! their order.

use super::{
    number::{Real, in_registers},
    workspace::Workspace,
};

/// Numbers that are worked on at once: a few registers.
const WIDE: usize = 32;
/// The same where fewer are left.
const NARROW: usize = 8;
/// Rows whose sum is taken in the precision of the numbers.
const ROWS: usize = 64;
/// Numbers of a part, about.
const PART: usize = 1 << 16;

/// Pixels put side by side, so that a row of them is a multiple of [`WIDE`] long where that is not too long.
fn row(channels: usize) -> usize {
    let whole = (1..=WIDE).map(|pixels| pixels * channels).find(|length| length % WIDE == 0);
    whole.filter(|length| *length <= 1024).unwrap_or(channels)
}

/// The numbers of the channels for every place of a row.
fn repeated<T: Real>(values: &[T]) -> Vec<T> {
    (0..row(values.len())).map(|place| values[place % values.len()]).collect()
}

/// L numbers of each of the slices, from a place on.
#[inline(always)]
fn piece<T: Real, const N: usize, const L: usize>(slices: &[&[T]; N], place: usize) -> [[T; L]; N] {
    std::array::from_fn(|n| *slices[n][place..].first_chunk().expect("slices are of one length"))
}

/// The numbers of one place out of each piece.
#[inline(always)]
fn at<T: Copy, const N: usize, const L: usize>(pieces: &[[T; L]; N], place: usize) -> [T; N] {
    std::array::from_fn(|n| pieces[n][place])
}

/// outputs = map(inputs, coefficients of the channel), number by number.
pub(super) fn map<T: Real, const N: usize, const M: usize, const O: usize>(
    space: &Workspace,
    outputs: [&mut [T]; O],
    inputs: [&[T]; N],
    coefficients: [&[T]; M],
    map: impl Fn([T; N], [T; M]) -> [T; O] + Copy + Sync,
) {
    let row = row(coefficients.first().map_or(WIDE, |values| values.len()));
    let coefficients = coefficients.map(repeated);
    let length = row * (PART / row).max(1);
    let total = outputs[0].len();
    let mut outputs = outputs.map(|output| output.chunks_mut(length));
    let parts = (0..total.div_ceil(length)).map(|part| {
        let inputs = inputs.map(|input| &input[part * length..total.min((part + 1) * length)]);
        (outputs.each_mut().map(|output| output.next().expect("outputs are of one length")), inputs)
    });
    space.for_each(parts, |(mut outputs, inputs)| {
        let coefficients = coefficients.each_ref().map(Vec::as_slice);
        in_registers(
            #[inline(always)]
            || {
                for start in (0..inputs[0].len()).step_by(row) {
                    let row = row.min(inputs[0].len() - start);
                    let mut place = 0;
                    while place + WIDE <= row {
                        map_piece::<T, N, M, O, WIDE>(&mut outputs, &inputs, &coefficients, [start, place], map);
                        place += WIDE;
                    }
                    while place + NARROW <= row {
                        map_piece::<T, N, M, O, NARROW>(&mut outputs, &inputs, &coefficients, [start, place], map);
                        place += NARROW;
                    }
                    while place < row {
                        map_piece::<T, N, M, O, 1>(&mut outputs, &inputs, &coefficients, [start, place], map);
                        place += 1;
                    }
                }
            },
        );
    });
}

#[inline(always)]
fn map_piece<T: Real, const N: usize, const M: usize, const O: usize, const L: usize>(
    outputs: &mut [&mut [T]; O],
    inputs: &[&[T]; N],
    coefficients: &[&[T]; M],
    [start, place]: [usize; 2],
    map: impl Fn([T; N], [T; M]) -> [T; O],
) {
    let (inputs, coefficients) = (piece::<T, N, L>(inputs, start + place), piece::<T, M, L>(coefficients, place));
    let mut made = [[T::ZERO; L]; O];
    for l in 0..L {
        let numbers = map(at(&inputs, l), at(&coefficients, l));
        for (made, number) in made.iter_mut().zip(numbers) {
            made[l] = number;
        }
    }
    for (output, made) in outputs.iter_mut().zip(made) {
        output[start + place..][..L].copy_from_slice(&made);
    }
}

/// Σ over pixels of terms(inputs, coefficients of the channel), channel by channel.
pub(super) fn sums<T: Real, const N: usize, const M: usize, const K: usize>(
    space: &Workspace,
    channels: usize,
    inputs: [&[T]; N],
    coefficients: [&[T]; M],
    terms: impl Fn([T; N], [T; M]) -> [T; K] + Copy + Sync,
) -> [Vec<f64>; K] {
    let row = row(channels);
    let coefficients = coefficients.map(repeated);
    let (block, total) = (row * ROWS, inputs[0].len());
    let length = block * (PART / block).max(1);
    let mut totals = vec![[const { Vec::new() }; K]; total.div_ceil(length)];
    let parts = totals.iter_mut().enumerate();
    space.for_each(parts, |(part, totals)| {
        let inputs = inputs.map(|input| &input[part * length..total.min((part + 1) * length)]);
        let coefficients = coefficients.each_ref().map(Vec::as_slice);
        *totals = [const { Vec::new() }; K].map(|_: Vec<f64>| vec![0.0; channels]);
        in_registers(
            #[inline(always)]
            || {
                for start in (0..inputs[0].len()).step_by(block) {
                    let inputs = inputs.map(|input| &input[start..input.len().min(start + block)]);
                    let whole = inputs[0].len() / row * row;
                    add_rows(totals, &inputs.map(|input| &input[..whole]), &coefficients, row, terms);
                    let rest = inputs[0].len() - whole;
                    add_rows(totals, &inputs.map(|input| &input[whole..]), &coefficients, rest, terms);
                }
            },
        );
    });
    let mut totals = totals.into_iter();
    let first = totals.next().unwrap_or([const { Vec::new() }; K]);
    totals.fold(first, |mut sums, part| {
        for (sum, more) in sums.iter_mut().flatten().zip(part.iter().flatten()) {
            *sum += more;
        }
        sums
    })
}

/// Adds rows of one length.
#[inline(always)]
fn add_rows<T: Real, const N: usize, const M: usize, const K: usize>(
    totals: &mut [Vec<f64>; K],
    inputs: &[&[T]; N],
    coefficients: &[&[T]; M],
    row: usize,
    terms: impl Fn([T; N], [T; M]) -> [T; K] + Copy,
) {
    let mut place = 0;
    while place + WIDE <= row {
        add_piece::<T, N, M, K, WIDE>(totals, inputs, coefficients, [row, place], terms);
        place += WIDE;
    }
    while place + NARROW <= row {
        add_piece::<T, N, M, K, NARROW>(totals, inputs, coefficients, [row, place], terms);
        place += NARROW;
    }
    while place < row {
        add_piece::<T, N, M, K, 1>(totals, inputs, coefficients, [row, place], terms);
        place += 1;
    }
}

#[inline(always)]
fn add_piece<T: Real, const N: usize, const M: usize, const K: usize, const L: usize>(
    totals: &mut [Vec<f64>; K],
    inputs: &[&[T]; N],
    coefficients: &[&[T]; M],
    [row, place]: [usize; 2],
    terms: impl Fn([T; N], [T; M]) -> [T; K],
) {
    let coefficients = piece::<T, M, L>(coefficients, place);
    let mut sums = [[T::ZERO; L]; K];
    for start in (0..inputs[0].len()).step_by(row) {
        let inputs = piece::<T, N, L>(inputs, start + place);
        for l in 0..L {
            let numbers = terms(at(&inputs, l), at(&coefficients, l));
            for (sums, number) in sums.iter_mut().zip(numbers) {
                sums[l] += number;
            }
        }
    }
    for (totals, sums) in totals.iter_mut().zip(sums) {
        let channels = totals.len();
        for (l, sum) in sums.into_iter().enumerate() {
            totals[(place + l) % channels] += sum.to_f64();
        }
    }
}

/// Σ over pixels, channel by channel: what a convolution's bias gets.
pub(crate) fn channel_sums<T: Real>(space: &Workspace, pixels: &[T], sums_of: &mut [T]) {
    let [total] = sums(
        space,
        sums_of.len(),
        [pixels],
        [],
        #[inline(always)]
        |[x], []| [x],
    );
    for (sum, total) in sums_of.iter_mut().zip(total) {
        *sum = T::from_f64(total);
    }
}
