//! `lyapunov compare-rates`: every rule of a suite on every problem, one run per core.

use std::{path::Path, thread};

use super::print;
use crate::{
    args::CompareRatesArguments,
    compare::{Comparison, Outcome, Suite, found},
    error::{Error, Result},
    experiment,
    folder::{check_writable, write_file},
    plot,
    sweep::{self, Standing},
};

/// Makes the runs that are missing, and the table and the picture of all.
pub fn execute(arguments: &CompareRatesArguments) -> Result<()> {
    let CompareRatesArguments { file, set, data, out, jobs, json } = arguments;
    let suite = Suite::read(file, |draft| {
        set.iter().try_for_each(|assignment| draft.set(assignment))?;
        if let Some(path) = data {
            experiment::use_data(draft, path);
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
    write_file(&out.join("comparison.csv"), Comparison::to_csv(&suite, &outcomes).as_bytes())?;
    let told = serde_json::to_string_pretty(&comparison).expect("numbers and texts have a JSON form") + "\n";
    write_file(&out.join("comparison.json"), told.as_bytes())?;
    write_file(&out.join("comparison.svg"), plot::comparison_figure(&comparison).to_svg().as_bytes())?;
    print(if *json { told } else { comparison.to_text() }.as_bytes())?;
    match &faults[..] {
        [] => Ok(()),
        [first, ..] => {
            let message = format!("{} of {} runs failed; the first: {first}", faults.len(), suite.cases.len());
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
        if let (None, Standing::Ended(manifest)) = (&outcome, Standing::of(run, out)) {
            faults.push(format!("{} was made by version {}: remove it", run.folder(out).display(), manifest.version));
        }
        outcomes.push(outcome);
    }
    Ok((outcomes, faults))
}
