//! Layers one after another, as a layer.

use super::{Dual, Layer, Parameter, Pass};

/// Layers by name, first layer first. Parameters are called `<name of the layer>.<name of the parameter>`, and as in
/// their own layer where that has an empty name.
#[derive(Debug)]
pub(crate) struct Sequence(pub Vec<(String, Box<dyn Layer>)>);

impl Sequence {
    /// Layers called 0, 1, 2, …, as in a `torch.nn.Sequential`.
    pub fn numbered(layers: Vec<Box<dyn Layer>>) -> Self {
        Self(layers.into_iter().enumerate().map(|(number, layer)| (number.to_string(), layer)).collect())
    }

    /// The name of what a layer calls `part`.
    fn within(layer: &str, part: &str) -> String {
        if layer.is_empty() { part.to_owned() } else { format!("{layer}.{part}") }
    }

    fn layers(&self) -> impl Iterator<Item = &dyn Layer> {
        self.0.iter().map(|(_, layer)| &**layer)
    }
}

impl Layer for Sequence {
    fn parameters(&self) -> Vec<Parameter> {
        let of = |(name, layer): &(String, Box<dyn Layer>)| -> Vec<Parameter> {
            let within = |p: Parameter| Parameter { name: Self::within(name, &p.name), ..p };
            layer.parameters().into_iter().map(within).collect()
        };
        self.0.iter().flat_map(of).collect()
    }

    fn buffers(&self) -> Vec<String> {
        let of = |(name, layer): &(String, Box<dyn Layer>)| -> Vec<String> {
            layer.buffers().into_iter().map(|buffer| Self::within(name, &buffer)).collect()
        };
        self.0.iter().flat_map(of).collect()
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        let mut rest = parameters;
        let (mut layers, mut value) = (self.layers().peekable(), input);
        while let Some(layer) = layers.next() {
            let (own, others) = rest.split_at(layer.parameters().len());
            rest = others;
            value = match layers.next_if(|next| next.is_relu()) {
                Some(_) => layer.forward_rectified(own, value, pass),
                None => layer.forward(own, value, pass),
            };
        }
        value
    }

    fn multiply_adds(&self) -> Vec<usize> {
        self.layers().flat_map(Layer::multiply_adds).collect()
    }

    fn outputs(&self) -> Vec<usize> {
        self.layers().flat_map(Layer::outputs).collect()
    }

    fn has_kinks(&self) -> bool {
        self.layers().any(Layer::has_kinks)
    }

    fn draws_masks(&self) -> bool {
        self.layers().any(Layer::draws_masks)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Linear, MaxPool, Pointwise, testing::check_layer},
        *,
    };
    use crate::Activation;

    fn sequence() -> Sequence {
        Sequence::numbered(vec![
            Box::new(Linear { inputs: 5, outputs: 16 }),
            Box::new(Pointwise(Activation::Tanh)),
            Box::new(MaxPool { channels: 1, size: 4 }),
        ])
    }

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&sequence(), 4, 5);
    }

    #[test]
    fn names_count_and_nest() {
        let bare: Box<dyn Layer> = Box::new(Sequence(vec![(String::new(), Box::new(sequence()) as Box<dyn Layer>)]));
        let nested = Sequence(vec![("first".into(), bare), ("last".into(), Box::new(sequence()))]);
        let names: Vec<String> = nested.parameters().into_iter().map(|parameter| parameter.name).collect();
        assert_eq!(names, ["first.0.weight", "first.0.bias", "last.0.weight", "last.0.bias"]);
        assert_eq!(nested.multiply_adds(), [80, 80]);
        assert!(nested.has_kinks());
    }
}
