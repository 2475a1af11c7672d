//! The rows of a run, read back from its file, whichever version has written it.

use std::path::Path;

use rusqlite::Connection;

use super::tables;
use crate::{
    columns::{AlongPoint, ExponentPoint, NearbyPoint, Recorded, Row, SecantPoint, SharpnessPoint},
    error::{Error, Result},
    seal,
};

/// A run as it was recorded, read back from its file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// One row per recorded step.
    pub rows: Vec<Row>,
    /// The sharpness per quantity and kind of data, in the order in which they were first measured.
    pub sharpness: Vec<SharpnessSeries>,
    /// The exponents, largest first.
    pub exponents: Vec<ExponentSeries>,
    /// What the rule for the learning rate and nearby trajectories looked at, one series per number, such as
    /// `along_curvature`.
    pub probes: Vec<ProbeSeries>,
}

impl History {
    /// Takes what was recorded later.
    pub fn extend(&mut self, later: Self) {
        self.rows.extend(later.rows);
        for series in later.sharpness {
            let same = |known: &&mut SharpnessSeries| known.quantity == series.quantity && known.on == series.on;
            match self.sharpness.iter_mut().find(same) {
                Some(known) => known.points.extend(series.points),
                None => self.sharpness.push(series),
            }
        }
        self.exponents.resize_with(self.exponents.len().max(later.exponents.len()), ExponentSeries::default);
        for (known, series) in self.exponents.iter_mut().zip(later.exponents) {
            known.points.extend(series.points);
        }
        for series in later.probes {
            match self.probes.iter_mut().find(|known| known.name == series.name) {
                Some(known) => known.points.extend(series.points),
                None => self.probes.push(series),
            }
        }
    }
}

/// One number that a rule looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSeries {
    /// What was looked at and the column that holds it, such as `secant_moved`.
    pub name: String,
    /// The steps and the numbers.
    pub points: Vec<(u64, f64)>,
}

/// One exponent along a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExponentSeries {
    /// The step; growth per step up to it since the row before; the exponent so far, with its standard error.
    pub points: Vec<ExponentPoint>,
}

/// One sharpness on one kind of data along a run.
#[derive(Clone, Debug, PartialEq)]
pub struct SharpnessSeries {
    /// The quantity.
    pub quantity: String,
    /// The data.
    pub on: String,
    /// The kind of product.
    pub product: String,
    /// Each measurement.
    pub points: Vec<SharpnessPoint>,
}

/// Reads the run in the database at `path`.
///
/// # Errors
/// For a file that is no database of a run, or one of a newer version.
pub fn read(path: &Path) -> Result<History> {
    // A digest sees more than SQLite's own look at its pages, which sees no wrong number.
    if !seal::check(path)? {
        tables::check_pages(path)?;
    }
    read_from(path, 0)
}

/// The step of the last row, if there is one.
///
/// # Errors
/// [`Error::Store`] where the database cannot be read or written.
pub fn last_step(path: &Path) -> Result<Option<u64>> {
    let connection = tables::open(path)?;
    let last: Option<i64> = connection
        .query_row("SELECT max(step) FROM rows", [], |row| row.get(0))
        .map_err(|cause| Error::store("read", path, cause))?;
    Ok(last.map(i64::cast_unsigned))
}

/// Reads what the database at `path` has of the steps from `first` on.
///
/// # Errors
/// As for [`read`].
pub fn read_from(path: &Path, first: u64) -> Result<History> {
    let mut connection = tables::open(path)?;
    read_tables(&mut connection, first.cast_signed()).map_err(|cause| Error::store("read", path, cause))
}

/// All tables as they are at one moment, whoever writes meanwhile.
fn read_tables(connection: &mut Connection, first: i64) -> rusqlite::Result<History> {
    let moment = connection.transaction()?;
    Ok(History {
        rows: read_rows(&moment, first)?,
        sharpness: read_sharpness(&moment, first)?,
        exponents: read_exponents(&moment, first)?,
        probes: read_probes(&moment, first)?,
    })
}

fn read_rows(connection: &Connection, first: i64) -> rusqlite::Result<Vec<Row>> {
    let mut select = connection.prepare(&format!("SELECT {} WHERE step >= ?1 ORDER BY step", numbers_of::<Row>()))?;
    select.query_map([first], |row| numbers(row, 0))?.collect()
}

/// The step and the numbers of a table, and where they are from.
fn numbers_of<T: Recorded>() -> String {
    format!("{} FROM {}", list::<T>(""), T::TABLE)
}

