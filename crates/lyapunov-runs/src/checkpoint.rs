//! Checkpoints of a run: all that it needs to go on, in one file that appears whole or not at all.
//!
//! The file comes first and then its line in the database, together with the rows that belong to it: what the database
//! lists is on the disk. What is on the disk and not listed, or not what it was, is not used.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::{Duration, Instant},
};

use lyapunov::Snapshot;
use serde::{Deserialize, Serialize};

use crate::{
    digest::sha256,
    error::{Error, Result},
    folder::RunFolder,
    saved_from_safetensors, saved_to_safetensors,
    store::{Listed, Store},
};

/// The version of what is saved. A run that another one has saved is not gone on with: since version 2 convolutions and
/// normalisations have kernels of their own, whose last digits differ.
const FORMAT: u32 = 2;

/// What stands beside the numbers in a checkpoint.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Note {
    /// The version of what is saved.
    pub format: u32,
    /// The digest of the configuration of the run.
    pub configuration: String,
    /// Steps that had been taken.
    pub step: u64,
    /// How long they had taken.
    pub seconds: f64,
}

impl Note {
    /// The note of a run with this configuration after so many steps that took so long.
    pub fn new(configuration: String, step: u64, seconds: f64) -> Self {
        Self { format: FORMAT, configuration, step, seconds }
    }
}

/// The name of the checkpoint after so many steps.
fn file_name(step: u64) -> String {
    format!("checkpoint-{step}.safetensors")
}

fn is_checkpoint(name: &str) -> bool {
    name.starts_with("checkpoint-") && Path::new(name).extension().is_some_and(|extension| extension == "safetensors")
}

/// Writes a checkpoint, lists it with the rows before it, and removes all but the newest `keep`. Where somebody else
/// holds the database, list and rows are written beside it, and nothing is removed.
///
/// # Errors
/// [`Error::Io`] and [`Error::Store`] where it cannot be written; the
/// checkpoint before it is still there then.
#[allow(clippy::missing_panics_doc, reason = "what is expected here always holds")]
pub fn write(folder: &RunFolder, store: &mut Store, saved: &Snapshot, note: &Note, keep: usize) -> Result<()> {
    let text = serde_json::to_string(note).expect("numbers and texts have a JSON form");
    let bytes = saved_to_safetensors(saved, &text)?;
    let file = file_name(note.step);
    folder.write(&file, &bytes)?;
    let new = Listed { step: note.step, file, bytes: bytes.len() as u64, sha256: sha256(&bytes) };
    match store.try_list(&new, keep)? {
        Some(kept) => {
            store.forget_aside()?;
            remove_others(folder, &kept)
        }
        None => store.write_aside(&new),
    }
}

/// Removes the checkpoints that are not among these.
///
/// # Errors
/// [`Error::Io`] where the file system refuses.
pub fn remove_others(folder: &RunFolder, kept: &[String]) -> Result<()> {
    let others = folder.names()?.into_iter().filter(|name| is_checkpoint(name) && !kept.contains(name));
    others.into_iter().try_for_each(|name| folder.remove(&name))
}

/// What was saved, and what stands beside it.
pub type Restored = (Snapshot, Note);

/// The newest checkpoint that is whole and of this configuration; what is wrong with those that were passed over.
///
/// # Errors
/// [`Error::Unusable`] where the newest one that is whole was written by another version: the run would not go on to
/// the same bits, nor may it begin again over what there is.
pub fn newest(folder: &Path, listed: &[Listed], configuration: &str) -> Result<(Option<Restored>, Vec<String>)> {
    let mut faults = Vec::new();
    for listed in listed {
        let path = folder.join(&listed.file);
        match read(folder, listed, configuration) {
            Ok(found) => return Ok((Some(found), faults)),
            Err(Fault::Version(format)) => return Err(other_version(&path, format)),
            Err(Fault::Unusable(fault)) => faults.push(format!("{} {fault}", path.display())),
        }
    }
    Ok((None, faults))
}

fn other_version(path: &Path, format: u32) -> Error {
    let which = if format < FORMAT { "an earlier" } else { "a later" };
    let message = format!(
        "{} is of version {format}, from {which} version of lyapunov, whose sums round otherwise: the run would not \
            go on \
         to the same bits",
        path.display()
    );
    let help = "begin it anew in another folder, or resume it with the version that its manifest.json names";
    Error::unusable(message, Some(help.to_owned()))
}

