//! Flows dx/dt = f(t, x) in steps of Runge and Kutta, fourth order; deviations go through the same stages.

use std::marker::PhantomData;

use super::{Differences, System};
use crate::{error::Result, vector::Vector};

/// The right-hand side of a differential equation, and its derivative.
pub trait Field: Clone {
    /// States and deviations.
    type Vector: Vector;

    /// Writes f(t, x) into `velocity`, which has the shape of `x` and arbitrary entries.
    fn velocity(&self, time: f64, x: &Self::Vector, velocity: &mut Self::Vector);

    /// Writes Df(t, x) δ into `velocity`, which has the shape of `x` and arbitrary entries.
    fn tangent(&self, time: f64, x: &Self::Vector, deviation: &Self::Vector, velocity: &mut Self::Vector);
}

/// A differential equation at work, in classical Runge–Kutta steps of fixed length h.
///
/// State: k₁ = f(x), k₂ = f(x + ½hk₁), k₃ = f(x + ½hk₂), k₄ = f(x + hk₃), x' = x + h(k₁ + 2k₂ + 2k₃ + k₄)/6. A
/// deviation takes the same four stages with the Jacobian at the four points that the state visits, which is the exact
/// derivative of the discrete step: exponents belong to the map that is computed, and the map's to the flow's within
/// O(h⁴). That distance is estimated by steps of half the length now and then, and is part of the error of the
/// exponents ([`Exponents::discretization`](crate::Exponents::discretization)).
///
/// **Units**: exponents come in nats per step; divide by h (see [`Exponents::per_time`](crate::Exponents::per_time)).
/// **Cost** per step: 4 velocities, and 4 tangents per deviation. **Memory**: 9 states. **Source**: Kutta 1901.
///
/// ```
/// use lyapunov::{Flow, SpectrumOptions, exponents};
/// // dx/dt = -2x: the exponent of a stable linear flow is -2, exactly.
/// let mut decay = Flow::of([1.0], 0.01, |x: &[f64; 1]| [-2.0 * x[0]], |_, d| [-2.0 * d[0]]);
/// let found = exponents(&mut decay, &SpectrumOptions { steps: 1000, ..SpectrumOptions::default() })?.per_time();
/// assert!((found.values[0] + 2.0).abs() < 1e-8);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Flow<F: Field> {
    field: F,
    state: F::Vector,
    time: f64,
    time_step: f64,
    /// Kept between steps for its memory only.
    stages: Option<Stages<F::Vector>>,
}

/// What a step writes to on its way.
#[derive(Clone, Debug)]
struct Stages<V> {
    /// The points of the second, third and fourth stage.
    points: [V; 3],
    /// k₁ … k₄, of the state or of one deviation.
    slopes: [V; 4],
    /// The deviation on its way through the stages.
    moving: V,
}

impl<V: Vector> Stages<V> {
    fn like(state: &V) -> Self {
        let copy = || state.clone();
        Self { points: [copy(), copy(), copy()], slopes: [copy(), copy(), copy(), copy()], moving: copy() }
    }
}

impl<F: Field> Flow<F> {
    /// The flow of `field` from `state` at time 0 in steps of h = `time_step`.
    pub fn new(field: F, state: F::Vector, time_step: f64) -> Self {
        Self { field, state, time: 0.0, time_step, stages: None }
    }

    /// The four stages of the state: fills points and slopes.
    #[inline]
    fn move_state(&self, stages: &mut Stages<F::Vector>) {
        let (field, h, t) = (&self.field, self.time_step, self.time);
        let ([k1, k2, k3, k4], [p1, p2, p3]) = (&mut stages.slopes, &mut stages.points);
        field.velocity(t, &self.state, k1);
        offset(p1, &self.state, 0.5 * h, k1);
        field.velocity(t + 0.5 * h, p1, k2);
        offset(p2, &self.state, 0.5 * h, k2);
        field.velocity(t + 0.5 * h, p2, k3);
        offset(p3, &self.state, h, k3);
        field.velocity(t + h, p3, k4);
    }

    /// The four stages of a deviation, at the points of the state.
    #[inline]
    fn move_deviation(&self, stages: &mut Stages<F::Vector>, deviation: &mut F::Vector) {
        let (field, h, t) = (&self.field, self.time_step, self.time);
        let Stages { points, slopes, moving } = stages;
        let [k1, k2, k3, k4] = slopes;
        field.tangent(t, &self.state, deviation, k1);
        offset(moving, deviation, 0.5 * h, k1);
        field.tangent(t + 0.5 * h, &points[0], moving, k2);
        offset(moving, deviation, 0.5 * h, k2);
        field.tangent(t + 0.5 * h, &points[1], moving, k3);
        offset(moving, deviation, h, k3);
        field.tangent(t + h, &points[2], moving, k4);
        advance(deviation, h, slopes);
    }
}

impl<V: Vector, F: Fn(&V) -> V + Clone, J: Fn(&V, &V) -> V + Clone> Flow<FieldClosures<V, F, J>> {
    /// The autonomous flow dx/dt = `velocity(x)` from `state`, with dδ/dt = `tangent(x, δ)`.
    pub fn of(state: V, time_step: f64, velocity: F, tangent: J) -> Self {
        Self::new(FieldClosures { velocity, tangent, vector: PhantomData }, state, time_step)
    }
}

