//! The standard error of an average over one long, correlated trajectory.
//!
//! Let S(L) be the sum over a block of L steps, less L times the mean, and v(L) its variance. In a mixing system v grows
//! like c + dL, and the average over N steps has the variance v(N)/N² ≈ d/N: the usual block average. But growth rates
//! are often differences of a bounded function along the orbit, ln‖e(x')‖ − ln‖e(x)‖: so it is for the logistic map at
//! r = 4, and for the zero exponent of every flow. Then v does not grow, the sum telescopes, and the error falls like 1/N;
//! the usual block average would overstate it by the root of the number of blocks.

/// A number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error; infinite where it is unknown.
    pub std_error: f64,
}

impl Estimate {
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, std_error: self.std_error * factor }
    }
}

/// Blocks at the finest level, at most; coarser levels pair them up.
const FINEST: usize = 256;
/// Blocks at the coarsest level, at least.
const COARSEST: usize = 8;

/// The standard deviation of the sum of `blocks`: the sums over consecutive stretches of equal length, less their mean.
///
/// v(L) is measured at all levels of block length, doubling from at most 256 blocks to at least 8. A line v = c + dL is
/// fitted with the weights that variances of so many blocks deserve. Where its slope is 3.5 of its own errors above
/// zero the sum over all blocks has the variance of the line at their full length. Where it is not, v is constant, every
/// block's S has the same law as the whole sum, and the half-width that holds 80 % of them, divided by that of the
/// normal law, is the answer: laws of this kind have exponential tails, which would inflate the root mean square.
pub(super) fn deviation_of_sum(blocks: &[f64]) -> f64 {
    match blocks.len() {
        0 | 1 => return f64::INFINITY,
        few if few < 2 * COARSEST => return (variance(blocks) * few as f64).sqrt(),
        _ => {}
    }
    let levels = levels(blocks);
    match growing(&levels) {
        Some((c, d)) => (c + d * (levels[0].0.len() as f64)).max(0.0).sqrt(),
        None => robust_scale(&levels[0].0),
    }
}

/// The blocks at every level with their variances; the level ℓ pairs up 2^ℓ blocks of the finest.
fn levels(blocks: &[f64]) -> Vec<(Vec<f64>, f64)> {
    let mut finest = blocks.to_vec();
    while finest.len() > FINEST {
        finest = paired(&finest);
    }
    let next = |level: &Vec<f64>| (level.len() / 2 >= COARSEST).then(|| paired(level));
    std::iter::successors(Some(finest), next)
        .map(|level| (variance(&level), level))
        .map(|(v, level)| (level, v))
        .collect()
}

/// Sums of neighbours; an odd one at the end is left out.
fn paired(blocks: &[f64]) -> Vec<f64> {
    blocks.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect()
}

/// Their variance, without bias.
fn variance(blocks: &[f64]) -> f64 {
    let n = blocks.len() as f64;
    let mean = blocks.iter().sum::<f64>() / n;
    blocks.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)
}

/// A level of blocks: their length in blocks of the finest level, the variance of their sums, their number.
struct Level {
    length: f64,
    variance: f64,
    blocks: f64,
}

/// The line v = c + dL, both non-negative; `None` where v does not grow.
fn growing(levels: &[(Vec<f64>, f64)]) -> Option<(f64, f64)> {
    const SIGNIFICANT: f64 = 3.5;
    let level = |(l, (blocks, variance)): (usize, &(Vec<f64>, f64))| Level {
        length: (1_u64 << l) as f64,
        variance: *variance,
        blocks: blocks.len() as f64,
    };
    let levels: Vec<Level> = levels.iter().enumerate().map(level).collect();
    let constant = mean_of(&levels, |level| level.variance);
    if constant <= 0.0 || levels.len() < 2 {
        return None;
    }
    let flat = Line::through(&levels, |_| constant);
    if flat.slope < SIGNIFICANT * flat.slope_error {
        return None;
    }
    // Where v grows faster than a line at first, blocks are shorter than the correlation: the finest levels are left out.
    let mut start = 0;
    loop {
        let (line, fitted) = fit(&levels[start..]);
        if fitted.offset >= -fitted.offset_error || start + 3 >= levels.len() - 1 {
            return Some(line);
        }
        start += 1;
    }
}

/// (c, d), both non-negative, by least squares with weights from the line itself; and the last line without that bound.
fn fit(levels: &[Level]) -> ((f64, f64), Line) {
    const ROUNDS: usize = 4;
    let mut bounded = (0.0, mean_of(levels, |level| level.variance / level.length));
    let mut line = Line::through(levels, |length| bounded.1 * length);
    for _ in 0..ROUNDS {
        line = Line::through(levels, |length| bounded.0 + bounded.1 * length);
        bounded = match (line.offset, line.slope) {
            (c, _) if c < 0.0 => (0.0, mean_of(levels, |level| level.variance / level.length)),
            (_, d) if d < 0.0 => (mean_of(levels, |level| level.variance), 0.0),
            both => both,
        };
    }
    (bounded, line)
}

