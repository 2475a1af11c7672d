//! The configuration: its keys, what they allow, and how they are read and checked.

mod choices;
mod consistency;
mod draft;
mod keys;
mod overrides;
mod resolve;
mod sections;
mod shorthand;
mod source;
mod subject;
#[cfg(test)]
mod tests;
mod values;

pub use choices::{OptimizerName, PassName, StartName, WeightsName, optimizers};
pub use draft::Draft;
pub use overrides::{Overrides, settings, use_data};
pub use resolve::Settings;
pub use sections::{Config, Control};
pub use source::Source;
pub use subject::Subject;
pub use values::target_name;

pub use crate::defaults::DEFAULTS;
