//! A training loop of one's own that leaves a run folder: gradient descent on a quadratic loss, without any engine.
//!
//! `cargo run -p lyapunov-runs --example own_run`, then `lyapunov list runs`, `show`, `report` and `export`.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use lyapunov::{Evaluation, Measurement, Observer, Outcome};
use lyapunov_runs::{Manifest, Recorder};

const CONFIGURATION: &str = "[model]\nname = \"quadratic\"\n\n[optimizer]\nname = \"sgd\"\nlearning_rate = 0.1\n";

/// The curvatures of the loss ½ Σ hᵢ wᵢ².
const CURVATURES: [f64; 3] = [5.0, 1.0, -0.01];

/// Takes 50 steps and returns the folder of the run.
///
/// # Errors
/// Those of the recorder.
pub fn train(out: &Path) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    let manifest = Manifest { parameters: 3, data: "none".to_owned(), ..Manifest::starting() };
    let mut recorder = Recorder::create(out, "own", CONFIGURATION, manifest)?;
    let (mut weights, learning_rate) = ([1.0, 1.0, 1.0], 0.1);
    let loss = |weights: &[f64; 3]| (0..3).map(|i| 0.5 * CURVATURES[i] * weights[i] * weights[i]).sum::<f64>();
    for step in 0..50 {
        let gradient = [0, 1, 2].map(|i| CURVATURES[i] * weights[i]);
        let norm = gradient.iter().map(|part| part * part).sum::<f64>().sqrt();
        recorder.record(&Measurement { learning_rate, ..Measurement::of_step(step, loss(&weights), norm) })?;
        weights = [0, 1, 2].map(|i| weights[i] - learning_rate * gradient[i]);
    }
    let end = Evaluation { loss: loss(&weights), accuracy: 0.0 };
    Ok(recorder.finish(Outcome::Completed, 50, Some((end, None)))?)
}

#[allow(dead_code, reason = "a test takes this file as a module")]
fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("{}", train(Path::new("runs"))?.display());
    Ok(())
}
