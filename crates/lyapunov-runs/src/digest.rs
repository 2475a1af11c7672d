//! SHA-256 in the form of `sha256sum`.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The file that holds the digests of a folder's files, one `digest  name` per line, as `sha256sum --check` reads it.
pub const SUMS: &str = "SHA256SUMS";

/// The SHA-256 of `bytes`, in 64 hexadecimal digits.
///
/// ```
/// let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// assert_eq!(lyapunov_runs::digest::sha256(b"abc"), abc);
/// ```
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
