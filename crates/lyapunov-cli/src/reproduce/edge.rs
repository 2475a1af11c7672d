//! C3 and C5: λ_max is of the order of 1/η, across networks and losses.

use lyapunov::Quantity;

use super::{
    Ended,
    claim::{Claim, heads},
    plateau::{Plateau, REACHED},
};
use crate::{
    show::report::{
        fit::{self, Fit},
        keys,
    },
    stored::StoredRun,
    sweep::Plan,
    text::{
        counted, four_digits,
        statistics::{mean_and_spread, median},
    },
};

/// Of the order of 1/η is what lies between these multiples of it.
const ORDER: std::ops::RangeInclusive<f64> = 0.5..=4.0;

/// A slope this close to −1 is −1, however small its error is.
const CLOSE: f64 = 0.15;

/// Student's t of 95 % for 1, 2, … degrees of freedom.
const STUDENT: [f64; 10] = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/// What a slope says of the claim that it is −1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slope {
    /// It is −1 within its error, and not 0.
    Inverse,
    /// It is not −1.
    Other,
    /// Its error reaches −1 and 0, or is not known.
    Unknown,
}

/// Runs that differ in η and seed only.
struct Group {
    label: String,
    runs: usize,
    /// η and η·λ_max of the runs that succeeded.
    succeeded: Vec<(f64, f64)>,
    fit: Option<Fit>,
    /// Where the sharpness of each run came highest.
    plateaus: Vec<Plateau>,
    /// The line through the plateaus that reached the edge.
    plateau_fit: Option<Fit>,
}

impl Group {
    fn of(label: String, runs: &[&Ended]) -> Self {
        let digests = || runs.iter().map(|run| &run.digest);
        let reading = |digest: &crate::show::report::digest::Digest| {
            let found = digest.reading(Quantity::LambdaMax)?;
            Some((found.learning_rate, found.learning_rate * found.value))
        };
        let succeeded = digests().filter(|digest| digest.succeeded()).filter_map(reading).collect();
        let plateaus: Vec<Plateau> = runs.iter().filter_map(|run| Plateau::of(run)).collect();
        let plateau_fit = through(&plateaus);
        Self { label, runs: runs.len(), succeeded, fit: fit::of_runs(digests()), plateaus, plateau_fit }
    }

    /// How many came to the edge, and how far the rest did.
    fn reached(&self) -> String {
        let reached = self.plateaus.iter().filter(|plateau| plateau.reached()).count();
        let furthest = self.plateaus.iter().map(|plateau| plateau.scaled).reduce(f64::max);
        match furthest {
            None => String::new(),
            Some(furthest) if reached == 0 => format!("never: up to {}", four_digits(furthest)),
            Some(_) => format!("{reached} of {}", self.plateaus.len()),
        }
    }

    fn of_order(&self) -> usize {
        self.succeeded.iter().filter(|(_, edge)| ORDER.contains(edge)).count()
    }

    /// By the interval of 95 % about it.
    fn slope(&self) -> Slope {
        let Some((fit, error)) = self.fit.as_ref().and_then(|fit| Some((fit, fit.std_error?))) else {
            return Slope::Unknown;
        };
        let student = STUDENT.get(fit.count.saturating_sub(3)).copied().unwrap_or(2.0);
        let reaches = |value: f64| (fit.slope - value).abs() <= student * error;
        match (reaches(-1.0), reaches(0.0)) {
            (true, true) => Slope::Unknown,
            (true, false) => Slope::Inverse,
            _ if (fit.slope + 1.0).abs() <= CLOSE => Slope::Inverse,
            _ => Slope::Other,
        }
    }

    fn row(&self) -> Vec<String> {
        let edges = || self.succeeded.iter().map(|(_, edge)| *edge);
        let rates = || self.succeeded.iter().map(|(rate, _)| *rate);
        let range = |least: f64, most: f64| match self.succeeded.len() {
            0 => String::new(),
            1 => four_digits(least),
            _ => format!("{} … {}", four_digits(least), four_digits(most)),
        };
        let least = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(f64::INFINITY, f64::min);
        let most = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, f64::max);
        vec![
            self.label.clone(),
            format!("{} of {}", self.succeeded.len(), self.runs),
            range(least(&mut rates()), most(&mut rates())),
            self.fit.as_ref().map(slope).unwrap_or_default(),
            median(edges().collect()).map(four_digits).unwrap_or_default(),
            range(least(&mut edges()), most(&mut edges())),
            self.reached(),
            self.plateau_fit.as_ref().map(slope).unwrap_or_default(),
            self.plateaus.iter().filter(|plateau| plateau.fitted_before).count().to_string(),
        ]
    }
}

/// The line of log λ_max on the plateaus that reached the edge against log η: one point per rate, the mean over its
/// seeds, so that the scatter about the line has that of the seeds in it.
fn through(plateaus: &[Plateau]) -> Option<Fit> {
    let reached: Vec<&Plateau> = plateaus.iter().filter(|plateau| plateau.reached()).collect();
    let mut rates: Vec<f64> = reached.iter().map(|plateau| plateau.rate).collect();
    rates.sort_by(f64::total_cmp);
    // Rates that differ in their last bits are one.
    rates.dedup_by(|a, b| (*a / *b - 1.0).abs() < 1e-6);
    let point = |rate: &f64| {
        let own = reached.iter().filter(|plateau| (plateau.rate / rate - 1.0).abs() < 1e-6);
        let logs: Vec<f64> = own.map(|plateau| (plateau.scaled / plateau.rate).ln()).collect();
        mean_and_spread(&logs).map(|(mean, _)| (*rate, mean.exp()))
    };
    Fit::through(&rates.iter().filter_map(point).collect::<Vec<_>>())
}

