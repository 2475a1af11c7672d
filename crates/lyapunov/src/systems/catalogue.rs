//! The systems by name, with their parameters: what a program can list, set and measure.

use super::{
    CatMap, Henon, Ikeda, Logistic, LogisticLattice, Lorenz63, Lorenz96, Quadratic, RandomMatrices, Roessler,
    ScalarNetwork, StandardMap, Tent,
};
use crate::{
    descent::{HeavyBall, Sgd},
    error::{Error, Result},
    noise::{Purpose, Stream},
    objective::Product,
    system::System,
    vector::Vector,
};

/// A parameter of a system: its name, what it means, and where it lives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// What it means, in a few words.
    pub about: &'static str,
    /// The value that it has unless it is set.
    pub default: f64,
    /// The smallest value allowed.
    pub minimum: f64,
    /// The largest value allowed.
    pub maximum: f64,
    /// Whether it counts something.
    pub whole: bool,
}

/// A system that can be named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// Where its literature values come from.
    pub source: &'static str,
    /// Whether exponents are given per unit of time; else per step.
    pub per_time: bool,
    kind: Kind,
}

/// Exponents that are known in advance, in the units of the entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Literature {
    /// The largest exponents, as many as are known.
    pub values: Vec<f64>,
    /// How they are known.
    pub known: Known,
}

/// How an exponent is known in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// In closed form.
    Exactly,
    /// Measured by others: it ends with the digits given.
    Measured,
    /// By a formula that holds in a limit only: measured values may differ from it by more than their errors.
    Asymptotically,
}

/// Something that can be done with any system: a generic closure, monomorphised for each.
///
/// ```
/// use lyapunov::{Exponents, Result, SpectrumOptions, System, exponents, systems::{Choice, SystemVisitor}};
/// struct Measure(SpectrumOptions);
/// impl SystemVisitor for Measure {
///     type Output = Result<Exponents>;
///     fn visit<S: System + Clone>(self, mut system: S) -> Self::Output {
///         exponents(&mut system, &self.0)
///     }
/// }
/// let mut tent = Choice::named("tent")?;
/// tent.set("mu", 1.25)?;
/// let found = tent.visit(Measure(SpectrumOptions::default()))?;
/// assert!((found.values[0] - tent.literature().unwrap().values[0]).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub trait SystemVisitor {
    /// What comes out.
    type Output;

    /// Does it.
    fn visit<S: System + Clone>(self, system: S) -> Self::Output;
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Logistic,
    Tent,
    Henon,
    StandardMap,
    CatMap,
    Ikeda,
    LogisticLattice,
    Lorenz63,
    Roessler,
    Lorenz96,
    RandomMatrices,
    GradientDescent,
    HeavyBall,
    ScalarNetwork,
}

const fn real(name: &'static str, about: &'static str, default: f64, minimum: f64, maximum: f64) -> Parameter {
    Parameter { name, about, default, minimum, maximum, whole: false }
}

const fn whole(name: &'static str, about: &'static str, default: f64, minimum: f64, maximum: f64) -> Parameter {
    Parameter { name, about, default, minimum, maximum, whole: true }
}

const fn time_step(default: f64) -> Parameter {
    real("time-step", "length of a Runge–Kutta step", default, 1e-6, 1.0)
}

const BIG: f64 = 1e6;
const LEARNING_RATE: Parameter = real("learning-rate", "learning rate", 0.1, 1e-12, BIG);
const N: Parameter = whole("n", "number of weights", 5.0, 1.0, 10_000.0);
const H_MIN: Parameter = real("h-min", "smallest curvature", -1.0, -BIG, BIG);
const H_MAX: Parameter = real("h-max", "largest curvature", 10.0, -BIG, BIG);

