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
    for command in
        ["", "train", "measure", "twin", "verify exponent-curvature", "data synthesize", "data fetch", "data check"]
    {
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
        ("momentum-without-use", "[optimizer]\nname = \"adam\"\nmomentum = 0.5\n"),
        ("two-decays", "[schedule]\nname = \"cosine\"\ncooldown = 0.3\n"),
        ("unknown-optimizer", "[optimizer]\nname = \"nestrov\"\n"),
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
        "batch_sharpness",
        "classes",
        "data",
        "edge",
        "lambda_max",
        "learning_rate",
        "measuring_cost",
        "outcome",
        "run",
        "steps",
        "test_accuracy",
        "train_loss",
        "training_images",
        "wall_seconds",
    ];
    assert_eq!(keys, promised);
    let mut keys: Vec<_> = run["lambda_max"].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["cost", "on", "product", "residual", "value"]);
    assert_eq!((&run["outcome"], &run["steps"]), (&"completed".into(), &12.into()));
    assert_eq!(run["edge"], run["batch_sharpness"], "what the edge of stochastic descent speaks of");
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
    let expected = [
        "SHA256SUMS",
        "checkpoint-12.safetensors",
        "config.toml",
        "lock",
        "manifest.json",
        "run.sqlite",
        "run.svg",
        "weights.safetensors",
    ];
    assert_eq!(names, expected);
    let run = serde_json::json!({ "run": run });
    assert_eq!((count(&run, "rows"), count(&run, "sharpness")), (13, 6));
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
fn the_same_seed_gives_the_same_bits_twice() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let cnn = ["--set", "model.name=cnn", "--set", "model.widths=[4, 8]", "--set", "measure.every=4", "--json"];
        let output = train(folder.path(), &cnn).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let (one, two) = (run(), run());
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
        let carried = ["--set", "exponents.count=2", "--set", "exponents.start=lambda_min"];
        let flags = [&["--set", "measure.every=1", "--set", &product, "--set", on][..], &carried].concat();
        let always = json(folder.path(), &flags);
        assert_eq!(
            (count(&always, "sharpness"), count(&always, "exponents")),
            (48, 24),
            "one for each step, the last one with the final weights"
        );
        assert_eq!(losses(&never), losses(&always), "{product}");
        assert_eq!(never["train_loss"], always["train_loss"]);
    }
}

#[test]
fn every_optimizer_trains_and_is_measured_against_its_own_edge() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("sgd", "batch_sharpness", 2.0),
        ("heavy-ball", "lambda_max", 3.8),
        ("nesterov", "lambda_max", 3.8 / 2.8),
        ("adam", "preconditioned_sharpness", 38.0),
        ("adamw", "preconditioned_sharpness", 38.0),
    ];
    for (name, quantity, threshold) in cases {
        let optimizer = format!("optimizer.name={name}");
        let flags =
            ["--set", "optimizer.learning_rate=0.003", "--set", "measure.every=1", "--set", "exponents.count=1"];
        let run = json(folder.path(), &[&["--set", &optimizer][..], &flags].concat());
        assert_eq!(run["edge"]["quantity"], quantity, "{name}");
        assert!((run["edge"]["threshold"].as_f64().unwrap() - threshold).abs() < 1e-9, "{name}");
        assert!(run["exponents"][0].is_f64() && run["exponents_aligned"] == false, "{name}");
        assert_eq!(run["identity_violation"].is_null(), name != "sgd", "{name}");
    }
}

#[test]
fn a_schedule_moves_the_learning_rate_of_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &["--set", "schedule.warm_up=0.25", "--set", "schedule.cooldown=0.5"]);
    let connection = Connection::open(folder_of(&run).join("run.sqlite")).unwrap();
    let mut select = connection.prepare("SELECT learning_rate FROM rows WHERE loss IS NOT NULL ORDER BY step").unwrap();
    let rates: Vec<f64> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let shares: Vec<f64> = rates.iter().map(|rate| rate / 0.05).collect();
    let expected = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 6.0 / 7.0, 5.0 / 7.0, 4.0 / 7.0, 3.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0];
    assert!(shares.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{shares:?}");
}

