//! The keys that there are, and which of them somebody may have meant by another word.

use toml_edit::{DocumentMut, Item, Value};

use crate::text::closest;

/// The keys of a configuration with all its sections.
pub struct Keys<'a>(pub &'a DocumentMut);

impl<'a> Keys<'a> {
    pub fn unknown(&self, key: &str) -> String {
        if self.0.contains_table(key) {
            format!("`{key}` is a section, not a key")
        } else if self.knows(key) {
            format!("`{key}` is a key, not a section")
        } else {
            format!("unknown key `{key}`")
        }
    }

    /// What the writer of an unknown key may have meant.
    pub fn hint(&self, key: &str) -> String {
        if self.0.contains_table(key) {
            return format!("[{key}] has {}", self.names_in(key));
        }
        if self.knows(key) {
            return format!("write `{key} = …`");
        }
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        match self.key_named(name).or_else(|| self.nearest(key)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.0.contains_table(section) => format!("[{section}] has {}", self.names_in(section)),
            None => "`lyapunov config` prints every key there is".to_owned(),
        }
    }

    /// The section or key that a typing error may have made `name` of: a third of its letters at most.
    fn nearest(&self, name: &str) -> Option<String> {
        let sections = self.0.iter().map(|(section, _)| section.to_owned());
        let known = self.keys().into_iter().chain(sections.filter(|_| !name.contains('.')));
        closest(name, known)
    }

    /// Whether there is such a key.
    pub fn knows(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    pub fn keys(&self) -> Vec<String> {
        let in_section = |(section, item): (&str, &Item)| {
            let names =
                item.as_table_like().map(|table| table.iter().map(|(name, _)| format!("{section}.{name}")).collect());
            names.unwrap_or_else(Vec::new)
        };
        self.0.iter().flat_map(in_section).collect()
    }

    /// The key with this last part.
    pub fn key_named(&self, name: &str) -> Option<String> {
        self.keys().into_iter().find(|key| key.rsplit_once('.').is_some_and(|(_, last)| last == name))
    }

    fn names_in(&self, section: &str) -> String {
        let table = self.0.get(section).and_then(Item::as_table_like);
        let names = table.map(|table| table.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>());
        names.unwrap_or_default().join(", ")
    }

    /// The value of a key, as it stands.
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        let (section, name) = key.split_once('.')?;
        self.0.get(section)?.as_table_like()?.get(name)?.as_value()
    }
}
