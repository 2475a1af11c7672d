//! What controllers ask for: the loss of the mini-batch along the coming step, and along the step before.

use crate::{
    descent::{Action, Descent},
    error::Result,
    objective::{Difference, Hessian, Objective, Product, Sample},
    operator::{Operator, Preconditioned},
    record::{Along, Secant},
    vector::Vector,
};

/// Slope and curvature of the loss along `heading`, at the weights `at` on the mini-batch `on` with this `gradient`: what a rule asks for,
/// in a training loop of one's own. The step is taken against `heading`, as against a gradient. `None` where it is zero or not finite, or
/// where the product is not finite.
///
/// **Cost**: one product.
///
/// # Errors
/// Those of the objective.
///
/// ```
/// use lyapunov::{Product, Sample, along, systems::Quadratic};
/// let (quadratic, at, gradient) = (Quadratic::new(vec![1.0, 3.0]), vec![1.0, 1.0], vec![1.0, 3.0]);
/// let found = along(&quadratic, &at, Sample::Full, Product::Exact, &vec![0.0, 2.0], &gradient)?.expect("it is finite");
/// assert_eq!((found.slope, found.curvature, found.stretch, found.reach), (3.0, 3.0, 3.0, 2.0));
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn along<O: Objective>(
    objective: &O,
    at: &O::Vector,
    on: Sample,
    product: Product,
    heading: &O::Vector,
    gradient: &O::Vector,
) -> Result<Option<Along>> {
    probe(objective, at, on, product, (heading.clone(), gradient.clone()), None)
}

/// The same along the coming step of `descent`, in the metric of its preconditioner.
pub(super) fn along_step<D: Descent>(descent: &mut D, product: Product) -> Result<Option<Along>> {
    let gradient = descent.gradient()?.1.clone();
    let (heading, root) = (descent.momentum()?, descent.preconditioner()?);
    let (objective, at, on) = (descent.objective(), descent.weights(), Sample::Mini(descent.steps_taken()));
    probe(objective, at, on, product, (heading, gradient), root.as_ref())
}

fn probe<O: Objective>(
    objective: &O,
    at: &O::Vector,
    on: Sample,
    product: Product,
    (mut heading, mut gradient): (O::Vector, O::Vector),
    root: Option<&Action<O::Vector>>,
) -> Result<Option<Along>> {
    let central = matches!(product, Product::Difference(Difference { central: true, .. }));
    let known = gradient.clone();
    let hessian = Hessian { objective, at, on, product, gradient: (!central).then_some(&known) };
    if let Some(root) = root {
        root(&mut heading);
        root(&mut gradient);
    }
    let Some(direction) = heading.unit() else { return Ok(None) };
    let image = match root {
        Some(root) => Preconditioned { operator: &hessian, root }.apply(&direction)?,
        None => hessian.apply(&direction)?,
    };
    let (slope, curvature) = (gradient.dot(&direction), image.dot(&direction));
    let (stretch, reach, cost) = (image.norm(), heading.norm(), objective.product_cost(product, on));
    let finite = [slope, curvature, stretch].iter().all(|number| number.is_finite());
    Ok(finite.then_some(Along { slope, curvature, stretch, reach, product, cost }))
}

/// The step from `before` to the present weights of `descent`, and what it did to the gradient of the coming mini-batch.
///
/// **Cost**: one gradient.
pub(super) fn secant<D: Descent>(descent: &mut D, before: &<D::Objective as Objective>::Vector) -> Result<Secant> {
    let mut turn = descent.gradient()?.1.clone();
    let on = Sample::Mini(descent.steps_taken());
    turn.axpy(-1.0, &descent.objective().gradient(before, on)?.1);
    let mut step = descent.weights().clone();
    step.axpy(-1.0, before);
    Ok(Secant { moved: step.norm(), turned: turn.norm(), cost: descent.objective().gradient_cost(on) })
}
