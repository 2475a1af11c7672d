//! The engine of this machine: one process per run, one run per core.

use std::{
    collections::VecDeque,
    env,
    io::Read,
    path::Path,
    process::{ChildStderr, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Plan, Planned, RunStatus, standing::step_of};
use crate::{
    error::{Error, Result},
    terminal::{
        interrupt,
        progress::{Board, Line},
    },
};

/// How many workers may be killed one after the other, without coming further, before their run counts as failed.
const LIVES: u32 = 3;

/// Between two looks at a worker, and at runs that others are making.
const GLANCE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(1);

/// What a sweep has come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepOutcome {
    /// Runs that had ended before.
    pub found: usize,
    /// Runs that were made, here or elsewhere, while we were at it.
    pub made: usize,
    /// Runs that failed, by their index, with the reason.
    pub failed: Vec<(usize, String)>,
}

/// Makes every run of `plan` below `out` that has not ended, `jobs` at a time.
///
/// A run that another process is making is left to it, and waited for.
///
/// # Errors
/// Where this program cannot start itself, and where a signal asked to leave; the workers have saved their runs by
/// then. A run that fails is named in what is returned.
pub fn drive(plan: &Plan, out: &Path, jobs: usize, silent: bool) -> Result<SweepOutcome> {
    let program = env::current_exe().map_err(|cause| Error::io("find", Path::new("this program"), cause))?;
    let open = (0..plan.runs.len()).filter(|i| !matches!(RunStatus::of(&plan.runs[*i], out), RunStatus::Ended(_)));
    let open: VecDeque<usize> = open.collect();
    let found = plan.runs.len() - open.len();
    interrupt::watch();
    let sweep = Sweep {
        plan,
        out,
        program: &program,
        board: Board::new(plan.runs.len() as u64, found as u64, silent),
        queue: Mutex::new(Queue {
            open,
            elsewhere: Vec::new(),
            tallied: SweepOutcome { found, ..SweepOutcome::default() },
        }),
    };
    thread::scope(|scope| (0..jobs.max(1)).for_each(|_| drop(scope.spawn(|| sweep.work()))));
    sweep.board.finish();
    let mut tallied = sweep.queue.into_inner().unwrap_or_else(PoisonError::into_inner).tallied;
    tallied.failed.sort();
    match interrupt::received() {
        Some(signal) => Err(Error::SweepInterrupted { folder: out.to_owned(), signal }),
        None => Ok(tallied),
    }
}

struct Sweep<'a> {
    plan: &'a Plan,
    out: &'a Path,
    program: &'a Path,
    board: Board,
    queue: Mutex<Queue>,
}

struct Queue {
    /// Runs that somebody has to make.
    open: VecDeque<usize>,
    /// Runs that other processes are at.
    elsewhere: Vec<usize>,
    tallied: SweepOutcome,
}

/// What one look at a run has shown.
enum Seen {
    Ended,
    Elsewhere,
    Failed(String),
}

