//! The plan of a sweep: every run with its identity and what it sets, in one file that drives every engine.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use miette::NamedSource;
use serde::{Deserialize, Serialize};
use toml_edit::{Document, Item};

use super::axes::{Axes, Point, SWEEP, text};
use crate::{
    config::{Draft, Settings, Source, Subject},
    error::{Error, Result},
    folder::write_file,
    setup,
    text::{counted, number},
};

/// The file of the plan, in the folder of the sweep.
pub const PLAN: &str = "sweep.json";

/// The version of its form.
const FORMAT: u32 = 1;

/// All runs of a sweep.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Plan {
    /// The version of this form.
    pub format: u32,
    /// The version of the program that made it.
    pub version: String,
    /// The file that it was made of.
    pub file: String,
    /// The keys that vary, in the order of the axes.
    pub keys: Vec<String>,
    /// The runs; their places in this list are their indices.
    pub runs: Vec<Planned>,
}

/// One run of a sweep.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Planned {
    /// The hash of its resolved configuration, and the name of its folder.
    pub id: String,
    /// What the axes set, as it is written, in the order of [`Plan::keys`].
    pub values: Vec<String>,
    /// Training steps.
    pub steps: u64,
    /// Whatever differs from the defaults, as for `--set`.
    pub set: Vec<String>,
}

impl Plan {
    /// How much there is to do: `4 runs of 6,240 steps in all, the longest of 1,560`.
    pub fn size(&self) -> String {
        let steps = self.runs.iter().map(|run| run.steps);
        let (all, longest) = (steps.clone().sum::<u64>(), steps.max().unwrap_or(0));
        let [all, longest] = [all, longest].map(|steps| number(steps as f64, 0));
        format!("{} of {all} steps in all, the longest of {longest}", counted(self.runs.len(), "run"))
    }

    /// Makes the plan of the sweep in `file`; `prepare` gets the configuration that all runs share.
    ///
    /// # Errors
    /// Where any of the runs has a configuration that cannot be trained.
    pub fn make(file: &Path, prepare: impl Fn(&mut Draft) -> Result<()>) -> Result<Self> {
        let written = fs::read_to_string(file).map_err(|cause| Error::io("read", file, cause))?;
        Self::of_text(&file.display().to_string(), written, prepare)
    }

    /// The same of a text that is called `name`.
    pub fn of_text(name: &str, written: String, prepare: impl Fn(&mut Draft) -> Result<()>) -> Result<Self> {
        let source = Source::new(NamedSource::new(name, written.clone()).with_language("toml"));
        let document = Document::parse(written).map_err(|fault| source.unreadable(Path::new(name), &fault))?;
        let mut base = Draft::default();
        base.take(document.as_table(), &[SWEEP], &source)?;
        prepare(&mut base)?;
        let Some(table) = document.as_table().get(SWEEP).and_then(Item::as_table_like) else {
            let help = "write `[sweep]` and below it keys with their values, such as `\"optimizer.learning_rate\" = \
                [0.01, 0.1]`";
            return Err(source.fault(None, format!("{name} has no table [sweep]"), Some(help.to_owned())));
        };
        let axes = Axes::read(table, &base, &source)?;
        let keys: Vec<String> = axes.axes.iter().flat_map(|axis| axis.keys.clone()).collect();
        if let Some(key) = keys.iter().find(|key| base.is_flag(key)) {
            let message = format!("`{key}` is an axis of the sweep, and a flag sets it");
            return Err(Error::usage(message, Some("leave one of the two out".to_owned())));
        }
        let mut subjects = Subjects::default();
        let points = axes.points(&source)?;
        let runs = points.iter().map(|point| planned(&base, point, &source, &mut subjects));
        let runs: Vec<Planned> = runs.collect::<Result<_>>()?;
        check_distinct(&runs)?;
        Ok(Self::new(name.to_owned(), keys, runs))
    }

