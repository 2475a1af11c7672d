//! The pictures of the paper's claims: exponents over curvatures, errors over costs, sharpness over learning rates.

use crate::show::plot::{Band, Colour, Figure, Marker, Panel, Series, Stroke, Vertical};

const COLOURS: [Colour; 6] = [(38, 84, 140), (196, 92, 20), (30, 120, 90), (120, 60, 140), (90, 90, 90), (160, 40, 60)];
const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];
const GREY: Colour = (150, 156, 166);

/// The height of a panel among many, in points.
const SMALL: f64 = 150.0;

/// A quantity over learning rates.
pub struct RateCurve {
    /// What it belongs to.
    pub label: String,
    /// (η, the least, the mean and the largest over the seeds), η growing.
    pub points: Vec<(f64, [f64; 3])>,
}

/// Named panels of curves.
type Panels = [(String, Vec<RateCurve>)];

/// λ_max against 1/η in a panel per network, with the lines 1/η and 2/η.
pub fn edge_figure(panels: &Panels) -> Figure {
    let range = rates(panels, |rate| 1.0 / rate);
    let line = |multiple: f64, stroke| Series {
        label: format!("{multiple}/η"),
        points: [range.0, range.1].map(|x| (x, multiple * 10.0_f64.powf(x))).to_vec(),
        colour: GREY,
        stroke,
        marker: None,
    };
    let panel = |(network, curves): &(String, Vec<RateCurve>)| {
        let mut panel = drawn(network, curves, |rate| (1.0 / rate).log10());
        panel.series.extend([line(1.0, Stroke::Dotted), line(2.0, Stroke::Dashed)]);
        // Both lines are seen from end to end.
        if let Vertical::Logarithmic { floor: low } = &mut panel.scale {
            *low = low.min(floor([10.0_f64.powf(range.0)].into_iter()));
        }
        panel
    };
    Figure {
        title: "Sharpness and learning rate".to_owned(),
        subtitle:
            "λ_max of the mini-batch on the plateau of each run · points: means over the seeds · areas: from the \
            least to the largest"
                .to_owned(),
        x_label: "log₁₀ of 1/η".to_owned(),
        x_range: Some(range),
        panel_height: SMALL,
        panels: panels.iter().map(panel).collect(),
        events: Vec::new(),
    }
}

/// Λ₁/η over −λ_min against η, in a panel per kind of run; at 1 the claim holds.
pub fn exponent_ratio_figure(panels: &Panels) -> Figure {
    let panel = |(title, curves): &(String, Vec<RateCurve>)| {
        let mut panel = drawn(title, curves, f64::log10);
        panel.scale = Vertical::Automatic;
        panel.thresholds = vec![(1.0, "as claimed".to_owned())];
        panel
    };
    Figure {
        title: "The largest exponent over minus the smallest eigenvalue".to_owned(),
        subtitle: "Λ₁/η over −⟨λ_min⟩ · points: means over the seeds · areas: from the least to the largest".to_owned(),
        x_label: "log₁₀ of η".to_owned(),
        x_range: Some(rates(panels, |rate| rate)),
        panel_height: 2.0 * SMALL,
        panels: panels.iter().map(panel).collect(),
        events: Vec::new(),
    }
}

/// What one way to estimate costs and how far it is off.
pub struct EstimateCurve {
    /// The estimator.
    pub label: String,
    /// (g-eq per step, median relative error), the cost growing.
    pub points: Vec<(f64, f64)>,
}

/// Errors of λ_max against what they cost, in a panel per problem.
pub fn estimate_figure(panels: &[(String, Vec<EstimateCurve>)]) -> Figure {
    let points = || panels.iter().flat_map(|(_, curves)| curves).flat_map(|curve| &curve.points);
    let panel = |(problem, curves): &(String, Vec<EstimateCurve>)| Panel {
        title: problem.clone(),
        series: curves
            .iter()
            .enumerate()
            .map(|(i, curve)| Series {
                label: curve.label.clone(),
                points: curve.points.iter().map(|(cost, error)| (cost.log10(), *error)).collect(),
                colour: COLOURS[i % COLOURS.len()],
                stroke: Stroke::Solid,
                marker: Some(MARKERS[i % MARKERS.len()]),
            })
            .collect(),
        scale: Vertical::Logarithmic { floor: floor(curves.iter().flat_map(|curve| &curve.points).map(|(_, y)| *y)) },
        ..Panel::default()
    };
    Figure {
        title: "What an estimate of λ_max costs, and how far it is off".to_owned(),
        subtitle: "median of |estimate − reference| over |reference|, at the same weights of the same run".to_owned(),
        x_label: "log₁₀ of the gradient-equivalents per step of training".to_owned(),
        x_range: Some(ends(points().map(|(cost, _)| cost.log10()))),
        panel_height: SMALL,
        panels: panels.iter().map(panel).collect(),
        events: Vec::new(),
    }
}

