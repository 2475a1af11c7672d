//! Event records as TensorBoard reads them: length, body and their checksums; the body is a protocol buffer.
//!
//! A record is the length of the body (8 bytes, little-endian), its masked CRC-32C, the body, its masked CRC-32C. The
//! bodies are messages `Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }`
//! with `Summary { repeated Value value = 1; }` and `Value { string tag = 1; float simple_value = 2; }`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Numbers of one step by their tags. TensorBoard holds 32 bits of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scalars(Vec<(String, f32)>);

impl Scalars {
    /// Adds a number; one that is none, or too large for 32 bits, is not known.
    pub fn push(&mut self, tag: String, value: Option<f64>) {
        let value = value.map(|value| value as f32).filter(|value| value.is_finite());
        self.0.extend(value.map(|value| (tag, value)));
    }
}

/// The name of a file of events, begun at this time by this process: TensorBoard orders them by it.
pub fn file_name(wall_time: f64) -> PathBuf {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
    let host: String = host.trim().chars().filter(plain).collect();
    let host = if host.is_empty() { "localhost" } else { &host };
    format!("events.out.tfevents.{:010}.{host}.{}.0", wall_time as u64, std::process::id()).into()
}

/// Writes the record that every file begins with.
///
/// # Errors
/// Where the writer fails.
pub fn begin(file: &mut impl Write, wall_time: f64) -> io::Result<()> {
    let mut event = Vec::new();
    double(&mut event, 1, wall_time);
    bytes(&mut event, 3, b"brain.Event:2");
    record(file, &event)
}

/// Writes the numbers of a step; nothing where there is none.
///
/// # Errors
/// Where the writer fails.
pub fn write(file: &mut impl Write, wall_time: f64, step: u64, scalars: &Scalars) -> io::Result<()> {
    if scalars.0.is_empty() {
        return Ok(());
    }
    let mut summary = Vec::new();
    for (tag, value) in &scalars.0 {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, tag.as_bytes());
        key(&mut entry, 2, 5);
        entry.extend(value.to_le_bytes());
        bytes(&mut summary, 1, &entry);
    }
    let mut event = Vec::new();
    double(&mut event, 1, wall_time);
    key(&mut event, 2, 0);
    varint(&mut event, step);
    bytes(&mut event, 5, &summary);
    record(file, &event)
}

fn record(file: &mut impl Write, body: &[u8]) -> io::Result<()> {
    let length = (body.len() as u64).to_le_bytes();
    // In one piece, so that a kill leaves whole records but the last.
    let mut record = Vec::with_capacity(body.len() + 16);
    record.extend(length);
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(body);
    record.extend(masked(crc32c(body)).to_le_bytes());
    file.write_all(&record)
}

/// The number of a field and how its value is written: 0 a varint, 1 eight bytes, 2 a length and bytes, 5 four bytes.
fn key(message: &mut Vec<u8>, field: u64, kind: u64) {
    varint(message, field << 3 | kind);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn double(message: &mut Vec<u8>, field: u64, value: f64) {
    key(message, field, 1);
    message.extend(value.to_le_bytes());
}

fn bytes(message: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(message, field, 2);
    varint(message, value.len() as u64);
    message.extend(value);
}

/// Rotated and moved, so that the checksum of bytes that hold checksums is no weaker.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with the polynomial of Castagnoli (1993).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |checksum: u32, byte| TABLE[usize::from(checksum as u8 ^ byte)] ^ (checksum >> 8))
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut entry, mut bit) = (byte as u32, 0);
        while bit < 8 {
            entry = if entry & 1 == 1 { entry >> 1 ^ 0x82f6_3b78 } else { entry >> 1 };
            bit += 1;
        }
        table[byte] = entry;
        byte += 1;
    }
    table
}

#[cfg(test)]
#[path = "../../tests/events/mod.rs"]
pub mod reading;

#[cfg(test)]
mod tests {
    use super::{reading::events, *};

    #[test]
    fn the_checksum_has_its_known_values() {
        // RFC 3720, appendix B.4, and the usual check of nine digits.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn events_read_back_and_a_cut_one_does_not_spoil_the_others() {
        let mut file = Vec::new();
        begin(&mut file, 12.5).unwrap();
        let mut scalars = Scalars::default();
        scalars.push("loss/batch".to_owned(), Some(0.25));
        scalars.push("sharpness/lambda_max[batch]".to_owned(), Some(-3.0));
        scalars.push("too large".to_owned(), Some(1e300));
        scalars.push("unknown".to_owned(), None);
        write(&mut file, 13.0, 300, &scalars).unwrap();
        write(&mut file, 13.0, 301, &Scalars::default()).unwrap();
        let (found, rest) = events(&file);
        assert_eq!((found.len(), rest), (2, 0));
        assert_eq!((found[0].version.as_deref(), found[0].wall_time), (Some("brain.Event:2"), 12.5));
        let numbers = [("loss/batch".to_owned(), 0.25), ("sharpness/lambda_max[batch]".to_owned(), -3.0)];
        assert_eq!((found[1].step, found[1].wall_time, &found[1].scalars[..]), (300, 13.0, &numbers[..]));
        let (found, rest) = events(&file[..file.len() - 3]);
        assert!(found.len() == 1 && rest > 12);
    }
}