    /// A plan of these runs.
    pub fn new(file: String, keys: Vec<String>, runs: Vec<Planned>) -> Self {
        Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), file, keys, runs }
    }

    /// The plan in the folder of a sweep.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(PLAN);
        let unusable =
            |output: String, help: &str| Error::usage(format!("{} {output}", path.display()), Some(help.to_owned()));
        let text = fs::read(&path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => {
                let message = format!("{} is not the folder of a sweep: it has no {PLAN}", folder.display());
                Error::usage(message, Some("make it by `lyapunov sweep plan SWEEP.toml --out DIR`".to_owned()))
            }
            _ => Error::io("read", &path, cause),
        })?;
        match serde_json::from_slice::<Self>(&text) {
            Ok(plan) if plan.format > FORMAT => Err(unusable(
                format!("was written by a newer version of lyapunov, {}", plan.version),
                "use that version",
            )),
            Ok(plan) => Ok(plan),
            Err(cause) => {
                Err(unusable(format!("is not the plan of a sweep: {cause}"), "make it again by `lyapunov sweep plan`"))
            }
        }
    }

    /// Writes it into the folder of the sweep, in place of an earlier one.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(|cause| Error::io("make", folder, cause))?;
        let mut text = serde_json::to_vec_pretty(self).expect("numbers and texts have a JSON form");
        text.push(b'\n');
        Ok(write_file(&folder.join(PLAN), &text)?)
    }

    /// What distinguishes a run of this plan from the others, in some words.
    pub fn label(&self, run: &Planned) -> String {
        let parts = self.keys.iter().zip(&run.values).filter(|(_, value)| !value.is_empty());
        let parts = parts.map(|(key, value)| format!("{} {}", short(key), value.trim_matches('"')));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// The run of this identity.
    pub fn run_of(&self, id: &str) -> Result<&Planned> {
        self.runs.iter().find(|run| run.id == id).ok_or_else(|| {
            let help = "another sweep has been planned in the same folder: plan the old one again".to_owned();
            Error::usage(format!("the sweep has no run {id}"), Some(help))
        })
    }

    /// The run of this index.
    pub fn run(&self, index: usize) -> Result<&Planned> {
        self.runs.get(index).ok_or_else(|| {
            let last = self.runs.len().saturating_sub(1);
            Error::usage(
                format!("the sweep has no run {index}"),
                Some(format!("its runs are numbered from 0 to {last}")),
            )
        })
    }
}

/// What a key is called where it stands beside its value: the last part of its name, or its section where that says
/// more.
pub fn short(key: &str) -> &str {
    match key.split_once('.') {
        Some((section, "name")) => section,
        Some((_, last)) => last,
        None => key,
    }
}

impl Planned {
    /// The run of this configuration, which the axes give these values.
    pub fn of(mut settings: Settings, values: Vec<String>, subjects: &mut Subjects) -> Result<Self> {
        let (subject, epoch) = subjects.of(&settings)?;
        settings.resolve(&subject)?;
        let config = &settings.config;
        Ok(Self { id: config.identity(), values, steps: config.step_count(epoch), set: settings.differences() })
    }

    /// Its configuration, not yet resolved for its network.
    pub fn settings(&self) -> Result<Settings> {
        let mut draft = Draft::default();
        self.set.iter().try_for_each(|assignment| draft.set(assignment))?;
        draft.finish()
    }

    /// Its folder.
    pub fn folder(&self, out: &Path) -> PathBuf {
        out.join(&self.id)
    }
}

/// What the networks of a sweep are, each made once: what a configuration is resolved by.
#[derive(Default)]
pub struct Subjects(HashMap<String, (Subject, u64)>);

