//! `lyapunov reproduce`: the paper's claims, put to the test on whatever images there are.

use std::{
    path::{Path, PathBuf},
    thread,
};

use clap::Args;

use super::{at_least, print};
use crate::{
    compare::{Outcome, Suite, found},
    config::{self, Draft},
    error::{Error, Result},
    folder::{MANIFEST, check_writable, write_file},
    reproduce::{self, Claim, Experiment, Readings, Scale},
    show::report::{self, PageOptions},
    stored,
    sweep::{self, Plan, Planned, RunStatus},
    text::{counted, shell::quoted},
};

/// How much to train, and on what.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov reproduce\n  \
        lyapunov reproduce --data cifar-10-batches-bin --out on-cifar\n  \
        lyapunov reproduce --scale full --data cifar-10-batches-bin --out full --plan\n  \
        lyapunov sweep submit full --engine slurm\n  \
        lyapunov reproduce --scale full --data cifar-10-batches-bin --out full --page")]
pub struct ReproduceArguments {
    /// How much is trained
    #[arg(long, value_enum, default_value_t = Scale::Quick)]
    pub scale: Scale,
    /// Train on the images in this folder or .tar.gz archive [default: the built-in ones]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The folder that receives the runs and the page
    #[arg(long, value_name = "DIR", default_value = "reproduction")]
    pub out: PathBuf,
    /// How many runs to make at a time [default: one per core]
    #[arg(long, value_name = "COUNT", value_parser = at_least(1))]
    pub jobs: Option<u64>,
    /// Write down every run, for `lyapunov sweep`, and make none
    #[arg(long)]
    pub plan: bool,
    /// Make the page of the runs that have ended, and no run
    #[arg(long, conflicts_with = "plan")]
    pub page: bool,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// The experiments of a scale, with all their runs.
struct Experiments {
    sweeps: Vec<(Experiment, Plan)>,
    rules: (Suite, Plan),
}

/// Makes the runs that are missing, and the page of all.
pub fn execute(arguments: &ReproduceArguments) -> Result<()> {
    let ReproduceArguments { scale, data, out, jobs, plan: plan_only, page: page_only, json } = arguments;
    check_writable(out)?;
    let experiments = Experiments::read(*scale, data.as_deref())?;
    let whole = experiments.whole(&command(arguments));
    whole.write(out)?;
    for experiment in Experiment::ALL {
        let name = format!("{}.toml", experiment.name());
        write_file(&out.join(name), experiment.text(*scale).as_bytes())?;
    }
    if *plan_only {
        let (runs, folder) = (whole.size(), out.display());
        let output = format!(
            "Planned {runs} in {folder}.\nHand them to a cluster by `lyapunov sweep submit {folder} --engine slurm`; \
             the same command without `--plan` makes what is missing, and the page.\n"
        );
        return print(output.as_bytes());
    }
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.map_or_else(cores, |jobs| jobs as usize);
    let failed = if *page_only { Vec::new() } else { sweep::drive(&whole, out, jobs, *json)?.failed };
    let (claims, readings, mut faults) = experiments.claims(out);
    write_file(&out.join("readings.csv.gz"), &readings.into_bytes())?;
    let page = write_page(arguments, &claims, experiments.shown(out), &mut faults)?;
    print(if *json { to_json(arguments, &claims) } else { in_words(&claims, &page) }.as_bytes())?;
    match (&failed[..], &faults[..]) {
        ([], []) => Ok(()),
        ([], [first, ..]) => {
            let message = format!("left out {}; the first: {first}", counted(faults.len(), "run"));
            Err(Error::Failed { message, help: Some("the page is made of the others".to_owned()) })
        }
        ([(index, fault), ..], _) => {
            let message = format!(
                "{} of {} failed; the first, run {index}: {fault}",
                failed.len(),
                counted(whole.runs.len(), "run")
            );
            Err(Error::Failed {
                message,
                help: Some("the page is made of the others; the same command tries again".to_owned()),
            })
        }
    }
}

impl Experiments {
    fn read(scale: Scale, data: Option<&Path>) -> Result<Self> {
        let prepare = |draft: &mut Draft| {
            if let Some(path) = data {
                config::use_data(draft, path);
            }
            Ok(())
        };
        let name = |experiment: Experiment| format!("{}.toml", experiment.name());
        let mut sweeps = Vec::new();
        for experiment in Experiment::ALL.into_iter().filter(|experiment| *experiment != Experiment::Rules) {
            let plan = Plan::of_text(&name(experiment), experiment.text(scale).to_owned(), prepare)?;
            sweeps.push((experiment, plan));
        }
        let suite = Suite::of_text(&name(Experiment::Rules), Experiment::Rules.text(scale).to_owned(), prepare)?;
        let plan = suite.plan()?;
        Ok(Self { sweeps, rules: (suite, plan) })
    }

