//! Every option that names an output, and everything that an output may be.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "in a test a fault is a failure")]

use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// A folder with a run in it, and the commands that write an output.
struct Stage {
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        let set = ["run.steps=2", "data.subset=32", "run.batch_size=16", "model.name=linear", "measure.every=0"];
        let mut train = stage.program(&["train", "--quiet", "--out", "runs"]);
        for key in set {
            train.args(["--set", key]);
        }
        assert!(train.status().unwrap().success());
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lyapunov"));
        command.current_dir(self.folder.path()).env("NO_COLOR", "1").args(arguments);
        command
    }

    /// Every command with an option for one output, but for the output; and what the output begins with.
    fn commands(&self) -> Vec<(Vec<String>, &'static [u8])> {
        let run = fs::read_dir(self.path("runs")).unwrap().next().unwrap().unwrap().path().display().to_string();
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
        vec![
            (words(&format!("export {run} --out")), b"step,"),
            (words(&format!("export {run} --format parquet --out")), b"PAR1"),
            (words(&format!("report {run} --out")), b"<!doctype html>"),
            (words("exponents tent --steps 100 --plot"), b"<svg"),
            (words(&format!("measure --run {run} --what lambda_max --on batch=0 --export")), b""),
        ]
    }

    fn run(&self, words: &[String], output: &Path) -> Output {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.program(&words).arg(output).output().unwrap()
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_no_regular_file_is_written_into_and_never_replaced() {
    let stage = Stage::new();
    let fifo = stage.path("pipe.svg");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // As root a device may be made, of the kind of /dev/null; elsewhere the real one stands for it.
    let node = stage.path("null.svg");
    let made = Command::new("mknod").arg(&node).args(["c", "1", "3"]).output().unwrap().status.success();
    let usable = made && fs::OpenOptions::new().write(true).open(&node).is_ok();
    let device = if usable { node } else { PathBuf::from("/dev/null") };
    for (words, head) in stage.commands() {
        let reader = std::thread::spawn({
            let fifo = fifo.clone();
            move || fs::read(fifo).unwrap()
        });
        let output = stage.run(&words, &fifo);
        assert!(output.status.success(), "{words:?}: {}", printed(&output));
        assert!(reader.join().unwrap().starts_with(head), "{words:?}");
        assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo(), "{words:?} replaced the pipe");

        let output = stage.run(&words, &device);
        assert!(output.status.success(), "{words:?}: {}", printed(&output));
        assert!(fs::symlink_metadata(&device).unwrap().file_type().is_char_device(), "{words:?} replaced the device");

        // `--out >(cmd)`: a descriptor of the shell.
        let line = words.join(" ");
        let program = env!("CARGO_BIN_EXE_lyapunov");
        let script = format!("'{program}' {line} >(cat > caught) && sleep 0.5 && test -s caught");
        let shell = Command::new("bash").current_dir(stage.folder.path()).args(["-c", &script]).output().unwrap();
        assert!(shell.status.success(), "{words:?}: {}", printed(&shell));
        fs::remove_file(stage.path("caught")).unwrap();
    }
}

#[test]
fn links_are_followed_permissions_stay_and_read_only_files_are_refused() {
    let stage = Stage::new();
    for (words, head) in stage.commands() {
        let (file, link, waiting) = (stage.path("file.svg"), stage.path("link.svg"), stage.path("waiting.svg"));
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file.svg", &link).unwrap();
        symlink("new.svg", &waiting).unwrap();
        for (output, target) in [(&link, &file), (&waiting, &stage.path("new.svg"))] {
            let done = stage.run(&words, output);
            assert!(done.status.success(), "{words:?}: {}", printed(&done));
            assert!(fs::symlink_metadata(output).unwrap().is_symlink(), "{words:?} replaced the link");
            assert!(fs::read(target).unwrap().starts_with(head) && fs::read(target).unwrap() != b"before", "{words:?}");
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640, "{words:?}");

        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        let refused = stage.run(&words, &file);
        assert!(
            !refused.status.success() && printed(&refused).contains("read-only"),
            "{words:?}: {}",
            printed(&refused)
        );
        assert_eq!(fs::read(&file).unwrap(), b"before");
        for path in [file, link, waiting, stage.path("new.svg")] {
            fs::remove_file(path).unwrap();
        }
    }
}
