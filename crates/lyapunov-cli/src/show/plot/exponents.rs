//! What the pictures of exponents show: running estimates, a spectrum, a curve over a parameter.

use lyapunov::Exponents;

use super::{Band, Colour, Figure, LOW, Marker, Panel, Series, Stroke, TALL, Vertical};

const COLOURS: [Colour; 6] =
    [(38, 84, 140), (196, 92, 20), (30, 120, 90), (120, 60, 140), (150, 40, 60), (90, 100, 30)];
const ORDER: Colour = (205, 221, 240);
const CHAOS: Colour = (248, 214, 186);

/// Up to so many exponents have a panel each.
const MOST_PANELS: usize = 4;

/// The part of a running estimate that is too wild to show.
const WILD: f64 = 0.03;

/// Running estimates with their error bands, and the known values.
pub fn running_figure(title: String, subtitle: String, history: &[Exponents], known: &[f64]) -> Figure {
    let count = history.last().map_or(0, |last| last.values.len());
    let each: Vec<Panel> = (0..count).map(|i| running_panel(history, i, known.get(i).copied())).collect();
    let panels = if count <= MOST_PANELS { each } else { vec![together(each)] };
    let panel_height = if panels.len() == 1 { TALL } else { LOW };
    Figure { title, subtitle, x_label: "step".to_owned(), x_range: None, panel_height, panels, events: Vec::new() }
}

fn running_panel(history: &[Exponents], i: usize, known: Option<f64>) -> Panel {
    let end = history.last().map_or(0, |last| last.steps) as f64;
    let calm: Vec<&Exponents> = history
        .iter()
        .filter(|at| at.steps as f64 >= WILD * end && at.values[i].is_finite() && at.std_errors[i].is_finite())
        .collect();
    let colour = COLOURS[i % COLOURS.len()];
    let band = |at: &&Exponents| (at.steps as f64, at.values[i] - at.std_errors[i], at.values[i] + at.std_errors[i]);
    let curve = Series {
        label: format!("Λ{}", i + 1),
        points: calm.iter().map(|at| (at.steps as f64, at.values[i])).collect(),
        colour,
        stroke: Stroke::Solid,
        marker: None,
    };
    let last = calm.last().map(|at| format!(": {:.4} ± {:.4}", at.values[i], at.std_errors[i])).unwrap_or_default();
    let points: Vec<_> = calm.iter().map(band).collect();
    Panel {
        title: format!("Λ{}{}", i + 1, last.replace('-', "−")),
        series: vec![curve],
        thresholds: known
            .filter(|value| value.is_finite())
            .map(|value| (value, "literature".to_owned()))
            .into_iter()
            .collect(),
        scale: around(&points, known),
        bands: vec![Band { points, colour: tint(colour) }],
    }
}

/// All curves in one panel.
fn together(panels: Vec<Panel>) -> Panel {
    let mut all = Panel { title: "running estimates ± standard error".to_owned(), ..Panel::default() };
    for panel in panels {
        all.series.extend(panel.series);
        all.bands.extend(panel.bands);
    }
    all
}

/// The spectrum Λ_i over i, with its errors and the known values.
pub fn spectrum_figure(title: String, subtitle: String, found: &Exponents, known: &[f64]) -> Figure {
    let points = |values: &[f64]| values.iter().enumerate().map(|(i, value)| ((i + 1) as f64, *value)).collect();
    let curve = |label: &str, points, colour, stroke, marker| Series {
        label: label.to_owned(),
        points,
        colour,
        stroke,
        marker: Some(marker),
    };
    let mut series = vec![curve("measured", points(&found.values), COLOURS[0], Stroke::Thin, Marker::Circle)];
    if !known.is_empty() {
        series.push(curve("literature", points(known), COLOURS[1], Stroke::Dotted, Marker::Square));
    }
    let band = |(i, (value, error)): (usize, (&f64, &f64))| ((i + 1) as f64, value - error, value + error);
    let bands = found.values.iter().zip(&found.std_errors).enumerate().map(band).collect();
    let dimension =
        found.kaplan_yorke.map(|d| format!(" · Kaplan–Yorke dimension {:.3} ± {:.3}", d.value, d.std_error));
    Figure {
        title,
        subtitle: subtitle + &dimension.unwrap_or_default(),
        x_label: "i".to_owned(),
        x_range: Some((0.0, found.values.len() as f64 + 1.0)),
        panel_height: TALL,
        panels: vec![Panel {
            title: "Λ_i".to_owned(),
            series,
            thresholds: vec![(0.0, "0".to_owned())],
            bands: vec![Band { points: bands, colour: tint(COLOURS[0]) }],
            scale: Vertical::Automatic,
        }],
        events: Vec::new(),
    }
}

