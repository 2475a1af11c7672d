//! Engines that run the tasks of a sweep on other machines: the script that each is given.

use std::{fmt::Write, path::Path, process::Command};

use clap::ValueEnum;

use super::{Plan, Planned};
use crate::{
    error::{Error, Result},
    folder::write_file,
    text::{counted, shell::quoted},
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
    pub runs: &'a [&'a Planned],
    /// More options for the engine, one directive each.
    pub options: &'a [String],
    /// Which part of the sweep this is, and of how many: 1 of 1 where the cluster takes all at once.
    pub part: (usize, usize),
}

/// How many tasks an array may have: of Slurm the `MaxArraySize` of its configuration, which counts the largest index
/// and one; a thousand where that cannot be asked.
pub fn largest_array(engine: Engine) -> usize {
    const USUAL: usize = 1000;
    if engine == Engine::Hyperqueue {
        return usize::MAX;
    }
    let answer = Command::new("scontrol").args(["show", "config"]).output();
    let message = answer.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    max_array_size(&message).unwrap_or(USUAL)
}

/// `MaxArraySize            = 1001`.
fn max_array_size(configuration: &str) -> Option<usize> {
    let line = configuration.lines().find(|line| line.trim_start().starts_with("MaxArraySize"))?;
    line.split_once('=')?.1.trim().parse().ok().filter(|size| *size > 0)
}

impl Submission<'_> {
    /// Writes the script into the folder of the sweep, and says where it is.
    pub fn write(&self, engine: Engine) -> Result<std::path::PathBuf> {
        let name = engine.script_name();
        let name = match self.part {
            (_, 1) => name.to_owned(),
            (part, _) => name.replace(".sh", &format!("-{part}.sh")),
        };
        let path = self.out.join(name);
        write_file(&path, self.script(engine).as_bytes())?;
        Ok(path)
    }

    /// The script.
    pub fn script(&self, engine: Engine) -> String {
        let (runs, missing) = (self.plan.runs.len(), self.runs.len());
        let last = missing.saturating_sub(1);
        let (out, program) = (quoted(&self.out.display().to_string()), quoted(&self.program.display().to_string()));
        let mut text = format!(
            "#!/bin/bash\n# The sweep of {}: {}, {missing} of them to be made here.\n",
            one_line(&self.plan.file),
            counted(runs, "run")
        );
        text += "# Each task makes its run, goes on with it, or leaves it alone where it has ended or another process \
            is at it.\n";
        let (directive, own, variable) = match engine {
            Engine::Slurm => (
                "#SBATCH",
                vec![
                    "--job-name=lyapunov-sweep".to_owned(),
                    format!("--array=0-{last}"),
                    "--ntasks=1".to_owned(),
                    "--cpus-per-task=1".to_owned(),
                    "--requeue".to_owned(),
                    format!(
                        "--output={}",
                        in_directive(&format!("{}/slurm-%A_%a.log", self.out.display().to_string().replace('%', "%%")))
                    ),
                ],
                "SLURM_ARRAY_TASK_ID",
            ),
            Engine::Hyperqueue => (
                "#HQ",
                vec![
                    "--name lyapunov-sweep".to_owned(),
                    format!("--array 0-{last}"),
                    "--cpus 1".to_owned(),
                    "--stdout none".to_owned(),
                    format!(
                        "--stderr {}",
                        in_directive(&format!("{}/hq-%{{JOB_ID}}_%{{TASK_ID}}.log", self.out.display()))
                    ),
                ],
                "HQ_TASK_ID",
            ),
        };
        for option in own.iter().chain(self.options) {
            let _ = writeln!(text, "{directive} {}", one_line(option));
        }
        let ids: Vec<&str> = self.runs.iter().map(|run| run.id.as_str()).collect();
        let _ = writeln!(text, "\nruns=({})", ids.join(" "));
        let _ = writeln!(text, "exec {program} sweep run {out} --id \"${{runs[${variable}]}}\"");
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
            let text = if cause.kind() == std::io::ErrorKind::NotFound {
                format!("`{program}` is not installed here")
            } else {
                format!("cannot start `{program}`: {cause}")
            };
            Error::usage(text, Some(format!("the script is written: submit it by {by_hand}")))
        })?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let message = format!("`{program}` refuses the sweep: {}", text.trim());
            return Err(Error::usage(
                message,
                Some(format!("the script is {}; `--option` adds a directive", path.display())),
            ));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// A word of a directive.
fn in_directive(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+=:,@%{}".contains(letter);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Nothing ends the line of a directive or comment but its end.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(engine: Engine, out: &str) -> String {
        let run = |id: &str| Planned { id: id.to_owned(), values: Vec::new(), steps: 1, set: Vec::new() };
        let runs = ["mlp-1", "mlp-2", "mlp-3"].map(run);
        let plan = Plan::new("s\nrm".to_owned(), Vec::new(), runs.to_vec());
        let (out, program) = (Path::new(out), Path::new("/opt/my tools/lyapunov"));
        let (options, runs) = (["--time=01:00:00".to_owned()], [&plan.runs[0], &plan.runs[2]]);
        Submission { plan: &plan, out, program, runs: &runs, options: &options, part: (1, 1) }.script(engine)
    }

    #[test]
    fn a_script_names_the_missing_runs_and_quotes_what_the_shell_would_read() {
        let slurm = script(Engine::Slurm, "/data/it's 5%");
        assert!(slurm.contains("#SBATCH --array=0-1\n") && slurm.contains("#SBATCH --time=01:00:00\n"), "{slurm}");
        assert!(slurm.contains("#SBATCH --output=\"/data/it's 5%%/slurm-%A_%a.log\"\n"), "{slurm}");
        assert!(slurm.contains("\nruns=(mlp-1 mlp-3)\n"), "{slurm}");
        let last = "exec '/opt/my tools/lyapunov' sweep run \"/data/it's 5%\" --id \"${runs[$SLURM_ARRAY_TASK_ID]}\"\n";
        assert!(slurm.ends_with(last), "{slurm}");
        assert!(slurm.starts_with("#!/bin/bash\n# The sweep of s rm: 3 runs, 2 of them"));
        let message = "Configuration data as of 2026-11-30\nMaxArraySize            = 1001\nMaxJobCount = 10000\n";
        assert_eq!((max_array_size(message), max_array_size("")), (Some(1001), None));
        let hq = script(Engine::Hyperqueue, "/data/sweep");
        assert!(
            hq.contains("#HQ --array 0-1\n") && hq.contains("sweep run /data/sweep --id \"${runs[$HQ_TASK_ID]}\""),
            "{hq}"
        );
    }
}
