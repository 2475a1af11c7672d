//! `lyapunov sweep`: a grid of runs, on the cores of this machine or on a cluster.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    thread,
};

use clap::{Args, Subcommand};
use serde_json::json;

mod worker;

use self::worker::Made;
use super::{at_least, print};
use crate::{
    config,
    error::{Error, Result},
    folder::check_writable,
    store::Journal,
    stored,
    sweep::{self, Engine, Plan, Planned, RunStatus, Submission, SweepOutcome, largest_array, short, standings},
    text::{aligned_without, compact, counted},
};

/// A sweep, or a part of its work.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "A sweep is the configuration of a run with a table of axes, whose keys are those of the \
        configuration:\n  \
        [sweep]\n  \
        \"optimizer.learning_rate\" = { logspace = [0.01, 1.0], count = 5 }\n  \
        \"model.name\" = [\"mlp\", \"cnn\"]\n  \
        \"seed\" = 3                                      seeds 0, 1 and 2\n  \
        zip = [{ \"loss.name\" = […], \"run.epochs\" = […] }] axes that go together\n  \
        exclude = [{ \"model.name\" = \"cnn\", \"seed\" = [1, 2] }]\n\n\
        Examples:\n  \
        lyapunov sweep sweep.toml --out sweeps/edge\n  \
        lyapunov sweep status sweeps/edge\n  \
        lyapunov sweep plan sweep.toml --out sweeps/edge && lyapunov sweep submit sweeps/edge --engine slurm"
)]
pub struct SweepArguments {
    /// What to do, if not everything here
    #[command(subcommand)]
    pub command: Option<SweepCommand>,
    /// The sweep.
    #[command(flatten)]
    pub grid: Grid,
    /// How many runs to make at a time [default: one per core]
    #[arg(long, value_name = "COUNT", value_parser = at_least(1))]
    pub jobs: Option<u64>,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// Which sweep, and where.
#[derive(Args, Clone, Debug)]
pub struct Grid {
    /// The sweep
    #[arg(value_name = "SWEEP.toml", required = true)]
    pub file: Option<PathBuf>,
    /// Override one key of every run; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Train on the images in this folder or .tar.gz archive
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The folder that receives the plan and one folder per run
    #[arg(long, value_name = "DIR", default_value = "sweep")]
    pub out: PathBuf,
}

/// The parts of the work.
#[derive(Debug, Subcommand)]
pub enum SweepCommand {
    /// Write down every run of a sweep, and make none
    Plan {
        /// The sweep.
        #[command(flatten)]
        grid: Grid,
        /// Print one JSON object, and nothing else, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Make one run of a planned sweep, unless it has ended or another process is at it
    Run {
        /// The folder of the sweep
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Which run, from 0
        #[arg(long, value_name = "N", required_unless_present = "id")]
        index: Option<usize>,
        /// Which run, by its identity
        #[arg(long, value_name = "ID", conflicts_with = "index")]
        id: Option<String>,
        /// Show no progress and no summary
        #[arg(long, short)]
        quiet: bool,
        /// End when standard input does
        #[arg(long, hide = true)]
        with_parent: bool,
    },
    /// Show how far a planned sweep has come
    Status {
        /// The folder of the sweep
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Print one JSON object, and nothing else, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Hand the missing runs of a sweep to a cluster
    ///
    /// Writes a script into the folder, which all machines of the cluster must see, and submits it.
    Submit {
        /// The folder of the sweep
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// By which system
        #[arg(long, value_enum)]
        engine: Engine,
        /// One more directive for the engine, such as --option=--time=02:00:00; may be repeated
        #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
        option: Vec<String>,
        /// Submit at most this many runs; the same command submits the next ones when these have begun
        #[arg(long, value_name = "COUNT", value_parser = at_least(1))]
        most: Option<u64>,
        /// Write the script and submit nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Carries out the sweep, or a part of its work.
pub fn execute(arguments: &SweepArguments) -> Result<()> {
    match &arguments.command {
        None => run_all(arguments),
        Some(SweepCommand::Plan { grid, json }) => show_plan(grid, *json),
        Some(SweepCommand::Run { folder, index, quiet, id, with_parent }) => {
            if *with_parent {
                worker::end_with_parent();
            }
            run_one(folder, *index, id.as_deref(), *quiet)
        }
        Some(SweepCommand::Status { folder, json }) => status(folder, *json),
        Some(SweepCommand::Submit { folder, engine, option, most, dry_run }) => {
            submit(folder, *engine, option, most.map_or(usize::MAX, |most| most as usize), *dry_run)
        }
    }
}

fn run_all(arguments: &SweepArguments) -> Result<()> {
    let (plan, out) = (plan(&arguments.grid)?, &arguments.grid.out);
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or_else(cores, |jobs| jobs as usize);
    let tallied = sweep::drive(&plan, out, jobs, arguments.json)?;
    if arguments.json {
        print(to_json(&plan, out, &standings(&plan, out)).as_bytes())?;
    } else {
        print(in_words(&plan, out, &tallied).as_bytes())?;
    }
    match &tallied.failed[..] {
        [] => Ok(()),
        [(index, fault), ..] => {
            let (failed, runs) = (tallied.failed.len(), plan.runs.len());
            let message = format!("{failed} of {} failed; the first, run {index}: {fault}", counted(runs, "run"));
            let help =
                format!("`lyapunov sweep status {}` names them; the same command tries them again", out.display());
            Err(Error::Failed { message, help: Some(help) })
        }
    }
}

/// The plan of the sweep, written into its folder.
fn plan(grid: &Grid) -> Result<Plan> {
    let Grid { file, set, data, out } = grid;
    let file = file.as_deref().ok_or_else(|| Error::usage("no sweep is named".to_owned(), None))?;
    check_writable(out)?;
    let plan = Plan::make(file, |draft| {
        set.iter().try_for_each(|assignment| draft.set(assignment))?;
        if let Some(path) = data {
            config::use_data(draft, path);
        }
        Ok(())
    })?;
    plan.write(out)?;
    Ok(plan)
}

fn show_plan(grid: &Grid, json: bool) -> Result<()> {
    let plan = plan(grid)?;
    let message = if json {
        serde_json::to_string_pretty(&plan).expect("numbers and texts have a JSON form") + "\n"
    } else {
        let table = table(&plan, &[]);
        format!("{table}\n{}; the plan is {}\n", plan.size(), grid.out.join(sweep::PLAN).display())
    };
    print(message.as_bytes())
}

fn run_one(folder: &Path, index: Option<usize>, id: Option<&str>, quiet: bool) -> Result<()> {
    let plan = Plan::read(folder)?;
    let (run, name) = match (index, id) {
        (_, Some(id)) => (plan.run_of(id)?, id.to_owned()),
        (index, None) => (plan.run(index.unwrap_or_default())?, index.unwrap_or_default().to_string()),
    };
    let message = match worker::make(run, folder, quiet)? {
        Made::Now(summary) => summary.to_text(),
        Made::Before => format!("run {name} has ended before: {}\n", run.folder(folder).display()),
        Made::Elsewhere(owner) => format!("run {name} is being made by {owner}: {}\n", run.folder(folder).display()),
    };
    if quiet { Ok(()) } else { print(message.as_bytes()) }
}

fn status(folder: &Path, json: bool) -> Result<()> {
    let plan = Plan::read(folder)?;
    let standings = standings(&plan, folder);
    let message =
        if json { to_json(&plan, folder, &standings) } else { table(&plan, &standings) + "\n" + &count(&standings) };
    print(message.as_bytes())
}

fn submit(folder: &Path, engine: Engine, options: &[String], most: usize, dry_run: bool) -> Result<()> {
    let plan = Plan::read(folder)?;
    let out = fs::canonicalize(folder).map_err(|cause| Error::io("find", folder, cause))?;
    let program = env::current_exe().map_err(|cause| Error::io("find", Path::new("this program"), cause))?;
    let open = plan.runs.iter().filter(|run| RunStatus::of(run, &out).is_open());
    let runs: Vec<&Planned> = open.take(most).collect();
    if runs.is_empty() {
        return print(b"nothing to submit: every run has ended, or somebody is at it\n");
    }
    let parts: Vec<&[&Planned]> = runs.chunks(largest_array(engine)).collect();
    let mut text = file_system(&out);
    for (i, runs) in parts.iter().enumerate() {
        let part = (i + 1, parts.len());
        let path = Submission { plan: &plan, out: &out, program: &program, runs, options, part }.write(engine)?;
        let _ = if dry_run {
            writeln!(text, "the script is {}", path.display())
        } else {
            writeln!(text, "{}", Submission::submit(engine, &path)?)
        };
    }
    if parts.len() > 1 {
        let _ = writeln!(text, "the sweep is cut into {} arrays, since the cluster takes no larger ones", parts.len());
    }
    if !dry_run {
        let (runs, folder) = (counted(runs.len(), "run"), folder.display());
        let _ = writeln!(text, "Submitted {runs}; `lyapunov sweep status {folder}` shows how far they are");
    }
    print(text.as_bytes())
}

/// A line on the file system that the runs will be written to, where it is one that machines share.
fn file_system(out: &Path) -> String {
    match Journal::suited_to(out) {
        (Journal::Rollback, Some(kind)) => format!(
            "{} is on a shared file system ({kind}): the rows of runs are kept by a rollback journal, not by a log\n",
            out.display()
        ),
        _ => String::new(),
    }
}

/// One line per run: its index and values, and where it stands, if that is known.
fn table(plan: &Plan, standings: &[RunStatus]) -> String {
    let names = plan.keys.iter().map(|key| short(key).to_owned());
    let heads = ["run".to_owned()].into_iter().chain(names);
    let more =
        if standings.is_empty() { vec!["id"] } else { vec!["state", "steps", "train loss", "test accuracy", "id"] };
    let mut rows: Vec<Vec<String>> = vec![heads.chain(more.into_iter().map(str::to_owned)).collect()];
    for (i, run) in plan.runs.iter().enumerate() {
        let values = run.values.iter().map(|value| value.trim_matches('"').to_owned());
        let mut row: Vec<String> = [i.to_string()].into_iter().chain(values).collect();
        row.extend(standings.get(i).into_iter().flat_map(|standing| cells(run, standing)));
        row.push(run.id.clone());
        rows.push(row);
    }
    // The id says nothing that the values do not, and the end of a run says more than its steps.
    let last = rows[0].len() - 1;
    let steps = if standings.is_empty() { last } else { last - 3 };
    aligned_without(&rows, &[0], &[last, steps])
}

fn cells(run: &Planned, standing: &RunStatus) -> [String; 4] {
    let number = |value: Option<f64>, scale: f64| value.map(|value| compact(scale * value, 4)).unwrap_or_default();
    let (steps, loss, accuracy) = match standing {
        RunStatus::Running(step) => (Some(*step), None, None),
        RunStatus::Ended(manifest) => (manifest.steps, manifest.train_loss, manifest.test_accuracy),
        _ => (None, None, None),
    };
    let steps = steps.map(|step| format!("{step}/{}", run.steps)).unwrap_or_default();
    let accuracy = accuracy.map(|share| format!("{:.1} %", 100.0 * share)).unwrap_or_default();
    [standing.name().to_owned(), steps, number(loss, 1.0), accuracy]
}

/// How many runs stand where.
fn count(standings: &[RunStatus]) -> String {
    let mut parts = Vec::new();
    for name in ["completed", "diverged", "blown-up", "running", "failed", "interrupted", "killed", "missing"] {
        let count = standings.iter().filter(|standing| standing.name() == name).count();
        parts.extend((count > 0).then(|| format!("{count} {name}")));
    }
    let faults = standings.iter().enumerate().filter_map(|(i, standing)| match standing {
        RunStatus::Failed(fault) => Some(format!("run {i} failed: {fault}\n")),
        _ => None,
    });
    format!("{}: {}\n{}", counted(standings.len(), "run"), parts.join(", "), faults.collect::<String>())
}

/// The sweep and where its runs stand, as one JSON object.
fn to_json(plan: &Plan, out: &Path, standings: &[RunStatus]) -> String {
    let run = |(i, (run, standing)): (usize, (&Planned, &RunStatus))| {
        let values = plan.keys.iter().cloned().zip(run.values.iter().map(|value| stored::value_of(value)));
        let (ended, fault) = match standing {
            RunStatus::Ended(manifest) => (Some(manifest), None),
            RunStatus::Failed(fault) => (None, Some(fault)),
            _ => (None, None),
        };
        json!({
            "index": i, "id": run.id, "folder": run.folder(out), "state": standing.name(),
            "values": values.collect::<std::collections::BTreeMap<_, _>>(),
            "train_loss": ended.and_then(|manifest| manifest.train_loss),
            "test_accuracy": ended.and_then(|manifest| manifest.test_accuracy),
            "diverged_at": ended.and_then(|manifest| manifest.diverged_at),
            "fault": fault,
        })
    };
    let runs: Vec<_> = plan.runs.iter().zip(standings).enumerate().map(run).collect();
    let object = json!({ "sweep": plan.file, "folder": out, "runs": runs });
    serde_json::to_string_pretty(&object).expect("numbers and texts have a JSON form") + "\n"
}

fn in_words(plan: &Plan, out: &Path, tallied: &SweepOutcome) -> String {
    let SweepOutcome { found, made, failed } = tallied;
    let before = if *found > 0 { format!("; {found} had ended before, {made} are new") } else { String::new() };
    let failures = if failed.is_empty() { String::new() } else { format!("; {} failed", failed.len()) };
    let standing = count(&standings(plan, out));
    let first = standing.lines().next().unwrap_or_default();
    format!("{first}{before}{failures}\nSee them by `lyapunov report {0}` or `lyapunov list {0}`\n", out.display())
}
