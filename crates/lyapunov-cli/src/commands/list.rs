//! `lyapunov list`: one line per stored run.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::print;
use crate::{
    error::{Error, Result},
    show::list::{Condition, Entry, check_name, last_part, plain, sort},
    stored::runs_in,
    text::{aligned_without, counted, significant},
};

/// Which runs, and what of them.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Names are fields of the manifest (test_accuracy, steps, wall_seconds …), keys of the configuration \
        by their full or \
        last name, run, folder, state, model, loss, optimizer, rule, and of the last measurement lambda_max, \
        lambda_max_residual, \
        scaled_lambda_max (η·λ_max), edge_share (of the optimizer's own edge) and last_loss.\n\n\
        Examples:\n  \
        lyapunov list\n  \
        lyapunov list --sort -test_accuracy --where 'learning_rate > .1' --where 'state = completed'\n  \
        lyapunov list sweeps --columns run,model.widths,edge_share --json | jq '.runs[0]'"
)]
pub struct ListArguments {
    /// Folders with runs in or below them
    #[arg(value_name = "DIR", default_value = "runs")]
    pub places: Vec<PathBuf>,
    /// Order by this name, or downwards by -NAME; runs without a value come last
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Only runs with NAME = VALUE, or != < <= > >=, or ~ for "contains"; repeated, all must hold
    #[arg(long = "where", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// The names to show, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// The columns where none are named; some only where runs want them.
const COLUMNS: [&str; 14] = [
    "run",
    "state",
    "model",
    "loss",
    "optimizer",
    "rule",
    "learning_rate",
    "seed",
    "steps",
    "last_loss",
    "train_loss",
    "test_accuracy",
    "scaled_lambda_max",
    "edge_share",
];

/// Where a terminal is narrow, these are left out before others.
const FIRST_TO_GO: [&str; 10] = [
    "loss",
    "seed",
    "optimizer",
    "model",
    "rule",
    "steps",
    "edge_share",
    "scaled_lambda_max",
    "last_loss",
    "learning_rate",
];

/// Whether a column is shown where none are named: `rule` where a run has one.
///
/// Loops of somebody else's seldom evaluate their final weights, and under Adam they do not measure λ_max: where there
/// is such a run, the last loss and the share of the edge are shown, and no empty column.
fn is_shown(column: &str, entries: &[Entry]) -> bool {
    let foreign = entries.iter().any(|entry| entry.run.manifest.engine.is_some());
    let known = || entries.iter().any(|entry| entry.value(column).is_some());
    match column {
        "rule" => known(),
        "last_loss" | "edge_share" => foreign && known(),
        "train_loss" | "test_accuracy" | "scaled_lambda_max" => !foreign || known(),
        _ => true,
    }
}

/// Lists the runs.
pub fn execute(arguments: &ListArguments) -> Result<()> {
    let conditions: Vec<Condition> =
        arguments.conditions.iter().map(|text| Condition::parse(text)).collect::<Result<_>>()?;
    let (runs, faults) = runs_in(&arguments.places)?;
    let mut entries: Vec<Entry> = runs.into_iter().map(Entry::new).collect();
    for condition in &conditions {
        condition.check(&entries)?;
    }
    let columns = columns(&arguments.columns, &entries)?;
    let runs = entries.len() + faults.len();
    let unreadable = entries.iter().filter_map(Entry::fault);
    let faults = faults.iter().map(ToString::to_string).chain(unreadable.map(ToString::to_string));
    let faults: Vec<String> = faults.collect();
    entries.retain(|entry| conditions.iter().all(|condition| condition.holds(entry)));
    if let Some(by) = &arguments.sort {
        check_name(by.trim_start_matches('-'), &entries)?;
        sort(&mut entries, by);
    }
    let message = if arguments.json { object(&entries, &columns, &faults) } else { text(&entries, &columns) };
    print(message.as_bytes())?;
    unread(&faults, runs)
}

/// One broken run does not hide the others.
fn unread(faults: &[String], runs: usize) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let listed = faults.iter().map(|fault| format!("\n  {fault}")).collect::<Vec<_>>().concat();
    let message = format!("{} of {} cannot be read, or not to the end:{listed}", faults.len(), counted(runs, "run"));
    Err(Error::Failed { message, help: None })
}

fn columns(named: &[String], entries: &[Entry]) -> Result<Vec<String>> {
    if named.is_empty() {
        let shown = COLUMNS.iter().filter(|name| is_shown(name, entries));
        return Ok(shown.map(|name| (*name).to_owned()).collect());
    }
    let named: Vec<String> = named.iter().map(|name| name.trim().to_owned()).collect();
    named.iter().try_for_each(|name| check_name(name, entries))?;
    Ok(named)
}

fn text(entries: &[Entry], columns: &[String]) -> String {
    if entries.is_empty() {
        return "no run fulfils these conditions\n".to_owned();
    }
    let values = |entry: &Entry| columns.iter().map(|name| entry.value(name)).collect::<Vec<_>>();
    let values: Vec<Vec<Option<Value>>> = entries.iter().map(values).collect();
    let numbers = |i: &usize| values.iter().all(|row| row[*i].as_ref().is_none_or(Value::is_number));
    let right: Vec<usize> = (0..columns.len()).filter(numbers).collect();
    let mut rows = vec![columns.to_vec()];
    let shown = |(entry, row): (&Entry, &Vec<Option<Value>>)| {
        let cells = columns.iter().zip(row).map(|(name, value)| by_rule(entry, name).unwrap_or(cell(value.as_ref())));
        cells.collect()
    };
    rows.extend(entries.iter().zip(&values).map(shown));
    let to_go: Vec<usize> = FIRST_TO_GO.iter().filter_map(|name| columns.iter().position(|own| own == name)).collect();
    aligned_without(&rows, &right, &to_go)
}

/// What is shown instead of a learning rate that a rule sets.
fn by_rule(entry: &Entry, column: &str) -> Option<String> {
    (last_part(column) == "learning_rate" && entry.value("rule").is_some()).then(|| "rule".to_owned())
}

/// A number in at most eight characters; `—` where there is nothing.
pub(super) fn cell(value: Option<&Value>) -> String {
    let Some(value) = value else { return "—".to_owned() };
    let text = plain(value);
    match value.as_f64() {
        Some(number) if value.is_f64() && text.len() > 8 => significant(number, 4),
        _ => text,
    }
}

fn object(entries: &[Entry], columns: &[String], faults: &[String]) -> String {
    let run = |entry: &Entry| {
        let folder = ("folder".to_owned(), entry.value("folder").unwrap_or_default());
        let values = columns.iter().map(|name| (name.clone(), entry.value(name).unwrap_or_default()));
        Value::Object(std::iter::once(folder).chain(values).collect::<Map<_, _>>())
    };
    let runs: Vec<Value> = entries.iter().map(run).collect();
    format!("{}\n", json!({ "runs": runs, "faults": faults }))
}
