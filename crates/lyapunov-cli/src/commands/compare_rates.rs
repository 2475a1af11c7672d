//! `lyapunov compare-rates`: every rule of a suite on every problem, one run per core.

use std::{path::Path, thread};

use super::print;
use crate::{
    compare::{Comparison, Outcome, Suite, found},
    config,
    error::{Error, Result},
    folder::{check_writable, write_file},
    show::plot,
    sweep::{self, RunStatus},
    text::counted,
};
use clap::Args;
use std::path::PathBuf;

/// What to compare, and where to keep it.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov compare-rates suites/synthetic.toml\n  \
        lyapunov compare-rates suites/cifar10-5k.toml --data cifar-10-batches-bin --out comparison\n  \
        lyapunov compare-rates suite.toml --json | jq '.lines[] | [.problem, .rule, .of_reference]'")]
pub struct CompareRatesArguments {
    /// The suite
    #[arg(value_name = "SUITE.toml")]
    pub file: PathBuf,
    /// Override one key of every configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Train on the images in this folder or .tar.gz archive
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The folder that receives the runs and the comparison
    #[arg(long, value_name = "DIR", default_value = "comparison")]
    pub out: PathBuf,
    /// How many runs to make at a time [default: one per core]
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<usize>,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// Makes the runs that are missing, and the table and the picture of all.
pub fn execute(arguments: &CompareRatesArguments) -> Result<()> {
    let CompareRatesArguments { file, set, data, out, jobs, json } = arguments;
    let suite = Suite::read(file, |draft| {
        set.iter().try_for_each(|assignment| draft.set(assignment))?;
        if let Some(path) = data {
            config::use_data(draft, path);
        }
        Ok(())
    })?;
    if let Some(assignment) = set.iter().find(|assignment| assignment.trim_start().starts_with("run.seed")) {
        let help = Some("the suite decides the seeds: `seeds` in its table [suite]".to_owned());
        return Err(Error::Usage { message: format!("`--set {assignment}` cannot be used here"), help });
    }
    check_writable(out)?;
    std::fs::create_dir_all(out).map_err(|cause| Error::io("make", out, cause))?;
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let (outcomes, faults) = run_all(&suite, out, jobs, *json)?;
    let comparison = Comparison::of(&suite, &outcomes);
    write_file(&out.join("comparison.csv"), &Comparison::to_csv(&suite, &outcomes))?;
    let object = serde_json::to_string_pretty(&comparison).expect("numbers and texts have a JSON form") + "\n";
    write_file(&out.join("comparison.json"), object.as_bytes())?;
    write_file(&out.join("comparison.svg"), plot::comparison_figure(&comparison).to_svg().as_bytes())?;
    print(if *json { object } else { comparison.to_text() }.as_bytes())?;
    match &faults[..] {
        [] => Ok(()),
        [first, ..] => {
            let message =
                format!("{} of {} failed; the first: {first}", faults.len(), counted(suite.cases.len(), "run"));
            let help = Some("the table leaves out what failed; the same command makes the missing runs".to_owned());
            Err(Error::Failed { message, help })
        }
    }
}

/// The outcome of every case, `None` where it failed, and what was said of those.
pub fn run_all(suite: &Suite, out: &Path, jobs: usize, silent: bool) -> Result<(Vec<Option<Outcome>>, Vec<String>)> {
    let plan = suite.plan()?;
    plan.write(out)?;
    let mut faults: Vec<String> =
        sweep::drive(&plan, out, jobs, silent)?.failed.into_iter().map(|(_, fault)| fault).collect();
    let mut outcomes = Vec::new();
    for (case, run) in suite.cases.iter().zip(&plan.runs) {
        let outcome = found(&run.folder(out), case.target)?;
        if let (None, RunStatus::Ended(manifest)) = (&outcome, RunStatus::of(run, out)) {
            faults.push(format!("{} was made by version {}: remove it", run.folder(out).display(), manifest.version));
        }
        outcomes.push(outcome);
    }
    Ok((outcomes, faults))
}
