//! The commands around stored runs from outside: lists, single runs, exports, and runs that go on or were killed.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use predicates::{prelude::PredicateBooleanExt, str::contains};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::support::{SMALL, program, set};

#[allow(clippy::missing_panics_doc, reason = "in a test a fault is a failure")]
#[path = "../../../lyapunov-runs/tests/events/mod.rs"]
mod events;
#[path = "../../../lyapunov-runs/examples/own_run.rs"]
mod own_run;

/// What a run measures: everything.
const MEASURED: [&str; 3] = ["measure.every=5", "measure.on=[\"batch\", \"subset=50\"]", "exponents.count=2"];

/// The arguments of a small run with these settings more.
fn settings(more: &[&str]) -> Vec<String> {
    let settings = SMALL.iter().chain(&MEASURED).chain(more);
    std::iter::once("train".to_owned()).chain(set(settings)).collect()
}

/// Three runs, made once: `slow`, `fast` and `diverged`. Nobody changes them.
static RUNS: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stored");
    let _ = fs::remove_dir_all(&place);
    let runs = place.join("runs");
    for (name, rate, seed) in [("slow", "0.05", "3"), ("fast", "0.07", "1"), ("diverged", "1e9", "2")] {
        let more = ["run.steps=12", &format!("optimizer.learning_rate={rate}"), &format!("run.seed={seed}")];
        let made = place.join(name);
        program().args(settings(&more)).args(["--quiet", "--out"]).arg(&made).assert().success();
        let run = fs::read_dir(&made).unwrap().next().unwrap().unwrap().path();
        fs::create_dir_all(&runs).unwrap();
        fs::rename(run, runs.join(name)).unwrap();
    }
    place
});

/// Copies of these runs in a folder of their own.
fn copies(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let (from, to) = (RUNS.join("runs").join(name), folder.path().join(name));
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    folder
}

/// What a command prints about the three runs.
fn printed(arguments: &[&str]) -> String {
    let output = program().args(arguments).current_dir(&*RUNS).assert().success().get_output().clone();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(arguments)).unwrap()
}

/// Reads, and leaves the file as it is.
fn database(run: &Path) -> Connection {
    Connection::open_with_flags(run.join("run.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

type Numbers = BTreeMap<(String, u64), f64>;

/// Every recorded number by the name of its column in an export and its step, asked of the tables one by one.
fn recorded(run: &Path) -> Numbers {
    let connection = database(run);
    let mut numbers = Numbers::new();
    let mut ask = |table: &str, name: &str, column: &str| {
        let query = format!("SELECT step, {name}, {column} FROM {table} WHERE {column} IS NOT NULL");
        let mut select = connection.prepare(&query).unwrap();
        let found = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?))).unwrap();
        for (step, name, value) in found.map(Result::unwrap) {
            numbers.insert((name, step.cast_unsigned()), value);
        }
    };
    for column in ["loss", "gradient_norm", "learning_rate", "test_loss", "test_accuracy", "train_loss", "edge"] {
        ask("rows", &format!("'{column}'"), column);
    }
    ask("rows", "'rayleigh'", "rayleigh");
    ask("rows", "'measuring_cost'", "measuring_cost");
    for (ending, column) in [("", "value"), ("_residual", "residual"), ("_edge", "edge"), ("_cost", "cost")] {
        ask("sharpness", &format!("quantity || '[' || \"on\" || ']{ending}'"), column);
    }
    for (ending, column) in [("", "value"), ("_std_error", "std_error"), ("_local", "local")] {
        ask("exponents", &format!("'exponent_' || number || '{ending}'"), column);
    }
    assert!(numbers.len() > 150, "{}", numbers.len());
    numbers
}

fn assert_same(left: &Numbers, right: &Numbers) {
    let bits =
        |numbers: &Numbers| numbers.iter().map(|(at, number)| (at.clone(), number.to_bits())).collect::<Vec<_>>();
    assert_eq!(bits(left), bits(right));
}

