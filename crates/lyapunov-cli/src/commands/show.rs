//! `lyapunov show`: everything worth knowing of one stored run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use lyapunov::Quantity;
use lyapunov_runs::columns::{Column, Recorded};
use serde_json::{Map, Value, json};

use super::{list::cell, print};
use crate::{
    defaults::DEFAULTS,
    error::{Error, Result},
    folder::{MANIFEST, ROWS},
    store::{self, ExponentPoint, Latest, Row, SharpnessSeries},
    stored::{StoredRun, keys_of},
    text::{aligned, aligned_without, counted, duration, nearest, significant},
};

/// Which run.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov show cnn-sgd-0123abcd\n  \
        lyapunov show sweeps/cnn-sgd-0123abcd --json | jq '.sharpness[0]'")]
pub struct ShowArguments {
    /// The folder of a run; a bare name is looked up in `runs` as well
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// Shows the run.
pub fn execute(arguments: &ShowArguments) -> Result<()> {
    let shown = Shown::of(run_at(&arguments.run)?)?;
    if arguments.json { print(format!("{}\n", shown.object()).as_bytes()) } else { print(shown.text().as_bytes()) }
}

/// Where runs are looked up by their bare names.
const RUNS: &str = "runs";

/// The run in this folder, or of this name below `runs`.
///
/// # Errors
/// Where there is none, with the nearest name that there is.
pub fn run_at(path: &Path) -> Result<StoredRun> {
    let below = Path::new(RUNS).join(path);
    let bare = path.components().count() == 1;
    match [path, &below].into_iter().find(|folder| folder.join(MANIFEST).is_file()) {
        Some(folder) if folder == path || bare => Ok(StoredRun::open(folder)?),
        _ => Err(no_run(path, bare)),
    }
}

fn no_run(path: &Path, bare: bool) -> Error {
    let entries = fs::read_dir(RUNS).into_iter().flatten().flatten();
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let meant = nearest(&path.display().to_string(), &known).filter(|_| bare);
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`lyapunov list` names the runs below a folder".to_owned(),
    };
    let place =
        if bare { format!("{} or {RUNS}/{}", path.display(), path.display()) } else { path.display().to_string() };
    Error::usage(format!("there is no run in {place}"), Some(help))
}

/// A run, read for being shown.
struct Shown {
    run: StoredRun,
    latest: Latest,
    rows: Vec<Row>,
    files: Vec<(String, u64)>,
}

/// Fields of the manifest that are said elsewhere, or to programs only.
const UNSHOWN: [&str; 3] = ["outcome", "format", "summary"];

/// How many of the last rows are shown.
const ROWS_SHOWN: u64 = 5;

impl Shown {
    fn of(run: StoredRun) -> Result<Self> {
        let path = run.folder.join(ROWS);
        let latest = store::latest(&path)?;
        let last = latest.row.map_or(0, |row| row.step);
        let rows = store::read_from(&path, (last + 1).saturating_sub(ROWS_SHOWN))?.rows;
        let files = files(&run.folder)?;
        Ok(Self { run, latest, rows, files })
    }

