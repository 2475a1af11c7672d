//! The rows of a run in one SQLite file.
//!
//! While the run lasts the file is in WAL mode: a reader sees all rows but the last second's, and a killed run keeps
//! them. Closed, it is one plain file. On network file systems it has a rollback journal instead ([`Journal`]). Where
//! somebody else holds the file, rows wait in memory, and the run goes on.

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use lyapunov::{Evaluation, Measurement, Observer, RunningExponents};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};

mod aside;
mod checkpoints;
mod history;
mod latest;
mod patience;
mod tables;

pub use crate::journal::Journal;
pub use checkpoints::Listed;
pub use history::{ExponentSeries, History, ProbeSeries, SharpnessSeries, last_step, read, read_from};
pub use latest::{Latest, latest};
pub use patience::LIMIT;

pub use crate::columns::{ExponentPoint, Row, SharpnessPoint};
use crate::{
    columns::{AlongPoint, NearbyPoint, Recorded, SecantPoint},
    error::{Error, Result},
    faults::point_of_store,
};

/// Rows wait this long at most before they are written.
const PATIENCE: Duration = Duration::from_secs(1);

/// And this many at most.
const BATCH: usize = 1000;

/// What a run that ends in an error has left to write waits this long.
const LAST: Duration = Duration::from_secs(1);

/// SQLite itself waits so long for somebody else; whoever can wait longer does so here.
const BUSY: Duration = Duration::from_millis(200);

/// A reader is at the file for an instant, as a rule: its end is tried so often.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(20);

/// Writes the rows of a run.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    waiting: Vec<Measurement>,
    written: Instant,
    journal: Journal,
    /// Since when somebody else has held the file.
    held: Option<Instant>,
    /// How long it is waited for.
    patience: Duration,
}

impl Store {
    /// Makes the database; `path` must not exist.
    ///
    /// # Errors
    /// [`Error::Store`] where the database cannot be read or written.
    pub fn create(path: &Path) -> Result<Self> {
        Self::create_with(path, Journal::suited_to(path.parent().unwrap_or(Path::new("."))).0)
    }

    /// [`Store::create`] with a journal of one's own choice.
    ///
    /// # Errors
    /// As for [`Store::create`].
    pub fn create_with(path: &Path, journal: Journal) -> Result<Self> {
        let failed = |cause| Error::store("create", path, cause);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        point_of_store().map_err(failed)?;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        point_of_store().map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        journal.apply(&connection).map_err(failed)?;
        connection.execute_batch(&tables::schema()).map_err(failed)?;
        Ok(Self::new(connection, path, journal))
    }

    fn new(connection: Connection, path: &Path, journal: Journal) -> Self {
        let (path, waiting, written) = (path.to_owned(), Vec::new(), Instant::now());
        Self { connection, path, waiting, written, journal, held: None, patience: LIMIT }
    }

    /// How its database is kept whole.
    pub fn journal(&self) -> Journal {
        self.journal
    }

    /// For how long somebody else has held the database: meanwhile rows wait in memory. `None` where nobody does.
    pub fn held_for(&self) -> Option<Duration> {
        self.held.map(|since| since.elapsed())
    }

    /// How long the database is waited for while somebody else holds it: [`LIMIT`], unless this says otherwise.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// How long the database is waited for.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Writes the row of the final weights: what is known after the last step.
    ///
    /// # Errors
    /// [`Error::Store`] where the database cannot be read or written.
    pub fn record_end(
        &mut self,
        step: u64,
        evaluations: (Evaluation, Option<Evaluation>),
        grown: Option<&RunningExponents>,
        cost: f64,
    ) -> Result<()> {
        self.flush()?;
        let row = Row::at_end(step, evaluations, grown, cost);
        let write = |connection: &Connection| {
            point_of_store()?;
            insert(connection, &row, &[])?;
            point_of_store()?;
            grown.map_or(Ok(()), |grown| insert_exponents(connection, step, grown))
        };
        patience::in_transaction(&self.connection, self.patience, write)
            .map_err(|cause| Error::store("write", &self.path, cause))
    }

