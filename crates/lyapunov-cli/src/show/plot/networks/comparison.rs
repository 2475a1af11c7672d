//! What the picture of a comparison shows: the final loss of each reference against its learning rate, and the rules
//! beside it.

use crate::compare::{Comparison, Line};
use crate::show::plot::{Colour, Figure, LOW, Marker, Panel, Series, Stroke, Vertical};

const COLOURS: [Colour; 6] = [(38, 84, 140), (196, 92, 20), (30, 120, 90), (120, 60, 140), (90, 90, 90), (160, 40, 60)];
const STROKES: [Stroke; 3] = [Stroke::Solid, Stroke::Dashed, Stroke::Dotted];
const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];

/// Losses above so many times the least one would press all others together, and are left out.
const WORST: f64 = 100.0;

/// The picture: a panel per problem over the decimal logarithm of what the grids vary.
pub fn comparison_figure(comparison: &Comparison) -> Figure {
    let problems: Vec<&[Line]> = comparison.lines.chunk_by(|a, b| a.problem == b.problem).collect();
    let positions: Vec<f64> = comparison.lines.iter().flat_map(curve).map(|(x, _)| x).collect();
    let (low, high) = positions.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
    let (low, high) = if low < high { (low, high) } else { (-3.0, 0.0) };
    Figure {
        title: "Final training loss of learning-rate rules".to_owned(),
        subtitle: format!(
            "curves: a rate that was set, over its grid · lines: rules that set it themselves · means over {} seed{}",
            comparison.seeds,
            if comparison.seeds == 1 { "" } else { "s" }
        ),
        x_label: "log₁₀ of the learning rate".to_owned(),
        x_range: Some((low, high)),
        panel_height: LOW,
        panels: problems.into_iter().map(|lines| panel(lines, low, high)).collect(),
        events: Vec::new(),
    }
}

/// (log₁₀ of the grid's value, final loss), where the runs ended.
fn curve(line: &Line) -> Vec<(f64, f64)> {
    let point = |(value, mean): &(String, Option<crate::compare::Mean>)| {
        let (value, loss) = (value.parse::<f64>().ok()?, mean.as_ref()?.mean);
        (value > 0.0 && loss > 0.0).then(|| (value.log10(), loss))
    };
    line.grid.iter().filter_map(point).collect()
}

fn panel(lines: &[Line], low: f64, high: f64) -> Panel {
    let losses = lines.iter().flat_map(|line| {
        curve(line).into_iter().map(|(_, loss)| loss).chain(line.train_loss.map(|loss| loss.mean)).collect::<Vec<_>>()
    });
    let least = losses.filter(|loss| *loss > 0.0).fold(1.0, f64::min);
    let series = lines.iter().enumerate().filter_map(|(i, line)| {
        let own: Vec<_> = curve(line).into_iter().filter(|(_, loss)| *loss <= WORST * least).collect();
        let is_grid = !line.grid.is_empty();
        let points = match line.train_loss {
            _ if is_grid => own,
            Some(loss) if loss.mean > 0.0 && loss.mean <= WORST * least => vec![(low, loss.mean), (high, loss.mean)],
            _ => return None,
        };
        Some(Series {
            label: line.rule.clone(),
            points,
            colour: COLOURS[i % COLOURS.len()],
            stroke: STROKES[i % STROKES.len()],
            marker: is_grid.then(|| MARKERS[i % MARKERS.len()]),
        })
    });
    Panel {
        title: lines[0].problem.clone(),
        series: series.collect(),
        scale: Vertical::Logarithmic { floor: 10.0_f64.powf(least.log10().floor()) },
        ..Panel::default()
    }
}
