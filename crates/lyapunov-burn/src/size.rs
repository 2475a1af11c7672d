//! How large a network is, counted before it is made.

use super::{NetworkOptions, data::PIXELS, layers::Layer, model::Model};
use lyapunov::Result;

/// The size of a network: from which follows whether there is room for it.
///
/// ```
/// use lyapunov_burn::{Architecture, NetworkSize, NetworkOptions};
/// let architecture = Architecture::Mlp { widths: vec![200] };
/// let size = NetworkSize::of(&NetworkOptions { architecture, ..NetworkOptions::default() }, 10)?;
/// assert_eq!((size.parameters, size.outputs, size.widest), (3072 * 200 + 200 + 200 * 10 + 10, 210, 3072));
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkSize {
    /// How many weights it has.
    pub parameters: usize,
    /// Numbers per image that come out of its matrix products. What stands between them, normalisations and
    /// activations, makes as many again, each.
    pub outputs: usize,
    /// The most of them that come out of one of its matrix products, or that an image has.
    pub widest: usize,
}

impl NetworkSize {
    /// The size of the network that `options` ask for, with `classes` outputs. Nothing of it is made.
    ///
    /// # Errors
    /// [`Error::Argument`](lyapunov::Error::Argument), as for [`Network::new`](super::Network::new), for layers that do
    /// not fit each other.
    pub fn of(options: &NetworkOptions, classes: usize) -> Result<Self> {
        let model = Model::new(options, classes)?;
        let parameters = model.layers.parameters().iter().map(super::layers::Parameter::len).sum();
        let outputs = model.layers.outputs();
        let widest = outputs.iter().copied().max().unwrap_or_default().max(PIXELS);
        Ok(Self { parameters, outputs: outputs.iter().sum(), widest })
    }
}
