//! `lyapunov train` as its users meet it: what it prints and writes, and the bits of its runs.

use std::{fs, path::Path};

use predicates::str::contains;
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{count, fault, folder_of, images, json, losses, program, small, text, train};

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
    assert_eq!(keys, ["cost", "on", "product", "residual", "step", "value"]);
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
    let message = text(&output.get_output().stdout);
    assert!(message.contains("η·λ_max = ") && message.contains("Run folder: "), "{message}");
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
    // λ_max at three steps, and the batch sharpness there and at every step of the last fifth.
    assert_eq!((count(&run, "rows"), count(&run, "sharpness")), (13, 8));
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
fn what_is_reported_of_a_sharpness_is_what_was_measured_whatever_the_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--set", "schedule.name=cosine", "--set", "measure.every=1", "--set", "run.steps=20"];
    let run = json(folder.path(), &flags);
    let connection = Connection::open(folder_of(&run).join("run.sqlite")).unwrap();
    let query = "SELECT avg(value) FROM sharpness WHERE quantity = 'batch_sharpness' AND step >= 16";
    let mean: f64 = connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert!((run["batch_sharpness"]["value"].as_f64().unwrap() / mean - 1.0).abs() < 1e-9);
    // Under another optimizer it is shown without a share of an edge that does not hold it.
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
    let refused = |flags: &[&str], expected: &str| {
        train(folder.path(), flags).assert().code(2).stdout("").stderr(contains(expected));
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
    let bare = program().args(small(12)).arg("--out").arg(folder.path()).assert().success().get_output().clone();
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

#[test]
fn no_number_depends_on_how_many_threads_a_run_has() {
    let folder = tempfile::tempdir().unwrap();
    let network = ["--set", "model.name=cnn", "--set", "model.widths=[4, 8, 8, 16, 16]"];
    let runs = ["1", "2", "3"].map(|threads| {
        let keys = [format!("run.threads={threads}"), "exponents.count=1".to_owned(), "run.steps=5".to_owned()];
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--set", key]).collect();
        json(&folder.path().join(threads), &[&network[..], &keys].concat())
    });
    let weights = |run: &Value| fs::read(folder_of(run).join("weights.safetensors")).unwrap();
    for other in &runs[1..] {
        assert_eq!(losses(&runs[0]), losses(other));
        assert_eq!(weights(&runs[0]), weights(other));
        assert_eq!(runs[0]["exponents"], other["exponents"]);
        assert_eq!(folder_of(&runs[0]).file_name(), folder_of(other).file_name());
    }
}

#[test]
fn training_time_decides_the_steps_and_a_limit_of_them_is_reported() {
    let out = tempfile::tempdir().unwrap();
    let timed = |rate: &str, most: &str| {
        let rate = format!("optimizer.learning_rate={rate}");
        let most = format!("run.most_steps={most}");
        json(out.path(), &["--set", "run.steps=0", "--set", "run.time=0.5", "--set", &rate, "--set", &most])
    };
    let whole = timed("0.02", "100");
    assert_eq!((&whole["steps"], &whole["training_time"]["cut_to"]), (&25.into(), &serde_json::Value::Null));
    let cut = timed("0.005", "40");
    assert_eq!((&cut["steps"], &cut["training_time"]["cut_to"]), (&40.into(), &0.2.into()));
    let refused = |keys: &[&str], why: &str| {
        let arguments: Vec<&str> = keys.iter().flat_map(|key| ["--set", key]).collect();
        train(out.path(), &arguments).assert().code(2).stderr(contains(why));
    };
    refused(&["run.time=3.0"], "`run.time` and `run.steps` are both given");
    refused(&["run.time=3.0", "run.steps=0", "control.rule=edge-step"], "no `optimizer.learning_rate` decides");
}
