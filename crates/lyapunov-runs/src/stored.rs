//! Runs as their folders show them: what lists, exports and reports are made of. Nothing here touches a network.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use toml_edit::{DocumentMut, Value as Toml};

use crate::{
    error::{Error, Result},
    folder::{CONFIG, MANIFEST, ROWS},
    lock,
    manifest::{Manifest, Outcome},
    store::{self, History},
};

/// A run in its folder.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// The folder.
    pub folder: PathBuf,
    /// What is known beside the numbers.
    pub manifest: Manifest,
    /// The keys of its configuration by their full names, such as `optimizer.learning_rate`, in the order of their
    /// file.
    pub keys: Vec<(String, Value)>,
}

impl StoredRun {
    /// The run in `folder`.
    ///
    /// # Errors
    /// Where manifest or configuration are not there, cannot be read or are of a newer version.
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let path = folder.join(CONFIG);
        let text = fs::read_to_string(&path).map_err(|cause| Error::io("read", &path, cause))?;
        let document: DocumentMut = text.parse().map_err(|fault: toml_edit::TomlError| {
            let message = format!("{} is not a TOML file: {}", path.display(), fault.message().replace('\n', ", "));
            Error::Unusable { message, help: None }
        })?;
        Ok(Self { folder: folder.to_owned(), manifest, keys: keys(&document) })
    }

    /// The last part of the folder's name.
    pub fn name(&self) -> String {
        let name = self.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| self.folder.display().to_string())
    }

    /// `running`, `completed`, `diverged`, `blown-up`, `failed`, or `killed` where nobody is at a run that has not
    /// ended.
    pub fn state(&self) -> &'static str {
        match self.manifest.outcome {
            Outcome::Running if lock::holder(&self.folder).is_none() => "killed",
            outcome => outcome.name(),
        }
    }

    /// Its rows.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn history(&self) -> Result<History> {
        store::read(&self.folder.join(ROWS))
    }

    /// The value of a key by its full name, or by its last part where that is the only one of this name.
    pub fn key(&self, name: &str) -> Option<&Value> {
        let full = self.keys.iter().find(|(key, _)| key == name);
        let last = || {
            let mut found =
                self.keys.iter().filter(|(key, _)| key.rsplit_once('.').is_some_and(|(_, last)| last == name));
            found.next().filter(|_| found.next().is_none())
        };
        full.or_else(last).map(|(_, value)| value)
    }
}

/// The runs in and below these folders, in the order of their names, and what could not be read.
///
/// # Errors
/// For a path that is not there, and where there is no run at all.
pub fn runs_in(places: &[PathBuf]) -> Result<(Vec<StoredRun>, Vec<Error>)> {
    let (mut folders, mut faults) = (BTreeMap::new(), Vec::new());
    for place in places {
        // What was named must be there; what is found below may go meanwhile.
        fs::metadata(place).map_err(|source| Error::Io {
            action: "read",
            path: place.clone(),
            source,
            help: Some(
                "name a folder with runs in or below it: those of `lyapunov train` are in `runs`, those of a Monitor \
                 in Python where its out= says"
                    .to_owned(),
            ),
        })?;
        find(place, 0, &mut folders, &mut faults);
    }
    if folders.is_empty() {
        if let Some(fault) = faults.pop() {
            return Err(fault);
        }
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        let help = "a run is a folder with a manifest.json, such as `lyapunov train` makes below `runs`, or a Monitor in \
                    Python at its out=";
        let help = Some(help.to_owned());
        return Err(Error::Unusable { message: format!("there is no run in {}", places.join(", ")), help });
    }
    let mut runs = Vec::new();
    for folder in folders.into_values() {
        match StoredRun::open(&folder) {
            Ok(run) => runs.push(run),
            Err(fault) => faults.push(fault),
        }
    }
    Ok((runs, faults))
}

/// How deep below a folder runs are looked for.
const DEPTH: usize = 4;

