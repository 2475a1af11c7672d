//! `lyapunov export`: the rows of stored runs as files for other programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use lyapunov_runs::columns::{
    AlongPoint, Column, ExponentPoint, NearbyPoint, QUANTITIES, Recorded, Row, SecantPoint, SharpnessPoint,
};

use super::{print, show::run_at};
use crate::{
    error::{Error, Result},
    export::{Wide, csv, events, exponent_name, joined, jsonl, numbered, parquet, sharpness_name, tensorboard},
    folder::write_file,
    stored::StoredRun,
    text::{columns as columns_of_terminal, fitted},
};

const EXAMPLES: &str = "Examples:\n  \
    lyapunov export cnn-sgd-0123abcd > run.csv\n  \
    lyapunov export runs/* --format parquet --out runs.parquet\n  \
    lyapunov export runs/* --format jsonl --out exported/\n  \
    lyapunov export runs/* --format tensorboard --out logs && tensorboard --logdir logs";

/// Every column with its unit and its meaning, in words.
fn columns() -> String {
    let quantities = QUANTITIES.iter().map(|words| format!("{}: {}", words.quantity.name(), words.meaning));
    let quantities = quantities.collect::<Vec<_>>().join("\n  ");
    let parts = [
        ("One row per step, one column per recorded number:".to_owned(), lines::<Row>(|column| column.name.to_owned())),
        (
            format!(
                "For every quantity and kind of data (batch, subset=COUNT, full); _product is the kind of product \
                    with the \
                 Hessian:\n  {quantities}"
            ),
            lines::<SharpnessPoint>(|column| numbered(&sharpness_name("lambda_max", "batch"), column)),
        ),
        (
            "For every exponent, largest first:".to_owned(),
            lines::<ExponentPoint>(|column| numbered(&exponent_name(1), column)),
        ),
        ("What a rule for the learning rate looked at:".to_owned(), {
            lines::<AlongPoint>(|column| numbered("along", column))
                + &lines::<SecantPoint>(|column| numbered("secant", column))
        }),
        (
            "For every quantity that a nearby trajectory follows:".to_owned(),
            lines::<NearbyPoint>(|column| numbered(&NearbyPoint::series("lambda_max"), column)),
        ),
    ];
    let text = parts.map(|(head, lines)| format!("{head}\n  {}\n", lines.trim_end().replace('\n', "\n  "))).join("\n");
    format!(
        "{text}\nNumbers read back to the same bits, but TensorBoard holds 32 bits of each. What was not measured is \
            empty, or \
         null. Several runs in one file have a column `run`.\n"
    )
}

/// The widest help.
const HELP: usize = 100;

/// The columns of a table under the names that they have in an export.
fn lines<T: Recorded>(named: impl Fn(&Column<T>) -> String) -> String {
    let line = |column: &Column<T>| [named(column), column.unit.to_owned(), column.meaning.to_owned()];
    // Help is printed two columns in, and never wider than this.
    let room = columns_of_terminal().unwrap_or(HELP).min(HELP) - 2;
    fitted(&T::COLUMNS.iter().map(line).collect::<Vec<_>>(), &[], &[], Some(room))
}

/// Which runs, and how.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = format!(
        "One row per step, one column per recorded number; `lyapunov export --help` lists them. Numbers read back to \
            the same \
        bits, but TensorBoard holds 32 bits of each. What was not measured is empty, or null. Several runs in one \
        file have a \
        column `run`.\n\n{EXAMPLES}"
    ),
    after_long_help = format!("{}\n{EXAMPLES}", columns())
)]
pub struct ExportArguments {
    /// Folders of runs; a bare name is looked up in `runs` as well
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The format
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub format: Format,
    /// A file for all, or a folder (there already, or ending in /) for one file per run; without it, csv and jsonl go
    /// to standard output
    #[arg(long, value_name = "DIR|FILE")]
    pub out: Option<PathBuf>,
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values
    Csv,
    /// A JSON object per line
    Jsonl,
    /// Apache Parquet
    Parquet,
    /// Event files for TensorBoard, in one folder per run
    Tensorboard,
}

