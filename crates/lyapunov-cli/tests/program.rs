//! The program as its users meet it: what it prints, what it writes, and what it refuses.

#![allow(clippy::unwrap_used, reason = "in a test a fault is a failure")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use assert_cmd::Command;
use predicates::{prelude::PredicateBooleanExt, str::contains};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

/// A run of a second or less.
const SMALL: [&str; 10] = [
    "--set",
    "model.name=mlp",
    "--set",
    "model.widths=[8]",
    "--set",
    "data.subset=200",
    "--set",
    "run.steps=12",
    "--set",
    "run.batch_size=20",
];

fn program() -> Command {
    let mut command = Command::cargo_bin("lyapunov").unwrap();
    command.env_remove("BURN_DEVICE").env_remove("NO_COLOR");
    command
}

/// `lyapunov train`, small, with these arguments more.
fn train(out: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("train").args(SMALL).args(arguments).arg("--out").arg(out);
    command
}

/// The JSON object of a small run.
fn json(out: &Path, arguments: &[&str]) -> Value {
    let output = train(out, arguments).arg("--json").assert().success().get_output().clone();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn folder_of(run: &Value) -> PathBuf {
    PathBuf::from(run["run"].as_str().unwrap())
}

/// The losses of a run, as bits, in order.
fn losses(run: &Value) -> Vec<u64> {
    let connection = Connection::open(folder_of(run).join("run.sqlite")).unwrap();
    let mut select = connection.prepare("SELECT loss FROM rows WHERE loss IS NOT NULL ORDER BY step").unwrap();
    select.query_map([], |row| row.get::<_, f64>(0)).unwrap().map(|loss| loss.unwrap().to_bits()).collect()
}

fn count(run: &Value, what: &str) -> i64 {
    let connection = Connection::open(folder_of(run).join("run.sqlite")).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Files of made-up images, 50 to train on.
fn images(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("images");
    program().args(["data", "synthesize", "--train", "50", "--test", "10"]).arg(&path).assert().success();
    path
}

/// What is told of a fault, with the folder of the test left out.
fn fault(output: &Output, folder: &TempDir) -> String {
    assert!(output.stdout.is_empty());
    text(&output.stderr).replace(&folder.path().display().to_string(), "DIR")
}

/// What `train` says of a configuration that cannot be used.
fn refusal(configuration: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    fs::write(&path, configuration).unwrap();
    let output = program().arg("train").arg(&path).current_dir(folder.path()).assert().code(2).get_output().clone();
    assert!(!folder.path().join("runs").exists(), "nothing is made");
    fault(&output, &folder)
}

#[test]
fn help_reads_well() {
    for command in ["", "train", "data synthesize"] {
        let words = command.split_whitespace().chain(["--help"]);
        let output = program().env("COLUMNS", "100").args(words).assert().success().get_output().clone();
        insta::assert_snapshot!(format!("help {command}").trim().replace(' ', "-"), text(&output.stdout));
    }
}

#[test]
fn the_default_file_reads_back_and_is_what_runs_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = program().arg("config").assert().success().get_output().clone();
    let path = folder.path().join("run.toml");
    fs::write(&path, &output.stdout).unwrap();
    let with_file = json(folder.path(), &[path.to_str().unwrap()]);
    let without = json(folder.path(), &[]);
    assert_eq!(format!("{}-2", with_file["run"].as_str().unwrap()), without["run"].as_str().unwrap());
}

#[test]
fn completions_and_manual_come_from_the_command_line() {
    program().args(["completions", "bash"]).assert().success().stdout(contains("_lyapunov"));
    program().arg("man").assert().success().stdout(contains(".TH lyapunov").and(contains("synthesize")));
}

#[test]
fn mistakes_in_a_file_are_shown_where_they_are() {
    let cases = [
        ("misspelt-key", "[optimizer]\nlearningrate = 0.1\n"),
        ("misspelt-section", "[optimiser]\nlearning_rate = 0.1\n"),
        ("key-outside-its-section", "learning_rate = 0.1\n"),
        ("negative-learning-rate", "[optimizer]\nname = \"sgd\"\nlearning_rate = -0.1 # too low\n"),
        ("wrong-type", "[run]\nsteps = \"many\"\n"),
        ("unknown-choice", "[model]\nname = \"transformer\"\n"),
        ("unknown-device", "[run]\ndevice = \"gpu\"\n"),
        ("batch-larger-than-data", "[data]\nsubset = 100\n\n[run]\nbatch_size = 101\n"),
        ("subset-larger-than-data", "[data]\nsubset = 5001\n"),
        ("measured-subset-larger-than-data", "[measure]\non = [\"batch\", \"subset=5001\"]\n"),
        ("too-many-convolutions", "[model]\nwidths = [4, 4, 4, 4, 4, 4]\n"),
        ("no-path", "[data]\nname = \"cifar10\"\n"),
        ("not-toml", "[run\n"),
    ];
    for (name, configuration) in cases {
        insta::assert_snapshot!(name, refusal(configuration));
    }
}

#[test]
fn mistakes_in_flags_name_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("--set", "run.batch=3", "`--set run.batch=3`: unknown key `run.batch`"),
        ("--set", "run.batch_size", "`--set run.batch_size` has no value"),
        ("--set", "run.batch_size=0", "`--set run.batch_size=0`: `run.batch_size` must be a whole number from 1 up"),
        ("--set", "run.batch_size=201", "must be at most the number of training images, 200, not 201"),
        ("--device", "gpu", "`--device gpu`: unknown device \"gpu\": this build has flex"),
    ];
    for (flag, value, told) in cases {
        train(folder.path(), &[flag, value]).assert().code(2).stdout("").stderr(contains(told));
    }
    train(folder.path(), &[])
        .env("BURN_DEVICE", "tpu")
        .assert()
        .code(2)
        .stderr(contains("`BURN_DEVICE=tpu`: unknown device"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made");
}

#[test]
fn the_flag_beats_the_environment_and_the_environment_beats_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    fs::write(&path, "[run]\ndevice = \"gpu\"\n").unwrap();
    let file = path.to_str().unwrap();
    train(folder.path(), &[file]).env("BURN_DEVICE", "flex").assert().success();
    train(folder.path(), &[file, "--device", "flex"]).env("BURN_DEVICE", "tpu").assert().success();
    train(folder.path(), &["--device", "flex"]).env("BURN_DEVICE", "").assert().success();
}

