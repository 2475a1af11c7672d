//! What was saved of a run: the rows of a checkpoint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lyapunov_runs::{saved_from_safetensors, saved_to_safetensors};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((saved, note)) = saved_from_safetensors(bytes) {
        let _ = saved_to_safetensors(&saved, &note);
    }
});
