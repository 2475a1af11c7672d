//! The rows of a run as one wide table: a column per recorded number, empty where nothing was measured.

use crate::{
    columns::{Recorded, Row, SharpnessPoint},
    store::History,
};

/// A table of named columns, all as long as `rows` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wide {
    /// The columns.
    pub columns: Vec<Column>,
    /// How many rows there are.
    pub rows: usize,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, such as `lambda_max[batch]`.
    pub name: String,
    /// What it holds.
    pub values: Values,
}

/// The values of a column. No number is infinite, and none is not a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Counts, one in every row.
    Counts(Vec<u64>),
    /// Numbers, where they were measured.
    Numbers(Vec<Option<f64>>),
    /// Texts, where there is one.
    Texts(Vec<Option<String>>),
}

impl Wide {
    /// The table of a run.
    pub fn of(history: &History) -> Self {
        let steps: Vec<u64> = history.rows.iter().map(|row| row.step).collect();
        let mut table = Self { columns: Vec::new(), rows: steps.len() };
        for column in Row::COLUMNS {
            let values = history.rows.iter().map(|row| finite((column.value)(row))).collect();
            table.push(column.name.to_owned(), Values::Numbers(values));
        }
        for series in &history.sharpness {
            let name = sharpness_name(&series.quantity, &series.on);
            table.spread_all(&steps, &name, &series.points);
            table.push(format!("{name}_product"), repeated(&steps, &series.points, &series.product));
        }
        for (number, series) in (1..).zip(&history.exponents) {
            table.spread_all(&steps, &exponent_name(number), &series.points);
        }
        for series in &history.probes {
            let points = series.points.iter().map(|(step, value)| (*step, Some(*value)));
            table.push(series.name.clone(), spread(&steps, points));
        }
        table.columns.insert(0, Column { name: "step".to_owned(), values: Values::Counts(steps) });
        table
    }

    fn push(&mut self, name: String, values: Values) {
        self.columns.push(Column { name, values });
    }

    /// Every number of the points of a series, named behind that of the series.
    fn spread_all<T: Recorded>(&mut self, steps: &[u64], series: &str, points: &[T]) {
        for column in T::COLUMNS {
            let values = points.iter().map(|point| (point.step(), (column.value)(point)));
            self.push(numbered(series, column), spread(steps, values));
        }
    }
}

/// The name of the series of a sharpness.
pub fn sharpness_name(quantity: &str, on: &str) -> String {
    format!("{quantity}[{on}]")
}

/// The name of the series of an exponent, 1 being the largest.
pub fn exponent_name(number: usize) -> String {
    format!("exponent_{number}")
}

/// The name of a number of a series: that of the series where it is its value.
pub fn numbered<T>(series: &str, column: &crate::columns::Column<T>) -> String {
    match column.name {
        "value" => series.to_owned(),
        other => format!("{series}_{other}"),
    }
}

/// What is not a number is not known.
fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// Numbers of some steps in a column of all.
fn spread(steps: &[u64], points: impl Iterator<Item = (u64, Option<f64>)>) -> Values {
    let mut column = vec![None; steps.len()];
    for (step, value) in points {
        if let Ok(row) = steps.binary_search(&step) {
            column[row] = finite(value);
        }
    }
    Values::Numbers(column)
}

/// One text at the steps of these points.
fn repeated(steps: &[u64], points: &[SharpnessPoint], text: &str) -> Values {
    let mut column = vec![None; steps.len()];
    for row in points.iter().filter_map(|point| steps.binary_search(&point.step).ok()) {
        column[row] = Some(text.to_owned());
    }
    Values::Texts(column)
}

impl Values {
    fn empty_like(other: &Self, rows: usize) -> Self {
        match other {
            Self::Counts(_) => Self::Counts(vec![0; rows]),
            Self::Numbers(_) => Self::Numbers(vec![None; rows]),
            Self::Texts(_) => Self::Texts(vec![None; rows]),
        }
    }

    fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Counts(all), Self::Counts(more)) => all.extend(more),
            (Self::Numbers(all), Self::Numbers(more)) => all.extend(more),
            (Self::Texts(all), Self::Texts(more)) => all.extend(more),
            _ => unreachable!("columns of one name are of one kind"),
        }
    }
}

