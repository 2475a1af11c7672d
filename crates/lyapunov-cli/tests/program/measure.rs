//! `lyapunov measure` as its users meet it.

use std::fs;

use assert_cmd::Command;
use predicates::{prelude::PredicateBooleanExt, str::contains};
use serde_json::Value;

use crate::support::{fault, folder_of, json, losses, program, text};

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

/// The digits of a run's identity say nothing to a reader.
fn hidden_digits(message: &str) -> String {
    let digits = message.split("mlp-sgd-").nth(1).map(|rest| rest[..8].to_owned()).unwrap_or_default();
    message.replace(&digits, "DIGITS")
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
    let parts: Vec<_> =
        layers.iter().map(|l| (l["name"].as_str().unwrap(), l["parameters"].as_u64().unwrap())).collect();
    assert_eq!(parts, [("0", 24_584), ("2", 90)]);
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
    let shown = |run: &Value| fault(&measure(run, &[]).assert().code(2).get_output().clone(), &folder);
    let wild = json(&folder.path().join("wild"), &["--set", "optimizer.learning_rate=1e6", "--set", "run.steps=60"]);
    insta::assert_snapshot!("measure-diverged-run", hidden_digits(&shown(&wild)));
    insta::assert_snapshot!("measure-no-run", shown(&serde_json::json!({ "run": folder.path().join("nothing") })));
    let run = json(folder.path(), &[]);
    fs::remove_file(folder_of(&run).join("weights.safetensors")).unwrap();
    insta::assert_snapshot!("measure-run-without-weights", hidden_digits(&shown(&run)));
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
