//! What the picture of the experiment shows: exponents at frozen and at moving weights beside what explains them.

use crate::measure::verify::{Moving, Report};
use crate::show::plot::{Colour, Figure, LOW, Marker, Panel, Series, Stroke, Vertical};

const BLUE: Colour = (38, 84, 140);
const ORANGE: Colour = (196, 92, 20);
const GREEN: Colour = (30, 120, 90);

/// The ratios that are drawn.
const RATIOS: (f64, f64) = (0.0, 1.5);

/// The picture of the experiment, under title and subtitle.
pub fn verify_figure(report: &Report, (title, subtitle): &(String, String)) -> Figure {
    let curve = |label: &str, points: Vec<(f64, f64)>, colour, stroke, marker| Series {
        label: label.to_owned(),
        points,
        colour,
        stroke,
        marker: Some(marker),
    };
    let frozen = |value: fn(&crate::measure::verify::Frozen) -> f64| {
        report.frozen.iter().map(|row| (row.scaled.log10(), value(row))).collect::<Vec<_>>()
    };
    let moving = |value: fn(&Moving) -> Option<f64>| {
        // A ratio far outside breaks its curve.
        let shown = |ratio: f64| if (RATIOS.0..RATIOS.1).contains(&ratio) { ratio } else { f64::NAN };
        report.moving.iter().filter_map(|row| Some((row.scaled.log10(), shown(value(row)?)))).collect::<Vec<_>>()
    };
    let x = report.frozen.iter().map(|row| row.scaled.log10());
    let ends = x.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    Figure {
        title: title.clone(),
        subtitle: subtitle.clone(),
        x_label: "log₁₀ η·λ_max".to_owned(),
        x_range: Some(ends),
        panel_height: LOW,
        panels: vec![
            Panel {
                title: "frozen weights: exponent per step".to_owned(),
                series: vec![
                    curve("Λ", frozen(|row| row.exponent), BLUE, Stroke::Solid, Marker::Circle),
                    curve("max ln|1 − ηλᵢ|", frozen(|row| row.exact), ORANGE, Stroke::Dashed, Marker::Square),
                ],
                scale: Vertical::Logarithmic { floor: 1e-4 },
                ..Panel::default()
            },
            Panel {
                title: "moving weights: exponent per unit of training time, over what should explain it".to_owned(),
                series: vec![
                    curve("Λ/η ÷ −⟨λ_min⟩", moving(Moving::claim), ORANGE, Stroke::Dashed, Marker::Square),
                    curve("Λ/η ÷ −⟨vᵀHv⟩", moving(Moving::identity), GREEN, Stroke::Dotted, Marker::Triangle),
                ],
                thresholds: vec![(1.0, "1: explained".to_owned())],
                scale: Vertical::Exactly(RATIOS.0, RATIOS.1),
                ..Panel::default()
            },
        ],
        events: Vec::new(),
    }
}
