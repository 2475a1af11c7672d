//! Archives of images, read as a stream: the expected files and nothing else, and never more than a set can hold.
//!
//! Nothing of an archive ever becomes a path. Anything but plain files and folders, a path that is absolute or leads
//! upwards, a file that comes twice, bytes after the end, and more bytes than a set can hold are refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::GzDecoder;
use lyapunov_burn::ImageFile;
use lyapunov_burn::{Error, Result};
use tar::{Archive, Entry};

/// Most bytes that a set may unpack to; the largest published one has 184 million.
const MOST_BYTES: u64 = 256 << 20;

/// The files in the archive at `path` that `names` names, all of them.
pub fn read(path: &Path, names: &[&str]) -> Result<BTreeMap<String, ImageFile>> {
    let mut files = BTreeMap::new();
    walk(path, names, |name, contents| {
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes).map_err(|cause| damaged(path, cause))?;
        files.insert(name.to_owned(), ImageFile { path: path.join(name), bytes });
        Ok(())
    })?;
    Ok(files)
}

/// The first file in the archive at `path` that `names` names.
pub fn first_of<'a>(path: &Path, names: &[&'a str]) -> Result<Option<&'a str>> {
    let mut archive = Archive::new(unpacked(path)?);
    for entry in archive.entries().map_err(|cause| damaged(path, cause))? {
        let entry = entry.map_err(|cause| damaged(path, cause))?;
        if let Some(name) = expected(&entry, names).map_err(|reason| refused(path, reason))? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Hands each file of the archive at `path` that `names` names to `take`, in the order in which they come. Only when
/// this has returned is it known that they are whole, and all.
pub fn walk(path: &Path, names: &[&str], mut take: impl FnMut(&str, &mut dyn Read) -> Result<()>) -> Result<()> {
    let failed = |cause| damaged(path, cause);
    let mut archive = Archive::new(unpacked(path)?);
    let mut found = BTreeSet::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let Some(name) = expected(&entry, names).map_err(|reason| refused(path, reason))? else { continue };
        if !found.insert(name) {
            return Err(refused(path, format!("it holds {name} twice")));
        }
        let size = entry.size();
        let mut contents = Counted { inner: &mut entry, count: 0 };
        take(name, &mut contents)?;
        if contents.count != size {
            return Err(refused(path, format!("it ends inside {name}; it is truncated")));
        }
    }
    let missing: Vec<_> = names.iter().copied().filter(|name| !found.contains(name)).collect();
    match &missing[..] {
        [] => archive.into_inner().finish(),
        all if all.len() == names.len() => {
            Err(refused(path, format!("it holds none of the expected files, {}", all.join(", "))))
        }
        some => Err(refused(path, format!("it lacks {}", some.join(", ")))),
    }
}

/// The expected file that an entry is, if it is one.
fn expected<'a, R: Read>(entry: &Entry<'_, R>, names: &[&'a str]) -> std::result::Result<Option<&'a str>, String> {
    let (kind, path) = (entry.header().entry_type(), entry.path_bytes());
    let path = String::from_utf8_lossy(&path);
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    if path.starts_with(['/', '\\']) || parts.contains(&"..") {
        return Err(format!("it holds {path:?}, a path that leads out of it"));
    }
    if kind.is_dir() || kind.is_pax_global_extensions() {
        return Ok(None);
    }
    if !kind.is_file() {
        return Err(format!("it holds {path:?}, which is no plain file"));
    }
    if entry.size() > MOST_BYTES {
        return Err(format!("it holds {path:?}, which claims to have {} bytes", entry.size()));
    }
    // At the top, or in the one folder that published archives have.
    let name = parts.last().filter(|_| parts.len() <= 2);
    Ok(name.and_then(|name| names.iter().copied().find(|expected| expected == name)))
}

/// What is in the compressed file at `path`, up to the most bytes of a set.
pub fn unpacked(path: &Path) -> Result<Unpacked> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let start = file.fill_buf().map_err(failed)?;
    let reason = match start {
        [0x1f, 0x8b, ..] => None,
        [] => Some("the file is empty"),
        _ if start.trim_ascii_start().starts_with(b"<") => Some("this is a web page, not a gzip archive"),
        _ => Some("this is not a gzip archive"),
    };
    match reason {
        Some(reason) => Err(refused(path, reason.to_owned())),
        None => Ok(Unpacked { path: path.to_owned(), inner: GzDecoder::new(file), left: MOST_BYTES }),
    }
}

/// A compressed file, as it unpacks.
pub struct Unpacked {
    path: std::path::PathBuf,
    inner: GzDecoder<BufReader<File>>,
    left: u64,
}

impl Unpacked {
    /// Reads the rest, at the end of which stands the checksum.
    fn finish(mut self) -> Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match self.read(&mut buffer).map_err(|cause| damaged(&self.path, cause))? {
                0 => break,
                n if buffer[..n].iter().all(|byte| *byte == 0) => {}
                _ => return Err(refused(&self.path, "it goes on after its end".to_owned())),
            }
        }
        let mut file = self.inner.into_inner();
        match file.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(refused(&self.path, "there are bytes after its end".to_owned())),
            Err(source) => Err(Error::Io { path: self.path, source }),
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let left = self.left.checked_sub(n as u64);
        self.left = left.ok_or_else(|| io::Error::other(format!("it unpacks to more than {MOST_BYTES} bytes")))?;
        Ok(n)
    }
}

/// A reader that counts.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count += n as u64;
        Ok(n)
    }
}

fn refused(path: &Path, reason: String) -> Error {
    Error::Data { path: path.to_owned(), reason }
}

/// The fault of the archive at `path` that reading it failed by `cause`.
pub fn damaged(path: &Path, cause: io::Error) -> Error {
    match cause.kind() {
        _ if cause.raw_os_error().is_some() => Error::Io { path: path.to_owned(), source: cause },
        io::ErrorKind::UnexpectedEof => refused(path, "the file ends in the middle; it is truncated".to_owned()),
        _ => refused(path, format!("the file is damaged: {cause}")),
    }
}

#[cfg(test)]
mod tests;
