//! Kernels for images [pixels, channels] in memory, channels running fastest: plain slices in, plain slices out.
//!
//! Written with `pulp`, which compiles each kernel for several instruction sets and takes the widest one that the
//! processor has. They compute the same bits with every one of them, and with any number of threads.
#![allow(clippy::inline_always, reason = "a kernel is compiled for an instruction set only where it is inlined into it")]

mod convolve;
mod input_gradient;
mod number;
mod shape;
mod tile;
mod weight_gradient;
mod workspace;

pub(crate) use self::{
    convolve::convolve,
    input_gradient::input_gradient,
    number::{Real, has_registers},
    shape::Shape,
    weight_gradient::weight_gradient,
    workspace::{Numbers, Workspace},
};

#[cfg(test)]
mod tests;
