//! One page that shows runs: from their folders to a file of HTML that needs nothing else.

use std::fmt::Write;

mod data;
pub mod digest;
pub mod fit;
pub mod keys;
mod series;
mod table;
mod words;

use digest::Digest;
use series::{Curve, Edge};

use crate::{
    error::{Error, Result},
    stored::StoredRun,
    text::counted,
};

const STYLE: &str = include_str!("report.css");
/// Each uses those before it.
const SCRIPTS: [&str; 5] = [
    include_str!("drawing.js"),
    include_str!("pointer.js"),
    include_str!("charts.js"),
    include_str!("curves.js"),
    include_str!("report.js"),
];

/// So many runs are opened where a page has no more.
const OPEN: usize = 2;

/// A page may use what is inside it, and nothing else: browsers hold it to that.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:";

/// What a page has beside the runs.
#[derive(Clone, Debug, Default)]
pub struct PageOptions {
    /// The headline.
    pub title: String,
    /// What stands before the runs.
    pub preface: Vec<Section>,
    /// The commands that repeat what the page shows.
    pub commands: Vec<String>,
}

/// A part of a page.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its heading, as text.
    pub title: String,
    /// What stands below it: HTML that the program writes, with [`escape`] around every text that it did not.
    pub html: String,
}

/// A page, and what it could not show.
#[derive(Debug)]
pub struct Built {
    /// The page.
    pub html: String,
    /// Its first sentences.
    pub finding: String,
    /// How many runs it shows.
    pub shown: usize,
    /// Why others are left out.
    pub faults: Vec<String>,
}

/// A run that could be read.
struct Shown<'a> {
    run: &'a StoredRun,
    digest: Digest,
    curves: Vec<Curve>,
    edge: Option<Edge>,
}

