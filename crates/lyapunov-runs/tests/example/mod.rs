//! Rows of a run with something of everything, for tests here and in the program.

use lyapunov::{Edge, Evaluation, Measurement, Product, Quantity, RunningExponents, Sample, Sharpness};

/// The row of this step: sharpness at step 2, exponents at step 3, evaluations at even steps.
pub fn row(step: u64) -> Measurement {
    let sharpness = |on| Sharpness {
        quantity: Quantity::LambdaMax,
        value: 8.0,
        residual: 0.5,
        on,
        product: Product::Exact,
        cost: 5.0,
    };
    let grown = RunningExponents {
        local: vec![0.2, -0.1],
        values: vec![0.25, f64::NEG_INFINITY],
        std_errors: vec![0.01, f64::INFINITY],
        aligned: true,
        rayleigh: -2.0,
    };
    Measurement {
        step,
        loss: 1.0 / (step + 3) as f64,
        gradient_norm: 1.0,
        learning_rate: 0.1,
        edge: Edge { threshold: 20.0, preconditioned: false, holds_batch_sharpness: true },
        nearby: Vec::new(),
        along: None,
        secant: None,
        exponents: (step == 3).then_some(grown),
        evaluation: step.is_multiple_of(2).then_some(Evaluation { loss: 2.0, accuracy: 0.5 }),
        sharpness: if step == 2 { vec![sharpness(Sample::Mini(2)), sharpness(Sample::Full)] } else { Vec::new() },
        measuring_cost: 0.0,
    }
}
