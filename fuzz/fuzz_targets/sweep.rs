//! Sweeps, and with them configurations: from the text to the plan of the runs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A seed of many digits is a long sweep, and no fault.
    if !text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 3) {
        let _ = lyapunov_cli::plan_of(text);
    }
});
