//! What is measured at the weights of one network, what a run has come to, and how both are said.

pub mod findings;
pub mod found;
pub mod request;
pub mod session;
pub mod summary;
mod table;
pub mod verify;
