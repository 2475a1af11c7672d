//! Power iteration: the reference that other tools use, with the residual that they leave out.
//!
//! It finds the eigenvalue of largest **magnitude**, at the rate |λ₂/λ₁|: Lanczos needs fewer products for a better
//! answer, and finds the algebraic end that was asked for.

use super::{Eigenpair, Ritz};
use crate::{
    error::{Error, Result},
    operator::Operator,
    vector::{Vector, storage_epsilon},
};

/// Power iteration from `start`: v ← A v / ‖A v‖ until the residual ‖A v − θ v‖ is at most `tolerance` times the norm
/// of the image, or `max_applications` are spent. The stopping rule in common use, that the Rayleigh quotient θ hardly
/// changes, stops at once where two eigenvalues of opposite sign share the largest magnitude, at a number that is
/// neither: there the residual never falls, and nothing is called converged.
///
/// **Cost**: one application a step; two vectors held.
///
/// # Errors
/// [`Error::Argument`] for a start vector that is zero or not finite; the operator's own errors.
///
/// ```
/// use lyapunov::{Dense, krylov::power_iteration};
/// let found = power_iteration(&Dense::diagonal(&[3.0, -5.0]), &vec![1.0, 1.0], 1e-9, 200)?;
/// assert!((found.largest[0].value + 5.0).abs() < 1e-6, "the largest magnitude, not the largest value");
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn power_iteration<V: Vector>(
    operator: &impl Operator<V>,
    start: &V,
    tolerance: f64,
    max_applications: usize,
) -> Result<Ritz<V>> {
    let mut vector =
        start.unit().ok_or_else(|| Error::argument("start", "the start vector", "must be finite and not zero"))?;
    let mut found = Ritz { largest: Vec::new(), smallest: Vec::new(), applications: 0, converged: false };
    let rounding = storage_epsilon(&vector);
    while found.applications < max_applications && !found.converged {
        let image = operator.apply(&vector)?;
        found.applications += 1;
        let value = vector.dot(&image);
        let mut rest = image.clone();
        rest.axpy(-value, &vector);
        let (size, residual) = (image.norm(), rest.norm());
        found.largest = vec![Eigenpair { value, residual: residual.max(rounding * size), vector }];
        found.converged = residual <= tolerance * size;
        // An image that is zero or not finite has no direction to go on with.
        let Some(next) = image.unit() else { break };
        vector = next;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Dense;

    #[test]
    fn it_converges_at_the_rate_of_the_gap_and_says_how_far_it_got() {
        let matrix = Dense::diagonal(&[10.0, 9.0, 1.0]);
        let found = power_iteration(&matrix, &vec![1.0; 3], 1e-2, 500).unwrap();
        let top = &found.largest[0];
        assert!(found.converged && (top.value - 10.0).abs() <= top.residual);
        assert!((1e-2..0.1).contains(&top.residual), "{}", top.residual);
        let exact = power_iteration(&matrix, &vec![1.0; 3], 1e-8, 500).unwrap();
        assert!((exact.largest[0].value - 10.0).abs() < 1e-9 && exact.applications > 2 * found.applications);
    }

    #[test]
    fn two_eigenvalues_of_one_magnitude_do_not_converge() {
        // The quotient is 3 at every second step and its change is 0; the eigenvalues are 5 and −5.
        let found = power_iteration(&Dense::diagonal(&[5.0, -5.0, 1.0]), &vec![2.0, 1.0, 0.5], 1e-3, 200).unwrap();
        assert!(!found.converged && found.applications == 200);
        assert!((found.largest[0].residual - 4.0).abs() < 1e-6, "{:?}", found.largest[0]);
    }

    #[test]
    fn the_zero_operator_has_the_eigenvalue_zero() {
        let found = power_iteration(&Dense::diagonal(&[0.0, 0.0]), &vec![1.0, 0.0], 1e-3, 10).unwrap();
        assert_eq!((found.largest[0].value, found.largest[0].residual), (0.0, 0.0));
    }
}
