//! C4: a quasi-Newton method sets the learning rate while it trains.

use super::claim::{Claim, Finding, Outcome, heads};
use crate::{
    compare::{Comparison, Line, Mean},
    show::plot,
    text::{counted, four_digits},
};

/// How the names of the forms of the paper's rule begin.
const RULE: &str = "quasi-newton";

/// It sets the rate as well as a search over a grid where it ends at this times the loss or less.
const AS_GOOD: f64 = 1.15;

/// The claim, by the comparison of rules.
pub fn claim(comparison: &Comparison) -> Claim {
    let own: Vec<&Line> = comparison.lines.iter().filter(|line| is_own(line)).collect();
    let reference = comparison.lines.first().map(|line| line.rule.clone()).unwrap_or_default();
    let mut forms: Vec<&str> = own.iter().map(|line| line.rule.as_str()).collect();
    forms.sort_unstable();
    forms.dedup();
    let of = |form: &&str| {
        let parts = own.iter().filter(|line| line.rule == **form);
        let parts: Vec<String> = parts.map(|line| format!("on {} {}", line.problem, end(line))).collect();
        format!("{form} {}", parts.join(", "))
    };
    let parts: Vec<String> = forms.iter().map(of).collect();
    let completed = own.iter().filter(|line| line.train_loss.is_some()).count();
    let others = comparison.lines.chunk_by(|a, b| a.problem == b.problem).map(others).collect::<Vec<_>>();
    let known = own.iter().any(|line| line.train_loss.is_some() || line.completed > 0);
    Claim {
        number: 4,
        title: "a quasi-Newton rule sets the learning rate",
        says: "A quasi-Newton method can set the learning rate from the estimate of λ_max while training.",
        test: format!(
            "The rule η = σ/λ_max in {}, and others, beside {reference} with the best learning rate of a grid: final \
                training loss over the reference's. \
             Rules on another optimizer are to be compared with that optimizer's grid.",
            counted(forms.len(), "form")
        ),
        measured: if known {
            format!("Final training loss over that of {reference}: {}.", parts.join("; "))
        } else {
            "No run by the paper's rule has ended.".to_owned()
        },
        verdict: if known || comparison.lines.iter().any(|line| line.train_loss.is_some()) {
            format!(
                "It trains without a learning rate in {completed} of {} cases. The others: {}.",
                own.len(),
                others.join("; ")
            )
        } else {
            "Undecided.".to_owned()
        },
        table: table(comparison),
        picture: comparison
            .lines
            .iter()
            .any(|line| line.train_loss.is_some())
            .then(|| plot::comparison_figure(comparison).to_svg()),
        findings: own.iter().map(|line| finding(line, &reference)).collect(),
    }
}

fn is_own(line: &Line) -> bool {
    line.rule.starts_with(RULE)
}

/// Whether a form of the rule did as well as the tuned reference.
fn finding(line: &Line, reference: &str) -> Finding {
    let outcome = match line.of_reference {
        Some(ratio) if ratio <= AS_GOOD => Outcome::Holds,
        Some(_) => Outcome::Fails,
        None => Outcome::Undecided,
    };
    Finding {
        what: "it ends at 1.15 times the loss of the tuned reference or less",
        on: format!("{}, {}", line.problem, line.rule),
        outcome,
        number: match line.of_reference {
            Some(ratio) => format!("{} times that of {reference}", four_digits(ratio)),
            None => end(line),
        },
    }
}

/// The other lines of a problem, but for the reference.
fn others(lines: &[Line]) -> String {
    let message = lines.iter().skip(1).filter(|line| !is_own(line) && line.train_loss.is_some());
    let message: Vec<String> = message.map(|line| format!("{}{} {}", line.rule, tuned(line), end(line))).collect();
    format!(
        "on {} {}",
        lines[0].problem,
        if message.is_empty() { "none has ended".to_owned() } else { message.join(", ") }
    )
}

/// How a rule with a grid was tuned.
fn tuned(line: &Line) -> &'static str {
    let place = line.grid.iter().position(|(value, _)| Some(value) == line.value.as_ref());
    match place {
        None => "",
        Some(place) if place == 0 || place + 1 == line.grid.len() => " (at the end of its grid)",
        Some(_) => " (tuned)",
    }
}

fn end(line: &Line) -> String {
    match (line.of_reference, line.train_loss) {
        (Some(ratio), _) => four_digits(ratio),
        (None, Some(_)) => "ended, without a reference".to_owned(),
        (None, None) => "did not end".to_owned(),
    }
}

fn table(comparison: &Comparison) -> Vec<Vec<String>> {
    let mean = |mean: Option<Mean>, scale: f64| {
        mean.map_or_else(String::new, |mean| {
            let error = mean.std_error.map(|error| format!(" ± {}", four_digits(scale * error))).unwrap_or_default();
            format!("{}{error}", four_digits(scale * mean.mean))
        })
    };
    let mut table =
        vec![heads(["problem", "rule", "at", "train loss", "of the reference", "test accuracy, %", "g-eq per step"])];
    table.extend(comparison.lines.iter().map(|line| {
        let at = line
            .value
            .as_ref()
            .map(|value| format!("{value}, best of {}{}", line.values, tuned(line)))
            .unwrap_or_default();
        let ends = || format!("{} of {} ended", line.completed, comparison.seeds);
        let loss = if line.train_loss.is_some() { mean(line.train_loss, 1.0) } else { ends() };
        vec![
            line.problem.clone(),
            line.rule.clone(),
            at,
            loss,
            line.of_reference.map(four_digits).unwrap_or_default(),
            mean(line.test_accuracy, 100.0),
            mean(line.cost, 1.0),
        ]
    }));
    table
}
