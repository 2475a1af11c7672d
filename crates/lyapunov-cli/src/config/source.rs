//! Where a value was written: a file with its bytes, and the faults that point there.

use std::{ops::Range, path::Path};

use miette::NamedSource;
use toml_edit::{TableLike, TomlError};

use crate::error::{Error, Misconfiguration};

/// A file that keys of configurations are read from.
pub struct Source {
    file: NamedSource<String>,
}

impl Source {
    /// A file by its name and text.
    pub fn new(file: NamedSource<String>) -> Self {
        Self { file }
    }

    /// These bytes of the file.
    pub fn place(&self, bytes: Option<Range<usize>>) -> Place {
        Place { file: self.file.clone(), bytes }
    }

    /// A fault at these bytes of the file.
    pub fn fault(&self, bytes: Option<Range<usize>>, message: String, help: Option<String>) -> Error {
        self.place(bytes).fault(message, help)
    }

    /// That the file is not what it should be.
    pub fn unreadable(&self, path: &Path, fault: &TomlError) -> Error {
        let message = format!("{} is not a TOML file: {}", path.display(), fault.message().replace('\n', ", "));
        self.fault(fault.span(), message, None)
    }

    /// Where the key of this name stands in `table`.
    pub fn key(table: &dyn TableLike, name: &str) -> Option<Range<usize>> {
        key_bytes(table, name)
    }
}

/// A place in a file.
#[derive(Clone)]
pub struct Place {
    file: NamedSource<String>,
    bytes: Option<Range<usize>>,
}

impl Place {
    /// A fault that points here.
    pub fn fault(&self, message: String, help: Option<String>) -> Error {
        let place = self.bytes.clone().map(Into::into);
        Misconfiguration { message, help, file: Some(self.file.clone()), place }.into()
    }
}

/// A fault that points nowhere.
pub fn fault(message: String, help: Option<String>) -> Error {
    Misconfiguration { message, help, file: None, place: None }.into()
}

/// Where the key of this name stands in `table`.
pub fn key_bytes(table: &dyn TableLike, name: &str) -> Option<Range<usize>> {
    let (key, item) = table.get_key_value(name)?;
    key.span().or_else(|| item.span())
}
