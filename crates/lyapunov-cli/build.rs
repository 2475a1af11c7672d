//! Tells the tests whether the real images are beside the workspace, so that those that want them are reported as
//! ignored where they are not.

use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(real_images)");
    println!("cargo::rerun-if-changed=build.rs");
    let images = Path::new("../../../shared/cifar10/cifar-10-batches-bin");
    // A path that is missing would make cargo build again every time.
    if images.exists() {
        println!("cargo::rerun-if-changed={}", images.display());
        println!("cargo::rustc-cfg=real_images");
    }
}
