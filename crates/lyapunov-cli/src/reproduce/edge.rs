//! C3: λ_max is of the order of 1/η.

use lyapunov::Quantity;

use super::{
    Ended,
    claim::{Claim, Finding, Outcome, heads},
    plateau::{BATCH, Plateau, REACHED},
    seeds::by_rate_in_logarithms,
};
use crate::{
    show::{
        plot,
        report::{
            digest::{Digest, Reading},
            fit::Fit,
            keys,
        },
    },
    stored::StoredRun,
    sweep::Plan,
    text::{counted, four_digits, statistics::median},
};

/// Of the order of 1/η is what lies between these multiples of it.
const ORDER: std::ops::RangeInclusive<f64> = 0.5..=4.0;

/// What is found of each group.
const ORDER_HOLDS: &str = "η·λ_max between ½ and 4 where training succeeds";
const SLOPE_HOLDS: &str = "slope −1 over the rates that reached the edge";

/// A slope this close to −1 is −1, however small its error is.
const CLOSE: f64 = 0.15;

/// An interval wider than this to each side says nothing of a slope.
const WIDE: f64 = 0.5;

/// What a slope says of the claim that it is −1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slope {
    /// It is −1 within its interval of 95 %, or close.
    Inverse,
    /// It is not −1.
    Other,
    /// Its interval is too wide, or not known.
    Unknown,
}

/// Runs that differ in η and seed only.
struct Group {
    label: String,
    network: String,
    loss: String,
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
        let reading = |digest: &Digest| {
            let own = |reading: &&Reading| reading.quantity == Quantity::LambdaMax.name() && reading.on == BATCH;
            let found = digest.readings.iter().find(own)?;
            Some((found.learning_rate, found.learning_rate * found.value))
        };
        let succeeded: Vec<(f64, f64)> = digests().filter(|digest| digest.succeeded()).filter_map(reading).collect();
        let fit = through(succeeded.iter().copied());
        let plateaus: Vec<Plateau> = runs.iter().filter_map(|run| Plateau::of(run)).collect();
        let reached = plateaus.iter().filter(|plateau| plateau.reached());
        let plateau_fit = through(reached.map(|plateau| (plateau.rate, plateau.scaled)));
        let loss = runs.first().map(|run| keys::value(&run.run, "loss.name")).unwrap_or_default();
        let network = label.split(" · ").filter(|part| *part != loss).collect::<Vec<_>>().join(" · ");
        Self { label, network, loss, runs: runs.len(), succeeded, fit, plateaus, plateau_fit }
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

    /// Of the line through the plateaus that reached the edge.
    fn slope(&self) -> Slope {
        let Some((fit, half)) = self.plateau_fit.as_ref().and_then(|fit| Some((fit, fit.half_width()?))) else {
            return Slope::Unknown;
        };
        match (fit.slope + 1.0).abs() {
            distance if distance <= CLOSE && half <= WIDE => Slope::Inverse,
            _ if half > WIDE => Slope::Unknown,
            distance if distance <= half => Slope::Inverse,
            _ => Slope::Other,
        }
    }

    /// The median of λ_max of a fixed subset over that of the batch, on the plateaus that have both.
    fn subset_share(&self) -> Option<f64> {
        median(self.plateaus.iter().filter_map(|plateau| plateau.subset_share).collect())
    }

    fn findings(&self) -> [Finding; 2] {
        let on = self.label.clone();
        let (held, all) = (self.of_order(), self.succeeded.len());
        let middle = median(self.succeeded.iter().map(|(_, edge)| *edge).collect());
        let number = middle.map_or_else(
            || "no run succeeds".to_owned(),
            |middle| format!("{held} of {}, median {}", counted(all, "run"), four_digits(middle)),
        );
        let order = Finding { what: ORDER_HOLDS, on: on.clone(), outcome: Outcome::of(held, all), number };
        let outcome = match self.slope() {
            Slope::Inverse => Outcome::Holds,
            Slope::Other => Outcome::Fails,
            Slope::Unknown => Outcome::Undecided,
        };
        let number = self.plateau_fit.as_ref().map_or_else(|| self.reached(), slope);
        [order, Finding { what: SLOPE_HOLDS, on, outcome, number }]
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
            self.subset_share().map(four_digits).unwrap_or_default(),
        ]
    }
}

/// The line of log λ_max against log η, through η and η·λ_max: one point per rate, the mean over its seeds, so that the
/// scatter about the line has that of the seeds in it.
fn through(points: impl Iterator<Item = (f64, f64)>) -> Option<Fit> {
    let points = by_rate_in_logarithms(points.map(|(rate, scaled)| (rate, scaled / rate)));
    Fit::through(&points.iter().map(|point| (point.rate, point.mean)).collect::<Vec<_>>())
}

/// A slope with the interval of 95 % about it.
fn slope(fit: &Fit) -> String {
    let interval = fit.half_width().map(|half| format!(" ± {}", four_digits(half))).unwrap_or_default();
    format!("{}{interval} (n = {})", four_digits(fit.slope), fit.count)
}

/// The claim, by the runs of its sweep.
pub fn claim(plan: &Plan, runs: &[Ended]) -> Claim {
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
        "λ_max of the subset over the batch's",
    ])];
    table.extend(groups.iter().map(Group::row));
    order(plan, &groups, table)
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
                + &slopes(groups)
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
            is {REACHED} or more; a run fits before where it is less and the loss ends at a tenth of the first. Slopes \
            come with intervals of 95 % (Student's t): a point per rate, the mean over its seeds, whose scatter about \
            the line has that of the seeds in it."
        ),
        measured,
        verdict,
        table,
        picture: picture(groups),
        findings: groups.iter().flat_map(Group::findings).collect(),
    }
}

/// What the slopes of the plateaus say: a sentence, where there are any.
fn slopes(groups: &[Group]) -> String {
    let count = |slope: Slope| groups.iter().filter(|group| group.slope() == slope).count();
    let (inverse, others) = (count(Slope::Inverse), count(Slope::Other));
    if inverse + others == 0 {
        return String::new();
    }
    format!(
        " Over the rates that reached it, the slope of log λ_max against log η is −1 within its interval of 95 %, or as close as .15, in \
        {inverse} of {} groups of network and loss, another number in {others}, and undecided in {}.",
        groups.len(),
        count(Slope::Unknown)
    )
}

/// The heights of the plateaus, network by network.
fn picture(groups: &[Group]) -> Option<String> {
    let mut panels: Vec<(String, Vec<plot::RateCurve>)> = Vec::new();
    for group in groups.iter().filter(|group| !group.plateaus.is_empty()) {
        let points =
            by_rate_in_logarithms(group.plateaus.iter().map(|plateau| (plateau.rate, plateau.scaled / plateau.rate)));
        let points = points.iter().map(|point| (point.rate, [point.least, point.mean, point.most])).collect();
        let curve = plot::RateCurve { label: group.loss.clone(), points };
        match panels.last_mut().filter(|(network, _)| *network == group.network) {
            Some((_, curves)) => curves.push(curve),
            None => panels.push((group.network.clone(), vec![curve])),
        }
    }
    (!panels.is_empty()).then(|| plot::edge_figure(&panels).to_svg())
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