    /// What stands above the keys of its configuration.
    fn of_configuration(&self) -> &'static str {
        match self.run.manifest.engine {
            None => "Configuration, where it is not the default",
            Some(_) => "Configuration",
        }
    }

    fn text(&self) -> String {
        let manifest = &self.run.manifest;
        let steps = manifest.steps.or(self.latest.row.map(|row| row.step)).unwrap_or(0);
        let after = manifest.wall_seconds.map(|seconds| format!(" in {}", duration(seconds))).unwrap_or_default();
        let mut text = format!("{}: {}, {}{after}\n", self.run.name(), self.run.state(), counted(steps, "step"));
        for (head, lines) in [
            (self.of_configuration(), self.configuration()),
            ("Manifest", self.manifest()),
            ("Last rows", self.last_rows()),
            ("Sharpness at the last measurement", self.sharpness()),
            ("Lyapunov exponents, in nats per step", self.exponents()),
            ("Files", self.file_lines()),
        ] {
            if !lines.is_empty() {
                let lines: Vec<&str> = lines.lines().collect();
                text += &["\n", head, "\n  ", &lines.join("\n  "), "\n"].concat();
            }
        }
        text
    }

    /// The keys that differ from the default file, with what it has. A network that is not of the program has no
    /// defaults.
    fn differing(&self) -> Vec<(&str, &Value, Option<Value>)> {
        let defaults = keys_of(DEFAULTS).unwrap_or_default();
        let default = |key: &str| defaults.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let keys = self.run.keys.iter().map(|(key, value)| (key.as_str(), value, default(key)));
        let all = self.run.manifest.engine.is_some();
        keys.filter(|(_, value, default)| all || default.as_ref() != Some(value)).collect()
    }

    fn configuration(&self) -> String {
        let line = |(key, value, default): (&str, &Value, Option<Value>)| {
            let default = default.map_or("a key of another version".to_owned(), |default| format!("default {default}"));
            let default = if self.run.manifest.engine.is_some() { String::new() } else { default };
            [key.to_owned(), value.to_string(), default]
        };
        aligned(&self.differing().into_iter().map(line).collect::<Vec<_>>(), &[])
    }

    fn manifest(&self) -> String {
        let fields = serde_json::to_value(&self.run.manifest).unwrap_or_default();
        let fields = fields.as_object().cloned().unwrap_or_default();
        let known = fields.into_iter().filter(|(name, value)| !value.is_null() && !UNSHOWN.contains(&name.as_str()));
        // What is said of images and epochs is 0 or empty where nobody said it.
        let foreign = self.run.manifest.engine.is_some();
        let unsaid = |value: &Value| foreign && (value == "" || value == 0);
        let known = known.filter(|(name, value)| name == "seed" || !unsaid(value));
        aligned(&known.map(|(name, value)| [name, cell(Some(&value))]).collect::<Vec<_>>(), &[])
    }

    fn last_rows(&self) -> String {
        let is_known = |column: &&Column<Row>| self.rows.iter().any(|row| (column.value)(row).is_some());
        let known: Vec<_> = Row::COLUMNS.iter().filter(is_known).collect();
        let head = std::iter::once("step").chain(known.iter().map(|column| column.name)).map(str::to_owned).collect();
        let line = |row: &Row| {
            let cells =
                known.iter().map(|column| (column.value)(row).map_or("—".to_owned(), |value| significant(value, 4)));
            std::iter::once(row.step.to_string()).chain(cells).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(self.rows.iter().map(line)).collect();
        if self.rows.is_empty() { String::new() } else { aligned(&rows, &(0..=known.len()).collect::<Vec<_>>()) }
    }

    fn sharpness(&self) -> String {
        let mut rows = vec![
            ["quantity", "on", "product", "step", "value", "residual", "times η", "of its edge", "g-eq"]
                .map(str::to_owned),
        ];
        rows.extend(self.latest.sharpness.iter().filter_map(sharpness_line));
        if rows.len() == 1 { String::new() } else { aligned_without(&rows, &[3, 4, 5, 6, 7, 8], &[8, 2, 6, 3, 1]) }
    }

    fn exponents(&self) -> String {
        let line = |(number, point): (u64, &ExponentPoint)| {
            let formatted = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| significant(value, 4));
            let error = point.std_error.map_or("unknown".to_owned(), |error| significant(error, 2));
            [format!("Λ_{number}"), formatted(point.value), format!("± {error}"), format!("at step {}", point.step)]
        };
        aligned(&(1..).zip(&self.latest.exponents).map(line).collect::<Vec<_>>(), &[1])
    }

    fn file_lines(&self) -> String {
        let line = |(name, bytes): &(String, u64)| [name.clone(), counted(*bytes, "byte")];
        aligned(&self.files.iter().map(line).collect::<Vec<_>>(), &[1])
    }

    fn object(&self) -> Value {
        let row = |row: &Row| {
            let values = Row::COLUMNS.iter().map(|column| (column.name.to_owned(), (column.value)(row).into()));
            Value::Object(std::iter::once(("step".to_owned(), row.step.into())).chain(values).collect::<Map<_, _>>())
        };
        let differing: Map<_, _> =
            self.differing().into_iter().map(|(key, value, _)| (key.to_owned(), value.clone())).collect();
        json!({
            "run": self.run.name(),
            "folder": self.run.folder.display().to_string(),
            "state": self.run.state(),
            "configuration": self.run.keys.iter().cloned().collect::<Map<_, _>>(),
            "not_default": differing,
            "manifest": self.run.manifest,
            "last_rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "sharpness": self.latest.sharpness.iter().filter_map(sharpness_object).collect::<Vec<_>>(),
            "exponents": self.latest.exponents.iter().map(exponent_object).collect::<Vec<_>>(),
            "files": self.files.iter().cloned().map(|(name, bytes)| (name, bytes.into())).collect::<Map<_, Value>>(),
        })
    }
}

fn sharpness_line(series: &SharpnessSeries) -> Option<[String; 9]> {
    let point = series.points.last()?;
    // A quotient along the gradient belongs to no eigenvalue.
    let residual = point.residual.filter(|_| series.quantity != Quantity::BatchSharpness.name());
    Some([
        series.quantity.clone(),
        series.on.clone(),
        series.product.clone(),
        point.step.to_string(),
        significant(point.value, 4),
        residual.map_or("—".to_owned(), |residual| format!("± {}", significant(residual, 2))),
        significant(point.learning_rate * point.value, 3),
        point.edge.map_or("—".to_owned(), |share| format!("{} %", significant(100.0 * share, 3))),
        significant(point.cost, 3),
    ])
}

fn sharpness_object(series: &SharpnessSeries) -> Option<Value> {
    let point = series.points.last()?;
    Some(json!({
        "quantity": series.quantity, "on": series.on, "product": series.product, "step": point.step,
        "value": point.value, "residual": point.residual, "learning_rate": point.learning_rate,
        "scaled": point.learning_rate * point.value, "edge_share": point.edge, "cost": point.cost,
    }))
}

fn exponent_object(point: &ExponentPoint) -> Value {
    json!({ "step": point.step, "value": point.value, "std_error": point.std_error, "local": point.local })
}

/// The files of a folder with their sizes, by name.
fn files(folder: &Path) -> Result<Vec<(String, u64)>> {
    let failed = |cause| Error::io("read", folder, cause);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        if metadata.is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), metadata.len()));
        }
    }
    files.sort();
    Ok(files)
}
