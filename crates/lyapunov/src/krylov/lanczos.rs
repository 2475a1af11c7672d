//! Lanczos with full re-orthogonalisation and thick restart: both ends of the spectrum, in algebraic order, each
//! eigenvalue as often as it occurs.
//!
//! The basis Q of the Krylov space is kept and every new direction is orthogonalised against all of it, so converged
//! eigenvalues do not come back as ghosts. With T = QᵀAQ and its eigenpairs (θ, s), the residual of the Ritz vector Qs
//! is β|s_m| (Paige 1971; Parlett, *The Symmetric Eigenvalue Problem*, 1980, section 13.2). When the basis reaches its
//! limit it is cut back to the Ritz vectors nearest to the wanted ends (Wu and Simon, *Thick-restart Lanczos*, 2000),
//! so memory stays bounded however long the search.
//!
//! A Krylov space holds one vector of every eigenvalue, whatever its multiplicity, and of a tight cluster it sees one
//! for long. So where several eigenvalues are wanted at one end, the search is repeated from random directions
//! orthogonal to all that was found, until nothing above the last one is left. A repetition ends when its own extreme
//! pair has converged, or when an eigenvalue above would have been seen: after j products the extreme Ritz value of a
//! random start in n dimensions misses the eigenvalue by more than a share ε of the spread of the spectrum with a
//! probability of at most 1.648 √n e^(−√ε (2j − 1)) (Kuczyński and Woźniakowski 1992, theorem 4.2).
//!
//! At the end A is applied once more to every vector that was found: β|s_m| goes on falling where rounding has long
//! ended what can be known, the residual of the vector as it is stored does not. A loose search of one pair at an end
//! does without: far above the rounding, β|s_m| is the residual. Its last product is spent on the space instead, unless
//! the value is known well enough already: θ is off by at most r²/(θ − θ₂), with the second Ritz value for the second
//! eigenvalue (Kato and Temple; Parlett, section 11.5).

use super::{
    Eigenpair, Ritz,
    search::{End, Goal, Search},
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
    /// Stop when every residual is at most this times the magnitude of its eigenvalue, or times a hundredth of the norm
    /// of the operator where that is more.
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
    pub(super) fn wanted(&self) -> usize {
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
    pub(super) fn ends<'a>(
        &self,
        pairs: &'a [SmallPair],
    ) -> (impl Iterator<Item = &'a SmallPair>, impl Iterator<Item = &'a SmallPair>) {
        (pairs.iter().take(self.largest), pairs.iter().rev().take(self.smallest))
    }

    /// The pairs that a restart keeps: the wanted ones and about a third of the basis beside them, so that the gap to
    /// what is thrown away is wide.
    pub(super) fn kept<'a>(&self, pairs: &'a [SmallPair], room: usize) -> Vec<&'a SmallPair> {
        let spare = room.saturating_sub(self.wanted()) / 3;
        let allot = |count: usize| {
            if count == 0 { 0 } else { count + spare / (1 + usize::from(self.largest.min(self.smallest) > 0)) }
        };
        // A search for what was missed has less room: it keeps at most half of it.
        let fits = |count: usize| count.min((room - 1) / if self.largest.min(self.smallest) > 0 { 3 } else { 2 });
        let (top, bottom) = (allot(self.largest), allot(self.smallest));
        let (top, bottom) = if room < self.max_basis { (fits(top), fits(bottom)) } else { (top, bottom) };
        let bottom_start = pairs.len().saturating_sub(bottom).max(top);
        pairs[..top.min(pairs.len())].iter().chain(&pairs[bottom_start.min(pairs.len())..]).collect()
    }
}

/// Extreme eigenvalues of the symmetric `operator`, from the Krylov space that `start` generates and, where more than
/// one is wanted at one end or that space closes early, from random directions outside of what was found, until
/// nothing above the last one is left: multiple eigenvalues are found as often as they occur. A single eigenvalue is
/// looked for from `start` alone: let that have a random part.
///
/// **Residuals** are those of the vectors as they are stored, by one more application to each, and never below the
/// rounding of the storage times the norm of the operator; by the recurrence alone where one pair at an end is wanted
/// and its residual is more than ten times the root of that rounding, so far above it that the two are the same.
/// **Converged** says that every residual is at most the tolerance times the magnitude of its eigenvalue, or times a
/// hundredth of the norm of the operator where the eigenvalue is smaller than that (a zero among large eigenvalues
/// converges), and that the set is complete.
///
/// **Cost**: [`Ritz::applications`] applications, all of it counted; at most `max_basis` + 1 vectors held, O(m) inner
/// products per application for a basis of m.
///
/// # Errors
/// [`Error::Argument`] for a start vector that is zero or not finite, for more eigenvalues than dimensions, for a
/// tolerance that is not positive, for a basis too small to restart; the operator's own errors. An operator that
/// returns non-finite numbers ends the search with what was found before, not converged.
///
/// ```
/// use lyapunov::{Dense, Lanczos, lanczos};
/// let options = Lanczos { largest: 2, smallest: 1, ..Lanczos::default() };
/// let ritz = lanczos(&Dense::diagonal(&[3.0, 1.0, 3.0, -5.0]), &vec![1.0; 4], &options)?;
/// assert!((ritz.largest[0].value - 3.0).abs() < 1e-12 && (ritz.largest[1].value - 3.0).abs() < 1e-12);
/// assert!((ritz.smallest[0].value + 5.0).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn lanczos<V: Vector>(operator: &impl Operator<V>, start: &V, options: &Lanczos) -> Result<Ritz<V>> {
    options.check(start.len())?;
    let mut space = Space::new(start)?;
    let epsilon = space.storage_epsilon();
    let bytes = if epsilon > f64::EPSILON { 4 } else { 8 };
    let options = Lanczos { max_basis: options.basis(start.len(), bytes), ..options.clone() };
    let mut search = Search::new(operator, options);
    let mut end = search.explore(&mut space, &[], Goal::All)?;
    if end == End::Reached && search.is_coarse(&space) && !search.is_sharp(&space) {
        end = search.explore(&mut space, &[], Goal::All)?;
    }
    let coarse = end == End::Reached && search.is_coarse(&space);
    let mut ends = search.ends_of(&space);
    let is_everything = space.order() == start.len();
    drop(space);
    let complete = match end {
        End::Reached => search.look_for_missed(&mut ends, start, false)?,
        End::Closed => is_everything || search.look_for_missed(&mut ends, start, true)?,
        End::Spent | End::Broken => false,
    };
    let floor = epsilon * search.norm;
    if end != End::Broken && !coarse && search.can_finish(&ends) {
        search.refine(&mut ends)?;
    }
    ends.pairs_mut().for_each(|pair| pair.residual = pair.residual.max(floor));
    let close = |pair: &Eigenpair<V>| search.is_close(pair.value, pair.residual);
    let full = ends.top.len() == search.options.largest && ends.bottom.len() == search.options.smallest;
    let converged = complete && full && ends.top.iter().chain(&ends.bottom).all(close);
    Ok(Ritz { largest: ends.top, smallest: ends.bottom, applications: search.applications, converged })
}

#[cfg(test)]
mod tests;
