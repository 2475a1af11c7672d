//! C3 and C5: λ_max is of the order of 1/η, across networks and losses.

use super::{
    Ended,
    claim::{Claim, heads},
    median,
};
use crate::{
    report::{
        fit::{self, Fit},
        keys, number,
    },
    stored::StoredRun,
    sweep::Plan,
};

/// Of the order of 1/η is what lies between these multiples of it.
const ORDER: std::ops::RangeInclusive<f64> = 0.5..=4.0;

/// A slope of −1 is one that lies within two standard errors of it, or this close.
const CLOSE: f64 = 0.15;

/// Runs that differ in η and seed only.
struct Group {
    label: String,
    runs: usize,
    /// η and η·λ_max of the runs that succeeded.
    succeeded: Vec<(f64, f64)>,
    fit: Option<Fit>,
}

impl Group {
    fn of(label: String, runs: &[&Ended]) -> Self {
        let digests = || runs.iter().map(|run| &run.digest);
        let reading = |digest: &crate::report::digest::Digest| {
            let found = digest.reading("lambda_max")?;
            Some((found.learning_rate, found.learning_rate * found.value))
        };
        let succeeded = digests().filter(|digest| digest.succeeded()).filter_map(reading).collect();
        Self { label, runs: runs.len(), succeeded, fit: fit::of_runs(digests()) }
    }

    fn of_order(&self) -> usize {
        self.succeeded.iter().filter(|(_, edge)| ORDER.contains(edge)).count()
    }

    /// Whether its slope is −1; `None` where it has none with an error.
    fn is_inverse(&self) -> Option<bool> {
        let fit = self.fit.as_ref()?;
        Some((fit.slope + 1.0).abs() <= CLOSE.max(2.0 * fit.std_error?))
    }

    fn row(&self) -> Vec<String> {
        let edges = || self.succeeded.iter().map(|(_, edge)| *edge);
        let rates = || self.succeeded.iter().map(|(rate, _)| *rate);
        let range = |least: f64, most: f64| match self.succeeded.len() {
            0 => String::new(),
            1 => number(least),
            _ => format!("{} … {}", number(least), number(most)),
        };
        let least = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(f64::INFINITY, f64::min);
        let most = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, f64::max);
        vec![
            self.label.clone(),
            format!("{} of {}", self.succeeded.len(), self.runs),
            range(least(&mut rates()), most(&mut rates())),
            self.fit.as_ref().map(slope).unwrap_or_default(),
            median(edges().collect()).map(number).unwrap_or_default(),
            range(least(&mut edges()), most(&mut edges())),
        ]
    }
}

/// A slope with its error.
fn slope(fit: &Fit) -> String {
    let error = fit.std_error.map(|error| format!(" ± {}", number(error))).unwrap_or_default();
    format!("{}{error} (n = {})", number(fit.slope), fit.count)
}

/// Both claims, by the runs of their sweep.
pub fn claims(plan: &Plan, runs: &[Ended]) -> [Claim; 2] {
    let groups = grouped(runs);
    let mut table = vec![heads([
        "network, loss",
        "training succeeds",
        "η",
        "slope of log λ_max against log η",
        "median of η·λ_max",
        "η·λ_max",
    ])];
    table.extend(groups.iter().map(Group::row));
    [order(plan, &groups, table.clone()), breadth(&groups, table)]
}

fn grouped(runs: &[Ended]) -> Vec<Group> {
    let stored: Vec<&StoredRun> = runs.iter().map(|run| &run.run).collect();
    let labels = keys::groups(&stored, &keys::differing(&stored));
    let mut names: Vec<&String> = Vec::new();
    for label in &labels {
        if !names.contains(&label) {
            names.push(label);
        }
    }
    let own = |name: &String| -> Vec<&Ended> {
        labels.iter().zip(runs).filter(|(label, _)| *label == name).map(|(_, run)| run).collect()
    };
    names.iter().map(|name| Group::of((*name).clone(), &own(name))).collect()
}

