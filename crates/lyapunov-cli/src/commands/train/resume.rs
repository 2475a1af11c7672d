//! `lyapunov train --resume`: from the last checkpoint of a run that has not ended.

use std::{
    io::{self, Write},
    path::Path,
};

use lyapunov::Snapshot;
use lyapunov_burn::Network;
use serde_json::json;

use super::{TrainingRun, print, tell};
use crate::{
    checkpoint::{self, remove_others},
    commands::of_program,
    config::{Config, Draft, Settings, Subject},
    error::{Error, Result},
    export::tensorboard::files_of_events,
    folder::{CONFIG, MANIFEST, ROWS, RunFolder},
    manifest::{self, Manifest},
    setup,
    store::{self, Listed, Store},
    text::counted,
};

/// What a run has behind it.
pub(super) struct Past {
    /// Its rows, up to where it goes on.
    pub store: Option<Store>,
    /// What was saved; `None` for a run that begins.
    pub saved: Option<Snapshot>,
    /// How long it took.
    pub seconds: f64,
}

impl Past {
    /// That of a run that begins.
    pub fn none(store: Store) -> Self {
        Self { store: Some(store), saved: None, seconds: 0.0 }
    }
}

/// Goes on with the run in the folder at `path`.
pub(super) fn execute(path: &Path, tensorboard: bool, json: bool, quiet: bool) -> Result<()> {
    let folder = RunFolder::hold(path)?;
    let manifest = Manifest::read(path)?;
    of_program(path, &manifest)?;
    if manifest.outcome.is_final() {
        return report_end(path, &manifest, json);
    }
    let mut settings = written_settings(path)?;
    check_version(path, &manifest)?;
    let (network, subject) = setup::network(&settings)?;
    settings.resolve(&subject)?;
    check_subject(path, &manifest, &subject)?;
    let mut session = TrainingRun::go_on(folder, &settings, &network, subject)?;
    session.tensorboard |= tensorboard;
    tell(&session.run(quiet || json)?, json, quiet)
}

/// Whether the folder holds a run of these settings, made by this program, that has not ended.
pub(super) fn can_go_on(folder: &RunFolder, settings: &Settings) -> bool {
    let unended = |manifest: &Manifest| !manifest.outcome.is_final() && manifest.version == env!("CARGO_PKG_VERSION");
    let same = |written: &Settings| written.config.digest() == settings.config.digest();
    Manifest::read(folder.path()).is_ok_and(|manifest| unended(&manifest))
        && written_settings(folder.path()).is_ok_and(|written| same(&written))
}

/// The configuration in the folder of a run, as it stands there: no variable has a say in it.
fn written_settings(folder: &Path) -> Result<Settings> {
    let mut draft = Draft::default();
    draft.read(&folder.join(CONFIG))?;
    draft.finish()
}

/// Says that a run has ended already.
fn report_end(path: &Path, manifest: &Manifest, json: bool) -> Result<()> {
    let (outcome, steps) = (manifest.outcome.name(), manifest.steps);
    if let Some(mut object) = manifest.summary.clone().filter(|_| json) {
        object["run"] = path.display().to_string().into();
        return print(format!("{object}\n").as_bytes());
    }
    if json {
        // A version that did not keep the object.
        let latest = store::latest(&path.join(ROWS))?;
        let point = latest.lambda_max();
        let lambda_max = point.map(
            |point| json!({ "value": point.value, "residual": point.residual, "step": point.step, "cost": point.cost }),
        );
        // Every key that the run itself has printed; what is not on record is null.
        let object = json!({
            "run": path.display().to_string(), "outcome": outcome, "diverged_at": manifest.diverged_at, "steps": steps,
            "data": manifest.data, "training_images": manifest.training_images, "classes": manifest.classes,
            "train_loss": manifest.train_loss, "test_accuracy": manifest.test_accuracy,
            "learning_rate": latest.row.and_then(|row| row.learning_rate), "lambda_max": lambda_max,
            "batch_sharpness": null, "edge": null,
            "measuring_cost": manifest.measuring_cost, "wall_seconds": manifest.wall_seconds,
        });
        return print(format!("{object}\n").as_bytes());
    }
    let steps = steps.map(|steps| format!(" after {}", counted(steps, "step"))).unwrap_or_default();
    let outcome = if outcome == "blown-up" { "blew up" } else { outcome };
    print(format!("{} has ended already: it {outcome}{steps}.\n", path.display()).as_bytes())
}

