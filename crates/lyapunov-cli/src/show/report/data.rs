//! What the charts of a page are drawn from, as JSON inside the page.

use lyapunov::Quantity;
use serde::Serialize;

use super::{
    Shown,
    digest::{Digest, Estimate, Reading},
    fit::{self, Fit},
    keys::{Grid, groups, rule},
    series::{Curve, Edge, short},
};

/// Everything that charts are drawn from.
#[derive(Debug, Serialize)]
pub struct Data<'a> {
    /// Points of a curve at most.
    pub points: usize,
    /// Groups of runs that are alike but for η and seed.
    pub groups: Vec<Group>,
    /// The runs.
    pub runs: Vec<Drawn<'a>>,
    /// Two keys that form a grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<Axes<'a>>,
}

/// Runs that are alike but for η and seed.
#[derive(Debug, Serialize)]
pub struct Group {
    /// What they are.
    pub label: String,
    /// λ_max against η.
    #[serde(skip)]
    pub fit: Option<Fit>,
    /// The same as the page draws it: slope, intercept, smallest and largest η.
    line: Option<[f64; 4]>,
    /// The slope with its error, in words.
    slope: Option<String>,
}

impl Group {
    /// Runs of this name, with their fit.
    pub fn new(label: String, fit: Option<Fit>) -> Self {
        let line = fit.map(|fit| [fit.slope, fit.intercept, fit.range.0, fit.range.1].map(short));
        Self { label, fit, line, slope: fit.as_ref().map(slope_in_words) }
    }
}

/// One run as charts show it.
#[derive(Debug, Serialize)]
pub struct Drawn<'a> {
    name: &'a str,
    label: String,
    state: &'a str,
    group: usize,
    /// The rule that sets η, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    seed: u64,
    succeeded: bool,
    rate: Option<f64>,
    loss: Option<f64>,
    accuracy: Option<f64>,
    max: Option<Point>,
    min: Option<Point>,
    exponent: Option<Point>,
    edge: Option<Edge>,
    place: Option<[usize; 2]>,
    curves: &'a [Curve],
}

/// A number with its error or spread.
#[derive(Debug, Serialize)]
pub struct Point {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<String>,
}

/// The two keys of a grid, and their values.
#[derive(Debug, Serialize)]
pub struct Axes<'a> {
    keys: &'a [String; 2],
    values: &'a [Vec<String>; 2],
}

/// The groups of runs, by their names, each with its fit; and for every run the index of its group.
pub fn grouped(shown: &[Shown<'_>], differing: &[String]) -> (Vec<Group>, Vec<usize>) {
    let runs: Vec<_> = shown.iter().map(|shown| shown.run).collect();
    let labels = groups(&runs, differing);
    let mut names = labels.clone();
    names.sort();
    names.dedup();
    let of_run: Vec<usize> =
        labels.iter().map(|label| names.iter().position(|name| name == label).unwrap_or_default()).collect();
    let group = |(i, label): (usize, String)| {
        let members = shown.iter().zip(&of_run).filter(|(_, group)| **group == i).map(|(shown, _)| &shown.digest);
        Group::new(label, fit::of_runs(members))
    };
    (names.into_iter().enumerate().map(group).collect(), of_run)
}

/// A slope with its standard error, such as −0.93 ± 0.04.
pub fn slope_in_words(fit: &Fit) -> String {
    let slope = format!("{:.2}", fit.slope).replace('-', "−");
    match fit.std_error {
        Some(error) => format!("{slope} ± {error:.2}"),
        None => format!("{slope} (two points, no error)"),
    }
}

/// What charts of these runs are drawn from.
pub fn data<'a>(
    shown: &'a [Shown<'a>],
    groups: Vec<Group>,
    of_run: &[usize],
    grid: Option<&'a Grid>,
    labels: Vec<String>,
    points: usize,
) -> Data<'a> {
    let drawn = |((i, shown), label): ((usize, &'a Shown<'a>), String)| {
        drawn(shown, label, of_run[i], grid.map(|grid| grid.places[i]))
    };
    let axes = grid.map(|grid| Axes { keys: &grid.keys, values: &grid.values });
    Data { points, groups, runs: shown.iter().enumerate().zip(labels).map(drawn).collect(), grid: axes }
}

fn drawn<'a>(shown: &'a Shown<'a>, label: String, group: usize, place: Option<[usize; 2]>) -> Drawn<'a> {
    let digest: &Digest = &shown.digest;
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite()).map(short);
    Drawn {
        name: &digest.name,
        label,
        state: digest.state,
        group,
        rule: rule(shown.run),
        seed: digest.seed,
        succeeded: digest.succeeded(),
        rate: finite(digest.learning_rate),
        loss: finite(digest.train_loss),
        accuracy: finite(digest.test_accuracy),
        max: digest.reading(Quantity::LambdaMax).map(of_reading),
        min: digest.reading(Quantity::LambdaMin).map(of_reading),
        exponent: digest.exponent.as_ref().map(of_estimate),
        edge: shown.edge,
        place,
        curves: &shown.curves,
    }
}

fn of_reading(reading: &Reading) -> Point {
    let Reading { value, spread, learning_rate, on, .. } = reading;
    Point { value: short(*value), error: spread.map(short), rate: Some(short(*learning_rate)), on: Some(on.clone()) }
}

fn of_estimate(estimate: &Estimate) -> Point {
    Point { value: short(estimate.value), error: estimate.std_error.map(short), rate: None, on: None }
}

/// JSON that stands inside a `<script>` element: nothing in it can end the element.
pub fn embedded(data: &Data<'_>) -> String {
    let text = serde_json::to_string(data).expect("numbers and texts have a JSON form");
    text.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_reported_with_their_errors() {
        let fit = Fit { slope: -0.934, std_error: Some(0.041), intercept: 0.0, count: 5, range: (0.1, 1.0) };
        assert_eq!(slope_in_words(&fit), "−0.93 ± 0.04");
        assert_eq!(slope_in_words(&Fit { std_error: None, ..fit }), "−0.93 (two points, no error)");
    }
}
