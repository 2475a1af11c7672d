//! The folder of a run: claimed once, never overwritten, filled with files that appear whole or not at all.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

pub use crate::manifest::MANIFEST;
use crate::{
    error::{Error, Result},
    faults,
    lock::{self, LOCK, Lock},
    manifest::Manifest,
};

/// The file of a run's resolved configuration.
pub const CONFIG: &str = "config.toml";

/// The database of a run's rows.
pub const ROWS: &str = "run.sqlite";

/// The picture of a run.
pub const PICTURE: &str = "run.svg";

/// The file of a run's final weights.
pub const WEIGHTS: &str = "weights.safetensors";

/// The folder of one run, held by this process alone.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Lock,
}

/// The folder of a run that is to be made once.
#[derive(Debug)]
pub enum Taken {
    /// It is ours, empty or with what a killed or failed run has left.
    Ours(RunFolder),
    /// The run has ended there.
    Ended,
    /// Another process is at it: who.
    Busy(String),
}

impl RunFolder {
    /// Makes `out/identity`, or where that exists the first free one of `out/identity-2`, `out/identity-3`, …
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be made, [`Error::Busy`] where
    /// another process holds it.
    pub fn claim(out: &Path, identity: &str) -> Result<Self> {
        fs::create_dir_all(out).map_err(|cause| unwritable(out, cause))?;
        let mut attempt = 1;
        loop {
            let name = if attempt == 1 { identity.to_owned() } else { format!("{identity}-{attempt}") };
            let path = out.join(name);
            match fs::create_dir(&path) {
                Ok(()) => {
                    if let Some(lock) = Lock::take(&path)? {
                        return Ok(Self { path, _lock: lock });
                    }
                    attempt += 1;
                }
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
                Err(cause) => return Err(unwritable(&path, cause)),
            }
        }
    }

    /// Takes `out/identity`, whether it is there or not, unless its run has ended or another process is at it.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be made, [`Error::Busy`] where
    /// another process holds it.
    pub fn take(out: &Path, identity: &str) -> Result<Taken> {
        let path = out.join(identity);
        fs::create_dir_all(&path).map_err(|cause| unwritable(&path, cause))?;
        let Some(lock) = Lock::take(&path)? else {
            return Ok(Taken::Busy(lock::holder(&path).unwrap_or_else(|| "another process".to_owned())));
        };
        // Read when the lock is ours: nobody changes it now.
        if path.join(MANIFEST).is_file() && Manifest::read(&path)?.outcome.is_final() {
            return Ok(Taken::Ended);
        }
        Ok(Taken::Ours(Self { path, _lock: lock }))
    }

    /// Takes the folder of a run that is there; says who is at it, where that is another process.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be made, [`Error::Busy`] where
    /// another process holds it.
    pub fn hold(path: &Path) -> Result<Self> {
        if !path.join(MANIFEST).is_file() {
            let message = format!("{} is not the folder of a run: it has no {MANIFEST}", path.display());
            let help =
                "a run that was killed before its first step has nothing to go on from: start it again".to_owned();
            return Err(Error::Unusable { message, help: Some(help) });
        }
        match Lock::take(path)? {
            Some(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            None => Err(Error::Busy {
                folder: path.to_owned(),
                holder: lock::holder(path).unwrap_or_else(|| "another process".to_owned()),
            }),
        }
    }

    /// The names of the files in the folder.
    ///
    /// # Errors
    /// [`Error::Io`] where the file system refuses.
    pub fn names(&self) -> Result<Vec<String>> {
        let failed = |cause| Error::io("read", &self.path, cause);
        let entries = fs::read_dir(&self.path).map_err(failed)?;
        entries.map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
    }

    /// Removes a file; one that is gone already is no fault.
    ///
    /// # Errors
    /// [`Error::Io`] where the file system refuses.
    pub fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.file(name)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &self.file(name), cause)),
            _ => Ok(()),
        }
    }

    /// Removes files that a process was writing when it was killed.
    ///
    /// # Errors
    /// [`Error::Io`] where the file system refuses.
    pub fn sweep(&self) -> Result<()> {
        let unfinished = self.names()?.into_iter().filter(|name| name.starts_with(GROWING));
        unfinished.into_iter().try_for_each(|name| self.remove(&name))
    }

    /// Removes what an earlier attempt has left, but the lock.
    ///
    /// # Errors
    /// [`Error::Io`] where the file system refuses.
    pub fn clear(&self) -> Result<()> {
        let failed = |cause| Error::io("clear", &self.path, cause);
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name() == LOCK {
                continue;
            }
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            let removed = if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            removed.map_err(failed)?;
        }
        Ok(())
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file of this name is or will be.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, replacing an earlier one in one move.
    ///
    /// # Errors
    /// [`Error::Io`] where the file system refuses.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let path = self.file(name);
        write_whole(&path, contents).map_err(|cause| Error::io("write", &path, cause))
    }
}