#[test]
fn data_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    let flags = |path: &Path| ["--data".to_owned(), path.display().to_string()];
    let refused = |path: &Path| {
        let output = program().arg("train").args(flags(path)).arg("--out").arg(folder.path().join("runs")).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1));
        fault(&output, &folder)
    };
    insta::assert_snapshot!("missing-data", refused(&missing));
    let images = images(&folder);
    let batch = images.join("data_batch_3.bin");
    let whole = fs::read(&batch).unwrap();
    fs::write(&batch, &whole[..whole.len() - 100]).unwrap();
    insta::assert_snapshot!("truncated-data", refused(&images));
    let mut wrong = whole;
    wrong[3073] = 10;
    fs::write(&batch, wrong).unwrap();
    insta::assert_snapshot!("label-10", refused(&images));
    assert!(!folder.path().join("runs").exists(), "nothing is made");
}

#[test]
fn an_output_folder_that_cannot_be_made_is_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = train(&file.join("runs"), &[]).assert().code(1).get_output().clone();
    insta::assert_snapshot!("unwritable-output", fault(&output, &folder));
}

#[test]
fn made_up_images_train_like_files_and_are_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(&folder);
    let sizes: u64 = fs::read_dir(&images).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(sizes, 60 * 3073);
    let again = program().args(["data", "synthesize"]).arg(&images).assert().code(2).get_output().clone();
    insta::assert_snapshot!("occupied-folder", fault(&again, &folder));
    let data = images.display().to_string();
    let run = json(&folder.path().join("runs"), &["--data", &data, "--set", "data.subset=0"]);
    assert_eq!(run["outcome"], "completed");
    assert!(fs::read_to_string(folder_of(&run).join("config.toml")).unwrap().contains("name = \"cifar10\""));
}

