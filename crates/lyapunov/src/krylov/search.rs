//! The search of [`lanczos`](super::lanczos()): explorations of Krylov spaces, and what they have found so far.

use super::{
    Eigenpair, Lanczos, combine, small_eigen,
    space::{SmallPair, Space},
};
use crate::{
    error::Result,
    noise::{Purpose, Stream},
    operator::Operator,
    vector::{Vector, orthogonalize, orthonormalize},
};

/// The pairs at the two ends, the outermost first.
pub(super) struct Ends<V> {
    pub top: Vec<Eigenpair<V>>,
    pub bottom: Vec<Eigenpair<V>>,
}

impl<V: Vector> Ends<V> {
    pub fn pairs_mut(&mut self) -> impl Iterator<Item = &mut Eigenpair<V>> {
        self.top.iter_mut().chain(&mut self.bottom)
    }

    fn vectors(&self) -> Vec<V> {
        self.top.iter().chain(&self.bottom).map(|pair| pair.vector.clone()).collect()
    }
}

/// What an exploration is for.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    /// All wanted pairs.
    All,
    /// Whether anything lies above the first value or below the second, where these are looked at; −∞ and ∞ where there
    /// are fewer pairs than wanted.
    Missed(Option<f64>, Option<f64>),
}

/// How an exploration has ended.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    Reached,
    /// The space is invariant: it has nothing more to give.
    Closed,
    /// No product is left.
    Spent,
    /// An image was not finite.
    Broken,
}

pub(super) struct Search<'a, A> {
    operator: &'a A,
    pub options: Lanczos,
    pub applications: usize,
    /// The largest |Ritz value| so far: a lower bound of the operator's norm.
    pub norm: f64,
}

impl<'a, A> Search<'a, A> {
    pub fn new(operator: &'a A, options: Lanczos) -> Self {
        Self { operator, options, applications: 0, norm: 0.0 }
    }

    /// The products that may be spent before the last ones, which are for the residuals.
    fn limit(&self) -> usize {
        let (most, wanted) = (self.options.max_applications, self.options.wanted());
        if most > 2 * wanted { most - wanted } else { most }
    }

    pub fn is_close(&self, value: f64, residual: f64) -> bool {
        residual <= self.options.tolerance * value.abs().max(self.norm / 100.0)
    }

    /// Lets `space`, orthogonal to `outside`, grow until its goal is reached.
    pub fn explore<V: Vector>(&mut self, space: &mut Space<V>, outside: &[V], goal: Goal) -> Result<End>
    where
        A: Operator<V>,
    {
        let room = self.options.max_basis - outside.len();
        let mut products = 0;
        while self.applications < self.limit() {
            if space.order() == room {
                let pairs = space.pairs();
                space.restart(&self.options.kept(&pairs, room));
            }
            if !space.extend(self.operator, outside)? {
                self.applications += 1;
                return Ok(End::Broken);
            }
            (self.applications, products) = (self.applications + 1, products + 1);
            // The small problem costs O(m³), far less than a product until the basis is large: then it is solved every
            // fifth step.
            let m = space.order();
            if !(m <= 60 || m.is_multiple_of(5) || m == room || space.is_closed()) {
                continue;
            }
            let pairs = space.pairs();
            self.norm = pairs.iter().map(|pair| pair.value.abs()).fold(self.norm, f64::max);
            if space.is_closed() {
                return Ok(End::Closed);
            }
            let seen = (!space.is_cut()).then_some(products);
            if self.is_reached(&pairs, goal, seen, outside.first().map_or(0, Vector::len)) {
                return Ok(End::Reached);
            }
        }
        Ok(End::Spent)
    }

