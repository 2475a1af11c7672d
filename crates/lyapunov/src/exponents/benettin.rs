//! The method of Benettin as a state machine: deviations move, are re-orthonormalised, and their growth is added up.

use super::{Exponents, Growth, SpectrumOptions, check_count, is_finite};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    snapshot::{Archive, Numbers, Persist},
    system::{Outcome, System},
    vector::{Vector, orthogonalize, orthonormalize, orthonormalize_into, storage_epsilon},
};

/// k deviations on their way along a trajectory, and how much they have grown.
///
/// For loops that do more than measure: step the system with [`Benettin::deviations_mut`], and now and then
/// [`renormalize`](Benettin::renormalize). [`Benettin::advance`] is that loop.
///
/// ```
/// use lyapunov::{Benettin, System, systems::Henon};
/// let mut henon = Henon::default().system();
/// let mut benettin = Benettin::new(henon.state(), 2, 0)?;
/// for step in 0..10_000 {
///     henon.step(benettin.deviations_mut())?;
///     benettin.renormalize(1, henon.time_step());
///     if step == 999 {
///         benettin.forget();
///     }
/// }
/// let found = benettin.exponents();
/// assert!((found.sum.value - 0.3_f64.ln()).abs() < 1e-12 && found.steps == 9000);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Benettin<V> {
    deviations: Vec<V>,
    tally: Tally,
}

impl<V: Vector> Benettin<V> {
    /// `count` random orthonormal deviations shaped like `like`, none of them grown.
    ///
    /// # Errors
    /// [`Error::Argument`] for k = 0 or k > n.
    pub fn new(like: &V, count: usize, seed: u64) -> Result<Self> {
        check_count(count, like.len())?;
        let mut deviations: Vec<V> = (0..count as u64).map(|i| random(like, seed, i)).collect();
        orthonormalize(&mut deviations);
        let tally = Tally::new(Growth::new(count, like.len()), like);
        Ok(Self { deviations, tally })
    }

    /// Goes on from saved deviations and growth.
    ///
    /// # Errors
    /// [`Error::Length`] where there are not as many deviations as the growth speaks of; [`Error::Argument`] for none.
    pub fn resume(deviations: Vec<V>, growth: Growth) -> Result<Self> {
        let (expected, found) = (growth.count(), deviations.len());
        if expected != found {
            return Err(Error::Length { what: "the set of deviations", expected, found });
        }
        check_count(expected, growth.dimension())?;
        let tally = Tally::new(growth, &deviations[0]);
        Ok(Self { deviations, tally })
    }

    /// Deviations that have moved with `system` through the warm-up of `options`, none of them grown; after a warm-up
    /// that diverged, with the growth up to there.
    ///
    /// # Errors
    /// As for [`exponents`](super::exponents).
    pub fn warmed_up<S: System<Vector = V>>(system: &mut S, options: &SpectrumOptions) -> Result<Self> {
        let count = options.check(system.state().len())?;
        let mut benettin = Self::new(system.state(), count, options.seed)?;
        if benettin.advance(system, options.warm_up, options.every)? == Outcome::Completed {
            benettin.forget();
        }
        Ok(benettin)
    }

    /// The deviations: orthonormal after a renormalisation.
    pub fn deviations(&self) -> &[V] {
        &self.deviations
    }

    /// The deviations, to be moved by [`System::step`].
    pub fn deviations_mut(&mut self) -> &mut [V] {
        &mut self.deviations
    }

    /// Re-orthonormalises the deviations after `steps` steps that took `time` together, and adds ln R_ii to the growth.
    /// Returns the factors R_ii, or `None`, nothing added, where they are not finite.
    ///
    /// A direction that was contracted to nothing has the factor 0, adds −∞ and is replaced by a random one.
    /// **Cost**: k²n multiplications, twice that where deviations have become nearly parallel.
    pub fn renormalize(&mut self, steps: u64, time: f64) -> Option<&[f64]> {
        self.tally.renormalize(&mut self.deviations, steps, time).then_some(self.tally.factors.as_slice())
    }

    /// Whether the deviations have to be re-orthonormalised now, for loops that do so every few steps only: one of them
    /// has left [1e-12, 1e12], or they have become so nearly parallel that the smaller exponents would be lost to
    /// rounding. So the spectrum does not depend on how rarely a loop would like to renormalise.
    ///
    /// **Cost**: k(k + 1)/2 inner products.
    pub fn is_strained(&self) -> bool {
        is_strained(&self.deviations)
    }

    /// Marks that the state was not finite before this step: what has been added up to it is kept.
    pub fn diverge(&mut self, step: u64) {
        self.tally.growth.diverge(step);
    }

