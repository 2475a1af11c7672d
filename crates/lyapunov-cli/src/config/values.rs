//! The values of keys, read and refused: a refusal is the end of the sentence "… must be".

use lyapunov::{Named, Quantity, Sample, Target};
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// The name of a target, as it is written in a configuration and in the columns of a run.
pub fn target_name(target: Target) -> String {
    match target {
        Target::Batch => Sample::Mini(0).to_string(),
        Target::Subset(size) => Sample::Subset(size).to_string(),
        Target::Full => Sample::Full.to_string(),
    }
}

/// One of the choices, by its name.
pub mod named {
    use super::{Deserializer, Named, Serializer, chosen};

    pub fn deserialize<'de, D: Deserializer<'de>, T: Named>(deserializer: D) -> Result<T, D::Error> {
        chosen(deserializer, None).map(|choice| choice.expect("no word stands for none of them"))
    }

    pub fn serialize<S: Serializer, T: Named>(choice: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(choice.name())
    }
}

/// The name of the images that are made up: they have no layout of files.
pub const SYNTHETIC: &str = "synthetic";

/// One of the choices, or a word that stands for none of them: `None`.
macro_rules! named_or {
    ($module:ident, $word:expr) => {
        pub mod $module {
            use super::{Deserializer, Named, Serializer, chosen};

            pub fn deserialize<'de, D: Deserializer<'de>, T: Named>(deserializer: D) -> Result<Option<T>, D::Error> {
                chosen(deserializer, Some($word))
            }

            #[allow(clippy::ref_option, reason = "the form that serde calls")]
            pub fn serialize<S: Serializer, T: Named>(choice: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(choice.map_or($word, T::name))
            }
        }
    };
}

named_or!(named_or_auto, "auto");
named_or!(named_or_none, "none");
named_or!(named_or_synthetic, super::SYNTHETIC);

/// One of the choices by its name; `None` for the `word` that stands for none of them.
fn chosen<'de, D: Deserializer<'de>, T: Named>(deserializer: D, word: Option<&str>) -> Result<Option<T>, D::Error> {
    let name = String::deserialize(deserializer).unwrap_or_default();
    if word == Some(name.as_str()) {
        return Ok(None);
    }
    let found = T::ALL.iter().copied().find(|choice| choice.name() == name);
    let names = || word.into_iter().chain(T::ALL.iter().map(|choice| choice.name()));
    let refused = || alternatives(&names().map(|name| format!("\"{name}\"")).collect::<Vec<_>>());
    found.map(Some).ok_or_else(|| D::Error::custom(refused()))
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(names: &[String]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// A number greater than 0.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer).ok();
    number.filter(|x| x.is_finite() && *x > 0.0).ok_or_else(|| D::Error::custom("a number greater than 0"))
}

/// A number from 0 up.
pub fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer).ok();
    number.filter(|x| x.is_finite() && *x >= 0.0).ok_or_else(|| D::Error::custom("a number that is at least 0"))
}

/// A share of the run.
pub fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer).ok();
    number.filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| D::Error::custom("a share of the run, from 0 to 1"))
}

/// The least and the largest learning rate.
pub fn bounds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    let numbers = <[f64; 2]>::deserialize(deserializer).ok();
    numbers
        .filter(|[least, most]| *least >= 0.0 && least <= most && *most > 0.0)
        .ok_or_else(|| D::Error::custom("the least and the largest learning rate, such as [0.0, 1.0] or [1e-6, inf]"))
}

/// β₁ and β₂.
pub fn betas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    let numbers = <[f64; 2]>::deserialize(deserializer).ok();
    numbers
        .filter(|betas| betas.iter().all(|beta| (0.0..1.0).contains(beta)))
        .ok_or_else(|| D::Error::custom("two numbers that are at least 0 and less than 1, such as [0.9, 0.999]"))
}

/// `true` or `false`.
pub fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    bool::deserialize(deserializer).map_err(|_| D::Error::custom("true or false"))
}

/// `"auto"` is an empty list.
pub fn quantities<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Quantity>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Name(String),
        Names(Vec<String>),
    }
    let read = |names: Vec<String>| names.iter().map(|name| Quantity::from_name(name)).collect::<Option<Vec<_>>>();
    let found = match Written::deserialize(deserializer).ok() {
        Some(Written::Name(name)) if name == "auto" => Some(Vec::new()),
        Some(Written::Names(names)) => read(names).filter(|list| !list.is_empty() && distinct(list)),
        _ => None,
    };
    found.ok_or_else(|| {
        let names = Quantity::ALL.map(|quantity| format!("\"{quantity}\""));
        D::Error::custom(format!("\"auto\" or a list of different names out of {}", names.join(", ")))
    })
}

