//! Images from folders and archives, a choice of classes, `data check`, and that nothing else opens a connection.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::server::{archive, hundred, md5, names, program, records};
use predicates::{prelude::PredicateBooleanExt, str::contains};
use serde_json::Value;
use tempfile::TempDir;

/// `lyapunov train`, a second or less, on the images at `data`.
fn train(out: &Path, data: &Path, assignments: &[&str]) -> assert_cmd::Command {
    let mut command = program();
    command.args(["train", "--json", "--set", "model.name=mlp", "--set", "model.widths=[8]", "--set", "run.steps=3"]);
    command.args(["--set", "run.batch_size=10", "--data"]).arg(data).arg("--out").arg(out);
    for assignment in assignments {
        command.args(["--set", assignment]);
    }
    command
}

fn trained(out: &Path, data: &Path, assignments: &[&str]) -> Value {
    let output = train(out, data, assignments).assert().success().get_output().clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is said of a fault, with the folder of the test left out.
fn printed(command: &mut assert_cmd::Command, folder: &Path, code: i32) -> String {
    let output = command.assert().code(code).get_output().clone();
    String::from_utf8(output.stderr).unwrap().replace(&folder.display().to_string(), "DIR")
}

/// A folder and an archive of the same images.
fn both() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (files, packed) = (folder.path().join("files"), folder.path().join("images.tar.gz"));
    fs::create_dir(&files).unwrap();
    fs::write(files.join("train.bin"), records(100, 1)).unwrap();
    fs::write(files.join("test.bin"), records(20, 2)).unwrap();
    fs::write(&packed, hundred(1)).unwrap();
    (folder, files, packed)
}

fn check(path: &Path) -> Value {
    let output = program().args(["data", "check", "--json"]).arg(path).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_folder_and_an_archive_of_it_give_the_same_run() {
    let (folder, files, packed) = both();
    let runs = [&files, &packed].map(|data| trained(folder.path(), data, &[]));
    for key in ["train_loss", "test_accuracy"] {
        assert_eq!(runs[0][key], runs[1][key]);
    }
    assert_eq!((&runs[1]["data"], &runs[1]["classes"]), (&"cifar100".into(), &100.into()));
    assert_eq!(runs[1]["training_images"], 100);
    let config = fs::read_to_string(Path::new(runs[1]["run"].as_str().unwrap()).join("config.toml")).unwrap();
    assert!(config.contains("name = \"cifar100\"") && config.contains("images.tar.gz\""), "{config}");
    assert_eq!(names(folder.path()).iter().filter(|name| !name.starts_with("mlp")).count(), 2, "nothing is unpacked");
    // The set that the configuration names is that set.
    let coarse = trained(folder.path(), &files, &["data.name=cifar100-coarse"]);
    assert_eq!((&coarse["data"], &coarse["classes"]), (&"cifar100-coarse".into(), &20.into()));
    let other = printed(&mut train(folder.path(), &files, &["data.name=cifar10"]), folder.path(), 1);
    assert!(other.contains("DIR/files: these are the files of \"cifar100\", not of \"cifar10\""), "{other}");
}

#[test]
fn classes_are_chosen_and_counted() {
    let (folder, files, _) = both();
    let run = trained(folder.path(), &files, &["data.name=cifar100-coarse", "data.classes=[3, 0, 19]"]);
    assert_eq!((&run["classes"], &run["training_images"]), (&3.into(), &15.into()));
    assert_eq!(run["data"], "cifar100-coarse[3, 0, 19]");
    let few = trained(folder.path(), &files, &["data.name=cifar100-coarse", "data.classes=[3, 0]", "data.subset=10"]);
    assert_eq!((&few["classes"], &few["training_images"]), (&2.into(), &10.into()));
    let refusal = |assignments: &[&str]| printed(&mut train(folder.path(), &files, assignments), folder.path(), 2);
    insta::assert_snapshot!(refusal(&["data.classes=[3, 100]"]), @"error: `--set data.classes=[3, 100]`: \
        `data.classes` must name classes from 0 to 99 of cifar100, not [3, 100]");
    insta::assert_snapshot!(refusal(&["data.classes=[3, 3]"]), @r#"error: `--set data.classes=[3, 3]`: `data.classes` must be "all" or a list of at least two different class numbers, such as [0, 1], not [3, 3]"#);
    let many = refusal(&["data.name=cifar100-coarse", "data.classes=[0, 1]", "data.subset=11"]);
    assert!(many.contains("the number of training images, 10"), "{many}");
}

#[test]
fn an_archive_that_cannot_be_used_is_reported() {
    let (folder, _, packed) = both();
    let whole = fs::read(&packed).unwrap();
    fs::write(&packed, &whole[..whole.len() - 1000]).unwrap();
    insta::assert_snapshot!("archive-cut-short", printed(&mut train(folder.path(), &packed, &[]), folder.path(), 1));
    fs::write(&packed, archive(&[("a/data_batch_1.bin", b"x")])).unwrap();
    insta::assert_snapshot!(
        "archive-without-files",
        printed(&mut train(folder.path(), &packed, &[]), folder.path(), 1)
    );
    assert_eq!(names(folder.path()), ["files", "images.tar.gz"], "nothing is made");
}

#[test]
fn a_check_shows_what_is_there() {
    let (folder, files, packed) = both();
    let output = program().args(["data", "check"]).arg(&files).assert().success().get_output().clone();
    let text = String::from_utf8(output.stdout).unwrap().replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!("check-folder", text);
    let (of_folder, of_archive) = (check(&files), check(&packed));
    for key in ["set", "verdict", "sha256", "files", "training_labels", "test_images"] {
        assert_eq!(of_folder[key], of_archive[key], "{key}");
    }
    assert_eq!(of_folder["verdict"], "readable");
    assert_eq!(of_archive["md5"], md5(&fs::read(&packed).unwrap()));
    assert_eq!((&of_archive["published_md5"], &of_folder["md5"]), (&false.into(), &Value::Null));
}

#[test]
fn a_check_finds_every_fault() {
    let (_folder, files, packed) = both();
    fs::write(files.join("SHA256SUMS"), format!("# labels and pixels of all files: {}\n", "0".repeat(64))).unwrap();
    let changed = check(&files);
    assert_eq!(changed["verdict"], "faulty");
    assert!(changed["faults"][0].as_str().unwrap().contains("not those that were fetched"));
    fs::write(files.join("train.bin"), &records(2, 1)[1..]).unwrap();
    fs::remove_file(files.join("test.bin")).unwrap();
    let output = program().args(["data", "check"]).arg(&files).assert().code(1).get_output().clone();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 records of 3074 bytes and 3073 bytes more") && text.contains("Faulty."), "{text}");
    assert_eq!(check(&files)["faults"].as_array().unwrap().len(), 2);
    fs::write(&packed, b"<html>").unwrap();
    assert!(check(&packed)["faults"][0].as_str().unwrap().contains("this is a web page"));
    program().args(["data", "check", "/no/such"]).assert().code(1).stdout("").stderr(contains("/no/such"));
    let empty = tempfile::tempdir().unwrap();
    program()
        .args(["data", "check"])
        .arg(empty.path())
        .assert()
        .code(1)
        .stdout(contains("no known set").and(contains("data_batch_1.bin")));
}

#[test]
fn what_was_fetched_checks_with_other_programs_too() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(1));
    let server = crate::server::Server::good(file.clone());
    crate::server::fetch(folder.path(), &md5(&file), &[&server.address])
        .arg("--quiet")
        .assert()
        .success()
        .stdout("")
        .stderr("");
    let images = folder.path().join("cifar100");
    let report = check(&images);
    assert_eq!((&report["sha256"], &report["verdict"]), (&report["recorded_sha256"], &"readable".into()));
    let sums = fs::read_to_string(images.join("SHA256SUMS")).unwrap();
    for file in report["files"].as_array().unwrap() {
        let line = format!("{}  {}\n", file["sha256"].as_str().unwrap(), file["name"].as_str().unwrap());
        assert!(sums.contains(&line), "{sums}");
    }
    assert_eq!(trained(folder.path(), &images, &[])["data"], "cifar100");
}

