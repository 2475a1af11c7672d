//! The claims of the paper, each put to the test by the runs of a sweep.
//!
//! Sasdelli, Ajanthan, Chin and Carneiro, *A Chaos Theory Approach to Understand Neural Network Optimization* (2021). What is told of a
//! claim is a pure function of the folders of its runs.

mod claim;
mod edge;
mod estimates;
mod experiment;
mod exponents;
mod rules;

pub use claim::{Claim, overview};
pub use experiment::{Experiment, Scale};

use std::path::Path;

use crate::{
    compare::{Comparison, Outcome, Suite},
    error::Result,
    report::digest::Digest,
    store::History,
    stored::StoredRun,
    sweep::{Plan, Standing},
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

/// The runs of a plan that have ended.
fn ended(plan: &Plan, out: &Path) -> Result<Vec<Ended>> {
    let mut found = Vec::new();
    for planned in plan.runs.iter().filter(|planned| matches!(Standing::of(planned, out), Standing::Ended(_))) {
        let run = StoredRun::open(&planned.folder(out))?;
        let history = run.history()?;
        let digest = Digest::of(&run, &history);
        found.push(Ended { values: planned.values.clone(), run, history, digest });
    }
    Ok(found)
}

/// What the runs below `out` say of all claims.
///
/// # Errors
/// Where a run that has ended cannot be read.
pub fn claims(
    plans: &[(Experiment, Plan)],
    (suite, outcomes): (&Suite, &[Option<Outcome>]),
    out: &Path,
) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for (experiment, plan) in plans {
        let runs = ended(plan, out)?;
        match experiment {
            Experiment::Exponents => claims.push(exponents::claim(plan, &runs)),
            Experiment::Estimates => claims.push(estimates::claim(plan, &runs)),
            Experiment::Edge => claims.extend(edge::claims(plan, &runs)),
            Experiment::Rules => {}
        }
    }
    claims.push(rules::claim(&Comparison::of(suite, outcomes)));
    claims.sort_by_key(|claim| claim.number);
    Ok(claims)
}

/// The median of some numbers.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    quantile(&numbers, 0.5)
}

/// The number below which this share of the sorted numbers lies.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
        assert_eq!(quantile(&[0.0, 10.0], 0.9), Some(9.0));
    }
}
