//! Tokens of features become features of tokens: what mixes tokens is then a layer for each feature.

use burn::tensor::Tensor;

use super::{Dual, Layer, Pass};

/// Matrices of `rows` rows and `columns` columns, flat, to their transposes.
#[derive(Clone, Debug)]
pub(crate) struct Transpose {
    pub rows: usize,
    pub columns: usize,
}

impl Layer for Transpose {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let examples = input.value.dims()[0];
        input.map_linear(|x| {
            let matrices: Tensor<3> = x.reshape([examples, self.rows, self.columns]);
            matrices.swap_dims(1, 2).reshape([examples, self.rows * self.columns])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    const LAYER: Transpose = Transpose { rows: 2, columns: 3 };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&LAYER, 3, 6);
    }

    #[test]
    fn rows_become_columns() {
        let x = draw(6, 0);
        let input = Dual::constant(x.clone().reshape([1, 6]));
        let y = LAYER.forward(&[], input, &mut Pass::training(Noise::default())).value;
        let (x, y): (Vec<f64>, Vec<f64>) = (x.to_data().try_to_vec().unwrap(), y.to_data().try_to_vec().unwrap());
        assert_eq!(y, [x[0], x[3], x[1], x[4], x[2], x[5]]);
    }
}
