//! The curves of a run as a page holds them: in few points that keep every spike, in short numbers.

use lyapunov::Quantity;
use lyapunov_runs::columns::{Recorded, quantity};
use serde::Serialize;

use crate::store::{ExponentSeries, History, Row, SharpnessSeries};

/// Points of a curve, unless a page would grow too large.
pub const POINTS: usize = 300;

/// No curve is thinned below this.
const FEWEST: usize = 40;

/// Points of all curves of a page together; each takes about ten bytes.
const ALL: usize = 1_500_000;

/// Curves of a run, about.
const CURVES: usize = 8;

/// Exponents that are drawn, the largest.
const EXPONENTS: usize = 8;

/// One curve, in the panel that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    /// `loss`, `accuracy`, `rate`, `sharpness`, `preconditioned`, `exponents` or `cost`.
    pub panel: &'static str,
    /// What it is called beside others in its panel.
    pub label: String,
    /// The steps, each as its distance from the one before.
    pub x: Vec<u64>,
    /// The values.
    pub y: Vec<f64>,
    /// Their standard errors, where they have some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub e: Vec<f64>,
}

/// A threshold of stability in a panel, times η.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// The panel.
    pub panel: &'static str,
    /// The sharpness at the edge, times η.
    pub at: f64,
}

/// How many points a curve may have on a page of so many runs.
pub fn points_for(runs: usize) -> usize {
    (ALL / (runs.max(1) * CURVES)).clamp(FEWEST, POINTS)
}

/// The curves of a run: of what was recorded, and of nothing else.
pub fn curves(history: &History, points: usize) -> Vec<Curve> {
    let rows = &history.rows;
    let of_rows = |panel, label: &str, value: fn(&Row) -> Option<f64>| {
        let known = rows.iter().filter_map(|row| Some((row.step, value(row)?, None)));
        curve(panel, label.to_owned(), known, points)
    };
    let drawn = Row::COLUMNS.iter().filter_map(|column| Some((column.curve?, column.value)));
    let mut found: Vec<Curve> = drawn.map(|((panel, label), value)| of_rows(panel, label, value)).collect();
    let mut measured: Vec<&SharpnessSeries> = history.sharpness.iter().collect();
    measured.sort_by_key(|series| rank(&series.quantity));
    found.extend(measured.into_iter().map(|series| sharpness(series, &history.sharpness, points)));
    let exponents = history.exponents.iter().take(EXPONENTS).zip(1..);
    found.extend(exponents.map(|(series, number)| exponent(series, number, points)));
    found.push(of_rows("cost", "measuring", |row| {
        row.measuring_cost.filter(|cost| row.step > 0 && *cost > 0.0).map(|cost| cost / row.step as f64)
    }));
    found.retain(|curve| !curve.y.is_empty());
    found
}

/// Where the edge of stability is: known where a sharpness was recorded as a share of it.
pub fn edge(history: &History) -> Option<Edge> {
    let at = |series: &SharpnessSeries| {
        let shares = series.points.iter().filter_map(|point| Some(point.learning_rate * point.value / point.edge?));
        let mut known: Vec<f64> = shares.filter(|at| at.is_finite() && *at > 0.0).collect();
        known.sort_by(f64::total_cmp);
        let at = short(*known.get(known.len() / 2)?);
        Some(Edge { panel: panel_of(&series.quantity), at })
    };
    history.sharpness.iter().find_map(at)
}

/// The order in which quantities are shown; unknown ones come last.
pub fn rank(name: &str) -> usize {
    quantity(name).map_or(usize::MAX, |(place, _)| place)
}

fn panel_of(name: &str) -> &'static str {
    quantity(name).map_or("sharpness", |(_, words)| words.panel)
}

fn sharpness(series: &SharpnessSeries, all: &[SharpnessSeries], points: usize) -> Curve {
    let symbol = quantity(&series.quantity).map_or(series.quantity.as_str(), |(_, words)| words.scaled);
    let several = all.iter().filter(|other| other.quantity == series.quantity).count() > 1;
    let label = if several { format!("{symbol}, {}", series.on) } else { symbol.to_owned() };
    let value = |value: f64| if series.quantity == Quantity::LambdaMin.name() { value.abs() } else { value };
    let known = series.points.iter().map(|point| (point.step, value(point.value) * point.learning_rate, None));
    curve(panel_of(&series.quantity), label, known, points)
}

fn exponent(series: &ExponentSeries, number: usize, points: usize) -> Curve {
    let known = series.points.iter().filter_map(|point| {
        let error = point.std_error.filter(|error| error.is_finite());
        Some((point.step, point.value?, error))
    });
    curve("exponents", format!("Λ_{number}"), known, points)
}