impl Subjects {
    /// The network and the steps per epoch of a configuration.
    fn of(&mut self, settings: &Settings) -> Result<(Subject, u64)> {
        let config = &settings.config;
        let parts = (&config.data, &config.model, &config.loss, config.run.batch_size, &config.run.device);
        let key = serde_json::to_string(&parts).expect("numbers, names and lists have a JSON form");
        if let Some(known) = self.0.get(&key) {
            // These depend on what the key does not have.
            settings.check_sizes(known.0.images)?;
            return Ok(known.clone());
        }
        let (network, subject) = setup::network(settings)?;
        let found = (subject, network.steps_per_epoch());
        self.0.insert(key, found.clone());
        Ok(found)
    }
}

fn planned(base: &Draft, point: &Point, source: &Source, subjects: &mut Subjects) -> Result<Planned> {
    let mut draft = base.clone();
    point.iter().try_for_each(|(key, value)| draft.take_value(key, value, source))?;
    Planned::of(draft.finish()?, point.iter().map(|(_, value)| text(value)).collect(), subjects)
}

fn check_distinct(runs: &[Planned]) -> Result<()> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, run) in runs.iter().enumerate() {
        if let Some(first) = seen.insert(&run.id, i) {
            let message = format!("the sweep has the same run twice: {}", run.values.join(", "));
            return Err(Error::usage(message, Some(format!("runs {first} and {i} have the same configuration"))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "[model]\nname = \"mlp\"\nwidths = [8]\n[data]\nsubset = 100\n[run]\nsteps = 5\nbatch_size = 20\n";

    fn plan(sweep: &str) -> Result<Plan> {
        Plan::of_text("sweep.toml", format!("{SMALL}{sweep}"), |_| Ok(()))
    }

    #[test]
    fn a_run_of_a_plan_has_the_identity_of_the_same_run_alone() {
        let plan = plan("[sweep]\n\"optimizer.learning_rate\" = [0.05, 0.1]\nseed = 2\n").unwrap();
        assert_eq!((plan.runs.len(), plan.runs[0].steps), (4, 5));
        assert_eq!(plan.size(), "4 runs of 20 steps in all, the longest of 5");
        assert_eq!(plan.keys, ["optimizer.learning_rate", "run.seed"]);
        for run in &plan.runs {
            let mut settings = run.settings().unwrap();
            let (_, subject) = setup::network(&settings).unwrap();
            settings.resolve(&subject).unwrap();
            assert_eq!(settings.config.identity(), run.id);
        }
        assert_eq!(plan.runs[3].values, ["0.1", "1"]);
    }

    #[test]
    fn a_plan_reads_back_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = plan("[sweep]\nseed = 2\n").unwrap();
        plan.write(folder.path()).unwrap();
        assert_eq!(Plan::read(folder.path()).unwrap(), plan);
        assert!(plan.run(2).unwrap_err().to_string().contains("no run 2"));
        plan.format = 2;
        plan.write(folder.path()).unwrap();
        assert!(Plan::read(folder.path()).unwrap_err().to_string().contains("newer version"));
        fs::write(folder.path().join(PLAN), "[]").unwrap();
        assert!(Plan::read(folder.path()).unwrap_err().to_string().contains("not the plan of a sweep"));
    }

    #[test]
    fn a_configuration_that_cannot_be_trained_is_refused_before_anything_runs() {
        let shown = |sweep: &str| plan(sweep).unwrap_err().to_string();
        assert!(shown("[sweep]\n\"run.batch_size\" = [20, 200]\n").contains("`run.batch_size` must be at most"));
        assert!(shown("[sweep]\n\"optimizer.learning_rate\" = [0.1, -1.0]\n").contains("`optimizer.learning_rate`"));
        assert!(shown("[sweep]\n\"run.seed\" = [1, 1]\n").contains("the same run twice: 1"));
        assert!(shown("").contains("has no table [sweep]"));
        let flag = Plan::of_text("s", "[sweep]\nseed = 2\n".to_owned(), |draft| draft.set("run.seed=3"));
        assert!(flag.unwrap_err().to_string().contains("a flag sets it"));
    }
}