#[test]
fn a_list_has_a_line_for_every_run() {
    let text = printed(&["list"]);
    let lines: Vec<&str> = text.lines().collect();
    let words = |i: usize| lines[i].split_whitespace().collect::<Vec<_>>();
    assert_eq!(lines.len(), 4);
    assert_eq!(words(0)[..7], ["run", "state", "model", "loss", "optimizer", "learning_rate", "seed"]);
    assert_eq!(words(1)[..7], ["diverged", "diverged", "mlp", "cross-entropy", "sgd", "1.000e9", "2"], "{text}");
    assert_eq!(words(2)[..8], ["fast", "completed", "mlp", "cross-entropy", "sgd", "0.07", "1", "12"]);
    // Numbers stand below each other.
    let width = |line: &&str| line.trim_end().chars().count();
    assert!(lines.iter().all(|line| width(line) == width(&lines[0])), "{text}");
}

#[test]
fn a_list_is_sorted_chosen_and_cut_to_columns() {
    let names = |arguments: &[&str]| {
        let text = printed(&[&["list", "--columns", "run"], arguments].concat());
        text.lines().skip(1).map(str::trim).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["--sort", "seed"]), "fast diverged slow");
    assert_eq!(names(&["--sort", "-learning_rate"]), "diverged fast slow");
    assert!(names(&["--sort", "-train_loss"]).ends_with("diverged"), "it has none");
    assert_eq!(names(&["--where", "learning_rate > .05"]), "diverged fast");
    assert_eq!(names(&["--where", "learning_rate>=.05", "--where", "state = completed"]), "fast slow");
    assert_eq!(names(&["--where", "optimizer.learning_rate < 0.07"]), "slow");
    assert_eq!(names(&["--where", "run ~ ast", "--where", "seed != 3"]), "fast");
    assert_eq!(printed(&["list", "--where", "seed = 9"]), "no run fulfils these conditions\n");
}

