//! C2: the largest eigenvalue is estimated cheaply along the run.

use std::collections::BTreeMap;

use lyapunov::Quantity;

use super::{
    Ended,
    claim::{Claim, Finding, Outcome, heads},
};
use crate::{
    show::{
        plot::{self, EstimateCurve},
        report::keys,
    },
    store::SharpnessPoint,
    stored::StoredRun,
    text::{four_digits, statistics::quantile},
};

/// The keys by which estimators differ.
const ESTIMATOR: &str = "measure.estimator";
const PRODUCTS: &str = "measure.products";
const PRODUCT: &str = "measure.product";
const TRAJECTORY: &str = "nearby-trajectory";
const READING: &str = "measure.reading";

/// Errors below this count as cheap and right.
const RIGHT: f64 = 0.05;

/// A way to estimate; the burst with the most products is the reference of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Estimator {
    /// So many products at one place.
    Burst(u64),
    /// One perturbation carried along: the product that moves it, and what is read.
    Nearby { product: String, reading: String },
}

impl Estimator {
    fn of(run: &Ended) -> Self {
        let text = |key: &str| run.run.key(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        if text(ESTIMATOR) == TRAJECTORY {
            let product = if text(PRODUCT) == "difference" { "difference" } else { "exact" };
            return Self::Nearby { product: product.to_owned(), reading: text(READING) };
        }
        Self::Burst(run.run.key(PRODUCTS).and_then(serde_json::Value::as_u64).unwrap_or(0))
    }

    fn products(&self) -> u64 {
        if let Self::Burst(products) = self { *products } else { 0 }
    }

    fn label(&self) -> String {
        match self {
            Self::Burst(products) => products.to_string(),
            Self::Nearby { product, reading } => format!("nearby, {product}: {reading}"),
        }
    }
}

/// One estimator on one problem.
struct EstimatorErrors {
    problem: String,
    estimator: Estimator,
    /// Relative errors, sorted.
    errors: Vec<f64>,
    /// For every seed, g-eq of one measurement after the first, and of all of them per step.
    costs: Vec<(f64, f64)>,
}

impl EstimatorErrors {
    /// Both, on average over the seeds.
    fn cost(&self) -> (f64, f64) {
        let count = self.costs.len().max(1) as f64;
        let sum = self.costs.iter().fold((0.0, 0.0), |sum, cost| (sum.0 + cost.0, sum.1 + cost.1));
        (sum.0 / count, sum.1 / count)
    }
}

/// The claim, by the runs of its sweep.
pub fn claim(runs: &[Ended]) -> Claim {
    // Runs that differ in their products only, and these by what they are but for the seed.
    let ended: Vec<&Ended> = runs.iter().filter(|run| run.completed()).collect();
    let stored: Vec<&StoredRun> = ended.iter().map(|run| &run.run).collect();
    let labels = keys::groups(&stored, &keys::differing(&stored));
    let mut twins: BTreeMap<(&String, u64), Vec<&Ended>> = BTreeMap::new();
    for (label, run) in labels.iter().zip(&ended) {
        twins.entry((label, run.run.manifest.seed)).or_default().push(run);
    }
    let mut problems: BTreeMap<&String, Vec<&Vec<&Ended>>> = BTreeMap::new();
    for ((label, _), runs) in &twins {
        problems.entry(label).or_default().push(runs);
    }
    let found: Vec<EstimatorErrors> = problems.iter().flat_map(|(name, twins)| compared(name, twins)).collect();
    let mut table = vec![heads([
        "problem",
        "products, or trajectory",
        "median error",
        "90 % below",
        "worst",
        "g-eq per measurement",
        "g-eq per step",
    ])];
    table.extend(found.iter().map(row));
    let several = || twins.values().filter(|runs| runs.len() > 1);
    let same = several().filter(|runs| runs.windows(2).all(|pair| losses(pair[0]) == losses(pair[1]))).count();
    let five: Vec<&EstimatorErrors> = found.iter().filter(|found| found.estimator == Estimator::Burst(5)).collect();
    let worst =
        |of: &dyn Fn(&EstimatorErrors) -> Option<f64>| five.iter().filter_map(|found| of(found)).fold(0.0, f64::max);
    let measured = if five.iter().all(|found| found.errors.is_empty()) {
        "No run has ended that could be compared.".to_owned()
    } else {
        format!(
            "Five products a time: median errors up to {} %, nine in ten below {} %, at most {} g-eq per measurement.",
            four_digits(100.0 * worst(&|found| quantile(&found.errors, 0.5))),
            four_digits(100.0 * worst(&|found| quantile(&found.errors, 0.9))),
            four_digits(worst(&|found| Some(found.cost().0)))
        ) + &nearby(&found)
    };
    Claim {
        number: 2,
        title: "the largest eigenvalue is cheap",
        says: "The same idea with its sign flipped gives a cheap estimate of the largest eigenvalue while training \
            goes on.",
        test:
            "λ_max of the mini-batch by a few products from the last vector and the gradient, and by one perturbation \
            that is carried along the run (the paper's way), beside many products at the same weights of the same run."
                .to_owned(),
        measured,
        verdict: format!(
            "{} The losses of runs that measure more or less are the same, bit for bit, in {same} of {} comparisons.",
            verdict(&found),
            several().count()
        ),
        table,
        picture: picture(&found),
        findings: found.iter().filter_map(finding).collect(),
    }
}

/// What became of the claim on a problem, by five products or by a trajectory.
fn finding(found: &EstimatorErrors) -> Option<Finding> {
    let what = match &found.estimator {
        Estimator::Burst(5) => "five products a time are right to 5 %",
        Estimator::Nearby { .. } => "a nearby trajectory is right to 5 %",
        Estimator::Burst(_) => return None,
    };
    let middle = quantile(&found.errors, 0.5)?;
    let outcome = if middle <= RIGHT { Outcome::Holds } else { Outcome::Fails };
    let trajectory = match &found.estimator {
        Estimator::Burst(_) => String::new(),
        Estimator::Nearby { product, reading } => format!(" ({product}: {reading})"),
    };
    let on = format!("{}{trajectory}", found.problem);
    let number =
        format!("median error {} % at {} g-eq per step", four_digits(100.0 * middle), four_digits(found.cost().1));
    Some(Finding { what, on, outcome, number })
}

/// What the trajectories came to: a sentence, where there are any.
fn nearby(found: &[EstimatorErrors]) -> String {
    let own = || found.iter().filter(|found| matches!(found.estimator, Estimator::Nearby { .. }));
    let mut middles: Vec<f64> = own().filter_map(|found| quantile(&found.errors, 0.5)).collect();
    middles.sort_by(f64::total_cmp);
    let [Some(least), Some(most)] = [middles.first(), middles.last()] else { return String::new() };
    let right = middles.iter().filter(|middle| **middle <= RIGHT).count();
    format!(
        " One perturbation carried along: median errors from {} to {} %, at most 5 % in {right} of {} cases.",
        four_digits(100.0 * least),
        four_digits(100.0 * most),
        middles.len()
    )
}

fn picture(found: &[EstimatorErrors]) -> Option<String> {
    let panel = |own: &[EstimatorErrors]| {
        let point = |found: &EstimatorErrors| Some((found.cost().1, quantile(&found.errors, 0.5)?));
        let (bursts, nearby): (Vec<_>, Vec<_>) =
            own.iter().partition(|found| matches!(found.estimator, Estimator::Burst(_)));
        let mut points: Vec<(f64, f64)> = bursts.into_iter().filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let names: Vec<u64> =
            own.iter().map(|found| found.estimator.products()).filter(|products| *products > 0).collect();
        let names = names.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let bursts = EstimateCurve { label: format!("{names} products"), points };
        let nearby = nearby
            .into_iter()
            .map(|found| EstimateCurve { label: found.estimator.label(), points: point(found).into_iter().collect() });
        (own[0].problem.clone(), [bursts].into_iter().chain(nearby).collect::<Vec<_>>())
    };
    let panels: Vec<_> = found.chunk_by(|a, b| a.problem == b.problem).map(panel).collect();
    (!panels.is_empty()).then(|| plot::estimate_figure(&panels).to_svg())
}

fn verdict(found: &[EstimatorErrors]) -> &'static str {
    let typical = |products: u64| {
        let own = found.iter().filter(|found| found.estimator == Estimator::Burst(products));
        own.filter_map(|found| quantile(&found.errors, 0.5)).reduce(f64::max)
    };
    let (Some(one), Some(five)) = (typical(1), typical(5)) else { return "Undecided." };
    match (one <= RIGHT, five <= RIGHT) {
        (true, true) => "It holds, and one product a time is enough here.",
        (false, true) => "It holds with a few products a time; one alone is not enough everywhere.",
        _ => "It does not hold on all problems: five products a time leave more than 5 %.",
    }
}