    /// All runs as those of one sweep, which any engine can make.
    fn whole(&self, command: &str) -> Plan {
        let parts = self.sweeps.iter().map(|(experiment, plan)| (*experiment, plan));
        let parts = parts.chain([(Experiment::Rules, &self.rules.1)]);
        let named = |(experiment, plan): (Experiment, &Plan)| {
            let planned =
                |run: &Planned| Planned { values: vec![experiment.name().to_owned(), plan.label(run)], ..run.clone() };
            plan.runs.iter().map(planned).collect::<Vec<_>>()
        };
        let runs = parts.flat_map(named).collect();
        Plan::new(command.to_owned(), ["experiment", "of"].map(str::to_owned).to_vec(), runs)
    }

    /// The folders of the runs that have charts on the page: those across networks, losses and learning rates. Others
    /// would only hide them; `lyapunov report` shows all.
    fn shown(&self, out: &Path) -> Vec<PathBuf> {
        let edge = self.sweeps.iter().filter(|(experiment, _)| *experiment == Experiment::Edge);
        let folders = edge.flat_map(|(_, plan)| plan.runs.iter().map(|run| run.folder(out)));
        folders.filter(|folder| folder.join(MANIFEST).is_file()).collect()
    }

    /// The claims, their readings, and what could not be read.
    fn claims(&self, out: &Path) -> (Vec<Claim>, Readings, Vec<Error>) {
        let (suite, plan) = &self.rules;
        let mut unread = Vec::new();
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        for (case, run) in suite.cases.iter().zip(&plan.runs) {
            let outcome = found(&run.folder(out), case.target).unwrap_or_else(|fault| {
                unread.push(fault);
                None
            });
            if let (None, RunStatus::Ended(manifest)) = (&outcome, RunStatus::of(run, out)) {
                let (folder, version) = (run.folder(out), &manifest.version);
                unread
                    .push(Error::usage(format!("{} was made by version {version}: remove it", folder.display()), None));
            }
            outcomes.push(outcome);
        }
        let (claims, readings, faults) = reproduce::claims(&self.sweeps, (suite, &outcomes), out);
        (claims, readings, unread.into_iter().chain(faults).collect())
    }
}

/// Writes the page and the claims; where the page is.
fn write_page(
    arguments: &ReproduceArguments,
    claims: &[Claim],
    places: Vec<PathBuf>,
    faults: &mut Vec<Error>,
) -> Result<PathBuf> {
    let out = &arguments.out;
    write_file(&out.join("claims.json"), to_json(arguments, claims).as_bytes())?;
    let places = if places.is_empty() { vec![out.clone()] } else { places };
    let (runs, unread) = stored::runs_in(&places)?;
    faults.extend(unread.into_iter().map(Error::from));
    let preface = [reproduce::overview(claims)].into_iter().chain(claims.iter().map(Claim::section)).collect();
    let all = format!("lyapunov report {}", quoted(&out.display().to_string()));
    let title = "A chaos theory approach to neural network optimization: the claims, measured".to_owned();
    let page = report::build(&runs, faults, &PageOptions { title, preface, commands: vec![command(arguments), all] })?;
    let path = out.join("report.html");
    write_file(&path, page.html.as_bytes())?;
    Ok(path)
}

fn command(arguments: &ReproduceArguments) -> String {
    let scale = match arguments.scale {
        Scale::Quick => "quick",
        Scale::Standard => "standard",
        Scale::Full => "full",
    };
    let data = arguments.data.as_ref().map(|path| format!(" --data {}", quoted(&path.display().to_string())));
    let out = quoted(&arguments.out.display().to_string());
    format!("lyapunov reproduce --scale {scale}{} --out {out}", data.unwrap_or_default())
}

fn to_json(arguments: &ReproduceArguments, claims: &[Claim]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let object = serde_json::json!({ "command": command(arguments), "version": version, "claims": claims });
    serde_json::to_string_pretty(&object).expect("numbers and texts have a JSON form") + "\n"
}

fn in_words(claims: &[Claim], page: &Path) -> String {
    let claims: Vec<String> = claims.iter().map(|claim| claim.to_text() + "\n").collect();
    format!("{}The page is {}\n", claims.concat(), page.display())
}
