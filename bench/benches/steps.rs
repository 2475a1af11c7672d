//! What a training step costs that carries deviations, as ratios to a plain step measured in the same run.
//!
//! `cargo bench -p lyapunov-bench --bench steps`; the `flex` device computes on one thread.

use std::time::Instant;

use lyapunov::{Adam, Benettin, Descent, HeavyBall, Moments, Product, Sgd};
use lyapunov_burn::{Activation, Architecture, Dataset, Network, NetworkOptions, device};

/// Rounds of every kind of step; the fastest of each counts.
const ROUNDS: usize = 12;

fn main() {
    println!(
        "| network | activation | optimizer | plain step | 1 deviation | 1 deviation, joint pass | 2 deviations | \
            each further |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, architecture) in [
        ("MLP 3072-200-200-10", Architecture::Mlp { widths: vec![200, 200] }),
        ("CNN 16-32-64", Architecture::Cnn { widths: vec![16, 32, 64] }),
    ] {
        for activation in [Activation::Relu, Activation::Tanh] {
            let options = NetworkOptions {
                architecture: architecture.clone(),
                activation,
                batch_size: 128,
                ..NetworkOptions::default()
            };
            let data = Dataset::synthetic(0, 1280, 10).expect("the sizes are positive");
            let network =
                Network::new(&options, data, &device("flex").expect("flex is built in")).expect("the options fit");
            let (label, w) = (format!("| {name} | {activation:?}"), network.initial_weights());
            row(&label, "SGD", || Sgd::new(&network, w.clone(), 0.01, Product::Exact));
            if activation == Activation::Relu {
                row(&label, "heavy ball", || {
                    HeavyBall::new(&network, w.clone(), 0.01, 0.9, Product::Exact).expect("the momentum is right")
                });
                row(&label, "Adam", || {
                    Adam::new(&network, w.clone(), 0.001, Moments::default(), Product::Exact)
                        .expect("the rule is right")
                });
            }
        }
    }
}

fn row<D: Descent>(label: &str, optimizer: &str, descent: impl Fn() -> D) {
    // Deviations, and whether gradient and first product come out of one pass.
    let kinds = [(0, false), (1, false), (1, true), (2, false)];
    let mut runs: Vec<_> = kinds
        .iter()
        .map(|(count, _)| {
            let run = descent();
            let benettin = (*count > 0).then(|| Benettin::new(run.state(), *count, 0).expect("there are dimensions"));
            (run, benettin)
        })
        .collect();
    let mut best = [f64::INFINITY; 4];
    // Interleaved, so that a busy moment of the machine hits all of them.
    for _ in 0..ROUNDS {
        for (((run, benettin), (_, joint)), fastest) in runs.iter_mut().zip(kinds).zip(&mut best) {
            let start = Instant::now();
            step(run, benettin, joint);
            *fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    let ratio = |i: usize| best[i] / best[0];
    println!(
        "{label} | {optimizer} | {:.1} ms | {:.2} | {:.2} | {:.2} | {:.2} |",
        1e3 * best[0],
        ratio(1),
        ratio(2),
        ratio(3),
        ratio(3) - ratio(1)
    );
}

fn step<D: Descent>(run: &mut D, benettin: &mut Option<Benettin<D::Vector>>, joint: bool) {
    match benettin {
        None => run.step(&mut []).expect("the step succeeds"),
        Some(benettin) => {
            if joint {
                run.gradient_along(&benettin.deviations()[0]).expect("the batch exists");
            }
            run.step(benettin.deviations_mut()).expect("the step succeeds");
            benettin.renormalize(1, 1.0);
        }
    }
}
