//! Sweeps from outside: what is made, what is left alone, and that nothing is lost or made twice, whoever is killed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    thread,
    time::{Duration, Instant},
};

use predicates::str::contains;
use rusqlite::Connection;
use serde_json::Value;

use crate::support::program;

const SMALL: &str = "[model]\nname = \"mlp\"\nwidths = [8]\n[data]\nsubset = 200\n[run]\nsteps = 12\nbatch_size = 20\n";

/// A sweep of small runs, with these axes and overrides.
fn write(folder: &Path, axes: &str) -> PathBuf {
    let file = folder.join("sweep.toml");
    fs::write(&file, format!("{SMALL}[sweep]\n{axes}")).unwrap();
    file
}

fn status(out: &Path) -> Vec<Value> {
    let output = program().args(["sweep", "status", "--json"]).arg(out).assert().success();
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    object["runs"].as_array().unwrap().clone()
}

/// The losses of every run, bit for bit, by its identity.
fn losses(out: &Path) -> BTreeMap<String, Vec<u64>> {
    let of = |run: &Value| {
        let connection = Connection::open(PathBuf::from(run["folder"].as_str().unwrap()).join("run.sqlite")).unwrap();
        let mut select = connection.prepare("SELECT coalesce(loss, train_loss) FROM rows ORDER BY step").unwrap();
        let rows = select.query_map([], |row| row.get::<_, f64>(0)).unwrap();
        (run["id"].as_str().unwrap().to_owned(), rows.map(|loss| loss.unwrap().to_bits()).collect())
    };
    status(out).iter().map(of).collect()
}

fn folders(out: &Path) -> usize {
    fs::read_dir(out).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

#[test]
fn a_sweep_makes_every_run_once_and_a_repeated_or_larger_one_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let sweep = |axes: &str| {
        let file = write(folder.path(), axes);
        program().arg("sweep").arg(file).arg("--out").arg(&out).assert().success()
    };
    sweep("\"optimizer.learning_rate\" = [0.05, 1e6]\nseed = 2\n")
        .stdout(contains("4 runs: 2 completed, 2 diverged\n"));
    let first = losses(&out);
    let begun = |run: &Value| {
        fs::metadata(PathBuf::from(run["folder"].as_str().unwrap()).join("config.toml")).unwrap().modified().unwrap()
    };
    let times: Vec<_> = status(&out).iter().map(begun).collect();
    sweep("\"optimizer.learning_rate\" = [0.05, 1e6, 0.1]\nseed = 2\n")
        .stdout(contains("4 had ended before, 2 are new"));
    assert_eq!((folders(&out), status(&out).len()), (6, 6));
    assert_eq!(status(&out).iter().take(4).map(begun).collect::<Vec<_>>(), times, "what had ended was left alone");
    assert!(first.iter().all(|(id, rows)| losses(&out)[id] == *rows));
    assert_eq!(status(&out)[0]["values"]["run.seed"], 0);
}

#[test]
fn a_run_of_a_sweep_is_the_run_of_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = write(folder.path(), "seed = 2\n");
    program().args(["sweep", "plan"]).arg(&file).arg("--out").arg(&out).assert().success().stdout(contains("2 runs"));
    assert!(status(&out).iter().all(|run| run["state"] == "missing"));
    let run = || program().args(["sweep", "run", "--index", "1"]).arg(&out).assert().success();
    run().stdout(contains("Run folder: "));
    run().stdout(contains("run 1 has ended before"));
    fs::write(folder.path().join("alone.toml"), SMALL).unwrap();
    let alone = folder.path().join("alone");
    let train = ["train", "--set", "run.seed=1", "--quiet", "--out"];
    program().args(train).arg(&alone).arg(folder.path().join("alone.toml")).assert().success();
    let id = status(&out)[1]["id"].as_str().unwrap().to_owned();
    let weights = |place: &Path| fs::read(place.join(&id).join("weights.safetensors")).unwrap();
    assert_eq!(weights(&out), weights(&alone));
    program()
        .args(["sweep", "run", "--index", "2"])
        .arg(&out)
        .assert()
        .code(2)
        .stderr(contains("numbered from 0 to 1"));
}

#[test]
fn a_run_that_fails_stops_nothing_and_the_exit_code_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = write(folder.path(), "seed = 3\n");
    program().args(["sweep", "plan"]).arg(&file).arg("--out").arg(&out).assert().success();
    // Where a run's folder should be there is a file.
    let id = status(&out)[1]["id"].as_str().unwrap().to_owned();
    fs::write(out.join(&id), "").unwrap();
    let run = || program().arg("sweep").arg(&file).arg("--out").arg(&out).assert();
    run().code(1).stderr(contains("1 of 3 runs failed; the first, run 1: cannot make the output folder"));
    let states: Vec<_> = status(&out).iter().map(|run| run["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["completed", "missing", "completed"]);
    fs::remove_file(out.join(&id)).unwrap();
    run().success().stdout(contains("2 had ended before, 1 are new"));
}

#[test]
fn what_another_process_makes_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = write(folder.path(), "\"run.steps\" = [20000]\n\"measure.every\" = [0]\n");
    program().args(["sweep", "plan"]).arg(&file).arg("--out").arg(&out).assert().success();
    let mut other = spawn(&["sweep", "run", "--quiet", "--index", "0", out.to_str().unwrap()]);
    wait_until(|| status(&out)[0]["state"] == "running");
    let second = program().args(["sweep", "run", "--index", "0"]).arg(&out).assert().success();
    second.stdout(contains(format!("is being made by process {}", other.id())));
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(status(&out)[0]["state"], "killed");
}

