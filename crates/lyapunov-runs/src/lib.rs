//! What a training run leaves behind: written while it goes on, and read back.

mod snapshot;

pub use lyapunov_safetensors::Error as FileError;
pub use snapshot::{saved_from_safetensors, saved_to_safetensors};
