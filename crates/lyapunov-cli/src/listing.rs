//! What is known of stored runs by name, and which of them fulfil a condition such as `learning_rate > .1`.

use std::{cell::OnceCell, cmp::Ordering};

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result, nearest},
    folder::ROWS,
    manifest::Manifest,
    store::{self, Latest},
    stored::StoredRun,
};

/// What is known of a run beside its manifest and its keys.
const TOLD: [&str; 9] = ["run", "folder", "state", "model", "loss", "optimizer", "rule", "learning_rate", "steps"];

/// What its rows tell.
const MEASURED: [&str; 5] = ["last_loss", "lambda_max", "lambda_max_residual", "scaled_lambda_max", "edge_share"];

/// A run of a list.
#[derive(Debug)]
pub struct Entry {
    /// The run.
    pub run: StoredRun,
    manifest: Map<String, Value>,
    latest: OnceCell<Latest>,
}

impl Entry {
    /// The entry of a run.
    pub fn new(run: StoredRun) -> Self {
        let manifest = match serde_json::to_value(&run.manifest) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        Self { run, manifest, latest: OnceCell::new() }
    }

    /// The value of this name; `None` where the run has none.
    pub fn value(&self, name: &str) -> Option<Value> {
        let value = match name {
            "run" => Some(self.run.name().into()),
            "folder" => Some(self.run.folder.display().to_string().into()),
            "state" => Some(self.run.state().into()),
            "model" | "loss" | "optimizer" => self.run.key(&format!("{name}.name")).cloned(),
            "rule" => self.rule(),
            // With a rule, nobody looks at the key.
            "learning_rate" if self.rule().is_some() => None,
            "steps" => self.steps(),
            _ if MEASURED.contains(&name) => self.measured(name).map(Value::from),
            _ => self.manifest.get(name).or_else(|| self.run.key(name)).cloned(),
        };
        value.filter(|value| !value.is_null())
    }

    fn rule(&self) -> Option<Value> {
        self.run.key("control.rule").filter(|rule| *rule != "none").cloned()
    }

    /// Those that were taken; of a run that has not ended, those that are on record.
    fn steps(&self) -> Option<Value> {
        self.run.manifest.steps.or_else(|| self.latest().row.map(|row| row.step)).map(Value::from)
    }

    fn measured(&self, name: &str) -> Option<f64> {
        let latest = self.latest();
        match name {
            "last_loss" => latest.row?.loss,
            "edge_share" => latest.edge_share(),
            "lambda_max" => latest.lambda_max().map(|point| point.value),
            "lambda_max_residual" => latest.lambda_max()?.residual,
            _ => latest.lambda_max().map(|point| point.learning_rate * point.value),
        }
        .filter(|value| value.is_finite())
    }

    /// Rows that cannot be read are not known: `show` tells the fault.
    fn latest(&self) -> &Latest {
        self.latest.get_or_init(|| store::latest(&self.run.folder.join(ROWS)).unwrap_or_default())
    }
}

/// Fails where `name` means nothing for all of these runs, with the nearest name that does.
///
/// # Errors
/// As said.
pub fn check_name(name: &str, entries: &[Entry]) -> Result<()> {
    let known = known_names(entries);
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    let keys = || entries.iter().flat_map(|entry| entry.run.keys.iter().map(|(key, _)| key.as_str()));
    let mut alike: Vec<&str> = keys().filter(|key| last_part(key) == name).collect();
    alike.sort_unstable();
    alike.dedup();
    if alike.len() > 1 {
        let help = format!("name the section as well: {}", alike.join(", "));
        return Err(Error::usage(format!("`{name}` is in several sections"), Some(help)));
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = match nearest(name, &names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("beside the keys of `lyapunov config` there are {}", told_names().join(", ")),
    };
    Err(Error::usage(format!("nothing of a run is called `{name}`"), Some(help)))
}

fn told_names() -> Vec<String> {
    let manifest = serde_json::to_value(Manifest::default()).unwrap_or_default();
    let fields = manifest.as_object().into_iter().flat_map(|fields| fields.keys().cloned());
    let mut names: Vec<String> = TOLD.iter().chain(&MEASURED).map(|name| (*name).to_owned()).chain(fields).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Every name with a meaning: what is told, full keys, and last parts that a run has once.
fn known_names(entries: &[Entry]) -> Vec<String> {
    let mut names = told_names();
    for entry in entries {
        for (key, _) in &entry.run.keys {
            let short = last_part(key);
            names.extend(entry.run.key(short).is_some().then(|| short.to_owned()));
            names.push(key.clone());
        }
    }
    names
}

fn last_part(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, last)| last)
}

/// Numbers before texts; `false` before `true` among texts.
pub fn compare(left: &Value, right: &Value) -> Ordering {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => plain(left).cmp(&plain(right)),
    }
}

/// A value as text, without quotation marks.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Contains,
}

/// The longer ones first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 8] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("~", Operator::Contains),
];

/// A condition on a run: NAME OPERATOR VALUE.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The name.
    pub name: String,
    operator: Operator,
    value: String,
}

