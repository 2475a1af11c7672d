//! Files in the safetensors format, opened without trust.
//!
//! The format's own library accepts two tensors of one name and names like `../x`, and makes gigabytes of a header that
//! says so. [`open`] refuses these; [`View`] and [`serialize`] are the format's own.
//!
//! Source: the format is that of Hugging Face's safetensors 0.8: eight bytes of length, a header in JSON, the numbers.
//!
//! ```
//! let header = r#"{"../x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
//! let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat();
//! assert_eq!(lyapunov_safetensors::open(&bytes).unwrap_err().to_string(), "tensor `../x` is named like a path");
//! ```

use std::{collections::HashSet, fmt};

pub use safetensors::{Dtype, SafeTensors, View, serialize, tensor::TensorView};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", tensor.as_ref().map(|name| format!("tensor `{name}` ")).unwrap_or_default())]
pub struct Error {
    /// The tensor to blame, if it is one.
    pub tensor: Option<String>,
    /// What is wrong and what was expected.
    pub reason: String,
}

impl Error {
    /// A fault of the file as a whole.
    pub fn of_file(reason: impl Into<String>) -> Self {
        Self { tensor: None, reason: reason.into() }
    }

    /// A fault of one tensor; `reason` goes on after its name.
    pub fn of_tensor(name: &str, reason: impl Into<String>) -> Self {
        Self { tensor: Some(name.to_owned()), reason: reason.into() }
    }
}

/// The result of reading.
pub type Result<T> = std::result::Result<T, Error>;

/// Most bytes of a header that is read. That of the deepest network here, with all that a checkpoint keeps, has some
/// hundred thousand; the format allows a hundred million, of which a reader makes gigabytes.
const MOST_HEADER: u64 = 8 << 20;

/// The tensors in a file, none of whose names is twice in it or looks like a path.
///
/// **Cost**: the header is read twice; the numbers are borrowed, not copied.
///
/// # Errors
/// [`Error`] for bytes that are not such a file, for a header of more than 8 MiB, and for those names.
pub fn open(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    if let Some(length) = bytes.first_chunk().map(|length| u64::from_le_bytes(*length)).filter(|n| *n > MOST_HEADER) {
        return Err(Error::of_file(format!(
            "the file is not in the safetensors format: its header would have {length} bytes, and at most \
                {MOST_HEADER} are read"
        )));
    }
    // Before the format's own library, which sees one of two tensors of a name only, and blames what is left over.
    check_names(&header_names(bytes))?;
    SafeTensors::deserialize(bytes)
        .map_err(|cause| Error::of_file(format!("the file is cut short or not in the safetensors format: {cause}")))
}

/// The names in the header, each as often as it occurs; none where there is no header to be read.
fn header_names(bytes: &[u8]) -> Vec<String> {
    let header = bytes.split_first_chunk().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        serde_json::from_slice(rest.get(..length)?).ok()
    });
    let Names(names) = header.unwrap_or(Names(Vec::new()));
    names
}

/// The keys of a JSON object.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

fn check_names(names: &[String]) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::of_tensor(name, "occurs twice"));
        }
        if name.contains(['/', '\\']) || name.contains("..") {
            return Err(Error::of_tensor(name, "is named like a path"));
        }
    }
    Ok(())
}
