//! Twins and the test of a claim, from outside.

use std::fs;

use predicates::str::contains;
use serde_json::Value;

use crate::support::{program, small};

fn twin(arguments: &[&str]) -> Value {
    let output =
        program().arg("twin").args(small(30)).args(arguments).arg("--json").assert().success().get_output().clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn distances(twins: &Value) -> Vec<f64> {
    twins["distance"].as_array().unwrap().iter().map(|d| d.as_f64().unwrap()).collect()
}

#[test]
fn twins_begin_as_far_apart_as_they_are_asked_to() {
    let twins = twin(&["--differ", "weights=1e-4", "--every", "3"]);
    let apart = distances(&twins);
    assert!((apart[0] / 1e-4 - 1.0).abs() < 1e-2 && apart.len() == 11, "{apart:?}");
    assert_eq!((&twins["step"][1], &twins["outcome"]), (&3.into(), &"completed".into()));
    assert!(twins["growth"].is_f64() && twins["disagreement"][0].is_f64());
}

#[test]
fn another_order_in_one_batch_changes_nothing_before_it_and_rounding_after_it() {
    let apart = distances(&twin(&["--differ", "order=7", "--set", "model.activation=tanh", "--every", "1"]));
    assert!(apart[..=7].iter().all(|d| *d == 0.0), "{apart:?}");
    assert!(apart[8] > 0.0 && apart[8] < 1e-6, "{}", apart[8]);
}

#[test]
fn one_other_image_moves_the_run_from_its_batch_on() {
    let apart = distances(&twin(&["--differ", "image=3", "--every", "1"]));
    let first = apart.iter().position(|d| *d > 0.0).unwrap();
    assert!((1..=10).contains(&first), "an epoch has ten batches: {apart:?}");
    assert!(apart[first..].iter().all(|d| *d > 1e-6));
}

#[test]
fn twins_are_reported_in_a_table_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("twins.svg");
    program()
        .arg("twin")
        .args(small(30))
        .arg("--plot")
        .arg(&picture)
        .assert()
        .success()
        .stdout(contains("disagreement"));
    assert!(fs::read_to_string(&picture).unwrap().contains("distance of the weights"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is kept");
}

#[test]
fn what_twins_cannot_differ_in_is_refused() {
    for (difference, expected) in [
        ("seed=1", "is no difference between two runs"),
        ("weights=0", "is no difference between two runs"),
        ("weights=1e-9", "would be lost in the rounding of the weights"),
        ("image=200", "must be less than the number of training images, 200"),
        ("order=30", "must name a step of the run, which has 30"),
    ] {
        program()
            .arg("twin")
            .args(small(30))
            .args(["--differ", difference])
            .assert()
            .code(2)
            .stderr(contains(expected));
    }
}

#[test]
fn rounding_is_not_reported_as_chaos() {
    let flags = ["--differ", "order=0", "--set", "model.activation=tanh", "--set", "optimizer.learning_rate=0.01"];
    program().arg("twin").args(small(30)).args(flags).assert().success().stdout(contains("not grown out of rounding"));
    program()
        .arg("twin")
        .args(small(30))
        .args(["--set", "exponents.weights=frozen", "--set", "exponents.count=1"])
        .assert()
        .code(2)
        .stderr(contains("cannot part"));
}

#[test]
fn the_experiment_refuses_what_it_would_not_look_at() {
    for (set, expected) in [
        ("optimizer.name=adam", "has no place in the experiment"),
        ("run.batch_size=4", "takes all 64 images at every step"),
    ] {
        let verify = ["verify", "exponent-curvature", "--set", set];
        program().args(verify).assert().code(2).stderr(contains(expected));
    }
}

/// The experiment with as few weights and images as there can be.
#[test]
fn the_claim_is_tested_at_frozen_and_at_moving_weights() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("claim.svg");
    let output = program()
        .args(["verify", "exponent-curvature", "--train", "20", "--steps", "12", "--json"])
        .args(["--set", "model.widths=[1, 1, 1, 1, 1]", "--set", "data.subset=8", "--set", "run.batch_size=8"])
        .arg("--plot")
        .arg(&picture)
        .assert()
        .success()
        .get_output()
        .clone();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["parameters"], report["frozen"].as_array().unwrap().len()), (&88.into(), 9));
    for row in report["frozen"].as_array().unwrap() {
        let (found, exact) = (row["exponent"].as_f64().unwrap(), row["exact"].as_f64().unwrap());
        assert!((found / exact - 1.0).abs() < 0.01, "{row}");
    }
    let switch = |which: &str| report["switch"][which].as_f64().unwrap();
    assert!((switch("found") / switch("predicted") - 1.0).abs() < 0.02, "{}", report["switch"]);
    let slowest = &report["moving"][0];
    let (rate, seen) = (slowest["exponent_per_time"].as_f64().unwrap(), slowest["negative_rayleigh"].as_f64().unwrap());
    assert!((rate / seen - 1.0).abs() < 0.03, "{slowest}");
    assert!(fs::read_to_string(&picture).unwrap().contains("frozen weights"));
}
