//! What is shown of runs: pictures, pages, lists, and runs as they go on.

pub mod list;
pub mod plot;
pub mod report;
pub mod watch;