static CATALOGUE: [Entry; 14] = [
    Entry {
        name: "logistic",
        about: "logistic map x' = r x (1 − x)",
        parameters: &[real("r", "growth rate", 4.0, 0.0, 4.0)],
        source: "Ulam & von Neumann 1947 (r = 4); fixed point and two-cycle in closed form",
        per_time: false,
        kind: Kind::Logistic,
    },
    Entry {
        name: "tent",
        about: "tent map x' = μ min(x, 1 − x)",
        parameters: &[real("mu", "slope", 1.9, 1e-3, 2.0)],
        source: "ln μ, in closed form",
        per_time: false,
        kind: Kind::Tent,
    },
    Entry {
        name: "henon",
        about: "Hénon map x' = 1 − a x² + y, y' = b x",
        parameters: &[real("a", "bend", 1.4, -10.0, 10.0), real("b", "contraction", 0.3, -1.0, 1.0)],
        source: "Sprott 2003",
        per_time: false,
        kind: Kind::Henon,
    },
    Entry {
        name: "standard-map",
        about: "Chirikov's standard map p' = p + k sin θ, θ' = θ + p'",
        parameters: &[real("k", "strength of the kick", 10.0, 0.0, BIG)],
        source: "ln(k/2) up to terms that vanish for large k, Chirikov 1979",
        per_time: false,
        kind: Kind::StandardMap,
    },
    Entry {
        name: "cat-map",
        about: "Arnold's cat map (x, y)' = (2x + y, x + y) on the torus",
        parameters: &[],
        source: "in closed form, Arnold & Avez 1968",
        per_time: false,
        kind: Kind::CatMap,
    },
    Entry {
        name: "ikeda",
        about: "Ikeda map z' = 1 + u z exp(i(0.4 − 6/(1 + |z|²)))",
        parameters: &[real("u", "share of light that comes around", 0.9, 1e-3, 1.0)],
        source: "Sprott 2003",
        per_time: false,
        kind: Kind::Ikeda,
    },
    Entry {
        name: "logistic-lattice",
        about: "ring of coupled logistic maps",
        parameters: &[
            real("r", "growth rate of a site", 4.0, 0.0, 4.0),
            real("coupling", "share taken from the two neighbours", 0.3, 0.0, 1.0),
            whole("n", "number of sites", 16.0, 2.0, 10_000.0),
        ],
        source: "Kaneko 1984; in closed form without coupling",
        per_time: false,
        kind: Kind::LogisticLattice,
    },
    Entry {
        name: "lorenz63",
        about: "Lorenz equations",
        parameters: &[
            real("sigma", "Prandtl number", 10.0, 0.0, BIG),
            real("rho", "Rayleigh number", 28.0, -BIG, BIG),
            real("beta", "aspect ratio", 8.0 / 3.0, 0.0, BIG),
            time_step(0.01),
        ],
        source: "Sprott 2003",
        per_time: true,
        kind: Kind::Lorenz63,
    },
    Entry {
        name: "roessler",
        about: "Rössler equations",
        parameters: &[
            real("a", "growth of the spiral", 0.2, -10.0, 10.0),
            real("b", "supply", 0.2, -10.0, 10.0),
            real("c", "threshold of the fold", 5.7, -100.0, 100.0),
            time_step(0.02),
        ],
        source: "Sprott 2003",
        per_time: true,
        kind: Kind::Roessler,
    },
    Entry {
        name: "lorenz96",
        about: "Lorenz 96: a ring of weather stations",
        parameters: &[
            real("forcing", "forcing F", 8.0, -1000.0, 1000.0),
            whole("n", "number of sites", 40.0, 4.0, 10_000.0),
            time_step(0.05),
        ],
        source: "Lorenz & Emanuel 1998 (n = 40, F = 8)",
        per_time: true,
        kind: Kind::Lorenz96,
    },
    Entry {
        name: "random-matrices",
        about: "product of random 2 × 2 matrices with standard normal entries",
        parameters: &[],
        source: "in closed form, Newman 1986",
        per_time: false,
        kind: Kind::RandomMatrices,
    },
    Entry {
        name: "gradient-descent",
        about: "gradient descent on a quadratic loss, curvatures evenly spaced",
        parameters: &[LEARNING_RATE, H_MIN, H_MAX, N],
        source: "ln|1 − ηh|, in closed form",
        per_time: false,
        kind: Kind::GradientDescent,
    },
    Entry {
        name: "heavy-ball",
        about: "heavy ball on a quadratic loss, curvatures evenly spaced",
        parameters: &[LEARNING_RATE, real("momentum", "momentum", 0.9, 0.0, 0.999_999), H_MIN, H_MAX, N],
        source: "log moduli of z² − (1 + β − ηh)z + β, in closed form",
        per_time: false,
        kind: Kind::HeavyBall,
    },
    Entry {
        name: "scalar-network",
        about: "gradient descent on (ab − y)²/2, started in the valley ab = y",
        parameters: &[
            LEARNING_RATE,
            real("target", "target y", 2.0, -BIG, BIG),
            real("a", "first weight; the second is y/a", 1.0, 1e-3, 1000.0),
        ],
        source: "0 and ln|1 − η(a² + b²)|, in closed form",
        per_time: false,
        kind: Kind::ScalarNetwork,
    },
];

