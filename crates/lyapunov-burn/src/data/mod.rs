//! Images to train on: in memory, in the layouts of published sets, and synthetic ones.

mod cifar;
mod dataset;
mod idx;
mod images;
mod layout;
mod synthetic;

pub use cifar::{BATCH_FILES, RECORD_BYTES, TEST_FILE};
pub use dataset::Dataset;
pub(crate) use images::{CHANNELS, PIXELS, SIZE, colour_statistics};
pub use images::{ImageFile, Images};
pub use layout::Layout;
