//! What a training run leaves behind: written while it goes on, and read back.

pub mod checkpoint;
pub mod columns;
pub mod digest;
mod error;
#[cfg(test)]
#[path = "../tests/example/mod.rs"]
mod example;
pub mod export;
pub mod faults;
pub mod folder;
pub mod lock;
pub mod manifest;
mod recorder;
pub mod seal;
mod snapshot;
pub mod store;
pub mod stored;

pub use error::{Error, Result};
pub use folder::RunFolder;
pub use lyapunov_safetensors::Error as FileError;
pub use manifest::{Manifest, Outcome};
pub use recorder::Recorder;
pub use snapshot::{saved_from_safetensors, saved_to_safetensors};
pub use store::{History, Store};
pub use stored::StoredRun;
