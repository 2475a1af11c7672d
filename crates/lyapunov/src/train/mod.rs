//! Networks and images as objectives, on Burn: the only folder that knows tensors.
//!
//! A [`Network`] is a list of layers, each written once: a layer maps a value and, where there is one, its tangent, so
//! the same definition serves training, exact products with the Hessian and Gauss–Newton products. Its [`Dataset`] is
//! read from files or synthesized, and batches are a pure function of (seed, step).

mod architectures;
mod augment;
mod cifar;
mod dataset;
mod device;
mod dual;
mod extent;
mod foreign;
mod idx;
mod initialization;
mod layers;
mod layout;
mod loss;
mod model;
mod network;
mod options;
mod pass;
mod products;
mod samples;
mod saved;
mod synthetic;
mod vector;
mod weights;

/// A dense tensor with `D` dimensions; `Tensor<1>` is the [`Vector`](crate::Vector) of a [`Network`].
pub use burn::tensor::{Device, Tensor};
pub use cifar::{BATCH_FILES, RECORD_BYTES, TEST_FILE};
pub use dataset::{Dataset, Images};
pub use device::{DEVICES, device};
pub use extent::Extent;
pub use foreign::{ModuleObjective, ModuleOptions, OutputLoss};
pub use initialization::Initialization;
pub use layout::{ImageFile, Layout};
pub use loss::Loss;
pub use model::{NamedLayer, NamedParameter};
pub use network::Network;
pub use options::{Activation, Architecture, NetworkOptions, Normalization, Pooling, Precision, Shortcut};
pub use saved::{saved_from_safetensors, saved_to_safetensors};