#[test]
fn what_is_told_of_a_sharpness_is_what_was_measured_whatever_the_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--set", "schedule.name=cosine", "--set", "measure.every=1", "--set", "run.steps=20"];
    let run = json(folder.path(), &flags);
    let connection = Connection::open(folder_of(&run).join("run.sqlite")).unwrap();
    let query = "SELECT avg(value) FROM sharpness WHERE quantity = 'batch_sharpness' AND step >= 16";
    let mean: f64 = connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert!((run["batch_sharpness"]["value"].as_f64().unwrap() / mean - 1.0).abs() < 1e-9);
    // Under another optimizer it is told without a share of an edge that does not hold it.
    let what = ["--set", "measure.what=[\"batch_sharpness\", \"lambda_max\"]", "--set", "optimizer.name=heavy-ball"];
    let ball = json(folder.path(), &[&what[..], &["--set", "optimizer.learning_rate=0.01"]].concat());
    assert!(ball["batch_sharpness"]["share"].is_null() && ball["batch_sharpness"]["value"].is_f64());
    assert_eq!(ball["edge"]["quantity"], "lambda_max");
}

#[test]
fn frozen_weights_stay_where_they_began() {
    let folder = tempfile::tempdir().unwrap();
    let frozen = json(folder.path(), &["--set", "exponents.weights=frozen", "--set", "exponents.count=1"]);
    let moving = json(folder.path(), &["--set", "exponents.count=1"]);
    let loss = |run: &Value| run["train_loss"].as_f64().unwrap();
    assert!(loss(&frozen) > loss(&moving), "{} and {}", loss(&frozen), loss(&moving));
    assert_eq!((&frozen["weights_frozen"], moving.get("weights_frozen")), (&true.into(), None));
    assert_eq!(losses(&frozen)[0], losses(&moving)[0]);
}

#[test]
fn exponents_that_cannot_be_had_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str], told: &str| {
        train(folder.path(), flags).assert().code(2).stdout("").stderr(contains(told));
    };
    refused(&["--set", "exponents.count=24675"], "must be at most the dimension, 24674, not 24675");
    let kinks = ["--set", "exponents.count=1", "--set", "exponents.product=difference"];
    refused(&kinks, "take the kinks of ReLU");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made");
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
    assert_eq!(fs::read_dir(folder_of(&run)).unwrap().count(), 6);
    let picture = fs::read_to_string(folder_of(&run).join("run.svg")).unwrap();
    assert!(picture.contains("diverged at step") && !picture.contains("NaN"));
    train(folder.path(), &wild).assert().success().stdout(contains("diverged before step"));
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

/// `lyapunov measure` on the run in this folder.
fn measure(run: &Value, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("measure").arg("--run").arg(folder_of(run)).args(arguments);
    command
}

/// The JSON object of a measurement.
fn measured(run: &Value, arguments: &[&str]) -> Value {
    let output = measure(run, arguments).arg("--json").assert().success().get_output().clone();
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The number at this path of a JSON object.
fn at(found: &Value, path: &str) -> f64 {
    found.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} of {found}"))
}

#[test]
fn the_weights_of_a_run_are_those_that_it_was_judged_by() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &[]);
    let found = measured(&run, &["--on", "full", "--what", "lambda_max"]);
    assert!((at(&found, "/loss") - at(&run, "/train_loss")).abs() < 1e-6, "{found}");
    let initial = folder_of(&run).join("config.toml");
    let output =
        program().arg("measure").arg("--config").arg(initial).args(["--on", "full", "--json"]).output().unwrap();
    let untrained: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(untrained["weights"], "initial");
    assert!(at(&untrained, "/loss") > at(&found, "/loss"), "training has lowered the loss");
}

#[test]
fn the_batch_of_a_step_is_the_one_that_the_step_used() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &["--set", "run.steps=1"]);
    let initial = folder_of(&run).join("config.toml");
    let arguments = ["--on", "batch=0", "--what", "lambda_max", "--json"];
    let output = program().arg("measure").arg("--config").arg(initial).args(arguments).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(at(&found, "/loss").to_bits(), losses(&run)[0]);
}

