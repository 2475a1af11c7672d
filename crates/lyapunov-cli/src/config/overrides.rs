//! The flags that override a configuration.

use std::path::{Path, PathBuf};

use lyapunov_burn::Layout;
use toml_edit::Value;

use super::{draft::Draft, resolve::Settings, values::SYNTHETIC};
use crate::{data::Source, error::Result};

/// The variable that names the device where no flag does.
const DEVICE_VARIABLE: &str = "BURN_DEVICE";

/// The flags that override a configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--set key=value`, each.
    pub set: Vec<String>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--out`.
    pub out: Option<PathBuf>,
    /// `--device`.
    pub device: Option<String>,
}

/// The configuration: defaults, then the file, then `--set`, then the other flags.
pub fn settings(file: Option<&Path>, overrides: &Overrides) -> Result<Settings> {
    let mut draft = Draft::default();
    file.iter().try_for_each(|path| draft.read(path))?;
    overrides.set.iter().try_for_each(|assignment| draft.set(assignment))?;
    let text = |path: &Path| Value::from(path.display().to_string());
    if let Some(path) = &overrides.data {
        use_data(&mut draft, path);
    }
    if let Some(path) = &overrides.out {
        draft.assign("run.out", text(path), format!("--out {}", path.display()));
    }
    // A variable that is set to nothing says nothing.
    let variable = || std::env::var(DEVICE_VARIABLE).ok().filter(|name| !name.is_empty());
    if let Some(name) = &overrides.device {
        draft.assign("run.device", name, format!("--device {name}"));
    } else if let Some(name) = variable() {
        draft.assign("run.device", &name, format!("{DEVICE_VARIABLE}={name}"));
    }
    draft.finish()
}

/// Trains on the images in `path`, as `--data` asks.
pub fn use_data(draft: &mut Draft, path: &Path) {
    let flag = format!("--data {}", path.display());
    // A set that the configuration names is that set; else the files decide.
    if draft.text("data.name").is_some_and(|name| name == SYNTHETIC) {
        let layout = Source::at(path).layout().unwrap_or(Layout::Cifar10);
        draft.assign("data.name", layout.name(), flag.clone());
    }
    draft.assign("data.path", path.display().to_string(), flag);
}
