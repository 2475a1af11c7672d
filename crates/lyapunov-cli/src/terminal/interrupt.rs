//! Signals that ask the program to leave: noted in a flag, so that a run saves itself first.
//!
//! The run looks at the flag between two steps. Where a step takes too long, the program leaves all the same, and what
//! is lost is what came after the last checkpoint. A Ctrl-C after any of these signals leaves at once.

use std::{
    fmt,
    io::{self, Write},
    process,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use signal_hook::{consts, flag, low_level::signal_name};

/// The signals that ask to leave: Ctrl-C, the usual one, those by which batch systems announce the end of the time, and
/// the one that comes where a terminal or an ssh is closed.
#[cfg(unix)]
const SIGNALS: [i32; 5] = [consts::SIGINT, consts::SIGTERM, consts::SIGUSR1, consts::SIGXCPU, consts::SIGHUP];
#[cfg(not(unix))]
const SIGNALS: [i32; 2] = [consts::SIGINT, consts::SIGTERM];

/// How long a step may take after a signal before the program leaves without saving, and how often it is looked after.
pub const PATIENCE: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(50);

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

impl Signal {
    /// 128 and its number, as shells have it.
    pub fn exit_code(self) -> u8 {
        128_i32.saturating_add(self.0).try_into().unwrap_or(u8::MAX)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(signal_name(self.0).unwrap_or("a signal"))
    }
}

/// The number of the last signal; 0 where there was none.
static NOTED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on, signals that ask to leave are noted.
pub fn watch() {
    NOTED.get_or_init(|| {
        let noted = Arc::new(AtomicUsize::new(0));
        // Where a handler cannot be set, the signal does what it always did.
        let _ = set_handlers(&noted);
        thread::spawn(leave_in_time);
        noted
    });
}

/// The signal that has come, if one has.
pub fn received() -> Option<Signal> {
    let number = NOTED.get()?.load(Ordering::Relaxed);
    i32::try_from(number).ok().filter(|number| *number > 0).map(Signal)
}

/// As if the usual signal had come.
pub fn ask() {
    if let Some(noted) = NOTED.get() {
        noted.store(consts::SIGTERM as usize, Ordering::Relaxed);
    }
}

fn set_handlers(noted: &Arc<AtomicUsize>) -> io::Result<()> {
    let armed = Arc::new(AtomicBool::new(false));
    // Before the handlers that arm it, so that the first Ctrl-C does not.
    flag::register_conditional_shutdown(consts::SIGINT, 128 + consts::SIGINT, Arc::clone(&armed))?;
    for signal in SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)) {
        flag::register(signal, Arc::clone(&armed))?;
        flag::register_usize(signal, Arc::clone(noted), signal as usize)?;
    }
    Ok(())
}

/// Whether the process was started to ignore this signal, as `nohup` does for the one of a closed terminal: then it
/// stays so.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signal == consts::SIGHUP && mask & (1 << (signal - 1)) != 0
}

/// From now on, a file that may not grow any more is an error that can be reported, and not the end of the process.
pub fn outlive_full_files() {
    // Where the handler cannot be set, the system does what it always did.
    #[cfg(unix)]
    let _ = flag::register(consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Ends the process where it has not left some seconds after a signal.
fn leave_in_time() {
    let signal = loop {
        thread::sleep(LOOK);
        if let Some(signal) = received() {
            break signal;
        }
    };
    thread::sleep(PATIENCE);
    let message = "error: the step after the signal took too long to be waited for; a run goes on from its last \
        checkpoint, by\n\
                `lyapunov train --resume DIR`\n";
    let _ = io::stderr().write_all(message.as_bytes());
    process::exit(signal.exit_code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_codes_of_shells() {
        assert_eq!((Signal(2).exit_code(), Signal(15).exit_code()), (130, 143));
        assert_eq!(Signal(15).to_string(), "SIGTERM");
    }
}
