//! What the picture of a run shows: the loss, and η·λ_max against its thresholds.

use super::{Colour, Figure, LOW, Marker, Panel, Series, Stroke};
use crate::store::{History, SharpnessSeries};

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

/// Curves with fewer points are shown as they are, without a smoothed one.
const SMOOTH_FROM: usize = 40;

/// The picture of a run.
pub fn run_figure(history: &History, caption: &Caption) -> Figure {
    let mut panels = vec![loss_panel(history)];
    if !history.sharpness.is_empty() {
        panels.push(sharpness_panel(&history.sharpness));
    }
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

fn sharpness_panel(measured: &[SharpnessSeries]) -> Panel {
    let looks = [
        (BLUE, Stroke::Solid, Marker::Circle),
        (ORANGE, Stroke::Dashed, Marker::Square),
        (GREEN, Stroke::Dotted, Marker::Triangle),
        (PURPLE, Stroke::Dashed, Marker::Diamond),
    ];
    let series = measured.iter().zip(looks.into_iter().cycle()).map(|(measured, (colour, stroke, marker))| Series {
        label: target_label(&measured.on),
        points: measured.points.iter().map(|(step, value, rate)| (*step as f64, rate * value)).collect(),
        colour,
        stroke,
        marker: Some(marker),
    });
    Panel {
        title: "η·λ_max: the sharpness, in units of 1/η".to_owned(),
        series: series.collect(),
        thresholds: vec![(1.0, "1: λ_max = 1/η".to_owned()), (2.0, "2: the edge, 2/η".to_owned())],
        ..Panel::default()
    }
}

/// The name of a target as a reader would say it.
fn target_label(on: &str) -> String {
    match on.split_once('=') {
        Some((_, size)) => format!("{size} images"),
        None if on == "batch" => "mini-batch".to_owned(),
        None => "all images".to_owned(),
    }
}

/// A fortieth of the points at a time: the median, which does not smear a spike over its neighbours as a mean does, then
/// the mean, which takes the steps out of the medians.
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
    use crate::store::Row;

    fn caption() -> Caption {
        Caption { title: "cnn on synthetic".to_owned(), subtitle: "η = 0.05".to_owned(), diverged_at: None }
    }

    fn history(steps: u64, loss: impl Fn(u64) -> f64) -> History {
        let row = |step| Row { step, loss: Some(loss(step)), test_loss: None };
        let sharpness = |on: &str, value| SharpnessSeries {
            on: on.to_owned(),
            product: "exact".to_owned(),
            points: (0..steps).map(|step| (step, value, 0.1)).collect(),
        };
        History {
            rows: (0..steps).map(row).collect(),
            sharpness: vec![sharpness("batch", 12.0), sharpness("full", 9.0)],
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
        for text in ["cnn on synthetic", "training step", "mini-batch", "all images", "the edge, 2/η", "loss"] {
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
