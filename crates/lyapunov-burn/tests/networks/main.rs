//! Networks from outside: one program of tests, so that it is linked once.
#![allow(clippy::unwrap_used, reason = "in a test a fault is a failure")]

mod architectures;
mod borders;
mod dropout_module;
mod network;
mod normalization;
mod random_problems;
mod randomness;
mod training;
