//! Tables as comma-separated values (RFC 4180): nothing between commas where nothing was measured.

use std::borrow::Cow;

use super::{Values, Wide};

/// The text of a table. Numbers have the fewest digits that read back to the same bits.
#[allow(clippy::missing_panics_doc, reason = "what is expected here always holds")]
pub fn text(table: &Wide) -> String {
    let mut lines = csv::Writer::from_writer(Vec::new());
    let mut write = |record: Vec<Cow<'_, str>>| {
        lines.write_record(record.iter().map(|cell| cell.as_bytes())).expect("memory takes every line");
    };
    write(table.columns.iter().map(|column| column.name.as_str().into()).collect());
    for row in 0..table.rows {
        write(table.columns.iter().map(|column| cell(&column.values, row)).collect());
    }
    let bytes = lines.into_inner().expect("memory takes every line");
    String::from_utf8(bytes).expect("all cells are text")
}

fn cell(values: &Values, row: usize) -> Cow<'_, str> {
    match values {
        Values::Counts(counts) => counts[row].to_string().into(),
        // The debug form goes over to powers of ten where digits would be many.
        Values::Numbers(numbers) => numbers[row].map(|number| format!("{number:?}")).unwrap_or_default().into(),
        Values::Texts(texts) => texts[row].as_deref().unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{joined, wide::example};

    #[test]
    fn a_table_reads_back_to_the_same_bits() {
        let table = joined(vec![("a, \"b\"".to_owned(), Wide::of(&example()))]);
        let text = text(&table);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("run,step,loss,gradient_norm,learning_rate"), "{}", lines[0]);
        assert_eq!(lines.len(), 4);
        let place = table.columns.iter().position(|column| column.name == "lambda_max[subset=500]").unwrap();
        // The comma inside the quoted name is one more.
        let cells: Vec<&str> = lines[3].split(',').collect();
        assert!(lines[3].starts_with("\"a, \"\"b\"\"\",2,0.2,,0.1,"), "{}", lines[3]);
        assert_eq!(cells[place + 1].parse::<f64>().unwrap().to_bits(), (-1.234_567_890_123_456_7e-300_f64).to_bits());
        assert_eq!(lines[1].split(',').nth(3).unwrap().parse::<f64>().unwrap().to_bits(), (1.0_f64 / 3.0).to_bits());
        assert!(!text.contains("inf") && !text.contains("NaN"));
    }
}
