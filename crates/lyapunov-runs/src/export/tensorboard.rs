//! Runs as TensorBoard shows them: a file of events from stored rows, or written while the run lasts.

use std::{
    error::Error as StdError,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lyapunov::{Evaluation, Measurement, Observer, RunningExponents};

use super::{
    Values, Wide,
    events::{self, Scalars},
    wide::{exponent_name, numbered, sharpness_name},
};
use crate::{
    columns::{AlongPoint, ExponentPoint, NearbyPoint, Recorded, Row, SecantPoint, SharpnessPoint},
    error::{Error, Result},
};

/// The events of a table, all at one time: rows do not know when they were made.
#[allow(clippy::missing_panics_doc, reason = "what is expected here always holds")]
pub fn bytes(table: &Wide, wall_time: f64) -> Vec<u8> {
    let mut file = Vec::new();
    let written = events::begin(&mut file, wall_time).and_then(|()| {
        (0..table.rows).try_for_each(|row| {
            let (step, scalars) = scalars(table, row);
            events::write(&mut file, wall_time, step, &scalars)
        })
    });
    written.expect("memory takes every byte");
    file
}

fn scalars(table: &Wide, row: usize) -> (u64, Scalars) {
    let (mut step, mut scalars) = (0, Scalars::default());
    for column in &table.columns {
        match &column.values {
            Values::Counts(steps) => step = steps[row],
            Values::Numbers(numbers) => scalars.push(tag(&column.name), numbers[row]),
            Values::Texts(_) => {}
        }
    }
    (step, scalars)
}

/// The tag of a column: `lambda_max[batch]_residual` is `residual/lambda_max[batch]`.
fn tag(column: &str) -> String {
    let (stem, kind) = match column.rsplit_once(']') {
        Some((stem, kind)) => (format!("{stem}]"), kind.trim_start_matches('_')),
        None => (String::new(), ""),
    };
    let plain = Row::COLUMNS.iter().find(|known| known.name == column);
    if let Some(tag) = plain.and_then(|known| known.tag) {
        return tag.to_owned();
    }
    match kind {
        _ if stem.is_empty() => column.strip_prefix("exponent_").map_or_else(|| column.to_owned(), exponent_tag),
        "" => format!("sharpness/{stem}"),
        kind => format!("sharpness_{kind}/{stem}"),
    }
}

fn exponent_tag(column: &str) -> String {
    match column.split_once('_') {
        None => format!("exponents/{column}"),
        Some((number, kind)) => format!("exponents_{kind}/{number}"),
    }
}

/// The files of events in a folder; none where there is no such folder.
///
/// # Errors
/// Where it cannot be read.
pub fn files_of_events(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |cause| Error::io("read", folder, cause);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with("events.out.tfevents.") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// How long events wait at most before they are in the file.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes events while a run lasts. Killed, it leaves a file that lacks the last second.
pub struct Live(Option<Writing>);

struct Writing {
    file: BufWriter<File>,
    path: PathBuf,
    flushed: Instant,
}

impl Live {
    /// Begins a file in this folder; without one, writes nothing.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn begin(folder: Option<&Path>) -> Result<Self> {
        let Some(folder) = folder else { return Ok(Self(None)) };
        let path = folder.join(events::file_name(now()));
        let begin = || {
            let mut file = BufWriter::new(File::create_new(&path)?);
            events::begin(&mut file, now())?;
            file.flush()?;
            Ok(Self(Some(Writing { file, path: path.clone(), flushed: Instant::now() })))
        };
        begin().map_err(|cause| Error::io("write", &path, cause))
    }

    /// Begins a file with these rows, in the place of all files of events that are in this folder: for a run that goes
    /// on, so that events equal rows however it was killed.
    ///
    /// # Errors
    /// Where a file cannot be written or removed.
    pub fn resume(folder: &Path, rows: &Wide) -> Result<Self> {
        for path in files_of_events(folder)? {
            std::fs::remove_file(&path).map_err(|cause| Error::io("remove", &path, cause))?;
        }
        let mut live = Self::begin(Some(folder))?;
        if let Some(Writing { file, path, .. }) = &mut live.0 {
            let write = |file: &mut BufWriter<File>| {
                for row in 0..rows.rows {
                    let (step, scalars) = scalars(rows, row);
                    events::write(file, now(), step, &scalars)?;
                }
                file.flush()
            };
            write(file).map_err(|cause| Error::io("write", path, cause))?;
        }
        Ok(live)
    }

    /// Puts what is waiting into the file: with a checkpoint, so that it lacks nothing that the run will not do again.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        let Some(Writing { file, path, .. }) = &mut self.0 else { return Ok(()) };
        file.flush().map_err(|cause| Error::io("write", path, cause))
    }

    /// Writes the row of the final weights, as the store has it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn record_end(
        &mut self,
        step: u64,
        evaluations: (Evaluation, Option<Evaluation>),
        grown: Option<&RunningExponents>,
        cost: f64,
    ) -> Result<()> {
        let Some(Writing { file, path, .. }) = &mut self.0 else { return Ok(()) };
        let mut scalars = Scalars::default();
        push_row(&mut scalars, &Row::at_end(step, evaluations, grown, cost));
        push_exponents(&mut scalars, step, grown);
        let written = events::write(file, now(), step, &scalars).and_then(|()| file.flush());
        written.map_err(|cause| Error::io("write", path, cause))
    }
}