/// The page of these runs, with what it could not show.
///
/// # Errors
/// Where no run can be read.
pub fn build(runs: &[StoredRun], faults: &[impl ToString], options: &PageOptions) -> Result<Built> {
    let points = series::points_for(runs.len());
    let mut faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let mut shown = Vec::new();
    for run in runs {
        match read(run, points) {
            Ok(run) => shown.push(run),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    if shown.is_empty() {
        let message = format!("there is no run that can be read: {}", faults.join("; "));
        return Err(Error::usage(message, Some("the page is not written: there is nothing to show".to_owned())));
    }
    let (html, finding) = assembled(&shown, &faults, options, points);
    Ok(Built { html, finding, shown: shown.len(), faults })
}

fn read(run: &StoredRun, points: usize) -> Result<Shown<'_>> {
    let history = run.history()?;
    let curves = series::curves(&history, points);
    Ok(Shown { run, digest: Digest::of(run, &history), curves, edge: series::edge(&history) })
}

fn assembled(shown: &[Shown<'_>], faults: &[String], options: &PageOptions, points: usize) -> (String, String) {
    let runs: Vec<&StoredRun> = shown.iter().map(|shown| shown.run).collect();
    let differing = keys::differing(&runs);
    let grid = keys::grid(&runs, &differing);
    let (groups, of_run) = data::grouped(shown, &differing);
    let finding = words::finding(shown, &groups);
    let labels = keys::labels(&runs, &differing);
    let json = data::embedded(&data::data(shown, groups, &of_run, grid.as_ref(), labels.clone(), points));
    let mut sections: Vec<Section> = left_out(faults).into_iter().chain(options.preface.iter().cloned()).collect();
    sections.extend(runs_in_sections(shown, &differing, &labels));
    let methods = words::methods(points);
    sections.push(Section { title: "How each number is defined".to_owned(), html: methods });
    let repeatable = shown.iter().any(|shown| shown.run.manifest.engine.is_none());
    let origins = words::origins(shown) + &commands(&options.commands, repeatable);
    sections.push(Section { title: "Versions, and how to repeat this".to_owned(), html: origins });
    (document(&options.title, &finding, &sections, &json), finding)
}

/// The runs: their curves above each other, what is said across them, the table, and each of them. A run that is alone
/// has its own curves first.
fn runs_in_sections(shown: &[Shown<'_>], differing: &[String], labels: &[String]) -> Vec<Section> {
    let run = |(i, (run, label)): (usize, (&Shown<'_>, &String))| words::run(i, run, label, shown.len() <= OPEN);
    let each: String = shown.iter().zip(labels).enumerate().map(run).collect();
    let each = format!("<p class=\"note\">{HOW_TO_READ}</p>{each}");
    let all = Section { title: "All runs".to_owned(), html: format!("{FILTER}{}", table::html(shown, differing)) };
    if shown.len() == 1 {
        return vec![Section { title: "Curves".to_owned(), html: each }, all];
    }
    let across = "<div class=\"panels wide\" id=\"across\"></div>".to_owned();
    vec![
        Section { title: "Curves".to_owned(), html: OVERLAID.to_owned() },
        Section { title: "Across runs".to_owned(), html: across },
        all,
        Section { title: "Each run".to_owned(), html: each },
    ]
}

const HOW_TO_READ: &str = "Drag across a chart to zoom into its steps; all charts of the run follow. Double-click to \
    see all again. With the keyboard: Tab to a chart, arrows to read values, + and − to zoom, 0 to see all.";

const FILTER: &str = "<p class=\"tools\"><label>Filter <input id=\"filter\" type=\"search\" placeholder=\"words that a row \
    must contain\"></label> <span id=\"count\" role=\"status\"></span></p>";

/// Where the script lists the runs to choose from, and draws the curves of the chosen ones.
const OVERLAID: &str = "<div class=\"beside\"><details class=\"side\" id=\"side\" open><summary>Runs <span id=\"chosen\" \
    role=\"status\"></span></summary><div class=\"tools\"><input id=\"choose\" type=\"search\" aria-label=\"Filter the list of \
    runs\" placeholder=\"filter\"><span class=\"buttons\"></span></div><ul id=\"choice\" aria-label=\"Runs to draw\"></ul>\
    </details><div class=\"panels wide\" id=\"curves\"></div></div>";

/// What is said of runs that could not be read.
fn left_out(faults: &[String]) -> Option<Section> {
    let listed: Vec<String> = faults.iter().map(|fault| escape(fault)).collect();
    let listed = listed.join("</li><li>");
    let title = format!("Left out: {}", counted(faults.len(), "run"));
    (!faults.is_empty()).then(|| Section { title, html: format!("<ul class=\"faults\"><li>{listed}</li></ul>") })
}

fn commands(commands: &[String], repeatable: bool) -> String {
    let listed: Vec<String> = commands.iter().map(|command| escape(command)).collect();
    let note = if repeatable { "<p class=\"note\">Each run above names the command that repeats it.</p>" } else { "" };
    format!("<pre class=\"commands\">{}</pre>{note}", listed.join("\n"))
}

fn document(title: &str, finding: &str, sections: &[Section], json: &str) -> String {
    let title = escape(title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>{title}</h1><button type=\"button\" id=\"theme\">dark</button></header>\n<p \
         class=\"finding\">{}</p>\n\
         <noscript><p>Without scripts the page has its table and its words, but no charts.</p></noscript>\n<main>\n",
        table::marked_up(finding)
    );
    for Section { title, html: inner } in sections {
        let _ = writeln!(html, "<section><h2>{}</h2>\n{inner}\n</section>", escape(title));
    }
    let _ = writeln!(html, "</main>\n<script type=\"application/json\" id=\"data\">{json}</script>");
    for script in SCRIPTS {
        let _ = writeln!(html, "<script>\n{script}</script>");
    }
    html + "</body>\n</html>\n"
}

/// Text as HTML, in elements and in attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_is_harmless_in_elements_and_attributes() {
        assert_eq!(escape("<script a=\"b\" c='d'>&"), "&lt;script a=&quot;b&quot; c=&#39;d&#39;&gt;&amp;");
    }

    #[test]
    fn the_scripts_of_a_page_cannot_end_their_own_element() {
        assert!(SCRIPTS.iter().all(|script| !script.contains("</script")) && !STYLE.contains("</style"));
    }
}