#[test]
fn every_quantity_is_measured_with_its_error_and_its_cost() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &["--set", "model.activation=tanh"]);
    let all = ["--what", "lambda_max,lambda_min,top=3,trace,density", "--on", "batch=2"];
    let found = measured(&run, &all);
    let (largest, smallest) = (at(&found, "/lambda_max/value"), at(&found, "/lambda_min/value"));
    assert!(smallest < 0.0 && 0.0 < largest, "{smallest} … {largest}");
    assert!((at(&found, "/top/value/0") - largest).abs() < 1e-3 * largest);
    assert!(at(&found, "/top/value/0") > at(&found, "/top/value/2"));
    for name in ["lambda_max", "lambda_min", "top"] {
        assert_eq!((&found[name]["converged"], &found[name]["on"]), (&true.into(), &"batch=2".into()), "{name}");
    }
    assert!(at(&found, "/lambda_max/residual") <= 1e-3 * largest);
    let (trace, error) = (at(&found, "/trace/value"), at(&found, "/trace/std_error"));
    let (mean, mean_error) = (at(&found, "/density/mean") * 24_674.0, at(&found, "/density/mean_std_error") * 24_674.0);
    assert!((trace - mean).abs() < 4.0 * error.hypot(mean_error), "{trace} ± {error}, {mean} ± {mean_error}");
    // The grid covers the spectrum, and the density on it is one.
    let grid: Vec<f64> = serde_json::from_value(found["density"]["eigenvalue"].clone()).unwrap();
    let density: Vec<f64> = serde_json::from_value(found["density"]["value"].clone()).unwrap();
    assert!(grid[0] < smallest && largest < grid[grid.len() - 1]);
    assert!((density.iter().sum::<f64>() * (grid[1] - grid[0]) - 1.0).abs() < 1e-3);
    let parts: f64 =
        ["lambda_max", "lambda_min", "top", "trace", "density"].map(|name| at(&found[name], "/cost")).iter().sum();
    assert!(
        (at(&found, "/cost") - parts - 2.0).abs() < 1e-9,
        "the parts, and the gradient that the search starts from, twice"
    );
}

#[test]
fn layers_are_blocks_of_the_whole_and_batches_have_a_sharpness() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &["--set", "model.activation=tanh"]);
    let found = measured(&run, &["--what", "lambda_max,layers,batch_sharpness=4", "--on", "batch=2"]);
    let largest = at(&found, "/lambda_max/value");
    let layers = found["layers"].as_array().unwrap();
    let told: Vec<_> =
        layers.iter().map(|l| (l["name"].as_str().unwrap(), l["parameters"].as_u64().unwrap())).collect();
    assert_eq!(told, [("0", 24_584), ("2", 90)]);
    for layer in layers {
        let (value, residual) = (at(layer, "/value"), at(layer, "/residual"));
        assert!(value <= largest * (1.0 + 1e-3) && residual <= 1e-3 * value.abs(), "{layer}");
        assert_eq!((&layer["converged"], &layer["on"]), (&true.into(), &"batch=2".into()));
    }
    let sharpness = &found["batch_sharpness"];
    assert_eq!((&sharpness["batches"], &sharpness["on"]), (&4.into(), &"batch=2..5".into()));
    let (spread, error) = (at(sharpness, "/spread"), at(sharpness, "/std_error"));
    assert!(spread > 0.0 && (error - spread / 2.0).abs() < 1e-12, "{sharpness}");
    let costs = layers.iter().map(|layer| at(layer, "/cost")).sum::<f64>() + at(sharpness, "/cost");
    assert!((at(&found, "/cost") - costs - at(&found, "/lambda_max/cost") - 2.0).abs() < 1e-9);
    // One gradient and one product for each batch.
    let product = at(&found, "/lambda_max/cost") / at(&found, "/lambda_max/products");
    assert!((at(sharpness, "/cost") - 4.0 * (1.0 + product)).abs() < 1e-9);
}

