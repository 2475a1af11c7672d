//! Reading databases of every version, of a run in progress, and of files that are not what they should be.

use std::{fs, path::Path};

use lyapunov::Evaluation;
use lyapunov_runs::store::{History, Latest, Row, SharpnessPoint, SharpnessSeries, Store, latest, read, read_from};
use rusqlite::{Connection, OpenFlags};

/// The tables of version 1, as it made them.
const TABLES_1: &str = "
    CREATE TABLE rows (
        step           INTEGER PRIMARY KEY, -- the step t that comes next
        loss           REAL,                -- mean loss of the mini-batch of step t
        gradient_norm  REAL,                -- norm of that batch's gradient
        learning_rate  REAL,                -- η of step t
        test_loss      REAL,                -- mean loss on the test images
        test_accuracy  REAL,                -- share of test images classified correctly
        train_loss     REAL,                -- mean loss on all training images
        measuring_cost REAL                 -- cost of all measurements so far, in gradient-equivalents
    ) STRICT;
    CREATE TABLE sharpness (
        step     INTEGER NOT NULL REFERENCES rows (step),
        \"on\"     TEXT    NOT NULL,        -- the data: batch, subset=COUNT, full
        product  TEXT    NOT NULL,          -- the kind of product with the Hessian
        value    REAL,                      -- λ_max
        residual REAL,                      -- some eigenvalue lies this close to the value
        cost     REAL    NOT NULL,          -- in gradient-equivalents
        PRIMARY KEY (step, \"on\")
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

const ROWS_1: &str = "
    INSERT INTO rows VALUES (0, 2.5, 1.5, 0.05, 2.25, 0.125, NULL, 3.0), (1, 2.0, 1.25, 0.05, NULL, NULL, NULL, 3.5),
                            (2, NULL, NULL, NULL, 1.75, 0.5, 1.5, 3.5);
    INSERT INTO sharpness VALUES (0, 'batch', 'exact', 8.0, 0.5, 3.0), (1, 'batch', 'exact', 10.0, 0.25, 0.5),
                                 (1, 'full', 'exact', NULL, NULL, 9.0);
";

/// The tables of version 2, as it made them.
const TABLES_2: &str = "
    CREATE TABLE rows (
        step           INTEGER PRIMARY KEY, -- the step t that comes next
        loss           REAL,                -- mean loss of the mini-batch of step t
        gradient_norm  REAL,                -- norm of that batch's gradient
        learning_rate  REAL,                -- η of step t
        test_loss      REAL,                -- mean loss on the test images
        test_accuracy  REAL,                -- share of test images classified correctly
        train_loss     REAL,                -- mean loss on all training images
        edge           REAL,                -- the sharpness above which the optimizer is unstable at this η
        rayleigh       REAL,                -- mean vᵀHv of the first deviation since the last row that has exponents
        measuring_cost REAL                 -- cost of all measurements so far, in gradient-equivalents
    ) STRICT;
    CREATE TABLE sharpness (
        step     INTEGER NOT NULL REFERENCES rows (step),
        quantity TEXT    NOT NULL,          -- lambda_max, batch_sharpness, preconditioned_sharpness
        \"on\"     TEXT    NOT NULL,        -- the data: batch, subset=COUNT, full
        product  TEXT    NOT NULL,          -- the kind of product with the Hessian
        value    REAL,
        residual REAL,                      -- some eigenvalue lies this close to the value
        edge     REAL,                      -- the value over the threshold of stability, where that speaks of it
        cost     REAL    NOT NULL,          -- in gradient-equivalents
        PRIMARY KEY (step, quantity, \"on\")
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE exponents (
        step      INTEGER NOT NULL REFERENCES rows (step),
        number    INTEGER NOT NULL,         -- 1 is the largest
        local     REAL,                     -- growth since the row before, in nats per step
        value     REAL,                     -- the exponent so far, in nats per step
        std_error REAL,                     -- its standard error
        PRIMARY KEY (step, number)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 2;
";

const ROWS_2: &str = "
    INSERT INTO rows VALUES (0, 2.5, 1.5, 0.05, 2.25, 0.125, NULL, 40.0, NULL, 3.0),
                            (1, 2.0, 1.25, 0.05, NULL, NULL, NULL, 40.0, -0.75, 3.5);
    INSERT INTO sharpness VALUES (1, 'lambda_max', 'batch', 'exact', 10.0, 0.25, 0.25, 0.5),
                                 (1, 'batch_sharpness', 'batch', 'exact', 20.0, NULL, 0.5, 1.0);
    INSERT INTO exponents VALUES (1, 1, 0.25, 0.125, 0.0625), (1, 2, -0.25, NULL, NULL);
";

/// How a run may end.
const END: Evaluation = Evaluation { loss: 0.25, accuracy: 1.0 };

fn made(path: &Path, statements: &[&str]) {
    let connection = Connection::open(path).unwrap();
    for statement in statements {
        connection.execute_batch(statement).unwrap();
    }
}

/// Reads the file in every way; none may change it or leave anything beside it.
fn unchanged(path: &Path) -> History {
    let before = fs::read(path).unwrap();
    let history = read(path).unwrap();
    let last = latest(path).unwrap();
    assert_eq!(last.row.map(|row| row.step), history.rows.last().map(|row| row.step));
    assert_eq!(before, fs::read(path).unwrap());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    history
}

#[test]
fn version_1_reads_as_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    made(&path, &[TABLES_1, ROWS_1]);
    let history = unchanged(&path);
    let first = Row {
        step: 0,
        loss: Some(2.5),
        gradient_norm: Some(1.5),
        learning_rate: Some(0.05),
        test_loss: Some(2.25),
        test_accuracy: Some(0.125),
        measuring_cost: Some(3.0),
        ..Row::default()
    };
    assert_eq!((history.rows.len(), history.rows[0]), (3, first));
    assert_eq!((history.rows[2].train_loss, history.rows[2].loss), (Some(1.5), None));
    let point = |step, value, residual, cost| SharpnessPoint {
        step,
        value,
        residual: Some(residual),
        learning_rate: 0.05,
        edge: None,
        cost,
    };
    let series = SharpnessSeries {
        quantity: "lambda_max".to_owned(),
        on: "batch".to_owned(),
        product: "exact".to_owned(),
        points: vec![point(0, 8.0, 0.5, 3.0), point(1, 10.0, 0.25, 0.5)],
    };
    assert_eq!(history.sharpness, [series]);
    assert!(history.exponents.is_empty() && history.probes.is_empty());
}

#[test]
fn version_2_reads_with_its_edges_and_exponents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    made(&path, &[TABLES_2, ROWS_2]);
    let history = unchanged(&path);
    assert_eq!((history.rows[1].edge, history.rows[1].rayleigh), (Some(40.0), Some(-0.75)));
    let of = |i: usize| (history.sharpness[i].quantity.as_str(), history.sharpness[i].points[0].edge);
    assert_eq!([of(0), of(1)], [("lambda_max", Some(0.25)), ("batch_sharpness", Some(0.5))]);
    let point = history.exponents[0].points[0];
    assert_eq!((point.local, point.value, point.std_error), (Some(0.25), Some(0.125), Some(0.0625)));
    assert_eq!(history.exponents[1].points[0].value, None);
    assert!(history.probes.is_empty());
}

#[test]
fn the_last_of_everything_is_that_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    made(&path, &[TABLES_1, ROWS_1]);
    let last = latest(&path).unwrap();
    let row = last.row.unwrap();
    assert_eq!((row.step, row.loss, row.test_accuracy), (2, Some(2.0), Some(0.5)));
    assert_eq!(last.lambda_max().map(|point| (point.step, point.value)), Some((1, 10.0)));
    assert_eq!(read_from(&path, 1).unwrap().rows.len(), 2);
    made(&path, &["PRAGMA user_version = 1;", "DELETE FROM sharpness;", "DELETE FROM rows;"]);
    assert_eq!(latest(&path).unwrap(), Latest::default());
}

#[test]
fn the_share_of_the_edge_is_that_of_the_quantity_it_speaks_of_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    made(&path, &[TABLES_2, ROWS_2]);
    let last = latest(&path).unwrap();
    assert_eq!((last.edge_share(), last.exponents.len()), (Some(0.5), 2));
}

#[test]
fn a_newer_version_is_refused_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    made(&path, &[TABLES_2, "PRAGMA user_version = 9;"]);
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("newer version of lyapunov: its tables have version 9, this one knows"), "{message}");
}

