//! The rows of a run, read back from its file, whichever version has written it.

use std::path::Path;

use rusqlite::Connection;

use super::tables;
use crate::{
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
    /// What the rule for the learning rate looked at, one series per number, such as `along_curvature`.
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
    /// The table and the column that hold it, such as `secant_moved`.
    pub name: &'static str,
    /// The steps and the numbers.
    pub points: Vec<(u64, f64)>,
}

/// One row of the table `rows`; its fields are those of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// The step t that comes next.
    pub step: u64,
    /// The mean loss of the mini-batch of step t.
    pub loss: Option<f64>,
    /// The norm of that batch's gradient.
    pub gradient_norm: Option<f64>,
    /// η of this step.
    pub learning_rate: Option<f64>,
    /// The mean loss on the test images.
    pub test_loss: Option<f64>,
    /// The share of test images classified correctly.
    pub test_accuracy: Option<f64>,
    /// The mean loss on all training images.
    pub train_loss: Option<f64>,
    /// The sharpness above which the optimizer is unstable at this η.
    pub edge: Option<f64>,
    /// The mean of vᵀHv of the first deviation since the last row that has exponents.
    pub rayleigh: Option<f64>,
    /// The cost of all measurements so far, in gradient-equivalents.
    pub measuring_cost: Option<f64>,
}

/// One exponent along a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExponentSeries {
    /// The step; growth per step up to it since the row before; the exponent so far, with its standard error.
    pub points: Vec<ExponentPoint>,
}

/// One row of the table `exponents`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentPoint {
    /// The step.
    pub step: u64,
    /// Growth per step.
    pub local: Option<f64>,
    /// The exponent so far.
    pub value: Option<f64>,
    /// Its standard error.
    pub std_error: Option<f64>,
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

/// One row of the table `sharpness`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharpnessPoint {
    /// The step.
    pub step: u64,
    /// The sharpness.
    pub value: f64,
    /// Some eigenvalue lies this close to it.
    pub residual: Option<f64>,
    /// η of that step.
    pub learning_rate: f64,
    /// The sharpness over the threshold of stability, where that speaks of it.
    pub edge: Option<f64>,
    /// What it cost, in gradient-equivalents.
    pub cost: f64,
}

/// Reads the run in the database at `path`.
///
/// # Errors
/// For a file that is no database of a run, or one of a newer version.
pub fn read(path: &Path) -> Result<History> {
    // A digest tells more than SQLite's own look at its pages, which sees no wrong number.
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
    let mut select = connection.prepare(
        "SELECT step, loss, gradient_norm, learning_rate, test_loss, test_accuracy, train_loss, edge, rayleigh, measuring_cost \
         FROM rows WHERE step >= ?1 ORDER BY step",
    )?;
    let rows = select.query_map([first], |row| {
        Ok(Row {
            step: step(row, 0)?,
            loss: row.get(1)?,
            gradient_norm: row.get(2)?,
            learning_rate: row.get(3)?,
            test_loss: row.get(4)?,
            test_accuracy: row.get(5)?,
            train_loss: row.get(6)?,
            edge: row.get(7)?,
            rayleigh: row.get(8)?,
            measuring_cost: row.get(9)?,
        })
    })?;
    rows.collect()
}

/// The step in this column.
pub(super) fn step(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn read_sharpness(connection: &Connection, first: i64) -> rusqlite::Result<Vec<SharpnessSeries>> {
    let mut select = connection.prepare(
        "SELECT s.quantity, s.\"on\", s.product, s.step, s.value, s.residual, r.learning_rate, s.edge, s.cost \
         FROM sharpness s JOIN rows r USING (step) \
         WHERE s.step >= ?1 AND s.value IS NOT NULL AND r.learning_rate IS NOT NULL ORDER BY s.step, s.quantity DESC, s.\"on\"",
    )?;
    let mut found = select.query([first])?;
    let mut series: Vec<SharpnessSeries> = Vec::new();
    while let Some(row) = found.next()? {
        let (quantity, on, product): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let point = SharpnessPoint {
            step: step(row, 3)?,
            value: row.get(4)?,
            residual: row.get(5)?,
            learning_rate: row.get(6)?,
            edge: row.get(7)?,
            cost: row.get(8)?,
        };
        match series.iter_mut().find(|series| series.quantity == quantity && series.on == on) {
            Some(series) => series.points.push(point),
            None => series.push(SharpnessSeries { quantity, on, product, points: vec![point] }),
        }
    }
    Ok(series)
}

fn read_exponents(connection: &Connection, first: i64) -> rusqlite::Result<Vec<ExponentSeries>> {
    let mut select = connection.prepare(
        "SELECT number, step, local, value, std_error FROM exponents WHERE step >= ?1 ORDER BY number, step",
    )?;
    let mut found = select.query([first])?;
    let mut series: Vec<ExponentSeries> = Vec::new();
    while let Some(row) = found.next()? {
        let number: i64 = row.get(0)?;
        // They come in order: a number that leaves some out would make as many empty series.
        let place = usize::try_from(number).ok().filter(|place| (1..=series.len() + 1).contains(place));
        let number = place.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))?;
        let point =
            ExponentPoint { step: step(row, 1)?, local: row.get(2)?, value: row.get(3)?, std_error: row.get(4)? };
        series.resize_with(series.len().max(number), ExponentSeries::default);
        series[number - 1].points.push(point);
    }
    Ok(series)
}

/// The columns of the probes, with the names of their series.
const ALONG: [&str; 5] = ["along_slope", "along_curvature", "along_stretch", "along_reach", "along_cost"];
const SECANT: [&str; 3] = ["secant_moved", "secant_turned", "secant_cost"];

fn read_probes(connection: &Connection, first: i64) -> rusqlite::Result<Vec<ProbeSeries>> {
    let along = "SELECT step, slope, curvature, stretch, reach, cost FROM along WHERE step >= ?1 ORDER BY step";
    let secants = "SELECT step, moved, turned, cost FROM secants WHERE step >= ?1 ORDER BY step";
    let mut probes = read_columns(connection, along, &ALONG, first)?;
    probes.extend(read_columns(connection, secants, &SECANT, first)?);
    Ok(probes)
}

/// One series per column; none where the table is empty.
fn read_columns(
    connection: &Connection,
    query: &str,
    names: &[&'static str],
    first: i64,
) -> rusqlite::Result<Vec<ProbeSeries>> {
    let mut select = connection.prepare(query)?;
    let mut found = select.query([first])?;
    let mut series: Vec<ProbeSeries> = names.iter().map(|name| ProbeSeries { name, points: Vec::new() }).collect();
    while let Some(row) = found.next()? {
        for (column, series) in series.iter_mut().enumerate() {
            series.points.push((step(row, 0)?, row.get(column + 1)?));
        }
    }
    series.retain(|series| !series.points.is_empty());
    Ok(series)
}
