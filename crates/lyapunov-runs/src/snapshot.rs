//! What was saved of a run, to and from bytes in the safetensors format: one tensor per row, and a note.

use std::borrow::Cow;

use lyapunov::{Numbers, Snapshot};
use lyapunov_safetensors::{Dtype, Error, Result, SafeTensors, View, open, serialize};

/// The entry of a file's metadata that holds the note.
const NOTE: &str = "note";

/// A row on its way out; its bytes are made when they are written.
struct Outgoing<'a> {
    row: &'a Numbers,
    shape: [usize; 1],
}

impl View for Outgoing<'_> {
    fn dtype(&self) -> Dtype {
        match self.row {
            Numbers::F64(_) => Dtype::F64,
            Numbers::F32(_) => Dtype::F32,
            Numbers::U64(_) => Dtype::U64,
            Numbers::Bytes(_) => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.row {
            Numbers::F64(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Numbers::F32(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Numbers::U64(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Numbers::Bytes(bytes) => Cow::Borrowed(bytes),
        }
    }

    fn data_len(&self) -> usize {
        self.shape[0] * self.dtype().bitsize() / 8
    }
}

/// The rows as a file, with a note beside them. The same rows and note make the same bytes.
///
/// **Memory**: the bytes, and one row more.
///
/// # Errors
/// [`Error`] for so many rows that the format cannot name them.
///
/// ```
/// use lyapunov::{Numbers, Snapshot};
/// use lyapunov_runs::{saved_from_safetensors, saved_to_safetensors};
/// let mut saved = Snapshot::default();
/// saved.rows.insert("state".to_owned(), Numbers::F64(vec![0.1, f64::INFINITY]));
/// let bytes = saved_to_safetensors(&saved, "after 3 steps")?;
/// assert_eq!(saved_from_safetensors(&bytes)?, (saved, "after 3 steps".to_owned()));
/// # Ok::<(), lyapunov_runs::FileError>(())
/// ```
pub fn saved_to_safetensors(saved: &Snapshot, note: &str) -> Result<Vec<u8>> {
    let rows = saved.rows.iter().map(|(name, row)| (name, Outgoing { row, shape: [length(row)] }));
    let note = [(NOTE.to_owned(), note.to_owned())].into_iter().collect();
    serialize(rows, Some(note)).map_err(|cause| Error::of_file(cause.to_string()))
}

fn length(row: &Numbers) -> usize {
    match row {
        Numbers::F64(numbers) => numbers.len(),
        Numbers::F32(numbers) => numbers.len(),
        Numbers::U64(numbers) => numbers.len(),
        Numbers::Bytes(bytes) => bytes.len(),
    }
}

/// The rows and the note in a file that [`saved_to_safetensors`] made. Nothing in it is believed: no length that the
/// bytes cannot hold, no name that is twice in it.
///
/// # Errors
/// [`Error`] for bytes that are not such a file.
pub fn saved_from_safetensors(bytes: &[u8]) -> Result<(Snapshot, String)> {
    let file = open(bytes)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|cause| Error::of_file(cause.to_string()))?;
    let note = metadata.metadata().as_ref().and_then(|entries| entries.get(NOTE));
    let note = note.ok_or_else(|| Error::of_file("the file holds weights, not a run"))?.clone();
    let mut saved = Snapshot::default();
    for (name, tensor) in file.iter() {
        let data = tensor.data();
        let row = match tensor.dtype() {
            Dtype::F64 => Numbers::F64(words(data, f64::from_le_bytes)),
            Dtype::F32 => Numbers::F32(words(data, f32::from_le_bytes)),
            Dtype::U64 => Numbers::U64(words(data, u64::from_le_bytes)),
            Dtype::U8 => Numbers::Bytes(data.to_vec()),
            other => {
                return Err(Error::of_tensor(name, format!("holds numbers of type {other}, which no saved run has")));
            }
        };
        saved.rows.insert(name.to_owned(), row);
    }
    Ok((saved, note))
}

fn words<const BYTES: usize, T>(data: &[u8], decode: impl Fn([u8; BYTES]) -> T) -> Vec<T> {
    data.as_chunks().0.iter().map(|bytes| decode(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use lyapunov::{Purpose, Stream};

    use super::*;

    fn saved() -> Snapshot {
        let row = |name: &str, row| (name.to_owned(), row);
        let rows = [
            row("bytes", Numbers::Bytes(vec![1, 2, 3])),
            row("counts", Numbers::U64(vec![u64::MAX, 0])),
            row("none", Numbers::F64(Vec::new())),
            row("double", Numbers::F64(vec![0.1, -0.0, f64::INFINITY])),
            row("single", Numbers::F32(vec![0.1, f32::MIN_POSITIVE / 4.0])),
        ];
        Snapshot { rows: rows.into_iter().collect() }
    }

    #[test]
    fn rows_and_note_come_back_to_the_bit() {
        let bytes = saved_to_safetensors(&saved(), "{\"step\": 3}").unwrap();
        assert_eq!(saved_from_safetensors(&bytes).unwrap(), (saved(), "{\"step\": 3}".to_owned()));
        assert_eq!(bytes, saved_to_safetensors(&saved(), "{\"step\": 3}").unwrap());
    }

    #[test]
    fn no_mutation_and_no_truncation_makes_it_panic() {
        let whole = saved_to_safetensors(&saved(), "note").unwrap();
        let mut stream = Stream::new(5, Purpose::Probe, 0);
        for _ in 0..3000 {
            let mut bytes = whole.clone();
            for _ in 0..=stream.below(3) {
                let at = stream.below(bytes.len());
                bytes[at] ^= 1 << stream.below(8);
            }
            let _ = saved_from_safetensors(&bytes);
        }
        for length in 0..whole.len() {
            assert!(saved_from_safetensors(&whole[..length]).is_err(), "{length}");
        }
        assert!(saved_from_safetensors(&u64::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn weights_are_no_saved_run() {
        let weights = serialize([("w", Outgoing { row: &Numbers::F32(vec![1.0]), shape: [1] })], None);
        let message = saved_from_safetensors(&weights.unwrap()).unwrap_err().to_string();
        assert_eq!(message, "the file holds weights, not a run");
    }
}