fn order(plan: &Plan, groups: &[Group], table: Vec<Vec<String>>) -> Claim {
    let succeeded: Vec<(f64, f64)> = groups.iter().flat_map(|group| group.succeeded.clone()).collect();
    let of_order = groups.iter().map(Group::of_order).sum::<usize>();
    let middle = median(succeeded.iter().map(|(_, edge)| *edge).collect());
    let measured = match middle {
        None => "No run succeeded: nothing can be said.".to_owned(),
        Some(middle) => format!(
            "Where training succeeds ({} of {} runs), η·λ_max has the median {}; it lies between ½ and 4 in {of_order} of them.",
            succeeded.len(),
            plan.runs.len(),
            number(middle)
        ),
    };
    let rates = |outside: &dyn Fn(f64) -> bool| -> Vec<f64> {
        succeeded.iter().filter(|(_, edge)| outside(*edge)).map(|(rate, _)| *rate).collect()
    };
    let (low, high) = (rates(&|edge| edge < *ORDER.start()), rates(&|edge| edge > *ORDER.end()));
    let verdict = match (succeeded.len(), low.len() + high.len()) {
        (0, _) => "Undecided.".to_owned(),
        (_, 0) => "It holds in every run that succeeds.".to_owned(),
        _ => format!(
            "Outside are {} runs below ½{}, and {} above 4{}.",
            low.len(),
            low.iter()
                .copied()
                .reduce(f64::max)
                .map(|rate| format!(", at η up to {}", number(rate)))
                .unwrap_or_default(),
            high.len(),
            high.iter()
                .copied()
                .reduce(f64::min)
                .map(|rate| format!(", at η from {} up", number(rate)))
                .unwrap_or_default()
        ),
    };
    Claim {
        number: 3,
        title: "SGD travels where λ_max is of the order of 1/η",
        says: "Over a large range of learning rates SGD travels where the largest eigenvalue is of the order of 1/η.",
        test: "λ_max of the mini-batch over the last fifth of each run; a run succeeds where its loss ends at four fifths of the first or less.".to_owned(),
        measured,
        verdict,
        table,
        picture: None,
    }
}

fn breadth(groups: &[Group], table: Vec<Vec<String>>) -> Claim {
    let known: Vec<(&Group, bool)> = groups.iter().filter_map(|group| Some((group, group.is_inverse()?))).collect();
    let slopes = || known.iter().filter_map(|(group, _)| group.fit.as_ref()).map(|fit| fit.slope);
    let inverse = known.iter().filter(|(_, inverse)| *inverse).count();
    let others: Vec<&str> =
        known.iter().filter(|(_, inverse)| !inverse).map(|(group, _)| group.label.as_str()).collect();
    let unknown: Vec<&str> =
        groups.iter().filter(|group| group.is_inverse().is_none()).map(|group| group.label.as_str()).collect();
    let measured = if known.is_empty() {
        "No group has three learning rates at which training succeeds: no slope has an error.".to_owned()
    } else {
        let (least, most) = (slopes().fold(f64::INFINITY, f64::min), slopes().fold(f64::NEG_INFINITY, f64::max));
        format!(
            "The slope of log λ_max against log η lies between {} and {} in {} groups of network and loss; it is −1 within two standard errors, \
             or within .15, in {inverse} of them.",
            number(least),
            number(most),
            known.len()
        )
    };
    let known_verdict = match (inverse, others.len()) {
        (0, _) => "It holds nowhere.".to_owned(),
        (_, 0) => "It holds in every group that has a slope.".to_owned(),
        _ => format!("It does not hold for {}.", others.join("; ")),
    };
    let verdict = match &unknown[..] {
        [] => known_verdict,
        unknown => format!("{known_verdict} Too few learning rates train in: {}.", unknown.join("; ")),
    };
    Claim {
        number: 5,
        title: "all this holds across architectures and losses",
        says: "All this holds across architectures and losses on CIFAR-10.",
        test: "The same runs, network by network and loss by loss: a line through log λ_max against log η where training succeeds.".to_owned(),
        measured,
        verdict,
        table,
        picture: None,
    }
}
