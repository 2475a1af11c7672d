//! C4: a quasi-Newton method sets the learning rate while it trains.

use super::claim::{Claim, heads};
use crate::{
    compare::{Comparison, Line, Mean},
    plot,
    report::number,
};

const RULE: &str = "quasi-newton";

/// As good as the tuned reference is what ends within this share of its loss.
const CLOSE: f64 = 1.1;

/// The claim, by the comparison of rules.
pub fn claim(comparison: &Comparison) -> Claim {
    let own: Vec<&Line> = comparison.lines.iter().filter(|line| line.rule == RULE).collect();
    let reference = comparison.lines.first().map(|line| line.rule.clone()).unwrap_or_default();
    let ratios: Vec<String> = own.iter().map(|line| format!("{} on {}", ratio(line), line.problem)).collect();
    let good = own.iter().filter(|line| line.of_reference.is_some_and(|ratio| ratio <= CLOSE)).count();
    let better: Vec<String> = comparison
        .lines
        .iter()
        .filter(|line| line.rule != RULE && line.values <= 1 && line.of_reference.is_some_and(|ratio| ratio <= CLOSE))
        .map(|line| format!("{} on {} ({})", line.rule, line.problem, ratio(line)))
        .collect();
    let others = if better.is_empty() { "no rule".to_owned() } else { better.join(", ") };
    Claim {
        number: 4,
        title: "a quasi-Newton rule sets the learning rate",
        says: "A quasi-Newton method can set the learning rate from the estimate of λ_max while training.",
        test: format!(
            "The rule η = σ/λ_max, and others, beside {reference} with the best learning rate of a grid: final training loss over the reference's."
        ),
        measured: format!("The rule ends at {} times the loss of tuned {reference}.", ratios.join(", ")),
        verdict: format!(
            "It trains without a learning rate on {} of {} problems, as well as the tuned reference on {good}. Of the others without a learning \
             rate, {others} came within 10 % of it or went below.",
            own.iter().filter(|line| line.of_reference.is_some()).count(),
            own.len()
        ),
        table: table(comparison),
        picture: comparison
            .lines
            .iter()
            .any(|line| line.train_loss.is_some())
            .then(|| plot::comparison_figure(comparison).to_svg()),
    }
}

fn ratio(line: &Line) -> String {
    line.of_reference.map_or_else(|| "no end".to_owned(), number)
}

fn table(comparison: &Comparison) -> Vec<Vec<String>> {
    let mean = |mean: Option<Mean>, scale: f64| {
        mean.map_or_else(String::new, |mean| {
            let error = mean.std_error.map(|error| format!(" ± {}", number(scale * error))).unwrap_or_default();
            format!("{}{error}", number(scale * mean.mean))
        })
    };
    let mut table =
        vec![heads(["problem", "rule", "at", "train loss", "of the reference", "test accuracy, %", "g-eq per step"])];
    table.extend(comparison.lines.iter().map(|line| {
        let at = line.value.as_ref().map(|value| format!("{value}, best of {}", line.values)).unwrap_or_default();
        let ends = || format!("{} of {} ended", line.completed, comparison.seeds);
        let loss = if line.train_loss.is_some() { mean(line.train_loss, 1.0) } else { ends() };
        vec![
            line.problem.clone(),
            line.rule.clone(),
            at,
            loss,
            ratio(line),
            mean(line.test_accuracy, 100.0),
            mean(line.cost, 1.0),
        ]
    }));
    table
}
