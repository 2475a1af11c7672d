//! C1: the largest exponent of SGD per unit of training time is minus the smallest eigenvalue of the Hessian.

use super::{
    Ended,
    claim::{Claim, heads},
};
use crate::{
    report::{digest::mean_and_spread, number},
    sweep::Plan,
};

/// The claim holds where the two are as close as this share of the larger, or as two standard errors.
const CLOSE: f64 = 0.1;

/// One run.
struct Found {
    loss: String,
    frozen: bool,
    learning_rate: f64,
    /// η·λ_max at the end.
    edge: Option<f64>,
    /// Λ_1/η, and its standard error.
    exponent: (f64, Option<f64>),
    /// −⟨λ_min⟩ and the mean residual since the warm-up.
    lowest: (f64, f64),
}

impl Found {
    fn of(run: &Ended) -> Option<Self> {
        let exponent = run.digest.exponent?;
        let text = |key: &str| run.run.key(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let share = run.run.key("exponents.warm_up").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        let from = (share * run.digest.steps? as f64) as u64;
        let series = run.history.sharpness.iter().find(|series| series.quantity == "lambda_min")?;
        let late = || series.points.iter().filter(|point| point.step >= from);
        let (lowest, _) = mean_and_spread(&late().map(|point| point.value).collect::<Vec<_>>())?;
        let (residual, _) = mean_and_spread(&late().filter_map(|point| point.residual).collect::<Vec<_>>())?;
        Some(Self {
            loss: text("loss.name"),
            frozen: text("exponents.weights") == "frozen",
            learning_rate: run.digest.learning_rate?,
            edge: run.digest.reading("lambda_max").map(|reading| reading.value * reading.learning_rate),
            exponent: (exponent.value, exponent.std_error),
            lowest: (-lowest, residual),
        })
    }

    fn holds(&self) -> bool {
        let (exponent, error) = self.exponent;
        let margin = (CLOSE * exponent.abs().max(self.lowest.0.abs())).max(2.0 * error.unwrap_or(0.0));
        (exponent - self.lowest.0).abs() <= margin
    }

    fn row(&self) -> Vec<String> {
        let (exponent, error) = self.exponent;
        let error = error.map(|error| format!(" ± {}", number(error))).unwrap_or_default();
        vec![
            self.loss.clone(),
            if self.frozen { "frozen" } else { "moving" }.to_owned(),
            number(self.learning_rate),
            self.edge.map(number).unwrap_or_default(),
            format!("{}{error}", number(exponent)),
            format!("{} (residual {})", number(self.lowest.0), number(self.lowest.1)),
            number(exponent / self.lowest.0),
            if self.holds() { "yes" } else { "no" }.to_owned(),
        ]
    }
}

/// The claim, by the runs of its sweep.
pub fn claim(plan: &Plan, runs: &[Ended]) -> Claim {
    let found: Vec<Found> = runs.iter().filter(|run| run.completed()).filter_map(Found::of).collect();
    let mut table = vec![heads(["loss", "weights", "η", "η·λ_max", "Λ₁/η", "−⟨λ_min⟩", "ratio", "agree"])];
    table.extend(found.iter().map(Found::row));
    let count = |frozen: bool| {
        let own = || found.iter().filter(move |run| run.frozen == frozen);
        (own().filter(|run| run.holds()).count(), own().count())
    };
    let ((still, of_still), (moving, of_moving)) = (count(true), count(false));
    Claim {
        number: 1,
        title: "the largest exponent is minus the smallest eigenvalue",
        says: "The largest Lyapunov exponent of SGD per unit of training time equals minus the most negative eigenvalue of the Hessian.",
        test: format!(
            "{} runs of a small smooth network: one deviation carried along, λ_min of all images followed by {} products a time.",
            plan.runs.len(),
            runs.first().and_then(|run| run.run.key("measure.products")).map(ToString::to_string).unwrap_or_default()
        ),
        measured: format!(
            "Λ₁/η agrees with −⟨λ_min⟩ within 10 % or two standard errors in {still} of {of_still} runs with frozen weights, and in {moving} of \
             {of_moving} along training."
        ),
        verdict: verdict(&found),
        table,
        picture: None,
    }
}

fn verdict(found: &[Found]) -> String {
    let largest = |holds: bool, frozen: bool| {
        let rates =
            found.iter().filter(|run| run.holds() == holds && run.frozen == frozen).map(|run| run.learning_rate);
        rates.fold(None, |most: Option<f64>, rate| Some(most.map_or(rate, |most| most.max(rate))))
    };
    let at_fixed = match (largest(true, true), largest(false, true)) {
        (Some(rate), None) => format!("At fixed weights it holds at every learning rate, up to {}.", number(rate)),
        (Some(rate), Some(_)) => {
            format!("At fixed weights it holds at some learning rates, the largest {}.", number(rate))
        }
        _ => "At fixed weights it holds nowhere.".to_owned(),
    };
    let along = match (largest(true, false), largest(false, false)) {
        (Some(_), None) => "Along training it holds everywhere.".to_owned(),
        (None, _) => "Along training it holds nowhere here: the weights move on before the deviation has turned to the lowest eigenvector, so the \
                      exponent stays below −λ_min."
            .to_owned(),
        _ => "Along training it holds in some runs only: where the weights move on before the deviation has turned to the lowest eigenvector, the \
              exponent stays below −λ_min."
            .to_owned(),
    };
    format!("{at_fixed} {along}")
}
