//! What is shown of a complete scan: a picture, a table, a few lines.

use std::path::Path;

use lyapunov::BoxDimension;
use serde_json::{Value, json};

use super::{
    PICTURES, ScanArguments, Shown,
    plane::{Axis, Plane},
};
use crate::{
    show::plot::HeatMap,
    text::{duration, number},
};

/// The plane in colours.
pub fn picture(plane: &Plane, arguments: &ScanArguments, dimension: Option<&BoxDimension>, values: &[f64]) -> HeatMap {
    let side = |axis: &Axis| (format!("log10 {}", axis.name.words()), axis.from.log10(), axis.to.log10());
    let ScanArguments { units, points, steps, activation, .. } = arguments;
    let (symbol, what) = match arguments.show {
        Shown::Speed => ("quantile", "blue converges, red diverges; deep: faster than most of its kind"),
        Shown::Exponent => ("Λ1", "largest exponent, nats per step: red is chaotic"),
    };
    let fractal = dimension.map(|found| format!(" · boundary: box dimension {}", written(found))).unwrap_or_default();
    HeatMap {
        title: format!("Where training works: {units} {activation} units on {points} points, {steps} steps"),
        subtitle: format!("{what}{fractal}"),
        x: side(&plane.x),
        y: side(&plane.y),
        symbol: symbol.to_owned(),
        columns: plane.x.count,
        values: if arguments.show == Shown::Speed { quantiles(values) } else { values.to_vec() },
    }
}

/// Each value by the share of those of its sign that are no farther from zero: speeds crowd at their ends, and colours
/// by their size would show two areas and nothing in them.
fn quantiles(values: &[f64]) -> Vec<f64> {
    let sizes = |above: bool| {
        let mut sizes: Vec<f64> = values.iter().filter(|v| (**v > 0.0) == above).map(|v| v.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        sizes
    };
    let (above, below) = (sizes(true), sizes(false));
    let share = |sizes: &[f64], value: f64| sizes.partition_point(|size| *size <= value) as f64 / sizes.len() as f64;
    values.iter().map(|v| if *v > 0.0 { share(&above, *v) } else { -share(&below, -v) }).collect()
}

/// `1.27 ± 0.03`.
fn written(found: &BoxDimension) -> String {
    format!("{:.2} ± {:.2}", found.value, found.std_error)
}

/// One line per place: both parameters, and what was found there; empty where the exponent has none.
pub fn table(plane: &Plane, shown: Shown, values: &[f64]) -> String {
    let found = if shown == Shown::Speed { "speed" } else { "exponent" };
    let head = format!("{},{},{found}\n", plane.x.name.name(), plane.y.name.name());
    let lines = values.iter().enumerate().map(|(i, value)| {
        let (x, y) = (plane.x.value(i % plane.x.count), plane.y.value(i / plane.x.count));
        let value = if value.is_finite() { value.to_string() } else { String::new() };
        format!("{x},{y},{value}\n")
    });
    std::iter::once(head).chain(lines).collect()
}

/// A scan that is complete.
pub struct ScanReport<'a> {
    /// What each training shows, row after row.
    pub values: &'a [f64],
    /// Of the boundary, where it was measured.
    pub dimension: Option<&'a BoxDimension>,
    /// Wall time.
    pub seconds: f64,
    /// Rows that were there.
    pub before: usize,
}

impl ScanReport<'_> {
    /// Trainings whose value is above zero, at most zero, and neither.
    fn counts(&self) -> [usize; 3] {
        let above = self.values.iter().filter(|value| **value > 0.0).count();
        let below = self.values.iter().filter(|value| **value <= 0.0).count();
        [above, below, self.values.len() - above - below]
    }

    /// For a terminal.
    pub fn text(&self, plane: &Plane, arguments: &ScanArguments) -> String {
        let [above, below, neither] = self.counts().map(|count| number(count as f64, 0));
        let all = number(self.values.len() as f64, 0);
        let split = match arguments.show {
            Shown::Speed => format!("{below} converge, {above} diverge"),
            Shown::Exponent => format!("{above} are chaotic, {below} are not, {neither} diverge"),
        };
        let boundary = if let Some(found) = self.dimension {
            let (least, most) = (found.counts[0].0, found.counts[found.counts.len() - 1].0);
            let dimension = written(found);
            format!("The boundary has the box dimension {dimension}, by boxes of {least} to {most} samples.\n")
        } else if arguments.show == Shown::Speed && plane.x.count.min(plane.y.count) < 64 {
            "The dimension of the boundary wants 64 values along each axis.\n".to_owned()
        } else {
            String::new()
        };
        let (took, picture) = (duration(self.seconds), arguments.out.join(PICTURES[0].0));
        format!("{all} trainings in {took}: {split}.\n{boundary}Picture: {}\n", picture.display())
    }

    /// For a program.
    pub fn to_json(&self, settings: &Value, folder: &Path) -> Value {
        let [above, below, neither] = self.counts();
        let speed = settings["show"] == "speed";
        let counts = if speed {
            json!({ "converged": below, "diverged": above })
        } else {
            json!({ "chaotic": above, "regular": below, "diverged": neither })
        };
        let dimension = self
            .dimension
            .map(|found| json!({ "value": found.value, "std_error": found.std_error, "counts": found.counts }));
        json!({
            "scan": settings, "folder": folder, "picture": folder.join(PICTURES[0].0), "trainings": self.values.len(),
            "counts": counts, "dimension": dimension, "rows_before": self.before, "wall_seconds": self.seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_by_rank_on_either_side() {
        assert_eq!(
            quantiles(&[0.9, -0.2, 0.99, -0.99, -0.98, 0.9]),
            [2.0 / 3.0, -1.0 / 3.0, 1.0, -1.0, -2.0 / 3.0, 2.0 / 3.0]
        );
    }
}