fn find(place: &Path, depth: usize, found: &mut BTreeMap<PathBuf, PathBuf>, faults: &mut Vec<Error>) {
    if place.join(MANIFEST).is_file() {
        // Named twice, it is one run all the same.
        found.insert(fs::canonicalize(place).unwrap_or_else(|_| place.to_owned()), place.to_owned());
        return;
    }
    if place.join(ROWS).is_file() {
        faults.push(Error::unusable(format!("{} has rows, but no {MANIFEST}", place.display()), None));
        return;
    }
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(cause) => return faults.push(Error::io("read", place, cause)),
    };
    for entry in entries.filter_map(std::result::Result::ok) {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if depth < DEPTH && !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&entry.path(), depth + 1, found, faults);
        }
    }
}

/// The keys of a configuration file by their full names; `None` where it is no TOML.
pub fn keys_of(text: &str) -> Option<Vec<(String, Value)>> {
    text.parse().ok().map(|document| keys(&document))
}

/// A value as a configuration file writes it; what is no such value is a text.
pub fn value_of(text: &str) -> Value {
    text.parse::<Toml>().map_or_else(|_| text.into(), |value| json(&value))
}

/// The keys of a configuration by their full names.
fn keys(document: &DocumentMut) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (section, item) in document.iter() {
        for (name, item) in item.as_table_like().iter().flat_map(|table| table.iter()) {
            found.extend(item.as_value().map(|value| (format!("{section}.{name}"), json(value))));
        }
    }
    found
}

/// A value of a TOML file as JSON has it; a number that JSON has not is its text.
fn json(value: &Toml) -> Value {
    match value {
        Toml::String(text) => text.value().clone().into(),
        Toml::Integer(number) => (*number.value()).into(),
        Toml::Boolean(answer) => (*answer.value()).into(),
        Toml::Float(number) if number.value().is_finite() => (*number.value()).into(),
        Toml::Array(list) => list.iter().map(json).collect(),
        Toml::InlineTable(table) => {
            let entry = |(name, item): (&str, &Toml)| (name.to_owned(), json(item));
            Value::Object(table.iter().map(entry).collect())
        }
        other => other.clone().decorated("", "").to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "
        [model]
        name = \"cnn\"
        [loss]
        name = \"cross-entropy\"
        [optimizer]
        name = \"sgd\"
        momentum = 0.9
        [control]
        bounds = [0.0, inf]
    ";

    fn write(folder: &Path, manifest: &Manifest) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(MANIFEST), manifest.to_json()).unwrap();
        fs::write(folder.join(CONFIG), CONFIGURATION).unwrap();
    }

    #[test]
    fn runs_are_found_below_and_a_broken_one_does_not_hide_the_others() {
        let out = tempfile::tempdir().unwrap();
        for name in ["b", "deep/a", "c"] {
            write(&out.path().join(name), &Manifest::default());
        }
        fs::write(out.path().join("c").join(MANIFEST), "{").unwrap();
        let places = [out.path().to_owned(), out.path().join("b")];
        let (runs, faults) = runs_in(&places).unwrap();
        assert_eq!(runs.iter().map(StoredRun::name).collect::<Vec<_>>(), ["b", "a"]);
        assert!(faults[0].to_string().contains("is not the manifest of a run"), "{}", faults[0]);
        assert_eq!(runs[0].state(), "killed");
        assert_eq!(runs[0].key("optimizer.momentum"), Some(&0.9.into()));
        assert_eq!(runs[0].key("momentum"), Some(&0.9.into()));
        assert_eq!(runs[0].key("name"), None, "there are many");
        assert_eq!(runs[0].key("control.bounds").unwrap().to_string(), "[0.0,\"inf\"]");
        assert!(runs_in(&[out.path().join("c/none")]).is_err());
        fs::create_dir(out.path().join("d")).unwrap();
        fs::write(out.path().join("d").join(ROWS), "").unwrap();
        let (runs, faults) = runs_in(&places).unwrap();
        assert_eq!((runs.len(), faults.len()), (2, 2));
        assert!(faults.iter().any(|fault| fault.to_string().contains("has rows, but no manifest.json")), "{faults:?}");
    }

    #[test]
    fn a_manifest_of_a_newer_version_is_refused_by_its_version() {
        let out = tempfile::tempdir().unwrap();
        write(out.path(), &Manifest { format: 2, version: "9.1.0".to_owned(), ..Manifest::default() });
        let (runs, faults) = runs_in(&[out.path().to_owned()]).unwrap();
        assert!(runs.is_empty() && faults[0].to_string().contains("newer version of lyapunov, 9.1.0"), "{}", faults[0]);
    }
}
