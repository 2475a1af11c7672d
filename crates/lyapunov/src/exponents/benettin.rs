//! The method of Benettin as a state machine: deviations move, are re-orthonormalised, and their growth is added up.

use super::{Exponents, Growth, Spectrum, check_count, is_finite};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    system::{Outcome, System},
    vector::{Vector, orthogonalize, orthonormalize, orthonormalize_into},
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
    growth: Growth,
    /// R_ii of the last renormalisation.
    factors: Vec<f64>,
    /// Steps ever taken by [`Benettin::advance`], warm-up included.
    taken: u64,
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
        Ok(Self { deviations, growth: Growth::new(count, like.len()), factors: vec![0.0; count], taken: 0 })
    }

    /// Goes on from saved deviations and growth.
    ///
    /// # Errors
    /// [`Error::Length`] where there are not as many deviations as the growth speaks of.
    pub fn resume(deviations: Vec<V>, growth: Growth) -> Result<Self> {
        let (expected, found) = (growth.count(), deviations.len());
        if expected != found {
            return Err(Error::Length { what: "the set of deviations", expected, found });
        }
        Ok(Self { deviations, growth, factors: vec![0.0; expected], taken: 0 })
    }

    /// Deviations that have moved with `system` through the warm-up of `options`, none of them grown; after a warm-up
    /// that diverged, with the growth up to there.
    ///
    /// # Errors
    /// As for [`exponents`](super::exponents).
    pub fn warmed_up<S: System<Vector = V>>(system: &mut S, options: &Spectrum) -> Result<Self> {
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
    #[inline]
    pub fn renormalize(&mut self, steps: u64, time: f64) -> Option<&[f64]> {
        orthonormalize_into(&mut self.deviations, &mut self.factors);
        // 0 · x is 0 for every finite x: one comparison for all.
        let finite = self.factors.iter().fold(0.0, |sum, factor| sum + 0.0 * factor) == 0.0;
        if !finite {
            return None;
        }
        self.growth.add(steps, time, &self.factors);
        if self.factors.contains(&0.0) {
            self.replace_the_lost();
        }
        Some(&self.factors)
    }

    /// Puts random unit vectors, orthogonal to all other deviations, in the place of those that are zero.
    #[cold]
    fn replace_the_lost(&mut self) {
        for i in (0..self.factors.len()).filter(|i| self.factors[*i] == 0.0) {
            let mut others = self.deviations.clone();
            let mut fresh = random(&others.remove(i), 0, self.growth.steps());
            let norm = orthogonalize(&mut fresh, &others);
            fresh.scale(1.0 / norm);
            self.deviations[i] = fresh;
        }
    }

    /// Puts a random unit vector, orthogonal to all other deviations, in the place of the i-th.
    #[cold]
    fn replace(&mut self, i: usize) {
        let mut others = self.deviations.clone();
        let mut fresh = random(&others.remove(i), 0, self.growth.steps());
        let norm = orthogonalize(&mut fresh, &others);
        fresh.scale(1.0 / norm);
        self.deviations[i] = fresh;
    }

    /// Forgets the growth and keeps the deviations: the end of a warm-up.
    pub fn forget(&mut self) {
        self.growth = Growth::new(self.deviations.len(), self.deviations[0].len());
    }

    /// Moves `system` and the deviations by `steps` steps, re-orthonormalised every `every` steps, at the end, and
    /// earlier where one of them leaves [1e-12, 1e12]. Ends early where the state becomes non-finite.
    ///
    /// # Errors
    /// [`Error::Argument`] for `every` = 0; those of the system.
    pub fn advance<S: System<Vector = V>>(&mut self, system: &mut S, steps: u64, every: u64) -> Result<Outcome> {
        if every == 0 {
            return Err(Error::argument("every", 0, "must be at least 1"));
        }
        let mut pending = 0;
        let mut time = 0.0;
        for step in 1..=steps {
            time += system.time_step();
            system.step(&mut self.deviations)?;
            pending += 1;
            let finite = is_finite(system.state());
            if pending == every || step == steps || !finite || self.is_strained() {
                let sound = self.renormalize(pending, time).is_some();
                (pending, time) = (0, 0.0);
                if !(finite && sound) {
                    self.growth.diverge(self.taken + step);
                    return Ok(self.outcome());
                }
            }
        }
        self.taken += steps;
        Ok(Outcome::Completed)
    }

    /// Whether a deviation is about to leave the range of numbers.
    fn is_strained(&self) -> bool {
        const RANGE: std::ops::RangeInclusive<f64> = 1e-24..=1e24;
        self.deviations.iter().any(|deviation| !RANGE.contains(&deviation.dot(deviation)))
    }

    /// Finite-time exponents: each item is the growth per step over the next `window` steps, for every deviation.
    /// Endless, unless the state becomes non-finite. The growth is added up as well.
    ///
    /// ```
    /// use lyapunov::{Benettin, Spectrum, systems::Henon};
    /// let mut henon = Henon::default().system();
    /// let mut benettin = Benettin::warmed_up(&mut henon, &Spectrum::default())?;
    /// let local: Vec<f64> = benettin.local(&mut henon, 3).take(100).map(|window| Ok(window?[0])).collect::<Result<_, lyapunov::Error>>()?;
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
        &self.growth
    }

    /// How the measurement stands.
    pub fn outcome(&self) -> Outcome {
        self.growth.outcome()
    }

    /// The exponents so far: see [`Growth::exponents`].
    pub fn exponents(&self) -> Exponents {
        self.growth.exponents()
    }
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
        for _ in 0..self.window {
            match self.benettin.advance(self.system, 1, 1) {
                Err(error) => return Some(Err(error)),
                Ok(Outcome::Diverged { .. }) => return None,
                Ok(Outcome::Completed) => {}
            }
            let window = self.window as f64;
            rates.iter_mut().zip(&self.benettin.factors).for_each(|(rate, factor)| *rate += factor.ln() / window);
        }
        Some(Ok(rates))
    }
}
