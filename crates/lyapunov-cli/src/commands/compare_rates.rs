//! `lyapunov compare-rates`: every rule of a suite on every problem, one run per core.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{print, train};
use crate::{
    args::CompareRatesArguments,
    compare::{Case, Comparison, Outcome, Suite, found},
    error::{Error, Result},
    experiment,
    folder::{RunFolder, check_writable, write_file},
    interrupt,
    manifest::Manifest,
    plot,
    progress::Tally,
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
            Err(Error::Usage { message, help })
        }
    }
}

/// The outcome of every case, `None` where it failed, and what was said of those. A signal ends it all, when the runs have saved
/// themselves.
fn run_all(suite: &Suite, out: &Path, jobs: usize, silent: bool) -> Result<(Vec<Option<Outcome>>, Vec<String>)> {
    let next = AtomicUsize::new(0);
    let tally = Tally::new(suite.cases.len() as u64, silent);
    let results: Mutex<Vec<Option<Result<Outcome>>>> = Mutex::new(suite.cases.iter().map(|_| None).collect());
    let work = || {
        // Each run computes on one thread of its own.
        let case = || Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, suite.cases.get(i)?)));
        while interrupt::received().is_none()
            && let Some((i, case)) = case()
        {
            let result = run(case, out);
            tally.tell(&label(suite, case), result.as_ref());
            results.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(result);
        }
    };
    thread::scope(|scope| (0..jobs.max(1)).for_each(|_| drop(scope.spawn(work))));
    tally.finish();
    let (mut outcomes, mut faults) = (Vec::new(), Vec::new());
    for result in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match result {
            Some(Ok(outcome)) => outcomes.push(Some(outcome)),
            Some(Err(fault @ Error::Interrupted { .. })) => return Err(fault),
            Some(Err(fault)) => {
                faults.push(fault.to_string());
                outcomes.push(None);
            }
            None => outcomes.push(None),
        }
    }
    Ok((outcomes, faults))
}

fn label(suite: &Suite, case: &Case) -> String {
    let value = case.value.as_ref().map(|value| format!(" at {value}")).unwrap_or_default();
    format!("{}, {}{value}, seed {}", suite.problems[case.problem], suite.rules[case.rule], case.seed)
}

/// The run of a case: the one that is there, or a new one.
fn run(case: &Case, out: &Path) -> Result<Outcome> {
    let mut settings = case.settings.clone();
    let (network, subject) = experiment::network(&settings)?;
    settings.resolve(&network, subject.images)?;
    let folders = RunFolder::of_identity(out, &settings.config.identity());
    for folder in &folders {
        if let Some(outcome) = found(folder, case.target)? {
            return Ok(outcome);
        }
    }
    // One that was killed and that nobody is at goes on.
    let unended = |folder: &RunFolder| Manifest::read(folder.path()).is_ok_and(|manifest| !manifest.outcome.is_final());
    let summary = match folders.iter().filter_map(|folder| RunFolder::hold(folder).ok()).find(unended) {
        Some(folder) => train::run_in(folder, &settings, &network, subject, true)?,
        None => train::run(&settings, &network, subject, out, true)?,
    };
    found(Path::new(&summary.run), case.target)?
        .ok_or_else(|| Error::Usage { message: format!("{} does not say how the run ended", summary.run), help: None })
}