impl Format {
    /// The name, and the ending of a file.
    fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
            Self::Tensorboard => "tensorboard",
        }
    }
}

/// Writes the runs.
pub fn execute(arguments: &ExportArguments) -> Result<()> {
    let runs: Vec<StoredRun> = arguments.runs.iter().map(|run| run_at(run)).collect::<Result<_>>()?;
    let names = names(&runs)?;
    match (arguments.format, &arguments.out) {
        (Format::Tensorboard, Some(out)) => {
            runs.iter().zip(&names).try_for_each(|(run, name)| write_events(run, &out.join(name)))
        }
        (format, Some(out)) if is_folder(out) => runs.iter().zip(&names).try_for_each(|(run, name)| {
            write(&out.join(format!("{name}.{}", format.name())), &encoded(format, &Wide::of(&run.history()?))?)
        }),
        (format @ (Format::Csv | Format::Jsonl), None) => print(&encoded(format, &table(&runs, names)?)?),
        (format, Some(out)) => write(out, &encoded(format, &table(&runs, names)?)?),
        (format, None) => {
            let help = match format {
                Format::Tensorboard => "name the folder that `tensorboard --logdir` is to look at",
                _ => "name the file, such as runs.parquet",
            };
            Err(Error::usage(format!("`--format {}` wants `--out`", format.name()), Some(help.to_owned())))
        }
    }
}

fn is_folder(out: &Path) -> bool {
    out.is_dir() || out.as_os_str().to_string_lossy().ends_with('/')
}

/// Every run by the last part of its folder, or by its whole path where two have the same.
fn names(runs: &[StoredRun]) -> Result<Vec<String>> {
    let short: Vec<String> = runs.iter().map(StoredRun::name).collect();
    let twice = |name: &String| short.iter().filter(|other| *other == name).count() > 1;
    let long = |run: &StoredRun| run.folder.display().to_string().trim_matches(['.', '/']).replace('/', "-");
    let names: Vec<String> =
        runs.iter().zip(&short).map(|(run, name)| if twice(name) { long(run) } else { name.clone() }).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(Error::usage(format!("{} is named twice", runs[i].folder.display()), None));
        }
    }
    Ok(names)
}

/// One run as it is, several below each other.
fn table(runs: &[StoredRun], names: Vec<String>) -> Result<Wide> {
    let mut tables = runs.iter().map(|run| Ok(Wide::of(&run.history()?))).collect::<Result<Vec<_>>>()?;
    if tables.len() == 1 {
        return Ok(tables.remove(0));
    }
    Ok(joined(names.into_iter().zip(tables).collect()))
}

fn encoded(format: Format, table: &Wide) -> Result<Vec<u8>> {
    match format {
        Format::Jsonl => Ok(jsonl::text(table).into_bytes()),
        Format::Parquet => parquet::bytes(table)
            .map_err(|cause| Error::usage(format!("cannot write these rows as Parquet: {cause}"), None)),
        Format::Csv | Format::Tensorboard => Ok(csv::text(table).into_bytes()),
    }
}

fn write_events(run: &StoredRun, folder: &Path) -> Result<()> {
    let started: Option<jiff::Timestamp> = run.manifest.started.parse().ok();
    let wall_time = started.map_or(0.0, |time| time.as_second() as f64);
    let bytes = tensorboard::bytes(&Wide::of(&run.history()?), wall_time);
    write(&folder.join(events::file_name(wall_time)), &bytes)
}

/// Writes a file whole or not at all, in a folder that is made if need be.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        fs::create_dir_all(parent).map_err(|cause| Error::io("create the folder", parent, cause))?;
    }
    Ok(write_file(path, bytes)?)
}
