//! Fingerprints: the MD5 that archives are published with, and our SHA-256 of labels and pixels.
//!
//! The SHA-256 of a set is that of its unpacked files one after another, training before test: `cat train.bin test.bin
//! | sha256sum`. `data fetch` writes it beside the files, in a form that `sha256sum --check` reads too.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use md5::Md5;
use sha2::{Digest, Sha256};

pub use lyapunov_runs::digest::{SUMS, sha256};

/// What stands before the fingerprint of the whole set.
const WHOLE: &str = "# labels and pixels of all files: ";

/// The SHA-256 of bytes that come in parts.
#[derive(Clone, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The fingerprint, in hexadecimal digits.
    pub fn digits(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// The MD5 of a file.
pub fn md5_of(path: &Path) -> io::Result<String> {
    let (mut file, mut md5, mut buffer) = (File::open(path)?, Md5::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&md5.finalize())),
            n => md5.update(&buffer[..n]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The contents of [`SUMS`]: the fingerprint of each file by its name, and that of all together.
pub fn sums(files: &[(String, String)], whole: &str) -> String {
    let mut text = format!("{WHOLE}{whole}\n");
    for (name, digits) in files {
        let _ = writeln!(text, "{digits}  {name}");
    }
    text
}

/// The fingerprint of all images that is written down in `folder`, if there is one.
pub fn recorded(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(SUMS)).ok()?;
    text.lines().find_map(|line| line.strip_prefix(WHOLE)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_the_standards() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("abc"), "abc").unwrap();
        assert_eq!(md5_of(&folder.path().join("abc")).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        let mut parts = Fingerprint::default();
        for part in [&b"a"[..], b"", b"bc"] {
            parts.add(part);
        }
        assert_eq!(parts.digits(), abc);
    }

    #[test]
    fn what_is_written_down_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(recorded(folder.path()), None);
        fs::write(folder.path().join(SUMS), sums(&[("a.bin".to_owned(), "12".to_owned())], "34")).unwrap();
        assert_eq!(recorded(folder.path()).as_deref(), Some("34"));
    }
}
