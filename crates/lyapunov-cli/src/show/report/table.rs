//! The table of all runs, to be sorted and filtered.

use std::fmt::Write;

use lyapunov::Quantity;
use lyapunov_runs::columns::QUANTITIES;

use super::{Shown, escape, keys};
use crate::text::four_digits;

/// A column: its heading, and for every run what is shown and what it is sorted by.
struct Column {
    heading: String,
    cells: Vec<Cell>,
}

struct Cell {
    text: String,
    order: Option<f64>,
    /// What is shown where the pointer rests, of a text that is shortened.
    whole: Option<String>,
}

/// The table as HTML; columns in which no run has anything are left out.
pub fn html(shown: &[Shown<'_>], differing: &[String]) -> String {
    let columns: Vec<Column> = columns(shown, differing).into_iter().filter(is_shown).collect();
    let mut html = String::from("<div class=\"scroll\"><table id=\"runs-table\"><thead><tr>");
    for column in &columns {
        let class = if column.cells.iter().any(|cell| cell.order.is_some()) { " class=\"number\"" } else { "" };
        let _ = write!(
            html,
            "<th scope=\"col\"{class} aria-sort=\"none\"><button type=\"button\">{}</button></th>",
            marked_up(&column.heading)
        );
    }
    html.push_str("</tr></thead><tbody>");
    for i in 0..shown.len() {
        let _ = write!(html, "<tr data-run=\"{i}\">");
        for (j, column) in columns.iter().enumerate() {
            html.push_str(&cell(&column.cells[i], (j == 0).then_some(i)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>");
    html
}

fn is_shown(column: &Column) -> bool {
    column.cells.iter().any(|cell| !cell.text.is_empty())
}

fn cell(cell: &Cell, link: Option<usize>) -> String {
    let text = escape(&cell.text);
    match (cell.order, link) {
        (_, Some(run)) => format!("<td><a href=\"#run-{run}\">{text}</a></td>"),
        (Some(order), None) => format!("<td class=\"number\" data-order=\"{order}\">{text}</td>"),
        (None, None) => {
            let whole = cell.whole.as_ref().map(|whole| format!(" title=\"{}\"", escape(whole))).unwrap_or_default();
            format!("<td{whole}>{text}</td>")
        }
    }
}

/// A symbol such as λ_max, escaped, with what follows the underscore set low.
pub fn marked_up(text: &str) -> String {
    let mut words = text.split('_');
    let first = escape(words.next().unwrap_or_default());
    words.fold(first, |html, word| {
        let end = word.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(word.len());
        format!("{html}<sub>{}</sub>{}", escape(&word[..end]), escape(&word[end..]))
    })
}

fn columns(shown: &[Shown<'_>], differing: &[String]) -> Vec<Column> {
    let texts = |heading: &str, text: &dyn Fn(&Shown<'_>) -> String| Column {
        heading: heading.to_owned(),
        cells: shown.iter().map(|shown| configured(text(shown))).collect(),
    };
    let mut columns = vec![texts("run", &|shown| shown.digest.name.clone()), texts("outcome", &outcome)];
    columns.extend(differing.iter().map(|key| texts(&heading(key, differing), &|shown| chosen(shown, key))));
    columns.push(texts("seed", &|shown| shown.digest.seed.to_string()));
    let numbers = |heading: &str, value: &dyn Fn(&Shown<'_>) -> Option<f64>| Column {
        heading: heading.to_owned(),
        cells: shown.iter().map(|shown| measured(value(shown))).collect(),
    };
    columns.extend([
        numbers("steps", &|shown| shown.digest.steps.map(|steps| steps as f64)),
        numbers("final loss", &|shown| shown.digest.train_loss),
        numbers("test accuracy", &|shown| shown.digest.test_accuracy),
        numbers("η·λ_max", &|shown| {
            shown.digest.reading(Quantity::LambdaMax).map(|found| found.value * found.learning_rate)
        }),
    ]);
    columns.extend(
        QUANTITIES
            .iter()
            .map(|words| numbers(words.label, &|shown| shown.digest.reading(words.quantity).map(|found| found.value))),
    );
    columns.extend([exponents(shown), numbers("cost, g-eq per step", &|shown| shown.run.manifest.measuring_cost)]);
    columns
}

/// The value of a key; which rule sets a learning rate stands in its own column.
fn chosen(shown: &Shown<'_>, key: &str) -> String {
    let by_rule = key == keys::LEARNING_RATE && keys::rule(shown.run).is_some();
    if by_rule { "rule".to_owned() } else { keys::value(shown.run, key) }
}

/// The last part of a key, or all of it where two keys end alike.
pub fn heading(key: &str, differing: &[String]) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let alone = differing.iter().filter(|other| last(other) == last(key)).count() == 1 && last(key) != "name";
    let message = if alone { last(key) } else { key.trim_end_matches(".name").replace('.', " ") };
    message.replace('_', " ")
}

/// How a run ended, and where it went wrong.
pub fn outcome(shown: &Shown<'_>) -> String {
    match (shown.digest.state, shown.run.manifest.diverged_at) {
        ("diverged", Some(step)) => format!("diverged at step {step}"),
        (state, _) => state.to_owned(),
    }
}

fn exponents(shown: &[Shown<'_>]) -> Column {
    let cell = |shown: &Shown<'_>| match shown.digest.exponent {
        Some(found) => {
            let error = found.std_error.map(|error| format!(" ± {}", four_digits(error))).unwrap_or_default();
            Cell { text: format!("{}{error}", four_digits(found.value)), order: Some(found.value), whole: None }
        }
        None => measured(None),
    };
    Column { heading: "Λ_1/η".to_owned(), cells: shown.iter().map(cell).collect() }
}

fn configured(text: String) -> Cell {
    let order = text.parse().ok().filter(|order: &f64| order.is_finite());
    let short = keys::short_path(&text);
    let whole = (short != text).then_some(text);
    Cell { text: short, order, whole }
}

fn measured(value: Option<f64>) -> Cell {
    let value = value.filter(|value| value.is_finite());
    Cell { text: value.map(four_digits).unwrap_or_default(), order: value, whole: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_set_low_and_text_stays_harmless() {
        assert_eq!(marked_up("η·λ_max, <b>"), "η·λ<sub>max</sub>, &lt;b&gt;");
        assert_eq!(marked_up("Λ_1/η"), "Λ<sub>1</sub>/η");
        assert_eq!(marked_up("plain"), "plain");
    }

    #[test]
    fn headings_are_short_where_they_can_be() {
        let keys = ["model.name", "optimizer.learning_rate", "exponents.every", "measure.every"].map(str::to_owned);
        assert_eq!(
            keys.each_ref().map(|key| heading(key, &keys)),
            ["model", "learning rate", "exponents every", "measure every"]
        );
    }
}
