//! The configuration in the making: defaults, then a file, then flags, each key remembering who wrote it last.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use miette::NamedSource;
use toml_edit::{Document, DocumentMut, Item, TableLike, Value};

use super::{
    DEFAULTS,
    keys::Keys,
    source::{Place, Source, fault, key_bytes},
};
use crate::error::{Error, Result};

/// A configuration that is still being written. Unknown keys are refused as they come, values in [`Draft::finish`].
#[derive(Clone)]
pub struct Draft {
    document: DocumentMut,
    origins: BTreeMap<String, Origin>,
}

/// Who wrote the value of a key, where it is not the default.
#[derive(Clone)]
enum Origin {
    /// A file, at these bytes.
    File(Place),
    /// A flag, as it was typed.
    Flag(String),
}

impl Default for Draft {
    fn default() -> Self {
        let document = DEFAULTS.parse().expect("default.toml is a TOML file");
        Self { document, origins: BTreeMap::new() }
    }
}

impl Draft {
    /// Takes over the keys of a file.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).map_err(|cause| Error::io("read", path, cause))?;
        let source = Source::new(NamedSource::new(path.display().to_string(), text.clone()).with_language("toml"));
        let document = Document::parse(text).map_err(|fault| source.unreadable(path, &fault))?;
        self.take(document.as_table(), &[], &source)
    }

    /// Takes over the sections in one table of a file, but those to `skip`.
    pub fn take(&mut self, table: &dyn TableLike, skip: &[&str], source: &Source) -> Result<()> {
        let sections = table.iter().filter(|(section, _)| !skip.contains(section));
        sections.into_iter().try_for_each(|(section, item)| self.read_section(table, section, item, source))
    }

    /// Refuses a key that there is not; it stands at these bytes of the file.
    pub fn check_key(&self, key: &str, bytes: Option<Range<usize>>, source: &Source) -> Result<()> {
        if self.knows(key) { Ok(()) } else { Err(source.fault(bytes, self.unknown(key), Some(self.hint(key)))) }
    }

    /// Takes over the value of one key, written in a file.
    pub fn take_value(&mut self, key: &str, value: &Value, source: &Source) -> Result<()> {
        self.check_key(key, value.span(), source)?;
        self.put(key, value.clone(), Origin::File(source.place(value.span())));
        Ok(())
    }

    fn read_section(&mut self, file: &dyn TableLike, section: &str, item: &Item, source: &Source) -> Result<()> {
        let known = self.document.contains_table(section);
        let Some(table) = item.as_table_like().filter(|_| known) else {
            let message =
                if item.is_table_like() { format!("unknown section `[{section}]`") } else { self.unknown(section) };
            let hint = match section {
                "sweep" => "that is the file of a sweep: `lyapunov sweep FILE`".to_owned(),
                _ => self.hint(section),
            };
            return Err(source.place(key_bytes(file, section)).fault(message, Some(hint)));
        };
        for (name, item) in table.iter() {
            let key = format!("{section}.{name}");
            let Some(value) = item.as_value().filter(|_| self.knows(&key)) else {
                return Err(source.place(key_bytes(table, name)).fault(self.unknown(&key), Some(self.hint(&key))));
            };
            self.put(&key, value.clone(), Origin::File(source.place(value.span())));
        }
        Ok(())
    }

    /// Takes over one `key=value` of a flag `--set`.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let flag = format!("--set {assignment}");
        let Some((key, text)) = assignment.split_once('=') else {
            let help = "write key, equals sign and value: `--set optimizer.learning_rate=0.1`";
            return Err(fault(format!("`{flag}` has no value"), Some(help.to_owned())));
        };
        let key = key.trim();
        if !self.knows(key) {
            return Err(fault(format!("`{flag}`: {}", self.unknown(key)), Some(self.hint(key))));
        }
        // A bare word is a text: quotes rarely survive a shell.
        let value = text.trim().parse().unwrap_or_else(|_| Value::from(text.trim()));
        self.put(key, value, Origin::Flag(flag));
        Ok(())
    }

    /// Gives `key` a value on behalf of another flag.
    pub fn assign(&mut self, key: &str, value: impl Into<Value>, flag: String) {
        self.put(key, value.into(), Origin::Flag(flag));
    }

    /// Whether a flag has set this key.
    pub fn is_flag(&self, key: &str) -> bool {
        matches!(self.origins.get(key), Some(Origin::Flag(_)))
    }

    /// The value of a key that is a text, as it stands.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.value(key).and_then(Value::as_str)
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin) {
        self.replace(key, value);
        self.origins.insert(key.to_owned(), origin);
    }

    /// Replaces the value and leaves the comment beside it.
    pub fn replace(&mut self, key: &str, mut value: Value) {
        if let Some(Item::Value(old)) = self.item_mut(key) {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
    }

    /// The file as it stands, with its comments.
    pub fn document(&self) -> String {
        self.document.to_string()
    }

    /// Whether a file or a flag has written this key.
    pub fn is_given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// The refusal of the value of `key`: "`key` must be …, not …".
    pub fn blame(&self, key: &str, reason: &str) -> Error {
        let value = self.value(key).map(|value| value.clone().decorated("", "").to_string()).unwrap_or_default();
        self.fault_at(key, |flag| format!("{flag}`{key}` {reason}, not {value}"))(None)
    }

    /// A fault that points at where `key` got its value; `message` is given the flag to begin with, if one did it.
    pub fn fault_at(&self, key: &str, message: impl Fn(&str) -> String) -> impl Fn(Option<String>) -> Error {
        let origin = self.origins.get(key).cloned();
        let message = match &origin {
            Some(Origin::Flag(flag)) => message(&format!("`{flag}`: ")),
            _ => message(""),
        };
        move |help| match &origin {
            Some(Origin::File(place)) => place.fault(message.clone(), help),
            _ => fault(message.clone(), help),
        }
    }

    fn unknown(&self, key: &str) -> String {
        self.known().unknown(key)
    }

    fn hint(&self, key: &str) -> String {
        self.known().hint(key)
    }

    /// Whether there is such a key.
    pub fn knows(&self, key: &str) -> bool {
        self.known().knows(key)
    }

    /// The keys that there are.
    pub fn known(&self) -> Keys<'_> {
        Keys(&self.document)
    }

    /// The value of a key, as it stands.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.known().value(key)
    }

    fn item_mut(&mut self, key: &str) -> Option<&mut Item> {
        let (section, name) = key.split_once('.')?;
        self.document.get_mut(section)?.as_table_like_mut()?.get_mut(name)
    }
}
