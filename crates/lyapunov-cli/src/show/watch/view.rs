//! The picture of a board in a terminal.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart, Dataset, GraphType, List, ListItem, ListState, Paragraph},
};

use super::{Board, Watched};
use crate::{
    store::SharpnessSeries,
    text::{compact, counted, significant},
};

/// Draws the board.
pub fn draw(frame: &mut Frame<'_>, board: &Board) {
    let [body, footer] = Layout::vertical([Constraint::Min(3), Constraint::Length(1)]).areas(frame.area());
    let names = board.runs.iter().map(|watched| watched.run.name().chars().count()).max().unwrap_or_default();
    let (width, whole) = list_width(frame.area().width as usize, names);
    let [left, right] = Layout::horizontal([Constraint::Length(width as u16), Constraint::Min(20)]).areas(body);
    list(frame, left, board, whole);
    match board.runs.get(board.selected) {
        Some(_) if board.help => {
            frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title("keys")), right);
        }
        Some(watched) => run(frame, right, watched, board.view),
        None => {}
    }
    let follow = if board.follow { "on" } else { "off" };
    let keys = format!(" q quit  ↑↓/jk select  tab/1-3 view  f follow ({follow})  ? help");
    frame.render_widget(Paragraph::new(keys).style(Style::new().add_modifier(Modifier::DIM)), footer);
}

const HELP: &str = "q, Ctrl-C   leave\n↑ ↓ k j     choose a run\ntab 1 2 3   both curves, the loss, the sharpness\n\
                    f           follow the run that goes on\n?           these lines\n\n\
                    done completed, div. diverged, blew blown up, fail failed,\nint. interrupted, kill killed, \
                    45% of a run that goes on\n\n\
                    η·λ_max is the learning rate times the sharpness of a mini-batch;\nfull-batch descent has its \
                    edge at 2.";

/// Letters around a name: two borders, the mark of the choice, a space and the state in four letters.
const AROUND: usize = 2 + 2 + 1 + 4;

/// What the state and the steps need where they stand in words.
const IN_WORDS: usize = 2 + 2 + 23;

/// What the curves keep beside the list.
const CURVES: usize = 40;

/// How wide the list is, and whether states stand there in words: names are whole as long as the curves have room.
fn list_width(all: usize, names: usize) -> (usize, bool) {
    let words = names + IN_WORDS;
    if words + CURVES <= all { (words, true) } else { ((names + AROUND).min(all / 2), false) }
}

fn list(frame: &mut Frame<'_>, area: Rect, board: &Board, whole: bool) {
    let items = board.runs.iter().map(|watched| {
        let name = watched.run.name();
        let line = if whole {
            format!("{:<9} {:>11}  {name}", watched.state, progress(watched))
        } else {
            format!("{:>4} {}", mark(watched), ending(&name, (area.width as usize).saturating_sub(AROUND)))
        };
        ListItem::new(line)
    });
    let list = List::new(items).block(Block::bordered().title("runs")).highlight_symbol("> ");
    frame.render_stateful_widget(list, area, &mut ListState::default().with_selected(Some(board.selected)));
}

/// A name, or its end where it is too long: runs differ in their ends.
fn ending(name: &str, room: usize) -> String {
    let length = name.chars().count();
    if length <= room {
        return name.to_owned();
    }
    std::iter::once('…').chain(name.chars().skip(length + 1 - room.max(1))).collect()
}

/// How far a run has come: its share while it goes on, its steps afterwards.
fn progress(watched: &Watched) -> String {
    share(watched).unwrap_or_else(|| counted(watched.progress().0, "step"))
}

fn share(watched: &Watched) -> Option<String> {
    let (step, all) = watched.progress();
    let running = watched.state == "running";
    all.filter(|_| running).map(|all| format!("{:.0} %", 100.0 * step as f64 / all as f64))
}

