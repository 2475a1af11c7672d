//! The table of a comparison: each rule on each problem, a reference at the best value of its grid.

use std::fmt::Write;

use serde::Serialize;

use super::{Case, Outcome, Suite};
use crate::text::{aligned_without, statistics::mean_and_spread};

/// Each rule on each problem.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Seeds of every entry.
    pub seeds: u64,
    /// The lines, problem after problem, in the order of the rules.
    pub lines: Vec<Line>,
}

/// One rule on one problem.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The problem.
    pub problem: String,
    /// The rule.
    pub rule: String,
    /// The best value of its grid.
    pub value: Option<String>,
    /// How many values the grid has.
    pub values: usize,
    /// Runs that ended without blowing up, of [`Comparison::seeds`].
    pub completed: usize,
    /// The final loss on the training images: mean and standard error over the seeds.
    pub train_loss: Option<Mean>,
    /// Its mean over that of the first rule.
    pub of_reference: Option<f64>,
    /// The share of test images classified correctly.
    pub test_accuracy: Option<Mean>,
    /// Gradient-equivalents per step.
    pub cost: Option<Mean>,
    /// Steps to the target loss, where every run reached it.
    pub steps: Option<Mean>,
    /// The mean final loss at every value of the grid; `None` where a run blew up.
    pub grid: Vec<(String, Option<Mean>)>,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error; `None` for a single seed.
    pub std_error: Option<f64>,
}

impl Mean {
    fn of(numbers: &[f64]) -> Option<Self> {
        let (mean, spread) = mean_and_spread(numbers)?;
        Some(Self { mean, std_error: spread.map(|spread| spread / (numbers.len() as f64).sqrt()) })
    }

    fn text(&self, scale: f64, decimals: usize) -> String {
        let mean = scale * self.mean;
        match self.std_error {
            Some(error) => format!("{mean:.decimals$} ± {:.decimals$}", scale * error),
            None => format!("{mean:.decimals$}"),
        }
    }
}

impl Comparison {
    /// The table of `outcomes`, one for each case of `suite`; `None` where a run failed.
    pub fn of(suite: &Suite, outcomes: &[Option<Outcome>]) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        for (i, problem) in suite.problems.iter().enumerate() {
            let first = lines.len();
            for (j, rule) in suite.rules.iter().enumerate() {
                let own: Vec<(&Case, &Option<Outcome>)> =
                    suite.cases.iter().zip(outcomes).filter(|(case, _)| (case.problem, case.rule) == (i, j)).collect();
                lines.push(line(problem, rule, &own));
            }
            let reference = lines[first].train_loss.map(|loss| loss.mean);
            for line in &mut lines[first..] {
                line.of_reference = line.train_loss.zip(reference).map(|(loss, reference)| loss.mean / reference);
            }
        }
        Self { seeds: suite.seeds, lines }
    }

    /// The table for a person.
    pub fn to_text(&self) -> String {
        let heads =
            ["rule", "at", "train loss", "of the first", "test accuracy, %", "g-eq per step", "steps to target"];
        let mut text = String::new();
        for problem in self.lines.chunk_by(|a, b| a.problem == b.problem) {
            let mut rows = vec![heads.map(str::to_owned)];
            rows.extend(problem.iter().map(|line| self.cells(line)));
            let _ = writeln!(text, "{}", problem[0].problem);
            for line in aligned_without(&rows, &[], &[3, 5, 6, 1]).lines() {
                let _ = writeln!(text, "  {line}");
            }
            text.push('\n');
        }
        text
    }

    fn cells(&self, line: &Line) -> [String; 7] {
        let text =
            |mean: Option<Mean>, scale, decimals| mean.map_or("—".to_owned(), |mean| mean.text(scale, decimals));
        let train_loss = match line.train_loss {
            Some(loss) => loss.text(1.0, 4),
            None => format!("{} of {} ended", line.completed, self.seeds),
        };
        [
            line.rule.clone(),
            line.value.as_ref().map(|value| format!("{value}, of {}", line.values)).unwrap_or_default(),
            train_loss,
            line.of_reference.map_or("—".to_owned(), |ratio| format!("{ratio:.2}")),
            text(line.test_accuracy, 100.0, 1),
            text(line.cost.map(|cost| Mean { std_error: None, ..cost }), 1.0, 2),
            text(line.steps, 1.0, 0),
        ]
    }

    /// One line per run, for other programs.
    pub fn to_csv(suite: &Suite, outcomes: &[Option<Outcome>]) -> Vec<u8> {
        let mut table = csv::Writer::from_writer(Vec::new());
        for (case, outcome) in suite.cases.iter().zip(outcomes) {
            let outcome = outcome.as_ref();
            let written = table.serialize(Record {
                problem: &suite.problems[case.problem],
                rule: &suite.rules[case.rule],
                value: case.value.as_deref(),
                seed: case.seed,
                outcome: outcome.map_or("failed", |found| found.outcome),
                train_loss: outcome.and_then(|found| found.train_loss),
                test_accuracy: outcome.and_then(|found| found.test_accuracy),
                cost: outcome.and_then(|found| found.cost),
                steps_to_target: outcome.and_then(|found| found.steps),
                run: outcome.map(|found| found.run.as_str()),
            });
            written.expect("memory takes every line");
        }
        table.into_inner().expect("memory takes every line")
    }
}