#[test]
fn files_and_the_built_in_images_give_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    program().args(["data", "synthesize"]).arg(&images).assert().success();
    let from_files = json(folder.path(), &["--data", &images.display().to_string()]);
    assert_eq!(losses(&from_files), losses(&json(folder.path(), &[])));
}

#[test]
fn json_is_one_object_with_the_promised_keys() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &[]);
    let mut keys: Vec<_> = run.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let promised = [
        "lambda_max",
        "learning_rate",
        "measuring_cost",
        "outcome",
        "run",
        "steps",
        "test_accuracy",
        "train_loss",
        "wall_seconds",
    ];
    assert_eq!(keys, promised);
    let mut keys: Vec<_> = run["lambda_max"].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["cost", "on", "product", "residual", "value"]);
    assert_eq!((&run["outcome"], &run["steps"]), (&"completed".into(), &12.into()));
    let unmeasured = json(folder.path(), &["--set", "measure.every=0"]);
    assert!(unmeasured["lambda_max"].is_null());
    assert_eq!(unmeasured["measuring_cost"], 0.0);
}

#[test]
fn a_run_folder_holds_everything_and_nothing_else_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/runs");
    let output = train(&out, &["--set", "measure.every=4"]).current_dir(folder.path()).assert().success();
    let told = text(&output.get_output().stdout);
    assert!(told.contains("η·λ_max = ") && told.contains("Run folder: "), "{told}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let run = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let mut names: Vec<_> = fs::read_dir(&run).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.toml", "manifest.json", "run.sqlite", "run.svg"]);
    let run = serde_json::json!({ "run": run });
    assert_eq!((count(&run, "rows"), count(&run, "sharpness")), (13, 3));
    let manifest: Value = serde_json::from_slice(&fs::read(folder_of(&run).join("manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["outcome"], &manifest["steps"]), (&"completed".into(), &12.into()));
    assert_eq!((&manifest["steps_per_epoch"], &manifest["parameters"]), (&10.into(), &24_674.into()));
}

#[test]
fn a_repeated_run_gets_a_folder_of_its_own_and_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (json(folder.path(), &[]), json(folder.path(), &[]));
    assert_eq!(format!("{}-2", first["run"].as_str().unwrap()), second["run"].as_str().unwrap());
    assert_eq!(losses(&first), losses(&second));
    assert_eq!(first["lambda_max"], second["lambda_max"]);
}

#[test]
fn the_configuration_of_a_run_folder_repeats_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let first = json(folder.path(), &["--set", "optimizer.learning_rate=0.03"]);
    let file = folder_of(&first).join("config.toml");
    let second = program().arg("train").arg(&file).arg("--json").assert().success().get_output().clone();
    let second: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!(format!("{}-2", first["run"].as_str().unwrap()), second["run"].as_str().unwrap());
    assert_eq!(losses(&first), losses(&second));
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let folder = tempfile::tempdir().unwrap();
    let run = |threads: &str| {
        let cnn = ["--set", "model.name=cnn", "--set", "model.widths=[4, 8]", "--set", "measure.every=4", "--json"];
        let output = train(folder.path(), &cnn).env("RAYON_NUM_THREADS", threads).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let (one, two) = (run("1"), run("2"));
    assert_eq!(losses(&one), losses(&two));
    assert_eq!((&one["lambda_max"], &one["train_loss"]), (&two["lambda_max"], &two["train_loss"]));
}

#[test]
fn measuring_never_changes_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let never = json(folder.path(), &["--set", "measure.every=0"]);
    for product in ["exact", "gauss-newton", "difference"] {
        let product = format!("measure.product={product}");
        let on = "measure.on=[\"batch\", \"subset=50\", \"full\"]";
        let always = json(folder.path(), &["--set", "measure.every=1", "--set", &product, "--set", on]);
        assert_eq!(count(&always, "sharpness"), 36);
        assert_eq!(losses(&never), losses(&always), "{product}");
        assert_eq!(never["train_loss"], always["train_loss"]);
    }
}

