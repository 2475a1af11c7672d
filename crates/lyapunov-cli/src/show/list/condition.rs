//! Conditions on runs, such as `learning_rate > .1`.

use serde_json::Value;

use super::{Entry, check_name, plain};
use crate::error::{Error, Result};

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

#[cfg(test)]
mod tests {
    use super::{super::tests::entries, *};

    fn found(condition: &str) -> String {
        let entries = entries();
        let condition = Condition::parse(condition).unwrap();
        condition.check(&entries).unwrap();
        entries.iter().filter(|entry| condition.holds(entry)).map(|entry| entry.run.name()).collect()
    }

    #[test]
    fn conditions_choose_runs_and_what_is_lacking_fulfils_none() {
        let parts = [
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
        for (condition, expected) in parts {
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
}
