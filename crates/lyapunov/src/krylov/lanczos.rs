//! Lanczos with full re-orthogonalisation and thick restart: both ends of the spectrum, in algebraic order.
//!
//! The basis Q of the Krylov space is kept and every new direction is orthogonalised against all of it, so converged
//! eigenvalues do not come back as ghosts. With T = QᵀAQ and its eigenpairs (θ, s), the residual of the Ritz vector Qs
//! is β|s_m| (Paige 1971; Parlett, *The Symmetric Eigenvalue Problem*, 1980, section 13.2). When the basis reaches its
//! limit it is cut back to the Ritz vectors nearest to the wanted ends (Wu and Simon, *Thick-restart Lanczos*, 2000),
//! so memory stays bounded however long the search.

use super::{
    Eigenpair, Ritz,
    space::{SmallPair, Space},
};
use crate::{
    error::{Error, Result},
    operator::Operator,
    vector::Vector,
};

/// What to look for, how well, for how long, and in how much memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Lanczos {
    /// How many of the algebraically largest eigenvalues.
    pub largest: usize,
    /// How many of the algebraically smallest eigenvalues.
    pub smallest: usize,
    /// Stop when every residual is at most this times the magnitude of its eigenvalue.
    pub tolerance: f64,
    /// Stop after this many applications whatever the residuals.
    pub max_applications: usize,
    /// Hold at most this many vectors, and one more; at least twice the eigenvalues wanted, plus 2. Fewer are held
    /// where they would take more than 2 GiB, but not fewer than 24, or what the eigenvalues need: a hundred vectors of
    /// 11 million weights in single precision are 4.5 GB.
    pub max_basis: usize,
}

impl Default for Lanczos {
    /// λ_max to three digits, in at most 100 applications and vectors, and in 2 GiB.
    fn default() -> Self {
        Self { largest: 1, smallest: 0, tolerance: 1e-3, max_applications: 100, max_basis: 100 }
    }
}

impl Lanczos {
    fn wanted(&self) -> usize {
        self.largest + self.smallest
    }

    fn check(&self, dimension: usize) -> Result<()> {
        if self.wanted() > dimension {
            let reason = format!("must be at most the dimension, {dimension}");
            return Err(Error::argument("count", self.wanted(), reason));
        }
        if self.tolerance.is_nan() || self.tolerance <= 0.0 {
            return Err(Error::argument("tolerance", self.tolerance, "must be positive"));
        }
        if self.max_applications == 0 {
            return Err(Error::argument("max_applications", 0, "must be at least 1"));
        }
        let least = 2 * self.wanted() + 2;
        if self.max_basis < least {
            return Err(Error::argument("max_basis", self.max_basis, format!("must be at least {least}")));
        }
        Ok(())
    }

    /// How many vectors of `n` numbers of this many bytes are held.
    fn basis(&self, n: usize, bytes: usize) -> usize {
        const MEMORY: usize = 2 << 30;
        let affordable = MEMORY / (n * bytes).max(1);
        self.max_basis.min(affordable.max(24).max(2 * self.wanted() + 2))
    }

    /// The pairs at the wanted ends.
    fn ends<'a>(
        &self,
        pairs: &'a [SmallPair],
    ) -> (impl Iterator<Item = &'a SmallPair>, impl Iterator<Item = &'a SmallPair>) {
        (pairs.iter().take(self.largest), pairs.iter().rev().take(self.smallest))
    }

    /// The pairs that a restart keeps: the wanted ones and about a third of the basis beside them, so that the gap to
    /// what is thrown away is wide.
    fn kept<'a>(&self, pairs: &'a [SmallPair]) -> Vec<&'a SmallPair> {
        let spare = (self.max_basis - self.wanted()) / 3;
        let allot = |count: usize| {
            if count == 0 { 0 } else { count + spare / (1 + usize::from(self.largest.min(self.smallest) > 0)) }
        };
        let (top, bottom) = (allot(self.largest), allot(self.smallest));
        let bottom_start = pairs.len().saturating_sub(bottom).max(top);
        pairs[..top.min(pairs.len())].iter().chain(&pairs[bottom_start.min(pairs.len())..]).collect()
    }
}