/// The state in at most four letters; `?` beside the list says what they mean.
fn mark(watched: &Watched) -> String {
    match watched.state {
        "running" => share(watched).map_or_else(|| "run".to_owned(), |share| share.replace(' ', "")),
        "completed" => "done".to_owned(),
        "interrupted" => "int.".to_owned(),
        "killed" => "kill".to_owned(),
        "failed" => "fail".to_owned(),
        "diverged" => "div.".to_owned(),
        "blown-up" => "blew".to_owned(),
        other => other.chars().take(4).collect(),
    }
}

fn run(frame: &mut Frame<'_>, area: Rect, watched: &Watched, view: usize) {
    let [facts, curves] = Layout::vertical([Constraint::Length(7), Constraint::Min(5)]).areas(area);
    let lines: Vec<Line<'_>> =
        facts_of(watched, area.width.saturating_sub(30) as usize).into_iter().map(Line::from).collect();
    let title = format!("{} · {} · {}", watched.run.name(), watched.state, progress(watched));
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), facts);
    let halves = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas::<2>(curves);
    match view {
        1 => loss(frame, curves, watched),
        2 => sharpness(frame, curves, watched),
        _ => {
            loss(frame, halves[0], watched);
            sharpness(frame, halves[1], watched);
        }
    }
}

/// Loss, rate, gauges, exponents and cost; a gauge is `width` letters long where it is full.
fn facts_of(watched: &Watched, width: usize) -> Vec<String> {
    let row = watched.latest.row.unwrap_or_default();
    let shown = |value: Option<f64>| value.map_or("—".to_owned(), |value| significant(value, 3));
    let exponents = watched.latest.exponents.iter().take(4).map(|point| {
        let error = point.std_error.map_or(String::new(), |error| format!(" ± {}", significant(error, 2)));
        format!("{}{error}", shown(point.value))
    });
    let cost = row.measuring_cost.map(|cost| cost / row.step.max(1) as f64);
    vec![
        format!("loss {}   accuracy {}   η {}", shown(row.loss), shown(row.test_accuracy), shown(row.learning_rate)),
        gauge("η·λ_max against 1", watched.scaled(), width),
        gauge("share of the edge", watched.latest.edge_share(), width),
        format!(
            "exponents {}",
            if exponents.len() == 0 { "—".to_owned() } else { exponents.collect::<Vec<_>>().join(", ") }
        ),
        format!("cost {} g-eq per step", shown(cost)),
    ]
}

/// A bar whose mark is 1, at half of the width.
fn gauge(name: &str, value: Option<f64>, width: usize) -> String {
    let Some(value) = value else { return format!("{name} —") };
    let filled = (value.max(0.0) * width as f64 / 2.0).min(width as f64) as usize;
    let letter = |i: usize| match (i == width / 2, i < filled) {
        (true, _) => '|',
        (_, true) => '█',
        _ => '·',
    };
    format!("{name} {:>6} {}", compact(value, 2), (0..width).map(letter).collect::<String>())
}

fn loss(frame: &mut Frame<'_>, area: Rect, watched: &Watched) {
    let rows = &watched.history.rows;
    let batch = rows.iter().filter_map(|row| Some((row.step as f64, row.loss?))).collect();
    let test = rows.iter().filter_map(|row| Some((row.step as f64, row.test_loss?))).collect();
    let mut lines = [("batch", Color::Cyan, batch), ("test", Color::Yellow, test)];
    let title = if in_powers_of_ten(&mut lines) { "log₁₀ of the loss" } else { "loss" };
    curves(frame, area, title, &lines, last_step(watched));
}

