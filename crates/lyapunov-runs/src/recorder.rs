//! Records the run of anybody's training loop in a folder of its own.

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    time::Instant,
};

use lyapunov::{Evaluation, Measurement, Observer, Outcome};

use crate::{
    error::Result,
    folder::{CONFIG, MANIFEST, ROWS, RunFolder},
    manifest::{self, Manifest},
    seal,
    store::Store,
};

/// A run that is being recorded: its folder, which no other process writes to, and its rows.
///
/// Rows are on the disk a second after they came, at most; a run that is killed keeps them and is listed as killed.
pub struct Recorder {
    folder: RunFolder,
    store: Store,
    manifest: Manifest,
    began: Instant,
    cost: f64,
}

impl Recorder {
    /// Makes `out/name`, or the first free one of `out/name-2`, `out/name-3`, …, and writes `configuration`, a text in TOML with
    /// sections, and `manifest`, as [`Manifest::starting`] begins it.
    ///
    /// # Errors
    /// Where the folder or its files cannot be written.
    pub fn create(out: &Path, name: &str, configuration: &str, manifest: Manifest) -> Result<Self> {
        let folder = RunFolder::claim(out, name)?;
        folder.write(CONFIG, configuration.as_bytes())?;
        folder.write(MANIFEST, &manifest.to_json())?;
        let store = Store::create(&folder.file(ROWS))?;
        Ok(Self { folder, store, manifest, began: Instant::now(), cost: 0.0 })
    }

    /// Writes how the run has ended after so many steps, with the evaluations of the final weights on the training data and on
    /// held-out data, and the digest of the rows. Returns the folder.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn finish(
        mut self,
        outcome: Outcome,
        steps: u64,
        evaluations: Option<(Evaluation, Option<Evaluation>)>,
    ) -> Result<PathBuf> {
        if let Some(evaluations) = evaluations {
            self.store.record_end(steps, evaluations, None, self.cost)?;
        }
        self.store.close()?;
        seal::seal(&self.folder)?;
        self.manifest.note(outcome, steps, self.cost / steps.max(1) as f64, evaluations);
        self.manifest.finished = Some(manifest::now());
        self.manifest.wall_seconds = Some(self.began.elapsed().as_secs_f64());
        self.folder.write(MANIFEST, &self.manifest.to_json())?;
        Ok(self.folder.path().to_owned())
    }
}

impl Observer for Recorder {
    fn record(&mut self, row: &Measurement) -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
        self.cost = row.measuring_cost;
        self.store.record(row)
    }
}
