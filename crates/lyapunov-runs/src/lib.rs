//! What a training run leaves behind: written while it goes on, and read back.
//!
//! A run is a folder: `run.toml` (its configuration), `manifest.json` (what it was made of and how it ended),
//! `run.sqlite` (a row per step), perhaps `weights.safetensors` and checkpoints, and digests of the files of an ended
//! run. The program `lyapunov` lists, shows, reports, watches and exports such folders, whoever wrote them.
//!
//! **Write one** from any training loop, with a [`Recorder`]. A row takes some microseconds, and is on the disk a
//! second later at most; a run that is killed keeps its rows.
//!
//! ```
//! use lyapunov::{Evaluation, Measurement, Observer, Outcome};
//! use lyapunov_runs::{Manifest, Recorder, StoredRun};
//! # let folder = tempfile::tempdir()?;
//! # let out = folder.path();
//! let configuration = "[model]\nname = \"line\"\n[optimizer]\nname = \"sgd\"\nlearning_rate = 0.5\n";
//! let mut recorder = Recorder::create(out, "line", configuration, Manifest::starting())?;
//! let mut w = 8.0_f64; // the loss is w²/2
//! for step in 0..3 {
//!     let row = Measurement { learning_rate: 0.5, ..Measurement::of_step(step, w * w / 2.0, w.abs()) };
//!     recorder.record(&row)?;
//!     w -= 0.5 * w;
//! }
//! let end = Evaluation { loss: w * w / 2.0, accuracy: 1.0 };
//! let run = recorder.finish(Outcome::Completed, 3, Some((end, None)))?;
//!
//! // Read it back.
//! let history = StoredRun::open(&run)?.history()?;
//! let losses: Vec<_> = history.rows.iter().filter_map(|row| row.loss).collect();
//! assert_eq!(losses, [32.0, 8.0, 2.0]);
//! assert_eq!(history.rows[3].train_loss, Some(0.5));
//!
//! // And as a table for other programs.
//! use lyapunov_runs::export::{Wide, csv};
//! assert!(csv::text(&Wide::of(&history)).starts_with("step,loss,gradient_norm,learning_rate,"));
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! **Read any of them** with [`StoredRun`]; runs of every earlier version are read. [`columns`] says what each number
//! is, with its unit: the database, the exports and the reports follow it. [`checkpoint`] and [`lock`] are for loops
//! that go on after they were killed; [`faults`] makes every write fail in turn, for tests.
//!
//! Nothing here prints, reads the environment, or opens a path that it was not handed. Files appear whole or not at
//! all.

pub mod checkpoint;
pub mod columns;
pub mod digest;
mod error;
#[cfg(test)]
#[path = "../tests/example/mod.rs"]
mod example;
pub mod export;
pub mod faults;
pub mod folder;
pub mod journal;
pub mod lock;
pub mod manifest;
mod recorder;
pub mod seal;
mod snapshot;
pub mod store;
pub mod stored;

pub use error::{Error, Result};
pub use folder::RunFolder;
pub use journal::Journal;
pub use lyapunov_safetensors::Error as FileError;
pub use manifest::{Manifest, Outcome};
pub use recorder::Recorder;
pub use snapshot::{saved_from_safetensors, saved_to_safetensors};
pub use store::{History, Store};
pub use stored::StoredRun;

/// The blocks of Rust in the book's chapter compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/book/src/own-loop.md")]
struct OwnLoop;
