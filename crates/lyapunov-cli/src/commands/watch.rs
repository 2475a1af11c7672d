//! `lyapunov watch`: stored runs as they go on, in a terminal or line by line.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use signal_hook::{consts, flag};

use super::print;
use crate::{
    error::Result,
    show::watch::{Board, Watched, draw},
    text::significant,
};

/// Which runs, and how.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov watch\n  \
        lyapunov watch sweeps --once")]
pub struct WatchArguments {
    /// Folders with runs in or below them
    #[arg(value_name = "DIR", default_value = "runs")]
    pub places: Vec<PathBuf>,
    /// Print one line per run, and end
    #[arg(long)]
    pub once: bool,
}

/// How often what is new is read, how often a plain line is printed, and how long a key is waited for.
const REFRESH: Duration = Duration::from_secs(1);
const LINES: Duration = Duration::from_secs(3);
const WAIT: Duration = Duration::from_millis(100);

/// Watches the runs until a key ends it, or where there is no terminal until none goes on.
pub fn execute(arguments: &WatchArguments) -> Result<()> {
    let mut board = Board::open(arguments.places.clone())?;
    if arguments.once {
        return print(board.runs.iter().map(line).collect::<String>().as_bytes());
    }
    if !io::stdout().is_terminal() {
        return plain(&mut board);
    }
    let asked = asked_to_leave()?;
    on_screen(|terminal| show(terminal, &mut board, &asked))
}

/// Takes the screen, and gives it back, at a panic too.
fn on_screen(show: impl FnOnce(DefaultTerminal) -> Result<()>) -> Result<()> {
    let terminal = ratatui::try_init()?;
    let _guard = Guard;
    show(terminal)
}

/// Leaves the terminal as it was, however the dashboard ends.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        // A panic has restored it already; once more would move the cursor onto what was printed of the panic.
        if !std::thread::panicking() {
            ratatui::restore();
        }
    }
}

/// A flag that signals set.
fn asked_to_leave() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [consts::SIGTERM, consts::SIGINT, consts::SIGHUP] {
        flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

fn show(mut terminal: DefaultTerminal, board: &mut Board, asked: &AtomicBool) -> Result<()> {
    let mut read = Instant::now();
    while !asked.load(Ordering::Relaxed) {
        terminal.draw(|frame| draw(frame, board))?;
        if event::poll(WAIT)? && leaves(board, &event::read()?) {
            break;
        }
        if read.elapsed() >= REFRESH {
            board.refresh();
            read = Instant::now();
        }
    }
    Ok(())
}

/// Does what a key asks for; whether that is to leave.
fn leaves(board: &mut Board, event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    if key.kind == KeyEventKind::Release {
        return false;
    }
    match key.code {
        KeyCode::Char('q') => return true,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Down | KeyCode::Char('j') => board.step(true),
        KeyCode::Up | KeyCode::Char('k') => board.step(false),
        KeyCode::Tab => board.view = (board.view + 1) % 3,
        KeyCode::Char(digit @ '1'..='3') => board.view = digit as usize - '1' as usize,
        KeyCode::Char('f') => board.follow = !board.follow,
        KeyCode::Char('?') => board.help = !board.help,
        _ => {}
    }
    false
}

/// Lines about the runs that go on, every few seconds, until none does.
fn plain(board: &mut Board) -> Result<()> {
    while board.is_running() {
        let running = board.runs.iter().filter(|watched| watched.state == "running");
        print(running.map(line).collect::<String>().as_bytes())?;
        std::thread::sleep(LINES);
        board.refresh();
    }
    print("no runs in progress\n".as_bytes())
}

fn line(watched: &Watched) -> String {
    let (step, all) = watched.progress();
    let all = all.map(|all| format!("/{all}")).unwrap_or_default();
    let shown = |value: Option<f64>| value.map_or("—".to_owned(), |value| significant(value, 4));
    let loss = shown(watched.latest.row.and_then(|row| row.loss));
    // Under Adam nobody measures λ_max.
    let sharpness = match (watched.scaled(), watched.latest.edge_share()) {
        (None, Some(share)) => format!("of its edge {} %", significant(100.0 * share, 3)),
        (scaled, _) => format!("η·λ_max {}", shown(scaled)),
    };
    format!("{}  {}  step {step}{all}  loss {loss}  {sharpness}\n", watched.run.name(), watched.state)
}

#[cfg(test)]
#[allow(dead_code, reason = "other tests type keys")]
#[path = "../../tests/program/terminal.rs"]
mod terminal;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs in the terminal of the test below, and nowhere else.
    #[test]
    #[ignore = "panics"]
    fn draws_and_panics() {
        let _ = on_screen(|mut terminal| {
            terminal.draw(|frame| frame.render_widget("drawn", frame.area()))?;
            panic!("on the screen");
        });
    }

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was_and_is_reported() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--nocapture", "--exact", "commands::watch::tests::draws_and_panics"]);
        let (mut terminal, before) = terminal::Terminal::start(command);
        terminal.wait_for("drawn");
        assert!(!terminal.wait().success());
        terminal.assert_left_as(&before);
        let written = terminal.written();
        assert!(written.rfind("on the screen") > written.rfind("\x1b[?1049l"), "{written:?}");
    }
}