#[test]
fn two_drivers_share_a_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = write(folder.path(), "seed = 6\n\"run.steps\" = [300]\n");
    let arguments = ["sweep", file.to_str().unwrap(), "--jobs", "2", "--out", out.to_str().unwrap()];
    let mut drivers = [spawn(&arguments), spawn(&arguments)];
    assert!(drivers.iter_mut().all(|driver| driver.wait().unwrap().success()));
    assert!(status(&out).iter().all(|run| run["state"] == "completed"));
    assert_eq!(folders(&out), 6);
    assert!(losses(&out).values().all(|rows| rows.len() == 301), "each step is there once");
}

#[test]
fn a_sweep_whose_processes_are_killed_ends_with_every_run_as_if_nobody_had_been() {
    survive(4, 4, 400, 50);
}

#[test]
fn a_sweep_that_is_interrupted_saves_its_runs_and_goes_on_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, broken) = (folder.path().join("calm"), folder.path().join("broken"));
    let file = write(folder.path(), "seed = 2\n\"run.steps\" = [3000]\n\"measure.every\" = [500]\n");
    program().arg("sweep").arg(&file).arg("--out").arg(&calm).assert().success();
    let arguments = ["sweep", file.to_str().unwrap(), "--jobs", "2", "--out", broken.to_str().unwrap()];
    let mut driver = spawn(&arguments);
    wait_until(|| broken.join("sweep.json").is_file() && status(&broken).iter().all(|run| run["state"] == "running"));
    thread::sleep(Duration::from_millis(300));
    let _ = Process::new("kill").args(["-TERM", &driver.id().to_string()]).status();
    assert_eq!(driver.wait().unwrap().code(), Some(143));
    let states = || status(&broken).iter().map(|run| run["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(states(), ["interrupted", "interrupted"]);
    let checkpoints = |run: &Value| {
        let names = fs::read_dir(run["folder"].as_str().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("checkpoint-")).count()
    };
    assert!(status(&broken).iter().all(|run| checkpoints(run) > 0));
    program().args(arguments).assert().success();
    assert_eq!(losses(&broken), losses(&calm));
}

/// The same at the sizes that the project promises; some minutes.
#[test]
#[ignore = "long"]
fn a_sweep_of_48_runs_survives_20_kills() {
    survive(48, 20, 900, 100);
}

#[test]
#[ignore = "long"]
fn a_sweep_of_24_runs_survives_50_kills() {
    survive(24, 50, 1200, 60);
}

/// A sweep whose drivers and workers are killed in turn ends as one that was left alone, and no kill costs a run more
/// than the steps between two checkpoints.
fn survive(runs: usize, kills: usize, steps: u64, every: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (calm, rough) = (folder.path().join("calm"), folder.path().join("rough"));
    let noted = folder.path().join("steps");
    let axes = format!("seed = {runs}\n\"run.steps\" = [{steps}]\n\"checkpoint.every\" = [{every}]\n");
    let file = write(folder.path(), &format!("{axes}\"measure.every\" = [100]\n"));
    let two = ["--jobs", "2"];
    program().arg("sweep").arg(&file).args(two).arg("--out").arg(&calm).assert().success();
    let arguments = ["sweep", file.to_str().unwrap(), "--jobs", "2", "--out", rough.to_str().unwrap()];
    let spawn = |arguments: &[&str]| spawn_noting(arguments, &noted);
    let mut driver = spawn(&arguments);
    let mut random = 7_u64;
    let (mut drivers, mut workers) = (0, 0);
    while drivers + workers < kills && noted_steps(&noted) < runs as u64 * steps {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Somewhere in the steps, and not always before the first of them.
        let more = noted_steps(&noted) + 1 + (random >> 33) % (3 * every);
        wait_until(|| noted_steps(&noted) >= more.min(runs as u64 * steps));
        thread::sleep(Duration::from_millis((random >> 40) % 30));
        let children = children_of(driver.id());
        // Two workers for each driver.
        if !(drivers + workers).is_multiple_of(3) {
            if let Some(worker) = children.first() {
                kill(*worker);
                workers += 1;
            }
            continue;
        }
        driver.kill().unwrap();
        driver.wait().unwrap();
        drivers += 1;
        // The workers that it leaves end by themselves.
        wait_until(|| children.iter().all(|worker| !Path::new(&format!("/proc/{worker}")).exists()));
        driver = spawn(&arguments);
    }
    let _ = driver.wait();
    program().args(arguments).env("LYAPUNOV_NOTE_STEPS", &noted).assert().success();
    let (taken, again) = taken_again(&noted);
    let (sum, most) = (again.iter().sum::<u64>(), again.iter().max().copied().unwrap_or(0));
    println!("{drivers} drivers and {workers} workers were killed");
    println!(
        "{taken} steps, {sum} of them taken again at {} breaks: at most {most}, {every} between checkpoints",
        again.len()
    );
    assert_eq!(drivers + workers, kills, "the sweep ended before the kills");
    assert!(drivers > 0 && workers > 0 && again.len() >= workers / 3, "{again:?}");
    assert_eq!(taken, runs as u64 * steps + sum, "each step is there");
    // A driver takes two workers with it.
    assert!(most <= every && again.len() <= workers + 2 * drivers, "{again:?}");
    assert!(status(&rough).iter().all(|run| run["state"] == "completed"));
    assert_eq!((folders(&rough), status(&rough).len()), (runs, runs));
    assert_eq!(losses(&rough), losses(&calm));
}

/// How many steps were taken, and at each break of a run, how many of these were taken again.
fn taken_again(noted: &Path) -> (u64, Vec<u64>) {
    let (mut last, mut again) = (BTreeMap::new(), Vec::new());
    let text = fs::read_to_string(noted).unwrap();
    for line in text.lines() {
        let (run, step) = line.rsplit_once(' ').unwrap();
        let step: u64 = step.parse().unwrap();
        let before = last.insert(run, step).unwrap_or(0);
        assert!(step <= before + 1, "step {step} after {before}");
        if step <= before {
            again.push(before + 1 - step);
        }
    }
    (text.lines().count() as u64, again)
}

/// How many steps were taken so far.
fn noted_steps(noted: &Path) -> u64 {
    fs::read(noted).map_or(0, |text| text.split(|byte| *byte == b'\n').count() as u64 - 1)
}

fn spawn(arguments: &[&str]) -> Child {
    start(&mut Process::new(assert_cmd::cargo::cargo_bin("lyapunov")), arguments)
}

/// The same, with a line for each step that its workers take.
fn spawn_noting(arguments: &[&str], steps: &Path) -> Child {
    start(Process::new(assert_cmd::cargo::cargo_bin("lyapunov")).env("LYAPUNOV_NOTE_STEPS", steps), arguments)
}

fn start(command: &mut Process, arguments: &[&str]) -> Child {
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(process: u32) {
    let _ = Process::new("kill").args(["-9", &process.to_string()]).stderr(Stdio::null()).status();
}

fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_mins(1), "it never happens");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The processes that this one has started.
fn children_of(parent: u32) -> Vec<u32> {
    let of = |process: u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(|process| of(*process) == Some(parent)).collect()
}

#[test]
fn what_cannot_be_swept_is_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |axes: &str, expected: &'static str| {
        let file = write(folder.path(), axes);
        program()
            .arg("sweep")
            .arg(file)
            .arg("--out")
            .arg(folder.path().join("out"))
            .assert()
            .code(2)
            .stderr(contains(expected))
    };
    refused("\"optimizer.learning_rates\" = [0.1]\n", "did you mean `optimizer.learning_rate`?");
    refused("\"optimizer.learning_rate\" = []\n", "has no values");
    refused("\"optimizer.learning_rate\" = [0.1, -3]\n", "sweep.toml:10:35");
    refused("seed = 2\nexclude = [{ seed = [0, 1] }]\n", "leaves nothing of the grid");
    let alone = folder.path().join("alone.toml");
    fs::write(&alone, SMALL).unwrap();
    program().arg("sweep").arg(&alone).assert().code(2).stderr(contains("has no table [sweep]"));
    program()
        .args(["sweep", "status"])
        .arg(folder.path())
        .assert()
        .code(2)
        .stderr(contains("is not the folder of a sweep"));
}