/// Every estimator beside the burst with the most products, over all seeds.
fn compared(name: &str, twins: &[&Vec<&Ended>]) -> Vec<EstimatorErrors> {
    let mut found: BTreeMap<Estimator, EstimatorErrors> = BTreeMap::new();
    for runs in twins {
        let Some(reference) = runs.iter().max_by_key(|run| Estimator::of(run).products()) else { continue };
        let best: BTreeMap<u64, f64> = points(reference).iter().map(|point| (point.step, point.value)).collect();
        for run in runs.iter().filter(|run| Estimator::of(run) != Estimator::of(reference)) {
            let estimator = Estimator::of(run);
            let (problem, own) = (name.to_owned(), estimator.clone());
            let fresh = || EstimatorErrors { problem, estimator: own, errors: Vec::new(), costs: Vec::new() };
            let entry = found.entry(estimator).or_insert_with(fresh);
            // The first measurement starts from nothing and takes twice as many products.
            let later = points(run).get(1..).unwrap_or_default();
            let relative = |point: &SharpnessPoint| {
                let exact = best.get(&point.step).filter(|exact| **exact != 0.0)?;
                Some((point.value - exact).abs() / exact.abs())
            };
            entry.errors.extend(later.iter().filter_map(relative));
            let each = later.iter().map(|point| point.cost).sum::<f64>() / later.len().max(1) as f64;
            entry.costs.push((each, run.run.manifest.measuring_cost.unwrap_or(0.0)));
        }
    }
    let mut found: Vec<EstimatorErrors> = found.into_values().collect();
    for one in &mut found {
        one.errors.sort_by(f64::total_cmp);
    }
    found
}

fn points(run: &Ended) -> &[SharpnessPoint] {
    let series = run.history.sharpness.iter().find(|series| series.quantity == Quantity::LambdaMax.name());
    series.map_or(&[], |series| &series.points)
}

fn losses(run: &Ended) -> Vec<Option<u64>> {
    run.history.rows.iter().map(|row| row.loss.map(f64::to_bits)).collect()
}

fn row(found: &EstimatorErrors) -> Vec<String> {
    let percent = |share: f64| quantile(&found.errors, share).map(|error| format!("{} %", four_digits(100.0 * error)));
    let percent = |share: f64| percent(share).unwrap_or_default();
    vec![
        found.problem.clone(),
        found.estimator.label(),
        percent(0.5),
        percent(0.9),
        percent(1.0),
        four_digits(found.cost().0),
        four_digits(found.cost().1),
    ]
}
