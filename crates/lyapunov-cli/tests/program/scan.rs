//! Scans of small trainings over two parameters: the picture, resumption, and what is refused.

use std::{fs, path::Path};

use predicates::str::contains;
use serde_json::Value;

use crate::support::program;

const SMALL: [&str; 8] = ["--units", "4", "--points", "3", "--steps", "30", "--x", "rate-1=1:3000:9"];

fn scan(out: &Path, arguments: &[&str]) -> Value {
    let mut command = program();
    command.arg("scan").args(SMALL).args(arguments).arg("--json").arg("--out").arg(out);
    let output = command.assert().success().get_output().clone();
    assert!(output.stderr.is_empty());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_scan_draws_its_plane_and_goes_on_where_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, part) = (folder.path().join("whole"), folder.path().join("part"));
    let axis = ["--y", "rate-2=1:3000:7"];
    let found = scan(&whole, &axis);
    assert_eq!((&found["trainings"], &found["rows_before"]), (&63.into(), &0.into()));
    let counts = [&found["counts"]["converged"], &found["counts"]["diverged"]].map(|count| count.as_u64().unwrap());
    assert!(counts[0] + counts[1] == 63 && counts.iter().all(|count| *count > 5), "{found}");
    assert_eq!(found["dimension"], Value::Null, "too few for a dimension");
    assert!(fs::read(whole.join("picture.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(fs::read_to_string(whole.join("picture.svg")).unwrap().contains("learning rate of the hidden layer"));
    let table = fs::read_to_string(whole.join("values.csv")).unwrap();
    assert!(table.starts_with("rate-1,rate-2,speed\n") && table.lines().count() == 64, "{table}");
    // Killed in the middle of the fourth row.
    fs::create_dir(&part).unwrap();
    fs::copy(whole.join("scan.json"), part.join("scan.json")).unwrap();
    let rows = fs::read(whole.join("rows.f64")).unwrap();
    fs::write(part.join("rows.f64"), &rows[..8 * 9 * 3 + 21]).unwrap();
    assert_eq!(scan(&part, &axis)["rows_before"], 3);
    assert_eq!(fs::read(part.join("rows.f64")).unwrap(), rows, "the same bits");
    assert_eq!(fs::read_to_string(part.join("values.csv")).unwrap(), table);
    // A scan that is complete is drawn again.
    assert_eq!(scan(&whole, &axis)["rows_before"], 7);
}

#[test]
fn small_rates_converge_large_ones_diverge_and_the_exponent_is_negative_where_it_is_stable() {
    let folder = tempfile::tempdir().unwrap();
    let axis = ["--y", "scale=0.25:1:3", "--activation", "identity"];
    let speeds = |name: &str, more: &[&str]| -> Vec<Option<f64>> {
        let out = folder.path().join(name);
        scan(&out, &[&axis[..], more].concat());
        let table = fs::read_to_string(out.join("values.csv")).unwrap();
        table.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().1.parse().ok()).collect()
    };
    let speed = speeds("speed", &[]);
    assert!(speed.iter().step_by(9).all(|value| value.unwrap() < 0.0), "{speed:?}");
    assert!(speed.iter().skip(8).step_by(9).all(|value| value.unwrap() > 0.9), "{speed:?}");
    let exponent = speeds("exponent", &["--show", "exponent"]);
    assert!(exponent.iter().step_by(9).all(|value| value.unwrap() < 0.1), "{exponent:?}");
    assert!(exponent.iter().skip(8).step_by(9).all(Option::is_none), "where it diverges there is none: {exponent:?}");
}

#[test]
fn another_scan_or_a_folder_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (out, axis) = (folder.path().join("scan"), ["--y", "rate-2=1:3000:3"]);
    scan(&out, &axis);
    let refused = |arguments: &[&str], why: &str| {
        let mut command = program();
        command.arg("scan").args(SMALL).args(axis).args(arguments);
        command.assert().code(2).stderr(contains(why));
    };
    let out = out.to_str().unwrap();
    refused(&["--out", out, "--seed", "1"], "holds another scan: `seed` is 0, not 1");
    let other = folder.path().to_str().unwrap();
    refused(&["--out", other], "is not empty, and holds no scan");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let mut command = program();
    command.args(["scan", "--x", "rate=1:2:3", "--y", "rate-2=1:2:3"]);
    command.assert().code(2).stderr(contains("both are the same rate"));
    let mut command = program();
    command.args(["scan", "--activation", "gelu"]).assert().code(2).stderr(contains("tanh, relu, identity"));
}