#[test]
fn a_sweep_is_submitted_where_the_engine_is_and_written_where_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = write(folder.path(), "seed = 3\n");
    program().args(["sweep", "plan"]).arg(&file).arg("--out").arg(&out).assert().success();
    let submit = |engine: &str| {
        let mut command = program();
        command.args(["sweep", "submit", "--engine", engine, "--option=--time=10"]).arg(&out);
        command.env("PATH", folder.path());
        command
    };
    submit("slurm").assert().code(2).stderr(contains("`sbatch` is not installed here"));
    submit("hyperqueue").assert().code(2).stderr(contains("`hq` is not installed here"));
    let script = fs::read_to_string(out.join("submit-slurm.sh")).unwrap();
    assert!(script.contains("#SBATCH --array=0-2\n") && script.contains("#SBATCH --time=10\n"), "{script}");
    submit("slurm").arg("--dry-run").assert().success();
    program().args(["sweep", "run", "--quiet", "--index", "1"]).arg(&out).assert().success();
    submit("slurm").arg("--dry-run").assert().success();
    assert!(fs::read_to_string(out.join("submit-slurm.sh")).unwrap().contains("#SBATCH --array=0-1\n"));
    submit("slurm").args(["--dry-run", "--most", "1"]).assert().success();
    assert!(fs::read_to_string(out.join("submit-slurm.sh")).unwrap().contains("#SBATCH --array=0-0\n"));
}
