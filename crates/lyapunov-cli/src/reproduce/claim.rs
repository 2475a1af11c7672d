//! A claim beside what was measured: as a section of the page, as text, and as JSON.

use serde::Serialize;

use crate::{
    show::report::{Section, escape},
    text::aligned,
};

/// A claim of the paper, and what our runs say of it.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// Its number in our list, 1 to 5.
    pub number: u32,
    /// What it is about.
    pub title: &'static str,
    /// What the paper says.
    pub says: &'static str,
    /// How it was put to the test.
    pub test: String,
    /// What was measured.
    pub measured: String,
    /// Where it holds, and where not.
    pub verdict: String,
    /// The numbers, under their heads.
    pub table: Vec<Vec<String>>,
    /// A picture of them, as SVG.
    #[serde(skip)]
    pub picture: Option<String>,
    /// What it came to, network by network and loss by loss.
    pub findings: Vec<Finding>,
}

/// What one network with one loss says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// In all runs that count.
    Holds,
    /// In some of them.
    InPart,
    /// In none.
    Fails,
    /// Too few runs, or errors too large.
    Undecided,
}

impl Outcome {
    /// By how many of all runs it holds in.
    pub fn of(held: usize, all: usize) -> Self {
        match held {
            _ if all == 0 => Self::Undecided,
            0 => Self::Fails,
            held if held == all => Self::Holds,
            _ => Self::InPart,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::InPart => "holds in part",
            Self::Fails => "fails",
            Self::Undecided => "undecided",
        }
    }
}

/// One claim on one network with one loss.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What is claimed, in a few words.
    pub what: &'static str,
    /// The network and the loss.
    pub on: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The number that says so.
    pub number: String,
}

impl Claim {
    /// The claim as a section of a page.
    pub fn section(&self) -> Section {
        let part = |name: &str, text: &str| format!("<dt>{name}</dt><dd>{}</dd>\n", escape(text));
        let parts = [
            part("The paper", self.says),
            part("The test", &self.test),
            part("Measured", &self.measured),
            part("Verdict", &self.verdict),
        ];
        let picture =
            self.picture.as_ref().map(|svg| format!("<figure>{}</figure>\n", inline(svg))).unwrap_or_default();
        Section {
            title: format!("C{}: {}", self.number, self.title),
            html: format!("<dl class=\"claim\">\n{}</dl>\n{}{picture}", parts.concat(), html(&self.table)),
        }
    }

    /// The claim for a person at a terminal.
    pub fn to_text(&self) -> String {
        let table = aligned(&self.table, &[]);
        let table: String = table.lines().flat_map(|line| ["  ", line, "\n"]).collect();
        format!("C{}: {}\n  {}\n  {}\n\n{table}", self.number, self.title, self.measured, self.verdict)
    }
}

/// The claims in one table: what the page begins with.
pub fn overview(claims: &[Claim]) -> Section {
    let mut rows =
        vec![["claim", "what the paper says", "what was measured", "where it holds"].map(str::to_owned).to_vec()];
    rows.extend(claims.iter().map(|claim| {
        vec![format!("C{}", claim.number), claim.says.to_owned(), claim.measured.clone(), claim.verdict.clone()]
    }));
    Section { title: "The claims".to_owned(), html: html(&rows) }
}

/// The element of an SVG file, without what belongs to a file.
fn inline(svg: &str) -> &str {
    svg.find("<svg").map_or("", |start| &svg[start..])
}

fn html(table: &[Vec<String>]) -> String {
    let cells = |row: &[String], tag: &str| -> String {
        row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect::<Vec<_>>().concat()
    };
    let [heads, rows @ ..] = table else { return String::new() };
    let body: Vec<String> = rows.iter().map(|row| format!("<tr>{}</tr>\n", cells(row, "td"))).collect();
    format!(
        "<div class=\"scroll\"><table class=\"claims\"><thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        cells(heads, "th"),
        body.concat()
    )
}

/// Heads of a table.
pub fn heads<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_has_every_part_and_escapes_what_is_measured() {
        let claim = Claim {
            number: 3,
            title: "the edge",
            says: "λ_max is near 1/η",
            test: "six rates".to_owned(),
            measured: "2 < 3".to_owned(),
            verdict: "it holds".to_owned(),
            table: vec![heads(["a", "b"]), heads(["<i>", "1"])],
            picture: Some("<?xml?><svg></svg>".to_owned()),
            findings: Vec::new(),
        };
        let Section { title, html } = claim.section();
        assert_eq!(title, "C3: the edge");
        assert!(html.contains("2 &lt; 3") && html.contains("<td>&lt;i&gt;</td>") && !html.contains("<?xml"), "{html}");
        assert!(overview(std::slice::from_ref(&claim)).html.contains("<td>C3</td>"));
        assert!(claim.to_text().contains("  a    b\n  <i>  1\n"));
    }
}
