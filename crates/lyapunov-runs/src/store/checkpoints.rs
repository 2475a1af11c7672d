//! The checkpoints of a run in its database: which files are whole, and the rows that belong to each.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, params};

use super::{BUSY, Journal, Store, patience, tables};
use crate::{
    columns::SCHEMA_VERSION,
    error::{Error, Result},
    faults::point_of_store,
};

/// Readers are at the file for so long, as a rule.
const INSTANT: Duration = Duration::from_secs(1);

/// A checkpoint as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Steps that had been taken.
    pub step: u64,
    /// The name of the file.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

impl Store {
    /// Opens the database of a run that is to go on.
    ///
    /// # Errors
    /// Where it is not there, damaged, or of another version.
    pub fn resume(path: &Path) -> Result<Self> {
        Self::resume_with(path, Journal::suited_to(path.parent().unwrap_or(Path::new("."))).0)
    }

    /// [`Store::resume`] with a journal of one's own choice.
    ///
    /// # Errors
    /// As for [`Store::resume`].
    pub fn resume_with(path: &Path, journal: Journal) -> Result<Self> {
        let failed = |cause| Error::store("open", path, cause);
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        point_of_store().map_err(failed)?;
        journal.apply(&connection).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        let health: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        let text = match (version, health.as_str()) {
            (SCHEMA_VERSION, "ok") => return Ok(Self::new(connection, path, journal)),
            (SCHEMA_VERSION, fault) => format!("is damaged: {fault}"),
            _ => format!("has tables of version {version}, where a run that goes on needs {SCHEMA_VERSION}"),
        };
        Err(Error::Unusable { message: format!("{} {text}", path.display()), help: None })
    }

    /// The checkpoints, newest first.
    ///
    /// # Errors
    /// [`Error::Store`] where the database cannot be read or written.
    pub fn checkpoints(&self) -> Result<Vec<Listed>> {
        let read = || {
            let mut select =
                self.connection.prepare("SELECT step, file, bytes, sha256 FROM checkpoints ORDER BY step DESC")?;
            let found = select.query_map([], |row| {
                let (step, bytes): (i64, i64) = (row.get(0)?, row.get(2)?);
                Ok(Listed {
                    step: step.cast_unsigned(),
                    file: row.get(1)?,
                    bytes: bytes.cast_unsigned(),
                    sha256: row.get(3)?,
                })
            })?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|cause| Error::store("read", &self.path, cause))
    }

    /// Forgets what came after `step` steps, so that the run can take the next one again.
    ///
    /// # Errors
    /// [`Error::Store`] where the database cannot be read or written.
    pub fn rewind(&mut self, step: u64) -> Result<()> {
        let forget = |connection: &Connection| {
            for table in tables::names() {
                // A checkpoint after so many steps is the one that the run goes on from.
                let after = if table == tables::CHECKPOINTS { ">" } else { ">=" };
                connection.execute(&format!("DELETE FROM {table} WHERE step {after} ?1"), [step.cast_signed()])?;
            }
            Ok(())
        };
        self.insert_with(self.patience, forget).map_err(|cause| Error::store("rewind", &self.path, cause))
    }

    /// Writes the rows that are waiting and lists a checkpoint that is on the disk, both or neither, and keeps the
    /// newest `keep`. Says which files these are.
    ///
    /// # Errors
    /// [`Error::Store`] where the database cannot be read or written.
    pub fn list(&mut self, new: &Listed, keep: usize) -> Result<Vec<String>> {
        self.list_durably(new, keep, self.patience).map_err(|cause| Error::store("write", &self.path, cause))
    }

    /// The same, but `None` where somebody else holds the database for more than an instant.
    ///
    /// # Errors
    /// [`Error::Store`] where the database cannot be read or written.
    pub fn try_list(&mut self, new: &Listed, keep: usize) -> Result<Option<Vec<String>>> {
        match self.list_durably(new, keep, INSTANT) {
            Err(fault) if patience::is_busy(&fault) => {
                self.held.get_or_insert_with(Instant::now);
                Ok(None)
            }
            done => done.map(Some).map_err(|cause| Error::store("write", &self.path, cause)),
        }
    }

