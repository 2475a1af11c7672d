//! Saved accumulators of growth rates.

use lyapunov::Growth;

use crate::mutant::{endure, mutations};

#[test]
fn a_spoilt_accumulator_is_refused_or_can_be_used() {
    let mut growth = Growth::new(2, 3);
    for step in 0..700 {
        growth.add(1, 0.1, &[1.5, 0.5 + 1e-4 * f64::from(step)]);
    }
    let taken = endure(&growth.to_bytes(), mutations(3_000), &[], |bytes| {
        let Ok(mut read) = Growth::from_bytes(bytes) else { return false };
        // What has been read must bear being used.
        read.exponents();
        read.history(5);
        if read.count() == 2 {
            read.add(1, 0.1, &[1.5, 0.5]);
            let _ = read.merge(&growth);
        }
        true
    });
    println!("{taken} mutations were read as other numbers");
}
