//! Networks and images as objectives of `lyapunov`, on Burn.
//!
//! A [`Network`] is a list of layers, each written once: a layer maps a value and, where there is one, its tangent, so
//! the same definition serves training, exact products with the Hessian and Gauss–Newton products. Its [`Dataset`] is
//! read from files or synthesized, and batches are a pure function of (seed, step).

mod augment;
mod data;
mod device;
mod dual;
mod error;
mod initialization;
mod kernels;
mod layers;
mod loss;
mod model;
mod models;
mod module;
mod network;
mod operations;
mod options;
mod pass;
mod products;
mod samples;
mod size;
mod vector;
mod weights;

/// A device, and a dense tensor with `D` dimensions: what the numbers of [`Weights`] lie in.
pub use burn::tensor::{Device, Tensor};
pub use data::{BATCH_FILES, Dataset, ImageFile, Images, Layout, RECORD_BYTES, TEST_FILE};
pub use device::{DEVICES, device, devices, largest_tensor};
pub use error::{Error, Result};
pub use initialization::Initialization;
pub use loss::Loss;
pub use model::{NamedLayer, NamedParameter};
pub use module::{ModuleObjective, ModuleOptions, OutputLoss};
pub use network::Network;
pub use options::{
    Activation, Architecture, ModelName, ModelSize, NetworkOptions, Normalization, Pooling, Precision, Shortcut,
};
pub use size::NetworkSize;
pub use vector::Weights;

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The blocks of Rust in the book's chapter compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/book/src/from-burn.md")]
struct FromBurn;
