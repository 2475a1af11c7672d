//! The plane of a scan: its axes, and the training at one of its places.

use lyapunov::{Outcome, Product, Sgd, SpectrumOptions, course, exponents, systems::TwoLayer};

use super::{ScanArguments, Shown};
use crate::error::{Error, Result};

/// What an axis moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The learning rate of both layers.
    Rate,
    /// That of the hidden layer.
    First,
    /// That of the output.
    Second,
    /// The standard deviation of the initial weights.
    Scale,
}

lyapunov::named! { Moved, "axis": Rate = "rate", First = "rate-1", Second = "rate-2", Scale = "scale" }

impl Moved {
    /// What it is called on a picture.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rate => "learning rate",
            Self::First => "learning rate of the hidden layer",
            Self::Second => "learning rate of the output",
            Self::Scale => "scale of the initial weights",
        }
    }

    /// Whether the other would be overwritten by this one, or this one by it.
    fn excludes(self, other: Self) -> bool {
        let rates = |one, two| one == Self::Rate && matches!(two, Self::First | Self::Second);
        self == other || rates(self, other) || rates(other, self)
    }
}

/// A parameter that takes `count` values, evenly spaced in their logarithms.
pub struct Axis {
    /// Which.
    pub name: Moved,
    /// The first value.
    pub from: f64,
    /// The last one.
    pub to: f64,
    /// How many.
    pub count: usize,
}

/// More than this along an axis is taken for a mistake.
const MOST: usize = 8192;

impl Axis {
    /// From `name=from:to:count`.
    fn parse(flag: &str, argument: &str) -> Result<Self> {
        let usage = |what: String| {
            let help =
                format!("write `{flag} rate-1=0.1:1000:128`; the names are {}", Moved::ALL.map(Moved::name).join(", "));
            Error::usage(format!("{flag} {argument}: {what}"), Some(help))
        };
        let (name, range) = argument.split_once('=').ok_or_else(|| usage("has no `=`".to_owned()))?;
        let name = Moved::from_name(name.trim()).ok_or_else(|| usage(format!("unknown axis {name:?}")))?;
        let [from, to, count] = range.split(':').collect::<Vec<_>>()[..] else {
            return Err(usage("needs two ends and a count".to_owned()));
        };
        let end = |text: &str| {
            let value = text.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0);
            value.ok_or_else(|| usage(format!("{text:?} is not a number greater than 0")))
        };
        let (from, to) = (end(from)?, end(to)?);
        let count = count.trim().parse().ok().filter(|count| (2..=MOST).contains(count));
        let count = count.ok_or_else(|| usage(format!("the count must be from 2 to {MOST}")))?;
        if from >= to {
            return Err(usage("the first end must be the smaller one".to_owned()));
        }
        Ok(Self { name, from, to, count })
    }

    /// The i-th value.
    pub fn value(&self, i: usize) -> f64 {
        let share = i as f64 / (self.count - 1) as f64;
        self.from * (self.to / self.from).powf(share)
    }
}

/// Two axes, and the network that is trained at every place.
pub struct Plane {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical one.
    pub y: Axis,
    network: TwoLayer,
}

impl Plane {
    /// The plane of these arguments.
    pub fn of(arguments: &ScanArguments) -> Result<Self> {
        let (x, y) = (Axis::parse("--x", &arguments.x)?, Axis::parse("--y", &arguments.y)?);
        if x.name.excludes(y.name) {
            let message = format!("--x moves {} and --y moves {}: both are the same rate", x.name, y.name);
            return Err(Error::usage(message, Some("let one of them move another parameter".to_owned())));
        }
        let ScanArguments { units, points, activation, seed, .. } = *arguments;
        Ok(Self { x, y, network: TwoLayer::random(units, points, activation, seed)? })
    }

    /// What the training at this place shows; an exponent is no number where it diverges.
    pub fn value(&self, arguments: &ScanArguments, column: usize, row: usize) -> lyapunov::Result<f64> {
        let (mut rates, mut scale) = ([1.0; 2], 1.0);
        for (axis, place) in [(&self.x, column), (&self.y, row)] {
            let value = axis.value(place);
            match axis.name {
                Moved::Rate => rates = [value; 2],
                Moved::First => rates[0] = value,
                Moved::Second => rates[1] = value,
                Moved::Scale => scale = value,
            }
        }
        let network = self.network.clone().with_rates(rates)?;
        let start = network.initial_weights(scale, arguments.seed);
        let mut descent = Sgd::new(network, start, 1.0, Product::Exact);
        match arguments.show {
            Shown::Speed => course(&mut descent, arguments.steps).map(|course| course.speed),
            Shown::Exponent => {
                let warm_up = arguments.steps / 10;
                let steps = arguments.steps - warm_up;
                let options = SpectrumOptions {
                    count: Some(1),
                    steps,
                    warm_up,
                    seed: arguments.seed,
                    ..SpectrumOptions::default()
                };
                let found = exponents(&mut descent, &options)?;
                Ok(if found.outcome == Outcome::Completed { found.values[0] } else { f64::NAN })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_evenly_spaced_in_their_logarithms() {
        let axis = Axis::parse("--x", "rate-1=0.01:100:5").unwrap();
        for (i, exact) in [0.01, 0.1, 1.0, 10.0, 100.0].into_iter().enumerate() {
            assert!((axis.value(i) / exact - 1.0).abs() < 1e-12, "{i}");
        }
    }

    #[test]
    fn what_cannot_be_an_axis_is_refused_by_its_flag() {
        let refused = |argument: &str| Axis::parse("--y", argument).map(drop).unwrap_err().to_string();
        assert!(refused("rate").contains("--y rate: has no `=`"));
        assert!(refused("rte=1:2:3").contains("unknown axis \"rte\""));
        assert!(refused("rate=1:2").contains("two ends and a count"));
        assert!(refused("rate=0:2:3").contains("greater than 0") && refused("rate=1:x:3").contains("\"x\""));
        assert!(refused("rate=1:2:1").contains("from 2 to") && refused("rate=2:1:3").contains("smaller"));
        assert!(Moved::Rate.excludes(Moved::First) && Moved::Second.excludes(Moved::Rate));
        assert!(!Moved::First.excludes(Moved::Second) && !Moved::Scale.excludes(Moved::Rate));
    }
}
