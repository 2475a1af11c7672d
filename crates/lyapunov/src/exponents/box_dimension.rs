//! The box dimension of the boundary between two classes of a plane, by counting boxes.
//!
//! N(s) is how many squares of side s it takes to cover the boundary; where N(s) ∝ s^−D over the sizes between a few
//! samples and a good part of the plane, D is its dimension: 1 for a smooth curve, 2 where the classes are mixed
//! everywhere.
//!
//! Source: the method is that of Liebovitch & Tóth, *A fast algorithm to determine fractal dimensions by box counting*
//! (1989); the boundary of trainability is measured so by Sohl-Dickstein, *The boundary of neural network trainability
//! is fractal* (2024).

use crate::error::{Error, Result};

/// The dimension of a boundary, with its error.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxDimension {
    /// D, the slope of ln N(s) against ln 1/s.
    pub value: f64,
    /// What the scatter around the line and the difference between the slopes of small and of large boxes leave open:
    /// the root of the sum of their squares. It speaks of these samples: a finer grid may see more of the boundary,
    /// and find a larger dimension.
    pub std_error: f64,
    /// Every size s, in samples, with the number of boxes.
    pub counts: Vec<(usize, usize)>,
}

/// The smallest box, in samples: one of a single sample sees the grid, not the boundary.
const SMALLEST: usize = 2;

/// The largest box is this part of the shorter side.
const LARGEST: usize = 8;

/// The dimension of the boundary between `true` and `false` in a plane that was sampled row after row, `columns` in a
/// row. `None` where there is no boundary.
///
/// The boxes are laid from four corners, and the least number counts. Sizes are 2, 3, 4, 6, 8, 12, … samples, up to an
/// eighth of the shorter side.
///
/// ```
/// use lyapunov::box_dimension;
/// // A disc: its edge is a smooth curve.
/// let inside = |i: usize| ((i % 256) as f64 - 130.0).hypot((i / 256) as f64 - 120.0) < 90.0;
/// let found = box_dimension(&(0..256 * 256).map(inside).collect::<Vec<_>>(), 256)?.expect("it has an edge");
/// assert!((found.value - 1.0).abs() < 0.05 && found.std_error < 0.05, "{found:?}");
/// # Ok::<(), lyapunov::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] where the rows are not whole, or shorter or fewer than 64, which leaves too few sizes.
pub fn box_dimension(classes: &[bool], columns: usize) -> Result<Option<BoxDimension>> {
    if columns == 0 || !classes.len().is_multiple_of(columns) {
        let reason = format!("must divide the number of samples, {}", classes.len());
        return Err(Error::argument("columns", columns, reason));
    }
    let rows = classes.len() / columns;
    if rows.min(columns) < 64 {
        let reason = "must be at least 64 by 64: smaller planes leave too few sizes of boxes";
        return Err(Error::argument("classes", format!("{columns} by {rows}"), reason));
    }
    let edge = Edge::of(classes, columns);
    let sizes = (0..).map(|i| if i % 2 == 0 { SMALLEST << (i / 2) } else { 3 << (i / 2) });
    let sizes = sizes.take_while(|size| LARGEST * size <= rows.min(columns));
    let counts: Vec<(usize, usize)> = sizes.map(|size| (size, edge.boxes(size))).collect();
    Ok((counts[0].1 > 0).then(|| fitted(counts)))
}

/// The squares of two by two samples that are not of one class.
struct Edge {
    places: Vec<(usize, usize)>,
    columns: usize,
    rows: usize,
}

impl Edge {
    fn of(classes: &[bool], columns: usize) -> Self {
        let at = |row: usize, column: usize| classes[row * columns + column];
        let mixed = |row: usize, column: usize| {
            let first = at(row, column);
            [(1, 0), (0, 1), (1, 1)].into_iter().any(|(down, right)| at(row + down, column + right) != first)
        };
        let (rows, wide) = (classes.len() / columns - 1, columns - 1);
        let all = (0..rows).flat_map(|row| (0..wide).map(move |column| (row, column)));
        Self { places: all.filter(|(row, column)| mixed(*row, *column)).collect(), columns: wide, rows }
    }

    /// How many boxes of this size cover them, at the best of four corners.
    fn boxes(&self, size: usize) -> usize {
        let half = size / 2;
        let from = |(down, right): (usize, usize)| {
            let wide = (self.columns + right).div_ceil(size);
            let mut hit = vec![false; wide * (self.rows + down).div_ceil(size)];
            for (row, column) in &self.places {
                hit[(row + down) / size * wide + (column + right) / size] = true;
            }
            hit.into_iter().filter(|hit| *hit).count()
        };
        [(0, 0), (half, 0), (0, half), (half, half)].into_iter().map(from).min().expect("there are four corners")
    }
}

