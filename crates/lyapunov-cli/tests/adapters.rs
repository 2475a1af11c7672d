//! The program on a graphics adapter, if only a driver in software: `./check --gpu`.
#![allow(clippy::unwrap_used, reason = "in a test a fault is a failure")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;

const KEYS: [&str; 9] = [
    "model.name=cnn",
    "model.widths=[4, 4]",
    "model.activation=tanh",
    "data.subset=200",
    "run.batch_size=20",
    "run.steps=60",
    "measure.every=10",
    "exponents.count=1",
    "checkpoint.every=5",
];

fn train(out: &Path, device: &str) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    command.args(["train", "--json", "--device", device, "--out"]).arg(out);
    command.args(KEYS.iter().flat_map(|key| ["--set", key])).stdin(Stdio::null());
    command
}

fn object(mut command: Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn losses(run: &Path) -> Vec<f64> {
    let connection = Connection::open(run.join("run.sqlite")).unwrap();
    let mut select = connection.prepare("SELECT loss FROM rows WHERE loss IS NOT NULL ORDER BY step").unwrap();
    select.query_map([], |row| row.get::<_, f64>(0)).unwrap().map(Result::unwrap).collect()
}

fn folder(run: &Value) -> PathBuf {
    PathBuf::from(run["run"].as_str().unwrap())
}

#[test]
fn a_run_is_that_of_the_processor_and_goes_on_to_the_same_bits() {
    let place = tempfile::tempdir().unwrap();
    let [whole, cut, flex] = ["whole", "cut", "flex"].map(|name| place.path().join(name));
    let (own, right) = (object(train(&whole, "wgpu")), object(train(&flex, "flex")));
    let number = |run: &Value, key: &str| run[key].as_f64().unwrap();
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
    assert!(close(number(&own, "train_loss"), number(&right, "train_loss")), "{own}\n{right}");
    assert!(close(number(&own["lambda_max"], "value"), number(&right["lambda_max"], "value")), "{own}\n{right}");
    for (a, b) in losses(&folder(&own)).iter().zip(losses(&folder(&right))) {
        assert!((a - b).abs() < 1e-3, "{a} for {b}");
    }
    // Asked to leave in the middle.
    let mut child = train(&cut, "wgpu").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let cut_run = loop {
        assert!(began.elapsed() < Duration::from_mins(2), "no rows");
        thread::sleep(Duration::from_millis(10));
        let Some(run) = fs::read_dir(&cut).ok().and_then(|mut found| found.next()?.ok()) else { continue };
        let Ok(store) = Connection::open(run.path().join("run.sqlite")) else { continue };
        let rows = store.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, i64>(0));
        if rows.is_ok_and(|rows| rows > 7) {
            break run.path();
        }
    };
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    child.wait().unwrap();
    let mut resume = Command::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    resume.args(["train", "--quiet", "--resume"]).arg(&cut_run);
    assert!(resume.status().unwrap().success());
    let bits = |run: &Path| losses(run).into_iter().map(f64::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(&cut_run), bits(&folder(&own)));
}

#[test]
fn eigenvalues_of_a_run_are_measured_on_its_device() {
    let place = tempfile::tempdir().unwrap();
    let run = object(train(place.path(), "wgpu"));
    let measure = |device: &str| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("lyapunov"));
        command.args(["measure", "--json", "--device", device, "--run"]).arg(folder(&run));
        object(command)
    };
    let [own, right] = ["wgpu", "flex"].map(measure);
    let [a, b] = [&own, &right].map(|found| found["lambda_max"]["value"].as_f64().unwrap());
    assert!((a / b - 1.0).abs() < 1e-2, "{a} for {b}");
}

#[test]
fn a_device_that_is_not_there_is_refused_with_those_that_are() {
    let place = tempfile::tempdir().unwrap();
    for device in ["tpu", "wgpu:discrete:9"] {
        let output = train(place.path(), device).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && message.contains("wgpu:"), "{message}");
    }
}
