//! Pictures of what is measured on networks.

mod claims;
mod comparison;
mod density;
mod twin;
mod verify;

pub use claims::{EstimateCurve, RateCurve, edge_figure, estimate_figure, exponent_ratio_figure};
pub use comparison::comparison_figure;
pub use density::{DensityCaption, density_figure};
pub use twin::{TwinCaption, twin_figure};
pub use verify::verify_figure;