/// The tables of several runs, one below the other, with the names of the runs in a first column `run`.
pub fn joined(runs: Vec<(String, Wide)>) -> Wide {
    let (mut all, mut names) = (Wide::default(), Vec::new());
    for (name, table) in runs {
        names.extend(std::iter::repeat_n(Some(name), table.rows));
        append(&mut all, table);
    }
    all.columns.insert(0, Column { name: "run".to_owned(), values: Values::Texts(names) });
    all
}

/// Puts a table below another; what either lacks is empty.
fn append(all: &mut Wide, table: Wide) {
    let before = all.rows;
    all.rows += table.rows;
    for Column { name, values } in table.columns {
        if let Some(column) = all.columns.iter_mut().find(|column| column.name == name) {
            column.values.append(values);
        } else {
            let mut column = Values::empty_like(&values, before);
            column.append(values);
            all.columns.push(Column { name, values: column });
        }
    }
    for column in &mut all.columns {
        let lacking = all.rows - column.values.len();
        let empty = Values::empty_like(&column.values, lacking);
        column.values.append(empty);
    }
}

impl Values {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Counts(values) => values.len(),
            Self::Numbers(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

/// A history with everything in it, for the tests of the formats.
#[cfg(test)]
pub fn example() -> History {
    use crate::store::{ExponentPoint, ExponentSeries, ProbeSeries, SharpnessSeries};
    let row = |step: u64| Row {
        step,
        loss: Some(1.0 / (step + 3) as f64),
        learning_rate: Some(0.1),
        test_accuracy: (step == 2).then_some(f64::INFINITY),
        ..Row::default()
    };
    let point = SharpnessPoint {
        step: 2,
        value: -1.234_567_890_123_456_7e-300,
        residual: None,
        learning_rate: 0.1,
        edge: Some(0.4),
        cost: 5.0,
    };
    let series = SharpnessSeries {
        quantity: "lambda_max".to_owned(),
        on: "subset=500".to_owned(),
        product: "exact".to_owned(),
        points: vec![point],
    };
    let exponent = ExponentPoint { step: 1, local: Some(0.2), value: Some(0.1 + 0.2), std_error: None };
    History {
        rows: (0..3).map(row).collect(),
        sharpness: vec![series],
        exponents: vec![ExponentSeries { points: vec![exponent] }],
        probes: vec![ProbeSeries { name: "along_curvature".to_owned(), points: vec![(0, 7.0)] }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<'a>(table: &'a Wide, name: &str) -> &'a [Option<f64>] {
        match &table.columns.iter().find(|column| column.name == name).unwrap().values {
            Values::Numbers(numbers) => numbers,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_number_stands_in_the_row_of_its_step() {
        let table = Wide::of(&example());
        assert_eq!(numbers(&table, "loss"), [Some(1.0 / 3.0), Some(0.25), Some(0.2)]);
        assert_eq!(numbers(&table, "test_accuracy"), [None; 3], "what is not a number is not known");
        assert_eq!(numbers(&table, "lambda_max[subset=500]")[2], Some(-1.234_567_890_123_456_7e-300));
        assert_eq!(numbers(&table, "lambda_max[subset=500]_edge"), [None, None, Some(0.4)]);
        assert_eq!(numbers(&table, "lambda_max[subset=500]_residual"), [None; 3]);
        assert_eq!(numbers(&table, "exponent_1"), [None, Some(0.1 + 0.2), None]);
        assert_eq!(numbers(&table, "exponent_1_local"), [None, Some(0.2), None]);
        assert_eq!(numbers(&table, "along_curvature"), [Some(7.0), None, None]);
        assert!(table.columns.iter().all(|column| column.values.len() == table.rows));
    }

    #[test]
    fn runs_with_other_columns_stand_below_each_other() {
        let plain = History { rows: example().rows, ..History::default() };
        let table = joined(vec![("a".to_owned(), Wide::of(&plain)), ("b".to_owned(), Wide::of(&example()))]);
        assert_eq!((table.rows, table.columns[0].name.as_str()), (6, "run"));
        assert_eq!(numbers(&table, "exponent_1"), [None, None, None, None, Some(0.1 + 0.2), None]);
        let reversed = joined(vec![("b".to_owned(), Wide::of(&example())), ("a".to_owned(), Wide::of(&plain))]);
        assert_eq!(numbers(&reversed, "exponent_1"), [None, Some(0.1 + 0.2), None, None, None, None]);
        assert!(reversed.columns.iter().all(|column| column.values.len() == 6));
    }
}
