//! `lyapunov exponents` as its users meet it.

use std::fs;

use assert_cmd::Command;
use predicates::str::contains;
use serde_json::Value;

fn exponents(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("lyapunov").unwrap();
    command.env_remove("NO_COLOR").env("COLUMNS", "100").arg("exponents").args(arguments);
    command
}

fn json(arguments: &[&str]) -> Value {
    let output = exponents(arguments).arg("--json").assert().success().stderr("").get_output().clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is said on standard error where the command is wrong.
fn refusal(arguments: &[&str]) -> String {
    let output = exponents(arguments).assert().code(2).stdout("").get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_table_stands_beside_the_literature() {
    let output = exponents(&["henon", "--steps", "20000"]).assert().success().get_output().clone();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"[\d.,]+( million)? steps per second", "[many] steps per second");
    settings.bind(|| insta::assert_snapshot!("henon", String::from_utf8(output.stdout).unwrap()));
}

#[test]
fn the_help_and_the_list_read_well() {
    for (name, flag) in [("help-exponents", "--help"), ("list", "--list")] {
        let output = exponents(&[flag]).assert().success().get_output().clone();
        insta::assert_snapshot!(name, String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn the_object_holds_what_was_found() {
    let found = json(&["tent", "--set", "mu=1.5", "--steps", "1000"]);
    assert_eq!(found["system"], "tent");
    assert_eq!(found["parameters"]["mu"], 1.5);
    assert!((found["exponents"][0].as_f64().unwrap() - 1.5_f64.ln()).abs() < 1e-12);
    assert!(found["std_errors"][0].as_f64().unwrap() < 1e-12);
    assert_eq!(found["aligned"], true);
    assert_eq!(found["steps"], 1000);
    assert_eq!(found["kaplan_yorke"], 1.0);
    assert!((found["sum"].as_f64().unwrap() - 1.5_f64.ln()).abs() < 1e-12);
}

#[test]
fn flows_are_reported_per_time_and_the_seed_is_kept() {
    let lorenz = ["lorenz63", "--steps", "20000", "--count", "1", "--seed", "7"];
    let found = json(&lorenz);
    assert!((found["exponents"][0].as_f64().unwrap() - 0.9056).abs() < 0.1);
    assert_eq!(found["exponents"], json(&lorenz)["exponents"]);
    assert!(found["kaplan_yorke"].is_null(), "one exponent does not tell the dimension");
}

#[test]
fn leaving_the_numbers_is_a_result() {
    let found = json(&["henon", "--set", "a=3"]);
    assert_eq!(found["outcome"], "diverged");
    exponents(&["henon", "--set", "a=3"]).assert().success().stdout(contains("diverged at step"));
    // Super-stable: minus infinity has no JSON form.
    assert!(json(&["logistic", "--set", "r=2", "--steps", "1000"])["exponents"][0].is_null());
}

#[test]
fn mistakes_are_explained() {
    let cases: [(&str, &[&str]); 12] = [
        ("unknown-system", &["lorentz63"]),
        ("unknown-system-far", &["pendulum"]),
        ("beginning-of-a-name", &["lorenz"]),
        ("unknown-parameter", &["lorenz63", "--set", "sigm=1"]),
        ("parameter-outside-its-domain", &["logistic", "--set", "r=5"]),
        ("not-a-number", &["logistic", "--set", "r=big"]),
        ("too-many-exponents", &["henon", "--count", "3"]),
        ("no-steps", &["henon", "--steps", "0"]),
        ("scan-that-does-not-move", &["logistic", "--scan", "r=3:3:100"]),
        ("scan-misshapen", &["logistic", "--scan", "r=2..4"]),
        ("scan-outside-the-domain", &["logistic", "--scan", "r=2:5:100"]),
        ("no-picture-format", &["henon", "--plot", "henon.jpg"]),
    ];
    for (name, arguments) in cases {
        insta::assert_snapshot!(name, refusal(arguments));
    }
}

#[test]
fn a_scan_is_a_table_an_object_or_a_picture() {
    let scan = ["logistic", "--scan", "r=2.5:2.9:5", "--steps", "500", "--warm-up", "200"];
    let output = exponents(&scan).assert().success().get_output().clone();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().next(), Some("r\texponent_1\tstd_error_1\toutcome"));
    assert_eq!(table.lines().count(), 6);
    let found = json(&scan);
    let third: f64 = found["points"][2]["exponents"][0].as_f64().unwrap();
    assert!((third - 0.7_f64.ln()).abs() < 1e-9, "ln|2 - 2.7|, not {third}");
}

#[test]
fn pictures_are_written_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (running, spectrum, curve, map) = (file("a.svg"), file("b.svg"), file("c.png"), file("d.svg"));
    exponents(&["lorenz63", "--steps", "5000", "--plot", &running]).assert().success();
    exponents(&["lorenz96", "--set", "n=12", "--steps", "500", "--plot", &spectrum]).assert().success();
    exponents(&["logistic", "--scan", "r=2.5:4:60", "--steps", "300", "--plot", &curve]).assert().success();
    let scans = ["--scan", "a=1:2:12", "--scan", "b=0:0.4:9"];
    exponents(&["henon", "--steps", "200", "--plot", &map]).args(scans).assert().success();
    for (path, words) in [(&running, "literature"), (&spectrum, "Kaplan"), (&map, "diverges")] {
        let svg = fs::read_to_string(path).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.contains(words) && !svg.contains("NaN") && !svg.contains("inf"),
            "{path}"
        );
    }
    assert!(fs::read(&curve).unwrap().starts_with(b"\x89PNG"));
}