/// Curves with the area between their least and their largest value.
fn drawn(title: &str, curves: &[RateCurve], place: impl Fn(f64) -> f64) -> Panel {
    let coloured = || curves.iter().enumerate().map(|(i, curve)| (i, COLOURS[i % COLOURS.len()], curve));
    let values = curves.iter().flat_map(|curve| &curve.points).flat_map(|(_, values)| *values);
    let sorted = |mut points: Vec<(f64, [f64; 3])>| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let placed = |curve: &RateCurve| sorted(curve.points.iter().map(|(rate, y)| (place(*rate), *y)).collect());
    Panel {
        title: title.to_owned(),
        bands: coloured()
            .map(|(_, colour, curve)| Band {
                points: placed(curve).into_iter().map(|(x, [least, _, most])| (x, least, most)).collect(),
                colour: pale(colour),
            })
            .collect(),
        series: coloured()
            .map(|(i, colour, curve)| Series {
                label: curve.label.clone(),
                points: placed(curve).into_iter().map(|(x, [_, mean, _])| (x, mean)).collect(),
                colour,
                stroke: Stroke::Solid,
                marker: Some(MARKERS[i % MARKERS.len()]),
            })
            .collect(),
        scale: Vertical::Logarithmic { floor: floor(values) },
        ..Panel::default()
    }
}

/// The decade below all of these.
fn floor(numbers: impl Iterator<Item = f64>) -> f64 {
    let least = numbers.filter(|number| *number > 0.0).fold(f64::INFINITY, f64::min);
    if least.is_finite() { 10.0_f64.powf(least.log10().floor()) } else { 0.1 }
}

fn rates(panels: &Panels, of: impl Fn(f64) -> f64) -> (f64, f64) {
    let rates = panels.iter().flat_map(|(_, curves)| curves).flat_map(|curve| &curve.points);
    ends(rates.map(|(rate, _)| of(*rate).log10()))
}

/// The ends of an axis that shows these.
fn ends(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = numbers
        .filter(|number| number.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    if low < high { (low, high) } else { (-3.0, 0.0) }
}

/// Nearly white.
fn pale((red, green, blue): Colour) -> Colour {
    let pale = |part: u8| 255 - (255 - part) / 6;
    (pale(red), pale(green), pale(blue))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(label: &str) -> RateCurve {
        let point = |rate: f64| (rate, [1.5 / rate, 2.0 / rate, 3.0 / rate]);
        RateCurve { label: label.to_owned(), points: [0.01, 0.1, 1.0].map(point).to_vec() }
    }

    #[test]
    fn a_panel_per_network_has_its_losses_and_both_lines() {
        let panels =
            [("mlp".to_owned(), vec![curve("huber"), curve("focal")]), ("cnn".to_owned(), vec![curve("huber")])];
        let figure = edge_figure(&panels);
        assert_eq!(figure.x_range, Some((0.0, 2.0)));
        let labels: Vec<&str> = figure.panels[0].series.iter().map(|series| series.label.as_str()).collect();
        assert_eq!(labels, ["huber", "focal", "1/η", "2/η"]);
        let first = &figure.panels[0];
        assert!(first.series[0].points.is_sorted_by(|a, b| a.0 <= b.0) && first.bands.len() == 2);
        assert!((first.series[3].points[1].1 - 200.0).abs() < 1e-9);
        let svg = figure.to_svg();
        assert!(svg.contains("cnn") && !svg.contains("NaN"));
    }

    #[test]
    fn pictures_of_one_point_and_of_none_are_whole() {
        let one = RateCurve { label: "a".to_owned(), points: vec![(0.1, [0.5, 1.0, 1.0])] };
        assert!(!exponent_ratio_figure(&[("frozen".to_owned(), vec![one])]).to_svg().contains("NaN"));
        let estimates = EstimateCurve { label: "bursts".to_owned(), points: vec![(0.1, 0.01), (1.0, 0.0)] };
        assert!(!estimate_figure(&[("mlp".to_owned(), vec![estimates])]).to_svg().contains("NaN"));
        assert!(!edge_figure(&[]).to_svg().contains("NaN"));
    }
}
