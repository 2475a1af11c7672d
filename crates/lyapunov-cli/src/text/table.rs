//! Tables in plain text.

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
