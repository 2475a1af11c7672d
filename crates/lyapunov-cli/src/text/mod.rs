//! Numbers, tables, durations, plurals and names, as a person reads them.

mod durations;
mod nearest;
mod numbers;
mod plural;
pub mod shell;
pub mod statistics;
mod table;

pub use durations::duration;
pub use nearest::{closest, closest_by, nearest};
pub use numbers::{compact, four_digits, number, significant};
pub use plural::counted;
pub use table::{aligned, aligned_without, columns, fit_to, fitted};
