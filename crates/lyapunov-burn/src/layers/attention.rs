//! Attention with several heads: y = softmax(q kᵀ / √d) v in each head, over all tokens.
//!
//! With s = q kᵀ/√d and p = softmax(s), row by row: ṡ by the product rule, ṗ = p ∘ (ṡ − ⟨p, ṡ⟩) and ẏ = ṗ v + p v̇.
//!
//! Source: Vaswani et al., *Attention is all you need* (2017), equation 1.

use burn::tensor::{Tensor, activation};

use super::{Dual, Layer, Pass};

/// Sequences of `tokens` tokens with 3 × `width` features, queries, keys and values one after another and each by
/// heads, to such of `width` features. `heads` divides the width. The linear maps before and behind are layers of their
/// own.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub tokens: usize,
    pub width: usize,
    pub heads: usize,
}

impl Attention {
    fn features(&self) -> usize {
        self.width / self.heads
    }

    /// Queries, keys or values: [examples, heads, tokens, features].
    fn part(&self, x: Tensor<2>, which: usize) -> Tensor<4> {
        let (examples, heads, features) = (x.dims()[0], self.heads, self.features());
        let parts: Tensor<5> = x.reshape([examples, self.tokens, 3, heads, features]);
        let part: Tensor<4> = parts.narrow(2, which, 1).reshape([examples, self.tokens, heads, features]);
        part.swap_dims(1, 2)
    }
}

/// softmax over the last dimension.
fn softmax(scores: Dual<4>) -> Dual<4> {
    let value = activation::softmax(scores.value, 3);
    let tangent = Dual::map_tangent(scores.tangent, &value, |p, dot| {
        let mean = (p.clone() * dot.clone()).sum_dim(3);
        p * (dot - mean)
    });
    Dual { value, tangent }
}

/// a b, matrix by matrix.
fn product(a: &Dual<4>, b: &Dual<4>) -> Dual<4> {
    a.bilinear(b, a.value.clone().matmul(b.value.clone()), Tensor::matmul)
}

impl Layer for Attention {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let (examples, scale) = (input.value.dims()[0], 1.0 / (self.features() as f64).sqrt());
        let part = |which| input.clone().map_linear(|x| self.part(x, which));
        let queries = part(0).map_linear(|q| q * scale);
        let keys = part(1).map_linear(|k| k.swap_dims(2, 3));
        let seen = product(&softmax(product(&queries, &keys)), &part(2));
        seen.map_linear(|y| y.swap_dims(1, 2).reshape([examples, self.tokens * self.width]))
    }

    /// Both factors move here, unlike in a layer with weights and images: passes with tangents cost a little more than
    /// is counted.
    fn multiply_adds(&self) -> Vec<usize> {
        vec![self.tokens * self.tokens * self.width; 2]
    }

    fn outputs(&self) -> Vec<usize> {
        vec![self.heads * self.tokens * self.tokens, self.tokens * self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    const LAYER: Attention = Attention { tokens: 3, width: 4, heads: 2 };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&LAYER, 2, 36);
        check_layer(&Attention { heads: 1, ..LAYER }, 2, 36);
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
