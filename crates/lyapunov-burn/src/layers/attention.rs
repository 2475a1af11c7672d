//! Attention with several heads: y = softmax(q kᵀ / √d) v in each head, over all tokens.
//!
//! With s = q kᵀ/√d and p = softmax(s), row by row: ṡ by the product rule, ṗ = p ∘ (ṡ − ⟨p, ṡ⟩) and ẏ = ṗ v + p v̇.
//!
//! Source: Vaswani et al., *Attention is all you need* (2017), equation 1.

use super::{Dual, Layer, Pass};
use crate::{
    kernels::attention::Heads,
    operations::{attend, attend_tangent},
};

/// Sequences of tokens with 3 × width features, queries, keys and values one after another and each by heads, to such
/// of width features. The heads divide the width. The linear maps before and behind are layers of their own.
#[derive(Clone, Debug)]
pub(crate) struct Attention(pub Heads);

impl Layer for Attention {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let tangent = Dual::map_tangent(input.tangent, &input.value, |x, t| attend_tangent(x, t, self.0));
        Dual { value: attend(input.value, self.0), tangent }
    }

    /// Both factors move here, unlike in a layer with weights and images: passes with tangents cost a little more than
    /// is counted.
    fn multiply_adds(&self) -> Vec<usize> {
        vec![self.0.tokens * self.0.output(); 2]
    }

    fn outputs(&self) -> Vec<usize> {
        vec![self.0.heads * self.0.tokens * self.0.tokens, self.0.output()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    const HEADS: Heads = Heads { tokens: 3, width: 4, heads: 2 };
    const LAYER: Attention = Attention(HEADS);

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&LAYER, 2, 36);
        check_layer(&Attention(Heads { heads: 1, ..HEADS }), 2, 36);
        assert_eq!(LAYER.multiply_adds(), [36, 36]);
    }

    /// Image by image, head by head, token by token.
    #[test]
    fn it_is_the_formula() {
        let x = draw(2 * 36, 0);
        let input = Dual::constant(x.clone().reshape([2, 36]));
        let y = LAYER.forward(&[], input, &mut Pass::training(Noise::default())).value;
        let (x, y): (Vec<f64>, Vec<f64>) = (x.to_data().try_to_vec().unwrap(), y.to_data().try_to_vec().unwrap());
        for (image, head, token) in (0..2).flat_map(|i| (0..2).flat_map(move |h| (0..3).map(move |t| (i, h, t)))) {
            let at = |token: usize, part: usize| &x[image * 36 + token * 12 + part * 4 + head * 2..][..2];
            let score = |other: usize| -> f64 {
                let dot: f64 = at(token, 0).iter().zip(at(other, 1)).map(|(q, k)| q * k).sum();
                (dot / 2.0_f64.sqrt()).exp()
            };
            let total: f64 = (0..3).map(score).sum();
            for feature in 0..2 {
                let expected: f64 = (0..3).map(|other| score(other) / total * at(other, 2)[feature]).sum();
                let found = y[image * 12 + token * 4 + head * 2 + feature];
                assert!((found - expected).abs() < 1e-14, "{found} for {expected}");
            }
        }
    }
}
