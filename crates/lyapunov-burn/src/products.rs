//! Gradients and products of a network, chunk by chunk, all from one list of layers.
//!
//! **Exact product** (Pearlmutter 1994): the forward pass carries (x, ẋ), so that the directional derivative
//! D = Σ ∂ℓ/∂z · ż comes out of it as a scalar; its reverse pass gives ∂D/∂w = H v. First-order autodiff suffices.
//! Where the ẇ are leaves as well, the same reverse pass gives ∂D/∂ẇ = g: the joint pass.
//!
//! **Gauss–Newton**: the forward pass carries ż = J v on plain tensors, then (z · (∂²ℓ/∂z²) ż) goes backward.
//!
//! **The penalty** ½λ‖w‖² has the gradient λw and the Hessian λ, on every sample: it is added once, behind the sum over
//! chunks.
//!
//! Every call makes fresh leaves and ends with their backward pass, so no graph outlives it.

use burn::tensor::{Gradients, Tensor};

use super::{
    dual::Dual,
    network::{Batch, Network},
    samples::Chunk,
    vector::{Weights, split},
};
use lyapunov::{Result, Sample, Vector};

impl Network {
    /// Sums `part(batch, 1/examples)` over the `chunks` of `on`: a scalar and flat vectors.
    fn accumulate<const K: usize>(
        &self,
        on: Sample,
        chunks: &[Chunk],
        part: impl Fn(Batch, f64) -> (f64, [Weights; K]),
    ) -> (f64, [Weights; K]) {
        let share = 1.0 / self.images(on) as f64;
        let mut parts = chunks.iter().map(|chunk| self.space.enter(|| part(self.batch(chunk, on), share)));
        let first = parts.next().expect("a sample names at least one image");
        parts.fold(first, |(loss, mut sums), (more, terms)| {
            for (sum, term) in sums.iter_mut().zip(&terms) {
                sum.axpy(1.0, term);
            }
            (loss + more, sums)
        })
    }

    /// Loss and gradient.
    pub(super) fn plain_gradient(&self, at: &Weights, on: Sample) -> Result<(f64, Weights)> {
        let (loss, [mut gradient]) = self.accumulate(on, &self.chunks(on)?, |batch, share| {
            let leaves = recorded(split(at, &self.lengths));
            let parameters: Vec<_> = leaves.iter().cloned().map(Dual::constant).collect();
            let outputs = self.training_outputs(&parameters, &batch).value;
            let loss = self.loss.value(outputs, batch.targets) * share;
            (scalar(&loss), [backward(&loss, &leaves)])
        });
        self.add_penalty(at, &mut gradient);
        Ok((loss + self.penalty(at), gradient))
    }

    /// ½λ‖w‖².
    fn penalty(&self, at: &Weights) -> f64 {
        if self.l2 == 0.0 { 0.0 } else { 0.5 * self.l2 * at.dot(at) }
    }

    /// Adds λ v, the penalty's share of a gradient at v or of a product with v.
    fn add_penalty(&self, v: &Weights, sum: &mut Weights) {
        if self.l2 != 0.0 {
            sum.axpy(self.l2, v);
        }
    }

    /// The directional derivative D of one batch along the `directions`, with the loss; D's reverse pass gives H v.
    fn directional_derivative(
        &self,
        leaves: &[Tensor<1>],
        directions: Vec<Tensor<1>>,
        batch: Batch,
        share: f64,
    ) -> (f64, Tensor<1>) {
        let outputs = self.training_outputs(&moving(leaves, directions), &batch);
        let loss = self.loss.value(outputs.value.clone().inner(), batch.targets.clone()) * share;
        let slope = self.loss.slope(outputs.value, batch.targets);
        let tangent = outputs.tangent.expect("weights with tangents move the outputs");
        (scalar(&loss), (slope * tangent).sum() * share)
    }

    /// H v.
    pub(super) fn exact(&self, at: &Weights, on: Sample, v: &Weights) -> Result<Weights> {
        let (_, [mut product]) = self.accumulate(on, &self.chunks_with_tangents(on)?, |batch, share| {
            let leaves = recorded(split(at, &self.lengths));
            let directions = split(v, &self.lengths).into_iter().map(Tensor::autodiff).collect();
            let (loss, derivative) = self.directional_derivative(&leaves, directions, batch, share);
            (loss, [backward(&derivative, &leaves)])
        });
        self.add_penalty(v, &mut product);
        Ok(product)
    }

    /// Loss, gradient and H v.
    pub(super) fn joint(&self, at: &Weights, on: Sample, v: &Weights) -> Result<(f64, Weights, Weights)> {
        let (loss, [mut gradient, mut product]) =
            self.accumulate(on, &self.chunks_with_tangents(on)?, |batch, share| {
                let leaves = recorded(split(at, &self.lengths));
                let directions = recorded(split(v, &self.lengths));
                let (loss, derivative) = self.directional_derivative(&leaves, directions.clone(), batch, share);
                let mut gradients = derivative.backward();
                (loss, [flat(&mut gradients, &directions), flat(&mut gradients, &leaves)])
            });
        self.add_penalty(at, &mut gradient);
        self.add_penalty(v, &mut product);
        Ok((loss + self.penalty(at), gradient, product))
    }

    /// Jᵀ(∂²ℓ/∂z²)J v.
    pub(super) fn gauss_newton(&self, at: &Weights, on: Sample, v: &Weights) -> Result<Weights> {
        let (_, [mut product]) = self.accumulate(on, &self.chunks(on)?, |batch, share| {
            let leaves = recorded(split(at, &self.lengths));
            let outputs = self.training_outputs(&moving(&leaves, split(v, &self.lengths)), &batch);
            let moved = outputs.tangent.expect("weights with tangents move the outputs");
            let cotangent = self.loss.curvature(outputs.value.clone().inner(), batch.targets, moved);
            (0.0, [backward(&((outputs.value * cotangent).sum() * share), &leaves)])
        });
        self.add_penalty(v, &mut product);
        Ok(product)
    }
}

/// Leaves that move in these directions.
fn moving(leaves: &[Tensor<1>], directions: Vec<Tensor<1>>) -> Vec<Dual<1>> {
    leaves.iter().zip(directions).map(|(value, dot)| Dual { value: value.clone(), tangent: Some(dot) }).collect()
}

/// Fresh leaves that record what is done with them.
pub(super) fn recorded(parts: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    parts.into_iter().map(|part| part.autodiff().require_grad()).collect()
}

/// The gradients of `output` at the `leaves`, flat; zeros where it depends on none, as the slope of a hinge.
pub(super) fn backward(output: &Tensor<1>, leaves: &[Tensor<1>]) -> Weights {
    if output.is_tracked() {
        flat(&mut output.backward(), leaves)
    } else {
        Weights(Tensor::cat(leaves.iter().map(zeros_of).collect(), 0))
    }
}

/// The `gradients` that belong to the `leaves`, one after another.
fn flat(gradients: &mut Gradients, leaves: &[Tensor<1>]) -> Weights {
    let parts = leaves.iter().map(|leaf| leaf.grad_remove(gradients).unwrap_or_else(|| zeros_of(leaf)));
    Weights(Tensor::cat(parts.collect(), 0))
}

/// The gradient of a leaf that the output does not depend on.
fn zeros_of(leaf: &Tensor<1>) -> Tensor<1> {
    leaf.clone().inner().zeros_like()
}

pub(super) fn scalar(value: &Tensor<1>) -> f64 {
    value.clone().inner().into_scalar::<f64>()
}
