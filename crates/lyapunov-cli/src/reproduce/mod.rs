//! The claims of the paper, each put to the test by the runs of a sweep.
//!
//! Sasdelli, Ajanthan, Chin and Carneiro, *A Chaos Theory Approach to Understand Neural Network Optimization* (2021).
//! What is said of a claim is a pure function of the folders of its runs.

mod breadth;
mod claim;
mod edge;
mod estimates;
mod experiment;
mod exponents;
mod plateau;
mod readings;
mod rules;
mod seeds;

pub use claim::{Claim, overview};
pub use experiment::{Experiment, Scale};
pub use readings::Readings;

use std::path::Path;

use crate::{
    compare::{Comparison, Outcome, Suite},
    error::Error,
    show::report::digest::Digest,
    store::History,
    stored::StoredRun,
    sweep::{Plan, RunStatus},
};

/// A run of an experiment that has ended, with what its rows say.
struct Ended {
    /// What the axes set, in the order of the plan's keys.
    values: Vec<String>,
    run: StoredRun,
    history: History,
    digest: Digest,
}

impl Ended {
    fn completed(&self) -> bool {
        self.digest.state == "completed"
    }
}

/// The runs of a plan that have ended, and what could not be read.
fn ended(plan: &Plan, out: &Path) -> (Vec<Ended>, Vec<Error>) {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for planned in plan.runs.iter().filter(|planned| matches!(RunStatus::of(planned, out), RunStatus::Ended(_))) {
        let run = StoredRun::open(&planned.folder(out)).and_then(|run| Ok((run.history()?, run)));
        match run {
            Ok((history, run)) => {
                let digest = Digest::of(&run, &history);
                found.push(Ended { values: planned.values.clone(), run, history, digest });
            }
            Err(fault) => faults.push(fault.into()),
        }
    }
    (found, faults)
}

