//! The two files of MNIST: images, and labels after a first byte that says how many bytes the labels have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyapunov_burn::{ImageFile, Layout};

fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first() else { return };
    let (labels, images) = rest.split_at(usize::from(*length).min(rest.len()));
    let file = |name: &str, bytes: &[u8]| ImageFile { path: name.into(), bytes: bytes.to_vec() };
    if let Ok(images) = Layout::Mnist.parse(&[file("images", images), file("labels", labels)]) {
        assert!(images.labels().iter().all(|label| *label < 10));
    }
});
