//! The keys that there are, and which of them somebody may have meant by another word.

use toml_edit::{DocumentMut, Item, Value};

use crate::text::closest;

/// What other programs call a key: PyTorch, Lightning and the trainers of Hugging Face.
pub const ELSEWHERE: [(&str, &str); 26] = [
    ("lr", "optimizer.learning_rate"),
    ("eta", "optimizer.learning_rate"),
    ("learning_rate_init", "optimizer.learning_rate"),
    ("wd", "optimizer.weight_decay"),
    ("weight-decay", "optimizer.weight_decay"),
    ("beta1", "optimizer.betas"),
    ("beta2", "optimizer.betas"),
    ("adam_beta1", "optimizer.betas"),
    ("adam_beta2", "optimizer.betas"),
    ("eps", "optimizer.epsilon"),
    ("adam_epsilon", "optimizer.epsilon"),
    ("nesterov", "optimizer.name"),
    ("optim", "optimizer.name"),
    ("bs", "run.batch_size"),
    ("batch", "run.batch_size"),
    ("per_device_train_batch_size", "run.batch_size"),
    ("max_epochs", "run.epochs"),
    ("num_epochs", "run.epochs"),
    ("num_train_epochs", "run.epochs"),
    ("n_epochs", "run.epochs"),
    ("max_steps", "run.steps"),
    ("output_dir", "run.out"),
    ("default_root_dir", "run.out"),
    ("accelerator", "run.device"),
    ("lr_scheduler_type", "schedule.name"),
    ("warmup_ratio", "schedule.warm_up"),
];

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
        match self.key_named(name).or_else(|| known_elsewhere(name)).or_else(|| self.nearest(key)) {
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

/// The key that other programs call so.
fn known_elsewhere(name: &str) -> Option<String> {
    ELSEWHERE.into_iter().find(|(other, _)| *other == name).map(|(_, key)| key.to_owned())
}