#[test]
fn the_largest_eigenvalue_of_all_images_is_estimated_from_two_parts() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &[]);
    let whole = at(&measured(&run, &["--what", "lambda_max", "--on", "full"]), "/lambda_max/value");
    let by = |on: &str| measured(&run, &["--what", "lambda_max,lambda_max_full", "--on", on]);
    let found = by("subset=80");
    let estimate = &found["lambda_max_full"];
    assert_eq!(estimate["on"], "subset=80, disjoint=80");
    assert_eq!(at(estimate, "/in_sample"), at(&found, "/lambda_max/value"));
    let (inside, outside) = (at(estimate, "/in_sample"), at(estimate, "/out_of_sample"));
    assert!((at(estimate, "/value") - (inside * outside).sqrt()).abs() < 1e-9);
    assert!((at(estimate, "/half_bracket") - 0.5 * (inside - outside).abs()).abs() < 1e-9);
    assert!((at(estimate, "/value") / whole - 1.0).abs() < 0.3, "{estimate} for {whole}");
    // The last batch of an epoch is compared with the one before it.
    assert_eq!(by("batch=3")["lambda_max_full"]["on"], "batch=3, batch=4");
    assert_eq!(by("batch=9")["lambda_max_full"]["on"], "batch=9, batch=8");
}

#[test]
fn products_agree_where_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &["--set", "model.activation=tanh"]);
    let by = |product: &str| {
        let found =
            measured(&run, &["--what", "lambda_max", "--on", "subset=40", "--product", product, "--tolerance", "0.01"]);
        assert_eq!(found["lambda_max"]["product"], if product == "auto" { "exact" } else { product });
        at(&found, "/lambda_max/value")
    };
    let exact = by("auto");
    assert_eq!(exact, by("exact"));
    assert!((by("difference") / exact - 1.0).abs() < 0.02);
    let gauss_newton = by("gauss-newton");
    assert!(0.0 < gauss_newton && gauss_newton < exact, "so early in training the residual term is large");
}

#[test]
fn the_seed_decides_the_search_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &[]);
    let value = |seed| at(&measured(&run, &["--what", "trace", "--seed", seed]), "/trace/value").to_bits();
    assert_eq!(value("0"), value("0"));
    assert_ne!(value("0"), value("1"));
}

#[test]
fn a_search_that_runs_out_of_products_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &[]);
    let found = measured(&run, &["--what", "lambda_min", "--max-products", "2"]);
    assert_eq!((&found["lambda_min"]["converged"], &found["lambda_min"]["products"]), (&false.into(), &2.into()));
    measure(&run, &["--what", "lambda_min", "--max-products", "2"]).assert().success().stdout(contains("exact    no"));
}

#[test]
fn the_density_is_drawn_and_the_examples_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &[]);
    let (picture, examples) = (folder.path().join("spectrum.svg"), folder.path().join("batch.safetensors"));
    let files = ["--plot", picture.to_str().unwrap(), "--export", examples.to_str().unwrap()];
    measure(&run, &["--what", "density", "--on", "batch=0"]).args(files).assert().success();
    let drawn = fs::read_to_string(&picture).unwrap();
    assert!(drawn.contains("Spectrum of the mlp on synthetic") && !drawn.contains("NaN"));
    let bytes = fs::read(&examples).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    assert_eq!(header["inputs"]["shape"], serde_json::json!([20, 3, 32, 32]));
    assert_eq!(header["labels"]["dtype"], "I64");
}

