//! The rows of a run, read back from its file.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::SCHEMA_VERSION;
use crate::error::{Error, Result};

/// A run as it was recorded, read back from its file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// One row per recorded step.
    pub rows: Vec<Row>,
    /// The sharpness per quantity and kind of data, in the order in which they were first measured.
    pub sharpness: Vec<SharpnessSeries>,
    /// The exponents, largest first.
    pub exponents: Vec<ExponentSeries>,
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
    let failed = |cause| Error::store("read", path, cause);
    // SQLite would make a file that is not there.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    check_version(path, version)?;
    read_tables(&connection).map_err(failed)
}

/// The step of the last row, if there is one.
pub fn last_step(path: &Path) -> rusqlite::Result<Option<u64>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let last: Option<i64> = connection.query_row("SELECT max(step) FROM rows", [], |row| row.get(0))?;
    Ok(last.map(i64::cast_unsigned))
}

/// The columns that a reader asks for are in the tables of every version from 2 on; the first had no edges and no deviations.
fn check_version(path: &Path, version: i64) -> Result<()> {
    let told = match version {
        0 => "is not the database of a run, or its run was killed before the first row".to_owned(),
        newer if newer > SCHEMA_VERSION => {
            format!(
                "was written by a newer version of lyapunov: its tables have version {newer}, this one knows {SCHEMA_VERSION}"
            )
        }
        _ => return Ok(()),
    };
    let help = (version > SCHEMA_VERSION).then(|| "read it with the newer version".to_owned());
    Err(Error::Usage { message: format!("{} {told}", path.display()), help })
}

fn read_tables(connection: &Connection) -> rusqlite::Result<History> {
    let mut select = connection.prepare(
        "SELECT step, loss, gradient_norm, learning_rate, test_loss, test_accuracy, train_loss, edge, rayleigh, measuring_cost \
         FROM rows ORDER BY step",
    )?;
    let rows = select.query_map([], |row| {
        let step: i64 = row.get(0)?;
        Ok(Row {
            step: step.cast_unsigned(),
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
    let rows = rows.collect::<rusqlite::Result<_>>()?;
    Ok(History { rows, sharpness: read_sharpness(connection)?, exponents: read_exponents(connection)? })
}

fn read_sharpness(connection: &Connection) -> rusqlite::Result<Vec<SharpnessSeries>> {
    let mut select = connection.prepare(
        "SELECT s.quantity, s.\"on\", s.product, s.step, s.value, s.residual, r.learning_rate, s.edge, s.cost \
         FROM sharpness s JOIN rows r USING (step) \
         WHERE s.value IS NOT NULL AND r.learning_rate IS NOT NULL ORDER BY s.step, s.quantity DESC, s.\"on\"",
    )?;
    let mut found = select.query([])?;
    let mut series: Vec<SharpnessSeries> = Vec::new();
    while let Some(row) = found.next()? {
        let (quantity, on, product): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let step: i64 = row.get(3)?;
        let point = SharpnessPoint {
            step: step.cast_unsigned(),
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

fn read_exponents(connection: &Connection) -> rusqlite::Result<Vec<ExponentSeries>> {
    let mut select =
        connection.prepare("SELECT number, step, local, value, std_error FROM exponents ORDER BY number, step")?;
    let mut found = select.query([])?;
    let mut series: Vec<ExponentSeries> = Vec::new();
    while let Some(row) = found.next()? {
        let (number, step): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (local, value, std_error) = (row.get(2)?, row.get(3)?, row.get(4)?);
        series.resize_with(series.len().max(number.max(1) as usize), ExponentSeries::default);
        series[number.max(1) as usize - 1].points.push(ExponentPoint {
            step: step.cast_unsigned(),
            local,
            value,
            std_error,
        });
    }
    Ok(series)
}