/// Extreme eigenvalues of the symmetric `operator`, from the Krylov space that `start` generates.
///
/// Where the space closes early (the start vector lies in an invariant subspace) it goes on with a fresh random
/// direction, so that multiple eigenvalues are found as often as they occur.
///
/// **Cost**: [`Ritz::applications`] applications, at most `max_basis` + 1 vectors held, O(m) inner products per
/// application for a basis of m.
///
/// # Errors
/// [`Error::Argument`] for a start vector that is zero or not finite, for more eigenvalues than dimensions, for a
/// tolerance that is not positive, for a basis too small to restart; the operator's own errors. An operator that
/// returns non-finite numbers ends the search with what was found before, not converged.
///
/// ```
/// use lyapunov::{Dense, Lanczos, lanczos};
/// let options = Lanczos { smallest: 1, ..Lanczos::default() };
/// let ritz = lanczos(&Dense::diagonal(&[3.0, 1.0, -5.0]), &vec![1.0; 3], &options)?;
/// assert!((ritz.largest[0].value - 3.0).abs() < 1e-12);
/// assert!((ritz.smallest[0].value + 5.0).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn lanczos<V: Vector>(operator: &impl Operator<V>, start: &V, options: &Lanczos) -> Result<Ritz<V>> {
    options.check(start.len())?;
    let mut space = Space::new(start)?;
    let bytes = if space.is_double() { 8 } else { 4 };
    let options = &Lanczos { max_basis: options.basis(start.len(), bytes), ..options.clone() };
    let (mut applications, mut broken) = (0, false);
    while applications < options.max_applications && !space.is_complete() {
        if space.order() == options.max_basis {
            let pairs = space.pairs();
            space.restart(&options.kept(&pairs));
        }
        broken = !space.extend(operator)?;
        applications += 1;
        if broken {
            break;
        }
        // The small problem costs O(m³), far less than a product until the basis is large: then it is solved every
        // fifth step.
        let m = space.order();
        if (m <= 60 || m % 5 == 0 || m == options.max_basis) && converged(&space, &space.pairs(), options) {
            break;
        }
    }
    let mut found = ritz(&space, applications, options);
    found.converged &= !broken;
    Ok(found)
}

/// Whether the wanted pairs have converged, and with them the ends of the last block: a space that has closed says
/// nothing of the directions outside it, so the fresh direction that follows has to be explored as well.
fn converged<V: Vector>(space: &Space<V>, pairs: &[SmallPair], options: &Lanczos) -> bool {
    if pairs.len() < options.wanted() || (space.is_closed() && !space.is_complete()) {
        return false;
    }
    // An eigenvalue that is zero to rounding cannot have a small relative residual.
    let floor = f64::EPSILON * space.scale();
    let close = |pair: &SmallPair| pair.residual <= (options.tolerance * pair.value.abs()).max(floor);
    let newest = |pair: &&SmallPair| space.is_in_last_block(pair);
    let (mut top, mut bottom) = options.ends(pairs);
    top.all(close)
        && bottom.all(close)
        && (options.largest == 0 || pairs.iter().find(newest).is_none_or(close))
        && (options.smallest == 0 || pairs.iter().rev().find(newest).is_none_or(close))
}

