//! The last that is known of everything in the database of a run, without reading its rows.

use std::path::Path;

use rusqlite::Connection;

use super::{ExponentPoint, Row, SharpnessPoint, SharpnessSeries, history::step, tables};
use crate::error::{Error, Result};

/// The last that is known of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latest {
    /// The last step with a row, and the last value of each of its columns.
    pub row: Option<Row>,
    /// The last measurement of each sharpness: series of one point.
    pub sharpness: Vec<SharpnessSeries>,
    /// The exponents so far, in the order of their numbers.
    pub exponents: Vec<ExponentPoint>,
}

impl Latest {
    /// λ_max of the mini-batch, or else of whatever it was measured on.
    pub fn lambda_max(&self) -> Option<&SharpnessPoint> {
        let found = || self.sharpness.iter().filter(|series| series.quantity == "lambda_max");
        let batch = found().find(|series| series.on == "batch");
        batch.or_else(|| found().next()).and_then(|series| series.points.last())
    }

    /// The sharpness over the threshold of the optimizer, of the quantity that the edge speaks of on mini-batches first.
    pub fn edge_share(&self) -> Option<f64> {
        let rank = |series: &&SharpnessSeries| match series.quantity.as_str() {
            "batch_sharpness" => 0,
            "preconditioned_sharpness" => 1,
            _ => 2,
        };
        let shares = self.sharpness.iter().filter(|series| series.points.iter().any(|point| point.edge.is_some()));
        shares.min_by_key(rank).and_then(|series| series.points.last()?.edge)
    }
}

/// Reads the last that is known from the database at `path`.
///
/// # Errors
/// For a file that is no database of a run, or one of a newer version.
pub fn latest(path: &Path) -> Result<Latest> {
    let mut connection = tables::open(path)?;
    let mut read = || {
        let moment = connection.transaction()?;
        Ok(Latest { row: row(&moment)?, sharpness: sharpness(&moment)?, exponents: exponents(&moment)? })
    };
    read().map_err(|cause| Error::store("read", path, cause))
}

fn row(connection: &Connection) -> rusqlite::Result<Option<Row>> {
    let last: Option<i64> = connection.query_row("SELECT max(step) FROM rows", [], |row| row.get(0))?;
    let Some(last) = last else { return Ok(None) };
    let known = |column| value(connection, column);
    Ok(Some(Row {
        step: last.cast_unsigned(),
        loss: known("loss")?,
        gradient_norm: known("gradient_norm")?,
        learning_rate: known("learning_rate")?,
        test_loss: known("test_loss")?,
        test_accuracy: known("test_accuracy")?,
        train_loss: known("train_loss")?,
        edge: known("edge")?,
        rayleigh: known("rayleigh")?,
        measuring_cost: known("measuring_cost")?,
    }))
}

/// The last value of a column; the scalar of a query that finds nothing is NULL.
fn value(connection: &Connection, column: &str) -> rusqlite::Result<Option<f64>> {
    let query = format!("SELECT (SELECT {column} FROM rows WHERE {column} IS NOT NULL ORDER BY step DESC LIMIT 1)");
    connection.query_row(&query, [], |row| row.get(0))
}

/// Beside an aggregate max, SQLite takes the other columns from the row that has it.
fn sharpness(connection: &Connection) -> rusqlite::Result<Vec<SharpnessSeries>> {
    let mut select = connection.prepare(
        "SELECT s.quantity, s.\"on\", s.product, max(s.step), s.value, s.residual, r.learning_rate, s.edge, s.cost \
         FROM sharpness s JOIN rows r USING (step) WHERE s.value IS NOT NULL AND r.learning_rate IS NOT NULL \
         GROUP BY s.quantity, s.\"on\" ORDER BY s.quantity DESC, s.\"on\"",
    )?;
    let series = select.query_map([], |row| {
        let point = SharpnessPoint {
            step: step(row, 3)?,
            value: row.get(4)?,
            residual: row.get(5)?,
            learning_rate: row.get(6)?,
            edge: row.get(7)?,
            cost: row.get(8)?,
        };
        Ok(SharpnessSeries { quantity: row.get(0)?, on: row.get(1)?, product: row.get(2)?, points: vec![point] })
    })?;
    series.collect()
}

fn exponents(connection: &Connection) -> rusqlite::Result<Vec<ExponentPoint>> {
    let mut select = connection.prepare(
        "SELECT step, local, value, std_error FROM exponents \
         WHERE step = (SELECT max(step) FROM exponents) ORDER BY number",
    )?;
    let points = select.query_map([], |row| {
        Ok(ExponentPoint { step: step(row, 0)?, local: row.get(1)?, value: row.get(2)?, std_error: row.get(3)? })
    })?;
    points.collect()
}