/// The exponents over a parameter: order filled below zero, chaos above. Where the system diverges there are none.
pub fn curve_figure(title: String, subtitle: String, parameter: &str, points: &[(f64, Vec<f64>)]) -> Figure {
    let count = points.iter().map(|(_, values)| values.len()).max().unwrap_or(0).min(COLOURS.len());
    let of = |i: usize| points.iter().map(move |(x, values)| (*x, values.get(i).copied().unwrap_or(f64::NAN)));
    let (low, high) = range(&(0..count).map(|i| of(i).map(|(_, y)| y).collect()).collect::<Vec<Vec<f64>>>());
    let dense = points.len() > 200;
    let series = (0..count).map(|i| Series {
        label: format!("Λ{}", i + 1),
        points: of(i).map(|(x, y)| (x, if i > 0 && y < low || y.is_nan() { f64::NAN } else { y.max(low) })).collect(),
        colour: COLOURS[i],
        stroke: if i == 0 || dense { Stroke::Thin } else { Stroke::Dotted },
        marker: None,
    });
    let ends = [points.first(), points.last()].map(|end| end.map_or(0.0, |(x, _)| *x));
    let fill = |colour, side: fn(f64) -> f64| Band {
        points: of(0).map(|(x, y)| (x, 0.0, if y.is_nan() { 0.0 } else { side(y.clamp(low, high)) })).collect(),
        colour,
    };
    Figure {
        title,
        subtitle,
        x_label: parameter.to_owned(),
        x_range: Some((ends[0].min(ends[1]), ends[0].max(ends[1]))),
        panel_height: TALL,
        panels: vec![Panel {
            title: "instability above zero, stability below".to_owned(),
            series: series.collect(),
            thresholds: vec![(0.0, "0".to_owned())],
            bands: vec![fill(ORDER, |y| y.min(0.0)), fill(CHAOS, |y| y.max(0.0))],
            scale: Vertical::Exactly(low, high),
        }],
        events: Vec::new(),
    }
}

/// The range that shows the largest exponent, and those whose usual values are not far below it. Superstable parameters
/// reach down to −∞: shown is what lies above zero, and as deep below as twice that height or most of the points go.
fn range(curves: &[Vec<f64>]) -> (f64, f64) {
    let mut sorted: Vec<Vec<f64>> =
        curves.iter().map(|curve| curve.iter().copied().filter(|value| value.is_finite()).collect()).collect();
    sorted.retain(|curve: &Vec<f64>| !curve.is_empty());
    for curve in &mut sorted {
        curve.sort_by(f64::total_cmp);
    }
    let Some(first) = sorted.first() else { return (-1.0, 1.0) };
    let most = first[first.len() - 1].max(0.0);
    let mut low = first[0].max(first[first.len() / 20].min(-2.0 * most)).min(0.0);
    let floor = low - 2.0 * (most - low).max(1e-3);
    for curve in sorted.iter().filter(|curve| curve[curve.len() / 2] > floor) {
        low = low.min(curve[curve.len() / 20].max(floor));
    }
    let room = 0.08 * (most - low).max(1e-3);
    (low - room, most + room)
}

/// The ends of an axis around a running estimate: all of the band, and never less than a hundredth of the value, so
/// that rounding does not look like news.
fn around(band: &[(f64, f64, f64)], known: Option<f64>) -> Vertical {
    let Some(last) = band.last() else { return Vertical::Automatic };
    let centre = f64::midpoint(last.1, last.2);
    let numbers = band.iter().flat_map(|(_, low, high)| [*low, *high]).chain(known.filter(|value| value.is_finite()));
    let reach = numbers.fold(0.01 * centre.abs().max(0.01), |reach: f64, y| reach.max((y - centre).abs()));
    Vertical::Exactly(centre - 1.1 * reach, centre + 1.1 * reach)
}

fn tint((red, green, blue): Colour) -> Colour {
    let tint = |part: u8| 255 - (255 - part) / 5;
    (tint(red), tint(green), tint(blue))
}