    /// Writes what is waiting and leaves one plain file, or a file with its log where somebody reads it for long: every
    /// row is kept either way.
    ///
    /// # Errors
    /// [`Error::Store`] where the database cannot be read or written.
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        point_of_store().map_err(|cause| Error::store("close", &self.path, cause))?;
        for _ in 0..ATTEMPTS {
            match self.connection.pragma_update(None, "journal_mode", "DELETE") {
                Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => thread::sleep(PAUSE),
                switched => return switched.map_err(|cause| Error::store("close", &self.path, cause)),
            }
        }
        Ok(())
    }

    /// Writes what is waiting, however long somebody else holds the database, up to the patience of the store.
    fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.insert_with(self.patience, |_| Ok(())).map_err(|cause| Error::store("write", &self.path, cause))
    }

    /// Writes what is waiting, and does `more` in the same transaction; waits this long where somebody else holds the
    /// database.
    fn insert_with<T>(
        &mut self,
        patience: Duration,
        more: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        point_of_store()?;
        let waiting = &self.waiting;
        let done = patience::in_transaction(&self.connection, patience, |connection| {
            for row in waiting {
                insert_row(connection, row)?;
            }
            point_of_store()?;
            let done = more(connection)?;
            point_of_store()?;
            Ok(done)
        })?;
        self.waiting.clear();
        (self.written, self.held) = (Instant::now(), None);
        Ok(done)
    }
}

/// Writes what a row says into every table that has a place for it.
fn insert_row(connection: &Connection, row: &Measurement) -> rusqlite::Result<()> {
    insert(connection, &Row::of(row), &[])?;
    for found in &row.sharpness {
        let on = found.on.to_string();
        insert(connection, &SharpnessPoint::of(row, found), &[&found.quantity.name(), &on, &found.product.name()])?;
    }
    for shown in &row.nearby {
        insert(connection, &NearbyPoint::of(row.step, shown), &[&shown.quantity.name()])?;
    }
    if let Some(along) = &row.along {
        insert(connection, &AlongPoint::of(row.step, along), &[&along.product.name()])?;
    }
    if let Some(secant) = &row.secant {
        insert(connection, &SecantPoint::of(row.step, secant), &[])?;
    }
    row.exponents.as_ref().map_or(Ok(()), |grown| insert_exponents(connection, row.step, grown))
}

fn insert_exponents(connection: &Connection, step: u64, grown: &RunningExponents) -> rusqlite::Result<()> {
    (1_i64..)
        .zip(ExponentPoint::all(step, grown))
        .try_for_each(|(number, point)| insert(connection, &point, &[&number]))
}

/// Writes a row of a table: its step, the keys behind that, its numbers.
fn insert<T: Recorded>(connection: &Connection, row: &T, keys: &[&dyn ToSql]) -> rusqlite::Result<()> {
    let step = row.step().cast_signed();
    let numbers: Vec<Option<f64>> = T::COLUMNS.iter().map(|column| (column.value)(row)).collect();
    let values = std::iter::once(&step as &dyn ToSql).chain(keys.iter().copied());
    let values: Vec<&dyn ToSql> = values.chain(numbers.iter().map(|number| number as &dyn ToSql)).collect();
    connection.prepare_cached(&tables::insert::<T>())?.execute(&values[..]).map(|_| ())
}

impl Observer for Store {
    fn record(&mut self, measurement: &Measurement) -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
        self.waiting.push(measurement.clone());
        let due = self.waiting.len() >= BATCH || self.written.elapsed() >= PATIENCE;
        // While somebody else holds the file the run goes on, and tries again every second.
        if !due || self.held.is_some() && self.written.elapsed() < PATIENCE {
            return Ok(());
        }
        match self.insert_with(Duration::ZERO, |_| Ok(())) {
            // Whoever steps the run leaves after that time, at the end of a step: here it is twice as long.
            Err(fault) if patience::is_busy(&fault) && self.held_for().is_none_or(|time| time < 2 * self.patience) => {
                self.held.get_or_insert_with(Instant::now);
                self.written = Instant::now();
                Ok(())
            }
            done => Ok(done.map_err(|cause| Error::store("write", &self.path, cause))?),
        }
    }
}

