//! Saved accumulators of growth rates.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyapunov::Growth;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(growth) = Growth::from_bytes(bytes) {
        let written = growth.to_bytes();
        assert_eq!(Growth::from_bytes(&written).expect("what was written is read").to_bytes(), written);
        growth.history(3);
    }
});