#[test]
fn the_numbers_of_a_list_are_those_on_record() {
    let columns = "run,last_loss,lambda_max,lambda_max_residual,scaled_lambda_max,edge_share,steps,wall_seconds";
    let listed = json(&["list", "runs/slow", "--json", "--columns", columns]);
    let run = &listed["runs"][0];
    assert!(listed["faults"].as_array().unwrap().is_empty());
    let recorded = recorded(&RUNS.join("runs/slow"));
    let last = |name: &str| *recorded.iter().rfind(|((column, _), _)| column == name).unwrap().1;
    let close = |name: &str, expected: f64| {
        let found = run[name].as_f64().unwrap();
        assert!((found - expected).abs() <= 1e-14 * expected.abs(), "{name}: {found}, not {expected}");
    };
    close("last_loss", last("loss"));
    close("lambda_max", last("lambda_max[batch]"));
    close("lambda_max_residual", last("lambda_max[batch]_residual"));
    close("scaled_lambda_max", 0.05 * last("lambda_max[batch]"));
    close("edge_share", last("batch_sharpness[batch]_edge"));
    assert_eq!((&run["steps"], run["folder"].as_str()), (&12.into(), Some("runs/slow")));
    assert!(run["wall_seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn lists_that_mean_nothing_are_refused() {
    let refused = |arguments: &[&str], expected: &'static str| {
        let assert = program().arg("list").args(arguments).current_dir(&*RUNS).assert();
        assert.stdout("").stderr(contains(expected))
    };
    refused(&["--where", "lerning_rate > 1"], "did you mean `learning_rate`?").code(2);
    refused(&["--columns", "run,steppes"], "unknown column `steppes`").code(2);
    refused(&["--sort", "-every"], "measure.every").code(2);
    refused(&["--where", "seed"], "is not a condition").code(2);
    refused(&["nowhere"], "cannot read nowhere").code(1);
    let empty = tempfile::tempdir().unwrap();
    refused(&[empty.path().to_str().unwrap()], "there is no run in").code(2);
}

#[test]
fn a_broken_run_is_named_and_hides_no_other() {
    let folder = copies(&["slow", "fast", "diverged"]);
    let list = || program().arg("list").arg(folder.path()).assert().code(1);
    let rows = folder.path().join("fast/run.sqlite");
    fs::write(&rows, &fs::read(&rows).unwrap()[..5000]).unwrap();
    list().stdout(contains("fast").and(contains("slow")).and(contains("diverged"))).stderr(
        contains("1 of 3 runs cannot be read").and(contains("fast/run.sqlite: database disk image is malformed")),
    );
    fs::write(folder.path().join("slow/manifest.json"), "{").unwrap();
    let listed = list().stdout(contains("completed").and(contains("slow").not()));
    listed.stderr(contains("2 of 3 runs").and(contains("slow/manifest.json")));
    let json = program().args(["list", "--json"]).arg(folder.path()).assert().code(1).get_output().stdout.clone();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((json["runs"].as_array().unwrap().len(), json["faults"].as_array().unwrap().len()), (2, 2));
    program().arg("show").arg(folder.path().join("fast")).assert().failure().stderr(contains("fast/run.sqlite"));
}

#[test]
fn a_run_is_shown_with_what_is_on_record() {
    let text = printed(&["show", "slow"]);
    for expected in [
        "slow: completed, 12 steps in ",
        "model.widths             [8]",
        "default \"auto\"",
        "Last rows",
        "Λ_1",
        "run.sqlite",
        "weights.safetensors",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    let shown = json(&["show", "runs/slow", "--json"]);
    let recorded = recorded(&RUNS.join("runs/slow"));
    // The text of a number; its reader here may be off by the last bit.
    let at = |name: &str, step: u64| recorded.get(&(name.to_owned(), step)).map(|number| format!("{number:.12e}"));
    let number = |value: &Value| value.as_f64().map(|number| format!("{number:.12e}"));
    assert_eq!(shown["not_default"]["run.seed"], 3);
    assert_eq!(shown["last_rows"].as_array().unwrap().len(), 5);
    assert_eq!(shown["last_rows"][3]["step"], 11);
    assert_eq!(number(&shown["last_rows"][3]["gradient_norm"]), at("gradient_norm", 11));
    assert_eq!(number(&shown["last_rows"][4]["train_loss"]), at("train_loss", 12));
    assert_eq!(number(&shown["exponents"][1]["value"]), at("exponent_2", 12));
    assert_eq!(number(&shown["manifest"]["train_loss"]), at("train_loss", 12));
    let sharpness = shown["sharpness"].as_array().unwrap();
    assert_eq!(sharpness.len(), 3, "λ_max on two kinds of data, and the batch sharpness: {sharpness:?}");
    for series in sharpness {
        let name = format!("{}[{}]", series["quantity"].as_str().unwrap(), series["on"].as_str().unwrap());
        // In the last fifth the batch sharpness is read at every step.
        let step = if name.starts_with("batch_sharpness") { 11 } else { 10 };
        assert_eq!(series["step"], step, "{name}");
        assert_eq!(number(&series["value"]), at(&name, step), "{name}");
        assert_eq!(number(&series["residual"]), at(&format!("{name}_residual"), step), "{name}");
    }
    let refused = |run: &str, wanted: &'static str| {
        program().args(["show", run]).current_dir(&*RUNS).assert().code(2).stdout("").stderr(contains(wanted));
    };
    refused("slaw", "did you mean `slow`?");
    refused("runs", "there is no run in runs");
}

#[test]
fn exports_have_every_number_to_the_last_bit() {
    let run = RUNS.join("runs/slow");
    let expected = recorded(&run);
    assert_same(&of_csv(&printed(&["export", "slow"])), &expected);
    assert_same(&of_jsonl(&printed(&["export", "slow", "--format", "jsonl"])), &expected);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("deep/slow.parquet");
    printed(&["export", "slow", "--format", "parquet", "--out", file.to_str().unwrap()]);
    assert_same(&of_parquet(&file), &expected);
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    program().args(["export", "slow", "--format", "parquet"]).current_dir(&*RUNS).assert().code(2);
}

fn of_csv(text: &str) -> Numbers {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut numbers = Numbers::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len());
        for (name, cell) in names.iter().zip(&cells).skip(1).filter(|(_, cell)| !cell.is_empty()) {
            if name.ends_with("_product") {
                assert_eq!(*cell, "exact");
            } else {
                numbers.insert(((*name).to_owned(), cells[0].parse().unwrap()), cell.parse().unwrap());
            }
        }
    }
    numbers
}