/// A run that ends in an error keeps its rows too.
impl Drop for Store {
    fn drop(&mut self) {
        // The error that ended the run is the one to report, and nobody waits for long any more.
        if self.waiting.is_empty() || self.insert_with(LAST, |_| Ok(())).is_ok() {
            let _ = self.connection.pragma_update(None, "journal_mode", "DELETE");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::row;

    fn number(path: &Path, query: &str) -> i64 {
        Connection::open(path).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn rows_come_back_to_the_last_bit_and_null_where_nothing_was_measured() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        let mut store = Store::create(&path).unwrap();
        (0..4).for_each(|step| store.record(&row(step)).unwrap());
        let end = Evaluation { loss: 0.25, accuracy: 1.0 };
        let last = row(3).exponents.unwrap();
        store.record_end(4, (end, Some(end)), Some(&last), 12.0).unwrap();
        store.close().unwrap();
        let history = read(&path).unwrap();
        assert_eq!(history.rows.len(), 5);
        let second = Row {
            step: 1,
            loss: Some(0.25),
            gradient_norm: Some(1.0),
            learning_rate: Some(0.1),
            edge: Some(20.0),
            measuring_cost: Some(0.0),
            ..Row::default()
        };
        assert_eq!(history.rows[1], second);
        assert_eq!((history.rows[0].test_loss, history.rows[4].train_loss), (Some(2.0), Some(0.25)));
        assert_eq!(history.rows[0].loss.unwrap().to_bits(), (1.0_f64 / 3.0).to_bits());
        assert_eq!(history.rows[4].loss, None);
        assert_eq!(history.sharpness.len(), 2);
        let point =
            SharpnessPoint { step: 2, value: 8.0, residual: Some(0.5), learning_rate: 0.1, edge: Some(0.4), cost: 5.0 };
        assert_eq!(history.sharpness[0].points, [point]);
        let at = |step, local, value, std_error| ExponentPoint { step, local: Some(local), value, std_error };
        let point = |local, value, std_error| [at(3, local, value, std_error), at(4, local, value, std_error)];
        assert_eq!(history.exponents[0].points, point(0.2, Some(0.25), Some(0.01)));
        assert_eq!(history.exponents[1].points, point(-0.1, None, None), "what is not a number is not known");
        assert_eq!(number(&path, "PRAGMA user_version"), crate::columns::SCHEMA_VERSION);
        assert_eq!(number(&path, "SELECT count(*) FROM rows WHERE train_loss IS NOT NULL"), 1);
    }

    #[test]
    fn rows_wait_in_memory_while_somebody_holds_the_database() {
        for journal in [Journal::Wal, Journal::Rollback] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("run.sqlite");
            let mut store = Store::create_with(&path, journal).unwrap();
            let holder = Connection::open(&path).unwrap();
            holder.execute_batch("BEGIN IMMEDIATE").unwrap();
            // Longer than SQLite's own patience, and one attempt to write every second.
            let until = Instant::now() + Duration::from_millis(2500);
            let mut steps = 0;
            while Instant::now() < until {
                store.record(&row(steps)).unwrap();
                steps += 1;
                thread::sleep(Duration::from_millis(20));
            }
            assert!(store.held_for().is_some_and(|time| time >= Duration::from_secs(1)), "{journal:?}");
            assert_eq!(number(&path, "SELECT count(*) FROM rows"), 0);
            let released = thread::spawn(move || {
                thread::sleep(Duration::from_millis(700));
                holder.execute_batch("COMMIT").unwrap();
            });
            // What must be written waits.
            store.close().unwrap();
            released.join().unwrap();
            assert_eq!(number(&path, "SELECT count(*) FROM rows"), steps.cast_signed(), "{journal:?}");
        }
    }

    #[test]
    fn without_a_log_a_reader_holds_up_a_write_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        let mut store = Store::create_with(&path, Journal::Rollback).unwrap();
        assert_eq!(store.journal(), Journal::Rollback);
        store.record(&row(0)).unwrap();
        store.flush().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no log beside it");
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM rows;").unwrap();
        let released = thread::spawn(move || {
            thread::sleep(Duration::from_millis(700));
            reader.execute_batch("COMMIT").unwrap();
        });
        store.record(&row(1)).unwrap();
        store.close().unwrap();
        released.join().unwrap();
        assert_eq!(number(&path, "SELECT count(*) FROM rows"), 2);
    }

    #[test]
    fn a_closed_store_is_a_single_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::create(&folder.path().join("run.sqlite")).unwrap();
        store.record(&row(0)).unwrap();
        store.close().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_dropped_store_keeps_what_was_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        let mut store = Store::create(&path).unwrap();
        (0..4).for_each(|step| store.record(&row(step)).unwrap());
        drop(store);
        assert_eq!(number(&path, "SELECT count(*) FROM rows"), 4);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_a_number_is_stored_as_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        let mut store = Store::create(&path).unwrap();
        store.record(&Measurement { learning_rate: f64::NAN, ..row(0) }).unwrap();
        store.close().unwrap();
        assert_eq!(number(&path, "SELECT count(*) FROM rows WHERE learning_rate IS NULL"), 1);
    }
}
