//! Maps x' = f(x, ξ): a law becomes a system.

use std::marker::PhantomData;

use super::{Differences, System, difference};
use crate::{
    error::Result,
    noise::{Purpose, Stream},
    vector::Vector,
};

/// The law of a map, deterministic or random: the image of a state and of its deviations.
pub trait Law {
    /// States and deviations.
    type Vector: Vector;

    /// What is drawn afresh at every step; `()` for a deterministic map.
    type Noise;

    /// The noise ξ of this step, a pure function of its arguments: open a [`Stream`] of [`Purpose::System`].
    fn noise(&self, seed: u64, step: u64) -> Self::Noise;

    /// Writes f(x, ξ) into `image`, which has the shape of `x` and arbitrary entries.
    fn image(&self, x: &Self::Vector, noise: &Self::Noise, image: &mut Self::Vector);

    /// Writes Df(x, ξ) δ into `image`, which has the shape of `x` and arbitrary entries.
    fn tangent(&self, x: &Self::Vector, noise: &Self::Noise, deviation: &Self::Vector, image: &mut Self::Vector);

    /// The way from one state to another: see [`System::displacement`].
    fn displacement(&self, from: &Self::Vector, to: &Self::Vector) -> Self::Vector {
        difference(from, to)
    }
}

/// A map at work: the law, the state and the clock of the noise.
///
/// A map of your own takes its step and the action of its Jacobian; here the Hénon map, whose exponents add up to ln
/// 0.3.
///
/// ```
/// use lyapunov::{Map, SpectrumOptions, exponents};
/// let mut henon = Map::of(
///     [0.1, 0.1],
///     |x: &[f64; 2]| [1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]],
///     |x, d| [-2.8 * x[0] * d[0] + d[1], 0.3 * d[0]],
/// );
/// let found = exponents(&mut henon, &SpectrumOptions::default())?;
/// assert!((found.values[0] - 0.4192).abs() < 4.0 * found.std_errors[0]);
/// assert!((found.sum.value - 0.3_f64.ln()).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
///
/// **Cost** per step: one image, and one tangent per deviation. **Memory**: two states.
#[derive(Clone, Debug)]
pub struct Map<L: Law> {
    law: L,
    state: L::Vector,
    /// A copy of what is being mapped.
    copy: L::Vector,
    seed: u64,
    step: u64,
}

impl<L: Law> Map<L> {
    /// The system of `law` at `state`, with the noise of seed 0.
    pub fn new(law: L, state: L::Vector) -> Self {
        Self { law, copy: state.clone(), state, seed: 0, step: 0 }
    }

    /// The same system with the noise of another seed.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

impl<V: Vector, F: Fn(&V) -> V, J: Fn(&V, &V) -> V> Map<Closures<V, F, J>> {
    /// The map x' = `step(x)` from `state`, with δ' = `tangent(x, δ)`.
    pub fn of(state: V, step: F, tangent: J) -> Self {
        Self::new(Closures { step, tangent, vector: PhantomData }, state)
    }
}

impl<V: Vector, F: Fn(&V, &mut Stream) -> V, J: Fn(&V, &mut Stream, &V) -> V> Map<RandomClosures<V, F, J>> {
    /// The random map x' = `step(x, noise)` from `state`, with δ' = `tangent(x, noise, δ)`. Both see the same stream of
    /// (`seed`, step), at its beginning: draw the same numbers in the same order.
    ///
    /// ```
    /// use lyapunov::{Map, SpectrumOptions, exponents};
    /// // x' = ξx with ln ξ uniform in (0, 1): the exponent is its mean, ½.
    /// let step = |x: &[f64; 1], s: &mut lyapunov::Stream| [s.uniform().exp() * x[0]];
    /// let mut map = Map::random([0.0], 7, step, |_, s, d| [s.uniform().exp() * d[0]]);
    /// let found = exponents(&mut map, &SpectrumOptions::default())?;
    /// assert!((found.values[0] - 0.5).abs() < 4.0 * found.std_errors[0]);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn random(state: V, seed: u64, step: F, tangent: J) -> Self {
        Self::new(RandomClosures { step, tangent, vector: PhantomData }, state).seeded(seed)
    }
}

