//! Flows in steps that an error estimate chooses; deviations go through the same stages.

use super::{Field, System};
use crate::{
    error::{Error, Result},
    vector::Vector,
};

/// The fractions of the step at which the stages stand.
const TIMES: [f64; 7] = [0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];

/// How the point of each stage is made of the slopes before it; the last one is the new state.
const STAGES: [&[f64]; 7] = [
    &[],
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];

/// Fifth order less fourth: what the slopes say of the error.
const ERROR: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339_200.0, 22.0 / 525.0, -1.0 / 40.0];

/// A differential equation at work, in steps of the pair of Dormand and Prince, fifth order.
///
/// One step of the system takes a fixed time, in as many inner steps as keep the estimated error of each below the
/// tolerance times 1 + ‖x‖. Inner steps are chosen by the state alone, so deviations never change the path; a deviation
/// goes through the stages of the accepted steps with the Jacobian at their points. That is the derivative of the
/// computed map but for the way in which the inner steps depend on the state, which matters as little as the tolerance.
/// Where the solution ends, and no step is short enough, the state becomes infinite.
///
/// No crate for differential equations does this: their steppers do not show the points of their stages.
///
/// **Units**: as for [`Flow`](crate::Flow). **Cost** per inner step: 7 velocities, and 6 tangents per deviation.
/// **Memory**: 17 states. **Source**: Dormand & Prince, J. Comput. Appl. Math. 6 (1980) 19.
///
/// ```
/// use lyapunov::{AdaptiveFlow, SpectrumOptions, exponents, systems::Lorenz63};
/// let mut lorenz = AdaptiveFlow::new(Lorenz63::default(), [1.0, 1.0, 20.0], 0.1, 1e-12)?;
/// let options = SpectrumOptions { steps: 500, warm_up: 100, ..SpectrumOptions::default() };
/// let found = exponents(&mut lorenz, &options)?.per_time();
/// assert!((found.sum.value + 10.0 + 1.0 + 8.0 / 3.0).abs() < 1e-9);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdaptiveFlow<F: Field> {
    field: F,
    state: F::Vector,
    time: f64,
    time_step: f64,
    tolerance: f64,
    /// The inner step that the last error estimate suggests.
    inner_step: f64,
    /// The points of the stages.
    points: [F::Vector; 7],
    /// The slopes at the points, of the state or of one deviation.
    slopes: [F::Vector; 7],
    /// The slopes of a deviation, and its way to the next stage.
    tangents: [F::Vector; 7],
}

impl<F: Field> AdaptiveFlow<F> {
    /// The flow of `field` from `state` at time 0; one step takes `time_step`, inner steps keep to `tolerance`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a time step or a tolerance that is not positive and finite.
    pub fn new(field: F, state: F::Vector, time_step: f64, tolerance: f64) -> Result<Self> {
        for (name, value) in [("time_step", time_step), ("tolerance", tolerance)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::argument(name, value, "must be positive and finite"));
            }
        }
        let copies = || std::array::from_fn(|_| state.clone());
        let (points, slopes, tangents) = (copies(), copies(), copies());
        Ok(Self { field, time: 0.0, time_step, tolerance, inner_step: time_step, points, slopes, tangents, state })
    }

    /// Fills points and slopes for a step of length h, and says how large its error is in units of the tolerance.
    fn attempt(&mut self, h: f64) -> f64 {
        for (i, weights) in STAGES.iter().enumerate() {
            combine(&mut self.points[i], &self.state, h, weights, &self.slopes);
            self.field.velocity(self.time + TIMES[i] * h, &self.points[i], &mut self.slopes[i]);
        }
        let mut error = self.state.zeros_like();
        error.axpy(h * ERROR[0], &self.slopes[0]);
        ERROR.iter().zip(&self.slopes).skip(1).for_each(|(e, slope)| error.axpy(h * e, slope));
        error.norm() / (self.tolerance * (1.0 + self.state.norm()))
    }

    /// Carries a deviation through the stages of the step that was just attempted.
    fn carry(&mut self, deviation: &mut F::Vector, h: f64) {
        // The sixth tangent suffices: the seventh stage stands at the new state.
        for i in 0..6 {
            let mut moving = deviation.clone();
            combine(&mut moving, deviation, h, STAGES[i], &self.tangents);
            self.field.tangent(self.time + TIMES[i] * h, &self.points[i], &moving, &mut self.tangents[i]);
        }
        let start = deviation.clone();
        combine(deviation, &start, h, STAGES[6], &self.tangents);
    }
}

/// `target = base + h Σ wᵢ slopeᵢ`.
fn combine<V: Vector>(target: &mut V, base: &V, h: f64, weights: &[f64], slopes: &[V]) {
    target.clone_from(base);
    for (weight, slope) in weights.iter().zip(slopes).filter(|(weight, _)| **weight != 0.0) {
        target.axpy(h * weight, slope);
    }
}

impl<F: Field> System for AdaptiveFlow<F> {
    type Vector = F::Vector;

