//! The runs below a folder, read again and again: only what is new of them.

use std::{collections::BTreeMap, fs, path::PathBuf, time::SystemTime};

use crate::{
    error::Result,
    folder::{MANIFEST, ROWS},
    store::{self, History, Latest},
    stored::{StoredRun, runs_in},
};

/// The runs, the chosen one, and what of it is looked at.
#[derive(Debug)]
pub struct Board {
    places: Vec<PathBuf>,
    /// The runs in the order of their folders.
    pub runs: Vec<Watched>,
    /// The chosen one.
    pub selected: usize,
    /// 0 both curves, 1 the loss, 2 the sharpness.
    pub view: usize,
    /// Whether the choice follows a run that goes on.
    pub follow: bool,
    /// Whether the keys are explained.
    pub help: bool,
}

/// A run that is watched.
#[derive(Debug)]
pub struct Watched {
    /// The run.
    pub run: StoredRun,
    /// Its state.
    pub state: &'static str,
    /// The last that is known of it.
    pub latest: Latest,
    /// Its rows, where it has been chosen.
    pub history: History,
    changed: Option<SystemTime>,
    settled: bool,
}

impl Watched {
    fn new(run: StoredRun, changed: Option<SystemTime>) -> Self {
        let state = run.state();
        Self { run, state, latest: Latest::default(), history: History::default(), changed, settled: false }
    }

    /// The step that comes next, and how many there will be.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.latest.row.map_or(0, |row| row.step), planned_steps(&self.run))
    }

    /// η·λ_max at the last measurement.
    pub fn scaled(&self) -> Option<f64> {
        self.latest.lambda_max().map(|point| point.learning_rate * point.value)
    }

    /// Rows of a run that has ended are read once. One that cannot be read yet is tried again.
    fn refresh(&mut self, chosen: bool) {
        self.state = self.run.state();
        let path = self.run.folder.join(ROWS);
        if !self.settled {
            let Ok(latest) = store::latest(&path) else { return };
            self.latest = latest;
            self.settled = self.state != "running";
        }
        if chosen {
            self.extend(&path);
        }
    }

    fn extend(&mut self, path: &std::path::Path) {
        let last = self.latest.row.map(|row| row.step);
        // A run that was resumed may have fewer rows than before.
        if last < self.history.rows.last().map(|row| row.step) {
            self.history = History::default();
        }
        let next = self.history.rows.last().map_or(0, |row| row.step + 1);
        if last.is_some_and(|last| last >= next) {
            self.history.extend(store::read_from(path, next).unwrap_or_default());
        }
    }
}

/// How many steps a run takes, by its configuration.
fn planned_steps(run: &StoredRun) -> Option<u64> {
    let steps = |key: &str| run.key(key).and_then(serde_json::Value::as_u64);
    let number = |key: &str| run.key(key).and_then(serde_json::Value::as_f64);
    let timed = || {
        let time = number("run.time").filter(|time| *time > 0.0)?;
        let needed = (time / number("optimizer.learning_rate")? * (1.0 - 1e-12)).ceil() as u64;
        Some(needed.clamp(1, steps("run.most_steps")?))
    };
    let epochs = || Some(steps("run.epochs")? * run.manifest.steps_per_epoch);
    let given = || steps("run.steps").filter(|steps| *steps > 0);
    timed().or_else(given).or_else(epochs).filter(|steps| *steps > 0)
}

impl Board {
    /// The runs below these folders.
    ///
    /// # Errors
    /// For a folder that is not there, and where there is no run.
    pub fn open(places: Vec<PathBuf>) -> Result<Self> {
        runs_in(&places)?;
        let mut board = Self { places, runs: Vec::new(), selected: 0, view: 0, follow: true, help: false };
        board.refresh();
        if !board.is_running() {
            board.selected = newest(&board.runs, |_| true).unwrap_or(0);
            board.look();
        }
        Ok(board)
    }

    /// Reads the rows of the chosen run.
    fn look(&mut self) {
        if let Some(watched) = self.runs.get_mut(self.selected) {
            watched.refresh(true);
        }
    }

    /// Reads what is new. Manifests that have not changed are not read again.
    pub fn refresh(&mut self) {
        let Ok((found, _)) = runs_in(&self.places) else { return };
        let mut known: BTreeMap<PathBuf, Watched> =
            self.runs.drain(..).map(|watched| (watched.run.folder.clone(), watched)).collect();
        for run in found {
            let changed = fs::metadata(run.folder.join(MANIFEST)).and_then(|file| file.modified()).ok();
            let watched = match known.remove(&run.folder) {
                Some(watched) if watched.changed == changed => watched,
                Some(watched) => Watched { run, changed, settled: false, ..watched },
                None => Watched::new(run, changed),
            };
            self.runs.push(watched);
        }
        if self.follow && self.runs.get(self.selected).is_none_or(|watched| watched.state != "running") {
            self.selected = newest(&self.runs, |watched| watched.state == "running").unwrap_or(self.selected);
        }
        self.selected = self.selected.min(self.runs.len().saturating_sub(1));
        for (i, watched) in self.runs.iter_mut().enumerate() {
            watched.refresh(i == self.selected);
        }
    }

    /// Moves the choice; it follows no run then.
    pub fn step(&mut self, down: bool) {
        self.follow = false;
        let last = self.runs.len().saturating_sub(1);
        self.selected = if down { (self.selected + 1).min(last) } else { self.selected.saturating_sub(1) };
        self.look();
    }

    /// Whether any run goes on.
    pub fn is_running(&self) -> bool {
        self.runs.iter().any(|watched| watched.state == "running")
    }
}

/// The place of the run that began last, among some.
fn newest(runs: &[Watched], among: impl Fn(&Watched) -> bool) -> Option<usize> {
    let places = (0..runs.len()).filter(|i| among(&runs[*i]));
    places.max_by(|a, b| runs[*a].run.manifest.started.cmp(&runs[*b].run.manifest.started))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::Manifest;

    #[test]
    fn the_length_of_a_run_is_that_of_its_time_its_steps_or_its_epochs() {
        let of = |keys: &[(&str, Value)]| {
            let manifest = Manifest { steps_per_epoch: 7, ..Manifest::default() };
            let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            planned_steps(&StoredRun { folder: "run".into(), manifest, keys })
        };
        let epochs = ("run.epochs", json!(3));
        assert_eq!(of(&[epochs.clone(), ("run.steps", json!(0)), ("run.time", json!(0.0))]), Some(21));
        assert_eq!(of(&[epochs.clone(), ("run.steps", json!(5))]), Some(5));
        let time = [("run.time", json!(2.0)), ("optimizer.learning_rate", json!(0.1)), epochs];
        assert_eq!(of(&[&time[..], &[("run.most_steps", json!(1000))]].concat()), Some(20));
        assert_eq!(of(&[&time[..], &[("run.most_steps", json!(8))]].concat()), Some(8));
        assert_eq!(of(&[]), None);
    }
}
