//! The manifest of a run: what is worth knowing about it beside its numbers.

use std::path::Path;

use lyapunov::{Evaluation, Outcome as Ended};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    journal::Journal,
};

/// The file of a run's manifest.
pub const MANIFEST: &str = "manifest.json";

/// The version of this form of the file. A reader refuses what is newer, and takes what older ones lack for not known.
const FORMAT: u32 = 1;

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It runs, or was killed: whoever runs it holds the lock of the folder.
    #[default]
    Running,
    /// It has taken all its steps.
    Completed,
    /// A step could not be taken: loss or gradient were not finite.
    Diverged,
    /// It has taken all its steps, and ended far above its first loss: see [`lyapunov::has_blown_up`].
    BlownUp,
    /// A fault ended it.
    Failed,
    /// It was asked to leave, and saved itself: it can go on.
    Interrupted,
}

impl Outcome {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Diverged => "diverged",
            Self::BlownUp => "blown-up",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether the run has come to an end of its own.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Diverged | Self::BlownUp)
    }
}

/// What `manifest.json` holds. It is written when a run starts and again when it ends, so that a run that was killed is
/// distinguished from one that ended.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Manifest {
    /// The version of this form of the file.
    pub format: u32,
    /// The version of the program.
    pub version: String,
    /// What the network was computed by, such as `PyTorch 2.15.0`; `null` for the networks of the program.
    pub engine: Option<String>,
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
    /// How the database of its rows is kept whole: `wal`, or `rollback` on a network file system; `null` where that is
    /// not known.
    pub journal: Option<Journal>,
    /// When the run started, in UTC.
    pub started: String,
    /// When the run ended, in UTC; `null` while it runs.
    pub finished: Option<String>,
    /// How long it took.
    pub wall_seconds: Option<f64>,
    /// How far it has come.
    pub outcome: Outcome,
    /// The fault that ended it, where it failed.
    pub fault: Option<String>,
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
    /// The object that the program printed of the run at its end, but for the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<serde_json::Value>,
}

impl Manifest {
    /// The manifest of a run that starts now; its other fields are for the caller to fill in.
    pub fn starting() -> Self {
        Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), started: now(), ..Self::default() }
    }

    /// Notes how the run has ended; `evaluations` are those of the final weights on training and test images.
    pub fn note(
        &mut self,
        outcome: Ended,
        steps: u64,
        measuring_cost: f64,
        evaluations: Option<(Evaluation, Option<Evaluation>)>,
    ) {
        (self.outcome, self.diverged_at) = match outcome {
            Ended::Completed => (Outcome::Completed, None),
            Ended::Diverged { step } => (Outcome::Diverged, Some(step)),
        };
        let test = evaluations.and_then(|(_, test)| test);
        self.steps = Some(steps);
        self.train_loss = evaluations.map(|(train, _)| train.loss).filter(|loss| !loss.is_nan());
        self.test_loss = test.map(|test| test.loss);
        self.test_accuracy = test.map(|test| test.accuracy);
        self.measuring_cost = Some(measuring_cost);
    }

    /// Notes, after [`Manifest::note`], whether a run that took all its steps has [blown up](lyapunov::has_blown_up),
    /// where these were the losses of its mini-batches.
    pub fn judge(&mut self, losses: impl IntoIterator<Item = f64>) {
        if self.outcome == Outcome::Completed && lyapunov::has_blown_up(losses, self.train_loss) {
            self.outcome = Outcome::BlownUp;
        }
    }

    /// The manifest in the folder of a run.
    ///
    /// # Errors
    /// Where there is none, or none that this version can read.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read(&path).map_err(|cause| Error::io("read", &path, cause))?;
        let unusable = |output: String, help: Option<&str>| {
            Err(Error::Unusable { message: format!("{} {output}", path.display()), help: help.map(str::to_owned) })
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(manifest) if manifest.format > FORMAT => unusable(
                format!("was written by a newer version of lyapunov, {}", manifest.version),
                Some("read it with that version"),
            ),
            Ok(manifest) => Ok(manifest),
            Err(cause) => unusable(format!("is not the manifest of a run: {cause}"), None),
        }
    }

    /// How the run has ended, in some words.
    pub fn end(&self) -> String {
        match (self.outcome, self.train_loss) {
            (Outcome::Completed, Some(loss)) => format!("train loss {}", significant(loss)),
            (Outcome::BlownUp, Some(loss)) => format!("blown up: train loss {}", significant(loss)),
            (Outcome::Diverged, _) => {
                self.diverged_at.map_or("diverged".to_owned(), |step| format!("diverged at step {step}"))
            }
            (outcome, _) => outcome.name().to_owned(),
        }
    }

    /// The manifest as a JSON file.
    #[allow(clippy::missing_panics_doc, reason = "what is expected here always holds")]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("numbers and texts have a JSON form");
        text.push(b'\n');
        text
    }
}

/// Four decimals, or a power of ten where digits would be many.
fn significant(loss: f64) -> String {
    if loss.abs() < 1e6 { format!("{loss:.4}") } else { format!("{loss:.2e}") }
}

/// The present moment in UTC, as `2026-11-24T07:30:00Z`.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