    fn state(&self) -> &F::Vector {
        &self.state
    }

    fn set_state(&mut self, state: F::Vector) {
        self.state = state;
    }

    fn step(&mut self, deviations: &mut [F::Vector]) -> Result<()> {
        /// Where a step this short, as a share of the whole, is still too long, the solution ends here.
        const SHORTEST: f64 = 1e-9;
        let mut left = self.time_step;
        while left > 0.0 {
            let h = self.inner_step.min(left);
            let error = self.attempt(h);
            let accepted = error <= 1.0;
            if !accepted && h <= SHORTEST * self.time_step {
                self.state.scale(f64::INFINITY);
                return Ok(());
            }
            if accepted {
                for deviation in &mut *deviations {
                    self.carry(deviation, h);
                }
                self.state.clone_from(&self.points[6]);
                self.time += h;
                left = if h < left { left - h } else { 0.0 };
            }
            let factor = if error.is_nan() { 0.2 } else { (0.9 * error.powf(-0.2)).clamp(0.2, 5.0) };
            // A step that was cut short by the end says little about the next one.
            let suggested = h * factor;
            self.inner_step = if accepted && h < self.inner_step { suggested.max(self.inner_step) } else { suggested };
            self.inner_step = self.inner_step.clamp(SHORTEST * self.time_step, self.time_step);
        }
        Ok(())
    }

    fn time_step(&self) -> f64 {
        self.time_step
    }

    /// With a tolerance of a 32nd, for which the inner steps are half as long.
    fn refined(&self) -> Option<Self> {
        Some(Self { tolerance: self.tolerance / 32.0, inner_step: 0.5 * self.inner_step, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        systems::{Lorenz63, Roessler},
        testing::check_tangent,
    };

    /// The harmonic oscillator.
    #[derive(Clone)]
    struct Circle;

    impl Field for Circle {
        type Vector = Vec<f64>;
        fn velocity(&self, _time: f64, x: &Vec<f64>, velocity: &mut Vec<f64>) {
            velocity.copy_from_slice(&[x[1], -x[0]]);
        }
        fn tangent(&self, _time: f64, _x: &Vec<f64>, d: &Vec<f64>, velocity: &mut Vec<f64>) {
            velocity.copy_from_slice(&[d[1], -d[0]]);
        }
    }

    #[test]
    fn the_error_follows_the_tolerance() {
        for tolerance in [1e-6, 1e-9, 1e-12] {
            let mut flow = AdaptiveFlow::new(Circle, vec![1.0, 0.0], 1.0, tolerance).unwrap();
            for _ in 0..10 {
                flow.step(&mut []).unwrap();
            }
            let error = (flow.state()[0] - 10.0_f64.cos()).abs();
            assert!(error < 100.0 * tolerance, "{error} at {tolerance}");
        }
    }

    #[test]
    fn the_tangent_passes_the_taylor_test_on_the_attractors() {
        let mut lorenz = AdaptiveFlow::new(Lorenz63::default(), [1.0, 1.0, 20.0], 0.05, 1e-12).unwrap();
        let mut roessler = AdaptiveFlow::new(Roessler::default(), [1.0, 1.0, 0.0], 0.05, 1e-12).unwrap();
        for _ in 0..300 {
            lorenz.step(&mut []).unwrap();
            roessler.step(&mut []).unwrap();
        }
        check_tangent(&lorenz, 1);
        check_tangent(&roessler, 1);
    }

    #[test]
    fn deviations_do_not_change_the_path() {
        let start = AdaptiveFlow::new(Lorenz63::default(), [1.0, 1.0, 20.0], 0.1, 1e-9).unwrap();
        let (mut plain, mut carrying) = (start.clone(), start);
        for _ in 0..50 {
            plain.step(&mut []).unwrap();
            carrying.step(&mut [[1.0, 0.0, 0.0]]).unwrap();
        }
        assert_eq!(plain.state(), carrying.state());
    }

    #[test]
    fn a_flow_that_blows_up_in_finite_time_leaves_the_numbers_and_ends() {
        // dx/dt = x²: infinite at t = 1.
        #[derive(Clone)]
        struct Square;
        impl Field for Square {
            type Vector = [f64; 1];
            fn velocity(&self, _time: f64, x: &[f64; 1], velocity: &mut [f64; 1]) {
                velocity[0] = x[0] * x[0];
            }
            fn tangent(&self, _time: f64, x: &[f64; 1], d: &[f64; 1], velocity: &mut [f64; 1]) {
                velocity[0] = 2.0 * x[0] * d[0];
            }
        }
        let mut flow = AdaptiveFlow::new(Square, [1.0], 0.25, 1e-6).unwrap();
        let steps = (1..20).take_while(|_| flow.step(&mut []).is_ok() && flow.state()[0].is_finite()).count();
        assert!(steps < 5, "{steps}");
        assert!(AdaptiveFlow::new(Square, [1.0], 0.0, 1e-6).is_err());
    }
}