    /// Forgets the growth and keeps the deviations: the end of a warm-up.
    pub fn forget(&mut self) {
        self.tally.refinement = Refinement::none(self.deviations.len());
        self.tally.growth = Growth::new(self.deviations.len(), self.deviations[0].len());
    }

    /// Moves `system` and the deviations by `steps` steps, re-orthonormalised every `every` steps, at the end, and
    /// earlier where they [have to be](Benettin::is_strained). Ends early where the state becomes non-finite.
    ///
    /// # Errors
    /// [`Error::Argument`] for `every` = 0; those of the system.
    pub fn advance<S: System<Vector = V>>(&mut self, system: &mut S, steps: u64, every: u64) -> Result<Outcome> {
        if every == 0 {
            return Err(Error::argument("every", 0, "must be at least 1"));
        }
        // Few deviations move as an array: with its length known, small vectors stay in registers.
        match self.deviations.len() {
            1 => self.advance_array::<1, S>(system, steps, every),
            2 => self.advance_array::<2, S>(system, steps, every),
            3 => self.advance_array::<3, S>(system, steps, every),
            _ => self.tally.advance(system, &mut self.deviations, steps, every),
        }
    }

    fn advance_array<const K: usize, S: System<Vector = V>>(
        &mut self,
        system: &mut S,
        steps: u64,
        every: u64,
    ) -> Result<Outcome> {
        match <[V; K]>::try_from(std::mem::take(&mut self.deviations)) {
            Ok(mut array) => {
                let outcome = self.tally.advance(system, &mut array, steps, every);
                self.deviations = array.into();
                outcome
            }
            Err(_) => unreachable!("the length was matched"),
        }
    }

    /// Finite-time exponents: each item is the growth per step over the next `window` steps, for every deviation.
    /// Endless, unless the state becomes non-finite. The growth is added up as well.
    ///
    /// ```
    /// use lyapunov::{Benettin, SpectrumOptions, systems::Henon};
    /// let mut henon = Henon::default().system();
    /// let mut benettin = Benettin::warmed_up(&mut henon, &SpectrumOptions::default())?;
    /// let windows = benettin.local(&mut henon, 3).take(100);
    /// let local: Vec<f64> = windows.map(|window| Ok(window?[0])).collect::<Result<_, lyapunov::Error>>()?;
    /// // Their mean is the exponent of the 300 steps; they scatter around it, some of them below zero.
    /// let mean = local.iter().sum::<f64>() / 100.0;
    /// assert!((mean - benettin.exponents().values[0]).abs() < 1e-12);
    /// assert!(local.iter().any(|rate| *rate < 0.0));
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn local<'a, S: System<Vector = V>>(&'a mut self, system: &'a mut S, window: u64) -> Local<'a, S> {
        Local { benettin: self, system, window: window.max(1) }
    }

    /// What the deviations have grown.
    pub fn growth(&self) -> &Growth {
        &self.tally.growth
    }

    /// How the measurement stands.
    pub fn outcome(&self) -> Outcome {
        self.tally.growth.outcome()
    }

    /// The exponents so far: see [`Growth::exponents`].
    pub fn exponents(&self) -> Exponents {
        self.tally.growth.exponents_with(&self.tally.refinement.per_step())
    }
}

impl<V: Persist> Benettin<V> {
    /// Leads `archive` past deviations and growth. Those that are replaced fix number and shape.
    ///
    /// # Errors
    /// [`Error::Saved`] where what was saved does not fit them.
    pub fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        for (i, deviation) in self.deviations.iter_mut().enumerate() {
            deviation.keep(&i.to_string(), archive)?;
        }
        self.tally.keep(archive)
    }
}

/// The growth, and what it takes to add to it.
#[derive(Clone, Debug)]
struct Tally {
    growth: Growth,
    /// R_ii of the last renormalisation.
    factors: Vec<f64>,
    /// A deviation that keeps less than this share of its norm is orthogonalised twice.
    share: f64,
    /// Steps ever taken by [`Benettin::advance`], warm-up included.
    taken: u64,
    refinement: Refinement,
}

/// What finer steps would add to the growth, from single steps that were taken both ways. It is not saved: a
/// measurement that is resumed samples anew.
#[derive(Clone, Debug)]
struct Refinement {
    /// Steps that were compared.
    samples: u64,
    /// Σ (ln R_ii of the finer steps − ln R_ii of the step).
    sums: Vec<f64>,
    /// Steps since the last comparison.
    since: u64,
}

impl Refinement {
    /// Steps between two comparisons: they cost an eighth of the steps then.
    const EVERY: u64 = 16;