/// All systems that can be named.
///
/// ```
/// let names: Vec<&str> = lyapunov::systems::catalogue().iter().map(|entry| entry.name).collect();
/// assert!(names.contains(&"henon") && names.contains(&"heavy-ball"));
/// ```
pub fn catalogue() -> &'static [Entry] {
    &CATALOGUE
}

/// A named system with the values of its parameters and a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    entry: &'static Entry,
    values: Vec<f64>,
    seed: u64,
}

impl Choice {
    /// The system of this name at its default parameters, seed 0.
    ///
    /// # Errors
    /// [`Error::Unknown`] with all names, for one that is not in the [`catalogue`].
    pub fn named(name: &str) -> Result<Self> {
        let unknown = || Error::Unknown {
            kind: "system",
            name: name.to_owned(),
            known: CATALOGUE.iter().map(|entry| entry.name).collect(),
        };
        let entry = CATALOGUE.iter().find(|entry| entry.name == name).ok_or_else(unknown)?;
        Ok(Self { entry, values: entry.parameters.iter().map(|parameter| parameter.default).collect(), seed: 0 })
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the names that the system knows; [`Error::Argument`] for a value outside the domain.
    pub fn set(&mut self, name: &str, value: f64) -> Result<()> {
        let parameters = self.entry.parameters;
        let unknown = || Error::Unknown {
            kind: "parameter",
            name: name.to_owned(),
            known: parameters.iter().map(|parameter| parameter.name).collect(),
        };
        let index = parameters.iter().position(|parameter| parameter.name == name).ok_or_else(unknown)?;
        let Parameter { name, minimum, maximum, whole, .. } = parameters[index];
        if !(minimum..=maximum).contains(&value) {
            let reason = format!("must be at least {minimum} and at most {maximum}");
            return Err(Error::argument(name, value, reason));
        }
        if whole && value.fract() != 0.0 {
            return Err(Error::argument(name, value, "must be a whole number"));
        }
        self.values[index] = value;
        Ok(())
    }

    /// Sets the seed: of the noise where there is any, and of a small displacement of the start. Seed 0 starts at the
    /// documented state.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// What is known of the system.
    pub fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// The parameters with their present values.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static Parameter, f64)> + '_ {
        self.entry.parameters.iter().zip(self.values.iter().copied())
    }

    /// The value of a parameter of the system; its kind is known, and so are its names.
    fn value(&self, name: &str) -> f64 {
        let found = self.parameters().find(|(parameter, _)| parameter.name == name);
        found.map_or_else(|| unreachable!("{} has no {name}", self.entry.name), |(_, value)| value)
    }

    /// The curvatures of the quadratic losses.
    fn curvatures(&self) -> Vec<f64> {
        let (n, least, most) = (self.value("n"), self.value("h-min"), self.value("h-max"));
        (0..n as usize).map(|i| most + (least - most) * i as f64 / (n - 1.0).max(1.0)).collect()
    }