    fn is_reached(&self, pairs: &[SmallPair], goal: Goal, products: Option<usize>, dimension: usize) -> bool {
        let close = |pair: &SmallPair| self.is_close(pair.value, pair.residual);
        match goal {
            Goal::All => {
                let (mut top, mut bottom) = self.options.ends(pairs);
                pairs.len() >= self.options.wanted() && top.all(close) && bottom.all(close)
            }
            Goal::Missed(above, below) => {
                let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else { return false };
                let nothing = |limit: f64, near: f64, far: f64| {
                    // One in a thousand.
                    let needed = (1648.0 * (dimension as f64).sqrt()).ln();
                    let share = (limit - near) / (limit - far);
                    products.is_some_and(|j| share.max(0.0).sqrt() * (2 * j - 1) as f64 >= needed)
                };
                above.is_none_or(|limit| close(first) || nothing(limit, first.value, last.value))
                    && below.is_none_or(|limit| close(last) || nothing(-limit, -last.value, -first.value))
            }
        }
    }

    /// Whether one pair at an end is wanted, and the residuals are so far above the rounding that β|s_m| tells them.
    pub fn is_coarse<V: Vector>(&self, space: &Space<V>) -> bool {
        let floor = 10.0 * space.storage_epsilon().sqrt() * self.norm;
        let pairs = space.pairs();
        let (mut top, mut bottom) = self.options.ends(&pairs);
        self.options.largest.max(self.options.smallest) <= 1
            && top.all(|pair| pair.residual >= floor)
            && bottom.all(|pair| pair.residual >= floor)
    }

    /// Whether the values are off by at most a tenth of the tolerance, as far as the Ritz values know the gaps.
    pub fn is_sharp<V: Vector>(&self, space: &Space<V>) -> bool {
        let pairs = space.pairs();
        let [first, second, ..] = pairs.as_slice() else { return false };
        let [.., before, last] = pairs.as_slice() else { return false };
        let sharp =
            |pair: &SmallPair, gap: f64| pair.residual.powi(2) <= 0.1 * self.options.tolerance * pair.value.abs() * gap;
        (self.options.largest == 0 || sharp(first, first.value - second.value))
            && (self.options.smallest == 0 || sharp(last, before.value - last.value))
    }

    /// The wanted pairs of `space`: where it has fewer, the largest come first.
    pub fn ends_of<V: Vector>(&self, space: &Space<V>) -> Ends<V> {
        let pairs = space.pairs();
        let full = |pair: &SmallPair| Eigenpair {
            value: pair.value,
            residual: pair.residual,
            vector: space.vector(&pair.coordinates),
        };
        let top = self.options.largest.min(pairs.len());
        let bottom = self.options.smallest.min(pairs.len() - top);
        Ends {
            top: pairs[..top].iter().map(full).collect(),
            bottom: pairs.iter().rev().take(bottom).map(full).collect(),
        }
    }

    /// Explores from random directions outside of what was found until that adds nothing; false where it could not be
    /// finished. One pair at an end cannot miss its own copies: then there is nothing to look for, unless the first
    /// space has `closed`.
    pub fn look_for_missed<V: Vector>(&mut self, ends: &mut Ends<V>, like: &V, closed: bool) -> Result<bool>
    where
        A: Operator<V>,
    {
        let (largest, smallest) = (self.options.largest, self.options.smallest);
        let looks = |wanted: usize| wanted > 1 || (closed && wanted > 0);
        if !looks(largest) && !looks(smallest) {
            return Ok(true);
        }
        for round in 0.. {
            let outside = ends.vectors();
            let Some(start) = outside_of(&outside, like, round) else { return Ok(true) };
            let mut space = Space::new(&start)?;
            let limit = |wanted: usize, found: &[Eigenpair<V>], open: f64| {
                looks(wanted).then(|| found.get(wanted - 1).map_or(open, |pair| pair.value))
            };
            let above = limit(largest, &ends.top, f64::NEG_INFINITY);
            let below = limit(smallest, &ends.bottom, f64::INFINITY);
            let end = self.explore(&mut space, &outside, Goal::Missed(above, below))?;
            if matches!(end, End::Spent | End::Broken) {
                return Ok(false);
            }
            drop(outside);
            if !self.add(ends, &space, above, below) {
                return Ok(true);
            }
        }
        unreachable!("the rounds have no end of their own")
    }