/// A slope with its error.
fn slope(fit: &Fit) -> String {
    let error = fit.std_error.map(|error| format!(" ± {}", four_digits(error))).unwrap_or_default();
    format!("{}{error} (n = {})", four_digits(fit.slope), fit.count)
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
        "reached the edge",
        "slope on these plateaus",
        "fitted before",
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
        Some(middle) => {
            format!(
                "Where training succeeds ({} of {}), η·λ_max has the median {}; it lies between ½ and 4 in {of_order} of \
                them.",
                succeeded.len(),
                counted(plan.runs.len(), "run"),
                four_digits(middle)
            ) + &plateaus(groups)
        }
    };
    let rates = |outside: &dyn Fn(f64) -> bool| -> Vec<f64> {
        succeeded.iter().filter(|(_, edge)| outside(*edge)).map(|(rate, _)| *rate).collect()
    };
    let (low, high) = (rates(&|edge| edge < *ORDER.start()), rates(&|edge| edge > *ORDER.end()));
    let verdict = match (succeeded.len(), low.len() + high.len()) {
        (0, _) => "Undecided.".to_owned(),
        (_, 0) => "It holds in every run that succeeds.".to_owned(),
        _ => format!(
            "Outside are {} below ½{}, and {} above 4{}.",
            counted(low.len(), "run"),
            low.iter()
                .copied()
                .reduce(f64::max)
                .map(|rate| format!(", at η up to {}", four_digits(rate)))
                .unwrap_or_default(),
            high.len(),
            high.iter()
                .copied()
                .reduce(f64::min)
                .map(|rate| format!(", at η from {} up", four_digits(rate)))
                .unwrap_or_default()
        ),
    };
    Claim {
        number: 3,
        title: "SGD travels where λ_max is of the order of 1/η",
        says: "Over a large range of learning rates SGD travels where the largest eigenvalue is of the order of 1/η.",
        test: format!(
            "λ_max of the mini-batch over the last fifth of each run; a run succeeds where its loss ends at four \
            fifths of the first or less. The plateau is where the median of η·λ_max over a fifth of the readings is \
            highest: with cross-entropy the sharpness falls once the images are fitted. The edge is reached where that \
            is {REACHED} or more; a run fits before where it is less and the loss ends at a tenth of the first."
        ),
        measured,
        verdict,
        table,
        picture: None,
    }
}

/// What the plateaus say: a sentence, where there are any.
fn plateaus(groups: &[Group]) -> String {
    let all = || groups.iter().flat_map(|group| &group.plateaus);
    let Some(middle) = median(all().filter(|plateau| plateau.reached()).map(|plateau| plateau.scaled).collect()) else {
        return String::new();
    };
    let reached = all().filter(|plateau| plateau.reached()).count();
    let never: Vec<&str> = groups
        .iter()
        .filter(|group| !group.plateaus.is_empty() && !group.plateaus.iter().any(Plateau::reached))
        .map(|group| group.label.as_str())
        .collect();
    let never = if never.is_empty() { String::new() } else { format!(" Never there: {}.", never.join("; ")) };
    format!(
        " On its plateau η·λ_max is at least {REACHED} in {reached} of {}, with the median {}.{never}",
        counted(all().count(), "run"),
        four_digits(middle)
    )
}

fn breadth(groups: &[Group], table: Vec<Vec<String>>) -> Claim {
    let of = |slope: Slope| -> Vec<&str> {
        groups.iter().filter(|group| group.slope() == slope).map(|group| group.label.as_str()).collect()
    };
    let (inverse, others, unknown) = (of(Slope::Inverse), of(Slope::Other), of(Slope::Unknown));
    let slopes = || groups.iter().filter_map(|group| group.fit.as_ref()).map(|fit| fit.slope);
    let measured = if slopes().next().is_none() {
        "No group has two learning rates at which training succeeds: there is no slope.".to_owned()
    } else {
        let (least, most) = (slopes().fold(f64::INFINITY, f64::min), slopes().fold(f64::NEG_INFINITY, f64::max));
        format!(
            "The slope of log λ_max against log η lies between {} and {}. By its interval of 95 % (Student's t) it is \
                −1 in {} of {} groups of \
             network and loss, another number in {}, and undecided in {}.",
            four_digits(least),
            four_digits(most),
            inverse.len(),
            groups.len(),
            others.len(),
            unknown.len()
        )
    };
    let named = |parts: &str, labels: &[&str]| match labels {
        [] => String::new(),
        labels => format!("{parts} {}. ", labels.join("; ")),
    };
    let verdict = if inverse.is_empty() && others.is_empty() {
        "Undecided.".to_owned()
    } else {
        let parts =
            [named("It holds for", &inverse), named("It does not hold for", &others), named("Undecided:", &unknown)];
        parts.concat().trim_end().to_owned()
    };
    Claim {
        number: 5,
        title: "all this holds across architectures and losses",
        says: "All this holds across architectures and losses on CIFAR-10.",
        test: "The same runs, network by network and loss by loss: a line through log λ_max against log η where \
            training succeeds."
            .to_owned(),
        measured,
        verdict,
        table,
        picture: None,
    }
}