fn ritz<V: Vector>(space: &Space<V>, applications: usize, options: &Lanczos) -> Ritz<V> {
    let pairs = space.pairs();
    let full = |pair: &SmallPair| Eigenpair {
        value: pair.value,
        residual: pair.residual,
        vector: space.vector(&pair.coordinates),
    };
    let (top, bottom) = options.ends(&pairs);
    let (largest, smallest) = (top.map(full).collect(), bottom.map(full).collect());
    Ritz { largest, smallest, applications, converged: converged(space, &pairs, options) }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;
    use crate::{
        noise::{Purpose, Stream},
        operator::Dense,
    };

    fn random(n: usize) -> Vec<f64> {
        let mut start = vec![0.0; n];
        start.randomize(&mut Stream::new(1, Purpose::Probe, 0));
        start
    }

    fn laplacian(n: usize) -> Dense {
        let entry = |i: usize, j: usize| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        };
        Dense::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect())
    }

    fn options(largest: usize, smallest: usize) -> Lanczos {
        Lanczos { largest, smallest, tolerance: 1e-10, max_applications: 500, max_basis: 500 }
    }

    /// ‖Av − θv‖ from one more application.
    fn true_residual(operator: &Dense, pair: &Eigenpair<Vec<f64>>) -> f64 {
        let mut image = operator.apply(&pair.vector).unwrap();
        image.axpy(-pair.value, &pair.vector);
        image.norm()
    }

    #[test]
    fn laplacian_has_its_known_spectrum_at_both_ends() {
        let n = 100;
        let exact = |k: usize| 2.0 - 2.0 * (k as f64 * PI / (n + 1) as f64).cos();
        let ritz = lanczos(&laplacian(n), &random(n), &options(3, 3)).unwrap();
        assert!(ritz.converged);
        for k in 0..3 {
            assert!((ritz.largest[k].value - exact(n - k)).abs() < 1e-9);
            assert!((ritz.smallest[k].value - exact(k + 1)).abs() < 1e-9);
        }
    }

    #[test]
    fn outliers_over_a_bulk_come_once_each() {
        let n = 300;
        let mut entries: Vec<f64> = random(n).iter().map(|x| x.abs().min(3.0)).collect();
        (entries[17], entries[230]) = (100.0, 50.0);
        let matrix = Dense::diagonal(&entries);
        // Far beyond convergence, where a Lanczos without re-orthogonalisation sees ghosts of 100 and 50.
        let ritz = lanczos(&matrix, &random(n), &Lanczos { tolerance: 1e-300, max_applications: 120, ..options(4, 0) })
            .unwrap();
        assert!((ritz.largest[0].value - 100.0).abs() < 1e-10);
        assert!((ritz.largest[1].value - 50.0).abs() < 1e-10);
        assert!(ritz.largest[2].value <= 3.0 + 1e-10 && ritz.largest[3].value < 3.0 + 1e-10);
    }

    #[test]
    fn crowded_top_is_resolved() {
        let mut entries: Vec<f64> = (0..200).map(|i| f64::from(i) / 100.0).collect();
        entries.extend([40.0, 39.6, 38.0]);
        let ritz = lanczos(&Dense::diagonal(&entries), &random(203), &options(3, 0)).unwrap();
        assert!(ritz.converged);
        for (pair, exact) in ritz.largest.iter().zip([40.0, 39.6, 38.0]) {
            assert!((pair.value - exact).abs() < 1e-8, "{} for {exact}", pair.value);
        }
    }

    #[test]
    fn the_order_is_algebraic_not_by_magnitude() {
        let mut entries = vec![0.1; 50];
        (entries[0], entries[1]) = (5.0, -9.0);
        let ritz = lanczos(&Dense::diagonal(&entries), &random(50), &options(1, 1)).unwrap();
        assert!((ritz.largest[0].value - 5.0).abs() < 1e-10);
        assert!((ritz.smallest[0].value + 9.0).abs() < 1e-10);
    }

    #[test]
    fn the_residual_is_the_true_one_also_before_convergence() {
        let n = 200;
        let matrix = laplacian(n);
        let ritz = lanczos(&matrix, &random(n), &Lanczos { max_applications: 20, ..options(2, 2) }).unwrap();
        assert!(!ritz.converged && ritz.applications == 20);
        for pair in ritz.largest.iter().chain(&ritz.smallest) {
            assert!(pair.residual > 1e-6);
            assert!((pair.residual - true_residual(&matrix, pair)).abs() < 1e-10);
        }
    }

    #[test]
    fn a_start_vector_inside_an_invariant_subspace_does_not_hide_the_rest() {
        let matrix = Dense::diagonal(&[7.0, 7.0, 2.0, -1.0]);
        let ritz = lanczos(&matrix, &vec![0.0, 0.0, 1.0, 0.0], &options(2, 1)).unwrap();
        assert!((ritz.largest[0].value - 7.0).abs() < 1e-12);
        assert!((ritz.largest[1].value - 7.0).abs() < 1e-12, "the double eigenvalue comes twice");
        assert!((ritz.smallest[0].value + 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_basis_fits_the_memory() {
        let default = Lanczos::default();
        assert_eq!([default.basis(1000, 8), default.basis(5_000_000, 4)], [100, 100], "small ones are held as asked");
        assert_eq!(default.basis(11_173_962, 4), 48, "ResNet-18 in 2 GiB");
        assert_eq!(default.basis(1_000_000_000, 4), 24, "fewer would not converge");
        assert_eq!(options(30, 30).basis(1_000_000_000, 4), 122);
        assert_eq!(Lanczos { max_basis: 16, ..default }.basis(1_000_000_000, 4), 16, "never more than asked for");
    }

    #[test]
    fn a_restarted_search_finds_the_same_ends_in_bounded_memory() {
        let n = 400;
        let exact = |k: usize| 2.0 - 2.0 * (k as f64 * PI / (n + 1) as f64).cos();
        let restarted = Lanczos { max_basis: 24, max_applications: 4000, tolerance: 1e-8, ..options(2, 2) };
        let ritz = lanczos(&laplacian(n), &random(n), &restarted).unwrap();
        assert!(ritz.converged && ritz.applications > 3 * 24, "{} applications", ritz.applications);
        for k in 0..2 {
            assert!((ritz.largest[k].value - exact(n - k)).abs() < 1e-10);
            assert!((ritz.smallest[k].value - exact(k + 1)).abs() < 1e-10);
            let residual = true_residual(&laplacian(n), &ritz.largest[k]);
            assert!((residual - ritz.largest[k].residual).abs() < 1e-12);
        }
        // A restart throws little away: outliers cost about what the unbounded basis needs.
        let mut entries: Vec<f64> = random(n).iter().map(|x| x.abs().min(3.0)).collect();
        (entries[17], entries[230]) = (6.0, 5.0);
        let matrix = Dense::diagonal(&entries);
        let applications =
            |max_basis| lanczos(&matrix, &random(n), &Lanczos { max_basis, ..options(2, 0) }).unwrap().applications;
        assert!(applications(16) <= 2 * applications(400), "{} and {}", applications(16), applications(400));
    }

    #[test]
    fn f32_storage_works_to_f32_accuracy() {
        struct Diagonal(Vec<f32>);
        impl Operator<Vec<f32>> for Diagonal {
            fn apply(&self, v: &Vec<f32>) -> Result<Vec<f32>> {
                Ok(self.0.iter().zip(v).map(|(a, x)| a * x).collect())
            }
        }
        let entries: Vec<f32> = (0..400).map(|i| if i == 5 { 30.0 } else { i as f32 / 400.0 }).collect();
        let ritz =
            lanczos(&Diagonal(entries), &vec![1.0; 400], &Lanczos { smallest: 1, ..Lanczos::default() }).unwrap();
        assert!((ritz.largest[0].value - 30.0).abs() < 1e-4);
        // A start vector in an invariant subspace, to rounding: the search goes on outside it.
        let entries: Vec<f32> = (0..60).map(|i| if i == 5 { 30.0 } else { 1.0 + (i % 3) as f32 }).collect();
        let inside: Vec<f32> = (0..60).map(|i| if i == 5 { 0.0 } else { 0.1 + i as f32 }).collect();
        let ritz = lanczos(&Diagonal(entries), &inside, &Lanczos::default()).unwrap();
        assert!((ritz.largest[0].value - 30.0).abs() < 1e-4, "{}", ritz.largest[0].value);
    }

    #[test]
    fn what_is_not_finite_ends_the_search_without_an_error() {
        struct Broken;
        impl Operator<Vec<f64>> for Broken {
            fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
                Ok(vec![f64::NAN; v.len()])
            }
        }
        let ritz = lanczos(&Broken, &vec![1.0; 3], &Lanczos::default()).unwrap();
        assert!(ritz.largest.is_empty() && !ritz.converged);
    }

    #[test]
    fn an_operator_that_breaks_after_a_restart_keeps_its_residuals() {
        struct Breaks(Dense, std::cell::Cell<usize>);
        impl Operator<Vec<f64>> for Breaks {
            fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
                self.1.set(self.1.get() + 1);
                if self.1.get() > 10 { Ok(vec![f64::NAN; v.len()]) } else { self.0.apply(v) }
            }
        }
        let breaks = Breaks(laplacian(100), std::cell::Cell::new(0));
        let ritz = lanczos(&breaks, &random(100), &Lanczos { max_basis: 10, ..options(1, 1) }).unwrap();
        assert!(!ritz.converged && ritz.applications == 11);
        let residual = true_residual(&laplacian(100), &ritz.largest[0]);
        assert!(residual > 1e-3 && (ritz.largest[0].residual - residual).abs() < 1e-10, "{residual}");
    }

    #[test]
    fn bad_arguments_are_named() {
        let matrix = Dense::diagonal(&[1.0, 2.0]);
        let message = |start: &Vec<f64>, options: &Lanczos| lanczos(&matrix, start, options).unwrap_err().to_string();
        assert!(message(&vec![1.0; 2], &options(2, 1)).contains("at most the dimension, 2"));
        assert!(message(&vec![0.0; 2], &options(1, 0)).contains("not zero"));
        assert!(message(&vec![1.0; 2], &Lanczos { tolerance: 0.0, ..Lanczos::default() }).contains("tolerance = 0"));
        assert!(message(&vec![1.0; 2], &Lanczos { max_basis: 3, ..Lanczos::default() }).contains("at least 4"));
    }
}
