//! Kernels for images [pixels, channels] in memory, channels running fastest: plain slices in, plain slices out.
//!
//! Written with `pulp`, which compiles each kernel for several instruction sets and takes the widest one that the
//! processor has. They compute the same bits with every one of them, and with any number of threads.
#![allow(
    clippy::inline_always,
    reason = "a kernel is compiled for an instruction set only where it is inlined into it"
)]

pub(crate) mod attention;
pub(crate) mod batch_norm;
mod channels;
mod convolve;
mod exponential;
mod gather;
pub(crate) mod group_norm;
mod input_gradient;
mod number;
mod pooling;
mod rectify;
mod shape;
mod smooth;
mod tile;
mod weight_gradient;
mod workspace;

pub(crate) use self::{
    channels::channel_sums,
    convolve::convolve,
    gather::{Thinning, concatenate, part},
    input_gradient::input_gradient,
    number::{Real, has_registers},
    pooling::{Pool, means, means_gradient, winners, winners_gradient},
    rectify::{gate, rectify, rectify_sum},
    shape::Shape,
    smooth::{gelu, gelu_bend, gelu_slope, tanh, tanh_bend, tanh_slope},
    weight_gradient::weight_gradient,
    workspace::{Numbers, Workspace},
};

#[cfg(test)]
mod normalization_tests;
#[cfg(test)]
mod tests;
