//! From an archive to a folder of images that appears whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use lyapunov_burn::Result;
use lyapunov_burn::{Dataset, Layout};

use super::{
    Files, archive,
    digest::{Fingerprint, SUMS, sha256, sums},
};

/// Unpacks the files of `layout` into `target`, which is not there yet or is empty, and gives the images and the
/// SHA-256 of labels and pixels. `growing`, a path beside the target that nobody else uses, is where they grow.
pub fn unpack(archive: &Path, layout: Layout, growing: &Path, target: &Path) -> Result<(Dataset, String)> {
    remove(growing)?;
    let made = grow(archive, layout, growing).and_then(|made| {
        let failed = |source| lyapunov_burn::Error::Io { path: target.to_owned(), source };
        fs::rename(growing, target).and_then(|()| sync(target.parent())).map_err(failed)?;
        Ok(made)
    });
    if made.is_err() {
        // The first fault is the one to report.
        let _ = remove(growing);
    }
    made
}

fn grow(archive: &Path, layout: Layout, folder: &Path) -> Result<(Dataset, String)> {
    let at = |path: PathBuf| move |source| lyapunov_burn::Error::Io { path, source };
    fs::create_dir(folder).map_err(at(folder.to_owned()))?;
    let names = [layout.training_files(), layout.test_files()].concat();
    archive::walk(archive, &names, |name, contents| {
        let path = folder.join(name);
        let mut file = File::create_new(&path).map_err(at(path.clone()))?;
        copy(archive, contents, &path, &mut file)?;
        file.sync_all().map_err(at(path))
    })?;
    let (mut whole, mut files) = (Fingerprint::default(), Vec::new());
    let mut found = Files::Beside(folder);
    // What is kept is what a training reads: the same reader looks at every label before the folder appears.
    let images = Dataset::from_files(layout, |name| {
        let file = found.take(name)?;
        whole.add(&file.bytes);
        files.push((name.to_owned(), sha256(&file.bytes)));
        Ok(file)
    })?;
    let whole = whole.digits();
    let path = folder.join(SUMS);
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(sums(&files, &whole).as_bytes())?;
        file.sync_all()
    });
    written.map_err(at(path))?;
    sync(Some(folder)).map_err(at(folder.to_owned()))?;
    Ok((images, whole))
}

/// Copies, and distinguishes an archive that cannot be read from a file that cannot be written.
fn copy(archive: &Path, from: &mut dyn Read, path: &Path, to: &mut File) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer).map_err(|cause| archive::damaged(archive, cause))? {
            0 => return Ok(()),
            n => to
                .write_all(&buffer[..n])
                .map_err(|source| lyapunov_burn::Error::Io { path: path.to_owned(), source })?,
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(lyapunov_burn::Error::Io { path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable, where folders can be opened.
fn sync(folder: Option<&Path>) -> io::Result<()> {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
