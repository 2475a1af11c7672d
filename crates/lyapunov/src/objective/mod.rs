//! The one door between networks and dynamics: a loss, its gradient, and its Hessian as an action on vectors.

mod batch_sharpness;
mod choice;
mod determinism;
mod extremes;

pub use batch_sharpness::{BatchSharpness, batch_sharpness};
pub use determinism::check_determinism;
pub use extremes::{Extreme, lambda_max, lambda_min};

use std::fmt;

pub use crate::suitability::{SpectralTarget, Unsuitable};
use crate::{
    error::{Error, Result},
    operator::Operator,
    vector::{Vector, storage_epsilon},
};

/// Names the data that a loss is taken over; holds none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sample {
    /// The whole training set.
    Full,
    /// A fixed random subset of this size, the same at every step of a run.
    Subset(usize),
    /// So many images that [`Sample::Subset`] of the same size leaves out: the next ones of the same random order. The
    /// two share none, so one can check what was found on the other.
    Disjoint(usize),
    /// The mini-batch of this training step.
    Mini(u64),
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Subset(size) => write!(f, "subset={size}"),
            Self::Disjoint(size) => write!(f, "disjoint={size}"),
            Self::Mini(_) => f.write_str("batch"),
        }
    }
}

/// How a product with the Hessian (or with its Gauss–Newton part) is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Product {
    /// H v by carrying tangents through the model (Pearlmutter 1994). Right everywhere.
    Exact,
    /// Jᵀ(∂²ℓ/∂f²)J v: positive semi-definite, blind to kinks; differs from H by the residual term.
    GaussNewton,
    /// H v from a difference of gradients: for smooth models that offer nothing else. On ReLU networks it is wrong, not
    /// just noisy.
    Difference(Difference),
}

named! { Product, "product":
    Exact = "exact",
    GaussNewton = "gauss-newton",
    Difference = "difference" => Self::Difference(Difference::SMOOTH),
}

/// How a difference of gradients is taken: Hv ≈ ‖v‖ (g(w + εv̂) − g(w)) / ε, or its central form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// ε divided by ‖w‖ (by 1 where w = 0).
    pub relative_step: f64,
    /// Two-sided: error of order ε² instead of ε, and twice the cost.
    pub central: bool,
}

impl Difference {
    /// The forward difference at 1e-4 ‖w‖, right for smooth activations in f32: vector errors about 1 %.
    pub const SMOOTH: Self = Self { relative_step: 1e-4, central: false };

    /// The forward difference at 3e-3 ‖w‖, the least bad for ReLU and max-pooling: Rayleigh quotients good to 2–10 %,
    /// vectors off by half; smaller steps are worse.
    pub const KINKED: Self = Self { relative_step: 3e-3, central: false };

    /// The central difference with this relative step.
    pub fn central(relative_step: f64) -> Self {
        Self { relative_step, central: true }
    }
}

/// The loss and accuracy on held-out data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The mean loss per example.
    pub loss: f64,
    /// The share of examples that are classified correctly.
    pub accuracy: f64,
}

/// A loss L(w) over named data. A gradient is enough: every estimator works with differences of gradients, and
/// [`Product::auto`] says where they cannot be trusted.
///
/// Every method is a pure function of its arguments: asked twice, it gives the same bits, and asking changes nothing.
/// Costs are in gradient-equivalents (g-eq): one forward and backward pass on one training batch.
pub trait Objective {
    /// Weights, gradients, and products with the Hessian; n entries each.
    type Vector: Vector;

    /// The mean loss over `on` and its gradient at the weights `at`.
    ///
    /// # Errors
    /// Where `on` names data that do not exist.
    fn gradient(&self, at: &Self::Vector, on: Sample) -> Result<(f64, Self::Vector)>;

