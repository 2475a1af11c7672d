//! One run of a sweep, made by whoever comes first.

use std::{
    io::{self, Read},
    path::Path,
    thread,
};

use crate::{
    commands::train,
    error::{Error, Result},
    folder::{RunFolder, Taken},
    measure::summary::Summary,
    setup,
    sweep::Planned,
    terminal::interrupt,
};

/// What has come of a run.
pub enum Made {
    /// It was made now.
    Now(Box<Summary>),
    /// It had ended before.
    Before,
    /// Another process is at it: who.
    Elsewhere(String),
}

/// Makes a run below `out`, goes on with it, or leaves it alone.
///
/// # Errors
/// Those of the run, and where this version of the program would give it another identity.
pub fn make(run: &Planned, out: &Path, silent: bool) -> Result<Made> {
    let folder = match RunFolder::take(out, &run.id)? {
        Taken::Ended => return Ok(Made::Before),
        Taken::Busy(owner) => return Ok(Made::Elsewhere(owner)),
        Taken::Ours(folder) => folder,
    };
    let mut settings = run.settings()?;
    // There is a run for every core.
    settings.config.run.threads = settings.config.run.threads.max(1);
    let (network, subject) = setup::network(&settings)?;
    settings.resolve(&subject)?;
    if settings.config.identity() != run.id {
        let message = format!("the plan calls a run {}, and this version {}", run.id, settings.config.identity());
        return Err(Error::usage(message, Some("make the plan again by `lyapunov sweep plan`".to_owned())));
    }
    train::run_in(folder, &settings, &network, subject, silent).map(|summary| Made::Now(Box::new(summary)))
}

/// Asks this process to leave when standard input ends: a driver that is gone, however it went, leaves no workers
/// behind.
pub fn end_with_parent() {
    interrupt::watch();
    thread::spawn(|| {
        let mut nothing = [0; 64];
        // Nothing is ever written into it.
        while matches!(io::stdin().read(&mut nothing), Ok(1..)) {}
        interrupt::ask();
    });
}
