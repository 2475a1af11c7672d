//! What is written beside a database that somebody else holds, and its way back into it.
//!
//! A checkpoint and the rows before it make a database of the same tables, which appears whole or not at all. The next
//! checkpoint that the database itself takes makes it needless; a run that goes on takes it up before anything else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Journal, Listed, Store, tables};
use crate::{
    columns::SCHEMA_VERSION,
    error::{Error, Result},
    folder::{GROWING, sync_folder},
};

/// The file beside the database of a run.
const ASIDE: &str = "waiting.sqlite";

impl Store {
    fn aside(&self) -> PathBuf {
        self.path.with_file_name(ASIDE)
    }

    /// Writes the rows that are waiting, and lists a checkpoint that is on the disk, in a database beside this one,
    /// which somebody else holds. It takes the place of an earlier one.
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Io`] where it cannot be written.
    pub fn write_aside(&mut self, new: &Listed) -> Result<()> {
        let (path, growing) = (self.aside(), self.path.with_file_name(format!("{GROWING}{ASIDE}")));
        let failed = |cause| Error::io("write", &path, cause);
        if growing.exists() {
            fs::remove_file(&growing).map_err(failed)?;
        }
        let mut beside = Self::create_with(&growing, Journal::Rollback)?;
        beside.waiting.clone_from(&self.waiting);
        beside.list(new, 1)?;
        beside.close()?;
        fs::rename(&growing, &path).map_err(failed)?;
        sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(failed)
    }

    /// Takes up what was written beside the database, if anything was; what is in the database already stays as it is.
    ///
    /// # Errors
    /// [`Error::Store`] where either cannot be read or written, or is held by somebody else for too long;
    /// [`Error::Unusable`] where the one beside is of another version.
    pub fn take_up_aside(&mut self) -> Result<()> {
        let path = self.aside();
        if !path.is_file() {
            return Ok(());
        }
        let failed = |cause| Error::store("read", &path, cause);
        let beside = tables::open(&path)?;
        let version: i64 = beside.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        drop(beside);
        if version != SCHEMA_VERSION {
            let message = format!("{} has tables of version {version}, not {SCHEMA_VERSION}", path.display());
            return Err(Error::Unusable { message, help: None });
        }
        let name = path.to_string_lossy().into_owned();
        self.connection.execute("ATTACH DATABASE ?1 AS aside", [name]).map_err(failed)?;
        let moved = self.insert_with(self.patience, |connection| {
            // Rows come before those that refer to them.
            tables::names().iter().rev().try_for_each(|table| {
                let move_in = format!("INSERT OR IGNORE INTO main.{table} SELECT * FROM aside.{table}");
                connection.execute(&move_in, []).map(|_| ())
            })
        });
        self.connection.execute("DETACH DATABASE aside", []).map_err(failed)?;
        moved.map_err(|cause| Error::store("write", &self.path, cause))?;
        self.forget_aside()
    }

    /// Removes what was written beside the database, which has it all now.
    ///
    /// # Errors
    /// [`Error::Io`] where the file system refuses.
    pub fn forget_aside(&self) -> Result<()> {
        let path = self.aside();
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &path, cause)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::{example::row, store::read};
    use lyapunov::Observer as _;

    fn listed(step: u64) -> Listed {
        Listed { step, file: format!("checkpoint-{step}.safetensors"), bytes: 7, sha256: "ab".to_owned() }
    }

    #[test]
    fn what_a_held_database_could_not_take_comes_into_it_once() {
        for journal in [Journal::Wal, Journal::Rollback] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("run.sqlite");
            let mut store = Store::create_with(&path, journal).unwrap();
            (0..3).for_each(|step| store.record(&row(step)).unwrap());
            store.write_waiting().unwrap();
            let holder = Connection::open(&path).unwrap();
            holder.execute_batch("BEGIN IMMEDIATE").unwrap();
            (3..6).for_each(|step| store.record(&row(step)).unwrap());
            assert_eq!(store.try_list(&listed(6), 2).unwrap(), None, "{journal:?}: it is held");
            store.write_aside(&listed(6)).unwrap();
            store.write_aside(&listed(6)).unwrap();
            // The process is gone, and what waited in its memory with it.
            store.waiting.clear();
            drop(store);
            holder.execute_batch("COMMIT").unwrap();
            drop(holder);
            let mut store = Store::resume_with(&path, journal).unwrap();
            assert_eq!(store.checkpoints().unwrap(), []);
            store.take_up_aside().unwrap();
            store.take_up_aside().unwrap();
            assert_eq!(store.checkpoints().unwrap(), [listed(6)]);
            store.close().unwrap();
            let whole = read(&path).unwrap();
            assert_eq!(whole.rows.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
            assert_eq!(whole.exponents[0].points[0].step, 3, "measurements come with their rows");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        }
    }

    #[test]
    fn what_is_no_database_beside_it_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::create(&folder.path().join("run.sqlite")).unwrap();
        fs::write(store.aside(), "no database").unwrap();
        assert!(store.take_up_aside().is_err() && store.aside().is_file());
    }
}