    /// The product of `kind` with `v`, for the mean loss over `on` at the weights `at`. By default a difference of
    /// gradients, and nothing else: whoever offers more says so by [`Objective::offers`].
    ///
    /// # Errors
    /// [`Error::Product`] where this objective does not offer the kind.
    fn product(&self, kind: Product, at: &Self::Vector, on: Sample, v: &Self::Vector) -> Result<Self::Vector> {
        match kind {
            Product::Difference(difference) => difference_product(self, difference, at, on, v, None),
            kind => {
                let reason = "this objective has gradients only; use difference, where its gradient has no kinks";
                Err(Error::Product { product: kind.name(), reason: reason.to_owned() })
            }
        }
    }

    /// Loss, gradient and product in one pass where that is cheaper; by default the two, apart. A joint pass may differ
    /// from the two in the last bits.
    ///
    /// # Errors
    /// As for the two.
    fn gradient_and_product(
        &self,
        kind: Product,
        at: &Self::Vector,
        on: Sample,
        v: &Self::Vector,
    ) -> Result<(f64, Self::Vector, Self::Vector)> {
        let (loss, gradient) = self.gradient(at, on)?;
        Ok((loss, gradient, self.product(kind, at, on, v)?))
    }

    /// Loss and accuracy on held-out data; `None` where there are none.
    ///
    /// # Errors
    /// Those of the model.
    fn evaluate(&self, _at: &Self::Vector) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    /// Whether products of this kind can be asked for; by default differences of gradients only.
    fn offers(&self, kind: Product) -> bool {
        matches!(kind, Product::Difference(_))
    }

    /// Whether the gradient jumps somewhere, as with ReLU and max-pooling: there, differences of gradients are wrong.
    /// By default it does not.
    fn has_kinks(&self) -> bool {
        false
    }

    /// The difference of gradients that suits this objective.
    fn difference(&self) -> Difference {
        if self.has_kinks() { Difference::KINKED } else { Difference::SMOOTH }
    }

    /// The class predicted for each held-out example; `None` where there are none.
    ///
    /// # Errors
    /// Those of the model.
    fn predictions(&self, _at: &Self::Vector) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// The cost of one gradient over `on`, in g-eq.
    fn gradient_cost(&self, _on: Sample) -> f64 {
        1.0
    }

    /// The cost of one product over `on`, in g-eq, apart from that of [`Objective::gradient`]. Computed from the
    /// operations that the pass needs, so it is the same on every machine; a forward difference counts one gradient,
    /// because the other one is known.
    fn product_cost(&self, kind: Product, on: Sample) -> f64 {
        match kind {
            Product::Difference(Difference { central: true, .. }) => 2.0 * self.gradient_cost(on),
            _ => self.gradient_cost(on),
        }
    }
}

impl<O: Objective + ?Sized> Objective for &O {
    type Vector = O::Vector;
    fn gradient(&self, at: &Self::Vector, on: Sample) -> Result<(f64, Self::Vector)> {
        (**self).gradient(at, on)
    }
    fn product(&self, kind: Product, at: &Self::Vector, on: Sample, v: &Self::Vector) -> Result<Self::Vector> {
        (**self).product(kind, at, on, v)
    }
    fn gradient_and_product(
        &self,
        kind: Product,
        at: &Self::Vector,
        on: Sample,
        v: &Self::Vector,
    ) -> Result<(f64, Self::Vector, Self::Vector)> {
        (**self).gradient_and_product(kind, at, on, v)
    }
    fn evaluate(&self, at: &Self::Vector) -> Result<Option<Evaluation>> {
        (**self).evaluate(at)
    }
    fn predictions(&self, at: &Self::Vector) -> Result<Option<Vec<u8>>> {
        (**self).predictions(at)
    }
    fn offers(&self, kind: Product) -> bool {
        (**self).offers(kind)
    }
    fn has_kinks(&self) -> bool {
        (**self).has_kinks()
    }
    fn difference(&self) -> Difference {
        (**self).difference()
    }
    fn gradient_cost(&self, on: Sample) -> f64 {
        (**self).gradient_cost(on)
    }
    fn product_cost(&self, kind: Product, on: Sample) -> f64 {
        (**self).product_cost(kind, on)
    }
}

