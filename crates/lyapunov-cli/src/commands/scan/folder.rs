//! What a scan leaves in its folder while it goes on: its settings, and the rows that are done.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use serde_json::Value;

use super::{super::parallel::in_parallel, ScanArguments, plane::Plane};
use crate::{
    error::{Error, Result},
    folder::write_file,
    terminal::progress::Spinner,
};

/// The arguments of the scan, from which a later call knows it again.
const SETTINGS: &str = "scan.json";
/// The rows that are done, in binary numbers.
const ROWS: &str = "rows.f64";

/// The rows that an earlier call has left in the folder, whole ones; makes the folder where there is none.
pub fn begun(folder: &Path, settings: &Value, columns: usize) -> Result<Vec<f64>> {
    let (path, rows) = (folder.join(SETTINGS), folder.join(ROWS));
    if !path.exists() {
        if folder.exists() && fs::read_dir(folder).map_err(|cause| Error::io("read", folder, cause))?.next().is_some() {
            let message = format!("{} is not empty, and holds no scan", folder.display());
            return Err(Error::usage(message, Some("name another folder by --out".to_owned())));
        }
        fs::create_dir_all(folder).map_err(|cause| Error::io("create the folder", folder, cause))?;
        write_file(&path, format!("{settings:#}\n").as_bytes())?;
    }
    let text = fs::read_to_string(&path).map_err(|cause| Error::io("read", &path, cause))?;
    let known: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if known != *settings {
        let differs = settings.as_object().into_iter().flatten().find(|(key, value)| known.get(key) != Some(value));
        let what = differs.map(|(key, value)| format!(": `{key}` is {}, not {value}", known[key])).unwrap_or_default();
        let message = format!("{} holds another scan{what}", folder.display());
        return Err(Error::usage(message, Some("name another folder by --out, or the same arguments".to_owned())));
    }
    let bytes =
        if rows.exists() { fs::read(&rows).map_err(|cause| Error::io("read", &rows, cause))? } else { Vec::new() };
    let (numbers, _) = bytes.as_chunks::<8>();
    let mut values: Vec<f64> = numbers.iter().map(|number| f64::from_le_bytes(*number)).collect();
    values.truncate(values.len() / columns * columns);
    Ok(values)
}

/// All rows: those that are there, and those that are missing, each written as soon as it is done.
pub fn completed(plane: &Plane, arguments: &ScanArguments, mut values: Vec<f64>) -> Result<Vec<f64>> {
    let path = arguments.out.join(ROWS);
    let failed = |cause| Error::io("write", &path, cause);
    let (columns, rows) = (plane.x.count, plane.y.count);
    values.truncate(columns * rows);
    let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
    // What was written of a row that was not finished is written again.
    file.set_len((8 * values.len()) as u64).map_err(failed)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(failed)?;
    let spinner = Spinner::new(arguments.quiet || arguments.json);
    spinner.begin_of("trainings", "row", (rows - values.len() / columns) as u64);
    for row in values.len() / columns..rows {
        let found = in_parallel(columns, |column| plane.value(arguments, column, row));
        let found = found.into_iter().collect::<lyapunov::Result<Vec<f64>>>()?;
        let bytes: Vec<u8> = found.iter().flat_map(|value| value.to_le_bytes()).collect();
        file.write_all(&bytes).map_err(failed)?;
        values.extend(found);
        spinner.tick();
    }
    spinner.finish();
    Ok(values)
}
