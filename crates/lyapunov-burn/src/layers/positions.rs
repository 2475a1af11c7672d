//! A learned token before those of the image, and a learned vector added to every token for its place: z = [c, x] + p.
//!
//! Source: Dosovitskiy et al., *An image is worth 16×16 words* (2021), equation 1.

use super::{Dual, Layer, Parameter, Pass, as_row};
use crate::initialization::Start;

/// Sequences of `tokens` tokens of `width` features to such of one token more. The class token c begins with zeros, the
/// positions p with normal numbers of deviation 0.02, as in the authors' code.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    pub tokens: usize,
    pub width: usize,
}

impl Layer for Positions {
    fn parameters(&self) -> Vec<Parameter> {
        let parameter =
            |name: &str, tokens, start| Parameter { name: name.to_owned(), shape: vec![1, tokens, self.width], start };
        vec![
            parameter("cls_token", 1, Start::Constant(0.0)),
            parameter("pos_embed", self.tokens + 1, Start::Normal { deviation: 0.02 }),
        ]
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let [class, positions] = parameters else { unreachable!("a class token and positions") };
        let examples = input.value.dims()[0];
        let class = class.clone().map_linear(|class| as_row(class).expand([examples, self.width]));
        class.followed_by(input).plus(positions.clone().map_linear(as_row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    const LAYER: Positions = Positions { tokens: 3, width: 2 };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&LAYER, 4, 6);
    }

    #[test]
    fn the_class_token_stands_first_and_every_place_has_its_vector() {
        let (x, class, positions) = (draw(12, 0), draw(2, 1), draw(8, 2));
        let parameters = [class.clone(), positions.clone()].map(Dual::constant);
        let mut pass = Pass::training(Noise::default());
        let y = LAYER.forward(&parameters, Dual::constant(x.clone().reshape([2, 6])), &mut pass).value;
        let values = |t: burn::tensor::Tensor<1>| t.to_data().try_to_vec::<f64>().unwrap();
        let (x, class, positions) = (values(x), values(class), values(positions));
        let tokens = |image: usize| [&class[..], &x[image * 6..image * 6 + 6]].concat();
        let sum = |image| tokens(image).iter().zip(&positions).map(|(t, p)| t + p).collect::<Vec<_>>();
        assert_eq!(values(y.reshape([16])), [sum(0), sum(1)].concat());
    }
}