/// A point: the step, the value and its standard error.
type Point = (u64, f64, Option<f64>);

fn curve(panel: &'static str, label: String, known: impl Iterator<Item = Point>, points: usize) -> Curve {
    let known: Vec<Point> = known.filter(|(_, y, _)| y.is_finite()).collect();
    let kept = if known.windows(2).all(|pair| pair[0].1 == pair[1].1) { ends(&known) } else { thinned(&known, points) };
    let steps = std::iter::once(0).chain(kept.iter().map(|point| point.0));
    let x = kept.iter().zip(steps).map(|(point, before)| point.0 - before).collect();
    let e = if kept.iter().any(|point| point.2.is_some()) {
        kept.iter().map(|point| short(point.2.unwrap_or(0.0))).collect()
    } else {
        Vec::new()
    };
    Curve { panel, label, x, y: kept.iter().map(|point| short(point.1)).collect(), e }
}

/// What does not change is known by its ends.
fn ends(known: &[Point]) -> Vec<Point> {
    match known {
        [first, .., last] => vec![*first, *last],
        few => few.to_vec(),
    }
}

/// The first and the last point, and the smallest and the largest of every stretch between.
fn thinned(known: &[Point], points: usize) -> Vec<Point> {
    if known.len() <= points {
        return known.to_vec();
    }
    let stretches = (points - 2) / 2;
    let inner = &known[1..known.len() - 1];
    let mut kept = vec![known[0]];
    for stretch in 0..stretches {
        let part = &inner[stretch * inner.len() / stretches..(stretch + 1) * inner.len() / stretches];
        let extreme = |larger: bool| {
            let order = |a: &&Point, b: &&Point| if larger { a.1.total_cmp(&b.1) } else { b.1.total_cmp(&a.1) };
            part.iter().max_by(order)
        };
        let mut both: Vec<&Point> = extreme(false).into_iter().chain(extreme(true)).collect();
        both.sort_by_key(|point| point.0);
        both.dedup_by_key(|point| point.0);
        kept.extend(both);
    }
    kept.push(known[known.len() - 1]);
    kept
}

/// A number in five significant digits.
pub fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let place = 4 - value.abs().log10().floor() as i32;
    // Dividing by a whole power of ten, where there is one, ends in the nearest number of few digits.
    if place > 0 && place < 23 {
        let scale = 10_f64.powi(place);
        (value * scale).round() / scale
    } else {
        format!("{value:.4e}").parse().unwrap_or(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_survives_thinning_and_the_order_is_kept() {
        let known: Vec<Point> =
            (0..10_000).map(|step| (step, if step == 6_789 { 50.0 } else { (step % 7) as f64 }, None)).collect();
        let kept = thinned(&known, 300);
        assert!(kept.len() <= 300, "{}", kept.len());
        assert!(kept.contains(&(6_789, 50.0, None)));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!((kept[0].0, kept[kept.len() - 1].0), (0, 9_999));
    }

    #[test]
    fn steps_are_distances_and_what_does_not_change_is_its_ends() {
        let found = curve(
            "loss",
            String::new(),
            [(3, 1.0, None), (5, 2.0, None), (6, f64::NAN, None), (9, 0.5, None)].into_iter(),
            300,
        );
        assert_eq!((found.x, found.y, found.e), (vec![3, 2, 4], vec![1.0, 2.0, 0.5], vec![]));
        let flat = curve("rate", String::new(), (0..100).map(|step| (step, 0.1, None)), 300);
        assert_eq!((flat.x, flat.y), (vec![0, 99], vec![0.1, 0.1]));
    }

    #[test]
    fn numbers_have_five_digits() {
        let texts = [1.0 / 3.0, -123_456.7, 1.234_567e-9, 0.0, 0.1, 99_999.96].map(|value| short(value).to_string());
        assert_eq!(texts, ["0.33333", "-123460", "0.0000000012346", "0", "0.1", "100000"]);
    }

    #[test]
    fn only_what_was_recorded_has_a_curve() {
        let rows = vec![Row { step: 0, loss: Some(1.0), ..Row::default() }];
        let found = curves(&History { rows, ..History::default() }, 300);
        assert_eq!(found.iter().map(|curve| curve.panel).collect::<Vec<_>>(), ["loss"]);
    }

    #[test]
    fn a_page_of_many_runs_holds_fewer_points_of_each() {
        assert_eq!((points_for(1), points_for(500), points_for(100_000)), (300, 300, 40));
        assert!(points_for(1000) < 300);
    }
}