    /// Hands the system to `visitor`.
    pub fn visit<T: SystemVisitor>(&self, visitor: T) -> T::Output {
        let value = |name| self.value(name);
        match self.entry.kind {
            Kind::Logistic => self.start(visitor, Logistic { r: value("r") }.system()),
            Kind::Tent => self.start(visitor, Tent { mu: value("mu") }.system()),
            Kind::Henon => self.start(visitor, Henon { a: value("a"), b: value("b") }.system()),
            Kind::StandardMap => self.start(visitor, StandardMap { k: value("k") }.system()),
            Kind::CatMap => self.start(visitor, CatMap.system()),
            Kind::Ikeda => self.start(visitor, Ikeda { u: value("u") }.system()),
            Kind::LogisticLattice => {
                let lattice = LogisticLattice { r: value("r"), coupling: value("coupling") };
                self.start(visitor, lattice.system(value("n") as usize))
            }
            Kind::Lorenz63 => {
                let lorenz = Lorenz63 { sigma: value("sigma"), rho: value("rho"), beta: value("beta") };
                self.start(visitor, lorenz.system(value("time-step")))
            }
            Kind::Roessler => {
                let roessler = Roessler { a: value("a"), b: value("b"), c: value("c") };
                self.start(visitor, roessler.system(value("time-step")))
            }
            Kind::Lorenz96 => {
                let lorenz = Lorenz96 { forcing: value("forcing") };
                self.start(visitor, lorenz.system(value("n") as usize, value("time-step")))
            }
            Kind::RandomMatrices => visitor.visit(RandomMatrices::<2>.system(self.seed)),
            Kind::GradientDescent | Kind::HeavyBall | Kind::ScalarNetwork => self.visit_descent(visitor),
        }
    }

    /// The descents start where their exponents are known: at the minimum, or in the valley.
    fn visit_descent<T: SystemVisitor>(&self, visitor: T) -> T::Output {
        let eta = self.value("learning-rate");
        let quadratic = || {
            let curvatures = self.curvatures();
            let minimum = vec![0.0; curvatures.len()];
            (Quadratic::new(curvatures), minimum)
        };
        match self.entry.kind {
            Kind::ScalarNetwork => {
                let (target, a) = (self.value("target"), self.value("a"));
                visitor.visit(Sgd::new(ScalarNetwork { target }, vec![a, target / a], eta, Product::Exact))
            }
            Kind::HeavyBall => {
                let (loss, minimum) = quadratic();
                match HeavyBall::new(loss, minimum, eta, self.value("momentum"), Product::Exact) {
                    Ok(descent) => visitor.visit(descent),
                    Err(error) => unreachable!("the domain was checked: {error}"),
                }
            }
            _ => {
                let (loss, minimum) = quadratic();
                visitor.visit(Sgd::new(loss, minimum, eta, Product::Exact))
            }
        }
    }

    /// Displaces the start by a thousandth, unless the seed is 0.
    fn start<T: SystemVisitor, S: System + Clone>(&self, visitor: T, mut system: S) -> T::Output {
        if self.seed != 0 {
            let mut displaced = system.state().clone();
            let mut displacement = displaced.zeros_like();
            displacement.randomize(&mut Stream::new(self.seed, Purpose::System, 0));
            displaced.axpy(1e-3, &displacement);
            system.set_state(displaced);
        }
        visitor.visit(system)
    }

