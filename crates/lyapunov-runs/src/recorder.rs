//! Records the run of anybody's training loop in a folder of its own.

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    time::Instant,
};

use lyapunov::{Evaluation, Measurement, Observer, Outcome};

use crate::{
    digest::SUMS,
    error::Result,
    folder::{CONFIG, MANIFEST, ROWS, RunFolder},
    manifest::{self, Manifest},
    seal,
    store::{self, Store},
};

/// A run that is being recorded: its folder, which no other process writes to, and its rows.
///
/// Rows wait a second at most for the next one, which writes them; [`Recorder::flush`] writes them at once. A run that
/// is killed keeps what was written and is listed as killed.
pub struct Recorder {
    folder: RunFolder,
    store: Store,
    manifest: Manifest,
    began: Instant,
    earlier: f64,
    cost: f64,
}

impl Recorder {
    /// Makes `out/name`, or the first free one of `out/name-2`, `out/name-3`, …, and writes `configuration`, a text in
    /// TOML with sections, and `manifest`, as [`Manifest::starting`] begins it.
    ///
    /// # Errors
    /// Where the folder or its files cannot be written.
    pub fn create(out: &Path, name: &str, configuration: &str, manifest: Manifest) -> Result<Self> {
        let folder = RunFolder::claim(out, name)?;
        folder.write(CONFIG, configuration.as_bytes())?;
        folder.write(MANIFEST, &manifest.to_json())?;
        let store = Store::create(&folder.file(ROWS))?;
        Ok(Self { folder, store, manifest, began: Instant::now(), earlier: 0.0, cost: 0.0 })
    }

    /// Goes on with the run in the folder at `path` after `steps` steps, which took `seconds`: rows of later steps are
    /// forgotten, since the run takes these again. A run that has ended goes on as well.
    ///
    /// # Errors
    /// Where there is no run, another process is at it, or its rows are damaged or of another version.
    pub fn resume(path: &Path, steps: u64, seconds: f64) -> Result<Self> {
        let folder = RunFolder::hold(path)?;
        folder.sweep()?;
        let begun = Manifest::read(path)?;
        let mut store = Store::resume(&folder.file(ROWS))?;
        let manifest = Manifest {
            outcome: manifest::Outcome::Running,
            finished: None,
            wall_seconds: None,
            fault: None,
            diverged_at: None,
            steps: None,
            ..begun
        };
        // From here on the rows are others than those that were sealed.
        folder.write(MANIFEST, &manifest.to_json())?;
        folder.remove(SUMS)?;
        store.rewind(steps)?;
        let cost = store::latest(&folder.file(ROWS))?.row.and_then(|row| row.measuring_cost).unwrap_or(0.0);
        Ok(Self { folder, store, manifest, began: Instant::now(), earlier: seconds, cost })
    }

    /// The folder of the run.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// How long the run has taken so far, with what it took before it was resumed.
    pub fn seconds(&self) -> f64 {
        self.earlier + self.began.elapsed().as_secs_f64()
    }

