//! Files that went wrong are refused or read, and never more: no panic, no memory without bounds.
//!
//! The short form takes seconds; `LYAPUNOV_MUTATIONS=1000000` tries as many mutations of each format.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod images;
mod weights;

#[path = "../../../lyapunov/tests/mutant/mod.rs"]
mod mutant;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;