/// The mean over the levels, weighted by their blocks.
fn mean_of(levels: &[Level], number: impl Fn(&Level) -> f64) -> f64 {
    let count: f64 = levels.iter().map(|level| level.blocks).sum();
    levels.iter().map(|level| level.blocks * number(level)).sum::<f64>() / count
}

/// v = offset + slope · L, with the errors of both.
struct Line {
    offset: f64,
    offset_error: f64,
    slope: f64,
    slope_error: f64,
}

impl Line {
    /// Weighted least squares where variances are expected to be `model(L)`: that of b blocks has the relative error √(2/b).
    fn through(levels: &[Level], model: impl Fn(f64) -> f64) -> Self {
        let weight = |level: &Level| level.blocks / (2.0 * model(level.length).powi(2)).max(f64::MIN_POSITIVE);
        let sum = |term: fn(&Level) -> f64| levels.iter().map(|level| weight(level) * term(level)).sum::<f64>();
        let (s, sx, sxx) = (sum(|_| 1.0), sum(|l| l.length), sum(|l| l.length * l.length));
        let (sy, sxy) = (sum(|l| l.variance), sum(|l| l.length * l.variance));
        let determinant = s * sxx - sx * sx;
        Self {
            offset: (sy * sxx - sx * sxy) / determinant,
            offset_error: (sxx / determinant).sqrt(),
            slope: (s * sxy - sx * sy) / determinant,
            slope_error: (s / determinant).sqrt(),
        }
    }
}

/// The half-width around the mean that holds 80 % of the blocks, over that of the normal law, 1.2816.
fn robust_scale(blocks: &[f64]) -> f64 {
    let mean = blocks.iter().sum::<f64>() / blocks.len() as f64;
    let mut distances: Vec<f64> = blocks.iter().map(|x| (x - mean).abs()).collect();
    distances.sort_by(f64::total_cmp);
    distances[(0.8 * blocks.len() as f64) as usize] / 1.2816
}

/// Whether the two halves of `blocks`, sums over equal stretches of `length` steps, agree on the mean per step: within
/// 5 % of it or of `scale`, or within three of the errors that the scatter of neighbouring blocks implies.
///
/// Neighbours share a slow drift, so a drift cannot hide in its own scatter.
pub(super) fn halves_agree(blocks: &[f64], length: f64, scale: f64) -> bool {
    let (first, second) = blocks.split_at(blocks.len() / 2);
    let mean = |half: &[f64]| half.iter().sum::<f64>() / (half.len() as f64 * length);
    let (a, b) = (mean(first), mean(second));
    let jumps = blocks.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum::<f64>() / (blocks.len() - 1) as f64;
    let error = (0.5 * jumps * 4.0 / blocks.len() as f64).sqrt() / length;
    (a - b).abs() <= (0.05 * a.abs().max(b.abs()).min(scale)).max(3.0 * error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Purpose, Stream};

    fn normals(seed: u64, n: usize) -> Vec<f64> {
        let mut stream = Stream::new(seed, Purpose::Probe, 0);
        (0..n).map(|_| stream.normal()).collect()
    }

    /// The median over 21 series: single ones scatter, and one telescoping series in thirty seems to grow.
    fn median(series: impl Fn(u64) -> Vec<f64>) -> f64 {
        let mut found: Vec<f64> = (0..21).map(|seed| deviation_of_sum(&series(seed))).collect();
        found.sort_by(f64::total_cmp);
        found[10]
    }

    #[test]
    fn independent_blocks_give_the_root_of_their_number() {
        let found = median(|seed| normals(seed, 1024));
        assert!((found / 32.0 - 1.0).abs() < 0.1, "{found} for 32");
    }

    #[test]
    fn a_telescoping_sum_has_the_deviation_of_its_ends() {
        let found = median(|seed| normals(seed, 1025).windows(2).map(|pair| pair[1] - pair[0]).collect());
        assert!((found / 2.0_f64.sqrt() - 1.0).abs() < 0.1, "{found} for 1.414; the usual block average says 45");
    }

    #[test]
    fn slow_noise_is_seen_through_the_levels() {
        // A moving average over 16 blocks: the sum has 16 times the deviation that its innovations have.
        let found = median(|seed| normals(seed, 1039).windows(16).map(|window| window.iter().sum()).collect());
        assert!((found / (16.0 * 32.0) - 1.0).abs() < 0.2, "{found} for 512");
    }

    #[test]
    fn few_blocks_give_the_plain_error_and_one_gives_none() {
        assert_eq!(deviation_of_sum(&[1.0, -1.0]), 2.0);
        assert_eq!(deviation_of_sum(&[1.0]), f64::INFINITY);
        assert_eq!(deviation_of_sum(&[0.5; 64]), 0.0);
    }

    #[test]
    fn a_drift_does_not_agree_with_itself() {
        let drift: Vec<f64> = (0..64).map(f64::from).collect();
        assert!(!halves_agree(&drift, 1.0, 100.0));
        assert!(halves_agree(&normals(3, 64), 1.0, 1.0));
        assert!(halves_agree(&[1.0; 64], 1.0, 1.0));
    }
}
