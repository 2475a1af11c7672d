//! The manifest of a run: what is worth knowing about it beside its numbers.

use std::process::Command;

use lyapunov::{Evaluation, Outcome};
use serde::Serialize;

use crate::{config::Config, summary::Subject};

/// What `manifest.json` holds. It is written when a run starts and again when it ends, so that a run that was killed is
/// told from one that ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// The version of this program.
    pub version: &'static str,
    /// The seed of the run.
    pub seed: u64,
    /// The device it ran on.
    pub device: String,
    /// The commit of the working directory, ending in `-dirty` where files had been changed; `null` outside git.
    pub git_commit: Option<String>,
    /// The images it trained on.
    pub data: String,
    /// How many images it trained on.
    pub training_images: usize,
    /// How many classes they have.
    pub classes: usize,
    /// How many weights the network has.
    pub parameters: usize,
    /// Training steps per pass over the images.
    pub steps_per_epoch: u64,
    /// When the run started, in UTC.
    pub started: String,
    /// When the run ended, in UTC; `null` while it runs.
    pub finished: Option<String>,
    /// How long it took.
    pub wall_seconds: Option<f64>,
    /// `running`, `completed`, `diverged` or `failed`.
    pub outcome: &'static str,
    /// The step that could not be taken, where the run diverged.
    pub diverged_at: Option<u64>,
    /// Training steps that were taken.
    pub steps: Option<u64>,
    /// The mean loss on all training images after the last step.
    pub train_loss: Option<f64>,
    /// The mean loss on the test images after the last step.
    pub test_loss: Option<f64>,
    /// The share of test images classified correctly after the last step.
    pub test_accuracy: Option<f64>,
    /// The cost of all measurements, in gradient-equivalents per training step.
    pub measuring_cost: Option<f64>,
}

impl Manifest {
    /// What is known when the run starts.
    pub fn at_start(config: &Config, subject: &Subject, steps_per_epoch: u64) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            seed: config.run.seed,
            device: config.run.device.clone(),
            git_commit: git_commit(),
            data: subject.data.clone(),
            training_images: subject.images,
            classes: subject.classes,
            parameters: subject.parameters,
            steps_per_epoch,
            started: now(),
            finished: None,
            wall_seconds: None,
            outcome: "running",
            diverged_at: None,
            steps: None,
            train_loss: None,
            test_loss: None,
            test_accuracy: None,
            measuring_cost: None,
        }
    }

    /// Notes how the run has ended; `evaluations` are those of the final weights on training and test images.
    pub fn note(
        &mut self,
        outcome: Outcome,
        steps: u64,
        measuring_cost: f64,
        evaluations: Option<(Evaluation, Option<Evaluation>)>,
    ) {
        (self.outcome, self.diverged_at) = match outcome {
            Outcome::Completed => ("completed", None),
            Outcome::Diverged { step } => ("diverged", Some(step)),
        };
        let test = evaluations.and_then(|(_, test)| test);
        self.steps = Some(steps);
        self.train_loss = evaluations.map(|(train, _)| train.loss);
        self.test_loss = test.map(|test| test.loss);
        self.test_accuracy = test.map(|test| test.accuracy);
        self.measuring_cost = Some(measuring_cost);
    }

    /// The manifest as a JSON file.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("numbers and texts have a JSON form");
        text.push(b'\n');
        text
    }
}

/// The commit of the working directory, if there is one and git is installed.
fn git_commit() -> Option<String> {
    let arguments = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"];
    let output = Command::new("git").args(arguments).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}

/// The present moment in UTC, as `2026-11-24T07:30:00Z`.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
