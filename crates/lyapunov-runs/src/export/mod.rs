//! Stored runs as tables for other programs: one row per step, one column per recorded number.

pub mod csv;
pub mod events;
pub mod jsonl;
pub mod parquet;
pub mod tensorboard;
mod wide;

pub use wide::{Column, Values, Wide, exponent_name, joined, numbered, sharpness_name};
