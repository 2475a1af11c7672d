//! State as rows of numbers by name: what a run in progress has to keep, to the bit.
//!
//! Saving and loading are one function: an [`Archive`] is led past every field of a state, and either writes it down or
//! replaces it. So what is saved and what is loaded cannot differ, and a field is named once.

use std::collections::BTreeMap;

use crate::{
    error::{Error, Result},
    vector::Vector,
};

/// Rows of numbers by name. What is not finite is kept as well, and so is the sign of zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The rows; names have dots between their parts, such as `optimizer.state.0`.
    pub rows: BTreeMap<String, Numbers>,
}

/// One row, in the type that its numbers were stored in.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Numbers in double precision.
    F64(Vec<f64>),
    /// Numbers in single precision.
    F32(Vec<f32>),
    /// Whole numbers.
    U64(Vec<u64>),
    /// Bytes of a format of their own.
    Bytes(Vec<u8>),
}

/// Goes past the fields of a state, and writes them down or replaces them by what was written down.
///
/// ```
/// use lyapunov::{Archive, Result, Snapshot};
/// struct Average { mean: f64, count: u64 }
/// impl Average {
///     fn keep(&mut self, archive: &mut Archive) -> Result<()> {
///         archive.number("mean", &mut self.mean)?;
///         archive.count("count", &mut self.count)
///     }
/// }
/// let mut saved = Snapshot::default();
/// Average { mean: 0.1, count: 3 }.keep(&mut Archive::saving(&mut saved))?;
/// let mut fresh = Average { mean: 0.0, count: 0 };
/// fresh.keep(&mut Archive::loading(&saved))?;
/// assert_eq!((fresh.mean, fresh.count), (0.1, 3));
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Debug)]
pub struct Archive<'a> {
    way: Way<'a>,
    /// What stands before every name.
    prefix: String,
}

