//! What the picture of a run shows: the loss, the sharpness against the edge of stability, and the exponents.

use lyapunov::Quantity;
use lyapunov_runs::columns::quantity;

use super::{Band, Colour, Figure, LOW, Marker, Panel, Series, Stroke, Vertical};
use crate::store::{ExponentPoint, ExponentSeries, History, SharpnessSeries};

/// The texts of the picture that are not in the rows.
#[derive(Clone, Debug)]
pub struct Caption {
    /// The first line.
    pub title: String,
    /// The second line.
    pub subtitle: String,
    /// The step before which the run diverged, if it did.
    pub diverged_at: Option<u64>,
}

const BLUE: Colour = (38, 84, 140);
const ORANGE: Colour = (196, 92, 20);
const PURPLE: Colour = (120, 60, 140);
const GREEN: Colour = (30, 120, 90);
const PALE: Colour = (205, 221, 240);
const GREY: Colour = (120, 135, 155);

/// Curves with fewer points are shown as they are, without a smoothed one.
const SMOOTH_FROM: usize = 40;

/// The picture of a run.
pub fn run_figure(history: &History, caption: &Caption) -> Figure {
    let mut panels = vec![loss_panel(history)];
    panels.extend(rate_panel(history));
    // A sharpness in the metric of the optimizer has a scale of its own.
    let (preconditioned, plain): (Vec<_>, Vec<_>) =
        history.sharpness.iter().partition(|series| is_preconditioned(series));
    let moves = panels.len() > 1;
    panels.extend((moves && !plain.is_empty()).then(|| curvature_panel(&plain)));
    panels.extend((!plain.is_empty()).then(|| sharpness_panel("η·λ: the sharpness, in units of 1/η", &plain)));
    let title = "η·λ of P^-½ H P^-½: the preconditioned sharpness, in units of 1/η";
    panels.extend((!preconditioned.is_empty()).then(|| sharpness_panel(title, &preconditioned)));
    panels.extend((!history.exponents.is_empty()).then(|| exponents_panel(&history.exponents)));
    let event = |step: u64| (step as f64, format!("diverged at step {step}"));
    Figure {
        title: caption.title.clone(),
        subtitle: caption.subtitle.clone(),
        x_label: "training step".to_owned(),
        x_range: None,
        panel_height: LOW,
        panels,
        events: caption.diverged_at.map(event).into_iter().collect(),
    }
}

fn loss_panel(history: &History) -> Panel {
    let batch: Vec<_> = history.rows.iter().filter_map(|row| Some((row.step as f64, row.loss?))).collect();
    let test: Vec<_> = history.rows.iter().filter_map(|row| Some((row.step as f64, row.test_loss?))).collect();
    let mut series = Vec::new();
    let curve = |label: &str, points, colour, stroke, marker| Series {
        label: label.to_owned(),
        points,
        colour,
        stroke,
        marker,
    };
    if batch.len() >= SMOOTH_FROM {
        series.push(curve("", batch.clone(), BLUE, Stroke::Faint, None));
        series.push(curve("mini-batch", smoothed(&batch), BLUE, Stroke::Solid, None));
    } else if !batch.is_empty() {
        series.push(curve("mini-batch", batch, BLUE, Stroke::Solid, None));
    }
    if !test.is_empty() {
        series.push(curve("test images", test, ORANGE, Stroke::Dashed, Some(Marker::Square)));
    }
    Panel { title: "loss".to_owned(), series, ..Panel::default() }
}

/// The learning rate, where it moves.
fn rate_panel(history: &History) -> Option<Panel> {
    let rates: Vec<(f64, f64)> = history
        .rows
        .iter()
        .filter_map(|row| Some((row.step as f64, row.learning_rate.filter(|rate| *rate > 0.0)?)))
        .collect();
    let numbers = || rates.iter().map(|(_, rate)| *rate);
    let (least, most) = (numbers().fold(f64::INFINITY, f64::min), numbers().fold(0.0, f64::max));
    if most <= 1.001 * least {
        return None;
    }
    let floor = 10.0_f64.powf(least.max(1e-4 * most).log10().floor());
    let points = rates.iter().map(|(step, rate)| (*step, rate.max(floor))).collect();
    Some(Panel {
        title: "η: the learning rate".to_owned(),
        series: vec![Series { label: "η".to_owned(), points, colour: GREEN, stroke: Stroke::Solid, marker: None }],
        scale: Vertical::Logarithmic { floor },
        ..Panel::default()
    })
}