/// A run goes on with the version that began it: another one may compute other bits.
fn check_version(path: &Path, manifest: &Manifest) -> Result<()> {
    let ours = env!("CARGO_PKG_VERSION");
    if manifest.version == ours {
        return Ok(());
    }
    let message = format!("{} was begun by lyapunov {}, this is {ours}", path.display(), manifest.version);
    let help = format!("go on with that version, or start anew: `lyapunov train {}`", path.join(CONFIG).display());
    Err(Error::Usage { message, help: Some(help) })
}

/// The images and the network must be those that the run began with.
fn check_subject(path: &Path, manifest: &Manifest, subject: &Subject) -> Result<()> {
    let then = (&manifest.data, manifest.training_images, manifest.classes, manifest.parameters);
    let now = (&subject.data, subject.images, subject.classes, subject.parameters);
    if then == now {
        return Ok(());
    }
    let shown = |(data, images, classes, parameters): (&String, usize, usize, usize)| {
        format!("{images} images of {data} in {classes} classes and {parameters} weights")
    };
    let message = format!("{} began with {}, and would go on with {}", path.display(), shown(then), shown(now));
    let help = "the files at `data.path` are others than they were: put the old ones back".to_owned();
    Err(Error::Usage { message, help: Some(help) })
}

impl<'a> TrainingRun<'a> {
    /// Goes on from the newest checkpoint that is whole; where there is none, from the beginning.
    pub(super) fn go_on(
        folder: RunFolder,
        settings: &'a Settings,
        network: &'a Network,
        subject: Subject,
    ) -> Result<Self> {
        folder.sweep()?;
        // What it had, it goes on with.
        let tensorboard = !files_of_events(folder.path())?.is_empty();
        let Some(past) = past(&folder, &settings.config)? else {
            folder.clear()?;
            let session = Self::open(folder, settings, network, subject)?;
            return Ok(Self { tensorboard, ..session });
        };
        let began = Manifest::read(folder.path())?;
        let manifest = Manifest {
            outcome: manifest::Outcome::Running,
            journal: Some(super::journal(folder.path())),
            fault: None,
            finished: None,
            wall_seconds: None,
            steps: None,
            ..began
        };
        folder.write(MANIFEST, &manifest.to_json())?;
        let session = Self::new(folder, &settings.config, network, (manifest, subject), past)?;
        Ok(Self { tensorboard, ..session })
    }
}

/// The newest checkpoint that is whole, and the rows before it; `None` where there is nothing to go on from.
fn past(folder: &RunFolder, config: &Config) -> Result<Option<Past>> {
    let path = folder.file(ROWS);
    if !path.is_file() {
        return Ok(None);
    }
    let opened =
        Store::resume_with(&path, super::journal(folder.path())).and_then(|store| Ok((store.checkpoints()?, store)));
    let (listed, mut store) = match opened {
        Ok(opened) => opened,
        Err(fault) => {
            warn(&format!("{fault}; the run begins again"));
            return Ok(None);
        }
    };
    // What was written beside a database that somebody else held.
    let listed = match store.take_up_aside() {
        Ok(()) => store.checkpoints()?,
        Err(fault) => {
            warn(&format!("{fault}; what waits beside the rows is not used"));
            listed
        }
    };
    let (found, faults) = checkpoint::newest(folder.path(), &listed, &config.digest())?;
    let then = if found.is_some() { "the one before it is used" } else { "the run begins again" };
    for fault in faults {
        warn(&format!("{fault}; {then}"));
    }
    let Some((saved, note)) = found else { return Ok(None) };
    store.rewind(note.step)?;
    let kept: Vec<Listed> = store.checkpoints()?;
    remove_others(folder, &kept.into_iter().map(|listed| listed.file).collect::<Vec<_>>())?;
    Ok(Some(Past { store: Some(store), saved: Some(saved), seconds: note.seconds }))
}

/// Warns, and goes on.
fn warn(text: &str) {
    // Where standard error is closed, nobody is left to read it.
    let _ = writeln!(io::stderr(), "warning: {text}");
}
