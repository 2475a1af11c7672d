//! C2: the largest eigenvalue is estimated cheaply along the run.

use std::collections::BTreeMap;

use super::{
    Ended,
    claim::{Claim, heads},
    quantile,
};
use crate::{
    report::number,
    store::SharpnessPoint,
    sweep::{Plan, short},
};

/// The key whose largest value is the reference of the others.
const PRODUCTS: &str = "measure.products";

/// One number of products on one problem.
struct Found {
    problem: String,
    products: u64,
    /// Relative errors, sorted.
    errors: Vec<f64>,
    /// g-eq of one measurement after the first, and of all of them per step.
    cost: (f64, f64),
}

/// The claim, by the runs of its sweep.
pub fn claim(plan: &Plan, runs: &[Ended]) -> Claim {
    let mut problems: BTreeMap<String, Vec<&Ended>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.completed()) {
        problems.entry(problem(plan, run)).or_default().push(run);
    }
    let found: Vec<Found> = problems.iter().flat_map(|(name, runs)| compared(name, runs)).collect();
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
    let same = problems.values().filter(|runs| runs.windows(2).all(|pair| losses(pair[0]) == losses(pair[1]))).count();
    let five: Vec<&Found> = found.iter().filter(|found| found.products == 5).collect();
    let worst = |of: &dyn Fn(&Found) -> Option<f64>| five.iter().filter_map(|found| of(found)).fold(0.0, f64::max);
    Claim {
        number: 2,
        title: "the largest eigenvalue is cheap",
        says: "The same idea with its sign flipped gives a cheap estimate of the largest eigenvalue while training goes on.",
        test: "λ_max of the mini-batch by a few products from the last vector and the gradient, beside many products at the same weights of the \
               same run."
            .to_owned(),
        measured: format!(
            "Five products a time: median errors up to {} %, nine in ten below {} %, at most {} g-eq per measurement.",
            number(100.0 * worst(&|found| quantile(&found.errors, 0.5))),
            number(100.0 * worst(&|found| quantile(&found.errors, 0.9))),
            number(worst(&|found| Some(found.cost.0)))
        ),
        verdict: format!(
            "{} The losses of runs that measure more or less are the same, bit for bit, on {same} of {} problems.",
            verdict(&found),
            problems.len()
        ),
        table,
        picture: None,
    }
}

fn verdict(found: &[Found]) -> &'static str {
    let typical = |products: u64| {
        let own = found.iter().filter(|found| found.products == products);
        own.filter_map(|found| quantile(&found.errors, 0.5)).fold(0.0, f64::max)
    };
    match (typical(1) < 0.05, typical(5) < 0.05) {
        (true, true) => "It holds, and one product a time is enough here.",
        (false, true) => "It holds with a few products a time; one alone is not enough everywhere.",
        _ => "It does not hold on all problems: five products a time leave more than 5 %.",
    }
}

fn problem(plan: &Plan, run: &Ended) -> String {
    let named = plan.keys.iter().zip(&run.values).filter(|(key, _)| ["model", "loss"].contains(&short(key)));
    named.map(|(_, value)| value.trim_matches('"')).collect::<Vec<_>>().join(", ")
}

fn compared(name: &str, runs: &[&Ended]) -> Vec<Found> {
    let products = |run: &Ended| run.run.key(PRODUCTS).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let Some(reference) = runs.iter().max_by_key(|run| products(run)) else { return Vec::new() };
    let best: BTreeMap<u64, f64> = points(reference).iter().map(|point| (point.step, point.value)).collect();
    let one = |run: &&&Ended| {
        // The first measurement starts from nothing and takes twice as many products.
        let later: Vec<_> = points(run).iter().skip(1).collect();
        let relative = |point: &&&SharpnessPoint| {
            let exact = best.get(&point.step).filter(|exact| **exact != 0.0)?;
            Some((point.value - exact).abs() / exact.abs())
        };
        let mut errors: Vec<f64> = later.iter().filter_map(|point| relative(&point)).collect();
        errors.sort_by(f64::total_cmp);
        let each = later.iter().map(|point| point.cost).sum::<f64>() / later.len().max(1) as f64;
        let cost = (each, run.run.manifest.measuring_cost.unwrap_or(0.0));
        Found { problem: name.to_owned(), products: products(run), errors, cost }
    };
    runs.iter().filter(|run| products(run) < products(reference)).map(|run| one(&run)).collect()
}

fn points(run: &Ended) -> &[SharpnessPoint] {
    let series = run.history.sharpness.iter().find(|series| series.quantity == "lambda_max");
    series.map_or(&[], |series| &series.points)
}

fn losses(run: &Ended) -> Vec<Option<u64>> {
    run.history.rows.iter().map(|row| row.loss.map(f64::to_bits)).collect()
}

fn row(found: &Found) -> Vec<String> {
    let percent = |share: f64| quantile(&found.errors, share).map(|error| format!("{} %", number(100.0 * error)));
    let percent = |share: f64| percent(share).unwrap_or_default();
    vec![
        found.problem.clone(),
        found.products.to_string(),
        percent(0.5),
        percent(0.9),
        percent(1.0),
        number(found.cost.0),
        number(found.cost.1),
    ]
}
