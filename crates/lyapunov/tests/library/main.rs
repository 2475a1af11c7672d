//! The library from outside: one program of tests, so that it is linked once.
#![allow(clippy::unwrap_used, reason = "in a test a fault is a failure")]

mod borders;
mod control;
mod descent;
mod exponents;
mod guard;
mod mutations;
mod nearby;
mod oracles;
mod python;
mod resume;
mod systems;

#[path = "../mutant/mod.rs"]
mod mutant;