impl<V: Vector, F: Fn(&V) -> V> Map<Differences<V, F>> {
    /// The map x' = `step(x)` from `state`, its tangent taken by differences: see [`Differences`].
    ///
    /// # Errors
    /// As for [`Differences::new`].
    pub fn by_differences(state: V, step: F) -> Result<Self> {
        Ok(Self::new(Differences::new(step, &state)?, state))
    }
}

impl<L: Law> System for Map<L> {
    type Vector = L::Vector;

    #[inline]
    fn state(&self) -> &L::Vector {
        &self.state
    }

    fn set_state(&mut self, state: L::Vector) {
        self.state = state;
    }

    #[inline]
    fn step(&mut self, deviations: &mut [L::Vector]) -> Result<()> {
        let noise = self.law.noise(self.seed, self.step);
        for deviation in deviations {
            self.copy.clone_from(deviation);
            self.law.tangent(&self.state, &noise, &self.copy, deviation);
        }
        self.copy.clone_from(&self.state);
        self.law.image(&self.copy, &noise, &mut self.state);
        self.step += 1;
        Ok(())
    }

    fn displacement(&self, other: &L::Vector) -> L::Vector {
        self.law.displacement(&self.state, other)
    }
}

/// The law that two closures make: see [`Map::of`].
#[derive(Clone, Copy, Debug)]
pub struct Closures<V, F, J> {
    step: F,
    tangent: J,
    vector: PhantomData<V>,
}

impl<V: Vector, F: Fn(&V) -> V, J: Fn(&V, &V) -> V> Law for Closures<V, F, J> {
    type Vector = V;
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    fn image(&self, x: &V, (): &(), image: &mut V) {
        *image = (self.step)(x);
    }

    fn tangent(&self, x: &V, (): &(), deviation: &V, image: &mut V) {
        *image = (self.tangent)(x, deviation);
    }
}

/// The law that two closures over a stream of noise make: see [`Map::random`].
#[derive(Clone, Copy, Debug)]
pub struct RandomClosures<V, F, J> {
    step: F,
    tangent: J,
    vector: PhantomData<V>,
}

impl<V, F, J> Law for RandomClosures<V, F, J>
where
    V: Vector,
    F: Fn(&V, &mut Stream) -> V,
    J: Fn(&V, &mut Stream, &V) -> V,
{
    type Vector = V;
    type Noise = Stream;

    fn noise(&self, seed: u64, step: u64) -> Stream {
        Stream::new(seed, Purpose::System, step)
    }

    fn image(&self, x: &V, noise: &Stream, image: &mut V) {
        *image = (self.step)(x, &mut noise.clone());
    }

    fn tangent(&self, x: &V, noise: &Stream, deviation: &V, image: &mut V) {
        *image = (self.tangent)(x, &mut noise.clone(), deviation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_tangent;

    #[test]
    fn closures_pass_the_taylor_test() {
        let step = |x: &[f64; 2]| [1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]];
        check_tangent(&Map::of([0.3, 0.1], step, |x, d| [-2.8 * x[0] * d[0] + d[1], 0.3 * d[0]]), 1);
    }

    #[test]
    fn a_random_map_shows_state_and_deviations_the_same_noise() {
        let step = |x: &Vec<f64>, s: &mut Stream| vec![(s.normal() * x[0]).sin()];
        let tangent = |x: &Vec<f64>, s: &mut Stream, d: &Vec<f64>| {
            let a = s.normal();
            vec![(a * x[0]).cos() * a * d[0]]
        };
        let mut map = Map::random(vec![0.7], 3, step, tangent);
        for _ in 0..5 {
            check_tangent(&map, 2);
            map.step(&mut []).unwrap();
        }
    }

    #[test]
    fn the_noise_is_a_function_of_seed_and_step() {
        let path = |seed| -> Vec<f64> {
            let mut map = Map::random([0.0], seed, |_: &[f64; 1], s: &mut Stream| [s.normal()], |_, _, d| *d);
            let mut next = || {
                map.step(&mut []).unwrap();
                map.state()[0]
            };
            vec![next(), next(), next()]
        };
        assert_eq!(path(1), path(1));
        assert_ne!(path(1), path(2));
    }
}
