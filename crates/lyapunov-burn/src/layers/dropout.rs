//! Dropout: each entry is kept with probability 1 − p and grows by 1/(1 − p), or becomes zero; the tangent likewise.
//!
//! Source: Srivastava et al., *Dropout* (2014), scaled in training as in PyTorch.

use burn::tensor::{Tensor, TensorData};

use super::{Dual, Layer, Pass};

/// `torch.nn.Dropout`, with masks that are a pure function of the noise of the pass.
#[derive(Clone, Debug)]
pub(crate) struct Dropout {
    /// p.
    pub rate: f64,
}

impl Layer for Dropout {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        let Some(mut stream) = pass.dropout() else { return input };
        let shape = input.value.dims();
        let factor = 1.0 / (1.0 - self.rate);
        let mask: Vec<f64> =
            (0..shape[0] * shape[1]).map(|_| if stream.uniform() < self.rate { 0.0 } else { factor }).collect();
        let options = (&input.value.device().inner(), input.value.dtype());
        let mask = Tensor::<2>::from_data(TensorData::new(mask, shape), options);
        input.map_linear(|x| x * mask.clone())
    }

    fn draws_masks(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    const DROPOUT: Dropout = Dropout { rate: 0.3 };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&DROPOUT, 4, 5);
    }

    fn output(pass: &mut Pass) -> Vec<f64> {
        let ones = draw(20_000, 0).ones_like().reshape([40, 500]);
        DROPOUT.forward(&[], Dual::constant(ones), pass).value.to_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_share_is_dropped_and_the_rest_makes_up_for_it() {
        let values = output(&mut Pass::training(Noise::default()));
        assert!(values.iter().all(|y| *y == 0.0 || (y - 1.0 / 0.7).abs() < 1e-12));
        let mean = values.iter().sum::<f64>() / 20_000.0;
        // Four standard errors: √(p/(1−p)/n) each.
        assert!((mean - 1.0).abs() < 4.0 * (0.3 / 0.7 / 20_000.0_f64).sqrt(), "{mean}");
        assert!(output(&mut Pass::evaluation(&[])).iter().all(|y| *y == 1.0));
    }

    #[test]
    fn masks_differ_by_seed_step_chunk_and_layer_and_by_nothing_else() {
        let first = |noise| output(&mut Pass::training(noise));
        let noise = Noise { seed: 1, step: 2, chunk: 3 };
        let mask = first(noise);
        assert_eq!(mask, first(noise));
        for other in [Noise { seed: 2, ..noise }, Noise { step: 3, ..noise }, Noise { chunk: 2, ..noise }] {
            assert_ne!(mask, first(other));
        }
        let mut pass = Pass::training(noise);
        assert_eq!(mask, output(&mut pass));
        assert_ne!(mask, output(&mut pass), "the next layer of the same pass");
    }
}
