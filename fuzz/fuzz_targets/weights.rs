//! Weights in the safetensors format.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lyapunov_burn::{Architecture, Dataset, Network, NetworkOptions, device};

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let options = NetworkOptions {
        architecture: Architecture::Cnn { widths: vec![1, 1, 1, 1, 1] },
        batch_size: 1,
        ..NetworkOptions::default()
    };
    let data = Dataset::synthetic(0, 1, 1).expect("an image each");
    Network::new(&options, data, &device("flex").expect("the processor")).expect("a small network")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(weights) = NETWORK.weights_from_safetensors(bytes) {
        assert_eq!(weights.dims(), [NETWORK.parameters()]);
    }
});
