//! From a configuration to what the libraries train: a network on its data, an optimizer, a plan and a rule.

mod control;
mod descent;
mod memory;
mod network;
mod options;

pub use control::{controller, rule_options};
pub use descent::{OptimizerVisitor, descent, plan, product, with_rule};
pub use network::network;
#[cfg(test)]
pub use options::network_options;
