//! C2: the largest eigenvalue is estimated cheaply along the run.

use std::collections::BTreeMap;

use lyapunov::Quantity;

use super::{
    Ended,
    claim::{Claim, heads},
};
use crate::{
    store::SharpnessPoint,
    sweep::{Plan, short},
    text::{four_digits, statistics::quantile},
};

/// The key whose largest value is the reference of the others.
const PRODUCTS: &str = "measure.products";

/// One number of products on one problem.
struct EstimatorErrors {
    problem: String,
    products: u64,
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
pub fn claim(plan: &Plan, runs: &[Ended]) -> Claim {
    // Runs that differ in their products only, and these by what they are but for the seed.
    let mut twins: BTreeMap<String, Vec<&Ended>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.completed()) {
        twins.entry(problem(plan, run, true)).or_default().push(run);
    }
    let mut problems: BTreeMap<String, Vec<&Vec<&Ended>>> = BTreeMap::new();
    for runs in twins.values() {
        problems.entry(problem(plan, runs[0], false)).or_default().push(runs);
    }
    let found: Vec<EstimatorErrors> = problems.iter().flat_map(|(name, twins)| compared(name, twins)).collect();
    let mut table = vec![heads([
        "problem",
        "products",
        "median error",
        "90 % below",
        "worst",
        "g-eq per measurement",
        "g-eq per step",
    ])];
    table.extend(found.iter().map(row));
    let several = || twins.values().filter(|runs| runs.len() > 1);
    let same = several().filter(|runs| runs.windows(2).all(|pair| losses(pair[0]) == losses(pair[1]))).count();
    let five: Vec<&EstimatorErrors> = found.iter().filter(|found| found.products == 5).collect();
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
        )
    };
    Claim {
        number: 2,
        title: "the largest eigenvalue is cheap",
        says: "The same idea with its sign flipped gives a cheap estimate of the largest eigenvalue while training \
            goes on.",
        test: "λ_max of the mini-batch by a few products from the last vector and the gradient, beside many products \
            at the same weights of the \
               same run."
            .to_owned(),
        measured,
        verdict: format!(
            "{} The losses of runs that measure more or less are the same, bit for bit, in {same} of {} comparisons.",
            verdict(&found),
            several().count()
        ),
        table,
        picture: None,
    }
}

fn verdict(found: &[EstimatorErrors]) -> &'static str {
    let typical = |products: u64| {
        let own = found.iter().filter(|found| found.products == products);
        own.filter_map(|found| quantile(&found.errors, 0.5)).reduce(f64::max)
    };
    let (Some(one), Some(five)) = (typical(1), typical(5)) else { return "Undecided." };
    match (one < 0.05, five < 0.05) {
        (true, true) => "It holds, and one product a time is enough here.",
        (false, true) => "It holds with a few products a time; one alone is not enough everywhere.",
        _ => "It does not hold on all problems: five products a time leave more than 5 %.",
    }
}

/// What a run is, but for the products; without the seed, where seeds are pooled.
fn problem(plan: &Plan, run: &Ended, seeds: bool) -> String {
    let shown = |key: &&String| key.as_str() != PRODUCTS && (seeds || short(key) != "seed");
    let named = plan.keys.iter().zip(&run.values).filter(|(key, _)| shown(key));
    named.map(|(_, value)| value.trim_matches('"')).collect::<Vec<_>>().join(", ")
}

/// Every number of products but the largest, beside that, over all seeds.
fn compared(name: &str, twins: &[&Vec<&Ended>]) -> Vec<EstimatorErrors> {
    let mut found: BTreeMap<u64, EstimatorErrors> = BTreeMap::new();
    for runs in twins {
        let Some(reference) = runs.iter().max_by_key(|run| products(run)) else { continue };
        let best: BTreeMap<u64, f64> = points(reference).iter().map(|point| (point.step, point.value)).collect();
        for run in runs.iter().filter(|run| products(run) < products(reference)) {
            let fresh = || EstimatorErrors {
                problem: name.to_owned(),
                products: products(run),
                errors: Vec::new(),
                costs: Vec::new(),
            };
            let entry = found.entry(products(run)).or_insert_with(fresh);
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

fn products(run: &Ended) -> u64 {
    run.run.key(PRODUCTS).and_then(serde_json::Value::as_u64).unwrap_or(0)
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
        found.products.to_string(),
        percent(0.5),
        percent(0.9),
        percent(1.0),
        four_digits(found.cost().0),
        four_digits(found.cost().1),
    ]
}
