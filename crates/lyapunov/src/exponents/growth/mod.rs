//! The accumulator of a measurement: sums of ln R_ii over blocks of steps, that can be saved, resumed and merged.

mod bytes;

use super::{Estimate, Exponents, error_bars};
use crate::{
    error::{Error, Result},
    system::Outcome,
};

/// With so many closed blocks, neighbours are added up and blocks become twice as long.
const BLOCKS: usize = 1024;
/// Renormalisations in a leaf: they are added up one after another, and everything above leaf by leaf, in pairs.
const LEAF: u64 = 8;
/// Numbers in a block before its k sums: the steps and the time.
const HEAD: usize = 2;

/// How much k deviations grew, block by block. Plain numbers: about 8 kB per exponent, whatever the length of the run.
///
/// Sums are added up along one binary tree over the renormalisations, whatever the interruptions, so a run that is
/// saved and resumed, or measured in two consecutive parts and merged, gives the bits of the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    count: usize,
    dimension: usize,
    /// Closed blocks one after another: steps, time, and k sums of ln R_ii each; 8 · 2^level renormalisations in each.
    blocks: Vec<f64>,
    /// By level below that of the blocks: a subtree that waits for its right neighbour.
    waiting: Vec<Option<Vec<f64>>>,
    /// The leaf that is being filled, in the form of a block, without what is still in `factors`.
    leaf: Vec<f64>,
    /// Products of R_ii whose logarithms have not been taken yet: one logarithm serves a whole leaf.
    factors: Vec<f64>,
    /// Renormalisations in the leaf.
    filled: u64,
    /// The step before which the state was not finite.
    diverged: Option<u64>,
}

impl Growth {
    /// Nothing yet, of `count` deviations in `dimension` dimensions.
    pub fn new(count: usize, dimension: usize) -> Self {
        let leaf = vec![0.0; HEAD + count];
        let factors = vec![1.0; count];
        Self { count, dimension, blocks: Vec::new(), waiting: Vec::new(), leaf, factors, filled: 0, diverged: None }
    }

    /// Adds one renormalisation: `factors` are the k numbers R_ii of the last `steps` steps, which took `time`.
    ///
    /// # Panics
    /// If there are not k factors.
    #[inline]
    pub fn add(&mut self, steps: u64, time: f64, factors: &[f64]) {
        const SAFE: std::ops::Range<f64> = 1e-100..1e100;
        assert_eq!(factors.len(), self.count, "one factor for each deviation");
        self.leaf[0] += steps as f64;
        self.leaf[1] += time;
        let mut safe = true;
        for (product, factor) in self.factors.iter_mut().zip(factors) {
            *product *= factor;
            safe &= SAFE.contains(product);
        }
        if !safe {
            self.take_logarithms();
        }
        self.filled += 1;
        if self.filled == LEAF {
            self.close();
        }
    }

    /// Moves the products into the leaf.
    fn take_logarithms(&mut self) {
        for (sum, product) in self.leaf[HEAD..].iter_mut().zip(&mut self.factors) {
            *sum += product.ln();
            *product = 1.0;
        }
    }

    /// Hangs the full leaf into the tree.
    fn close(&mut self) {
        self.take_logarithms();
        self.filled = 0;
        let mut subtree = std::mem::take(&mut self.leaf);
        for place in &mut self.waiting {
            let Some(mut left) = place.take() else {
                *place = Some(subtree);
                self.leaf = vec![0.0; HEAD + self.count];
                return;
            };
            left.iter_mut().zip(&subtree).for_each(|(a, b)| *a += b);
            subtree.clone_from(&left);
        }
        self.blocks.extend_from_slice(&subtree);
        subtree.fill(0.0);
        self.leaf = subtree;
        if self.block_count() >= BLOCKS {
            self.raise();
        }
    }

    /// Adds up neighbouring blocks; an odd last one waits.
    fn raise(&mut self) {
        let width = HEAD + self.count;
        let odd = !self.block_count().is_multiple_of(2);
        let last = odd.then(|| self.blocks.split_off(self.blocks.len() - width));
        self.blocks =
            self.blocks.chunks_exact(2 * width).flat_map(|pair| sum(&pair[..width], &pair[width..])).collect();
        self.waiting.push(last);
    }