    /// Adds the converged pairs of `space` that lie beyond the limits, and keeps the wanted ones. Says whether there
    /// were any.
    fn add<V: Vector>(&self, ends: &mut Ends<V>, space: &Space<V>, above: Option<f64>, below: Option<f64>) -> bool {
        let pairs = space.pairs();
        // What is closer to the last one than the tolerance is not beyond it.
        let beyond = |limit: f64| self.options.tolerance * limit.abs().max(self.norm / 100.0);
        let close = |pair: &&SmallPair| self.is_close(pair.value, pair.residual);
        let higher =
            |pair: &&SmallPair| above.is_some_and(|limit| limit.is_infinite() || pair.value > limit + beyond(limit));
        let lower =
            |pair: &&SmallPair| below.is_some_and(|limit| limit.is_infinite() || pair.value < limit - beyond(limit));
        let full = |pair: &SmallPair| Eigenpair {
            value: pair.value,
            residual: pair.residual,
            vector: space.vector(&pair.coordinates),
        };
        let top: Vec<_> = pairs.iter().take_while(|p| close(p) && higher(p)).take(self.options.largest).collect();
        let rest = pairs.iter().skip(top.len()).rev();
        let bottom: Vec<_> = rest.take_while(|p| close(p) && lower(p)).take(self.options.smallest).collect();
        let found = !(top.is_empty() && bottom.is_empty());
        ends.top.extend(top.into_iter().map(full));
        ends.bottom.extend(bottom.into_iter().map(full));
        ends.top.sort_by(|a, b| b.value.total_cmp(&a.value));
        ends.bottom.sort_by(|a, b| a.value.total_cmp(&b.value));
        ends.top.truncate(self.options.largest);
        ends.bottom.truncate(self.options.smallest);
        found
    }

    pub fn can_finish<V: Vector>(&self, ends: &Ends<V>) -> bool {
        let count = ends.top.len() + ends.bottom.len();
        count > 0 && self.applications + count <= self.options.max_applications
    }

    /// The Ritz pairs in the space of all that was found, with residuals from the images themselves.
    pub fn refine<V: Vector>(&mut self, ends: &mut Ends<V>) -> Result<()>
    where
        A: Operator<V>,
    {
        let mut basis = ends.vectors();
        orthonormalize(&mut basis);
        let mut images = Vec::with_capacity(basis.len());
        for vector in &basis {
            images.push(self.operator.apply(vector)?);
            self.applications += 1;
        }
        let columns: Vec<Vec<f64>> = images.iter().map(|image| image.dots(&basis)).collect();
        let entry = |i: usize, j: usize| 0.5 * (columns[i][j] + columns[j][i]);
        // Images that are not finite now leave what was known.
        let Some(pairs) = small_eigen(basis.len(), entry) else { return Ok(()) };
        let (top, bottom) = (ends.top.len(), ends.bottom.len());
        let chosen = pairs.iter().take(top).chain(pairs.iter().rev().take(bottom));
        for ((value, s), pair) in chosen.zip(ends.pairs_mut()) {
            let vector = combine(&basis, s);
            let mut rest = combine(&images, s);
            rest.axpy(-value, &vector);
            *pair = Eigenpair { value: *value, residual: rest.norm() / vector.norm(), vector };
        }
        Ok(())
    }
}

/// A random unit vector orthogonal to `found`; `None` where these are everything.
fn outside_of<V: Vector>(found: &[V], like: &V, round: u64) -> Option<V> {
    if found.len() >= like.len() {
        return None;
    }
    let mut start = like.zeros_like();
    start.randomize(&mut Stream::new(0, Purpose::Probe, u64::MAX - round));
    orthogonalize(&mut start, found);
    start.unit()
}