/// Fails where `out` cannot be made or written to; makes nothing.
///
/// # Errors
/// [`Error::Io`] where the file system refuses.
pub fn check_writable(out: &Path) -> Result<()> {
    let existing = out.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty());
    let ground = existing.unwrap_or(Path::new("."));
    tempfile::tempfile_in(ground).map_err(|cause| unwritable(out, cause))?;
    Ok(())
}

/// Fails where a file cannot be written at `path`; makes nothing.
///
/// # Errors
/// [`Error::Io`] where the file system refuses.
pub fn check_file(path: &Path) -> Result<()> {
    let failed = |cause| Error::io("write", path, cause);
    if path.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if let Destination::File(path) = Destination::of(path).map_err(failed)? {
        tempfile::tempfile_in(parent_of(&path)).map_err(failed)?;
    }
    Ok(())
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    let help = Some("name a folder that can be written to by `--out DIR`".to_owned());
    Error::Io { action: "make the output folder", path: path.to_owned(), source, help }
}

/// Writes an output where a person has asked for it. A regular file appears whole or not at all, and replaces an
/// earlier one with the permissions of that; a link is followed, and stays; what is no regular file (a pipe, a device,
/// a descriptor of the shell such as `/dev/fd/63`) is written into, and never replaced.
///
/// # Errors
/// [`Error::Io`] where the file system refuses, and for a file that is read-only.
pub fn write_file(path: &Path, contents: &[u8]) -> Result<()> {
    let failed = |cause| Error::io("write", path, cause);
    match Destination::of(path).map_err(failed)? {
        Destination::File(target) => write_whole(&target, contents),
        Destination::Stream => write_into(path, contents),
    }
    .map_err(failed)
}

/// What an output goes to.
enum Destination {
    /// A regular file, or one that is not there yet, by its own path: links have been followed.
    File(PathBuf),
    /// Anything else.
    Stream,
}

impl Destination {
    fn of(path: &Path) -> io::Result<Self> {
        let target = followed(path)?;
        // What the shell has opened is written into, whatever it is: it may hold the file already.
        let opened = ["/dev/fd", "/dev/stdout", "/dev/stderr", "/proc"];
        if opened.iter().any(|place| path.starts_with(place) || target.starts_with(place)) {
            return Ok(Self::Stream);
        }
        match fs::metadata(&target) {
            Ok(there) if !there.is_file() && !there.is_dir() => Ok(Self::Stream),
            Ok(there) if there.is_file() && there.permissions().readonly() => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"))
            }
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(Self::File(target)),
        }
    }
}

/// The path behind links, also behind one whose file is not there yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    const MOST: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..MOST {
        match fs::read_link(&target) {
            // The descriptors of a process lead to names that are no paths.
            Ok(_) if target.starts_with("/proc") => return Ok(target),
            Ok(next) => target = parent_of(&target).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many links lead from here to here"))
}

/// Writes into what is there, from its beginning.
fn write_into(path: &Path, contents: &[u8]) -> io::Result<()> {
    let regular = fs::metadata(path).is_ok_and(|there| there.is_file());
    let mut stream = fs::OpenOptions::new().write(true).truncate(regular).open(path)?;
    stream.write_all(contents)?;
    stream.flush()
}

/// What the names of files begin with that are being written.
pub(crate) const GROWING: &str = ".writing-";

/// Writes beside the target, then renames: readers see the old file or the new one, never a part, also after a loss of
/// power.
fn write_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    faults::point()?;
    let mut file = readable_by_others(tempfile::Builder::new().prefix(GROWING)).tempfile_in(parent_of(path))?;
    let (begin, rest) = contents.split_at(contents.len() / 2);
    file.write_all(begin)?;
    faults::point()?;
    file.write_all(rest)?;
    faults::point()?;
    if let Ok(there) = fs::metadata(path) {
        file.as_file().set_permissions(there.permissions())?;
    }
    file.as_file().sync_all()?;
    faults::point()?;
    file.persist(path)?;
    faults::point()?;
    sync_folder(parent_of(path))
}

/// Makes the names in a folder as durable as the files; where a file system cannot do that, nothing is lost but this.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match fs::File::open(path)?.sync_all() {
        Err(cause) if !matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Err(cause),
        _ => Ok(()),
    }
}

/// Makes a folder of files that appears with all of them or not at all. An empty folder may be there already.
///
/// # Errors
/// [`Error::Io`] where the file system refuses.
pub fn make_folder_of_files(path: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    let failed = |cause| Error::io("write", path, cause);
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(occupied(path));
    }
    let parent = parent_of(path);
    fs::create_dir_all(parent).map_err(failed)?;
    let growing = open_to_others(tempfile::Builder::new().prefix(".")).tempdir_in(parent).map_err(failed)?;
    for (name, contents) in files {
        fs::write(growing.path().join(name), contents).map_err(failed)?;
    }
    fs::rename(growing.path(), path).map_err(failed)?;
    // The temporary folder has its final name: nothing is left to clean up.
    let _ = growing.keep();
    Ok(())
}

