//! Tables in plain text, fitted to the terminal that they are shown in.
//!
//! In a pipe nothing is cut. Where a terminal is too narrow, in this order: sentences in the last column go on below
//! themselves, words and heads are shortened (`…`), and columns are left out, which a line below the table names.
//! Numbers are never shortened.

use std::sync::OnceLock;

/// The columns of the terminal; `None` where there is none.
static ROOM: OnceLock<Option<usize>> = OnceLock::new();

/// By how much tables are moved in, at most, by those who show them.
const INDENT: usize = 2;

/// Between two columns.
const GAP: usize = 2;

/// So many letters stay of words and of what names the rows, in the first column, and of the heads of numbers;
/// sentences are broken into lines so long at least.
const WORD: usize = 10;
const NAME: usize = 14;
const HEAD: usize = 9;
const SENTENCE: usize = 14;

/// From now on tables are fitted to so many columns; a second call changes nothing.
pub fn fit_to(columns: Option<usize>) {
    let _ = ROOM.set(columns);
}

/// The columns of the terminal, if there is one.
pub fn columns() -> Option<usize> {
    ROOM.get().copied().flatten()
}

/// The rows with their columns aligned, those in `right` at their right ends, fitted to the terminal: columns are left
/// out from the last one on.
pub fn aligned(rows: &[impl AsRef<[String]>], right: &[usize]) -> String {
    aligned_without(rows, right, &[])
}

/// The same, where there is an order in which columns are left out before the others.
pub fn aligned_without(rows: &[impl AsRef<[String]>], right: &[usize], first_to_go: &[usize]) -> String {
    fitted(rows, right, first_to_go, columns().map(|columns| columns.saturating_sub(INDENT)))
}

/// The same for so many columns, whatever the terminal has.
pub fn fitted(rows: &[impl AsRef<[String]>], right: &[usize], first_to_go: &[usize], room: Option<usize>) -> String {
    let count = rows.first().map_or(0, |row| row.as_ref().len());
    let columns: Vec<Column> = (0..count).map(|i| Column::of(rows, i, count)).collect();
    let (mut kept, mut gone) = ((0..count).collect::<Vec<_>>(), Vec::new());
    let mut to_go = first_to_go.iter().copied().filter(|i| (1..count).contains(i)).collect::<Vec<_>>();
    let others = (1..count).rev().filter(|i| !to_go.contains(i)).collect::<Vec<_>>();
    to_go.extend(others);
    if let Some(room) = room {
        for i in to_go {
            if total(kept.iter().map(|i| columns[*i].least)) <= room {
                break;
            }
            kept.retain(|other| *other != i);
            gone.push(i);
        }
    }
    let widths = widths(&columns, &kept, room);
    let mut text = String::new();
    for row in rows {
        write_row(&mut text, row.as_ref(), &kept, &widths, right);
    }
    if let (Some(room), false) = (room, gone.is_empty()) {
        gone.sort_unstable();
        let names = gone.iter().map(|i| rows[0].as_ref()[*i].as_str()).filter(|name| !name.is_empty());
        let names = names.collect::<Vec<_>>().join(", ");
        let left_out = format!("(no room for: {names})");
        text.extend(broken(&left_out, room).into_iter().flat_map(|line| [line, "\n".to_owned()]));
    }
    text
}

/// How wide a column is, and how narrow it may be.
struct Column {
    natural: usize,
    least: usize,
}

