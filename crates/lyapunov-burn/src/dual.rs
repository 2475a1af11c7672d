//! A value and how it moves when the weights move.

use burn::tensor::Tensor;

/// A tensor x and, where tangents are carried, its derivative ẋ along a direction in weight space.
///
/// Three uses, one definition of every layer:
/// - **training**: no tangents; the value is recorded by autodiff;
/// - **exact product**: value and tangent are both recorded, so the reverse pass of the directional derivative is H v;
/// - **Gauss–Newton**: the value is recorded, the tangent is plain: it costs no graph.
///
/// A missing tangent is the zero tangent: that of the images.
#[derive(Clone, Debug)]
pub(super) struct Dual<const D: usize> {
    /// x.
    pub value: Tensor<D>,
    /// ẋ, of the same shape.
    pub tangent: Option<Tensor<D>>,
}

impl<const D: usize> Dual<D> {
    /// A constant.
    pub fn constant(value: Tensor<D>) -> Self {
        Self { value, tangent: None }
    }

    /// Applies a rule to the tangent, if there is one. `rule(point, ẋ)` gets the value `at` in the form that the
    /// tangent needs: recorded beside a recorded tangent, plain beside a plain one.
    pub fn map_tangent<const E: usize, const F: usize>(
        tangent: Option<Tensor<E>>,
        at: &Tensor<D>,
        rule: impl FnOnce(Tensor<D>, Tensor<E>) -> Tensor<F>,
    ) -> Option<Tensor<F>> {
        tangent.map(|tangent| rule(beside(at, &tangent), tangent))
    }

    /// The sum, with that of the tangents.
    pub fn plus(mut self, other: Self) -> Self {
        self.value = self.value + other.value;
        self.move_by(other.tangent);
        self
    }

    /// The same with `other` behind it, column after column.
    pub fn followed_by(self, other: Self) -> Self {
        self.joined(other, |first, second| Tensor::cat(vec![first, second], 1))
    }

    /// What a linear map of two tensors makes of both.
    pub fn joined(self, other: Self, map: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<D>) -> Self {
        // What does not move has a tangent of zeros, as plain or as recorded as the other one.
        let zeros =
            |value: &Tensor<D>, other: &Tensor<D>| Tensor::zeros(value.dims(), (&other.device(), other.dtype()));
        let tangents = match (self.tangent, other.tangent) {
            (Some(first), Some(second)) => Some((first, second)),
            (Some(first), None) => Some((first.clone(), zeros(&other.value, &first))),
            (None, Some(second)) => Some((zeros(&self.value, &second), second)),
            (None, None) => None,
        };
        let tangent = tangents.map(|(first, second)| map(first, second));
        Self { value: map(self.value, other.value), tangent }
    }

    /// Adds to the tangent that of a term which the value contains already.
    pub fn move_by(&mut self, tangent: Option<Tensor<D>>) {
        self.tangent = match (self.tangent.take(), tangent) {
            (Some(moved), Some(more)) => Some(moved + more),
            (moved, more) => moved.or(more),
        };
    }

    /// The same linear map applied to value and tangent.
    pub fn map_linear<const E: usize>(self, map: impl Fn(Tensor<D>) -> Tensor<E>) -> Dual<E> {
        Dual { value: map(self.value), tangent: self.tangent.map(&map) }
    }

    /// `value` with the derivative of the bilinear map b(x, y): b(ẋ, y) + b(x, ẏ), leaving out what is zero.
    pub fn bilinear<const E: usize, const F: usize>(
        &self,
        other: &Dual<E>,
        value: Tensor<F>,
        map: impl Fn(Tensor<D>, Tensor<E>) -> Tensor<F>,
    ) -> Dual<F> {
        let left = self.tangent.clone().map(|dot| {
            let fixed = beside(&other.value, &dot);
            map(dot, fixed)
        });
        let right = other.tangent.clone().map(|dot| map(beside(&self.value, &dot), dot));
        let mut product = Dual { value, tangent: left };
        product.move_by(right);
        product
    }
}

/// `value` in the form that a tangent rule may multiply with `tangent`: without its graph where the tangent has none.
pub(super) fn beside<const D: usize, const E: usize>(value: &Tensor<D>, tangent: &Tensor<E>) -> Tensor<D> {
    if tangent.is_autodiff() { value.clone() } else { value.clone().inner() }
}