/// What the runs below `out` say of all claims, every reading that says so, and what could not be read.
pub fn claims(
    plans: &[(Experiment, Plan)],
    (suite, outcomes): (&Suite, &[Option<Outcome>]),
    out: &Path,
) -> (Vec<Claim>, Readings, Vec<Error>) {
    let (mut claims, mut faults, mut readings) = (Vec::new(), Vec::new(), Readings::new());
    for (experiment, plan) in plans {
        let (runs, unread) = ended(plan, out);
        faults.extend(unread);
        readings.add(*experiment, &plan.keys, &runs);
        match experiment {
            Experiment::Exponents => claims.push(exponents::claim(plan, &runs)),
            Experiment::Estimates => claims.push(estimates::claim(&runs)),
            Experiment::Edge => claims.push(edge::claim(plan, &runs)),
            Experiment::Rules => {}
        }
    }
    claims.push(rules::claim(&Comparison::of(suite, outcomes)));
    claims.sort_by_key(|claim| claim.number);
    claims.push(breadth::claim(&claims));
    (claims, readings, faults)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        manifest::Manifest,
        show::report::digest::{Estimate, Reading},
        store::{Row, SharpnessPoint, SharpnessSeries},
    };

    /// A run that has ended, with these keys and this digest.
    fn run(keys: &[(&str, Value)], digest: Digest, history: History) -> Ended {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let run = StoredRun { folder: PathBuf::from("run"), manifest: Manifest::default(), keys };
        Ended { values: Vec::new(), run, history, digest: Digest { state: "completed", ..digest } }
    }

    fn reading(quantity: &str, value: f64, learning_rate: f64) -> Reading {
        let (quantity, on) = (quantity.to_owned(), "batch".to_owned());
        Reading { quantity, on, value, spread: None, count: 5, learning_rate }
    }

    fn plan() -> Plan {
        Plan::new("edge.toml".to_owned(), Vec::new(), Vec::new())
    }

    #[test]
    fn sharpness_at_two_over_the_rate_has_the_slope_minus_one_and_a_constant_one_has_not() {
        let at = |loss: &str, rate: f64, sharpness: f64, last: f64| {
            let keys =
                [("model.name", json!("mlp")), ("loss.name", json!(loss)), ("optimizer.learning_rate", json!(rate))];
            let digest = Digest {
                learning_rate: Some(rate),
                first_loss: Some(2.0),
                train_loss: Some(last),
                readings: vec![reading("lambda_max", sharpness, rate)],
                ..Digest::default()
            };
            let mut series = series("lambda_max", &[sharpness; 10]);
            series.points.iter_mut().for_each(|point| point.learning_rate = rate);
            run(&keys, digest, History { sharpness: vec![series], ..History::default() })
        };
        let rates = [0.01, 0.03, 0.1, 0.3];
        let mut runs: Vec<Ended> = rates.map(|rate| at("huber", rate, 2.0 / rate, 1.0)).into();
        // A run that has not learned says nothing of the order.
        runs.push(at("huber", 1.0, 2.0, 1.99));
        runs.extend([0.1, 0.2, 0.3].map(|rate| at("focal", rate, 30.0, 1.0)));
        let order = edge::claim(&plan(), &runs);
        assert!(
            order.measured.contains("(7 of 0 runs)") && order.measured.contains("the median 2;"),
            "{}",
            order.measured
        );
        assert!(order.table[1][3].starts_with("−1 ± "), "{}", order.table[1][3]);
        assert_eq!(order.table[1][1], "4 of 5");
        assert!(order.measured.contains("in 1 of 2 groups of network and loss, another number in 1"), "{order:?}");
        let outcomes: Vec<_> = order.findings.iter().map(|finding| (finding.on.as_str(), finding.outcome)).collect();
        assert_eq!(outcomes[1], ("mlp · huber", claim::Outcome::Holds));
        assert_eq!(outcomes[3], ("mlp · focal", claim::Outcome::Fails), "{order:?}");
        assert!(order.picture.is_some_and(|picture| picture.contains("2/η")));
        let noisy =
            [(0.01, 100.0), (0.03, 90.0), (0.1, 20.0)].map(|(rate, sharpness)| at("hinge", rate, sharpness, 1.0));
        let claim = edge::claim(&plan(), &noisy);
        assert_eq!(claim.findings[1].outcome, claim::Outcome::Undecided, "three points about a line say little");
    }

    fn series(quantity: &str, values: &[f64]) -> SharpnessSeries {
        let point = |(step, value): (u64, &f64)| SharpnessPoint {
            step: 10 * step,
            value: *value,
            residual: Some(0.01),
            learning_rate: 0.1,
            edge: None,
            cost: 5.0,
        };
        let points = (0..).zip(values).map(point).collect();
        SharpnessSeries { quantity: quantity.to_owned(), on: "batch".to_owned(), product: "exact".to_owned(), points }
    }

    #[test]
    fn a_sharpness_that_falls_again_is_read_on_its_plateau() {
        let at = |loss: &str, rate: f64, scaled: f64, last: f64| {
            let keys =
                [("model.name", json!("mlp")), ("loss.name", json!(loss)), ("optimizer.learning_rate", json!(rate))];
            let digest = Digest {
                learning_rate: Some(rate),
                first_loss: Some(2.0),
                train_loss: Some(last),
                readings: vec![reading("lambda_max", 0.1 / rate, rate)],
                ..Digest::default()
            };
            // Up to an edge in the middle, and down to a tenth of 1/η.
            let values: Vec<f64> =
                (0..50).map(|i| if (20..35).contains(&i) { scaled / rate } else { 0.1 / rate }).collect();
            let mut sharpness = series("lambda_max", &values);
            sharpness.points.iter_mut().for_each(|point| point.learning_rate = rate);
            run(&keys, digest, History { sharpness: vec![sharpness], ..History::default() })
        };
        let rates = [0.01, 0.03, 0.1, 0.3];
        let mut runs: Vec<Ended> = rates.map(|rate| at("huber", rate, 2.0, 0.01)).into();
        // One that fits its images before it has come to the edge is no point of the line.
        runs.push(at("huber", 0.001, 0.4, 0.01));
        runs.extend(rates.map(|rate| at("focal", rate, 0.5, 1.0)));
        let order = edge::claim(&plan(), &runs);
        let row = |name: &str| order.table.iter().find(|row| row[0].contains(name)).unwrap()[6..9].to_vec();
        let huber = row("huber");
        assert_eq!((huber[0].as_str(), huber[2].as_str()), ("4 of 5", "1"), "{huber:?}");
        assert!(huber[1].starts_with("−1 ± ") && huber[1].ends_with("(n = 4)"), "{huber:?}");
        assert_eq!(row("focal"), ["never: up to 0.5", "", "0"]);
        let said = "at least 1 in 4 of 9 runs, with the median 2. Never there: mlp · focal";
        assert!(order.measured.contains(said), "{}", order.measured);
    }

    #[test]
    fn an_exponent_agrees_with_the_lowest_eigenvalue_after_the_warm_up() {
        let with = |exponent: f64| {
            let keys = [
                ("exponents.weights", json!("frozen")),
                ("loss.name", json!("huber")),
                ("exponents.warm_up", json!(0.5)),
            ];
            let exponent = Some(Estimate { value: exponent, std_error: Some(0.01) });
            let digest = Digest { exponent, steps: Some(40), learning_rate: Some(0.1), ..Digest::default() };
            // What was measured in the warm-up does not count.
            let sharpness = vec![series("lambda_min", &[-50.0, -50.0, -2.0, -2.0])];
            run(&keys, digest, History { sharpness, ..History::default() })
        };
        let claim = exponents::claim(&plan(), &[with(2.1), with(1.0)]);
        assert_eq!([&claim.table[1][9], &claim.table[2][9]], ["yes", "no"]);
        assert_eq!(claim.table[2][7], "0.5");
        assert_eq!(claim.findings[0].outcome, claim::Outcome::InPart);
        assert!(claim.picture.is_some());
        assert!(exponents::claim(&plan(), &[]).verdict.contains("Undecided"));
        assert!(claim.measured.contains("in 1 of 2 runs with frozen weights"), "{}", claim.measured);
    }

    #[test]
    fn estimates_are_compared_at_the_same_steps_and_the_first_is_left_out() {
        let with = |products: u64, values: &[f64], loss: f64| {
            let rows = vec![Row { loss: Some(loss), ..Row::default() }];
            let history = History { rows, sharpness: vec![series("lambda_max", values)], ..History::default() };
            run(&[("measure.products", json!(products))], Digest::default(), history)
        };
        let runs = [with(5, &[9.0, 9.9, 9.0], 1.0), with(40, &[1.0, 10.0, 10.0], 1.0)];
        let claim = estimates::claim(&runs);
        assert_eq!(claim.table[1][1..6], ["5", "5.5 %", "9.1 %", "10 %", "5"]);
        assert!(claim.verdict.contains("bit for bit, in 1 of 1"), "{}", claim.verdict);
        let other = [with(5, &[9.0], 1.0), with(40, &[1.0], 1.5)];
        assert!(estimates::claim(&other).verdict.contains("bit for bit, in 0 of 1"));
        assert!(estimates::claim(&[]).verdict.starts_with("Undecided"));
        // A trajectory is beside the same reference.
        let trajectory = |values: &[f64]| {
            let series = series("lambda_max", values);
            let keys = [
                ("measure.products", json!(5)),
                ("measure.estimator", json!("nearby-trajectory")),
                ("measure.product", json!("difference")),
                ("measure.reading", json!("growth")),
            ];
            run(&keys, Digest::default(), History { sharpness: vec![series], ..History::default() })
        };
        let runs = [with(40, &[1.0, 10.0, 10.0], 1.0), trajectory(&[9.0, 5.0, 5.0])];
        let claim = estimates::claim(&runs);
        assert_eq!(claim.table[1][1..3], ["nearby, difference: growth", "50 %"]);
        assert_eq!(claim.findings[0].outcome, claim::Outcome::Fails);
        assert!(claim.picture.is_some());
        // Another seed is another run, not another number of products.
        let seeded = |seed: u64, products: u64, value: f64| {
            let mut run = with(products, &[value, value], value);
            run.run.manifest.seed = seed;
            run
        };
        let runs = [seeded(0, 5, 1.0), seeded(0, 40, 1.0), seeded(1, 5, 9.0), seeded(1, 40, 9.0)];
        let claim = estimates::claim(&runs);
        assert_eq!((claim.table.len(), claim.table[1][4].as_str()), (2, "0 %"), "{:?}", claim.table);
        assert!(claim.verdict.contains("in 2 of 2"), "{}", claim.verdict);
    }

    #[test]
    fn every_experiment_of_every_scale_is_a_sweep() {
        use clap::ValueEnum;
        for scale in Scale::value_variants() {
            for experiment in Experiment::ALL {
                let text = experiment.text(*scale).to_owned();
                assert_eq!(text.contains("[sweep]"), experiment != Experiment::Rules, "{scale:?} {experiment:?}");
                assert!(text.parse::<toml_edit::DocumentMut>().is_ok(), "{scale:?} {experiment:?}");
            }
        }
    }
}
