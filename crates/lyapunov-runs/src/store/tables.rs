//! The tables of the database, made and opened: every version shows those of the newest one.

use std::{fmt::Write, fs, path::Path};

use rusqlite::{Connection, OpenFlags};

use crate::{
    columns::{
        AlongPoint, ExponentPoint, Key, NearbyPoint, Recorded, Row, SCHEMA_VERSION, SecantPoint, SharpnessPoint,
    },
    error::{Error, Result},
};

/// The table of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";

/// Files from which the run can go on; the rows before their step are whole.
const CHECKPOINTS_SCHEMA: &str = "CREATE TABLE checkpoints (
    step   INTEGER PRIMARY KEY, -- steps that had been taken
    file   TEXT    NOT NULL,    -- its name in the folder of the run
    bytes  INTEGER NOT NULL,    -- its length
    sha256 TEXT    NOT NULL     -- its digest, in hexadecimal digits
) STRICT;
";

/// The tables whose rows speak of a step, those that refer to others first.
pub fn names() -> [&'static str; 7] {
    [
        ExponentPoint::TABLE,
        SecantPoint::TABLE,
        AlongPoint::TABLE,
        NearbyPoint::TABLE,
        SharpnessPoint::TABLE,
        CHECKPOINTS,
        Row::TABLE,
    ]
}

/// What makes the tables of a new database. Numbers may be NULL: not measured, or none.
pub fn schema() -> String {
    let tables = [
        table::<Row>(),
        table::<SharpnessPoint>(),
        table::<NearbyPoint>(),
        table::<AlongPoint>(),
        table::<SecantPoint>(),
        table::<ExponentPoint>(),
        CHECKPOINTS_SCHEMA.to_owned(),
    ];
    format!("BEGIN;\n{}PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;", tables.concat())
}

fn table<T: Recorded>() -> String {
    let keys = T::KEYS.iter().map(|key| (format!("\"{}\" {}", key.name, key.declaration), key.meaning.to_owned()));
    let numbers = T::COLUMNS.iter().map(|column| {
        (format!("\"{}\" REAL", column.name), format!("{}: {}; {}", column.symbol, column.meaning, column.unit))
    });
    let primary = (!T::PRIMARY.is_empty()).then(|| (format!("PRIMARY KEY ({})", quoted(T::PRIMARY)), String::new()));
    let lines: Vec<(String, String)> = keys.chain(numbers).chain(primary).collect();
    let mut text = format!("CREATE TABLE {} (\n", T::TABLE);
    for (place, (declaration, meaning)) in lines.iter().enumerate() {
        let comma = if place + 1 < lines.len() { "," } else { "" };
        let comment = if meaning.is_empty() { String::new() } else { format!(" -- {meaning}") };
        let _ = writeln!(text, "    {declaration}{comma}{comment}");
    }
    text + if T::PRIMARY.is_empty() { ") STRICT;\n" } else { ") STRICT, WITHOUT ROWID;\n" }
}

/// Names in SQL: `on` is a word of it.
pub fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// The statement that writes a row: its keys, then its numbers.
pub fn insert<T: Recorded>() -> String {
    let names: Vec<&str> = T::KEYS.iter().map(|key| key.name).chain(T::COLUMNS.iter().map(|c| c.name)).collect();
    let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", T::TABLE, quoted(&names), places.join(", "))
}

/// Temporary views that lie over the tables of a file of an older version and show what it has not as unknown. The file
/// stays as it is.
fn views(version: i64) -> String {
    [
        view::<Row>(version),
        view::<SharpnessPoint>(version),
        view::<NearbyPoint>(version),
        view::<AlongPoint>(version),
        view::<SecantPoint>(version),
        view::<ExponentPoint>(version),
    ]
    .concat()
}

fn view<T: Recorded>(version: i64) -> String {
    let key = |key: &Key| match key.before {
        Some((since, before)) if version < since => format!("{before} AS \"{}\"", key.name),
        _ => format!("\"{}\"", key.name),
    };
    let there = T::SINCE <= version;
    let keys = T::KEYS.iter().map(|k| if there { key(k) } else { format!("NULL AS \"{}\"", k.name) });
    let numbers = T::COLUMNS.iter().map(|column| {
        let unknown = if column.since <= version { "" } else { "NULL AS " };
        format!("{unknown}\"{}\"", column.name)
    });
    let names = keys.chain(numbers).collect::<Vec<_>>().join(", ");
    let from = if there { format!("FROM main.{}", T::TABLE) } else { "WHERE 0".to_owned() };
    format!("CREATE TEMP VIEW {} AS SELECT {names} {from};\n", T::TABLE)
}

/// The database at `path`, to be read.
///
/// # Errors
/// For a file that is not there or no database of a run, and for one of a newer version.
pub fn open(path: &Path) -> Result<Connection> {
    let failed = |cause| Error::store("read", path, cause);
    // SQLite would make a file that is not there.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    // What SQLite advises for files of unknown origin: nothing in the schema is run, and cells are looked at before
    // they are used.
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;").map_err(failed)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    check_version(path, version)?;
    check_length(&connection, path)?;
    if version < SCHEMA_VERSION {
        connection.execute_batch(&views(version)).map_err(failed)?;
    }
    Ok(connection)
}

/// Refuses a file in which pages, types or keys do not fit together.
pub fn check_pages(path: &Path) -> Result<()> {
    let failed = |cause| Error::store("read", path, cause);
    let connection = open(path)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found == "ok" {
        return Ok(());
    }
    let message = format!("{} is damaged: {}", path.display(), found.replace('\n', " "));
    Err(Error::unusable(message, Some("take it from a copy, or train again".to_owned())))
}

/// SQLite reads a page of which the end is missing as if it ended in zeros; it sees itself where whole pages are
/// missing.
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
    let refused = |why: &str, help: Option<&str>| {
        Err(Error::unusable(format!("{} {why}", path.display()), help.map(str::to_owned)))
    };
    match version {
        1..=SCHEMA_VERSION => Ok(()),
        ..1 => refused("is not the database of a run, or its run was killed before the first row", None),
        newer => refused(
            &format!(
                "was written by a newer version of lyapunov: its tables have version {newer}, this one knows \
                 {SCHEMA_VERSION}"
            ),
            Some("read it with the newer version"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_every_version_show_the_columns_of_the_newest() {
        for version in 1..SCHEMA_VERSION {
            // A database as an older version made it: what it did not have is taken out of today's.
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(&schema()).unwrap();
            drop_later::<Row>(&connection, version);
            drop_later::<SharpnessPoint>(&connection, version);
            connection.execute_batch(&views(version)).unwrap();
            for table in names().iter().filter(|name| **name != CHECKPOINTS) {
                connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
            }
            let select =
                format!("SELECT {} FROM rows", quoted(&Row::COLUMNS.iter().map(|c| c.name).collect::<Vec<_>>()));
            connection.prepare(&select).unwrap();
        }
    }

    fn drop_later<T: Recorded>(connection: &Connection, version: i64) {
        for column in T::COLUMNS.iter().filter(|column| column.since > version) {
            connection.execute_batch(&format!("ALTER TABLE {} DROP COLUMN \"{}\"", T::TABLE, column.name)).unwrap();
        }
    }

    #[test]
    fn the_schema_says_what_every_column_is() {
        let text = schema();
        assert!(text.contains("\"loss\" REAL, -- L_B: Mean loss of the mini-batch of step t; loss\n"), "{text}");
        assert!(text.contains("PRIMARY KEY (\"step\", \"quantity\", \"on\")\n) STRICT, WITHOUT ROWID;"), "{text}");
    }
}
