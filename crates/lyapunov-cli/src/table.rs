//! The table of measured quantities, for a person.

use crate::{findings::Uncertainty, plot::number};

/// One line of the table.
pub struct Line {
    /// The quantity.
    pub name: String,
    /// The estimate.
    pub value: f64,
    /// How far it may be off.
    pub error: Uncertainty<f64>,
    /// In gradient-equivalents; `None` where it stands beside another line.
    pub cost: Option<f64>,
    /// The data.
    pub on: String,
    /// The kind of products.
    pub product: &'static str,
    /// Whether the search has converged; `None` for an estimate by sampling.
    pub converged: Option<bool>,
}

/// The lines under their heads, columns aligned.
pub fn table(lines: &[Line]) -> String {
    let heads = ["quantity", "value", "error", "", "cost, g-eq", "data", "product", "converged"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(lines.iter().map(cells));
    aligned(&rows, &[1, 2, 4])
}

/// The rows with their columns aligned, those in `right` at their right ends.
pub fn aligned(rows: &[impl AsRef<[String]>], right: &[usize]) -> String {
    let columns = rows.first().map_or(0, |row| row.as_ref().len());
    let width = |i: usize| rows.iter().map(|row| row.as_ref()[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let padded = row.as_ref().iter().zip(&widths).enumerate().map(|(i, (cell, width))| {
            if right.contains(&i) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn cells(line: &Line) -> [String; 8] {
    let (error, kind) = match line.error {
        Uncertainty::Residual(error) => (error, "residual"),
        Uncertainty::StdError(error) => (error, "standard error"),
        Uncertainty::HalfBracket(error) => (error, "half bracket"),
    };
    let converged = match line.converged {
        Some(true) => "yes",
        Some(false) => "no",
        None => "—",
    };
    [
        line.name.clone(),
        significant(line.value, 6),
        format!("± {}", significant(error, 2)),
        kind.to_owned(),
        line.cost.map(|cost| number(cost, usize::from(cost < 1000.0))).unwrap_or_default(),
        line.on.clone(),
        line.product.to_owned(),
        converged.to_owned(),
    ]
}

/// A number with this many significant digits.
pub fn significant(value: f64, digits: i32) -> String {
    let power = value.abs().log10().floor();
    match power {
        _ if value == 0.0 => "0".to_owned(),
        power if (-4.0..6.0).contains(&power) => {
            let decimals = (f64::from(digits) - 1.0 - power).max(0.0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.*e}", digits as usize - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_significant_digits() {
        let told = [123.456_789, -0.001_234_567, 1e-9, 1_234_567.0, 0.0].map(|x| significant(x, 6));
        assert_eq!(told, ["123.457", "-0.00123457", "1.00000e-9", "1.23457e6", "0"]);
        assert_eq!(significant(23.4, 2), "23");
    }
}