impl Sweep<'_> {
    /// What one core does: run after run, until all have ended.
    fn work(&self) {
        while let Some(index) = self.next() {
            let seen = self.attend(index);
            if interrupt::received().is_none() {
                self.book(index, seen);
            }
        }
    }

    /// The next run that nobody is at; `None` where none is left.
    fn next(&self) -> Option<usize> {
        while interrupt::received().is_none() {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(index) = queue.open.pop_front() {
                return Some(index);
            }
            if queue.elsewhere.is_empty() {
                return None;
            }
            // What others are at is theirs, until it ends or they are gone.
            let free =
                |index: &usize| !matches!(RunStatus::of(&self.plan.runs[*index], self.out), RunStatus::Running(_));
            let (free, busy): (Vec<_>, Vec<_>) = queue.elsewhere.drain(..).partition(free);
            queue.elsewhere = busy;
            let waits = free.is_empty();
            queue.open.extend(free);
            drop(queue);
            if waits {
                thread::sleep(PATIENCE);
            }
        }
        None
    }

    /// Sees to a run, by as many workers as it takes.
    fn attend(&self, index: usize) -> Seen {
        let run = &self.plan.runs[index];
        let line = self.board.line(&self.label(index), run.steps);
        let folder = run.folder(self.out);
        let (mut fault, mut lives, mut come) = (String::new(), LIVES, step_of(&folder));
        while lives > 0 && interrupt::received().is_none() {
            if let RunStatus::Ended(_) = RunStatus::of(run, self.out) {
                return Seen::Ended;
            }
            match self.work_on(run, &line) {
                Ok(Worked::Through) if matches!(RunStatus::of(run, self.out), RunStatus::Ended(_)) => {
                    return Seen::Ended;
                }
                Ok(Worked::Through) => return Seen::Elsewhere,
                Ok(Worked::Refused(message)) => return Seen::Failed(message),
                Ok(Worked::Killed(how)) => {
                    // A worker that came further than the one before it is not lost.
                    let step = step_of(&folder);
                    lives = if step > come { LIVES } else { lives - 1 };
                    (come, fault) = (step.max(come), how);
                }
                Err(cause) => return Seen::Failed(format!("its worker could not be started: {cause}")),
            }
        }
        Seen::Failed(format!("{LIVES} workers were ended and came no further: {fault}"))
    }

    /// Starts a worker and waits for it.
    fn work_on(&self, run: &Planned, line: &Line) -> std::io::Result<Worked> {
        let mut command = Command::new(self.program);
        command.args(["sweep", "run", "--with-parent", "--quiet", "--id", &run.id]);
        command.arg(self.out).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let folder = run.folder(self.out);
        let message = child.stderr.take().map(|stderr| thread::spawn(|| last_words(stderr)));
        let mut looked = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if interrupt::received().is_some() {
                // A worker saves its run and leaves when its standard input ends.
                drop(child.stdin.take());
            }
            if looked.elapsed() >= PATIENCE {
                line.move_to(step_of(&folder));
                looked = Instant::now();
            }
            thread::sleep(GLANCE);
        };
        let message = message.and_then(|message| message.join().ok()).unwrap_or_default();
        Ok(match status.code() {
            Some(0) => Worked::Through,
            // From 128 on it is a signal that ended it.
            Some(..128) if !message.is_empty() => Worked::Refused(message),
            _ => Worked::Killed(status.to_string()),
        })
    }

    fn book(&self, index: usize, seen: Seen) {
        let label = self.label(index);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Seen::Ended => {
                queue.tallied.made += 1;
                self.board.tell(&label, &self.end_of(index));
            }
            Seen::Elsewhere => queue.elsewhere.push(index),
            Seen::Failed(fault) => {
                self.board.tell(&label, &format!("failed: {fault}"));
                queue.tallied.failed.push((index, fault));
            }
        }
    }

    /// How a run has ended, in some words.
    fn end_of(&self, index: usize) -> String {
        match RunStatus::of(&self.plan.runs[index], self.out) {
            RunStatus::Ended(manifest) => manifest.end(),
            other => other.name().to_owned(),
        }
    }

    fn label(&self, index: usize) -> String {
        self.plan.label(&self.plan.runs[index])
    }
}

/// How a worker has left.
enum Worked {
    /// Nothing is wrong: the run has ended, or another process is at it.
    Through,
    /// It said why not.
    Refused(String),
    /// It said nothing.
    Killed(String),
}

/// The error that a worker has printed, without the picture around it; of a panic, what there is.
fn last_words(mut stderr: ChildStderr) -> String {
    let mut message = Vec::new();
    let _ = stderr.read_to_end(&mut message);
    let message = String::from_utf8_lossy(&message);
    let line = message.lines().find_map(|line| line.split_once("error: ").map(|(_, rest)| rest.trim().to_owned()));
    let first = || message.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect::<Vec<_>>().join(" ");
    line.unwrap_or_else(first)
}