impl Condition {
    /// Reads a condition, such as `learning_rate > .1`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let misshapen = || {
            let help = "write NAME OPERATOR VALUE with one of = != < <= > >= ~, such as \"learning_rate > .1\"";
            Error::usage(format!("`{text}` is not a condition"), Some(help.to_owned()))
        };
        let at = text.find(['=', '!', '<', '>', '~']).ok_or_else(misshapen)?;
        let (name, rest) = text.split_at(at);
        let (sign, operator) = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(misshapen)?;
        let value = rest[sign.len()..].trim().trim_matches('"');
        if name.trim().is_empty() || value.is_empty() {
            return Err(misshapen());
        }
        Ok(Self { name: name.trim().to_owned(), operator: *operator, value: value.to_owned() })
    }

    /// The number that its value is.
    fn number(&self) -> Option<f64> {
        self.value.parse().ok().filter(|number: &f64| !number.is_nan())
    }

    /// Fails where an order is asked for between numbers and what is none.
    ///
    /// # Errors
    /// As said.
    pub fn check(&self, entries: &[Entry]) -> Result<()> {
        check_name(&self.name, entries)?;
        let ordered = !matches!(self.operator, Operator::Equal | Operator::Unequal | Operator::Contains);
        let numbers = || entries.iter().any(|entry| entry.value(&self.name).is_some_and(|value| value.is_number()));
        if ordered && self.number().is_none() && numbers() {
            let message = format!("`{}` is not a number, and {} is one", self.value, self.name);
            return Err(Error::usage(message, None));
        }
        Ok(())
    }

    /// Whether the run fulfils it; a run without a value does not.
    pub fn holds(&self, entry: &Entry) -> bool {
        entry.value(&self.name).is_some_and(|value| self.holds_for(&value))
    }

    fn holds_for(&self, value: &Value) -> bool {
        let text = plain(value);
        let order = match (value.as_f64(), self.number()) {
            (Some(value), Some(number)) => value.partial_cmp(&number),
            _ => Some(text.as_str().cmp(&self.value)),
        };
        match (self.operator, order) {
            (Operator::Contains, _) => text.contains(&self.value),
            (Operator::Equal, Some(order)) => order.is_eq(),
            (Operator::Unequal, Some(order)) => order.is_ne(),
            (Operator::Less, Some(order)) => order.is_lt(),
            (Operator::AtMost, Some(order)) => order.is_le(),
            (Operator::Greater, Some(order)) => order.is_gt(),
            (Operator::AtLeast, Some(order)) => order.is_ge(),
            (_, None) => false,
        }
    }
}

/// Orders the entries by a name, downwards if it begins with `-`; those without a value come last either way.
pub fn sort(entries: &mut [Entry], by: &str) {
    let (name, downwards) = by.strip_prefix('-').map_or((by, false), |name| (name, true));
    entries.sort_by(|left, right| match (left.value(name), right.value(name)) {
        (Some(left), Some(right)) if downwards => compare(&right, &left),
        (Some(left), Some(right)) => compare(&left, &right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    });
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn entry(name: &str, keys: &[(&str, Value)], test_accuracy: Option<f64>) -> Entry {
        let manifest = Manifest { test_accuracy, seed: 3, ..Manifest::default() };
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Entry::new(StoredRun { folder: PathBuf::from(name), manifest, keys })
    }

    fn entries() -> Vec<Entry> {
        let keys = |rate: f64, rule: &str| {
            [
                ("optimizer.name", "sgd".into()),
                ("optimizer.learning_rate", rate.into()),
                ("control.rule", rule.into()),
                ("measure.every", 10.into()),
                ("exponents.every", 1.into()),
            ]
        };
        vec![
            entry("a", &keys(0.05, "none"), Some(0.5)),
            entry("b", &keys(0.2, "none"), None),
            entry("c", &keys(0.1, "edge-step"), Some(0.75)),
            entry("d", &keys(0.1, "none"), Some(0.6)),
        ]
    }

    fn found(condition: &str) -> String {
        let entries = entries();
        let condition = Condition::parse(condition).unwrap();
        condition.check(&entries).unwrap();
        entries.iter().filter(|entry| condition.holds(entry)).map(|entry| entry.run.name()).collect()
    }

    #[test]
    fn conditions_choose_runs_and_what_is_lacking_fulfils_none() {
        let told = [
            ("learning_rate > .05", "bd"),
            ("learning_rate>=.05", "abd"),
            ("learning_rate < 0.1", "a"),
            ("learning_rate <= 1e-1", "ad"),
            ("optimizer.learning_rate = .1", "cd"),
            ("learning_rate != .1", "ab"),
            ("test_accuracy != 0.5", "cd"),
            ("optimizer = sgd", "abcd"),
            ("optimizer ~ ada", ""),
            ("rule ~ edge", "c"),
            ("seed = 3", "abcd"),
            ("run > b", "cd"),
        ];
        for (condition, expected) in told {
            assert_eq!(found(condition), expected, "{condition}");
        }
    }

    #[test]
    fn conditions_that_mean_nothing_are_refused() {
        for text in ["learning_rate", "> 3", "seed =", "seed ! 3"] {
            assert!(Condition::parse(text).unwrap_err().to_string().contains("is not a condition"), "{text}");
        }
        let refused = |text| match Condition::parse(text).unwrap().check(&entries()).unwrap_err() {
            Error::Usage { message, help } => format!("{message}; {}", help.unwrap_or_default()),
            other => panic!("{other}"),
        };
        assert!(refused("lerning_rate > 1").ends_with("did you mean `learning_rate`?"));
        assert!(refused("every = 1").ends_with("exponents.every, measure.every"), "{}", refused("every = 1"));
        assert!(refused("learning_rate > high").starts_with("`high` is not a number"));
    }

    #[test]
    fn what_is_lacking_comes_last_both_ways() {
        let sorted = |by| {
            let mut entries = entries();
            sort(&mut entries, by);
            entries.iter().map(|entry| entry.run.name()).collect::<String>()
        };
        assert_eq!([sorted("test_accuracy"), sorted("-test_accuracy")], ["adcb", "cdab"]);
        assert_eq!(sorted("-learning_rate"), "bdac");
    }
}