    fn none(count: usize) -> Self {
        Self { samples: 0, sums: vec![0.0; count], since: Self::EVERY }
    }

    /// What infinitely fine steps of fourth order would add to each exponent, per step.
    fn per_step(&self) -> Vec<f64> {
        self.sums.iter().map(|sum| 16.0 / 15.0 * sum / self.samples.max(1) as f64).collect()
    }

    /// The growth of the orthonormal `deviations` over one step of `system`, in steps twice as fine. `None` where the
    /// system knows none.
    #[cold]
    fn fine_growth<S: System>(system: &S, deviations: &[S::Vector]) -> Result<Option<Vec<f64>>> {
        let Some(mut fine) = system.refined() else { return Ok(None) };
        let mut moved = deviations.to_vec();
        let substeps = (system.time_step() / fine.time_step()).round().max(1.0) as u64;
        for _ in 0..substeps {
            fine.step(&mut moved)?;
        }
        Ok(Some(orthonormalize(&mut moved)))
    }

    /// Compares with the growth over the step that has been taken now.
    #[cold]
    fn compare<V: Vector>(&mut self, fine: &[f64], deviations: &[V]) {
        let coarse = orthonormalize(&mut deviations.to_vec());
        let differences: Vec<f64> = fine.iter().zip(&coarse).map(|(fine, coarse)| (fine / coarse).ln()).collect();
        if differences.iter().all(|difference| difference.is_finite()) {
            self.sums.iter_mut().zip(&differences).for_each(|(sum, difference)| *sum += difference);
            self.samples += 1;
        }
        self.since = 0;
    }
}

impl Tally {
    fn new<V: Vector>(growth: Growth, like: &V) -> Self {
        // In f64, 1e-13 is orthogonal enough, and on attractors the usual half would mean a second pass at most steps.
        let share = if storage_epsilon(like) < 1e-10 { 1e-3 } else { 0.5 };
        let refinement = Refinement::none(growth.count());
        Self { factors: vec![0.0; growth.count()], growth, share, taken: 0, refinement }
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        let (count, dimension) = (self.growth.count(), self.growth.dimension());
        let fits = |growth: &Growth| (growth.count(), growth.dimension()) == (count, dimension);
        let read = |field: &mut Growth, row: &Numbers| match row {
            Numbers::Bytes(bytes) => {
                *field = Growth::from_bytes(bytes).ok().filter(fits)?;
                Some(())
            }
            _ => None,
        };
        archive.row("growth", &mut self.growth, |growth| Numbers::Bytes(growth.to_bytes()), read)?;
        archive.count("taken", &mut self.taken)?;
        // A function of the vectors that the measurement began with, not of the present ones.
        archive.number("share", &mut self.share)
    }

    /// Orthonormalises and adds up; false where the factors are not finite.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "with a known number of deviations they stay in registers")]
    fn renormalize<V: Vector>(&mut self, deviations: &mut [V], steps: u64, time: f64) -> bool {
        let (finite, lost) = orthonormalize_into(deviations, &mut self.factors, self.share);
        if finite {
            self.growth.add(steps, time, &self.factors);
        }
        if finite && lost {
            self.replace_the_lost(deviations);
        }
        finite
    }

    /// Puts random unit vectors, orthogonal to all other deviations, in the place of those that are zero.
    #[cold]
    fn replace_the_lost<V: Vector>(&self, deviations: &mut [V]) {
        for i in (0..self.factors.len()).filter(|i| self.factors[*i] == 0.0) {
            let mut others = deviations.to_vec();
            let mut fresh = random(&others.remove(i), 0, self.growth.steps());
            let norm = orthogonalize(&mut fresh, &others);
            fresh.scale(1.0 / norm);
            deviations[i] = fresh;
        }
    }

    /// The loop of [`Benettin::advance`].
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "with a known number of deviations they stay in registers")]
    fn advance<S: System>(
        &mut self,
        system: &mut S,
        deviations: &mut [S::Vector],
        steps: u64,
        every: u64,
    ) -> Result<Outcome> {
        let (mut pending, mut time) = (0, 0.0);
        let is_approximation = system.refined().is_some();
        for step in 1..=steps {
            time += system.time_step();
            self.refinement.since += 1;
            // Only straight after a renormalisation: then the growth of one step is R.
            let due = is_approximation && pending == 0 && self.refinement.since >= Refinement::EVERY;
            let fine = if due { Refinement::fine_growth(system, deviations)? } else { None };
            system.step(deviations)?;
            pending += 1;
            if let Some(fine) = fine {
                self.refinement.compare(&fine, deviations);
            }
            let finite = is_finite(system.state());
            if pending == every || step == steps || !finite || is_strained(deviations) {
                let sound = self.renormalize(deviations, pending, time);
                (pending, time) = (0, 0.0);
                if !(finite && sound) {
                    self.growth.diverge(self.taken + step);
                    return Ok(self.growth.outcome());
                }
            }
        }
        self.taken += steps;
        Ok(Outcome::Completed)
    }
}

