//! How far the runs of a sweep have come, as their folders show it.

use std::path::Path;

use super::{Plan, Planned};
use crate::{
    folder::{MANIFEST, ROWS},
    lock,
    manifest::{Manifest, Outcome},
    store,
};

/// How far a run of a sweep has come.
#[derive(Clone, Debug, PartialEq)]
pub enum RunStatus {
    /// Nobody has begun it.
    Missing,
    /// It was begun, has not ended, and nobody is at it: it was killed.
    Broken,
    /// It was interrupted, and has saved itself.
    Interrupted,
    /// A fault ended it: which.
    Failed(String),
    /// A process is at it, and has come to this step.
    Running(u64),
    /// It has ended.
    Ended(Box<Manifest>),
}

impl RunStatus {
    /// Of one run below `out`.
    pub fn of(run: &Planned, out: &Path) -> Self {
        let folder = run.folder(out);
        if !folder.is_dir() {
            return Self::Missing;
        }
        let manifest = folder.join(MANIFEST).is_file().then(|| Manifest::read(&folder));
        match manifest {
            Some(Ok(manifest)) if manifest.outcome.is_final() => Self::Ended(Box::new(manifest)),
            _ if lock::holder(&folder).is_some() => Self::Running(step_of(&folder)),
            Some(Ok(Manifest { outcome: Outcome::Failed, fault, .. })) => {
                Self::Failed(fault.unwrap_or_else(|| "an unknown fault".to_owned()))
            }
            Some(Ok(Manifest { outcome: Outcome::Interrupted, .. })) => Self::Interrupted,
            Some(Err(fault)) => Self::Failed(fault.to_string()),
            _ => Self::Broken,
        }
    }

    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Broken => "killed",
            Self::Interrupted => "interrupted",
            Self::Failed(_) => "failed",
            Self::Running(_) => "running",
            Self::Ended(manifest) => manifest.outcome.name(),
        }
    }

    /// Whether somebody has to make the run.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Missing | Self::Broken | Self::Interrupted | Self::Failed(_))
    }
}

/// Of every run of a plan.
pub fn standings(plan: &Plan, out: &Path) -> Vec<RunStatus> {
    plan.runs.iter().map(|run| RunStatus::of(run, out)).collect()
}

/// The step that a run has come to.
pub fn step_of(folder: &Path) -> u64 {
    // A run that has just begun has no rows, which is no fault.
    store::last_step(&folder.join(ROWS)).ok().flatten().map_or(0, |step| step + 1)
}