#[test]
fn a_diverged_run_is_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let wild = ["--set", "optimizer.learning_rate=1e6", "--set", "run.steps=60"];
    let run = json(folder.path(), &wild);
    let step = run["diverged_at"].as_i64().unwrap();
    assert_eq!((&run["outcome"], &run["steps"]), (&"diverged".into(), &step.into()));
    assert!(run["train_loss"].is_null() && run["test_accuracy"].is_null());
    assert_eq!(count(&run, "rows"), step, "all rows up to there");
    assert_eq!(fs::read_dir(folder_of(&run)).unwrap().count(), 4);
    let picture = fs::read_to_string(folder_of(&run).join("run.svg")).unwrap();
    assert!(picture.contains("diverged at step") && !picture.contains("NaN"));
    train(folder.path(), &wild).assert().success().stdout(contains("diverged at step"));
}

#[test]
fn quiet_is_silent_and_without_a_command_it_trains() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &["--quiet"]).assert().success().stdout("").stderr("");
    let bare = program().args(SMALL).arg("--out").arg(folder.path()).assert().success().get_output().clone();
    assert!(text(&bare.stderr).lines().count() >= 10, "a line for every tenth");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    use std::process::{Command, Stdio};
    let binary = assert_cmd::cargo::cargo_bin("lyapunov");
    let mut child = Command::new(binary).arg("man").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}

/// The real images are not part of the repository: they are tried where a folder beside it holds them.
#[test]
#[cfg_attr(not(real_images), ignore = "../shared/cifar10 is not beside the workspace")]
fn real_images_are_learned() {
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cifar10/cifar-10-batches-bin");
    let folder = tempfile::tempdir().unwrap();
    let data = images.display().to_string();
    let flags = ["--data", &data, "--set", "data.subset=1000", "--set", "run.steps=150", "--set", "model.widths=[32]"];
    let run = json(folder.path(), &flags);
    assert!(run["train_loss"].as_f64().unwrap() < 2.25, "{run}");
    assert!(run["test_accuracy"].as_f64().unwrap() > 0.15, "{run}");
    assert!(run["lambda_max"]["value"].as_f64().unwrap() > 0.0, "{run}");
}

#[cfg(unix)]
#[test]
fn a_killed_run_keeps_its_rows_and_says_that_it_did_not_end() {
    use std::{process, thread, time};
    let folder = tempfile::tempdir().unwrap();
    let mut child = process::Command::new(assert_cmd::cargo::cargo_bin("lyapunov"))
        .args(["train", "--quiet", "--set", "model.name=mlp", "--set", "run.steps=1000000", "--out"])
        .arg(folder.path())
        .spawn()
        .unwrap();
    // Rows are written every second, or every thousand.
    let recorded = || {
        let run = fs::read_dir(folder.path()).unwrap().next()?.unwrap().path();
        let run = serde_json::json!({ "run": run });
        folder_of(&run).join("run.sqlite").exists().then_some(())?;
        let connection = Connection::open(folder_of(&run).join("run.sqlite")).ok()?;
        connection.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, i64>(0)).ok().filter(|rows| *rows > 0)
    };
    let started = time::Instant::now();
    while recorded().is_none() && started.elapsed() < time::Duration::from_mins(1) {
        thread::sleep(time::Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(recorded().is_some());
    let run = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let manifest: Value = serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["outcome"], "running");
}