/// The sharpness itself, which η·λ alone does not show where η moves.
fn curvature_panel(measured: &[&SharpnessSeries]) -> Panel {
    let mut panel = sharpness_panel("λ: the sharpness", measured);
    for (series, measured) in panel.series.iter_mut().zip(measured) {
        let points = measured.points.iter().filter(|point| point.value > 0.0);
        series.points = points.map(|point| (point.step as f64, point.value)).collect();
    }
    let least =
        panel.series.iter().flat_map(|series| &series.points).map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    if least.is_finite() {
        panel.scale = Vertical::Logarithmic { floor: 10.0_f64.powf(least.log10().floor()) };
    }
    panel.thresholds.clear();
    panel
}

fn sharpness_panel(title: &str, measured: &[&SharpnessSeries]) -> Panel {
    let looks = [
        (BLUE, Stroke::Solid, Marker::Circle),
        (ORANGE, Stroke::Dashed, Marker::Square),
        (GREEN, Stroke::Dotted, Marker::Triangle),
        (PURPLE, Stroke::Dashed, Marker::Diamond),
    ];
    let series = measured.iter().zip(looks.into_iter().cycle()).map(|(measured, (colour, stroke, marker))| Series {
        label: sharpness_label(measured),
        points: measured.points.iter().map(|point| (point.step as f64, point.learning_rate * point.value)).collect(),
        colour,
        stroke,
        marker: Some(marker),
    });
    let edge = edge(measured);
    let one = edge.filter(|edge| *edge < 10.0).map(|_| (1.0, "1: 1/η".to_owned()));
    let edge = edge.map(|edge| (edge, format!("{}: the edge, {}/η", short(edge), short(edge))));
    Panel {
        title: title.to_owned(),
        series: series.collect(),
        thresholds: one.into_iter().chain(edge).collect(),
        ..Panel::default()
    }
}

/// The threshold of stability in units of 1/η, at the first measurement that it speaks of: a number of the optimizer,
/// up to the weight decay.
fn edge(measured: &[&SharpnessSeries]) -> Option<f64> {
    let points = measured.iter().flat_map(|series| &series.points);
    let mut known = points.filter_map(|point| Some(point.learning_rate * point.value / point.edge?));
    known.find(|edge| edge.is_finite() && *edge > 0.0)
}

/// A number without needless decimals.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The name of a sharpness on its data, as a reader would say it.
fn sharpness_label(measured: &SharpnessSeries) -> String {
    let on = match measured.on.split_once('=') {
        Some((_, size)) => format!("{size} images"),
        None if measured.on == "batch" => "mini-batch".to_owned(),
        None => "all images".to_owned(),
    };
    match quantity(&measured.quantity) {
        Some((_, words)) if words.quantity == Quantity::BatchSharpness => words.symbol.to_owned(),
        Some((_, words)) if words.quantity == Quantity::PreconditionedSharpness => on,
        Some((_, words)) => format!("{}, {on}", words.symbol),
        None => format!("{}, {on}", measured.quantity),
    }
}

/// Whether its edge is not 2/η.
fn is_preconditioned(series: &SharpnessSeries) -> bool {
    series.quantity == Quantity::PreconditionedSharpness.name()
}

/// The exponents so far with their errors, and behind them the local growth along the first.
fn exponents_panel(exponents: &[ExponentSeries]) -> Panel {
    const COLOURS: [Colour; 4] = [BLUE, ORANGE, GREEN, PURPLE];
    let mut series = Vec::new();
    if let Some(first) = exponents.first() {
        let points: Vec<_> = settled(&first.points).iter().filter_map(|p| Some((p.step as f64, p.local?))).collect();
        if points.len() >= SMOOTH_FROM {
            let (colour, stroke) = (GREY, Stroke::Thin);
            series.push(Series {
                label: "growth along Λ₁".to_owned(),
                points: smoothed(&points),
                colour,
                stroke,
                marker: None,
            });
        }
    }
    series.extend(exponents.iter().zip(1..).zip(COLOURS.into_iter().cycle()).map(|((one, number), colour)| Series {
        label: format!("Λ{}", subscript(number)),
        points: settled(&one.points).iter().filter_map(|p| Some((p.step as f64, p.value?))).collect(),
        colour,
        stroke: Stroke::Solid,
        marker: None,
    }));
    let band = |p: &ExponentPoint| Some((p.step as f64, p.value? - p.std_error?, p.value? + p.std_error?));
    let bands = exponents
        .iter()
        .map(|one| Band { points: sparse(settled(&one.points)).filter_map(band).collect(), colour: PALE });
    Panel {
        title: "Lyapunov exponents of the optimizer so far, per step, ± standard error".to_owned(),
        series,
        thresholds: vec![(0.0, "0".to_owned())],
        bands: bands.collect(),
        ..Panel::default()
    }
}