    /// The sum of all exponents, in the units of the entry, where it is known in closed form: the mean of ln|det Df|,
    /// or of the divergence of a flow, is a constant there.
    ///
    /// ```
    /// use lyapunov::systems::Choice;
    /// assert_eq!(Choice::named("henon")?.exact_sum(), Some(0.3_f64.ln()));
    /// assert_eq!(Choice::named("roessler")?.exact_sum(), None);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn exact_sum(&self) -> Option<f64> {
        let value = |name| self.value(name);
        match self.entry.kind {
            Kind::Henon => Some(value("b").abs().ln()),
            Kind::StandardMap | Kind::CatMap => Some(0.0),
            Kind::Ikeda => Some(2.0 * value("u").ln()),
            Kind::Lorenz63 => Some(-(value("sigma") + 1.0 + value("beta"))),
            Kind::Lorenz96 => Some(-value("n")),
            Kind::HeavyBall => Some(value("n") * value("momentum").ln()),
            Kind::Roessler => None,
            _ => self.literature().filter(|known| known.known == Known::Exactly).map(|known| known.values.iter().sum()),
        }
    }

    /// What is known of the exponents at the present parameters.
    pub fn literature(&self) -> Option<Literature> {
        let is_default = self.parameters().all(|(p, value)| p.name == "time-step" || value == p.default);
        let value = |name| self.value(name);
        let exact = |values: Vec<f64>| Some(Literature { values, known: Known::Exactly });
        let measured =
            |values: &[f64]| is_default.then(|| Literature { values: values.to_vec(), known: Known::Measured });
        let descending = |mut values: Vec<f64>| {
            values.sort_by(|a, b| b.total_cmp(a));
            exact(values)
        };
        match self.entry.kind {
            Kind::Logistic => Logistic { r: value("r") }.exact().and_then(|known| exact(vec![known])),
            Kind::Tent => exact(vec![value("mu").ln()]),
            Kind::Henon => measured(&[0.419_22, -1.623_19]),
            Kind::StandardMap => {
                let known = (0.5 * value("k")).ln();
                let known = vec![known, -known];
                (value("k") >= 5.0).then_some(Literature { values: known, known: Known::Asymptotically })
            }
            Kind::CatMap => {
                let known = f64::midpoint(3.0, 5.0_f64.sqrt()).ln();
                exact(vec![known, -known])
            }
            Kind::Ikeda => measured(&[0.5076, -0.7183]),
            Kind::LogisticLattice if value("coupling") == 0.0 => {
                Logistic { r: value("r") }.exact().and_then(|known| exact(vec![known; value("n") as usize]))
            }
            Kind::LogisticLattice => None,
            Kind::Lorenz63 => measured(&[0.9056, 0.0, -14.5721]),
            Kind::Roessler => measured(&[0.0714, 0.0, -5.3943]),
            Kind::Lorenz96 => measured(&[1.68]),
            Kind::RandomMatrices => exact(RandomMatrices::<2>.exact()),
            Kind::GradientDescent => {
                let rate = |h: &f64| (1.0 - value("learning-rate") * h).abs().ln();
                descending(self.curvatures().iter().map(rate).collect())
            }
            Kind::HeavyBall => {
                let moduli = |h: &f64| HeavyBall::<Quadratic>::moduli(*h, value("learning-rate"), value("momentum"));
                descending(self.curvatures().iter().flat_map(moduli).map(f64::ln).collect())
            }
            Kind::ScalarNetwork => {
                let sharpness = value("a").powi(2) + (value("target") / value("a")).powi(2);
                descending(vec![0.0, (1.0 - value("learning-rate") * sharpness).abs().ln()])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parameters_that_are_not_known_come_with_those_that_are() {
        let error = Choice::named("lorentz").unwrap_err();
        assert!(matches!(&error, Error::Unknown { kind: "system", known, .. } if known.contains(&"lorenz63")));
        let error = Choice::named("henon").unwrap().set("c", 1.0).unwrap_err();
        assert!(matches!(&error, Error::Unknown { kind: "parameter", known, .. } if known == &["a", "b"]));
    }

    #[test]
    fn values_outside_the_domain_are_refused() {
        let mut choice = Choice::named("lorenz96").unwrap();
        let refused = |choice: &mut Choice, name, value| choice.set(name, value).unwrap_err().to_string();
        assert_eq!(refused(&mut choice, "n", 3.0), "n = 3 must be at least 4 and at most 10000");
        assert_eq!(refused(&mut choice, "n", 4.5), "n = 4.5 must be a whole number");
        assert!(refused(&mut choice, "time-step", f64::NAN).contains("NaN"));
        assert_eq!(choice, Choice::named("lorenz96").unwrap());
    }

    #[test]
    fn every_default_lies_in_its_domain_and_every_system_can_be_studied() {
        struct Step;
        impl SystemVisitor for Step {
            type Output = bool;
            fn visit<S: System + Clone>(self, mut system: S) -> bool {
                system.step(&mut []).is_ok() && system.state().norm().is_finite()
            }
        }
        for entry in catalogue() {
            let mut choice = Choice::named(entry.name).unwrap();
            for parameter in entry.parameters {
                choice.set(parameter.name, parameter.default).unwrap();
            }
            choice.set_seed(3);
            assert!(choice.visit(Step), "{}", entry.name);
            choice.literature();
        }
    }
}