/// The children of a process.
#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<u32> {
    let message = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    message.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Runs the program to its end and looks at it and its children meanwhile: a socket is a file that is open. How often
/// it was looked.
#[cfg(target_os = "linux")]
fn looks_without_a_socket(command: &mut std::process::Command) -> usize {
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut looks = 0;
    while child.try_wait().unwrap().is_none() {
        for process in [vec![child.id()], children(child.id())].concat() {
            for file in fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten() {
                let target = fs::read_link(file.path()).unwrap_or_default();
                assert!(!target.to_string_lossy().starts_with("socket:"), "{command:?}: {}", target.display());
            }
        }
        looks += 1;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success(), "{command:?}");
    looks
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_a_sweep_and_a_report_open_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let program = || std::process::Command::new(assert_cmd::cargo::cargo_bin("lyapunov"));
    let set = ["--set", "model.name=mlp", "--set", "data.subset=200", "--set", "run.steps=60"];
    let runs = folder.path().join("runs");
    let train = looks_without_a_socket(program().args(["train", "--quiet"]).args(set).arg("--out").arg(&runs));
    let plan = folder.path().join("sweep.toml");
    fs::write(&plan, "model.name = \"mlp\"\ndata.subset = 200\nrun.steps = 30\n[sweep]\nseed = 2\n").unwrap();
    let sweep = looks_without_a_socket(program().arg("sweep").arg(plan).arg("--out").arg(folder.path().join("sweep")));
    let page = folder.path().join("report.html");
    let report = looks_without_a_socket(program().arg("report").arg(folder.path()).arg("--out").arg(page));
    looks_without_a_socket(program().arg("list").arg(folder.path()));
    assert!(train > 10 && sweep > 10 && report > 0, "{train}, {sweep}, {report}");
}

/// That nothing but the download can open one.
#[test]
fn only_the_download_knows_the_network() {
    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let all =
        [crates.join("lyapunov/src"), crates.join("lyapunov-cli/src")].into_iter().flat_map(|folder| sources(&folder));
    let networked: Vec<PathBuf> = all
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            [
                "ureq",
                "std::net",
                "net::{",
                "os::unix::net",
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "UnixStream",
                "UnixListener",
            ]
            .iter()
            .any(|word| text.contains(word))
        })
        .collect();
    let download = |path: &&PathBuf| path.starts_with(crates.join("lyapunov-cli/src/data/download"));
    assert!(networked.contains(&crates.join("lyapunov-cli/src/data/download.rs")));
    assert!(networked.iter().all(|path| download(&path) || path.ends_with("data/download.rs")), "{networked:?}");
}
