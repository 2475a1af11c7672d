//! Pictures of what is measured on networks.

mod comparison;
mod density;
mod twin;
mod verify;

pub use comparison::comparison_figure;
pub use density::{DensityCaption, density_figure};
pub use twin::{TwinCaption, twin_figure};
pub use verify::verify_figure;
