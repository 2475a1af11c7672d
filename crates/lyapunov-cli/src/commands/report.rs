//! `lyapunov report`: one page that shows runs, beside each other and one by one.

use std::path::{Path, PathBuf};

use clap::Args;

use super::print;
use crate::{
    error::{Error, Result},
    folder::write_file,
    show::report::{self, PageOptions},
    stored,
    text::shell::quoted,
};

/// Which runs to show, and where.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov report runs\n  \
        lyapunov report runs/cnn-sgd-0123abcd --out cnn.html\n  \
        lyapunov report baseline runs --title 'Edge of stability'")]
pub struct ReportArguments {
    /// Folders of runs, or folders that hold some, up to four levels deep
    #[arg(value_name = "RUN|DIR", required = true)]
    pub places: Vec<PathBuf>,
    /// The page; one that is there is replaced
    #[arg(long, value_name = "FILE.html", default_value = "report.html")]
    pub out: PathBuf,
    /// The headline of the page
    #[arg(long, value_name = "TEXT", default_value = "Training at the edge of stability")]
    pub title: String,
}

/// Writes the page; what could not be read is named in it and again at the end.
pub fn execute(arguments: &ReportArguments) -> Result<()> {
    let ReportArguments { places, out, title } = arguments;
    let (runs, faults) = stored::runs_in(places)?;
    let options = PageOptions { title: title.clone(), preface: Vec::new(), commands: vec![command(arguments)] };
    let page = report::build(&runs, &faults, &options)?;
    write_file(out, page.html.as_bytes())?;
    print(in_words(&page, out).as_bytes())?;
    if page.faults.is_empty() { Ok(()) } else { Err(unread(&page)) }
}

fn in_words(page: &report::Built, out: &Path) -> String {
    format!("{}\nwritten to {}, {:.1} MB\n", page.finding, out.display(), page.html.len() as f64 / 1e6)
}

/// What is said of runs that are left out: each, by its file.
fn unread(page: &report::Built) -> Error {
    let listed = format!("\n  {}", page.faults.join("\n  "));
    Error::Unread { left_out: page.faults.len(), of: page.faults.len() + page.shown, listed }
}

/// The command as it may be typed again.
fn command(arguments: &ReportArguments) -> String {
    let places: Vec<String> = arguments.places.iter().map(|place| quoted(&place.display().to_string())).collect();
    let places = places.join(" ");
    let (out, title) = (quoted(&arguments.out.display().to_string()), quoted(&arguments.title));
    format!("lyapunov report {places} --out {out} --title {title}")
}
