//! What is known of stored runs by name: what they are sorted and chosen by.

mod condition;

use std::{cell::OnceCell, cmp::Ordering};

use serde_json::{Map, Value};

pub use condition::Condition;

use crate::{
    error::{Error, Result},
    folder::ROWS,
    manifest::{Manifest, Outcome},
    store::{self, Latest},
    stored::StoredRun,
    text::nearest,
};

/// What is known of a run beside its manifest and its keys.
const DESCRIBED: [&str; 9] = ["run", "folder", "state", "model", "loss", "optimizer", "rule", "learning_rate", "steps"];

/// What its rows say.
const MEASURED: [&str; 6] =
    ["last_loss", "lambda_max", "lambda_max_step", "lambda_max_residual", "scaled_lambda_max", "edge_share"];

/// A run of a list.
#[derive(Debug)]
pub struct Entry {
    /// The run.
    pub run: StoredRun,
    manifest: Map<String, Value>,
    latest: OnceCell<(Latest, Option<Error>)>,
}

impl Entry {
    /// The entry of a run.
    pub fn new(run: StoredRun) -> Self {
        let manifest = match serde_json::to_value(&run.manifest) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        Self { run, manifest, latest: OnceCell::new() }
    }

    /// The value of this name; `None` where the run has none.
    pub fn value(&self, name: &str) -> Option<Value> {
        let value = match name {
            "run" => Some(self.run.name().into()),
            "folder" => Some(self.run.folder.display().to_string().into()),
            "state" => Some(self.run.state().into()),
            "model" | "loss" | "optimizer" => self.run.key(&format!("{name}.name")).cloned(),
            "rule" => self.rule(),
            // With a rule, nobody looks at the key.
            "learning_rate" if self.rule().is_some() => None,
            "steps" => self.steps(),
            _ if MEASURED.contains(&name) => self.measured(name).map(Value::from),
            _ => self.manifest.get(name).or_else(|| self.run.key(name)).cloned(),
        };
        value.filter(|value| !value.is_null())
    }

    fn rule(&self) -> Option<Value> {
        self.run.key("control.rule").filter(|rule| *rule != "none").cloned()
    }

    /// Those that were taken; of a run that has not ended, those that are on record.
    fn steps(&self) -> Option<Value> {
        self.run.manifest.steps.or_else(|| self.latest().row.map(|row| row.step)).map(Value::from)
    }

    fn measured(&self, name: &str) -> Option<f64> {
        let latest = self.latest();
        match name {
            "last_loss" => latest.row?.loss,
            // Of a run that blew up there is no saying how stable it was.
            "edge_share" if [Outcome::BlownUp, Outcome::Diverged].contains(&self.run.manifest.outcome) => None,
            "edge_share" => latest.edge_share(),
            "lambda_max" => latest.lambda_max().map(|point| point.value),
            "lambda_max_step" => latest.lambda_max().map(|point| point.step as f64),
            "lambda_max_residual" => latest.lambda_max()?.residual,
            _ => latest.lambda_max().map(|point| point.learning_rate * point.value),
        }
        .filter(|value| value.is_finite())
    }

    fn latest(&self) -> &Latest {
        &self.read().0
    }

    /// Why its rows cannot be read. A run that has only begun may have none yet.
    pub fn fault(&self) -> Option<&Error> {
        self.read().1.as_ref()
    }

    /// Rows that cannot be read are not known.
    fn read(&self) -> &(Latest, Option<Error>) {
        let path = self.run.folder.join(ROWS);
        let begun = || self.run.manifest.outcome != Outcome::Running || path.is_file();
        let read = || match store::latest(&path) {
            Ok(latest) => (latest, None),
            Err(fault) => (Latest::default(), begun().then(|| fault.into())),
        };
        self.latest.get_or_init(read)
    }
}

/// Fails where `name` means nothing for all of these runs, with the nearest name that does.
///
/// # Errors
/// As said.
pub fn check_name(name: &str, entries: &[Entry]) -> Result<()> {
    let known = known_names(entries);
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    let keys = || entries.iter().flat_map(|entry| entry.run.keys.iter().map(|(key, _)| key.as_str()));
    let mut alike: Vec<&str> = keys().filter(|key| last_part(key) == name).collect();
    alike.sort_unstable();
    alike.dedup();
    if alike.len() > 1 {
        let help = format!("name the section as well: {}", alike.join(", "));
        return Err(Error::usage(format!("`{name}` is in several sections"), Some(help)));
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = match nearest(name, &names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("beside the keys of a configuration there are {}", names_of_entries().join(", ")),
    };
    Err(Error::usage(format!("unknown column `{name}`"), Some(help)))
}

fn names_of_entries() -> Vec<String> {
    let manifest = serde_json::to_value(Manifest::default()).unwrap_or_default();
    let fields = manifest.as_object().into_iter().flat_map(|fields| fields.keys().cloned());
    let mut names: Vec<String> =
        DESCRIBED.iter().chain(&MEASURED).map(|name| (*name).to_owned()).chain(fields).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Every name with a meaning: what is shown, full keys, and last parts that a run has once.
fn known_names(entries: &[Entry]) -> Vec<String> {
    let mut names = names_of_entries();
    for entry in entries {
        for (key, _) in &entry.run.keys {
            let short = last_part(key);
            names.extend(entry.run.key(short).is_some().then(|| short.to_owned()));
            names.push(key.clone());
        }
    }
    names
}

/// The name of a key without its section.
pub fn last_part(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, last)| last)
}

/// Numbers before texts; `false` before `true` among texts.
pub fn compare(left: &Value, right: &Value) -> Ordering {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => plain(left).cmp(&plain(right)),
    }
}

/// A value as text, without quotation marks.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Orders the entries by a name, downwards if it begins with `-`; those without a value come last either way.
pub fn sort(entries: &mut [Entry], by: &str) {
    let (name, downwards) = by.strip_prefix('-').map_or((by, false), |name| (name, true));
    entries.sort_by(|left, right| match (left.value(name), right.value(name)) {
        (Some(left), Some(right)) if downwards => compare(&right, &left),
        (Some(left), Some(right)) => compare(&left, &right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    });
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn entry(name: &str, keys: &[(&str, Value)], test_accuracy: Option<f64>) -> Entry {
        let manifest = Manifest { test_accuracy, seed: 3, ..Manifest::default() };
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Entry::new(StoredRun { folder: PathBuf::from(name), manifest, keys })
    }

    /// Four runs, of which one has no accuracy.
    pub fn entries() -> Vec<Entry> {
        let keys = |rate: f64, rule: &str| {
            [
                ("optimizer.name", "sgd".into()),
                ("optimizer.learning_rate", rate.into()),
                ("control.rule", rule.into()),
                ("measure.every", 10.into()),
                ("exponents.every", 1.into()),
            ]
        };
        vec![
            entry("a", &keys(0.05, "none"), Some(0.5)),
            entry("b", &keys(0.2, "none"), None),
            entry("c", &keys(0.1, "edge-step"), Some(0.75)),
            entry("d", &keys(0.1, "none"), Some(0.6)),
        ]
    }

    #[test]
    fn what_is_lacking_comes_last_both_ways() {
        let sorted = |by| {
            let mut entries = entries();
            sort(&mut entries, by);
            entries.iter().map(|entry| entry.run.name()).collect::<String>()
        };
        assert_eq!([sorted("test_accuracy"), sorted("-test_accuracy")], ["adcb", "cdab"]);
        assert_eq!(sorted("-learning_rate"), "bdac");
    }
}