/// A run of a comparison as a line of a table.
#[derive(Serialize)]
struct Record<'a> {
    problem: &'a str,
    rule: &'a str,
    value: Option<&'a str>,
    seed: u64,
    outcome: &'static str,
    train_loss: Option<f64>,
    test_accuracy: Option<f64>,
    cost: Option<f64>,
    steps_to_target: Option<u64>,
    run: Option<&'a str>,
}

/// The line of one rule on one problem: the value of its grid with the lowest mean loss, among those where every run
/// ended.
fn line(problem: &str, rule: &str, own: &[(&Case, &Option<Outcome>)]) -> Line {
    let groups: Vec<&[(&Case, &Option<Outcome>)]> = own.chunk_by(|a, b| a.0.value == b.0.value).collect();
    let grid: Vec<(String, Option<Mean>)> =
        groups.iter().map(|group| (group[0].0.value.clone().unwrap_or_default(), loss(group))).collect();
    let mean = |k: &usize| grid[*k].1.map_or(f64::INFINITY, |loss| loss.mean);
    let best = (0..groups.len()).min_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap_or(0);
    let of = |number: &dyn Fn(&Outcome) -> Option<f64>| {
        let numbers: Option<Vec<f64>> = groups[best].iter().map(|(_, outcome)| number(outcome.as_ref()?)).collect();
        Mean::of(&numbers?)
    };
    Line {
        problem: problem.to_owned(),
        rule: rule.to_owned(),
        value: groups[best][0].0.value.clone(),
        values: groups.len(),
        completed: groups[best].iter().filter(|(_, o)| o.as_ref().is_some_and(|found| found.completed)).count(),
        train_loss: grid[best].1,
        of_reference: None,
        test_accuracy: of(&|found| found.test_accuracy),
        cost: of(&|found| found.cost),
        steps: of(&|found| found.steps.map(|steps| steps as f64)),
        grid: if groups.len() > 1 { grid } else { Vec::new() },
    }
}

fn loss(group: &[(&Case, &Option<Outcome>)]) -> Option<Mean> {
    let losses: Option<Vec<f64>> = group.iter().map(|(_, outcome)| outcome.as_ref()?.train_loss).collect();
    Mean::of(&losses?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_the_standard_error_of_its_seeds() {
        let mean = Mean::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(mean.mean, 2.0);
        assert!((mean.std_error.unwrap() - (1.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(Mean::of(&[1.0]).unwrap().text(100.0, 1), "100.0");
        assert_eq!(Mean::of(&[]), None);
    }
}
