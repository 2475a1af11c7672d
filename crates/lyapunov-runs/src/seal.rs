//! Digests of what a run has left, in the form of `sha256sum`: rows and weights that are no longer what they were are
//! refused, not read.
//!
//! Neither SQLite nor safetensors has a checksum: a bit that flips in a loss or a weight makes another loss or weight.

use std::{fs, path::Path};

use crate::{
    digest::{SUMS, sha256},
    error::{Error, Result},
    folder::{MANIFEST, ROWS, RunFolder, WEIGHTS},
    manifest::Manifest,
};

/// Writes down the digests of rows and weights; nothing changes these any more.
///
/// # Errors
/// [`Error::Io`] where the file system refuses.
pub fn seal(folder: &RunFolder) -> Result<()> {
    let files = [ROWS, WEIGHTS].into_iter().filter(|name| folder.file(name).is_file());
    let lines = files.map(|name| Ok(format!("{}  {name}\n", digest(&folder.file(name))?)));
    folder.write(SUMS, lines.collect::<Result<String>>()?.as_bytes())
}

/// Whether the file is the one that its run has left: `false` where nobody wrote down what that was, as while a run
/// lasts.
///
/// # Errors
/// Where it is another one.
pub fn check(path: &Path) -> Result<bool> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(false) };
    let sums = fs::read_to_string(folder.join(SUMS)).unwrap_or_default();
    let written = sums.lines().filter_map(|line| line.split_once("  ")).find(|(_, file)| name == *file);
    // A run that was killed while it was sealed goes on.
    let ended = || folder.join(MANIFEST).is_file() && Manifest::read(folder).is_ok_and(|run| run.outcome.is_final());
    let Some((written, _)) = written.filter(|_| ended()) else { return Ok(false) };
    if digest(path)? == written {
        return Ok(true);
    }
    let message = format!("{} is not what its run has left: its SHA-256 is not the one in {SUMS}", path.display());
    Err(Error::unusable(
        message,
        Some("the file was changed or damaged; take it from a copy, or train again".to_owned()),
    ))
}

fn digest(path: &Path) -> Result<String> {
    Ok(sha256(&fs::read(path).map_err(|cause| Error::io("read", path, cause))?))
}
