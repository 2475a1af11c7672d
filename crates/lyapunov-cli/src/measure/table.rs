//! The table of measured quantities, for a person.

use crate::{
    measure::found::Uncertainty,
    text::{aligned_without, number, significant},
};

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
    aligned_without(&rows, &[1, 2, 4], &[6, 4, 3, 5])
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