fn of_jsonl(text: &str) -> Numbers {
    let mut numbers = Numbers::new();
    for line in text.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        for name in object.as_object().unwrap().keys().filter(|name| *name != "step" && !object[*name].is_null()) {
            // The text itself: not every reader of JSON takes the nearest number.
            let (_, rest) = line.split_once(&format!("\"{name}\":")).unwrap();
            let number = rest.split([',', '}']).next().unwrap().parse();
            assert!(number.is_ok() || name.ends_with("_product"), "{name} is {rest}");
            numbers.extend(number.ok().map(|number| ((name.clone(), object["step"].as_u64().unwrap()), number)));
        }
    }
    numbers
}

fn of_parquet(path: &Path) -> Numbers {
    let mut numbers = Numbers::new();
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    for row in reader.get_row_iter(None).unwrap().map(Result::unwrap) {
        let mut step = 0;
        for (name, field) in row.get_column_iter() {
            match field {
                Field::Long(count) => step = count.cast_unsigned(),
                Field::Double(number) => drop(numbers.insert((name.clone(), step), *number)),
                other => assert!(matches!(other, Field::Null | Field::Str(_)), "{name} is {other}"),
            }
        }
    }
    numbers
}

#[test]
fn several_runs_go_into_one_file_or_one_file_each() {
    let text = printed(&["export", "slow", "fast"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * 13);
    assert!(lines[0].starts_with("run,step,loss,") && lines[1].starts_with("slow,0,"), "{}", lines[1]);
    assert!(lines[26].starts_with("fast,12,"), "{}", lines[26]);
    let out = tempfile::tempdir().unwrap();
    printed(&["export", "slow", "fast", "--format", "jsonl", "--out", out.path().to_str().unwrap()]);
    let jsonl = fs::read_to_string(out.path().join("fast.jsonl")).unwrap();
    assert_same(&of_jsonl(&jsonl), &recorded(&RUNS.join("runs/fast")));
    program()
        .args(["export", "slow", "./runs/slow"])
        .current_dir(&*RUNS)
        .assert()
        .code(2)
        .stderr(contains("is named twice"));
}

#[test]
fn events_for_tensorboard_have_every_number_as_near_as_32_bits_come() {
    let out = tempfile::tempdir().unwrap();
    printed(&["export", "slow", "fast", "--format", "tensorboard", "--out", out.path().to_str().unwrap()]);
    let (events, rest) = events_in(&out.path().join("slow"));
    assert_eq!((rest, events[0].version.as_deref()), (0, Some("brain.Event:2")));
    let recorded = recorded(&RUNS.join("runs/slow"));
    let numbers = |event: &events::Event| {
        let mut values: Vec<u32> = event.scalars.iter().map(|(_, value)| value.to_bits()).collect();
        values.sort_unstable();
        (event.step, values)
    };
    #[allow(clippy::cast_possible_truncation, reason = "TensorBoard holds 32 bits")]
    let expected = (0..=12).map(|step| {
        let at = recorded.iter().filter(|((_, at), _)| *at == step).map(|(_, value)| (*value as f32).to_bits());
        let mut values: Vec<u32> = at.collect();
        values.sort_unstable();
        (step, values)
    });
    assert_eq!(events[1..].iter().map(numbers).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let loss = events[6].scalars.iter().find(|(tag, _)| tag == "sharpness/lambda_max[subset=50]");
    #[allow(clippy::cast_possible_truncation, reason = "TensorBoard holds 32 bits")]
    let value = recorded[&("lambda_max[subset=50]".to_owned(), 5)] as f32;
    assert_eq!(loss.map(|(_, value)| *value), Some(value));
}

/// The events in the only such file of a folder, and how many bytes are left over.
fn events_in(folder: &Path) -> (Vec<events::Event>, usize) {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.filter(|path| path.to_str().unwrap().contains("events.out.tfevents.")).collect();
    assert_eq!(files.len(), 1);
    events::events(&fs::read(&files[0]).unwrap())
}

/// A run that would go on for an hour; it ends with this value.
struct Going(Child);

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn begin(folder: &Path) -> Going {
    let mut command = Process::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    command.args(settings(&["run.steps=9000000"])).args(["--quiet", "--tensorboard"]).current_dir(folder);
    Going(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_mins(2), "it never happens");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_run_is_watched_while_it_goes_on_and_reported_as_killed_when_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let going = begin(folder.path());
    let printed = |arguments: &[&str]| {
        let output = program().args(arguments).current_dir(folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    wait_until(|| printed(&["list", "--where", "state = running", "--where", "steps > 10"]).contains("mlp-sgd"));
    let once = printed(&["watch", "--once"]);
    assert!(once.contains("  running  step ") && once.contains("/9000000  loss "), "{once}");
    assert!(!once.contains("η·λ_max —"), "{once}");
    let mut watch = Process::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    let mut watch = watch.arg("watch").current_dir(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.next().unwrap();
    assert!(line.contains("  running  step ") && !line.contains("η·λ_max —"), "{line}");
    let step = |line: &str| line.split("step ").nth(1).unwrap().split('/').next().unwrap().parse::<u64>().unwrap();
    assert!(step(&lines.next().unwrap()) > step(&line), "it goes on");
    drop(going);
    let last: Vec<String> = lines.collect();
    assert_eq!(last.last().map(String::as_str), Some("no runs in progress"), "{last:?}");
    assert!(watch.wait().unwrap().success());
    killed(folder.path(), &printed);
}

/// What is shown of the run that was killed.
fn killed(folder: &Path, printed: &impl Fn(&[&str]) -> String) {
    let run = fs::read_dir(folder.join("runs")).unwrap().next().unwrap().unwrap().path();
    assert!(printed(&["list", "--where", "state = killed"]).contains("mlp-sgd"));
    assert!(printed(&["show", run.to_str().unwrap()]).contains(": killed, "));
    let recorded = recorded(&run);
    let exported = printed(&["export", run.to_str().unwrap()]);
    assert_same(&of_csv(&exported), &recorded);
    // What was written live is whole up to its last record, and says what the rows say.
    let (events, rest) = events_in(&run);
    assert!(rest == 0 && events.len() > 10, "{rest} bytes are left over");
    let mut compared = 0;
    for event in &events[1..] {
        let loss = event.scalars.iter().find(|(tag, _)| tag == "loss/batch").map(|(_, value)| *value);
        if let Some(value) = recorded.get(&("loss".to_owned(), event.step)) {
            #[allow(clippy::cast_possible_truncation, reason = "TensorBoard holds 32 bits")]
            let expected = Some(*value as f32);
            assert_eq!(loss, expected);
            compared += 1;
        }
    }
    assert!(compared > 10);
}

#[test]
fn events_equal_rows_after_a_kill_and_a_resumption_that_does_not_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut train = Process::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    let keys = settings(&["run.steps=60", "checkpoint.every=7", "run.batch_size=64"]);
    train.args(keys).args(["--quiet", "--tensorboard"]).current_dir(folder.path());
    let mut child = train.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = || fs::read_dir(folder.path().join("runs")).ok()?.next()?.ok().map(|entry| entry.path());
    let saved = || {
        let names = run().and_then(|run| fs::read_dir(run).ok());
        names.is_some_and(|mut names| {
            names.any(|name| name.unwrap().file_name().to_string_lossy().starts_with("checkpoint-"))
        })
    };
    wait_until(saved);
    // SIGKILL, wherever it is; where it was faster than that, it has ended, and there is nothing to go on with.
    child.kill().unwrap();
    child.wait().unwrap();
    let run = run().unwrap();
    program().args(["train", "--quiet", "--resume", run.to_str().unwrap()]).assert().success();
    let (events, rest) = events_in(&run);
    let steps: Vec<u64> = events[1..].iter().map(|event| event.step).collect();
    assert_eq!((rest, steps), (0, (0..=60).collect::<Vec<u64>>()), "each row once");
    let recorded = recorded(&run);
    for event in &events[1..61] {
        let loss = event.scalars.iter().find(|(tag, _)| tag == "loss/batch").map(|(_, value)| *value);
        #[allow(clippy::cast_possible_truncation, reason = "TensorBoard holds 32 bits")]
        let expected = Some(recorded[&("loss".to_owned(), event.step)] as f32);
        assert_eq!(loss, expected, "step {}", event.step);
    }
}

/// A viewer that holds the database of a run for so long.
fn held_for(seconds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut train = Process::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    train.args(settings(&["run.steps=800", "checkpoint.every=50"])).arg("--quiet").current_dir(folder.path());
    let mut child = train.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let rows =
        || fs::read_dir(folder.path().join("runs")).ok()?.next()?.ok().map(|entry| entry.path().join("run.sqlite"));
    let filled = || {
        let rows = rows().filter(|rows| rows.is_file()).and_then(|rows| Connection::open(rows).ok());
        rows.is_some_and(|rows| {
            rows.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, i64>(0)).is_ok_and(|n| n > 0)
        })
    };
    wait_until(filled);
    let viewer = Connection::open(rows().unwrap()).unwrap();
    viewer.busy_timeout(Duration::from_secs(5)).unwrap();
    viewer.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::sleep(Duration::from_secs(seconds));
    assert!(child.try_wait().unwrap().is_none(), "the run waits for its end to be written");
    viewer.execute_batch("COMMIT").unwrap();
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{message}");
    let count: i64 = viewer.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 801, "{message}");
}

#[test]
fn a_viewer_that_holds_the_database_does_not_end_the_run() {
    held_for(8);
}

#[test]
#[ignore = "a minute: cargo test --workspace --test program held -- --ignored"]
fn a_viewer_that_has_held_the_database_for_a_minute_does_not_end_the_run() {
    held_for(60);
}

#[test]
fn the_events_of_a_run_end_with_its_final_weights() {
    let folder = tempfile::tempdir().unwrap();
    let mut train = program();
    train.args(settings(&["run.steps=3"])).args(["--quiet", "--tensorboard"]).current_dir(folder.path());
    train.assert().success();
    let run = fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let (events, rest) = events_in(&run);
    let train_loss = events.last().unwrap().scalars.iter().find(|(tag, _)| tag == "loss/train").map(|found| found.1);
    let stored: f64 =
        database(&run).query_row("SELECT train_loss FROM rows WHERE step = 3", [], |row| row.get(0)).unwrap();
    #[allow(clippy::cast_possible_truncation, reason = "TensorBoard holds 32 bits")]
    let expected = Some(stored as f32);
    assert_eq!((rest, events.len(), events[4].step, train_loss), (0, 5, 3, expected));
}

#[test]
fn a_run_of_somebody_elses_loop_is_read_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let run = own_run::train(folder.path()).unwrap().display().to_string();
    let printed = |arguments: &[&str]| {
        let output = program().args(arguments).current_dir(folder.path()).assert().success().get_output().clone();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(printed(&["list", folder.path().to_str().unwrap()]).contains("quadratic"));
    let shown = printed(&["show", &run]);
    assert!(shown.contains("own: completed, 50 steps") && shown.contains("gradient_norm"), "{shown}");
    let exported = printed(&["export", &run]);
    assert!(exported.lines().count() == 52 && exported.lines().nth(1).unwrap().starts_with("0,2.995,"), "{exported}");
    printed(&["report", &run, "--out", "page.html"]);
    assert!(fs::read_to_string(folder.path().join("page.html")).unwrap().contains("quadratic"));
}

#[test]
fn a_learning_rate_that_a_rule_sets_is_no_number_of_a_list() {
    let folder = copies(&["slow", "fast"]);
    let config = folder.path().join("slow/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("rule = \"none\""));
    fs::write(&config, text.replacen("rule = \"none\"", "rule = \"edge-step\"", 1)).unwrap();
    for column in ["learning_rate", "optimizer.learning_rate"] {
        let columns = format!("run,rule,{column}");
        let output = program().args(["list", "--columns", &columns]).arg(folder.path()).assert().success();
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1..], [vec!["fast", "—", "0.07"], vec!["slow", "edge-step", "rule"]], "{text}");
    }
}