impl Column {
    fn of(rows: &[impl AsRef<[String]>], i: usize, count: usize) -> Self {
        let length = |row: &_| -> usize { length(&AsRef::<[String]>::as_ref(row)[i]) };
        let natural = rows.iter().map(length).max().unwrap_or(0);
        // The head of numbers may be shortened, they may not.
        let body = if rows.len() > 1 { &rows[1..] } else { rows };
        let numbers = body.iter().all(|row| is_number(&row.as_ref()[i]));
        let sentences = i + 1 == count && rows.iter().any(|row| row.as_ref()[i].contains(' '));
        let least = match (numbers, sentences) {
            (true, _) => body.iter().map(length).max().unwrap_or(0).max(HEAD),
            (_, true) => SENTENCE,
            _ if i == 0 && count > 2 => NAME,
            _ => WORD,
        };
        Self { natural, least: least.min(natural) }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Whether a cell says a number, with its error, its unit or its sign of being unknown.
fn is_number(cell: &str) -> bool {
    !cell.chars().any(|letter| letter.is_alphabetic() && letter != 'e')
}

fn total(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = GAP * widths.len().saturating_sub(1);
    widths.sum::<usize>() + gaps
}

/// The widths of the columns that are kept: the widest gives way first.
fn widths(columns: &[Column], kept: &[usize], room: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = kept.iter().map(|i| columns[*i].natural).collect();
    while room.is_some_and(|room| total(widths.iter().copied()) > room) {
        let spare = |place: &usize| widths[*place] > columns[kept[*place]].least;
        let Some(widest) = (0..widths.len()).filter(spare).max_by_key(|place| widths[*place]) else { break };
        widths[widest] -= 1;
    }
    widths
}

fn write_row(text: &mut String, row: &[String], kept: &[usize], widths: &[usize], right: &[usize]) {
    let last = row.len() - 1;
    let lines: Vec<Vec<String>> = kept
        .iter()
        .zip(widths)
        .map(|(i, width)| match &row[*i] {
            cell if length(cell) <= *width => vec![cell.clone()],
            cell if *i == last && cell.contains(' ') => broken(cell, *width),
            cell => vec![shortened(cell, *width)],
        })
        .collect();
    for k in 0..lines.iter().map(Vec::len).max().unwrap_or(0) {
        let padded = kept.iter().zip(widths).zip(&lines).map(|((i, width), lines)| {
            let cell = lines.get(k).map_or("", String::as_str);
            if right.contains(i) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        *text += line.trim_end();
        text.push('\n');
    }
}

/// A text of at most so many letters: of a sentence the beginning, of a name both ends, since names of runs differ at
/// these.
fn shortened(text: &str, width: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    let room = width.saturating_sub(1);
    let tail = if text.contains(' ') { 0 } else { room / 2 };
    let (head, tail) = (&letters[..room - tail], &letters[letters.len() - tail..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// A text in lines of at most so many letters, broken between words where these are short enough.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            word.clone_into(line);
        } else if length(line) + 1 + length(word) <= width {
            *line += " ";
            *line += word;
        } else {
            lines.push(word.to_owned());
        }
        while let Some(line) = lines.last_mut().filter(|line| length(line) > width.max(1)) {
            let rest: String = line.chars().skip(width.max(1)).collect();
            *line = line.chars().take(width.max(1)).collect();
            lines.push(rest);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Vec<[String; 5]> {
        [
            ["run", "state", "train_loss", "scaled_lambda_max", "said of it"],
            ["mlp-heavy-ball-13c951e8", "completed", "1.2345", "0.75", "at the edge of stability, as it should be"],
            ["cnn-sgd-0123abcd", "diverged", "—", "12.5", "nothing"],
        ]
        .map(|row| row.map(str::to_owned))
        .to_vec()
    }

    fn at(room: usize) -> String {
        fitted(&runs(), &[2, 3], &[1], Some(room))
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        let text = fitted(&runs(), &[2, 3], &[], None);
        assert_eq!(text, at(200));
        assert!(text.contains("mlp-heavy-ball-13c951e8  completed") && !text.contains('…'), "{text}");
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_and_no_number_is_cut() {
        for room in 30..120 {
            let text = at(room);
            assert!(text.lines().all(|line| length(line) <= room), "{room}:\n{text}");
            assert!(text.contains("run"), "the first column stays: {room}:\n{text}");
            for number in ["1.2345", "12.5"] {
                let head = if number == "12.5" { "scaled_lambda_max" } else { "train_loss" };
                assert!(text.contains(number) || text.contains(head), "{room}:\n{text}");
            }
        }
    }

    #[test]
    fn sentences_go_on_below_names_are_shortened_and_columns_are_left_out_in_their_order() {
        let text = at(70);
        assert!(text.contains("at the") && text.contains("…3c951e8") && !text.contains("room"), "{text}");
        assert!(text.lines().count() > 3, "{text}");
        let text = at(50);
        assert!(text.ends_with("(no room for: state, said of it)\n") && text.contains("…-13c951e8"), "{text}");
        let text = at(30);
        let left_out = text.split_once('(').unwrap().1.replace('\n', " ");
        assert!(left_out.starts_with("no room for: state, ") && left_out.contains("said of it"), "{text}");
    }

    #[test]
    fn what_is_shortened_says_so_and_keeps_its_ends() {
        assert_eq!(shortened("mlp-sgd-0123abcd", 9), "mlp-…abcd");
        assert_eq!(shortened("a sentence of words", 9), "a senten…");
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
    }
}
