//! The two ends of the spectrum of a Hessian, by one call each.
//!
//! Lanczos with full re-orthogonalisation, from the sum of the gradient, which leans towards the top of the spectrum,
//! and of a random direction, which leaves nothing out.

use super::{Hessian, Objective, Product, Sample, SpectralTarget};
use crate::{
    error::{Error, Result},
    krylov::{Eigenpair, Lanczos, Ritz, lanczos},
    noise::{Purpose, Stream},
    vector::Vector,
};

/// An extreme eigenvalue of a Hessian, with all that is needed to judge it.
#[derive(Clone, Debug)]
pub struct Extreme<V> {
    /// The estimate, in units of loss per weight².
    pub value: f64,
    /// ‖Hv − value·v‖ for the unit vector v, by one more product, and not less than the rounding of the weights times
    /// ‖H‖: some eigenvalue lies within this distance.
    pub residual: f64,
    /// The unit vector v.
    pub vector: V,
    /// How many products it took.
    pub products: usize,
    /// How they were computed.
    pub product: Product,
    /// The data.
    pub on: Sample,
    /// What it cost with the gradient, in g-eq.
    pub cost: f64,
    /// Whether the residual is at most a thousandth of the value, or of a hundredth of the norm of the Hessian.
    pub converged: bool,
}

/// λ_max, the algebraically largest eigenvalue of the Hessian of `objective` at the weights `at` over the data `on`, by
/// the best kind of product that the objective offers for it.
///
/// **Cost**: one gradient and at most 100 products; at most 101 vectors held, see [`Lanczos::max_basis`].
///
/// # Errors
/// [`Error::Unsuitable`] where no kind of product that is offered can give it; [`Error::Argument`] where the first
/// product is not finite; those of the objective.
///
/// ```
/// use lyapunov::{Objective, Product, Result, Sample, lambda_max};
///
/// // A gradient is enough. L(w) = ¼ Σ wᵢ⁴ has the curvatures 3wᵢ².
/// struct Quartic;
/// impl Objective for Quartic {
///     type Vector = Vec<f64>;
///     fn gradient(&self, w: &Vec<f64>, _on: Sample) -> Result<(f64, Vec<f64>)> {
///         Ok((w.iter().map(|w| w.powi(4) / 4.0).sum(), w.iter().map(|w| w.powi(3)).collect()))
///     }
/// }
///
/// let top = lambda_max(&Quartic, &vec![1.0, 2.0], Sample::Full)?;
/// assert!((top.value - 12.0).abs() < 0.01, "3 · 2²");
/// assert_eq!((top.product.name(), top.converged), ("difference", true));
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn lambda_max<O: Objective>(objective: &O, at: &O::Vector, on: Sample) -> Result<Extreme<O::Vector>> {
    extreme(objective, at, on, SpectralTarget::Largest)
}

/// λ_min, the algebraically smallest eigenvalue of the same Hessian: negative where a direction bends downwards.
///
/// **Cost**: as for [`lambda_max`].
///
/// # Errors
/// As for [`lambda_max`]: of a ReLU network that offers neither exact products nor a smooth gradient it is refused, not
/// guessed.
///
/// ```
/// use lyapunov::{Sample, lambda_min, systems::Quadratic};
/// let bottom = lambda_min(&Quadratic::new(vec![1.0, -0.5, 9.0]), &vec![1.0; 3], Sample::Full)?;
/// assert!((bottom.value + 0.5).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn lambda_min<O: Objective>(objective: &O, at: &O::Vector, on: Sample) -> Result<Extreme<O::Vector>> {
    extreme(objective, at, on, SpectralTarget::Smallest)
}

fn extreme<O: Objective>(
    objective: &O,
    at: &O::Vector,
    on: Sample,
    wanted: SpectralTarget,
) -> Result<Extreme<O::Vector>> {
    let product = Product::auto(objective, wanted)?;
    let (_, gradient) = objective.gradient(at, on)?;
    let hessian = Hessian { objective, at, on, product, gradient: Some(&gradient) };
    let (largest, smallest) = if wanted == SpectralTarget::Smallest { (0, 1) } else { (1, 0) };
    let options = Lanczos { largest, smallest, ..Lanczos::default() };
    let Ritz { largest, smallest, applications, converged } = lanczos(&hessian, &start(&gradient), &options)?;
    let Some(Eigenpair { value, residual, vector }) = largest.into_iter().chain(smallest).next() else {
        return Err(Error::argument("at", "these weights", "must have a finite product with the Hessian"));
    };
    let cost = objective.gradient_cost(on) + applications as f64 * objective.product_cost(product, on);
    Ok(Extreme { value, residual, vector, products: applications, product, on, cost, converged })
}

