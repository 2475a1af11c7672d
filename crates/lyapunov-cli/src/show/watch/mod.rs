//! Runs as they are watched: what is new in their folders, and how it is drawn.

mod board;
mod view;

pub use board::{Board, Watched};
pub use view::draw;
