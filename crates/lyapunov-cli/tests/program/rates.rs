//! Rules for the learning rate, their comparison, and the suggestion of a rate, from outside.

use std::{fs, path::Path};

use assert_cmd::Command;
use predicates::str::contains;
use serde_json::Value;

use crate::support::{program, small};

fn json(command: &mut Command) -> Value {
    let output = command.arg("--json").assert().success().get_output().clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Trains with these keys, and gives what it says and its rows' learning rates.
fn train(out: &Path, keys: &[&str]) -> (Value, Vec<f64>) {
    let keys = keys.iter().flat_map(|key| ["--set", key]);
    let object = json(program().arg("train").args(small(40)).args(keys).arg("--out").arg(out));
    let database = Path::new(object["run"].as_str().unwrap()).join("run.sqlite");
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut select = connection.prepare("SELECT learning_rate FROM rows WHERE learning_rate IS NOT NULL").unwrap();
    let rates = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    (object, rates)
}

#[test]
fn every_rule_and_every_rival_trains_without_a_learning_rate() {
    let out = tempfile::tempdir().unwrap();
    let rules = ["edge-step", "quasi-newton", "on-edge", "batch-sharpness", "adgd"];
    for rule in rules {
        let (object, rates) = train(out.path(), &[&format!("control.rule={rule}"), "measure.every=5"]);
        assert_eq!(object["outcome"], "completed", "{rule}");
        assert!(object["train_loss"].as_f64().unwrap() < 2.3, "{rule}: {object}");
        assert!(rates.len() == 40 && rates[39] < rates[20], "{rule}: {rates:?}");
    }
    let (object, rates) = train(out.path(), &["optimizer.name=schedule-free", "control.rule=edge-hold"]);
    assert_eq!(object["outcome"], "completed", "edge-hold");
    assert!(object["train_loss"].as_f64().unwrap() < 2.3 && rates[39] > 4.0 * rates[0], "edge-hold: {rates:?}");
    for optimizer in ["prodigy", "dog"] {
        let (object, _) = train(out.path(), &[&format!("optimizer.name={optimizer}"), "exponents.count=1"]);
        assert_eq!(object["outcome"], "completed", "{optimizer}");
    }
    // What is usual for it is far too much for so small a network, and is found to be.
    for (rate, outcome) in [("auto", "blown-up"), ("0.02", "completed")] {
        let rate = format!("optimizer.learning_rate={rate}");
        let (object, _) = train(out.path(), &["optimizer.name=schedule-free", &rate, "exponents.count=1"]);
        assert_eq!(object["outcome"], outcome, "{rate}");
    }
}

#[test]
fn a_rule_keeps_what_it_measured_and_obeys_its_bounds() {
    let out = tempfile::tempdir().unwrap();
    let keys = ["control.rule=edge-step", "control.bounds=[0.0, 0.01]", "optimizer.name=heavy-ball"];
    let (object, rates) = train(out.path(), &keys);
    assert!(rates.iter().all(|rate| *rate <= 0.01));
    let connection = rusqlite::Connection::open(Path::new(object["run"].as_str().unwrap()).join("run.sqlite")).unwrap();
    let count = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        count("SELECT count(*) FROM along WHERE stretch > 0 AND product = 'exact'"),
        8,
        "every fifth of 40 steps"
    );
    assert_eq!(count("SELECT count(*) FROM secants"), 0);
}

#[test]
fn a_rule_changes_nothing_by_measuring_more() {
    let out = tempfile::tempdir().unwrap();
    let (few, _) = train(out.path(), &["control.rule=edge-step", "measure.every=0"]);
    let (many, _) = train(out.path(), &["control.rule=edge-step", "measure.every=3"]);
    assert_eq!(few["train_loss"], many["train_loss"]);
    let held = ["optimizer.name=schedule-free", "control.rule=edge-hold"];
    let (few, rates) = train(out.path(), &[held[0], held[1], "measure.every=0"]);
    let (many, same) = train(out.path(), &[held[0], held[1], "measure.every=2"]);
    assert_eq!((&few["train_loss"], rates), (&many["train_loss"], same));
}

const SUITE: &str = r#"
[suite]
seeds = 2
[base]
data.subset = 200
run = { steps = 30, batch_size = 20 }
measure.every = 0
schedule.cooldown = 0.3
[problems.small]
model = { name = "mlp", widths = [8] }
target.loss = 2.2
[rules.sgd]
grid = { "optimizer.learning_rate" = [1e-6, 0.05] }
[rules.edge-step]
control.rule = "edge-step"
"#;