/// The line through ln N against ln 1/s, and what it leaves open.
fn fitted(counts: Vec<(usize, usize)>) -> BoxDimension {
    let points: Vec<(f64, f64)> =
        counts.iter().map(|(size, count)| (-(*size as f64).ln(), (*count as f64).ln())).collect();
    let (value, scatter) = line(&points);
    let half = points.len().div_ceil(2);
    let drift = 0.5 * (line(&points[..half]).0 - line(&points[points.len() - half..]).0).abs();
    BoxDimension { value, std_error: scatter.hypot(drift), counts }
}

/// The slope of the least squares, and its standard error from the scatter around the line.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    let rest: f64 = points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).powi(2)).sum();
    (slope, (rest / (count - 2.0).max(1.0) / spread).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(size: usize, class: impl Fn(f64, f64) -> bool) -> Vec<bool> {
        let at = |i: usize| i as f64 / (size - 1) as f64;
        (0..size * size).map(|i| class(at(i % size), at(i / size))).collect()
    }

    fn check(name: &str, classes: &[bool], size: usize, exact: f64, close: f64) {
        let found = box_dimension(classes, size).unwrap().unwrap();
        assert!((found.value - exact).abs() < close, "{name}: {found:?} for {exact}");
        assert!((found.value - exact).abs() < 3.0 * found.std_error.max(0.003), "{name}: {found:?} for {exact}");
        assert!(found.std_error < 0.1, "{name}: {found:?}");
    }

    /// Whether a place lies in the snowflake of Koch around an equilateral triangle, whose corners are here.
    fn snowflake(level: u32) -> Vec<(f64, f64)> {
        let mut corners = vec![(0.1, 0.28), (0.5, 0.28 + 0.8 * 0.75_f64.sqrt()), (0.9, 0.28)];
        let (cos, sin) = (0.5, 0.75_f64.sqrt());
        for _ in 0..level {
            let next = corners.iter().cycle().skip(1);
            corners = corners
                .iter()
                .zip(next)
                .flat_map(|(a, b)| {
                    let (x, y) = ((b.0 - a.0) / 3.0, (b.1 - a.1) / 3.0);
                    // The corners go round clockwise: outwards is to the left.
                    let tip = (a.0 + x + cos * x - sin * y, a.1 + y + sin * x + cos * y);
                    [*a, (a.0 + x, a.1 + y), tip, (a.0 + 2.0 * x, a.1 + 2.0 * y)]
                })
                .collect();
        }
        corners
    }

    fn is_inside(corners: &[(f64, f64)], x: f64, y: f64) -> bool {
        let next = corners.iter().cycle().skip(1);
        let crosses = |(a, b): &(&(f64, f64), &(f64, f64))| {
            (a.1 > y) != (b.1 > y) && x < a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0)
        };
        corners.iter().zip(next).filter(crosses).count() % 2 == 1
    }

    #[test]
    fn sets_of_known_dimension_have_it_within_their_errors() {
        let size = 512;
        check("a line", &sampled(size, |x, y| y > 0.37 * x + 0.2), size, 1.0, 0.01);
        check("a disc", &sampled(size, |x, y| (x - 0.5).hypot(y - 0.4) < 0.35), size, 1.0, 0.03);
        let corners = snowflake(5);
        let koch = sampled(size, |x, y| is_inside(&corners, x, y));
        check("the snowflake of Koch", &koch, size, 4.0_f64.ln() / 3.0_f64.ln(), 0.05);
        let pascal: Vec<bool> = (0..size * size).map(|i| (i % size) & (i / size) == 0).collect();
        check("the triangle of Sierpinski", &pascal, size, 3.0_f64.ln() / 2.0_f64.ln(), 0.05);
        // A multiplicative hash: classes are mixed everywhere.
        let noise: Vec<bool> = (0..(size * size) as u64)
            .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (i >> 7)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 63 == 1)
            .collect();
        check("noise", &noise, size, 2.0, 0.02);
    }

    #[test]
    fn a_plane_of_one_class_has_no_boundary_and_a_small_one_is_refused() {
        assert_eq!(box_dimension(&[true; 64 * 70], 70).unwrap(), None);
        assert!(box_dimension(&[true; 64 * 63], 63).is_err());
        assert!(box_dimension(&[true; 4097], 64).is_err() && box_dimension(&[], 0).is_err());
    }
}
