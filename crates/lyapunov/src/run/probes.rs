//! What controllers ask for: the loss of the mini-batch along the coming step, and along the step before.

use crate::{
    descent::ActionRef,
    error::Result,
    objective::{Difference, Hessian, Objective, Product, Sample},
    operator::{Operator, Preconditioned},
    record::{Secant, StepCurvature},
    vector::Vector,
};

/// Slope and curvature of the loss along `heading`, at the weights `at` on the mini-batch `on` with this `gradient`:
/// what a rule asks for, in a training loop of one's own. The step is taken against `heading`, as against a gradient:
/// under momentum it is the momentum. `preconditioner` is what P^-½ does to a vector, for steps w' = w − η P⁻¹ m such
/// as Adam's; everything is then in its metric. `None` where the heading is zero or not finite, or where the product is
/// not finite.
///
/// **Cost**: one product.
///
/// # Errors
/// Those of the objective.
///
/// ```
/// use lyapunov::{Product, Sample, along, systems::Quadratic};
/// let (quadratic, at, gradient) = (Quadratic::new(vec![1.0, 3.0]), vec![1.0, 1.0], vec![1.0, 3.0]);
/// let heading = vec![0.0, 2.0];
/// let found = along(&quadratic, &at, Sample::Full, Product::Exact, &heading, &gradient, None)?.expect("it is finite");
/// assert_eq!((found.slope, found.curvature, found.product_norm, found.direction_norm), (3.0, 3.0, 3.0, 2.0));
/// // With P = 4 the curvature is a quarter, slope and length are halves.
/// let root = |v: &mut Vec<f64>| v.iter_mut().for_each(|x| *x *= 0.5);
/// let found = along(&quadratic, &at, Sample::Full, Product::Exact, &heading, &gradient, Some(&root))?;
/// let found = found.expect("it is finite");
/// assert_eq!((found.slope, found.curvature, found.product_norm, found.direction_norm), (1.5, 0.75, 0.75, 1.0));
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[allow(clippy::type_complexity, reason = "the action of a matrix, borrowed")]
pub fn along<O: Objective>(
    objective: &O,
    at: &O::Vector,
    on: Sample,
    product: Product,
    heading: &O::Vector,
    gradient: &O::Vector,
    preconditioner: Option<ActionRef<'_, O::Vector>>,
) -> Result<Option<StepCurvature>> {
    let central = matches!(product, Product::Difference(Difference { central: true, .. }));
    let hessian = Hessian { objective, at, on, product, gradient: (!central).then_some(gradient) };
    let (mut heading, mut gradient) = (heading.clone(), gradient.clone());
    if let Some(root) = preconditioner {
        root(&mut heading);
        root(&mut gradient);
    }
    let Some(direction) = heading.unit() else { return Ok(None) };
    let image = match preconditioner {
        Some(root) => Preconditioned { operator: &hessian, root }.apply(&direction)?,
        None => hessian.apply(&direction)?,
    };
    let (slope, curvature) = (gradient.dot(&direction), image.dot(&direction));
    let (stretch, reach, cost) = (image.norm(), heading.norm(), objective.product_cost(product, on));
    let finite = [slope, curvature, stretch].iter().all(|number| number.is_finite());
    Ok(finite.then_some(StepCurvature {
        slope,
        curvature,
        product_norm: stretch,
        direction_norm: reach,
        product,
        cost,
    }))
}

/// The step from the weights `before` to `at`, and what it did to the gradient of the mini-batch `on`, which is this
/// `gradient` at `at`.
///
/// **Cost**: one gradient.
///
/// # Errors
/// Those of the objective.
pub fn secant<O: Objective>(
    objective: &O,
    before: &O::Vector,
    at: &O::Vector,
    on: Sample,
    gradient: &O::Vector,
) -> Result<Secant> {
    let mut turn = gradient.clone();
    turn.axpy(-1.0, &objective.gradient(before, on)?.1);
    let mut step = at.clone();
    step.axpy(-1.0, before);
    Ok(Secant { step_norm: step.norm(), gradient_change: turn.norm(), cost: objective.gradient_cost(on) })
}
