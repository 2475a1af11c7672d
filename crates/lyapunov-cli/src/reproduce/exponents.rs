//! C1: the largest exponent of SGD per unit of training time is minus the smallest eigenvalue of the Hessian.

use lyapunov::Quantity;

use super::{
    Ended,
    claim::{Claim, Finding, Outcome, heads},
    seeds::by_rate,
};
use crate::{
    show::{
        plot::{self, RateCurve},
        report::keys,
    },
    sweep::Plan,
    text::{
        counted, four_digits,
        statistics::{mean_and_spread, median},
    },
};

/// The claim holds where the two are as close as this share of the larger, or as two standard errors.
const CLOSE: f64 = 0.1;

/// One run.
struct ExponentOfRun {
    widths: String,
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

impl ExponentOfRun {
    fn of(run: &Ended) -> Option<Self> {
        let exponent = run.digest.exponent?;
        let text = |key: &str| run.run.key(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let share = run.run.key("exponents.warm_up").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        let from = (share * run.digest.steps? as f64) as u64;
        let series = run.history.sharpness.iter().find(|series| series.quantity == Quantity::LambdaMin.name())?;
        let late = || series.points.iter().filter(|point| point.step >= from);
        let (lowest, _) = mean_and_spread(&late().map(|point| point.value).collect::<Vec<_>>())?;
        let (residual, _) = mean_and_spread(&late().filter_map(|point| point.residual).collect::<Vec<_>>())?;
        Some(Self {
            widths: keys::value(&run.run, "model.widths"),
            loss: text("loss.name"),
            frozen: text("exponents.weights") == "frozen",
            learning_rate: run.digest.learning_rate?,
            edge: run.digest.reading(Quantity::LambdaMax).map(|reading| reading.value * reading.learning_rate),
            exponent: (exponent.value, exponent.std_error),
            lowest: (-lowest, residual),
        })
    }

    /// Λ₁/η over −⟨λ_min⟩.
    fn ratio(&self) -> f64 {
        self.exponent.0 / self.lowest.0
    }

    fn network(&self) -> String {
        format!("mlp {}", self.widths)
    }

    fn holds(&self) -> bool {
        self.agrees_with(self.lowest.0)
    }

    fn agrees_with(&self, value: f64) -> bool {
        let (exponent, error) = self.exponent;
        let margin = (CLOSE * exponent.abs().max(value.abs())).max(2.0 * error.unwrap_or(0.0));
        (exponent - value).abs() <= margin
    }

    /// What theory has for steps of length η on one Hessian: ln max(1 + η|λ_min|, |1 − ηλ_max|) / η.
    fn theory(&self) -> Option<f64> {
        let (stretched, sharp) = (1.0 + self.learning_rate * self.lowest.0, (1.0 - self.edge?).abs());
        Some(stretched.max(sharp).ln() / self.learning_rate)
    }

    fn row(&self) -> Vec<String> {
        let (exponent, error) = self.exponent;
        let error = error.map(|error| format!(" ± {}", four_digits(error))).unwrap_or_default();
        vec![
            self.network(),
            self.loss.clone(),
            if self.frozen { "frozen" } else { "moving" }.to_owned(),
            four_digits(self.learning_rate),
            self.edge.map(four_digits).unwrap_or_default(),
            format!("{}{error}", four_digits(exponent)),
            format!("{} (residual {})", four_digits(self.lowest.0), four_digits(self.lowest.1)),
            four_digits(self.ratio()),
            self.theory().map(four_digits).unwrap_or_default(),
            if self.holds() { "yes" } else { "no" }.to_owned(),
        ]
    }
}

/// The claim, by the runs of its sweep.
pub fn claim(plan: &Plan, runs: &[Ended]) -> Claim {
    let found: Vec<ExponentOfRun> = runs.iter().filter(|run| run.completed()).filter_map(ExponentOfRun::of).collect();
    let mut table = vec![heads([
        "network",
        "loss",
        "weights",
        "η",
        "η·λ_max",
        "Λ₁/η",
        "−⟨λ_min⟩",
        "ratio",
        "of finite steps",
        "agree",
    ])];
    table.extend(found.iter().map(ExponentOfRun::row));
    let count = |frozen: bool| {
        let own = || found.iter().filter(move |run| run.frozen == frozen);
        (own().filter(|run| run.holds()).count(), own().count())
    };
    let ((still, of_still), (moving, of_moving)) = (count(true), count(false));
    let theory =
        found.iter().filter(|run| run.frozen && run.theory().is_some_and(|value| run.agrees_with(value))).count();
    let measured = if found.is_empty() {
        "No run has ended.".to_owned()
    } else {
        format!(
            "Λ₁/η agrees with −⟨λ_min⟩ within 10 % or two standard errors in {still} of {of_still} runs with frozen \
                weights, and in {moving} of \
             {of_moving} along training. With ln max(1 + η|λ_min|, |1 − ηλ_max|)/η, which theory has for steps of \
             finite length on one Hessian, \
             it agrees in {theory} of the {of_still}."
        )
    };
    Claim {
        number: 1,
        title: "the largest exponent is minus the smallest eigenvalue",
        says: "The largest Lyapunov exponent of SGD per unit of training time equals minus the most negative \
            eigenvalue of the Hessian.",
        test: format!(
            "{} runs of a small smooth network: one deviation carried along, λ_min of all images followed by {} \
                products a time.",
            plan.runs.len(),
            runs.first().and_then(|run| run.run.key("measure.products")).map(ToString::to_string).unwrap_or_default()
        ),
        measured,
        verdict: verdict(&found),
        table,
        picture: picture(&found),
        findings: findings(&found),
    }
}

/// Network by network and loss by loss, at rest and along training.
fn findings(found: &[ExponentOfRun]) -> Vec<Finding> {
    let mut groups: Vec<(bool, String)> =
        found.iter().map(|run| (!run.frozen, format!("{} · {}", run.network(), run.loss))).collect();
    groups.sort();
    groups.dedup();
    let finding = |(moving, on): (bool, String)| {
        let own =
            || found.iter().filter(|run| run.frozen != moving && format!("{} · {}", run.network(), run.loss) == on);
        let (held, all) = (own().filter(|run| run.holds()).count(), own().count());
        let what =
            if moving { "Λ₁/η = −λ_min along training" } else { "Λ₁/η = −λ_min at frozen weights" };
        let middle = median(own().map(ExponentOfRun::ratio).collect()).map(four_digits).unwrap_or_default();
        let number = format!("{held} of {}, median ratio {middle}", counted(all, "run"));
        Finding { what, on, outcome: Outcome::of(held, all), number }
    };
    groups.into_iter().map(finding).collect()
}

/// The ratio of both against the learning rate, at frozen weights and along training.
fn picture(found: &[ExponentOfRun]) -> Option<String> {
    let panel = |frozen: bool| {
        let mut names: Vec<String> = Vec::new();
        let label = |run: &ExponentOfRun| format!("{}, {}", run.widths, run.loss);
        for run in found.iter().filter(|run| run.frozen == frozen) {
            if !names.contains(&label(run)) {
                names.push(label(run));
            }
        }
        let curve = |name: &String| {
            let own = found.iter().filter(|run| run.frozen == frozen && label(run) == *name);
            let points = by_rate(own.map(|run| (run.learning_rate, run.ratio())));
            let points = points.iter().map(|point| (point.rate, [point.least, point.mean, point.most])).collect();
            RateCurve { label: name.clone(), points }
        };
        let title = if frozen { "frozen weights" } else { "along training" };
        (title.to_owned(), names.iter().map(curve).collect::<Vec<_>>())
    };
    (!found.is_empty()).then(|| plot::exponent_ratio_figure(&[panel(true), panel(false)]).to_svg())
}

fn verdict(found: &[ExponentOfRun]) -> String {
    if found.is_empty() {
        return "Undecided.".to_owned();
    }
    let mut losses: Vec<&str> = found.iter().map(|run| run.loss.as_str()).collect();
    losses.sort_unstable();
    losses.dedup();
    let parts: Vec<String> = losses.into_iter().map(|loss| at_fixed_weights(loss, found)).collect();
    let along = found.iter().filter(|run| !run.frozen).filter(|run| run.holds()).count();
    let along = match (along, found.iter().filter(|run| !run.frozen).count()) {
        (_, 0) => String::new(),
        (0, _) => " Along training it holds in no run here.".to_owned(),
        (some, all) => format!(" Along training it holds in {some} of {all} runs."),
    };
    format!("At fixed weights it holds for slow steps: {}.{along}", parts.join("; "))
}

/// The largest learning rate up to which the claim holds at fixed weights.
fn at_fixed_weights(loss: &str, found: &[ExponentOfRun]) -> String {
    let mut own: Vec<&ExponentOfRun> = found.iter().filter(|run| run.frozen && run.loss == loss).collect();
    own.sort_by(|a, b| a.learning_rate.total_cmp(&b.learning_rate));
    match own.iter().take_while(|run| run.holds()).last() {
        Some(run) => format!("with {loss} up to η = {}", four_digits(run.learning_rate)),
        None => format!("with {loss} at no η that was tried"),
    }
}
