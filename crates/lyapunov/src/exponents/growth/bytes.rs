//! An accumulator as bytes, and back.

use super::{Growth, HEAD, LEAF};
use crate::error::{Error, Result};

/// The first bytes of a saved accumulator: a name and a version.
const MAGIC: &[u8; 8] = b"growth-1";

impl Growth {
    /// The accumulator as bytes: name and version, k, n, and every number as 8 bytes, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let mut put = |numbers: &[u64]| numbers.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
        let bits = |row: &[f64]| row.iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
        put(&[self.count as u64, self.dimension as u64, self.filled]);
        put(&[u64::from(self.diverged.is_some()), self.diverged.unwrap_or(0)]);
        put(&bits(&self.leaf));
        put(&bits(&self.factors));
        put(&[self.waiting.len() as u64]);
        for subtree in &self.waiting {
            put(&[u64::from(subtree.is_some())]);
            put(&bits(subtree.as_deref().unwrap_or(&[])));
        }
        put(&[self.block_count() as u64]);
        put(&bits(&self.blocks));
        bytes
    }

    /// The accumulator that [`Growth::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Argument`] for bytes that are not one, whole and of this version.
    ///
    /// ```
    /// use lyapunov::Growth;
    /// let mut growth = Growth::new(2, 2);
    /// growth.add(1, 1.0, &[2.0, 0.5]);
    /// assert_eq!(Growth::from_bytes(&growth.to_bytes())?, growth);
    /// assert!(Growth::from_bytes(b"something else").is_err());
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let refused =
            || Error::argument("bytes", format!("{} bytes", bytes.len()), "must be a saved accumulator, whole");
        Self::parse(bytes).ok_or_else(refused)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(MAGIC)?);
        let (count, dimension, filled) = (reader.length()?, reader.length()?, reader.word()?);
        let (has_diverged, step) = (reader.word()? == 1, reader.word()?);
        let width = HEAD + count;
        let (leaf, factors) = (reader.row(width)?, reader.row(count)?);
        let waiting = (0..reader.length()?)
            .map(|_| match reader.word()? {
                0 => Some(None),
                _ => reader.row(width).map(Some),
            })
            .collect::<Option<Vec<_>>>()?;
        let blocks = reader.length()?.checked_mul(width)?;
        let blocks = reader.row(blocks)?;
        let diverged = has_diverged.then_some(step);
        let sound = reader.0.is_empty() && filled < LEAF && count <= dimension;
        sound.then_some(Self { count, dimension, blocks, waiting, leaf, factors, filled, diverged })
    }
}

/// Reads words from bytes, and believes no length that the bytes cannot hold.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.word()?).ok().filter(|length| *length < usize::MAX / 16)
    }

    fn row(&mut self, length: usize) -> Option<Vec<f64>> {
        if length > self.0.len() / 8 {
            return None;
        }
        (0..length).map(|_| self.word().map(f64::from_bits)).collect()
    }
}