impl<V: Vector, F: Fn(&V) -> V + Clone> Flow<Differences<V, F>> {
    /// The autonomous flow dx/dt = `velocity(x)` from `state`, its tangent taken by differences: see [`Differences`].
    ///
    /// # Errors
    /// As for [`Differences::new`].
    pub fn by_differences(state: V, time_step: f64, velocity: F) -> Result<Self> {
        Ok(Self::new(Differences::new(velocity, &state)?, state, time_step))
    }
}

impl<F: Field> System for Flow<F> {
    type Vector = F::Vector;

    fn state(&self) -> &F::Vector {
        &self.state
    }

    fn set_state(&mut self, state: F::Vector) {
        self.state = state;
    }

    #[inline]
    fn step(&mut self, deviations: &mut [F::Vector]) -> Result<()> {
        // A local of its own: small vectors live in registers then.
        let mut stages = self.stages.take().unwrap_or_else(|| Stages::like(&self.state));
        self.move_state(&mut stages);
        let mut next = self.state.clone();
        advance(&mut next, self.time_step, &stages.slopes);
        for deviation in deviations {
            self.move_deviation(&mut stages, deviation);
        }
        self.state = next;
        self.time += self.time_step;
        self.stages = Some(stages);
        Ok(())
    }

    fn time_step(&self) -> f64 {
        self.time_step
    }

    fn refined(&self) -> Option<Self> {
        let (field, state, time, time_step) = (self.field.clone(), self.state.clone(), self.time, 0.5 * self.time_step);
        Some(Self { field, state, time, time_step, stages: None })
    }
}

/// `target = base + a · x`.
#[inline]
fn offset<V: Vector>(target: &mut V, base: &V, a: f64, x: &V) {
    target.clone_from(base);
    target.axpy(a, x);
}

/// `state += h (k₁ + 2k₂ + 2k₃ + k₄) / 6`.
#[inline]
fn advance<V: Vector>(state: &mut V, h: f64, slopes: &[V; 4]) {
    let sixth = h / 6.0;
    for (slope, weight) in slopes.iter().zip([1.0, 2.0, 2.0, 1.0]) {
        state.axpy(weight * sixth, slope);
    }
}

/// The field that two closures make: see [`Flow::of`].
#[derive(Clone, Copy, Debug)]
pub struct FieldClosures<V, F, J> {
    velocity: F,
    tangent: J,
    vector: PhantomData<V>,
}

impl<V: Vector, F: Fn(&V) -> V + Clone, J: Fn(&V, &V) -> V + Clone> Field for FieldClosures<V, F, J> {
    type Vector = V;

    fn velocity(&self, _time: f64, x: &V, velocity: &mut V) {
        *velocity = (self.velocity)(x);
    }

    fn tangent(&self, _time: f64, x: &V, deviation: &V, velocity: &mut V) {
        *velocity = (self.tangent)(x, deviation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_tangent;

    /// The driven pendulum: the time enters the field.
    #[derive(Clone)]
    struct Driven;

    impl Field for Driven {
        type Vector = Vec<f64>;
        fn velocity(&self, time: f64, x: &Vec<f64>, velocity: &mut Vec<f64>) {
            velocity[0] = x[1];
            velocity[1] = -x[0].sin() + 0.3 * (0.7 * time).cos();
        }
        fn tangent(&self, _time: f64, x: &Vec<f64>, d: &Vec<f64>, velocity: &mut Vec<f64>) {
            velocity[0] = d[1];
            velocity[1] = -x[0].cos() * d[0];
        }
    }

    #[test]
    fn the_tangent_is_the_derivative_of_the_discrete_step() {
        let mut flow = Flow::new(Driven, vec![1.0, 0.2], 0.3);
        for _ in 0..20 {
            check_tangent(&flow, 4);
            flow.step(&mut []).unwrap();
        }
    }

    #[test]
    fn the_error_falls_with_the_fourth_power_of_the_step() {
        let error = |steps: u32| {
            let mut flow =
                Flow::of([1.0, 0.0], 1.0 / f64::from(steps), |x: &[f64; 2]| [x[1], -x[0]], |_, d| [d[1], -d[0]]);
            for _ in 0..steps {
                flow.step(&mut []).unwrap();
            }
            (flow.state()[0] - 1.0_f64.cos()).abs()
        };
        let ratio = error(10) / error(20);
        assert!((14.0..18.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn deviations_do_not_change_the_path() {
        let (mut plain, mut carrying) =
            (Flow::new(Driven, vec![1.0, 0.2], 0.1), Flow::new(Driven, vec![1.0, 0.2], 0.1));
        for _ in 0..50 {
            plain.step(&mut []).unwrap();
            carrying.step(&mut [vec![1.0, 0.0], vec![0.0, 1.0]]).unwrap();
        }
        assert_eq!(plain.state(), carrying.state());
    }
}