/// Without the first twentieth: means of a few steps say nothing, and would rule the axis.
fn settled(points: &[ExponentPoint]) -> &[ExponentPoint] {
    &points[points.len() / 20..]
}

/// At most some hundreds of the points: the edge of a band is smooth.
fn sparse(points: &[ExponentPoint]) -> impl Iterator<Item = &ExponentPoint> {
    points.iter().step_by(points.len().div_ceil(400).max(1))
}

/// A number in subscript digits.
fn subscript(number: usize) -> String {
    let digit = |d: char| d.to_digit(10).and_then(|d| char::from_u32(0x2080 + d)).unwrap_or(d);
    number.to_string().chars().map(digit).collect()
}

/// A fortieth of the points at a time: the median, which does not smear a spike over its neighbours as a mean does,
/// then the mean, which takes the steps out of the medians.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let values: Vec<f64> = points.iter().map(|(_, y)| *y).collect();
    let smooth = over_windows(&over_windows(&values, median), mean);
    points.iter().zip(smooth).map(|((x, _), y)| (*x, y)).collect()
}

/// The statistic of a window around each value, narrow at the start, where a loss falls fast, and one-sided at the end.
fn over_windows(values: &[f64], statistic: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let half = (values.len() / 80).max(2);
    let window = |i: usize| &values[i - half.min(i)..(i + half.min(i) + 1).min(values.len())];
    (0..values.len()).map(|i| statistic(window(i))).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    *sorted.select_nth_unstable_by(values.len() / 2, f64::total_cmp).1
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Row, SharpnessPoint};

    fn caption() -> Caption {
        Caption { title: "cnn on synthetic".to_owned(), subtitle: "η = 0.05".to_owned(), diverged_at: None }
    }

    fn history(steps: u64, loss: impl Fn(u64) -> f64) -> History {
        let row = |step| Row { step, loss: Some(loss(step)), ..Row::default() };
        let point = |step, value| SharpnessPoint {
            step,
            value,
            residual: Some(0.0),
            learning_rate: 0.1,
            edge: Some(value / 20.0),
            cost: 1.0,
        };
        let sharpness = |on: &str, value| SharpnessSeries {
            quantity: "lambda_max".to_owned(),
            on: on.to_owned(),
            product: "exact".to_owned(),
            points: (0..steps).map(|step| point(step, value)).collect(),
        };
        let exponent =
            |step| ExponentPoint { step, local: Some(0.2), value: Some(0.1), std_error: (step > 9).then_some(0.01) };
        History {
            rows: (0..steps).map(row).collect(),
            sharpness: vec![sharpness("batch", 12.0), sharpness("full", 9.0)],
            exponents: vec![ExponentSeries { points: (0..steps).map(exponent).collect() }],
            ..History::default()
        }
    }

    #[test]
    fn smoothing_keeps_a_straight_line_and_drops_a_spike() {
        let mut line: Vec<_> = (0..400).map(|i| (f64::from(i), 3.0 * f64::from(i))).collect();
        line[100].1 = 1e9;
        let smooth = smoothed(&line);
        assert_eq!(smooth[0], line[0]);
        for i in (0..390).filter(|i| !(85..115).contains(i)) {
            assert!((smooth[i].1 - line[i].1).abs() < 1e-9);
        }
        assert!(smooth.iter().all(|(x, y)| (y - 3.0 * x).abs() < 20.0));
    }

    #[test]
    fn a_picture_names_its_axes_curves_and_thresholds() {
        let svg = run_figure(&history(100, |step| 2.0 / (step + 1) as f64), &caption()).to_svg();
        for text in
            ["cnn on synthetic", "training step", "mini-batch", "λ_max, all images", "the edge, 2/η", "loss", "Λ₁"]
        {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_does_not_reach_the_picture() {
        let loss = |step| if step % 7 == 3 { f64::NAN } else { 1.0 };
        let svg = run_figure(&history(100, loss), &Caption { diverged_at: Some(100), ..caption() }).to_svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.contains("diverged at step 100"));
    }

    #[test]
    fn a_run_without_rows_has_a_picture() {
        let svg = run_figure(&History::default(), &Caption { diverged_at: Some(0), ..caption() }).to_svg();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn a_long_run_has_a_small_picture() {
        let svg = run_figure(&history(50_000, |step| 2.0 + (step % 10) as f64), &caption()).to_svg();
        assert!(svg.len() < 300_000, "{} bytes", svg.len());
    }
}
