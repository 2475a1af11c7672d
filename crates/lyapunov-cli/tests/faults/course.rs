//! A small run with all that has a state, and what it comes to.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use lyapunov::Snapshot;
use lyapunov_runs::saved_from_safetensors;
use rusqlite::{Connection, OpenFlags, types::Value};

/// Batch normalisation, momentum, augmentation, two exponents, two trackers and a rule that remembers.
const CONFIGURATION: &str = "
    [data]
    augment = true
    subset = 200
    [model]
    widths = [2, 4]
    normalization = \"batch\"
    [optimizer]
    name = \"heavy-ball\"
    [control]
    rule = \"edge-step\"
    [measure]
    every = 10
    on = [\"batch\", \"subset=50\"]
    [exponents]
    count = 2
    every = 3
    [checkpoint]
    every = 6
    [run]
    steps = 30
    batch_size = 20
";

/// A folder for runs of the same configuration.
pub struct Ground {
    folder: tempfile::TempDir,
}

/// All that a run has left, but times.
#[derive(Debug, PartialEq)]
pub struct Traces {
    pub weights: Vec<u8>,
    pub rows: Vec<Vec<String>>,
    pub manifest: serde_json::Value,
    pub picture: String,
    pub last_checkpoint: Snapshot,
}

impl Ground {
    pub fn new() -> Self {
        Self::of(CONFIGURATION)
    }

    /// For runs of another configuration.
    pub fn of(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run.toml"), configuration).unwrap();
        // A few images from files: those that are made up by default take longer than the runs.
        let images = ["data", "synthesize", "--train", "300", "--test", "50"];
        assert_eq!(status(program().args(images).arg(folder.path().join("images")).output().unwrap()), Some(0));
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `lyapunov train` with its runs below `out`.
    pub fn train(&self, out: &str) -> Command {
        let mut command = program();
        command.arg("train").arg(self.path("run.toml")).arg("--quiet").arg("--out").arg(self.path(out));
        command.arg("--data").arg(self.path("images"));
        command
    }

    /// One whose first step takes long: the eigenvalues of everything, thoroughly.
    pub fn train_slowly(&self, out: &str) -> Command {
        let mut command = program();
        command.arg("train").arg(self.path("run.toml")).arg("--quiet").arg("--out").arg(self.path(out));
        for assignment in ["measure.on=[\"full\"]", "measure.products=500", "data.subset=5000"] {
            command.args(["--set", assignment]);
        }
        command
    }

    /// The next attempt at the only run below `out`: it goes on, or begins where it was killed before there was
    /// anything to go on from.
    pub fn attempt(&self, out: &str) -> Command {
        if let Some(run) = self.run(out).filter(|run| run.join("manifest.json").is_file()) {
            return resume(&run);
        }
        let _ = fs::remove_dir_all(self.path(out));
        self.train(out)
    }

    /// The only run below `out`.
    pub fn run(&self, out: &str) -> Option<PathBuf> {
        let mut runs = fs::read_dir(self.path(out)).ok()?.map(|entry| entry.unwrap().path());
        runs.next()
    }

    /// The run that nothing befell.
    pub fn unbroken(&self) -> Traces {
        assert_eq!(status(self.train("whole").output().unwrap()), Some(0));
        Traces::of(&self.run("whole").unwrap())
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lyapunov"));
    // Outside the repository, whose commit would stand in the manifest, and changes while people work.
    command.current_dir(std::env::temp_dir());
    command.env_remove("BURN_DEVICE").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `lyapunov train --resume`.
pub fn resume(run: &Path) -> Command {
    let mut command = program();
    command.args(["train", "--quiet", "--resume"]).arg(run);
    command
}

/// The exit code; what went wrong is shown with the failure of the test.
pub fn status(output: Output) -> Option<i32> {
    let Output { status, stderr, .. } = output;
    let message = String::from_utf8_lossy(&stderr);
    assert!(!message.contains("panicked"), "{message}");
    print!("{message}");
    status.code()
}

/// Sends a signal by its name.
pub fn send(signal: &str, child: &Child) {
    Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
}

/// A time below `longest`, by chance.
pub fn instant(stream: &mut lyapunov::Stream, longest: f64) -> Duration {
    Duration::from_secs_f64(longest * stream.uniform())
}

impl Traces {
    pub fn of(run: &Path) -> Self {
        let mut manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
        for time in ["started", "finished", "wall_seconds"] {
            manifest.as_object_mut().unwrap().remove(time);
        }
        manifest["summary"].as_object_mut().expect("the run has ended").remove("wall_seconds");
        let checkpoint = fs::read(run.join(format!("checkpoint-{}.safetensors", manifest["steps"]))).unwrap();
        Self {
            weights: fs::read(run.join("weights.safetensors")).unwrap(),
            rows: rows(&run.join("run.sqlite")),
            manifest,
            picture: fs::read_to_string(run.join("run.svg")).unwrap(),
            last_checkpoint: saved_from_safetensors(&checkpoint).unwrap().0,
        }
    }
}

/// Every row of every table but the list of checkpoints, numbers by their bits.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let text = |value: Value| match value {
        Value::Real(number) => format!("{:x}", number.to_bits()),
        other => format!("{other:?}"),
    };
    let mut all = Vec::new();
    for table in ["rows", "sharpness", "nearby", "along", "secants", "exponents"] {
        let mut select = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).unwrap();
        let columns = select.column_count();
        let found = select.query_map([], |row| (0..columns).map(|i| Ok(text(row.get(i)?))).collect());
        all.extend(found.unwrap().map(|row: rusqlite::Result<Vec<String>>| row.unwrap()));
    }
    all
}

/// What of the folder of a run is there: no half files, one checkpoint.
pub fn check_whole(run: &Path) {
    let mut names: Vec<String> =
        fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = [
        "SHA256SUMS",
        "checkpoint-30.safetensors",
        "config.toml",
        "lock",
        "manifest.json",
        "run.sqlite",
        "run.svg",
        "weights.safetensors",
    ];
    assert_eq!(names, expected);
}