    /// Marks that the state was not finite before this step.
    pub(super) fn diverge(&mut self, step: u64) {
        self.diverged = Some(step);
    }

    /// How the measurement stands.
    pub fn outcome(&self) -> Outcome {
        self.diverged.map_or(Outcome::Completed, |step| Outcome::Diverged { step })
    }

    /// The steps added so far.
    pub fn steps(&self) -> u64 {
        self.total()[0] as u64
    }

    /// The number k of deviations.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The dimension n of the space that the deviations live in.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    fn block_count(&self) -> usize {
        self.blocks.len() / (HEAD + self.count)
    }

    /// The closed blocks.
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.blocks.chunks_exact(HEAD + self.count)
    }

    /// Steps, time and the k sums, over closed blocks and what waits.
    fn total(&self) -> Vec<f64> {
        let mut total = vec![0.0; HEAD + self.count];
        let waiting = self.waiting.iter().rev().flatten().chain([&self.leaf]).map(Vec::as_slice);
        for row in self.rows().chain(waiting) {
            total.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        total[HEAD..].iter_mut().zip(&self.factors).for_each(|(sum, product)| *sum += product.ln());
        total
    }

    /// The exponents with their errors, so far.
    ///
    /// **Standard errors** come from the spectrum of the block sums at frequency zero and from the scatter of single
    /// blocks: together they distinguish averages whose error falls like 1/√N from those that telescope, whose error
    /// falls like 1/N. They hold the true value as often as those of a normal law do, within a few per cent, where the
    /// growth is correlated over no more than a hundredth of the run (see docs/book/src/reliability.md). Where it
    /// has a longer memory, as in area-preserving maps, they are enlarged by its power law, and still too small for
    /// a run that has not met the longest stays. **Aligned** says that the run was long enough to speak of a limit: at
    /// least 32 blocks (256 renormalisations), every standard error at most 10 % of |Λᵢ| or of |Λ_1|, the last two
    /// quarters agree on every exponent, within 5 % or their scatter, and no long memory was seen.
    pub fn exponents(&self) -> Exponents {
        self.exponents_with(&vec![0.0; self.count])
    }

    /// [`Growth::exponents`], where shorter time steps would add this `discretization` to them.
    pub(super) fn exponents_with(&self, discretization: &[f64]) -> Exponents {
        let total = self.total();
        let (steps, time, sums) = (total[0], total[1], &total[HEAD..]);
        let values: Vec<f64> = sums.iter().map(|sum| if steps > 0.0 { sum / steps } else { 0.0 }).collect();
        let unit = |i: usize| {
            let mut weights = vec![0.0; self.count];
            weights[i] = 1.0;
            weights
        };
        let off = |weights: &[f64]| weights.iter().zip(discretization).map(|(w, d)| w * d).sum::<f64>();
        let error_of = |weights: &[f64]| self.error_of(weights, &values).hypot(off(weights));
        let std_errors: Vec<f64> = (0..self.count).map(|i| error_of(&unit(i))).collect();
        Exponents {
            aligned: self.is_aligned(&values, &std_errors),
            sum: sum_where(&values, |_| true, error_of),
            entropy: sum_where(&values, |value| value > 0.0, error_of),
            kaplan_yorke: self.kaplan_yorke(&values, &std_errors, error_of),
            std_errors,
            discretization: discretization.to_vec(),
            values: values.clone(),
            steps: steps as u64,
            time,
            outcome: self.outcome(),
        }
    }

    /// The exponents as they stood at about `points` moments of the measurement, the present one last.
    ///
    /// **Cost**: as many times that of [`Growth::exponents`].
    pub fn history(&self, points: usize) -> Vec<Exponents> {
        let (blocks, width) = (self.block_count(), HEAD + self.count);
        let points = points.clamp(1, blocks.max(1));
        let up_to = |point: usize| {
            let end = blocks * point / points * width;
            Self { blocks: self.blocks[..end].to_vec(), ..Self::new(self.count, self.dimension) }.exponents()
        };
        (1..points).map(up_to).chain([self.exponents()]).collect()
    }

    /// The sums Σ wᵢ (ln R_ii − Λᵢ · steps) of every closed block.
    fn fluctuations(&self, weights: &[f64], values: &[f64]) -> Vec<f64> {
        let of_row = |row: &[f64]| {
            let terms = row[HEAD..].iter().zip(weights).zip(values).filter(|((_, weight), _)| **weight != 0.0);
            terms.map(|((sum, weight), value)| weight * (sum - value * row[0])).sum()
        };
        self.rows().map(of_row).collect()
    }

    /// The standard error of Σ wᵢ Λᵢ.
    fn error_of(&self, weights: &[f64], values: &[f64]) -> f64 {
        if values.iter().zip(weights).any(|(value, weight)| *weight != 0.0 && !value.is_finite()) {
            // A direction contracted to nothing is known exactly.
            return 0.0;
        }
        let steps: f64 = self.rows().map(|row| row[0]).sum();
        if steps > 0.0 {
            error_bars::deviation_of_sum(&self.fluctuations(weights, values)) / steps
        } else {
            f64::INFINITY
        }
    }

    /// The dimension, and its error: that of the same combination of exponents, linearised; and where other exponents
    /// within one error of these have their partial sum change sign at another index, as exponents that may be zero do,
    /// at least the distance to the dimension of those.
    fn kaplan_yorke(&self, values: &[f64], std_errors: &[f64], error_of: impl Fn(&[f64]) -> f64) -> Option<Estimate> {
        let (value, turn) = self.dimension_of(values)?;
        let mut std_error = match values.get(turn) {
            Some(last) if turn > 0 => {
                let mut weights = vec![1.0 / last.abs(); turn];
                weights.push((value - turn as f64) / last.abs());
                weights.resize(self.count, 0.0);
                error_of(&weights)
            }
            _ => 0.0,
        };
        for sign in [1.0, -1.0] {
            let shifted: Vec<f64> = values.iter().zip(std_errors).map(|(value, error)| value + sign * error).collect();
            // Beyond the exponents that were measured the dimension may be anything up to n.
            let (other, other_turn) = self.dimension_of(&shifted).unwrap_or((self.dimension as f64, self.dimension));
            if other_turn != turn && !other.is_nan() {
                std_error = std_error.max((other - value).abs());
            }
        }
        Some(Estimate { value, std_error })
    }

    /// The dimension, and the index at which the partial sum becomes negative; n for both where it never does. `None`
    /// where that lies beyond the exponents that were measured.
    fn dimension_of(&self, values: &[f64]) -> Option<(f64, usize)> {
        let mut partial = 0.0;
        for (j, value) in values.iter().enumerate() {
            if partial + value < 0.0 {
                let fraction = if value.is_finite() { partial / value.abs() } else { 0.0 };
                return Some((j as f64 + fraction, j));
            }
            partial += value;
        }
        (self.count == self.dimension).then_some((self.dimension as f64, self.dimension))
    }

    fn is_aligned(&self, values: &[f64], std_errors: &[f64]) -> bool {
        const FEWEST: usize = 32;
        let blocks = self.block_count();
        if blocks < FEWEST || self.diverged.is_some() {
            return false;
        }
        let length = self.rows().map(|row| row[0]).sum::<f64>() / blocks as f64;
        let settled = |i: usize| {
            let last_half: Vec<f64> = self.rows().skip(blocks / 2).map(|row| row[HEAD + i] / row[0] * length).collect();
            let rest = |row: &[f64]| row[HEAD + i] - values[i] * row[0];
            let rates: Vec<f64> = self.rows().map(rest).collect();
            error_bars::halves_agree(&last_half, length) && !error_bars::has_long_memory(&rates)
        };
        let finite = |i: &usize| values[*i].is_finite();
        (0..self.count).filter(finite).all(|i| is_precise(i, values, std_errors) && settled(i))
    }

    /// Appends the growth of the steps that followed these, measured apart on the same trajectory with the same
    /// deviations. The result has the bits of one measurement of the whole.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of deviations; [`Error::Argument`] where this part ends inside a block of
    /// the whole: a part of 8 · 2^j renormalisations, 2^j at least a 500th of them all, ends well.
    pub fn merge(&mut self, following: &Self) -> Result<()> {
        if following.count != self.count {
            return Err(Error::Length { what: "the growth to merge", expected: self.count, found: following.count });
        }
        let (mut first, mut second) = (self.clone(), following.clone());
        while first.waiting.len() < second.waiting.len() {
            first.raise();
        }
        while second.waiting.len() < first.waiting.len() {
            second.raise();
        }
        first.blocks.append(&mut second.blocks);
        if first.filled != 0 || first.waiting.iter().any(Option::is_some) {
            let reason = "must end at the end of a block of the whole: let it have 8 · 2^j renormalisations";
            return Err(Error::argument("first part", self.steps(), reason));
        }
        *self = Self { blocks: first.blocks, count: first.count, dimension: first.dimension, ..second };
        while self.block_count() >= BLOCKS {
            self.raise();
        }
        Ok(())
    }
}