/// Why a checkpoint is not used.
enum Fault {
    /// Another version has written it.
    Version(u32),
    /// The end of the sentence about what is wrong with it.
    Unusable(String),
}

impl From<String> for Fault {
    fn from(fault: String) -> Self {
        Self::Unusable(fault)
    }
}

/// What a listed checkpoint holds.
fn read(folder: &Path, listed: &Listed, configuration: &str) -> std::result::Result<(Snapshot, Note), Fault> {
    if listed.file != file_name(listed.step) {
        return Err("is not the name of a checkpoint".to_owned().into());
    }
    let bytes =
        contents(&folder.join(&listed.file), listed.bytes).map_err(|cause| format!("cannot be read: {cause}"))?;
    if bytes.len() as u64 != listed.bytes {
        return Err("does not have the length that it was written with".to_owned().into());
    }
    if sha256(&bytes) != listed.sha256 {
        return Err("is not what was written: its SHA-256 is another one".to_owned().into());
    }
    let (saved, note) = saved_from_safetensors(&bytes).map_err(|fault| format!("cannot be used: {fault}"))?;
    let note: Note = serde_json::from_str(&note).map_err(|fault| format!("cannot be used: {fault}"))?;
    match note {
        Note { step, .. } if step != listed.step => Err(format!("was made after {step} steps").into()),
        note if note.configuration != configuration => Err("belongs to another configuration".to_owned().into()),
        Note { format, .. } if format != FORMAT => Err(Fault::Version(format)),
        note => Ok((saved, note)),
    }
}