/// As much of a random direction as of the gradient, where there is one.
fn start<V: Vector>(gradient: &V) -> V {
    let mut start = gradient.zeros_like();
    start.randomize(&mut Stream::new(0, Purpose::Probe, 0));
    match (start.unit(), gradient.unit()) {
        (Some(mut random), Some(gradient)) => {
            random.axpy(1.0, &gradient);
            random
        }
        _ => start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        krylov::{TraceOptions, Tracker, trace},
        suitability::Unsuitable,
        systems::{Quadratic, ScalarNetwork},
    };

    /// A loss with a gradient and nothing else: ½ Σ hᵢwᵢ² + ¼ w₀⁴.
    struct GradientOnly {
        curvatures: Vec<f64>,
        kinks: bool,
    }

    impl Objective for GradientOnly {
        type Vector = Vec<f64>;
        fn gradient(&self, at: &Vec<f64>, on: Sample) -> Result<(f64, Vec<f64>)> {
            let (loss, mut gradient) = Quadratic::new(self.curvatures.clone()).gradient(at, on)?;
            gradient[0] += at[0].powi(3);
            Ok((loss + at[0].powi(4) / 4.0, gradient))
        }
        fn has_kinks(&self) -> bool {
            self.kinks
        }
    }

    fn gradient_only(kinks: bool) -> (GradientOnly, Vec<f64>) {
        (GradientOnly { curvatures: vec![1.0, 4.0, -2.0], kinks }, vec![2.0, 0.5, -0.5])
    }

    #[test]
    fn a_gradient_is_enough_for_every_estimator() {
        // H = diag(1 + 3·2², 4, −2).
        let (objective, at) = gradient_only(false);
        let (top, bottom) = (lambda_max(&objective, &at, Sample::Full), lambda_min(&objective, &at, Sample::Full));
        let (top, bottom) = (top.unwrap(), bottom.unwrap());
        assert!((top.value - 13.0).abs() < 0.01 && (bottom.value + 2.0).abs() < 0.01, "{top:?}, {bottom:?}");
        assert_eq!((top.product, top.products, top.cost), (Product::Difference(objective.difference()), 4, 5.0));
        let hessian = Hessian::new(&objective, &at, Sample::Full);
        assert_eq!(hessian.product, Product::Difference(objective.difference()));
        let followed = Tracker::new(3).update(&hessian, &vec![1.0; 3]).unwrap();
        assert!((followed.largest[0].value - 13.0).abs() < 0.01);
        let sum = trace(&hessian, &at, &TraceOptions::default()).unwrap();
        assert!((sum.value - 15.0).abs() < 0.01 + 4.0 * sum.std_error, "{} ± {}", sum.value, sum.std_error);
    }

    #[test]
    fn what_a_gradient_cannot_give_is_said() {
        let (objective, at) = gradient_only(false);
        for kind in [Product::Exact, Product::GaussNewton] {
            assert!(!objective.offers(kind));
            let refused = Hessian::new(&objective, &at, Sample::Full).product(kind);
            let error = crate::operator::Operator::apply(&refused, &at).unwrap_err();
            assert!(matches!(error, Error::Product { product, .. } if product == kind.name()), "{error}");
        }
        let (kinked, at) = gradient_only(true);
        let refused = lambda_min(&kinked, &at, Sample::Full).unwrap_err();
        assert!(matches!(refused, Error::Unsuitable { obstacle: Unsuitable::Kinks, .. }), "{refused}");
        assert!((lambda_max(&kinked, &at, Sample::Full).unwrap().value - 13.0).abs() < 0.2);
    }

    #[test]
    fn both_ends_are_algebraic_and_named() {
        let bowl = Quadratic::new(vec![5.0, -9.0, 0.1]);
        let (top, bottom) =
            (lambda_max(&bowl, &vec![1.0; 3], Sample::Mini(3)), lambda_min(&bowl, &vec![0.0; 3], Sample::Full));
        let (top, bottom) = (top.unwrap(), bottom.unwrap());
        assert!(
            (top.value - 5.0).abs() < 1e-12 && (bottom.value + 9.0).abs() < 1e-12,
            "also where the gradient is zero"
        );
        assert!(top.converged && top.residual < 1e-10 && (top.vector[0].abs() - 1.0).abs() < 1e-10);
        assert_eq!((top.product, top.on), (Product::Exact, Sample::Mini(3)));
        let blown_up = lambda_max(&ScalarNetwork { target: 1.0 }, &vec![f64::INFINITY, 1.0], Sample::Full);
        assert!(matches!(blown_up, Err(Error::Argument { .. })), "{blown_up:?}");
    }

    #[test]
    fn a_known_gradient_saves_half_of_a_difference() {
        let (objective, at) = gradient_only(false);
        let gradient = objective.gradient(&at, Sample::Full).unwrap().1;
        let plain = Hessian::new(&objective, &at, Sample::Full);
        let known = Hessian::new(&objective, &at, Sample::Full).gradient(&gradient);
        let apply = |hessian: &Hessian<'_, _>| crate::operator::Operator::apply(hessian, &vec![1.0; 3]).unwrap();
        assert_eq!((apply(&plain), known.gradient), (apply(&known), Some(&gradient)));
    }
}