impl Observer for Live {
    fn record(&mut self, row: &Measurement) -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
        let Some(writing) = &mut self.0 else { return Ok(()) };
        events::write(&mut writing.file, now(), row.step, &scalars_of(row))?;
        if writing.flushed.elapsed() >= PATIENCE {
            writing.file.flush()?;
            writing.flushed = Instant::now();
        }
        Ok(())
    }
}

/// The numbers of a row, by the tags that its columns have.
fn scalars_of(row: &Measurement) -> Scalars {
    let mut scalars = Scalars::default();
    push_row(&mut scalars, &Row::of(row));
    for found in &row.sharpness {
        let name = sharpness_name(found.quantity.name(), &found.on.to_string());
        push_series(&mut scalars, &name, &SharpnessPoint::of(row, found));
    }
    push_exponents(&mut scalars, row.step, row.exponents.as_ref());
    if let Some(along) = &row.along {
        push_series(&mut scalars, "along", &AlongPoint::of(row.step, along));
    }
    if let Some(secant) = &row.secant {
        push_series(&mut scalars, "secant", &SecantPoint::of(row.step, secant));
    }
    for shown in &row.nearby {
        push_series(&mut scalars, &NearbyPoint::series(shown.quantity.name()), &NearbyPoint::of(row.step, shown));
    }
    scalars
}

fn push_row(scalars: &mut Scalars, row: &Row) {
    for column in Row::COLUMNS {
        scalars.push(tag(column.name), (column.value)(row));
    }
}

fn push_exponents(scalars: &mut Scalars, step: u64, grown: Option<&RunningExponents>) {
    for (number, point) in (1..).zip(grown.into_iter().flat_map(|grown| ExponentPoint::all(step, grown))) {
        push_series(scalars, &exponent_name(number), &point);
    }
}

fn push_series<T: Recorded>(scalars: &mut Scalars, series: &str, point: &T) {
    for column in T::COLUMNS {
        scalars.push(tag(&numbered(series, column)), (column.value)(point));
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        export::{events::reading::events, wide::example},
        store::Store,
    };

    #[test]
    fn columns_have_tags_that_sort_into_groups() {
        let tags =
            ["loss", "lambda_max[subset=5]", "lambda_max[full]_edge", "exponent_2", "exponent_2_std_error", "edge"];
        let expected = [
            "loss/batch",
            "sharpness/lambda_max[subset=5]",
            "sharpness_edge/lambda_max[full]",
            "exponents/2",
            "exponents_std_error/2",
            "edge",
        ];
        assert_eq!(tags.map(tag), expected);
    }

    #[test]
    fn a_stored_run_becomes_events_of_its_steps() {
        let (found, rest) = events(&bytes(&Wide::of(&example()), 5.0));
        assert_eq!((found.len(), rest), (4, 0));
        assert_eq!(found[1].scalars[0], ("loss/batch".to_owned(), 1.0_f32 / 3.0));
        assert_eq!((found[3].step, found[3].wall_time), (2, 5.0));
        assert!(found[2].scalars.contains(&("exponents/1".to_owned(), 0.3)), "{:?}", found[2]);
    }

    #[test]
    fn events_written_live_are_those_of_the_stored_rows() {
        let folder = tempfile::tempdir().unwrap();
        let rows = folder.path().join("run.sqlite");
        let mut store = Store::create(&rows).unwrap();
        let mut live = Live::begin(Some(folder.path())).unwrap();
        for step in 0..4 {
            let row = crate::example::row(step);
            store.record(&row).unwrap();
            live.record(&row).unwrap();
        }
        let end = (Evaluation { loss: 0.25, accuracy: 1.0 }, Some(Evaluation { loss: 0.5, accuracy: 0.75 }));
        let grown = crate::example::row(3).exponents;
        store.record_end(4, end, grown.as_ref(), 12.0).unwrap();
        live.record_end(4, end, grown.as_ref(), 12.0).unwrap();
        store.close().unwrap();
        drop(live);
        let path = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let path = path.into_iter().find(|path| path.display().to_string().contains("tfevents")).unwrap();
        let sorted = |bytes: &[u8]| {
            let mut found = events(bytes).0;
            for event in &mut found {
                event.wall_time = 0.0;
                event.scalars.sort_by(|left, right| left.0.cmp(&right.0));
            }
            found
        };
        let stored = Wide::of(&crate::store::read(&rows).unwrap());
        assert_eq!(sorted(&fs::read(path).unwrap()), sorted(&bytes(&stored, 0.0)));
    }
}
