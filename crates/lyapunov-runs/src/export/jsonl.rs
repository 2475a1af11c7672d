//! Tables as lines of JSON objects: `null` where nothing was measured.

use serde_json::{Map, Value};

use super::{Values, Wide};

/// One line per row. Numbers have the fewest digits that read back to the same bits.
pub fn text(table: &Wide) -> String {
    let line = |row| {
        let fields = table.columns.iter().map(|column| (column.name.clone(), value(&column.values, row)));
        format!("{}\n", Value::Object(fields.collect::<Map<_, _>>()))
    };
    (0..table.rows).map(line).collect()
}

fn value(values: &Values, row: usize) -> Value {
    match values {
        Values::Counts(counts) => counts[row].into(),
        Values::Numbers(numbers) => numbers[row].into(),
        Values::Texts(texts) => texts[row].clone().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::wide::example;

    #[test]
    fn every_line_is_an_object_that_reads_back_to_the_same_bits() {
        let text = text(&Wide::of(&example()));
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        // The text itself: not every reader of JSON takes the nearest number.
        let bits = |row: usize, name: &str| {
            let (_, rest) = text.lines().nth(row)?.split_once(&format!("\"{name}\":"))?;
            rest.split([',', '}']).next()?.parse().ok().map(f64::to_bits)
        };
        assert_eq!(bits(0, "loss"), Some((1.0_f64 / 3.0).to_bits()));
        assert_eq!(bits(2, "lambda_max[subset=500]"), Some((-1.234_567_890_123_456_7e-300_f64).to_bits()));
        assert_eq!((&lines[2]["step"], &lines[2]["lambda_max[subset=500]_product"]), (&2.into(), &"exact".into()));
        assert!(lines[0]["exponent_1"].is_null() && lines[2]["test_accuracy"].is_null());
    }
}