/// `"all"` is an empty list.
pub fn classes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Name(String),
        Numbers(Vec<u8>),
    }
    let found = match Written::deserialize(deserializer).ok() {
        Some(Written::Name(name)) if name == "all" => Some(Vec::new()),
        Some(Written::Numbers(numbers)) => Some(numbers).filter(|list| list.len() > 1 && distinct(list)),
        _ => None,
    };
    let message = "\"all\" or a list of at least two different class numbers, such as [0, 1]";
    found.ok_or_else(|| D::Error::custom(message))
}

/// The classes as they are written.
pub fn class_numbers<S: Serializer>(classes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if classes.is_empty() { serializer.serialize_str("all") } else { serializer.collect_seq(classes) }
}

/// The quantities as they are written.
pub fn quantity_names<S: Serializer>(quantities: &[Quantity], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(quantities.iter().map(|quantity| quantity.name()))
}

/// A number from 0 to below 1.
pub fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer).ok();
    number
        .filter(|x| (0.0..1.0).contains(x))
        .ok_or_else(|| D::Error::custom("a number that is at least 0 and less than 1"))
}

/// A whole number from 1 up.
pub fn count<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    from_minimum(deserializer, 1)
}

/// A burst holds two vectors per product and orthogonalises each against all: beyond some hundreds it is no burst.
pub fn products<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = usize::deserialize(deserializer).ok();
    number.filter(|n| (1..=500).contains(n)).ok_or_else(|| D::Error::custom("a whole number from 1 to 500"))
}

/// A whole number from 0 up.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    from_minimum(deserializer, 0)
}

fn from_minimum<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D, minimum: u64) -> Result<T, D::Error> {
    let number = u64::deserialize(deserializer).ok().filter(|n| *n >= minimum);
    number
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| D::Error::custom(format!("a whole number from {minimum} up")))
}

/// A text, which may be empty.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map_err(|_| D::Error::custom("a text in quotes"))
}

/// A text.
pub fn nonempty_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer).ok();
    text.filter(|text| !text.is_empty()).ok_or_else(|| D::Error::custom("a text in quotes, not empty"))
}

/// Beyond these a network is a slip of the pen, and its size could not be counted.
const MOST_WIDTH: usize = 100_000;

/// The same for layers.
const MOST_LAYERS: usize = 1000;

/// Widths of layers.
pub fn widths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    let widths = Vec::<usize>::deserialize(deserializer).ok();
    widths
        .filter(|widths| widths.len() <= MOST_LAYERS && widths.iter().all(|width| (1..=MOST_WIDTH).contains(width)))
        .ok_or_else(|| D::Error::custom("\"auto\" or a list of whole numbers from 1 to 100000, such as [200, 200]"))
}

/// `"auto"` is 0.
pub fn depth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Word(String),
        Count(usize),
    }
    match Written::deserialize(deserializer).ok() {
        Some(Written::Word(word)) if word == "auto" => Ok(0),
        Some(Written::Count(count)) if (1..=MOST_LAYERS).contains(&count) => Ok(count),
        _ => Err(D::Error::custom("\"auto\" or a whole number from 1 to 1000")),
    }
}

/// The data to measure on.
pub fn targets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Target>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer).ok();
    let targets = names.and_then(|names| names.iter().map(|name| target(name)).collect::<Option<Vec<_>>>());
    targets
        .filter(|targets| distinct(targets))
        .ok_or_else(|| D::Error::custom("a list of different names out of \"batch\", \"subset=COUNT\" and \"full\""))
}

/// The data that go by this name.
pub fn target(name: &str) -> Option<Target> {
    match name.split_once('=') {
        None if name == "batch" => Some(Target::Batch),
        None if name == "full" => Some(Target::Full),
        Some(("subset", size)) => size.parse().ok().filter(|size| *size > 0).map(Target::Subset),
        _ => None,
    }
}

fn distinct<T: PartialEq>(list: &[T]) -> bool {
    list.iter().enumerate().all(|(i, item)| !list[..i].contains(item))
}

/// The data as they are written.
pub fn target_names<S: Serializer>(targets: &[Target], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(targets.iter().map(|target| target_name(*target)))
}
