//! What controllers ask for: the loss of the mini-batch along the coming step, and along the step before.

use crate::{
    descent::Descent,
    error::Result,
    objective::{Difference, Hessian, Objective, Product, Sample},
    operator::{Operator, Preconditioned},
    record::{Along, Secant},
    vector::Vector,
};

/// Slope and curvature along the coming step of `descent`; `None` where it goes nowhere or the product is not finite.
///
/// **Cost**: one product on the mini-batch; the gradient is the step's own.
pub(super) fn along<D: Descent>(descent: &mut D, product: Product) -> Result<Option<Along>> {
    let mut gradient = descent.gradient()?.1.clone();
    let mut push = descent.momentum()?;
    let root = descent.preconditioner()?;
    if let Some(root) = &root {
        root(&mut push);
    }
    let Some(direction) = push.unit() else { return Ok(None) };
    let (objective, at, on) = (descent.objective(), descent.weights(), Sample::Mini(descent.steps_taken()));
    let central = matches!(product, Product::Difference(Difference { central: true, .. }));
    let known = gradient.clone();
    let hessian = Hessian { objective, at, on, product, gradient: (!central).then_some(&known) };
    let image = match &root {
        Some(root) => {
            root(&mut gradient);
            Preconditioned { operator: &hessian, root }.apply(&direction)?
        }
        None => hessian.apply(&direction)?,
    };
    let (slope, curvature) = (gradient.dot(&direction), image.dot(&direction));
    let (stretch, reach, cost) = (image.norm(), push.norm(), objective.product_cost(product, on));
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