    /// Writes the rows that are waiting, so that they outlast a kill or a loss of power.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.store.write_waiting()
    }

    /// Writes how the run has ended after so many steps, with the evaluations of the final weights on the training data
    /// and on held-out data, and the digest of the rows; a run that took all its steps may have blown up all the same.
    /// Returns the folder.
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
        self.manifest.note(outcome, steps, self.cost / steps.max(1) as f64, evaluations);
        self.store.write_waiting()?;
        let rows = store::read_from(&self.folder.file(ROWS), 0)?.rows;
        self.manifest.judge(rows.iter().filter_map(|row| row.loss));
        self.end()
    }

    /// Writes that the run stops after so many steps without having come to its end: by a fault, or else interrupted,
    /// as one that can be resumed. Returns the folder.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn leave(mut self, fault: Option<String>, steps: u64) -> Result<PathBuf> {
        let interrupted = fault.is_none();
        self.manifest.outcome = if interrupted { manifest::Outcome::Interrupted } else { manifest::Outcome::Failed };
        self.manifest.fault = fault;
        self.manifest.steps = Some(steps);
        self.manifest.measuring_cost = Some(self.cost / steps.max(1) as f64);
        self.end()
    }

    fn end(mut self) -> Result<PathBuf> {
        self.manifest.finished = Some(manifest::now());
        self.manifest.wall_seconds = Some(self.seconds());
        self.store.close()?;
        seal::seal(&self.folder)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StoredRun, lock};

    const CONFIGURATION: &str = "[model]\nname = \"quadratic\"\n";

    fn row(step: u64) -> Measurement {
        Measurement { learning_rate: 0.1, measuring_cost: step as f64, ..Measurement::of_step(step, 1.0, 1.0) }
    }

    fn begun(out: &Path, steps: u64) -> Recorder {
        let mut recorder = Recorder::create(out, "run", CONFIGURATION, Manifest::starting()).unwrap();
        (0..steps).for_each(|step| recorder.record(&row(step)).unwrap());
        recorder
    }

    fn steps_of(folder: &Path) -> Vec<u64> {
        StoredRun::open(folder).unwrap().history().unwrap().rows.iter().map(|row| row.step).collect()
    }

    #[test]
    fn a_resumed_run_has_every_row_once_wherever_it_stopped() {
        let out = tempfile::tempdir().unwrap();
        let stops: [fn(Recorder) -> Option<PathBuf>; 4] = [
            |recorder| Some(recorder.finish(Outcome::Completed, 7, None).unwrap()),
            |recorder| Some(recorder.leave(None, 7).unwrap()),
            |recorder| Some(recorder.leave(Some("a fault".to_owned()), 7).unwrap()),
            |recorder| {
                drop(recorder);
                None
            },
        ];
        for stop in stops {
            let recorder = begun(out.path(), 7);
            let folder = recorder.path().to_owned();
            stop(recorder);
            let mut again = Recorder::resume(&folder, 5, 100.0).unwrap();
            assert!(again.seconds() >= 100.0);
            assert_eq!(StoredRun::open(&folder).unwrap().state(), "running");
            (5..9).for_each(|step| again.record(&row(step)).unwrap());
            let end = Evaluation { loss: 0.5, accuracy: 0.0 };
            again.finish(Outcome::Completed, 9, Some((end, None))).unwrap();
            assert_eq!(steps_of(&folder), (0..=9).collect::<Vec<_>>());
            let run = StoredRun::open(&folder).unwrap();
            assert_eq!((run.state(), run.manifest.steps, run.manifest.fault), ("completed", Some(9), None));
            assert_eq!(run.manifest.measuring_cost, Some(8.0 / 9.0));
            assert!(run.manifest.wall_seconds.unwrap() >= 100.0);
        }
    }

    #[test]
    fn a_run_that_goes_on_without_another_row_keeps_its_cost_and_takes_its_last_row_again() {
        let out = tempfile::tempdir().unwrap();
        let end = Evaluation { loss: 0.5, accuracy: 0.0 };
        let folder = begun(out.path(), 4).finish(Outcome::Completed, 4, Some((end, None))).unwrap();
        let folder =
            Recorder::resume(&folder, 4, 0.0).unwrap().finish(Outcome::Completed, 4, Some((end, None))).unwrap();
        assert_eq!(steps_of(&folder), [0, 1, 2, 3, 4]);
        assert_eq!(StoredRun::open(&folder).unwrap().manifest.measuring_cost, Some(3.0 / 4.0));
    }

    #[test]
    fn a_run_that_ends_far_above_its_beginning_has_blown_up() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = begun(out.path(), 5);
        (5..50).for_each(|step| recorder.record(&Measurement { loss: 1e9, ..row(step) }).unwrap());
        let folder = recorder.finish(Outcome::Completed, 50, None).unwrap();
        assert_eq!(StoredRun::open(&folder).unwrap().state(), "blown-up");
    }

    #[test]
    fn what_was_flushed_is_on_the_disk_and_a_run_that_is_recorded_is_held() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = begun(out.path(), 3);
        recorder.flush().unwrap();
        assert_eq!(steps_of(recorder.path()), [0, 1, 2]);
        assert!(lock::holder(recorder.path()).is_some());
        let refused = Recorder::resume(recorder.path(), 1, 0.0).map(drop).unwrap_err().to_string();
        assert!(refused.contains("in use by process"), "{refused}");
        assert_eq!(steps_of(recorder.path()), [0, 1, 2], "nothing was forgotten");
        let folder = recorder.leave(Some("no space".to_owned()), 3).unwrap();
        let run = StoredRun::open(&folder).unwrap();
        assert_eq!((run.state(), run.manifest.fault.as_deref()), ("failed", Some("no space")));
    }
}