#[derive(Debug)]
enum Way<'a> {
    Out(&'a mut Snapshot),
    In(&'a Snapshot),
}

impl<'a> Archive<'a> {
    /// Writes fields into `saved`.
    pub fn saving(saved: &'a mut Snapshot) -> Self {
        Self { way: Way::Out(saved), prefix: String::new() }
    }

    /// Replaces fields by those in `saved`.
    pub fn loading(saved: &'a Snapshot) -> Self {
        Self { way: Way::In(saved), prefix: String::new() }
    }

    /// Whether fields are replaced.
    pub fn is_loading(&self) -> bool {
        matches!(self.way, Way::In(_))
    }

    /// Goes past fields whose names begin with `name` and a dot.
    ///
    /// # Errors
    /// Those of `fields`.
    pub fn within(&mut self, name: &str, fields: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let length = self.prefix.len();
        self.prefix += name;
        self.prefix.push('.');
        let done = fields(self);
        self.prefix.truncate(length);
        done
    }

    /// Keeps one row: `write` makes it of the field, `read` takes it into the field, or says what it must be instead.
    ///
    /// # Errors
    /// [`Error::Saved`] where the row is missing or cannot be taken.
    pub fn row<T>(
        &mut self,
        name: &str,
        field: &mut T,
        write: impl FnOnce(&T) -> Numbers,
        read: impl FnOnce(&mut T, &Numbers) -> Option<()>,
    ) -> Result<()> {
        let name = format!("{}{name}", self.prefix);
        match &mut self.way {
            Way::Out(saved) => {
                saved.rows.insert(name, write(field));
                Ok(())
            }
            Way::In(saved) => {
                let row = saved.rows.get(&name).ok_or_else(|| wrong(&name, "is missing"))?;
                read(field, row).ok_or_else(|| wrong(&name, "does not fit the run"))
            }
        }
    }

    /// Keeps numbers, however many they are.
    ///
    /// # Errors
    /// Those of [`Archive::row`].
    pub fn numbers(&mut self, name: &str, field: &mut Vec<f64>) -> Result<()> {
        let read = |field: &mut Vec<f64>, row: &Numbers| {
            field.clone_from(row.f64()?);
            Some(())
        };
        self.row(name, field, |field| Numbers::F64(field.clone()), read)
    }

    /// Keeps so many numbers.
    ///
    /// # Errors
    /// Those of [`Archive::row`].
    pub fn array<const N: usize>(&mut self, name: &str, field: &mut [f64; N]) -> Result<()> {
        let read = |field: &mut [f64; N], row: &Numbers| {
            *field = row.f64()?.as_slice().try_into().ok()?;
            Some(())
        };
        self.row(name, field, |field| Numbers::F64(field.to_vec()), read)
    }

    /// Keeps a number.
    ///
    /// # Errors
    /// Those of [`Archive::row`].
    pub fn number(&mut self, name: &str, field: &mut f64) -> Result<()> {
        self.array(name, std::array::from_mut(field))
    }

    /// Keeps a number that may be missing.
    ///
    /// # Errors
    /// Those of [`Archive::row`].
    pub fn optional(&mut self, name: &str, field: &mut Option<f64>) -> Result<()> {
        let mut numbers = field.iter().copied().collect();
        self.numbers(name, &mut numbers)?;
        *field = numbers.first().copied();
        Ok(())
    }

    /// Keeps a whole number.
    ///
    /// # Errors
    /// Those of [`Archive::row`].
    pub fn count(&mut self, name: &str, field: &mut u64) -> Result<()> {
        let read = |field: &mut u64, row: &Numbers| match row {
            Numbers::U64(numbers) => {
                [*field] = numbers.as_slice().try_into().ok()?;
                Some(())
            }
            _ => None,
        };
        self.row(name, field, |field| Numbers::U64(vec![*field]), read)
    }

    /// Keeps a list, each item as N numbers in one row; `read` says whether the numbers make an item.
    ///
    /// # Errors
    /// Those of [`Archive::row`].
    pub fn list<T, const N: usize>(
        &mut self,
        name: &str,
        field: &mut Vec<T>,
        write: impl Fn(&T) -> [f64; N],
        read: impl Fn([f64; N]) -> Option<T>,
    ) -> Result<()> {
        let take = |field: &mut Vec<T>, row: &Numbers| {
            let (items, []) = row.f64()?.as_chunks() else { return None };
            *field = items.iter().map(|numbers| read(*numbers)).collect::<Option<_>>()?;
            Some(())
        };
        self.row(name, field, |field| Numbers::F64(field.iter().flat_map(&write).collect()), take)
    }

    /// Keeps a vector that may be missing; one that comes is shaped like `like`.
    ///
    /// # Errors
    /// Those of [`Archive::row`].
    pub fn maybe<V: Persist>(&mut self, name: &str, field: &mut Option<V>, like: &V) -> Result<()> {
        let mut there = u64::from(field.is_some());
        self.count(&format!("{name}.there"), &mut there)?;
        if self.is_loading() {
            *field = (there == 1).then(|| like.zeros_like());
        }
        field.iter_mut().try_for_each(|vector| vector.keep(name, self))
    }
}

impl Numbers {
    fn f64(&self) -> Option<&Vec<f64>> {
        match self {
            Self::F64(numbers) => Some(numbers),
            _ => None,
        }
    }
}

/// The fault of the row of this name.
fn wrong(name: &str, reason: &str) -> Error {
    Error::Saved { name: name.to_owned(), reason: reason.to_owned() }
}

/// A [`Vector`] that can be saved and loaded to the bit.
pub trait Persist: Vector {
    /// Leads `archive` past the entries; when they are replaced, the shape stays.
    ///
    /// # Errors
    /// [`Error::Saved`] where what was saved has another shape or another storage.
    fn keep(&mut self, name: &str, archive: &mut Archive<'_>) -> Result<()>;
}

macro_rules! kept_floats {
    ($row:ident, $storage:ty $(, $size:ident)?) => {
        impl$(<const $size: usize>)? Persist for $storage {
            fn keep(&mut self, name: &str, archive: &mut Archive<'_>) -> Result<()> {
                let read = |field: &mut Self, row: &Numbers| match row {
                    Numbers::$row(numbers) if numbers.len() == field.as_slice().len() => {
                        field.copy_from_slice(numbers);
                        Some(())
                    }
                    _ => None,
                };
                archive.row(name, self, |field| Numbers::$row(field.to_vec()), read)
            }
        }
    };
}

kept_floats!(F64, Vec<f64>);
kept_floats!(F32, Vec<f32>);
kept_floats!(F64, [f64; N], N);
kept_floats!(F32, [f32; N], N);

impl<A: Persist, B: Persist> Persist for (A, B) {
    fn keep(&mut self, name: &str, archive: &mut Archive<'_>) -> Result<()> {
        archive.within(name, |archive| {
            self.0.keep("0", archive)?;
            self.1.keep("1", archive)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a fresh vector is after everything of `vector` has been saved and loaded.
    fn through<V: Persist>(mut vector: V) -> V {
        let mut saved = Snapshot::default();
        vector.keep("vector", &mut Archive::saving(&mut saved)).unwrap();
        let mut fresh = vector.zeros_like();
        fresh.keep("vector", &mut Archive::loading(&saved)).unwrap();
        fresh
    }

    #[test]
    fn every_storage_comes_back_to_the_bit() {
        let numbers = vec![0.1, -0.0, f64::INFINITY, f64::MIN_POSITIVE / 2.0];
        assert_eq!(through(numbers.clone())[1].to_bits(), (-0.0_f64).to_bits());
        assert_eq!(through(numbers.clone()), numbers);
        assert!(through([f64::NAN])[0].is_nan());
        assert_eq!(through((vec![0.1_f32, 3.0], ([0.3], [1.0_f32]))), (vec![0.1_f32, 3.0], ([0.3], [1.0_f32])));
    }

    #[test]
    fn what_does_not_fit_is_reported_by_its_name() {
        let mut saved = Snapshot::default();
        (vec![1.0], vec![2.0]).keep("state", &mut Archive::saving(&mut saved)).unwrap();
        let refusal =
            |name: &str, like: &mut Vec<f64>| like.keep(name, &mut Archive::loading(&saved)).unwrap_err().to_string();
        assert_eq!(refusal("other", &mut vec![0.0]), "the saved `other` is missing");
        assert_eq!(refusal("state.1", &mut vec![0.0, 0.0]), "the saved `state.1` does not fit the run");
        let single = vec![0.0_f32].keep("state.0", &mut Archive::loading(&saved)).unwrap_err();
        assert!(single.to_string().contains("does not fit"), "{single}");
    }

    #[test]
    fn lists_and_what_may_be_missing_come_back() {
        let mut saved = Snapshot::default();
        let mut archive = Archive::saving(&mut saved);
        archive.list("list", &mut vec![(1.0, 2.0), (3.0, 4.0)], |(a, b)| [*a, *b], |[a, b]| Some((a, b))).unwrap();
        archive.optional("none", &mut None).unwrap();
        archive.optional("some", &mut Some(f64::INFINITY)).unwrap();
        archive.maybe("vector", &mut Some(vec![5.0]), &vec![0.0]).unwrap();
        archive.maybe("no_vector", &mut None, &vec![0.0]).unwrap();
        let mut archive = Archive::loading(&saved);
        let (mut list, mut none, mut some) = (Vec::new(), Some(1.0), None);
        archive.list("list", &mut list, |(a, b)| [*a, *b], |[a, b]| Some((a, b))).unwrap();
        archive.optional("none", &mut none).unwrap();
        archive.optional("some", &mut some).unwrap();
        assert_eq!((list, none, some), (vec![(1.0, 2.0), (3.0, 4.0)], None, Some(f64::INFINITY)));
        let (mut vector, mut no_vector) = (None, Some(vec![7.0]));
        archive.maybe("vector", &mut vector, &vec![0.0]).unwrap();
        archive.maybe("no_vector", &mut no_vector, &vec![0.0]).unwrap();
        assert_eq!((vector, no_vector), (Some(vec![5.0]), None));
        assert!(archive.list("list", &mut Vec::new(), |x: &[f64; 3]| *x, Some).is_err(), "four numbers are no triples");
    }
}
