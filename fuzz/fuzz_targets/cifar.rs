//! Records of CIFAR-10 and CIFAR-100.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyapunov_burn::{ImageFile, Layout};

fuzz_target!(|bytes: &[u8]| {
    let file = ImageFile { path: "records".into(), bytes: bytes.to_vec() };
    for layout in [Layout::Cifar10, Layout::Cifar100, Layout::Cifar100Coarse] {
        if let Ok(images) = layout.parse(std::slice::from_ref(&file)) {
            assert!(images.labels().iter().all(|label| usize::from(*label) < layout.classes()));
        }
    }
});