/// Takes the logarithms of what would be a spike on a flat line.
fn in_powers_of_ten(lines: &mut [(&str, Color, Points)]) -> bool {
    let (low, high) = lines
        .iter()
        .flat_map(|(_, _, points)| points)
        .fold((f64::MAX, 0.0_f64), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
    let wide = low > 0.0 && high > 1e3 * low;
    for (_, y) in lines.iter_mut().flat_map(|(_, _, points)| points).filter(|_| wide) {
        *y = y.log10();
    }
    wide
}

fn sharpness(frame: &mut Frame<'_>, area: Rect, watched: &Watched) {
    let colours = [Color::Magenta, Color::Green, Color::Blue, Color::Red];
    let history = &watched.history;
    let name = |series: &SharpnessSeries| match series.on.as_str() {
        "batch" => series.quantity.clone(),
        on => format!("{}[{on}]", series.quantity),
    };
    let names: Vec<String> = history.sharpness.iter().map(name).collect();
    let edge = history.rows.iter().filter_map(|row| Some((row.step as f64, row.edge? * row.learning_rate?)));
    let mut lines: Vec<(&str, Color, Points)> = vec![("edge", Color::Gray, edge.collect())];
    for ((series, colour), name) in history.sharpness.iter().zip(colours).zip(&names) {
        let scaled = series.points.iter().map(|point| (point.step as f64, point.learning_rate * point.value));
        lines.push((name, colour, scaled.collect()));
    }
    curves(frame, area, "η·λ", &lines, last_step(watched));
}

/// Where curves end, so that those below each other are of one length.
fn last_step(watched: &Watched) -> f64 {
    watched.history.rows.last().map_or(1.0, |row| row.step.max(1) as f64)
}

type Points = Vec<(f64, f64)>;

/// Lines over the steps; what is not finite is left out, and of many points in one column the lowest and the highest
/// stay.
fn curves(frame: &mut Frame<'_>, area: Rect, title: &str, lines: &[(&str, Color, Points)], last: f64) {
    let columns = usize::from(area.width).max(1) * 2;
    let thin: Vec<Points> = lines.iter().map(|(_, _, points)| thinned(points, columns)).collect();
    let all = || thin.iter().flatten();
    let (low, high) = all().fold((0.0_f64, f64::MIN_POSITIVE), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
    let sets = lines.iter().zip(&thin).filter(|(_, points)| !points.is_empty()).map(|((name, colour, _), points)| {
        // The edge is known by its dots where there are no colours.
        let marker = if *name == "edge" { Marker::Dot } else { Marker::Braille };
        let set = Dataset::default().marker(marker).graph_type(GraphType::Line);
        set.style(Style::new().fg(*colour)).data(points)
    });
    let steps = Axis::default().bounds([0.0, last]).labels(["0".to_owned(), format!("{last}")]);
    let heights = Axis::default().bounds([low, high]).labels([significant(low, 2), significant(high, 3)]);
    let chart =
        Chart::new(sets.collect()).block(Block::bordered().title(titled(title, lines))).x_axis(steps).y_axis(heights);
    frame.render_widget(chart, area);
}

/// The title, and what is drawn, each name in the colour of its line.
fn titled<'a>(title: &'a str, lines: &[(&'a str, Color, Points)]) -> Line<'a> {
    let drawn = lines.iter().filter(|(_, _, points)| !points.is_empty());
    let names = drawn.map(|(name, colour, _)| {
        let mark = if *name == "edge" { "•" } else { "━" };
        Span::styled(format!("  {mark} {name}"), Style::new().fg(*colour))
    });
    std::iter::once(Span::raw(title)).chain(names).collect()
}

fn thinned(points: &[(f64, f64)], columns: usize) -> Points {
    let finite: Points = points.iter().copied().filter(|(_, y)| y.is_finite()).collect();
    let size = finite.len().div_ceil(columns).max(1);
    let ends = |part: &[(f64, f64)]| {
        let lowest = part.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let highest = part.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        if size == 1 { vec![lowest] } else { vec![lowest, highest] }
    };
    finite.chunks(size).flat_map(ends).flatten().collect()
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::{folder, manifest::Manifest, store::Store};

    #[test]
    fn a_run_is_drawn_with_its_curves_and_gauges() {
        use lyapunov::Observer;
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("mlp-sgd-0123abcd");
        std::fs::create_dir(&run).unwrap();
        std::fs::write(run.join(folder::MANIFEST), Manifest { steps_per_epoch: 4, ..Manifest::default() }.to_json())
            .unwrap();
        std::fs::write(run.join(folder::CONFIG), crate::defaults::DEFAULTS).unwrap();
        let mut store = Store::create(&run.join(folder::ROWS)).unwrap();
        (0..40).for_each(|step| store.record(&crate::recorded::row(step)).unwrap());
        store.close().unwrap();
        let board = Board::open(vec![out.path().to_owned()]).unwrap();
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal.draw(|frame| draw(frame, &board)).unwrap();
        insta::assert_snapshot!("board", terminal.backend());
        // Small and empty terminals are drawn as well as it goes.
        for (width, height) in [(1, 1), (20, 5), (0, 0)] {
            Terminal::new(TestBackend::new(width, height)).unwrap().draw(|frame| draw(frame, &board)).unwrap();
        }
    }

    #[test]
    fn names_that_are_too_long_keep_their_ends() {
        assert_eq!(
            (ending("mlp-sgd-0123abcd", 16).as_str(), ending("mlp-sgd-0123abcd", 9).as_str()),
            ("mlp-sgd-0123abcd", "…0123abcd")
        );
    }

    #[test]
    fn the_newest_run_is_chosen_and_names_are_whole_at_eighty_columns() {
        let out = tempfile::tempdir().unwrap();
        for (name, started) in [("mlp-schedule-free-0123abcd", "2026-11-02"), ("mlp-sgd-ffffffff", "2026-11-01")] {
            let run = out.path().join(name);
            std::fs::create_dir(&run).unwrap();
            let started = format!("{started}T00:00:00Z");
            let manifest = Manifest { started, outcome: crate::manifest::Outcome::Completed, ..Manifest::default() };
            std::fs::write(run.join(folder::MANIFEST), manifest.to_json()).unwrap();
            std::fs::write(run.join(folder::CONFIG), crate::defaults::DEFAULTS).unwrap();
            Store::create(&run.join(folder::ROWS)).unwrap().close().unwrap();
        }
        let mut board = Board::open(vec![out.path().to_owned()]).unwrap();
        assert_eq!(board.runs[board.selected].run.name(), "mlp-schedule-free-0123abcd");
        board.step(true);
        board.refresh();
        assert_eq!(board.runs[board.selected].run.name(), "mlp-sgd-ffffffff", "a choice is kept");
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &board)).unwrap();
        let screen = terminal.backend().to_string();
        for line in ["  done mlp-schedule-free-0123abcd", "> done mlp-sgd-ffffffff", "mlp-sgd-ffffffff · completed"] {
            assert!(screen.contains(line), "{line}: {screen}");
        }
        assert_eq!(list_width(80, 26), (35, false));
        assert_eq!(list_width(120, 26), (53, true));
    }

    #[test]
    fn a_loss_that_blows_up_is_drawn_in_powers_of_ten() {
        let mut lines =
            [("batch", Color::Cyan, vec![(0.0, 2.0), (1.0, 2e6)]), ("test", Color::Cyan, vec![(0.0, 0.01)])];
        assert!(in_powers_of_ten(&mut lines));
        assert_eq!((lines[0].2[1].1, lines[1].2[0].1), (2e6_f64.log10(), -2.0));
        let mut calm = [("batch", Color::Cyan, vec![(0.0, 2.0), (1.0, 0.1)])];
        assert!(!in_powers_of_ten(&mut calm) && calm[0].2[0].1 == 2.0);
    }

    #[test]
    fn thin_curves_keep_their_ends() {
        let mut points: Points = (0..1000).map(|i| (f64::from(i), 1.0)).collect();
        points[500].1 = 9.0;
        points[700].1 = f64::NAN;
        let thin = thinned(&points, 20);
        assert!(thin.len() <= 42 && thin.iter().any(|(_, y)| *y == 9.0) && thin.iter().all(|(_, y)| y.is_finite()));
    }
}
