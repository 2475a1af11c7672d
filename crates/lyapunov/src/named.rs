//! Choices know their own names: one list per enum, from which its names are written and read.

/// A choice among a few that know their names: every enum of [`named!`](crate::named) is one.
pub trait Named: Copy + 'static {
    /// Every choice, in the order in which they are listed.
    const ALL: &'static [Self];

    /// The name used in configurations, columns and reports.
    fn name(self) -> &'static str;
}

/// Gives an enum `ALL`, `name`, `from_name`, [`Display`](std::fmt::Display), [`FromStr`](std::str::FromStr) and
/// [`Named`], from one list of its variants with their names. A variant that carries something says what it carries
/// when it is read.
///
/// A variant that the list lacks does not compile. [`FromStr`](std::str::FromStr) refuses an unknown name with
/// [`Error::Unknown`](crate::Error::Unknown), which holds the names that are known.
///
/// ```
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// enum Pace { Walk, Run { speed: u8 } }
/// lyapunov::named! { Pace, "pace": Walk = "walk", Run = "run" => Self::Run { speed: 9 } }
///
/// assert_eq!(Pace::ALL.map(Pace::name), ["walk", "run"]);
/// assert_eq!(Pace::from_name("run"), Some(Pace::Run { speed: 9 }));
/// assert_eq!(Pace::Run { speed: 3 }.to_string(), "run");
/// assert_eq!("fly".parse::<Pace>().unwrap_err().to_string(), "unknown pace \"fly\"");
/// ```
#[macro_export]
macro_rules! named {
    (@value $plain:expr) => { $plain };
    (@value $plain:expr, $value:expr) => { $value };
    ($choice:ty, $kind:literal: $($variant:ident = $name:literal $(=> $value:expr)?),+ $(,)?) => {
        impl $choice {
            /// Every choice, in the order in which they are listed.
            pub const ALL: [Self; [$($name),+].len()] = [$($crate::named!(@value Self::$variant $(, $value)?)),+];

            /// The name used in configurations, columns and reports.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                }
            }

            /// The choice with this name; `None` where there is none.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|choice| choice.name() == name)
            }
        }

        impl $crate::Named for $choice {
            const ALL: &'static [Self] = &Self::ALL;

            fn name(self) -> &'static str {
                Self::name(self)
            }
        }

        impl ::std::fmt::Display for $choice {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl ::std::str::FromStr for $choice {
            type Err = $crate::Error;

            fn from_str(name: &str) -> $crate::Result<Self> {
                Self::from_name(name).ok_or_else(|| $crate::Error::Unknown {
                    kind: $kind,
                    name: name.to_owned(),
                    known: Self::ALL.map(Self::name).to_vec(),
                })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::{
        control::Shape,
        error::Error,
        objective::{Difference, Product},
        record::Quantity,
    };

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(Product::ALL.map(Product::name), ["exact", "gauss-newton", "difference"]);
        assert_eq!(Product::from_name("difference"), Some(Product::Difference(Difference::SMOOTH)));
        assert_eq!(Product::Difference(Difference::KINKED).to_string(), "difference");
        let quantities = ["lambda_max", "lambda_min", "batch_sharpness", "preconditioned_sharpness"];
        assert_eq!(Quantity::ALL.map(Quantity::name), quantities);
        assert_eq!(Shape::ALL.map(Shape::name), ["constant", "cosine"]);
        assert!(Quantity::ALL.iter().all(|quantity| Quantity::from_name(quantity.name()) == Some(*quantity)));
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_are_known() {
        let Err(Error::Unknown { kind, name, known }) = "cosin".parse::<Shape>() else { panic!("it is unknown") };
        assert_eq!((kind, name.as_str(), known), ("schedule", "cosin", vec!["constant", "cosine"]));
    }
}