/// The step and the numbers of a table by their names, behind `table.` where there are several.
pub(super) fn list<T: Recorded>(table: &str) -> String {
    let names = std::iter::once("step").chain(T::COLUMNS.iter().map(|column| column.name));
    names.map(|name| format!("{table}\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// The numbers behind a step in the cells from `first` on.
pub(super) fn numbers<T: Recorded>(cells: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<T> {
    let mut row = T::at(step(cells, first)?);
    for (place, column) in (first + 1..).zip(T::COLUMNS) {
        (column.read)(&mut row, cells, place)?;
    }
    Ok(row)
}

/// The step in this column.
pub(super) fn step(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// The query of which sharpness, its η, its numbers and what is added to them, for rows that have both.
pub(super) fn sharpness_query(more: &str, tail: &str) -> String {
    let numbers = list::<SharpnessPoint>("s.");
    format!(
        "SELECT s.quantity, s.\"on\", s.product, r.learning_rate, {numbers}{more} \
         FROM sharpness s JOIN rows r USING (step) \
         WHERE s.value IS NOT NULL AND r.learning_rate IS NOT NULL {tail}"
    )
}

/// The numbers of a row of such a query.
pub(super) fn sharpness_point(row: &rusqlite::Row<'_>) -> rusqlite::Result<SharpnessPoint> {
    Ok(SharpnessPoint { learning_rate: row.get(3)?, ..numbers(row, 4)? })
}

fn read_sharpness(connection: &Connection, first: i64) -> rusqlite::Result<Vec<SharpnessSeries>> {
    let mut select =
        connection.prepare(&sharpness_query("", "AND s.step >= ?1 ORDER BY s.step, s.quantity DESC, s.\"on\""))?;
    let mut found = select.query([first])?;
    let mut series: Vec<SharpnessSeries> = Vec::new();
    while let Some(row) = found.next()? {
        let (quantity, on, product): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let point = sharpness_point(row)?;
        match series.iter_mut().find(|series| series.quantity == quantity && series.on == on) {
            Some(series) => series.points.push(point),
            None => series.push(SharpnessSeries { quantity, on, product, points: vec![point] }),
        }
    }
    Ok(series)
}

fn read_exponents(connection: &Connection, first: i64) -> rusqlite::Result<Vec<ExponentSeries>> {
    let columns = numbers_of::<ExponentPoint>();
    let mut select = connection.prepare(&format!("SELECT number, {columns} WHERE step >= ?1 ORDER BY number, step"))?;
    let mut found = select.query([first])?;
    let mut series: Vec<ExponentSeries> = Vec::new();
    while let Some(row) = found.next()? {
        let number: i64 = row.get(0)?;
        // They come in order: a number that leaves some out would make as many empty series.
        let place = usize::try_from(number).ok().filter(|place| (1..=series.len() + 1).contains(place));
        let number = place.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))?;
        series.resize_with(series.len().max(number), ExponentSeries::default);
        series[number - 1].points.push(numbers(row, 1)?);
    }
    Ok(series)
}

fn read_probes(connection: &Connection, first: i64) -> rusqlite::Result<Vec<ProbeSeries>> {
    let mut probes = read_probe::<AlongPoint>(connection, "along", first)?;
    probes.extend(read_probe::<SecantPoint>(connection, "secant", first)?);
    probes.extend(read_nearby(connection, first)?);
    Ok(probes)
}

/// One series per column and quantity that a trajectory follows.
fn read_nearby(connection: &Connection, first: i64) -> rusqlite::Result<Vec<ProbeSeries>> {
    let query = format!("SELECT quantity, {} WHERE step >= ?1 ORDER BY quantity, step", numbers_of::<NearbyPoint>());
    let mut select = connection.prepare(&query)?;
    let mut found = select.query([first])?;
    let mut of: Vec<(String, Vec<NearbyPoint>)> = Vec::new();
    while let Some(row) = found.next()? {
        let (quantity, point): (String, NearbyPoint) = (row.get(0)?, numbers(row, 1)?);
        match of.last_mut().filter(|(last, _)| *last == quantity) {
            Some((_, points)) => points.push(point),
            None => of.push((quantity, vec![point])),
        }
    }
    Ok(of.iter().flat_map(|(quantity, points)| series_of(&NearbyPoint::series(quantity), points)).collect())
}

/// One series per column of a probe, named behind `prefix`; none where nothing is known.
fn read_probe<T: Recorded>(connection: &Connection, prefix: &str, first: i64) -> rusqlite::Result<Vec<ProbeSeries>> {
    let query = format!("SELECT {} WHERE step >= ?1 ORDER BY step", numbers_of::<T>());
    let rows: Vec<T> =
        connection.prepare(&query)?.query_map([first], |row| numbers(row, 0))?.collect::<rusqlite::Result<_>>()?;
    Ok(series_of(prefix, &rows))
}

/// One series per column of these rows, named behind `prefix`; none where nothing is known.
fn series_of<T: Recorded>(prefix: &str, rows: &[T]) -> Vec<ProbeSeries> {
    let series = T::COLUMNS.iter().map(|column| ProbeSeries {
        name: format!("{prefix}_{}", column.name),
        points: rows.iter().filter_map(|row| Some((row.step(), (column.value)(row)?))).collect(),
    });
    series.filter(|series| !series.points.is_empty()).collect()
}
