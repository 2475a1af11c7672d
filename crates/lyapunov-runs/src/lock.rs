//! One writer per folder: a lock that the operating system takes back from a process that is gone, however it went.
//!
//! So a lock is never stale. On network file systems it is as good as their advisory locks are.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    thread,
    time::Duration,
};

use gethostname::gethostname;

use crate::error::{Error, Result};

/// The file that is locked, in the folder it speaks for.
pub const LOCK: &str = "lock";

/// A look at a lock holds it for an instant: whoever wants it tries again a few times.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// A lock that is held until it is dropped, or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `folder`; `None` where another process has it.
    ///
    /// # Errors
    /// [`Error::Io`] where the file of the lock cannot be made; that somebody else has it is no
    /// error.
    pub fn take(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(LOCK);
        let failed = |cause| Error::io("lock", &path, cause);
        let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = open().map_err(failed)?;
        for attempt in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    note_owner(&mut file).map_err(failed)?;
                    return Ok(Some(Self { _file: file }));
                }
                Err(TryLockError::WouldBlock) if attempt + 1 < ATTEMPTS => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(cause)) => return Err(failed(cause)),
            }
        }
        Ok(None)
    }
}

/// Who holds the lock of `folder`, as "process 4711 on host"; `None` where nobody does.
pub fn holder(folder: &Path) -> Option<String> {
    let mut file = File::open(folder.join(LOCK)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // The name of the owner is for people; without it the lock is as good.
            let _ = file.read_to_string(&mut owner);
            Some(if owner.trim().is_empty() { "another process".to_owned() } else { owner.trim().to_owned() })
        }
        _ => None,
    }
}

fn note_owner(file: &mut File) -> std::io::Result<()> {
    crate::faults::point()?;
    file.set_len(0)?;
    file.rewind()?;
    let host = gethostname();
    file.write_all(format!("process {} on {}\n", std::process::id(), host.display()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder(folder.path()), None);
        let lock = Lock::take(folder.path()).unwrap().unwrap();
        assert!(Lock::take(folder.path()).unwrap().is_none());
        let message = holder(folder.path()).unwrap();
        assert!(message.starts_with(&format!("process {}", std::process::id())), "{message}");
        drop(lock);
        assert_eq!(holder(folder.path()), None);
        assert!(Lock::take(folder.path()).unwrap().is_some(), "a lock that was left is there to be taken");
    }
}