/// Whether the deviations have to be re-orthonormalised now: one of them is about to leave the range of numbers, or
/// they are so nearly dependent that the next steps would drown the smaller ones in rounding.
fn is_strained<V: Vector>(deviations: &[V]) -> bool {
    const RANGE: std::ops::RangeInclusive<f64> = 1e-24..=1e24;
    deviations.iter().any(|deviation| !RANGE.contains(&deviation.dot(deviation))) || are_nearly_dependent(deviations)
}

/// Whether less than a share of one of the deviations points out of the span of those before it: 1e-6 in double
/// precision, where R_ii then has ten digits, and .01 in single, where it has five.
///
/// A Cholesky factorisation of the Gram matrix, whose pivots are the squares of R_ii. **Cost**: k²/2 inner products.
fn are_nearly_dependent<V: Vector>(deviations: &[V]) -> bool {
    let Some(first) = deviations.first().filter(|_| deviations.len() > 1) else { return false };
    let least = if storage_epsilon(first) < 1e-10 { 1e-12 } else { 1e-4 };
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(deviations.len());
    for (i, deviation) in deviations.iter().enumerate() {
        let mut row = Vec::with_capacity(i + 1);
        for (j, known) in rows.iter().enumerate() {
            let above: f64 = row.iter().zip(known).map(|(a, b)| a * b).sum();
            row.push((deviation.dot(&deviations[j]) - above) / known[j]);
        }
        let square = deviation.dot(deviation);
        let pivot = square - row.iter().map(|a| a * a).sum::<f64>();
        let independent = pivot > least * square;
        // Also where something is not a number.
        if !independent {
            return true;
        }
        row.push(pivot.sqrt());
        rows.push(row);
    }
    false
}

/// A standard normal vector, a function of seed and index.
fn random<V: Vector>(like: &V, seed: u64, index: u64) -> V {
    let mut vector = like.zeros_like();
    vector.randomize(&mut Stream::new(seed, Purpose::Deviation, index));
    vector
}

/// Finite-time exponents, window after window: see [`Benettin::local`].
#[derive(Debug)]
pub struct Local<'a, S: System> {
    benettin: &'a mut Benettin<S::Vector>,
    system: &'a mut S,
    window: u64,
}

impl<S: System> Iterator for Local<'_, S> {
    type Item = Result<Vec<f64>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.benettin.outcome() != Outcome::Completed {
            return None;
        }
        let mut rates = vec![0.0; self.benettin.deviations.len()];
        let Benettin { deviations, tally } = &mut *self.benettin;
        for _ in 0..self.window {
            match tally.advance(self.system, deviations, 1, 1) {
                Err(error) => return Some(Err(error)),
                Ok(Outcome::Diverged { .. }) => return None,
                Ok(Outcome::Completed) => {}
            }
            let window = self.window as f64;
            rates.iter_mut().zip(&tally.factors).for_each(|(rate, factor)| *rate += factor.ln() / window);
        }
        Some(Ok(rates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    /// Vectors in single precision beside a number in double: how often they are orthogonalised depends on what they
    /// were when the measurement began.
    #[test]
    fn saved_deviations_are_orthonormalised_as_before() {
        type State = (Vec<f32>, [f64; 1]);
        let deviations: Vec<State> = vec![(vec![1.0, 0.0, 0.0], [0.0]), (vec![0.0, 1.0, 0.0], [0.0])];
        let mut first = Benettin::resume(deviations.clone(), Growth::new(2, 4)).unwrap();
        let mut saved = Snapshot::default();
        first.keep(&mut Archive::saving(&mut saved)).unwrap();
        let blank = vec![deviations[0].zeros_like(); 2];
        let mut second = Benettin::resume(blank, Growth::new(2, 4)).unwrap();
        second.keep(&mut Archive::loading(&saved)).unwrap();
        for benettin in [&mut first, &mut second] {
            benettin.deviations_mut().clone_from_slice(&[(vec![1.0, 0.3, 0.7], [0.1]), (vec![1.0, 0.31, 0.69], [0.1])]);
            benettin.renormalize(1, 1.0).unwrap();
        }
        assert_eq!(first.deviations(), second.deviations());
        assert_eq!(first.growth(), second.growth());
    }
}
