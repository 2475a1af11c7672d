//! What the picture of two runs shows: how far they are apart, and on how many images they disagree.

use lyapunov::TwinRow;

use crate::show::plot::{Colour, Figure, LOW, Panel, Series, Stroke, Vertical};

const BLUE: Colour = (38, 84, 140);
const ORANGE: Colour = (196, 92, 20);
const GREEN: Colour = (30, 120, 90);

/// The texts of the picture.
#[derive(Clone, Debug)]
pub struct TwinCaption {
    /// The first line.
    pub title: String,
    /// The second line.
    pub subtitle: String,
}

/// The picture of two runs.
pub fn twin_figure(rows: &[TwinRow], caption: &TwinCaption) -> Figure {
    let curve = |label: &str, colour, stroke, value: &dyn Fn(&TwinRow) -> Option<f64>| Series {
        label: label.to_owned(),
        points: rows.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect(),
        colour,
        stroke,
        marker: None,
    };
    // The floor of the logarithmic axes: the decade below the smallest value.
    let floor = |value: &dyn Fn(&TwinRow) -> Option<f64>| {
        let least = rows.iter().filter_map(value).filter(|x| *x > 0.0).fold(1.0, f64::min);
        10.0_f64.powf(least.log10().floor())
    };
    let distance = |row: &TwinRow| (row.distance > 0.0).then_some(row.distance);
    let gap = |row: &TwinRow| Some((row.losses[0] - row.losses[1]).abs()).filter(|gap| *gap > 0.0);
    let disagreement = |row: &TwinRow| row.disagreement.map(|share| 100.0 * share);
    let panel = |title: &str, series, scale| Panel { title: title.to_owned(), series, scale, ..Panel::default() };
    let logarithmic = |value: &dyn Fn(&TwinRow) -> Option<f64>| Vertical::Logarithmic { floor: floor(value) };
    Figure {
        title: caption.title.clone(),
        subtitle: caption.subtitle.clone(),
        x_label: "training step".to_owned(),
        x_range: None,
        panel_height: LOW,
        panels: vec![
            panel(
                "distance of the weights over their norm",
                vec![curve("‖w − w'‖/‖w‖", BLUE, Stroke::Solid, &distance)],
                logarithmic(&distance),
            ),
            panel(
                "difference of the losses on the mini-batch",
                vec![curve("|L − L'|", GREEN, Stroke::Thin, &gap)],
                logarithmic(&gap),
            ),
            panel(
                "test images on which they disagree, %",
                vec![curve("disagreement", ORANGE, Stroke::Solid, &disagreement)],
                Vertical::Exactly(0.0, rows.iter().filter_map(disagreement).fold(1.0, f64::max)),
            ),
        ],
        events: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_that_never_part_have_a_picture_too() {
        let caption = TwinCaption { title: "Two runs".to_owned(), subtitle: String::new() };
        let row = |step| TwinRow { step, distance: 0.0, losses: [1.0, 1.0], disagreement: None };
        let svg = twin_figure(&(0..5).map(row).collect::<Vec<_>>(), &caption).to_svg();
        assert!(svg.contains("distance of the weights") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}