    /// Writes the rows that are waiting, durably.
    ///
    /// # Errors
    /// [`Error::Store`] where the database cannot be read or written.
    pub fn write_waiting(&mut self) -> Result<()> {
        self.durably(self.patience, |_| Ok(())).map_err(|cause| Error::store("write", &self.path, cause))
    }

    /// Writes what is waiting and does `more`, so that a loss of power does not take it.
    fn durably<T>(
        &mut self,
        patience: Duration,
        more: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let done = self.insert_with(patience, more);
        point_of_store()?;
        self.journal.relax(&self.connection)?;
        done
    }

    fn list_durably(&mut self, new: &Listed, keep: usize, patience: Duration) -> rusqlite::Result<Vec<String>> {
        // A loss of power must not take the list and leave the files without those before them.
        self.durably(patience, |connection| {
            let Listed { step, file, bytes, sha256 } = new;
            let values = params![step.cast_signed(), file, bytes.cast_signed(), sha256];
            connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2, ?3, ?4)", values)?;
            let old =
                "DELETE FROM checkpoints WHERE step NOT IN (SELECT step FROM checkpoints ORDER BY step DESC LIMIT ?1)";
            connection.execute(old, [i64::try_from(keep).unwrap_or(i64::MAX)])?;
            let mut select = connection.prepare("SELECT file FROM checkpoints")?;
            select.query_map([], |row| row.get(0))?.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use lyapunov::{Measurement, Observer};

    use super::*;
    use crate::store::read;

    fn listed(step: u64) -> Listed {
        Listed { step, file: format!("checkpoint-{step}"), bytes: 7, sha256: "ab".to_owned() }
    }

    fn store_with_rows(path: &Path, steps: u64) -> Store {
        let mut store = Store::create(path).unwrap();
        (0..steps).for_each(|step| store.record(&Measurement::of_step(step, 1.0, 1.0)).unwrap());
        store
    }

    #[test]
    fn a_checkpoint_comes_with_all_rows_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        let mut store = store_with_rows(&path, 4);
        assert_eq!(store.list(&listed(4), 2).unwrap(), ["checkpoint-4"]);
        assert_eq!(read(&path).unwrap().rows.len(), 4, "they have not waited");
        assert_eq!(store.checkpoints().unwrap(), [listed(4)]);
    }

    #[test]
    fn the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store_with_rows(&folder.path().join("run.sqlite"), 1);
        let kept = [2, 10, 4, 10].map(|step| store.list(&listed(step), 2).unwrap());
        assert_eq!(kept[3], ["checkpoint-4", "checkpoint-10"]);
        assert_eq!(store.checkpoints().unwrap(), [listed(10), listed(4)]);
    }

    #[test]
    fn what_came_after_a_checkpoint_is_forgotten_and_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        let mut store = store_with_rows(&path, 4);
        store.list(&listed(2), 5).unwrap();
        store.list(&listed(4), 5).unwrap();
        drop(store);
        let mut store = Store::resume(&path).unwrap();
        store.rewind(2).unwrap();
        assert_eq!(store.checkpoints().unwrap(), [listed(2)]);
        (2..5).for_each(|step| store.record(&Measurement::of_step(step, 1.0, 1.0)).unwrap());
        store.close().unwrap();
        assert_eq!(read(&path).unwrap().rows.len(), 5);
    }

    #[test]
    fn a_database_that_is_damaged_or_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        assert!(Store::resume(&path).is_err());
        store_with_rows(&path, 400).close().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        assert!(Store::resume(&path).is_err());
        std::fs::write(&path, "no database").unwrap();
        assert!(Store::resume(&path).is_err());
    }
}