/// H v by a difference of gradients, for any objective. `gradient` is g(w) where it is known already: then the forward
/// form costs one gradient, else two; the central form costs two.
///
/// # Errors
/// [`Error::Argument`] for a step that is not positive, or so small that it would vanish in the rounding of the
/// weights; the objective's own errors.
pub fn difference_product<O: Objective + ?Sized>(
    objective: &O,
    difference: Difference,
    at: &O::Vector,
    on: Sample,
    v: &O::Vector,
    gradient: Option<&O::Vector>,
) -> Result<O::Vector> {
    let Difference { relative_step, central } = difference;
    let least = 8.0 * storage_epsilon(at);
    if !(relative_step.is_finite() && relative_step >= least) {
        let reason =
            format!("must be finite and at least {least:.1e}, or the step is lost in the rounding of the weights");
        return Err(Error::argument("relative_step", relative_step, reason));
    }
    let norm = v.norm();
    if norm == 0.0 {
        return Ok(v.zeros_like());
    }
    let scale = at.norm();
    let step = relative_step * if scale > 0.0 { scale } else { 1.0 };
    let gradient_at = |offset: f64| {
        let mut point = at.clone();
        point.axpy(offset / norm, v);
        Ok(objective.gradient(&point, on)?.1)
    };
    let mut product = gradient_at(step)?;
    let other = match gradient {
        _ if central => gradient_at(-step)?,
        Some(known) => known.clone(),
        None => gradient_at(0.0)?,
    };
    product.axpy(-1.0, &other);
    product.scale(norm / if central { 2.0 * step } else { step });
    Ok(product)
}

/// The Hessian of an objective at fixed weights and data, as an [`Operator`].
#[derive(Debug)]
pub struct Hessian<'a, O: Objective> {
    /// The loss.
    pub objective: &'a O,
    /// The weights w.
    pub at: &'a O::Vector,
    /// The data.
    pub on: Sample,
    /// How products are computed.
    pub product: Product,
    /// g(w) on the same data, where it is known: saves forward differences half their cost.
    pub gradient: Option<&'a O::Vector>,
}

impl<'a, O: Objective> Hessian<'a, O> {
    /// The Hessian of `objective` at the weights `at` over the data `on`, by the best kind of product that the
    /// objective offers for its largest eigenvalues; see [`Product::auto`].
    ///
    /// ```
    /// use lyapunov::{Hessian, Operator, Product, Sample, systems::Quadratic};
    /// let (quadratic, weights) = (Quadratic::new(vec![1.0, 3.0]), vec![1.0, 1.0]);
    /// let hessian = Hessian::new(&quadratic, &weights, Sample::Full);
    /// assert_eq!(hessian.product, Product::Exact);
    /// assert_eq!(hessian.apply(&vec![1.0, 1.0])?, vec![1.0, 3.0]);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn new(objective: &'a O, at: &'a O::Vector, on: Sample) -> Self {
        let product = Product::auto(objective, SpectralTarget::Largest);
        let product = product.unwrap_or_else(|_| Product::Difference(objective.difference()));
        Self { objective, at, on, product, gradient: None }
    }

    /// The same by this kind of product.
    #[must_use]
    pub fn product(self, product: Product) -> Self {
        Self { product, ..self }
    }

    /// The same with g(w) on the same data, which saves forward differences half their cost.
    #[must_use]
    pub fn gradient(self, gradient: &'a O::Vector) -> Self {
        Self { gradient: Some(gradient), ..self }
    }
}

impl<O: Objective> Operator<O::Vector> for Hessian<'_, O> {
    fn apply(&self, v: &O::Vector) -> Result<O::Vector> {
        match self.product {
            Product::Difference(difference) => {
                difference_product(self.objective, difference, self.at, self.on, v, self.gradient)
            }
            kind => self.objective.product(kind, self.at, self.on, v),
        }
    }
}
