//! Whether an objective gives the same bits when it is asked twice: the least that an eigenvalue search needs.

use super::{Hessian, Objective, Product, Sample};
use crate::{
    error::{Error, Result},
    vector::Vector,
};

/// Asks for loss and gradient a second time and compares them, bit for bit, with what is `known`.
///
/// Dropout with a mask of its own at each call, augmentation that is not replayed, sums whose order depends on threads:
/// each makes a Krylov method see a different matrix at every product, and nothing in its result shows it. A loss or a
/// gradient that is not finite is compared as far as it can be.
///
/// **Cost**: one gradient over `on`.
///
/// # Errors
/// [`Error::NotDeterministic`] where the two differ, with the size of the difference; the objective's own errors.
pub fn check_determinism<O: Objective>(
    objective: &O,
    at: &O::Vector,
    on: Sample,
    known: &(f64, O::Vector),
) -> Result<()> {
    let (loss, gradient) = objective.gradient(at, on)?;
    if loss.to_bits() != known.0.to_bits() {
        return Err(Error::NotDeterministic { what: "loss", difference: (loss - known.0).abs() });
    }
    let mut rest = gradient;
    rest.axpy(-1.0, &known.1);
    let difference = rest.norm();
    if difference > 0.0 {
        return Err(Error::NotDeterministic { what: "gradient", difference });
    }
    Ok(())
}

impl<'a, O: Objective> Hessian<'a, O> {
    /// The Hessian, once a second pass has given the `known` loss and gradient again.
    ///
    /// **Cost**: one gradient over `on`.
    ///
    /// # Errors
    /// Those of [`check_determinism`].
    ///
    /// ```
    /// use lyapunov::{Hessian, Lanczos, Objective, Product, Sample, lanczos, systems::ScalarNetwork};
    /// let (network, at) = (ScalarNetwork { target: 2.0 }, vec![0.5, 4.5]);
    /// let known = network.gradient(&at, Sample::Full)?;
    /// let hessian = Hessian::checked(&network, &at, Sample::Full, Product::Exact, &known)?;
    /// assert!(lanczos(&hessian, &known.1, &Lanczos::default())?.converged);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn checked(
        objective: &'a O,
        at: &'a O::Vector,
        on: Sample,
        product: Product,
        known: &'a (f64, O::Vector),
    ) -> Result<Self> {
        check_determinism(objective, at, on, known)?;
        Ok(Self { objective, at, on, product, gradient: Some(&known.1) })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A loss that moves a little with every call, or whose gradient does.
    struct Restless {
        calls: Cell<u32>,
        loss: f64,
        gradient: f64,
    }

    impl Objective for Restless {
        type Vector = Vec<f64>;
        fn gradient(&self, at: &Vec<f64>, _on: Sample) -> Result<(f64, Vec<f64>)> {
            let calls = f64::from(self.calls.replace(self.calls.get() + 1));
            Ok((at[0] + self.loss * calls, vec![1.0, 1.0 + self.gradient * calls]))
        }
        fn product(&self, _kind: Product, _at: &Vec<f64>, _on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
            Ok(v.clone())
        }
    }

    fn checked(loss: f64, gradient: f64) -> Result<u32> {
        let objective = Restless { calls: Cell::new(0), loss, gradient };
        let at = vec![1.0, 1.0];
        let known = objective.gradient(&at, Sample::Full)?;
        Hessian::checked(&objective, &at, Sample::Full, Product::Exact, &known)?;
        Ok(objective.calls.get())
    }

    #[test]
    fn what_is_not_the_same_twice_is_refused_with_the_difference() {
        assert_eq!(checked(0.0, 0.0).unwrap(), 2, "one gradient more");
        let message = checked(1e-9, 0.0).unwrap_err().to_string();
        assert!(message.starts_with("the loss is not the same when it is computed twice"), "{message}");
        let error = checked(0.0, 1e-12).unwrap_err();
        assert!(matches!(error, Error::NotDeterministic { what: "gradient", difference }
                if (0.9e-12..1.1e-12).contains(&difference)));
    }
}