/// Whether the i-th exponent is known to 10 % of itself or of the largest one; where that may be zero, to 1 % of the
/// largest magnitude.
fn is_precise(i: usize, values: &[f64], std_errors: &[f64]) -> bool {
    const ROUNDING: f64 = 1e-12;
    let scale = values.iter().filter(|value| value.is_finite()).fold(0.0, |most: f64, value| most.max(value.abs()));
    let neutral = values[0].abs() <= 3.0 * std_errors[0];
    let needed = (0.1 * values[i].abs().max(values[0].abs())).max(if neutral { 0.01 * scale } else { 0.0 });
    std_errors[i] <= needed.max(ROUNDING)
}

/// The sum of the exponents that count.
fn sum_where(values: &[f64], counts: impl Fn(f64) -> bool, error_of: impl Fn(&[f64]) -> f64) -> Estimate {
    let weights: Vec<f64> = values.iter().map(|value| f64::from(u8::from(counts(*value)))).collect();
    let value = values.iter().filter(|value| counts(**value)).sum();
    Estimate { value, std_error: error_of(&weights) }
}

/// The sum of two blocks.
fn sum(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(a, b)| a + b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Purpose, Stream};

    fn random(steps: u64) -> Vec<[f64; 2]> {
        let mut stream = Stream::new(4, Purpose::Probe, 0);
        (0..steps).map(|_| [stream.normal(), stream.normal() - 2.0]).collect()
    }

    fn grown(rates: &[[f64; 2]]) -> Growth {
        let mut growth = Growth::new(2, 2);
        for rate in rates {
            growth.add(1, 0.1, &rate.map(f64::exp));
        }
        growth
    }

    #[test]
    fn two_parts_give_the_bits_of_the_whole() {
        for (split, total) in [(4096, 10_000), (4096, 8192), (65_536, 70_001), (512, 3000), (16, 1000), (0, 77)] {
            let rates = random(total);
            let mut first = grown(&rates[..split]);
            first.merge(&grown(&rates[split..])).unwrap();
            assert_eq!(first, grown(&rates), "{split} of {total}");
        }
    }

    #[test]
    fn a_part_that_ends_inside_a_block_is_refused() {
        let rates = random(20_000);
        let mut first = grown(&rates[..1001]);
        assert!(first.merge(&grown(&rates[1001..])).unwrap_err().to_string().contains("8 · 2^j"));
        assert!(matches!(first.merge(&Growth::new(3, 3)), Err(Error::Length { expected: 2, found: 3, .. })));
    }

    #[test]
    fn saved_anywhere_it_resumes_to_the_same_bits() {
        let rates = random(9000);
        for split in [0, 1, 7, 8, 1000, 8191, 8999] {
            let mut growth = Growth::from_bytes(&grown(&rates[..split]).to_bytes()).unwrap();
            rates[split..].iter().for_each(|rate| growth.add(1, 0.1, &rate.map(f64::exp)));
            assert_eq!(growth, grown(&rates));
        }
    }

    #[test]
    fn broken_bytes_are_refused() {
        let bytes = grown(&random(1000)).to_bytes();
        for cut in [0, 7, 8, 30, bytes.len() - 1] {
            assert!(Growth::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes.clone();
        longer.extend([0; 8]);
        assert!(Growth::from_bytes(&longer).is_err());
        let mut absurd = bytes;
        absurd[8..16].fill(0xff);
        assert!(Growth::from_bytes(&absurd).is_err());
    }

    #[test]
    fn totals_are_exact_and_the_history_ends_with_them() {
        let growth = grown(&vec![[4.0_f64.ln(), -(16.0_f64.ln())]; 5000]);
        let found = growth.exponents();
        assert!((found.values[0] - 4.0_f64.ln()).abs() < 1e-14 && (found.values[1] + 16.0_f64.ln()).abs() < 1e-14);
        assert!(found.steps == 5000 && found.std_errors.iter().all(|error| *error < 1e-14));
        assert!(found.aligned && (found.time - 500.0).abs() < 1e-9);
        let dimension = found.kaplan_yorke.unwrap();
        assert!((dimension.value - 1.5).abs() < 1e-14 && dimension.std_error < 1e-14);
        let history = growth.history(10);
        assert_eq!((history.len(), history.last()), (10, Some(&found)));
    }

    #[test]
    fn the_error_of_the_dimension_follows_from_that_of_the_exponents() {
        // Λ_2 = -2 is exact here, so the dimension 1 + Λ_1/2 has half the error of Λ_1.
        let rates: Vec<[f64; 2]> = random(20_000).iter().map(|rate| [1.0 + rate[0], -2.0]).collect();
        let found = grown(&rates).exponents();
        let dimension = found.kaplan_yorke.unwrap();
        assert!((dimension.std_error / found.std_errors[0] - 0.5).abs() < 1e-6);
        assert!((dimension.value - 1.5).abs() < 4.0 * dimension.std_error);
    }

    #[test]
    fn the_last_exponent_enters_the_error_of_the_dimension_by_its_share() {
        // d = 1 + Λ_1/|Λ_2| with Λ_1 = 1 exactly and Λ_2 near -2: the slope is Λ_1/Λ_2² = ¼.
        let rates: Vec<[f64; 2]> = random(20_000).iter().map(|rate| [1.0, rate[1]]).collect();
        let found = grown(&rates).exponents();
        let share = found.kaplan_yorke.unwrap().std_error / found.std_errors[1];
        assert!((share - found.values[1].powi(-2)).abs() < 1e-9);
    }

    #[test]
    fn the_dimension_of_exponents_that_may_be_zero_is_unknown_by_as_much() {
        // Regular motion of an area-preserving map: both exponents are zero, one of them reads a little below.
        let rates: Vec<[f64; 2]> = random(2000).iter().map(|rate| [rate[0], -rate[0] - 1e-3]).collect();
        let found = grown(&rates).exponents();
        let dimension = found.kaplan_yorke.unwrap();
        assert!(found.values[0].abs() < 2.0 * found.std_errors[0]);
        assert!(dimension.value + 2.0 * dimension.std_error >= 2.0, "{dimension:?}");
        // Where nothing may be zero, a negative spectrum has the dimension 0, exactly.
        let rates = vec![[-0.5, -1.0]; 2000];
        let dimension = grown(&rates).exponents().kaplan_yorke.unwrap();
        assert!(dimension.value == 0.0 && dimension.std_error < 1e-10);
    }

    #[test]
    fn a_dimension_beyond_the_measured_exponents_is_not_claimed() {
        let mut growth = Growth::new(1, 3);
        growth.add(1, 1.0, &[1.5]);
        assert_eq!(growth.exponents().kaplan_yorke, None);
        assert!(!growth.exponents().aligned, "one step says nothing");
    }
}
