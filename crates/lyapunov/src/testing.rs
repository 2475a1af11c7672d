//! The laws that every system and every operator must obey, as checks that a test can call.
//!
//! Famous values cannot see the likeliest bugs (a Jacobian at the wrong point, the wrong batch, a Hessian after the
//! update): the Taylor test can.

use crate::{
    noise::{Purpose, Stream},
    operator::Operator,
    system::System,
    vector::Vector,
};

/// The Taylor test: with the same noise, the remainder ‖f(x + εv) − f(x) − ε Df(x) v‖ falls by 4 when ε halves.
///
/// Runs at the present state, for three random directions v of length 1; accepts ratios within [3, 5] over at least two
/// halvings that stand clear of rounding. Systems that are linear in x have no remainder and pass with one at rounding
/// level. **Cost**: about 30 steps of clones of the system.
///
/// # Panics
/// Where the law is broken, with the directions and the ratios that were found; where a step fails.
pub fn check_tangent<S: System + Clone>(system: &S, seed: u64) {
    let error = tangent_error(system, seed);
    assert!(error.is_none(), "{}", error.unwrap_or_default());
}

/// [`check_tangent`] as an answer: what is wrong with the tangent, or `None`.
///
/// # Panics
/// Where a step fails.
///
/// ```
/// use lyapunov::{Map, testing::tangent_error};
/// let square = |x: &[f64; 1]| [x[0] * x[0]];
/// assert_eq!(tangent_error(&Map::of([0.8], square, |x, d| [2.0 * x[0] * d[0]]), 0), None);
/// assert!(tangent_error(&Map::of([0.8], square, |x, d| [x[0] * d[0]]), 0).unwrap().contains("not the derivative"));
/// ```
pub fn tangent_error<S: System + Clone>(system: &S, seed: u64) -> Option<String> {
    (0..3).find_map(|direction| {
        let mut v = system.state().zeros_like();
        v.randomize(&mut Stream::new(seed, Purpose::Probe, direction));
        tangent_error_along(system, &v.unit().expect("a random vector is not zero"))
    })
}

/// [`check_tangent`] along one direction v of length 1: for states whose parts have such different sizes that a random
/// direction leaves their domain.
///
/// # Panics
/// As for [`check_tangent`].
pub fn check_tangent_along<S: System + Clone>(system: &S, v: &S::Vector) {
    let error = tangent_error_along(system, v);
    assert!(error.is_none(), "{}", error.unwrap_or_default());
}

fn tangent_error_along<S: System + Clone>(system: &S, v: &S::Vector) -> Option<String> {
    let (image, mut deviations) = stepped(system, system.state().clone(), vec![v.clone()]);
    let size = image.state().norm();
    let tangent = deviations.remove(0);
    let scale = system.state().norm().max(1.0);
    let remainder = |epsilon: f64| {
        let mut start = system.state().clone();
        start.axpy(epsilon, v);
        let (moved, _) = stepped(system, start, Vec::new());
        let mut moved = image.displacement(moved.state());
        moved.axpy(-epsilon, &tangent);
        moved.norm()
    };
    let steps: Vec<f64> = (6..16).map(|k| scale * 0.5_f64.powi(k)).collect();
    let remainders: Vec<f64> = steps.iter().map(|e| remainder(*e)).collect();
    let rounding = 1e-15 * (size + scale);
    let ratios: Vec<f64> =
        remainders.windows(2).filter(|pair| pair[1] > 100.0 * rounding).map(|pair| pair[0] / pair[1]).collect();
    let linear = remainders.iter().all(|r| *r <= 100.0 * rounding);
    let quadratic = ratios.len() >= 2 && ratios[ratios.len() / 2..].iter().all(|r| (3.0..5.0).contains(r));
    (!linear && !quadratic).then(|| {
        format!("the tangent map is not the derivative of the step: ratios {ratios:?}, remainders {remainders:?}")
    })
}

/// A random direction that is a hundredth long, for [`check_tangent_along`] near kinks.
#[cfg(test)]
pub(crate) fn short_direction<S: System>(system: &S) -> S::Vector {
    let mut v = system.state().zeros_like();
    v.randomize(&mut Stream::new(5, Purpose::Probe, 0));
    v.scale(1e-2 / v.norm());
    v
}

fn stepped<S: System + Clone>(system: &S, start: S::Vector, mut deviations: Vec<S::Vector>) -> (S, Vec<S::Vector>) {
    let mut copy = system.clone();
    copy.set_state(start);
    copy.step(&mut deviations).expect("the step succeeds");
    (copy, deviations)
}

/// The laws of a symmetric operator, on random vectors shaped like `like`: symmetry, linearity and repeatability, each
/// to `tolerance` relative to the sizes involved (repeatability exactly).
///
/// **Cost**: 6 applications.
///
/// # Panics
/// Where a law is broken, naming it and the error found; where an application fails.
pub fn check_operator<V: Vector>(operator: &impl Operator<V>, like: &V, tolerance: f64) {
    let draw = |step| {
        let mut v = like.zeros_like();
        v.randomize(&mut Stream::new(5, Purpose::Probe, step));
        v
    };
    let apply = |v: &V| operator.apply(v).expect("the operator can be applied");
    let (x, y) = (draw(0), draw(1));
    let (ax, ay) = (apply(&x), apply(&y));
    let size = ax.norm() * y.norm() + ay.norm() * x.norm();
    let asymmetry = (ax.dot(&y) - ay.dot(&x)).abs() / size;
    assert!(asymmetry <= tolerance, "not symmetric: {asymmetry:.3e}");

    let mut sum = x.clone();
    sum.axpy(-0.7, &y);
    let mut rest = apply(&sum);
    rest.axpy(-1.0, &ax);
    rest.axpy(0.7, &ay);
    let nonlinearity = rest.norm() / (ax.norm() + ay.norm());
    assert!(nonlinearity <= tolerance, "not linear: {nonlinearity:.3e}");

    let mut again = apply(&x);
    again.axpy(-1.0, &ax);
    assert!(again.norm() == 0.0, "not repeatable: {:.3e}", again.norm());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    /// x' = x² in one dimension, with the derivative wrong on request.
    #[derive(Clone)]
    struct Square {
        x: Vec<f64>,
        /// Take the derivative at the new point: the likeliest bug.
        late: bool,
    }

    impl System for Square {
        type Vector = Vec<f64>;
        fn state(&self) -> &Vec<f64> {
            &self.x
        }
        fn set_state(&mut self, state: Vec<f64>) {
            self.x = state;
        }
        fn step(&mut self, deviations: &mut [Vec<f64>]) -> Result<()> {
            let (old, new) = (self.x[0], self.x[0] * self.x[0]);
            let at = if self.late { new } else { old };
            for d in deviations {
                d[0] *= 2.0 * at;
            }
            self.x[0] = new;
            Ok(())
        }
    }

    #[test]
    fn the_taylor_test_accepts_the_derivative() {
        check_tangent(&Square { x: vec![0.8], late: false }, 0);
    }

    #[test]
    #[should_panic(expected = "not the derivative")]
    fn the_taylor_test_catches_a_jacobian_at_the_wrong_point() {
        check_tangent(&Square { x: vec![0.8], late: true }, 0);
    }

    #[test]
    #[should_panic(expected = "not symmetric")]
    fn the_operator_laws_catch_asymmetry() {
        check_operator(&crate::operator::Dense::new(vec![vec![1.0, 2.0], vec![0.0, 1.0]]), &vec![0.0; 2], 1e-12);
    }
}
