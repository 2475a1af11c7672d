//! What the program says of itself, and of mistakes.

use std::{fs, path::Path};

use predicates::{prelude::PredicateBooleanExt, str::contains};

use crate::support::{fault, images, program, text, train};

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
    for (flag, value, expected) in cases {
        train(folder.path(), &[flag, value]).assert().code(2).stdout("").stderr(contains(expected));
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
