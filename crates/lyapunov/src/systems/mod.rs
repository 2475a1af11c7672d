//! Systems and losses whose answers are known in advance: the oracles that everything else is checked against.

mod cat_map;
mod catalogue;
mod henon;
mod ikeda;
mod logistic;
mod logistic_lattice;
mod lorenz63;
mod lorenz96;
mod quadratic;
mod random_matrices;
mod roessler;
mod scalar_network;
mod standard_map;
mod tent;
mod two_layer;

pub use cat_map::CatMap;
pub use catalogue::{Choice, Entry, Known, Literature, Parameter, SystemVisitor, catalogue};
pub use henon::Henon;
pub use ikeda::Ikeda;
pub use logistic::Logistic;
pub use logistic_lattice::LogisticLattice;
pub use lorenz63::Lorenz63;
pub use lorenz96::Lorenz96;
pub use quadratic::Quadratic;
pub use random_matrices::RandomMatrices;
pub use roessler::Roessler;
pub use scalar_network::ScalarNetwork;
pub use standard_map::StandardMap;
pub use tent::Tent;
pub use two_layer::{TwoLayer, Unit};