#[test]
fn measurements_that_cannot_be_made_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &[]);
    let missing = folder.path().join("missing/spectrum.svg");
    let cases: [(&str, &[&str]); 20] = [
        ("tolerance-zero", &["--tolerance", "0"]),
        ("tolerance-not-a-number", &["--tolerance", "nan"]),
        ("no-products", &["--max-products", "0"]),
        ("unknown-quantity", &["--what", "lambda_max,tarce"]),
        ("quantity-without-count", &["--what", "top"]),
        ("more-eigenvalues-than-weights", &["--what", "top=24675"]),
        ("more-eigenvalues-than-products", &["--what", "top=501"]),
        ("unknown-images", &["--on", "test"]),
        ("measured-on-more-than-all", &["--on", "subset=201"]),
        ("step-out-of-reach", &["--on", "batch=18446744073709551615"]),
        ("lambda-min-by-gauss-newton", &["--product", "gauss-newton"]),
        ("lambda-min-by-difference", &["--product", "difference"]),
        ("density-by-difference", &["--product", "difference", "--what", "density"]),
        ("one-batch", &["--what", "batch_sharpness=1"]),
        ("full-from-all-images", &["--what", "lambda_max_full", "--on", "full"]),
        ("full-from-too-many", &["--what", "lambda_max_full", "--on", "subset=101"]),
        ("full-from-the-only-batch", &["--what", "lambda_max_full", "--on", "batch=0", "--set", "run.batch_size=200"]),
        ("no-device", &["--device", "abacus"]),
        ("plot-without-density", &["--plot", "spectrum.svg"]),
        ("plot-in-a-missing-folder", &["--what", "density", "--plot", missing.to_str().unwrap()]),
    ];
    for (name, arguments) in cases {
        let output = measure(&run, arguments).assert().failure().get_output().clone();
        insta::assert_snapshot!(format!("measure-{name}"), fault(&output, &folder));
    }
}

#[test]
fn a_network_must_be_named_once() {
    program().arg("measure").assert().code(2).stderr(contains("--run <DIR>").and(contains("--config")));
    program().args(["measure", "--run", "a", "--config", "b"]).assert().code(2).stderr(contains("cannot be used with"));
}

#[test]
fn runs_without_weights_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let told = |run: &Value| fault(&measure(run, &[]).assert().code(2).get_output().clone(), &folder);
    let wild = json(&folder.path().join("wild"), &["--set", "optimizer.learning_rate=1e6", "--set", "run.steps=60"]);
    insta::assert_snapshot!("measure-diverged-run", hidden_digits(&told(&wild)));
    insta::assert_snapshot!("measure-no-run", told(&serde_json::json!({ "run": folder.path().join("nothing") })));
    let run = json(folder.path(), &[]);
    fs::remove_file(folder_of(&run).join("weights.safetensors")).unwrap();
    insta::assert_snapshot!("measure-run-without-weights", hidden_digits(&told(&run)));
}

/// The digits of a run's identity say nothing to a reader.
fn hidden_digits(told: &str) -> String {
    let digits = told.split("mlp-sgd-").nth(1).map(|rest| rest[..8].to_owned()).unwrap_or_default();
    told.replace(&digits, "DIGITS")
}

#[test]
fn weights_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = json(folder.path(), &[]);
    let whole = fs::read(folder_of(&run).join("weights.safetensors")).unwrap();
    let path = folder.path().join("weights.safetensors");
    let refused = |name: &str, contents: &[u8], arguments: &[&str]| {
        fs::write(&path, contents).unwrap();
        let output = measure(&run, arguments).arg("--weights").arg(&path).assert().code(1).get_output().clone();
        insta::assert_snapshot!(format!("measure-weights-{name}"), fault(&output, &folder));
    };
    let renamed = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let header = text(&whole[8..8 + length]).replace(from, to);
        [&whole[..8], header.as_bytes(), &whole[8 + length..]].concat()
    };
    refused("of-another-network", &whole, &["--set", "model.widths=[16]"]);
    refused("missing", &renamed("2.bias", "3.bias"), &[]);
    let deeper = json(folder.path(), &["--set", "model.widths=[8, 10]"]);
    refused("extra", &fs::read(folder_of(&deeper).join("weights.safetensors")).unwrap(), &[]);
    refused("cut-short", &whole[..whole.len() / 2], &[]);
    refused("empty", b"", &[]);
    let mut broken = whole.clone();
    let end = broken.len();
    broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused("not-finite", &broken, &[]);
    refused("path", &renamed("2.bias", "../bia"), &[]);
    refused("twice", &renamed("2.bias", "0.bias"), &[]);
    refused("other-numbers", &renamed("F32", "I32"), &[]);
    let output = measure(&run, &["--weights", "/no/such/file"]).assert().code(1).get_output().clone();
    insta::assert_snapshot!("measure-weights-no-file", fault(&output, &folder));
}
