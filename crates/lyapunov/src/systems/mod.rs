//! Systems and losses whose answers are known in advance: the oracles that everything else is checked against.

mod quadratic;
mod scalar_network;

pub use quadratic::Quadratic;
pub use scalar_network::ScalarNetwork;