fn suite(folder: &Path, text: &str) -> Command {
    let path = folder.join("suite.toml");
    fs::write(&path, text).unwrap();
    let mut command = program();
    command.arg("compare-rates").arg(path).arg("--out").arg(folder.join("out"));
    command
}

#[test]
fn a_comparison_tunes_its_reference_and_makes_no_run_twice() {
    let folder = tempfile::tempdir().unwrap();
    let object = json(&mut suite(folder.path(), SUITE));
    let lines = object["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    let (sgd, edge_step) = (&lines[0], &lines[1]);
    assert_eq!((&sgd["value"], &sgd["values"], &sgd["completed"]), (&"0.05".into(), &2.into(), &2.into()));
    assert_eq!(sgd["of_reference"], 1.0);
    assert!(sgd["train_loss"]["std_error"].as_f64().unwrap() > 0.0);
    assert!(edge_step["cost"]["mean"].as_f64().unwrap() > 1.0 && sgd["cost"]["mean"] == 1.0);
    let csv = fs::read_to_string(folder.path().join("out/comparison.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 2 + 2, "{csv}");
    let svg = fs::read_to_string(folder.path().join("out/comparison.svg")).unwrap();
    assert!(svg.contains("edge-step") && !svg.contains("NaN"));
    let entries = || fs::read_dir(folder.path().join("out")).unwrap().count();
    // What a killed run leaves is made again, once.
    let killed = Path::new(csv.lines().nth(1).unwrap().rsplit(',').next().unwrap()).join("manifest.json");
    fs::write(&killed, fs::read_to_string(&killed).unwrap().replace("completed", "running")).unwrap();
    assert_eq!(json(&mut suite(folder.path(), SUITE)), object);
    let before = entries();
    assert_eq!(json(&mut suite(folder.path(), SUITE)), object);
    assert_eq!(entries(), before);
}

#[test]
fn a_suite_that_cannot_be_read_is_refused_where_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |from: &str, to: &str, expected: &str| {
        assert!(SUITE.contains(from));
        suite(folder.path(), &SUITE.replace(from, to)).assert().code(2).stderr(contains(expected));
    };
    refused("seeds = 2", "seeds = 0", "`suite.seeds` must be a whole number from 1 up");
    refused("seeds = 2", "repeats = 2", "unknown key `suite.repeats`");
    refused("[base]", "[bases]", "`bases` is not a table of a suite");
    refused("[1e-6, 0.05]", "[]", "the grid of rule `sgd` must be one key and a list of its values");
    refused("optimizer.learning_rate", "optimizer.learning_rat", "did you mean `optimizer.learning_rate`?");
    refused("1e-6", "-1.0", "`optimizer.learning_rate` must be a number greater than 0, not -1.0");
    refused("loss = 2.2", "loss = 0", "the target of problem `small` must be `loss = NUMBER`");
    refused("\"edge-step\"", "\"edge\"", "`control.rule` must be");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_suggestion_is_a_range_with_its_limits() {
    for optimizer in ["sgd", "heavy-ball", "adam"] {
        let name = format!("optimizer.name={optimizer}");
        let object = json(program().arg("suggest-rate").args(small(40)).args(["--set", &name, "--trial", "30"]));
        let [low, high] = [0, 1].map(|i| object["suggested"][i].as_f64().unwrap());
        let stable = object["largest_stable"].as_f64().unwrap();
        assert!(0.0 < low && low < high && high <= stable, "{object}");
        let limits = object["limits"].as_array().unwrap();
        assert_eq!(limits.len(), if optimizer == "sgd" { 3 } else { 2 }, "{object}");
        let rates = limits.iter().map(|limit| limit["rate"].as_f64().unwrap());
        assert_eq!(object["largest_stable"].as_f64().unwrap(), rates.fold(f64::INFINITY, f64::min));
    }
    let text = program().arg("suggest-rate").args(small(40)).assert().success().get_output().stdout.clone();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("Suggested learning rate:") && text.contains("limited by"), "{text}");
    program()
        .args(["suggest-rate", "--set", "optimizer.name=prodigy"])
        .assert()
        .code(2)
        .stderr(contains("finds its own learning rate"));
}

#[test]
fn the_suites_that_ship_are_suites() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suites");
    let folder = tempfile::tempdir().unwrap();
    for name in ["cifar10-5k.toml", "synthetic.toml"] {
        // A configuration is read in full before anything runs, and this folder cannot be made.
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let mut command = program();
        command.arg("compare-rates").arg(root.join(name)).arg("--out").arg(file.join("below"));
        command.args((name == "cifar10-5k.toml").then_some(["--data", "images"]).into_iter().flatten());
        command.assert().code(1).stderr(contains("cannot make the output folder"));
    }
}