/// The folder that a file or folder is in: "images" has the parent "", which means here.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn occupied(path: &Path) -> Error {
    let help = Some("name a folder that does not exist yet: nothing is overwritten".to_owned());
    Error::Unusable { message: format!("{} is there already, and not empty", path.display()), help }
}

/// Temporary files are private; what we make is as open as the user's mask allows.
fn readable_by_others<'a, 'b, 'c>(builder: &'c mut tempfile::Builder<'a, 'b>) -> &'c mut tempfile::Builder<'a, 'b> {
    mode(builder, 0o666)
}

fn open_to_others<'a, 'b, 'c>(builder: &'c mut tempfile::Builder<'a, 'b>) -> &'c mut tempfile::Builder<'a, 'b> {
    mode(builder, 0o777)
}

#[cfg(unix)]
fn mode<'a, 'b, 'c>(builder: &'c mut tempfile::Builder<'a, 'b>, bits: u32) -> &'c mut tempfile::Builder<'a, 'b> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(bits))
}

#[cfg(not(unix))]
fn mode<'a, 'b, 'c>(builder: &'c mut tempfile::Builder<'a, 'b>, _bits: u32) -> &'c mut tempfile::Builder<'a, 'b> {
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_identity_gets_the_next_free_number() {
        let out = tempfile::tempdir().unwrap();
        let name = || RunFolder::claim(out.path(), "run").unwrap().path().file_name().unwrap().to_owned();
        assert_eq!([name(), name(), name()], ["run", "run-2", "run-3"]);
    }

    #[test]
    fn a_file_replaces_its_predecessor_and_leaves_nothing_beside_it() {
        let out = tempfile::tempdir().unwrap();
        let folder = RunFolder::claim(out.path(), "run").unwrap();
        folder.write("manifest.json", b"first").unwrap();
        folder.write("manifest.json", b"second").unwrap();
        assert_eq!(fs::read(folder.file("manifest.json")).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the lock, and the file");
    }

    #[test]
    fn a_run_that_is_made_once_has_one_owner_and_one_end() {
        let out = tempfile::tempdir().unwrap();
        let Taken::Ours(folder) = RunFolder::take(out.path(), "run").unwrap() else { panic!("nobody else is here") };
        assert!(matches!(RunFolder::take(out.path(), "run").unwrap(), Taken::Busy(_)));
        folder.write(MANIFEST, &Manifest::default().to_json()).unwrap();
        drop(folder);
        let Taken::Ours(folder) = RunFolder::take(out.path(), "run").unwrap() else { panic!("its owner is gone") };
        folder.clear().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the lock is left");
        let ended = Manifest { outcome: crate::manifest::Outcome::Completed, ..Manifest::default() };
        folder.write(MANIFEST, &ended.to_json()).unwrap();
        drop(folder);
        assert!(matches!(RunFolder::take(out.path(), "run").unwrap(), Taken::Ended));
    }

    #[test]
    fn checking_a_folder_makes_nothing() {
        let out = tempfile::tempdir().unwrap();
        check_writable(&out.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
        let file = out.path().join("file");
        fs::write(&file, "").unwrap();
        let message = check_writable(&file.join("below")).unwrap_err().to_string();
        assert!(message.contains("cannot make the output folder") && message.contains("below"), "{message}");
    }

    #[test]
    fn a_folder_of_files_is_made_once() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("deep/images");
        let files = [("a.bin".to_owned(), vec![1]), ("b.bin".to_owned(), vec![2])];
        make_folder_of_files(&path, &files).unwrap();
        assert_eq!(fs::read(path.join("b.bin")).unwrap(), [2]);
        assert_eq!(fs::read_dir(out.path().join("deep")).unwrap().count(), 1, "no temporary folder is left");
        assert!(make_folder_of_files(&path, &files).unwrap_err().to_string().contains("there already"));
        let empty = out.path().join("empty");
        fs::create_dir(&empty).unwrap();
        make_folder_of_files(&empty, &files).unwrap();
        assert_eq!(fs::read_dir(&empty).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_the_mask_lets_them_read() {
        use std::os::unix::fs::PermissionsExt;
        let out = tempfile::tempdir().unwrap();
        let folder = RunFolder::claim(out.path(), "run").unwrap();
        folder.write("config.toml", b"").unwrap();
        fs::write(folder.file("plain"), "").unwrap();
        let bits = |name| fs::metadata(folder.file(name)).unwrap().permissions().mode();
        assert_eq!(bits("config.toml"), bits("plain"));
    }
}
