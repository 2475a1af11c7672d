//! What `measure` is asked for, as it is typed: quantities and data.

use std::fmt;

use lyapunov::{Sample, SpectralTarget};

use crate::{
    error::{Error, Result},
    text::closest_by,
};

/// Something to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The algebraically largest eigenvalue.
    LambdaMax,
    /// The algebraically smallest eigenvalue.
    LambdaMin,
    /// The largest eigenvalue for all images, estimated from a part of them.
    LambdaMaxFull,
    /// This many of the largest eigenvalues.
    Top(usize),
    /// The largest eigenvalue of each layer's diagonal block.
    Layers,
    /// The mean of gᵀHg / gᵀg over this many mini-batches.
    BatchSharpness(usize),
    /// The sum of the eigenvalues.
    Trace,
    /// How the eigenvalues are spread.
    Density,
}

/// How the quantities are written.
const NAMES: [&str; 8] =
    ["lambda_max", "lambda_min", "lambda_max_full", "top=COUNT", "layers", "batch_sharpness=COUNT", "trace", "density"];

/// Mini-batches that the batch sharpness is a mean over, unless asked otherwise.
const BATCHES: usize = 20;

impl Quantity {
    /// The quantities in a list, each at most once.
    pub fn parse_list(names: &[String]) -> Result<Vec<Self>> {
        let mut found: Vec<Self> = Vec::new();
        for name in names {
            let quantity = Self::parse(name.trim())?;
            if found.iter().any(|earlier| earlier.name() == quantity.name()) {
                return Err(Error::usage(format!("`--what` names {} twice", quantity.name()), None));
            }
            found.push(quantity);
        }
        Ok(found)
    }

    fn parse(text: &str) -> Result<Self> {
        let (name, count) = text.split_once('=').map_or((text, None), |(name, count)| (name, Some(count)));
        match (name, count) {
            ("lambda_max", None) => Ok(Self::LambdaMax),
            ("lambda_min", None) => Ok(Self::LambdaMin),
            ("lambda_max_full", None) => Ok(Self::LambdaMaxFull),
            ("layers", None) => Ok(Self::Layers),
            ("batch_sharpness", None) => Ok(Self::BatchSharpness(BATCHES)),
            ("batch_sharpness", Some(count)) => match count.parse() {
                Ok(count) if count > 1 => Ok(Self::BatchSharpness(count)),
                _ => Err(Error::usage(format!("`--what {text}`: the count must be a whole number from 2 up"), None)),
            },
            ("trace", None) => Ok(Self::Trace),
            ("density", None) => Ok(Self::Density),
            ("top", Some(count)) => match count.parse() {
                Ok(count) if count > 0 => Ok(Self::Top(count)),
                _ => Err(Error::usage(format!("`--what {text}`: the count must be a whole number from 1 up"), None)),
            },
            ("top", None) => {
                let help = "write how many: `--what top=10`".to_owned();
                Err(Error::usage("`--what top` has no count".to_owned(), Some(help)))
            }
            (known, Some(_)) if NAMES.contains(&known) => {
                Err(Error::usage(format!("`--what {text}`: {known} takes no count"), None))
            }
            _ => Err(Error::usage(format!("`--what {text}`: unknown quantity"), Some(suggestion(name)))),
        }
    }

    /// Its name in flags, tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::LambdaMax => "lambda_max",
            Self::LambdaMin => "lambda_min",
            Self::LambdaMaxFull => "lambda_max_full",
            Self::Top(_) => "top",
            Self::Layers => "layers",
            Self::BatchSharpness(_) => "batch_sharpness",
            Self::Trace => "trace",
            Self::Density => "density",
        }
    }

    /// What products with the Hessian are wanted for.
    pub fn wanted(self) -> SpectralTarget {
        match self {
            Self::LambdaMin => SpectralTarget::Smallest,
            Self::Trace | Self::Density => SpectralTarget::Spectrum,
            _ => SpectralTarget::Largest,
        }
    }
}

/// What may have been meant by an unknown name, or all there is.
fn suggestion(name: &str) -> String {
    let meant = closest_by(name, NAMES, |known| known.split('=').next().unwrap_or(known));
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", NAMES.join(", ")),
    }
}

/// The data to measure on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// All training images.
    Full,
    /// A fixed random subset of this size.
    Subset(usize),
    /// The mini-batch of this training step.
    Batch(u64),
}

impl Data {
    /// Reads `full`, `subset=N` or `batch=K`.
    pub fn parse(text: &str) -> Result<Self> {
        let found = match text.split_once('=') {
            None if text == "full" => Some(Self::Full),
            Some(("subset", size)) => size.parse().ok().filter(|size| *size > 0).map(Self::Subset),
            Some(("batch", step)) => step.parse().ok().map(Self::Batch),
            _ => None,
        };
        found.ok_or_else(|| {
            let help =
                "write full, subset=1000 (a fixed random subset) or batch=0 (the mini-batch of that training step)";
            Error::usage(format!("`--on {text}` names no data"), Some(help.to_owned()))
        })
    }

    /// The same for the library.
    pub fn sample(self) -> Sample {
        match self {
            Self::Full => Sample::Full,
            Self::Subset(size) => Sample::Subset(size),
            Self::Batch(step) => Sample::Mini(step),
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Subset(size) => write!(f, "subset={size}"),
            Self::Batch(step) => write!(f, "batch={step}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Vec<Quantity>> {
        Quantity::parse_list(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    fn refusal(text: &str) -> (String, String) {
        match list(text).unwrap_err() {
            Error::Usage { message, help } => (message, help.unwrap_or_default()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn quantities_are_read_by_name() {
        let all = [Quantity::LambdaMax, Quantity::LambdaMin, Quantity::Top(10), Quantity::Trace, Quantity::Density];
        assert_eq!(list("lambda_max, lambda_min,top=10,trace,density").unwrap(), all);
        let others = [Quantity::LambdaMaxFull, Quantity::Layers, Quantity::BatchSharpness(20)];
        assert_eq!(list("lambda_max_full,layers,batch_sharpness").unwrap(), others);
        assert_eq!(list("batch_sharpness=5").unwrap(), [Quantity::BatchSharpness(5)]);
    }

    #[test]
    fn what_is_not_a_quantity_is_refused_with_the_nearest_name() {
        assert_eq!(refusal("lamda_max").1, "did you mean `lambda_max`?");
        assert_eq!(refusal("tarce").1, "did you mean `trace`?");
        assert_eq!(refusal("sharpness").1, "did you mean `batch_sharpness=COUNT`?");
        assert_eq!(refusal("tops=3").1, "did you mean `top=COUNT`?");
        assert_eq!(refusal("hessian").1, format!("there are {}", NAMES.join(", ")));
        assert_eq!(refusal("top").0, "`--what top` has no count");
        assert!(refusal("top=0").0.contains("must be a whole number from 1 up"));
        assert!(refusal("top=-3").0.contains("must be a whole number from 1 up"));
        assert!(refusal("batch_sharpness=1").0.contains("must be a whole number from 2 up"));
        assert_eq!(refusal("trace=3").0, "`--what trace=3`: trace takes no count");
        assert_eq!(refusal("top=2,top=3").0, "`--what` names top twice");
        assert_eq!(refusal("").0, "`--what `: unknown quantity");
    }

    #[test]
    fn data_have_names_that_read_back() {
        for text in ["full", "subset=1000", "batch=0", "batch=300"] {
            assert_eq!(Data::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "batch", "batch=-1", "subset", "subset=0", "subset=x", "Full", "full=1"] {
            assert!(Data::parse(text).is_err(), "{text}");
        }
    }
}
