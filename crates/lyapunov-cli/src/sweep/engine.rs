//! Engines that run the tasks of a sweep on other machines: the script that each is given.

use std::{fmt::Write, path::Path, process::Command};

use clap::ValueEnum;

use super::Plan;
use crate::{
    commands::report::quoted,
    error::{Error, Result},
    folder::write_file,
};

/// A system that runs tasks on a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// A job array of Slurm, by `sbatch`
    Slurm,
    /// A task array of `HyperQueue`, by `hq`
    Hyperqueue,
}

impl Engine {
    fn command(self) -> &'static [&'static str] {
        match self {
            Self::Slurm => &["sbatch"],
            Self::Hyperqueue => &["hq", "submit"],
        }
    }

    fn script_name(self) -> &'static str {
        match self {
            Self::Slurm => "submit-slurm.sh",
            Self::Hyperqueue => "submit-hyperqueue.sh",
        }
    }
}

/// What is submitted.
pub struct Submission<'a> {
    /// The sweep.
    pub plan: &'a Plan,
    /// Its folder, as the machines of the cluster see it.
    pub out: &'a Path,
    /// This program.
    pub program: &'a Path,
    /// The runs to make.
    pub indices: &'a [usize],
    /// More options for the engine, one directive each.
    pub options: &'a [String],
}

impl Submission<'_> {
    /// Writes the script into the folder of the sweep, and says where it is.
    pub fn write(&self, engine: Engine) -> Result<std::path::PathBuf> {
        let path = self.out.join(engine.script_name());
        write_file(&path, self.script(engine).as_bytes())?;
        Ok(path)
    }

    /// The script.
    pub fn script(&self, engine: Engine) -> String {
        let (runs, missing, indices) = (self.plan.runs.len(), self.indices.len(), ranges(self.indices));
        let (out, program) = (quoted(&self.out.display().to_string()), quoted(&self.program.display().to_string()));
        let mut text = format!(
            "#!/bin/bash\n# The sweep of {}: {runs} runs, of which {missing} are to be made.\n",
            one_line(&self.plan.file)
        );
        text += "# Each task makes its run, goes on with it, or leaves it alone where it has ended or another process is at it.\n";
        let (directive, own, variable) = match engine {
            Engine::Slurm => (
                "#SBATCH",
                vec![
                    "--job-name=lyapunov-sweep".to_owned(),
                    format!("--array={indices}"),
                    "--ntasks=1".to_owned(),
                    "--cpus-per-task=1".to_owned(),
                    "--requeue".to_owned(),
                    format!("--output={}/slurm-%A_%a.log", self.out.display()),
                ],
                "SLURM_ARRAY_TASK_ID",
            ),
            Engine::Hyperqueue => (
                "#HQ",
                vec![
                    "--name lyapunov-sweep".to_owned(),
                    format!("--array {indices}"),
                    "--cpus 1".to_owned(),
                    "--stdout none".to_owned(),
                    format!("--stderr {}/hq-%{{JOB_ID}}_%{{TASK_ID}}.log", self.out.display()),
                ],
                "HQ_TASK_ID",
            ),
        };
        for option in own.iter().chain(self.options) {
            let _ = writeln!(text, "{directive} {}", one_line(option));
        }
        let _ = writeln!(text, "\nexec {program} sweep run {out} --index \"${variable}\"");
        text
    }

    /// Hands the script at `path` to the engine; its answer.
    ///
    /// # Errors
    /// Where the engine is not installed here, or refuses.
    pub fn submit(engine: Engine, path: &Path) -> Result<String> {
        let [program, arguments @ ..] = engine.command() else { unreachable!("every engine has a command") };
        let by_hand = format!("`{} {}` on a machine that has it", engine.command().join(" "), path.display());
        let output = Command::new(program).args(arguments).arg(path).output().map_err(|cause| {
            let told = if cause.kind() == std::io::ErrorKind::NotFound {
                format!("`{program}` is not installed here")
            } else {
                format!("cannot start `{program}`: {cause}")
            };
            Error::usage(told, Some(format!("the script is written: submit it by {by_hand}")))
        })?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            let message = format!("`{program}` refuses the sweep: {}", told.trim());
            return Err(Error::usage(
                message,
                Some(format!("the script is {}; `--option` adds a directive", path.display())),
            ));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Indices as engines write them: 0-3,7.
fn ranges(indices: &[usize]) -> String {
    let runs = indices.chunk_by(|a, b| a + 1 == *b);
    let told = runs.map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    told.collect::<Vec<_>>().join(",")
}

/// Nothing ends the line of a directive or comment but its end.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(engine: Engine, out: &str) -> String {
        let plan =
            Plan { format: 1, version: String::new(), file: "s\nrm".to_owned(), keys: Vec::new(), runs: Vec::new() };
        let (out, program) = (Path::new(out), Path::new("/opt/my tools/lyapunov"));
        let options = ["--time=01:00:00".to_owned()];
        Submission { plan: &plan, out, program, indices: &[0, 1, 2, 5, 7, 8], options: &options }.script(engine)
    }

    #[test]
    fn a_script_names_the_missing_runs_and_quotes_what_the_shell_would_read() {
        let slurm = script(Engine::Slurm, "/data/it's");
        assert!(
            slurm.contains("#SBATCH --array=0-2,5,7-8\n") && slurm.contains("#SBATCH --time=01:00:00\n"),
            "{slurm}"
        );
        assert!(
            slurm.ends_with(
                "exec '/opt/my tools/lyapunov' sweep run '/data/it'\\''s' --index \"$SLURM_ARRAY_TASK_ID\"\n"
            )
        );
        assert!(slurm.starts_with("#!/bin/bash\n# The sweep of s rm: 0 runs"));
        let hq = script(Engine::Hyperqueue, "/data/sweep");
        assert!(hq.contains("#HQ --array 0-2,5,7-8\n") && hq.contains("sweep run /data/sweep --index \"$HQ_TASK_ID\""));
    }
}
