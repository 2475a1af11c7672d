//! What the picture of a spectrum shows: the density of the eigenvalues over decades, with its error.

use crate::measure::found::Spectrum;
use crate::show::plot::{Band, Colour, Figure, Panel, Series, Stroke, TALL, Vertical};

const BLUE: Colour = (38, 84, 140);
const PALE: Colour = (205, 221, 240);

/// The texts of the picture, and the learning rate that its threshold comes from.
#[derive(Clone, Debug)]
pub struct DensityCaption {
    /// The first line.
    pub title: String,
    /// The second line.
    pub subtitle: String,
    /// η.
    pub learning_rate: Option<f64>,
    /// The number of eigenvalues.
    pub dimension: usize,
}

/// The picture of a spectrum.
pub fn density_figure(spectrum: &Spectrum, caption: &DensityCaption) -> Figure {
    let Spectrum { eigenvalue, width, found, .. } = spectrum;
    // A lone eigenvalue, spread over the width, is this high at its place.
    let lone = 1.0 / (caption.dimension as f64 * width * std::f64::consts::TAU.sqrt());
    let floor = 0.1 * lone;
    let errors = found.error.size();
    let curve = Series {
        label: "density".to_owned(),
        points: from_floor(eigenvalue.iter().copied().zip(found.value.iter().copied()), floor),
        colour: BLUE,
        stroke: Stroke::Solid,
        marker: None,
    };
    let band = |(x, (y, error)): (&f64, (&f64, &f64))| (*x, (y - error).max(floor), (y + error).max(floor));
    let panel = Panel {
        title: "share of eigenvalues per unit, ± standard error".to_owned(),
        series: vec![curve],
        thresholds: vec![(lone, "a lone eigenvalue".to_owned())],
        bands: vec![Band {
            points: eigenvalue.iter().zip(found.value.iter().zip(errors)).map(band).collect(),
            colour: PALE,
        }],
        scale: Vertical::Logarithmic { floor },
    };
    let edge = caption.learning_rate.map(|rate| 2.0 / rate);
    let shown = edge.filter(|edge| eigenvalue.last().is_some_and(|last| edge < last));
    Figure {
        title: caption.title.clone(),
        subtitle: caption.subtitle.clone(),
        x_label: "eigenvalue of the Hessian".to_owned(),
        x_range: eigenvalue.first().copied().zip(eigenvalue.last().copied()),
        panel_height: TALL,
        panels: vec![panel],
        events: shown.map(|edge| (edge, format!("the edge, 2/η = {edge:.1}"))).into_iter().collect(),
    }
}

/// The curve down to the floor of the panel, and broken where it runs below.
fn from_floor(points: impl Iterator<Item = (f64, f64)>, floor: f64) -> Vec<(f64, f64)> {
    let points: Vec<_> = points.collect();
    let below = |i: usize| points.get(i).is_none_or(|(_, y)| *y <= floor);
    let place = |i: usize| match points[i] {
        (x, _) if below(i) && below(i + 1) && (i == 0 || below(i - 1)) => (x, f64::NAN),
        (x, y) => (x, y.max(floor)),
    };
    (0..points.len()).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::found::{Measured, Uncertainty};

    fn spectrum() -> Spectrum {
        let eigenvalue: Vec<f64> = (-20..=120).map(|i| f64::from(i) / 4.0).collect();
        // A bulk at 0, an outlier at 25, and nothing between.
        let bump = |x: f64, at: f64| (-0.5 * (x - at).powi(2)).exp() / std::f64::consts::TAU.sqrt();
        let value: Vec<f64> = eigenvalue.iter().map(|x| 0.999 * bump(*x, 0.0) + 0.001 * bump(*x, 25.0)).collect();
        let errors = value.iter().map(|y| 0.2 * y).collect();
        let found = Measured {
            value,
            error: Uncertainty::StdError(errors),
            cost: 1.0,
            products: 1,
            product: "exact",
            on: "full".to_owned(),
            converged: None,
            wall_seconds: 1.0,
        };
        Spectrum { eigenvalue, width: 1.0, mean: 0.025, mean_std_error: 0.001, found }
    }

    fn svg(learning_rate: f64) -> String {
        let caption = DensityCaption {
            title: "Spectrum of the cnn".to_owned(),
            subtitle: "1,000 weights".to_owned(),
            learning_rate: Some(learning_rate),
            dimension: 1000,
        };
        density_figure(&spectrum(), &caption).to_svg()
    }

    #[test]
    fn the_picture_names_its_axes_and_shows_the_edge_where_it_lies_inside() {
        let picture = svg(0.1);
        for text in ["Spectrum of the cnn", "eigenvalue of the Hessian", "a lone eigenvalue", "the edge, 2/η = 20.0"] {
            assert!(picture.contains(text), "{text}");
        }
        assert!(!svg(0.01).contains("the edge"), "2/η = 200 lies outside");
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }

    #[test]
    fn a_curve_meets_the_floor_and_breaks_below_it() {
        let curve = from_floor([(0.0, 0.1), (1.0, 0.1), (2.0, 5.0), (3.0, -1.0), (4.0, 0.0)].into_iter(), 1.0);
        assert!(curve[0].1.is_nan() && curve[4].1.is_nan());
        assert_eq!(curve[1..4], [(1.0, 1.0), (2.0, 5.0), (3.0, 1.0)]);
    }

    #[test]
    fn negative_eigenvalues_have_ticks() {
        assert!(svg(0.1).contains("−5"));
    }
}
