//! Opening the database of a run to read it: every version shows the tables of the newest one.

use std::{fs, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::SCHEMA_VERSION;
use crate::error::{Error, Result};

/// What version 1 has not: other quantities than λ_max, edges, exponents. Temporary views lie over the tables of the same
/// names and leave the file as it is.
const VERSION_1: &str = "
    CREATE TEMP VIEW rows AS
        SELECT step, loss, gradient_norm, learning_rate, test_loss, test_accuracy, train_loss, NULL AS edge,
               NULL AS rayleigh, measuring_cost
        FROM main.rows;
    CREATE TEMP VIEW sharpness AS
        SELECT step, 'lambda_max' AS quantity, \"on\", product, value, residual, NULL AS edge, cost FROM main.sharpness;
    CREATE TEMP VIEW exponents AS
        SELECT 0 AS step, 1 AS number, NULL AS local, NULL AS value, NULL AS std_error WHERE 0;
";

/// What versions 1 and 2 have not: the probes of rules.
const VERSION_2: &str = "
    CREATE TEMP VIEW along AS
        SELECT 0 AS step, 0.0 AS slope, 0.0 AS curvature, 0.0 AS stretch, 0.0 AS reach, '' AS product, 0.0 AS cost WHERE 0;
    CREATE TEMP VIEW secants AS SELECT 0 AS step, 0.0 AS moved, 0.0 AS turned, 0.0 AS cost WHERE 0;
";

/// The database at `path`, to be read.
///
/// # Errors
/// For a file that is not there or no database of a run, and for one of a newer version.
pub fn open(path: &Path) -> Result<Connection> {
    let failed = |cause| Error::store("read", path, cause);
    // SQLite would make a file that is not there.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    // What SQLite advises for files of unknown origin: nothing in the schema is run, and cells are looked at before they are used.
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;").map_err(failed)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    check_version(path, version)?;
    check_length(&connection, path)?;
    let views = [(1, VERSION_1), (2, VERSION_2)];
    for (_, views) in views.into_iter().filter(|(last, _)| version <= *last) {
        connection.execute_batch(views).map_err(failed)?;
    }
    Ok(connection)
}

/// Refuses a file in which pages, types or keys do not fit together.
pub fn check_pages(path: &Path) -> Result<()> {
    let failed = |cause| Error::store("read", path, cause);
    let connection = open(path)?;
    let told: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if told == "ok" {
        return Ok(());
    }
    let message = format!("{} is damaged: {}", path.display(), told.replace('\n', " "));
    Err(Error::unusable(message, Some("take it from a copy, or train again".to_owned())))
}

/// SQLite reads a page of which the end is missing as if it ended in zeros; it sees itself where whole pages are missing.
fn check_length(connection: &Connection, path: &Path) -> Result<()> {
    let page: i64 = connection
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(|cause| Error::store("read", path, cause))?;
    let length = fs::metadata(path).map_err(|cause| Error::io("read", path, cause))?.len();
    if length.is_multiple_of(page.cast_unsigned()) {
        return Ok(());
    }
    Err(Error::unusable(format!("{} is cut short: {length} bytes are no whole number of pages", path.display()), None))
}

fn check_version(path: &Path, version: i64) -> Result<()> {
    let refused = |told: &str, help: Option<&str>| {
        Err(Error::unusable(format!("{} {told}", path.display()), help.map(str::to_owned)))
    };
    match version {
        1..=SCHEMA_VERSION => Ok(()),
        ..1 => refused("is not the database of a run, or its run was killed before the first row", None),
        newer => refused(
            &format!(
                "was written by a newer version of lyapunov: its tables have version {newer}, this one knows {SCHEMA_VERSION}"
            ),
            Some("read it with the newer version"),
        ),
    }
}