#[test]
fn a_file_cut_short_is_a_fault_that_names_it_and_never_fewer_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    let many = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
                INSERT INTO rows SELECT i, 1.0, 1.0, 0.1, NULL, NULL, NULL, NULL, NULL, i FROM n;";
    made(&path, &[TABLES_2, many]);
    let whole = fs::read(&path).unwrap();
    assert_eq!(read(&path).unwrap().rows.len(), 2001);
    for length in [0, 10, 99, 1000, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let message = read(&path).map(|history| history.rows.len()).expect_err(&format!("cut to {length}")).to_string();
        assert!(message.contains("run.sqlite"), "{message}");
    }
    fs::write(&path, "loss,step\n1,2\n").unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("run.sqlite"));
    fs::remove_file(&path).unwrap();
    assert!(read(&path).is_err() && !path.exists(), "nothing is made");
}

#[test]
fn a_run_is_read_while_it_is_written_and_its_end_waits_for_no_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    let mut store = Store::create(&path).unwrap();
    assert!(read(&path).unwrap().rows.is_empty());
    store.record_end(1, (END, None), None, 1.0).unwrap();
    assert_eq!(read(&path).unwrap().rows.len(), 1);
    let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut select = reader.prepare("SELECT step FROM rows").unwrap();
    let mut rows = select.query([]).unwrap();
    assert!(rows.next().unwrap().is_some());
    store.record_end(2, (END, None), None, 2.0).unwrap();
    store.close().expect("whoever reads does not make a run fail");
    assert!(rows.next().unwrap().is_none(), "the reader sees one moment");
    drop(rows);
    drop(select);
    drop(reader);
    assert_eq!(read(&path).unwrap().rows.len(), 2);
}

#[test]
fn reading_a_killed_run_leaves_its_files_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    let mut store = Store::create(&path).unwrap();
    store.record_end(1, (END, None), None, 1.0).unwrap();
    // What a kill leaves: the file with its log, while nobody is there.
    let killed = tempfile::tempdir().unwrap();
    for name in ["run.sqlite", "run.sqlite-wal"] {
        fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
    }
    let bytes = || ["run.sqlite", "run.sqlite-wal"].map(|name| fs::read(killed.path().join(name)).unwrap());
    let before = bytes();
    assert_eq!(read(&killed.path().join("run.sqlite")).unwrap().rows.len(), 1);
    assert!(before == bytes(), "reading wrote");
}