/// The bytes of a file, and at most one more than there should be.
fn contents(path: &Path, expected: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::with_capacity(fs::metadata(path)?.len().min(expected) as usize);
    file.take(expected.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// When the next checkpoint is due.
pub struct Clock {
    every: u64,
    period: Option<Duration>,
    last: Instant,
}

impl Clock {
    /// The clock of a run that begins or goes on now: a checkpoint after each `every` steps and each `minutes` minutes;
    /// 0 is never.
    pub fn new(every: u64, minutes: f64) -> Self {
        // So long a period that it has no duration never passes.
        let period = Duration::try_from_secs_f64(60.0 * minutes).ok().filter(|period| !period.is_zero());
        Self { every, period, last: Instant::now() }
    }

    /// Whether there are checkpoints at all.
    pub fn is_on(&self) -> bool {
        self.every > 0 || self.period.is_some()
    }

    /// Whether one is due after so many steps.
    pub fn is_due(&self, steps: u64) -> bool {
        let by_steps = self.every > 0 && steps > 0 && steps.is_multiple_of(self.every);
        by_steps || self.period.is_some_and(|period| self.last.elapsed() >= period)
    }

    /// One has been written.
    pub fn reset(&mut self) {
        self.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use lyapunov::{Numbers, Purpose, Stream};

    use super::*;
    use crate::folder::ROWS;

    fn saved(step: u64) -> Snapshot {
        let rows = [("state".to_owned(), Numbers::F64(vec![0.1; 50])), ("steps".to_owned(), Numbers::U64(vec![step]))];
        Snapshot { rows: rows.into_iter().collect() }
    }

    fn note(step: u64) -> Note {
        Note::new("digest".to_owned(), step, 1.5)
    }

    /// A run folder with checkpoints after these steps.
    fn folder_with(out: &Path, steps: &[u64], keep: usize) -> (RunFolder, Store) {
        let folder = RunFolder::claim(out, "run").unwrap();
        let mut store = Store::create(&folder.file(ROWS)).unwrap();
        for step in steps {
            write(&folder, &mut store, &saved(*step), &note(*step), keep).unwrap();
        }
        (folder, store)
    }

    #[test]
    fn the_newest_checkpoint_comes_back_and_old_ones_go() {
        let out = tempfile::tempdir().unwrap();
        let (folder, store) = folder_with(out.path(), &[500, 1000, 1500], 2);
        let (found, faults) = newest(folder.path(), &store.checkpoints().unwrap(), "digest").unwrap();
        assert_eq!((found, faults), (Some((saved(1500), note(1500))), vec![]));
        let mut names = folder.names().unwrap();
        names.retain(|name| is_checkpoint(name));
        names.sort();
        assert_eq!(names, ["checkpoint-1000.safetensors", "checkpoint-1500.safetensors"]);
    }

    #[test]
    fn a_checkpoint_does_not_need_a_database_that_is_held() {
        let out = tempfile::tempdir().unwrap();
        let (folder, mut store) = folder_with(out.path(), &[500], 2);
        let holder = rusqlite::Connection::open(folder.file(ROWS)).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        for step in [1000, 1500] {
            write(&folder, &mut store, &saved(step), &note(step), 2).unwrap();
        }
        drop(store);
        holder.execute_batch("COMMIT").unwrap();
        let mut store = Store::resume(&folder.file(ROWS)).unwrap();
        store.take_up_aside().unwrap();
        let (found, faults) = newest(folder.path(), &store.checkpoints().unwrap(), "digest").unwrap();
        assert_eq!((found, faults), (Some((saved(1500), note(1500))), vec![]));
        // The next one that the database takes clears up.
        write(&folder, &mut store, &saved(2000), &note(2000), 1).unwrap();
        let checkpoints = folder.names().unwrap().into_iter().filter(|name| is_checkpoint(name));
        assert_eq!(checkpoints.collect::<Vec<_>>(), ["checkpoint-2000.safetensors"]);
    }

    #[test]
    fn a_checkpoint_of_another_configuration_is_not_used() {
        let out = tempfile::tempdir().unwrap();
        let (folder, store) = folder_with(out.path(), &[5], 2);
        let (found, faults) = newest(folder.path(), &store.checkpoints().unwrap(), "other").unwrap();
        assert!(found.is_none() && faults[0].ends_with("belongs to another configuration"), "{faults:?}");
    }

    #[test]
    fn a_checkpoint_of_an_earlier_version_is_refused_with_the_reason() {
        let out = tempfile::tempdir().unwrap();
        let (folder, mut store) = folder_with(out.path(), &[5], 2);
        write(&folder, &mut store, &saved(6), &Note { format: 1, ..note(6) }, 2).unwrap();
        let refused = newest(folder.path(), &store.checkpoints().unwrap(), "digest").unwrap_err().to_string();
        assert!(refused.contains("checkpoint-6.safetensors is of version 1, from an earlier"), "{refused}");
        assert!(refused.contains("to the same bits"), "{refused}");
    }

    /// The short form of ten thousand mutations and five hundred truncations: `LYAPUNOV_FAULTS=long`.
    #[test]
    fn whatever_happens_to_a_checkpoint_the_one_before_it_is_used() {
        let long = std::env::var_os("LYAPUNOV_FAULTS").is_some_and(|form| form == "long");
        let (mutations, truncations) = if long { (10_000, 500) } else { (500, 50) };
        let out = tempfile::tempdir().unwrap();
        let (folder, store) = folder_with(out.path(), &[1, 2], 2);
        let (listed, path) = (store.checkpoints().unwrap(), folder.file(&file_name(2)));
        let whole = fs::read(&path).unwrap();
        let mut stream = Stream::new(11, Purpose::Probe, 0);
        let check = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let (found, faults) = newest(folder.path(), &listed, "digest").unwrap();
            assert_eq!((found, faults.len()), (Some((saved(1), note(1))), 1));
        };
        for i in 0..mutations {
            let mut bytes = whole.clone();
            for _ in 0..=stream.below(4) {
                let at = stream.below(bytes.len());
                bytes[at] = bytes[at].wrapping_add(1 + stream.below(255) as u8);
            }
            if i % 5 == 0 {
                bytes.push(0);
            }
            if bytes != whole {
                check(&bytes);
            }
        }
        (0..truncations).for_each(|i| check(&whole[..whole.len() * i / truncations]));
        fs::remove_file(&path).unwrap();
        let (found, faults) = newest(folder.path(), &listed, "digest").unwrap();
        assert!(found.is_some() && faults[0].contains("cannot be read"), "{faults:?}");
    }

    #[test]
    fn checkpoints_are_due_by_steps_and_by_time() {
        let clock = |every, minutes| Clock::new(every, minutes);
        let due: Vec<u64> = (0..10).filter(|step| clock(4, 0.0).is_due(*step)).collect();
        assert_eq!(due, [4, 8]);
        assert!(!clock(0, 0.0).is_due(8) && !clock(0, 0.0).is_on());
        let soon = clock(0, 1e-9);
        // Sixty nanoseconds: some clocks are not that fine.
        std::thread::sleep(Duration::from_millis(1));
        assert!(soon.is_on() && soon.is_due(1) && !clock(0, 10.0).is_due(1));
        assert!(!clock(0, 1e300).is_due(1));
    }
}
