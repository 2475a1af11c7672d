//! One token out of a sequence: the first, or the mean of all.

use burn::tensor::Tensor;

use super::{Dual, Layer, Pass};

/// Sequences of tokens of `width` features to `width` features.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenPool {
    /// The first token, where the class token stands.
    First { width: usize },
    /// The mean over the tokens.
    Mean { width: usize },
}

impl Layer for TokenPool {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        match *self {
            Self::First { width } => input.map_linear(|x| x.narrow(1, 0, width)),
            Self::Mean { width } => input.map_linear(|x| {
                let [examples, features] = x.dims();
                let (tokens, share) = (features / width, width as f64 / features as f64);
                let sequences: Tensor<3> = x.reshape([examples, tokens, width]);
                sequences.sum_dim(1).reshape([examples, width]) * share
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&TokenPool::First { width: 2 }, 3, 8);
        check_layer(&TokenPool::Mean { width: 2 }, 3, 8);
    }

    #[test]
    fn tokens_are_what_is_averaged() {
        let x = draw(8, 0);
        let pooled = |pool: TokenPool| -> Vec<f64> {
            let input = Dual::constant(x.clone().reshape([1, 8]));
            pool.forward(&[], input, &mut Pass::training(Noise::default())).value.to_data().try_to_vec().unwrap()
        };
        let values: Vec<f64> = x.to_data().try_to_vec().unwrap();
        assert_eq!(pooled(TokenPool::First { width: 2 }), values[..2]);
        let mean = pooled(TokenPool::Mean { width: 2 });
        assert!(mean.len() == 2 && (mean[1] - (values[1] + values[3] + values[5] + values[7]) / 4.0).abs() < 1e-15);
    }
}
