//! The last that is known of everything in the database of a run, without reading its rows.

use std::path::Path;

use lyapunov::Quantity;
use rusqlite::Connection;

use super::{
    ExponentPoint, Row, SharpnessPoint, SharpnessSeries,
    history::{list, numbers, sharpness_point, sharpness_query},
    tables,
};
use crate::{
    columns::Recorded,
    error::{Error, Result},
};

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
        let found = || self.sharpness.iter().filter(|series| series.quantity == Quantity::LambdaMax.name());
        let batch = found().find(|series| series.on == "batch");
        batch.or_else(|| found().next()).and_then(|series| series.points.last())
    }

    /// The sharpness over the threshold of the optimizer, of the quantity that the edge speaks of on mini-batches
    /// first.
    pub fn edge_share(&self) -> Option<f64> {
        let rank = |series: &&SharpnessSeries| match Quantity::from_name(&series.quantity) {
            Some(Quantity::BatchSharpness) => 0,
            Some(Quantity::PreconditionedSharpness) => 1,
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
    let mut row = Row::at(last.cast_unsigned());
    for column in Row::COLUMNS {
        // The scalar of a query that finds nothing is NULL.
        let known = format!("SELECT \"{0}\" FROM rows WHERE \"{0}\" IS NOT NULL", column.name);
        let query = format!("SELECT ({known} ORDER BY step DESC LIMIT 1)");
        connection.query_row(&query, [], |cells| (column.read)(&mut row, cells, 0))?;
    }
    Ok(Some(row))
}

fn sharpness(connection: &Connection) -> rusqlite::Result<Vec<SharpnessSeries>> {
    // Beside an aggregate max, SQLite takes the other columns from the row that has it.
    let newest = sharpness_query(", max(s.step)", "GROUP BY s.quantity, s.\"on\" ORDER BY s.quantity DESC, s.\"on\"");
    let mut select = connection.prepare(&newest)?;
    let series = select.query_map([], |row| {
        let points = vec![sharpness_point(row)?];
        Ok(SharpnessSeries { quantity: row.get(0)?, on: row.get(1)?, product: row.get(2)?, points })
    })?;
    series.collect()
}

fn exponents(connection: &Connection) -> rusqlite::Result<Vec<ExponentPoint>> {
    let numbers_of = list::<ExponentPoint>("");
    let mut select = connection.prepare(&format!(
        "SELECT {numbers_of} FROM exponents WHERE step = (SELECT max(step) FROM exponents) ORDER BY number"
    ))?;
    select.query_map([], |row| numbers(row, 0))?.collect()
}
