//! What the program says about a run that has ended: sentences for a person, one JSON object for a program.

use std::fmt::Write;

use lyapunov::{Chaos, EdgeReading, Measurement, Quantity, Sample, Sharpness, Summary as Course};
use lyapunov_runs::columns::quantity;
use serde::Serialize;

use crate::{
    config::{Subject, target_name},
    text::{compact, counted, duration, number},
};

/// The outcome of a run that ended far above its first loss.
const BLOWN_UP: &str = "blown-up";

/// The JSON object of `train --json`. What is not a number is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The folder of the run.
    pub run: String,
    /// `completed`, `diverged`, or `blown-up` where all numbers are finite and the loss ended above ten times the
    /// first.
    pub outcome: &'static str,
    /// The step that could not be taken, where the run diverged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged_at: Option<u64>,
    /// Training steps that were taken.
    pub steps: u64,
    /// The training time that was asked for, and the one that so many steps have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_time: Option<TrainingTime>,
    /// The images.
    pub data: String,
    /// How many of them it was trained on.
    pub training_images: usize,
    /// How many classes they have.
    pub classes: usize,
    /// The mean loss on all training images after the last step; `null` where the run diverged.
    pub train_loss: Option<f64>,
    /// The share of test images classified correctly after the last step; `null` where the run diverged.
    pub test_accuracy: Option<f64>,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// The last λ_max that was measured, of the mini-batch where that was measured.
    pub lambda_max: Option<LambdaMax>,
    /// The mean batch sharpness over the last fifth of the run.
    pub batch_sharpness: Option<EdgeFound>,
    /// The sharpness that the edge of stability of the optimizer speaks of, over the last fifth of the run.
    pub edge: Option<EdgeFound>,
    /// The Lyapunov exponents of the optimizer, where they were measured.
    #[serde(flatten)]
    pub chaos: Option<ChaosFound>,
    /// The cost of all measurements, in gradient-equivalents per training step.
    pub measuring_cost: f64,
    /// How long the run took.
    pub wall_seconds: f64,
    /// The factor by which the rule lowered its learning rate, because the loss had gone above its first value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backed_off: Option<f64>,
    /// The steps before which the run went back to earlier weights, for the same reason; the number of its steps where
    /// it did so at its end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub went_back: Vec<u64>,
    /// Whether the weights stayed where they began.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub weights_frozen: bool,
    /// What only the sentences say.
    #[serde(skip)]
    pub stand: Option<Stand>,
    /// What only the sentences say.
    #[serde(skip)]
    pub subject: Subject,
}

/// How long a run trained, in units of η.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingTime {
    /// What `run.time` asked for.
    pub asked: f64,
    /// What `run.most_steps` left of it; `null` where it left all.
    pub cut_to: Option<f64>,
}

impl TrainingTime {
    /// Where it was cut short.
    fn sentence(&self) -> Option<String> {
        let (asked, left) = (compact(self.asked, 2), compact(self.cut_to?, 2));
        Some(format!("run.most_steps cut the training time short: {left} of the {asked} that run.time asks for."))
    }
}

/// One measurement of λ_max.
#[derive(Clone, Debug, Serialize)]
pub struct LambdaMax {
    /// The estimate.
    pub value: f64,
    /// Some eigenvalue lies within this distance of it.
    pub residual: f64,
    /// The step of the measurement: it speaks of the weights before it.
    pub step: Option<u64>,
    /// The data.
    pub on: String,
    /// The kind of product with the Hessian.
    pub product: &'static str,
    /// In gradient-equivalents.
    pub cost: f64,
}

impl LambdaMax {
    /// The last λ_max of a run, of the mini-batch where that was measured.
    pub fn of(course: &Course) -> Option<Self> {
        let measured = course.sharpness.iter().filter(|found| found.quantity == Quantity::LambdaMax);
        let batch = measured.clone().find(|found| matches!(found.on, Sample::Mini(_)));
        let Sharpness { value, residual, on, product, cost, .. } = *batch.or(measured.clone().next())?;
        let own = |reading: &&EdgeReading| {
            reading.quantity == Quantity::LambdaMax && target_name(reading.on) == on.to_string()
        };
        let step = course.edge.iter().find(own).map(|reading| reading.last);
        Some(Self { value, residual, step, on: on.to_string(), product: product.name(), cost })
    }
}

/// A sharpness against the edge of stability, as a mean over the last fifth of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EdgeFound {
    /// Which sharpness.
    pub quantity: &'static str,
    /// The data.
    pub on: String,
    /// Its mean.
    pub value: f64,
    /// Its standard deviation over the measurements.
    pub value_spread: Option<f64>,
    /// Its mean over the threshold, 1 at the edge; `null` where the threshold speaks of another sharpness.
    pub share: Option<f64>,
    /// The standard deviation of that over the measurements.
    pub spread: Option<f64>,
    /// How many measurements.
    pub count: usize,
    /// The step of the first of them.
    pub since: u64,
    /// The threshold at the last learning rate, in units of 1/η.
    pub threshold: f64,
    /// Steps that were taken.
    #[serde(skip)]
    steps: u64,
}

impl EdgeFound {
    fn new(reading: &EdgeReading, last: &Measurement) -> Self {
        let finite = |x: f64| x.is_finite().then_some(x);
        Self {
            quantity: reading.quantity.name(),
            on: target_name(reading.on),
            value: reading.value,
            value_spread: finite(reading.value_spread),
            share: reading.share,
            spread: finite(reading.spread),
            count: reading.count,
            since: reading.since,
            threshold: last.edge.threshold * last.learning_rate,
            steps: last.step + 1,
        }
    }

    /// The reading of this quantity.
    pub fn of(course: &Course, quantity: Quantity) -> Option<Self> {
        let last = course.last.as_ref().filter(|last| last.edge.threshold.is_finite())?;
        let reading = course.edge.iter().find(|reading| reading.quantity == quantity)?;
        Some(Self::new(reading, last))
    }

    /// The reading that theory speaks of: the batch sharpness where the edge holds it, else the first one of which it
    /// speaks.
    pub fn headline(course: &Course) -> Option<Self> {
        let spoken_of = || course.edge.iter().filter(|reading| reading.share.is_some());
        let batch = spoken_of().find(|reading| reading.quantity == Quantity::BatchSharpness);
        // A learning rate of 0 has no edge.
        let last = course.last.as_ref().filter(|last| last.edge.threshold.is_finite())?;
        Some(Self::new(batch.or_else(|| spoken_of().next())?, last))
    }

    /// `At the edge of stability: batch sharpness 1.97/η …`.
    fn sentence(&self) -> String {
        let Self { quantity, on, spread, count, since, threshold, .. } = self;
        let share = self.share.unwrap_or(f64::NAN);
        let name = match *quantity {
            quantity if quantity == Quantity::BatchSharpness.name() => label(quantity).to_owned(),
            quantity => format!("{} {}", label(quantity), on_data(on)),
        };
        if *threshold <= 0.0 {
            return format!("Above the edge of stability: the weight decay alone is beyond it, whatever the {name}.");
        }
        let mean = compact(threshold * share, 2);
        let value = match spread {
            Some(spread) => format!("({mean} ± {})/η", compact(threshold * spread, 2)),
            None => format!("{mean}/η"),
        };
        let measurements = if *count == 1 { "one measurement".to_owned() } else { format!("{count} measurements") };
        let when = if *since >= self.steps - self.steps / 5 {
            format!("over the last 20 % ({measurements})")
        } else {
            format!("at step {}, the last measurement", number(*since as f64, 0))
        };
        let error = spread.map_or(0.0, |spread| spread / (*count as f64).sqrt());
        let (low, high) = (verdict(share - error), verdict(share + error));
        let place = if low == high { capital(low) } else { "Indistinguishable from the edge of stability".to_owned() };
        format!("{place}: {name} {value} {when}; the edge is {}/η.", compact(*threshold, 2))
    }
}

/// What a quantity is called in a sentence.
fn label(name: &'static str) -> &'static str {
    quantity(name).map_or(name, |(_, words)| words.label)
}

/// The Lyapunov exponents of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChaosFound {
    /// In the order of the factorisation, which is largest first once the deviations are aligned; in nats per step.
    pub exponents: Vec<Option<f64>>,
    /// Their standard errors.
    pub exponent_std_errors: Vec<Option<f64>>,
    /// Whether the averages have settled.
    pub exponents_aligned: bool,
    /// In nats per unit of training time.
    pub exponents_per_time: Vec<Option<f64>>,
    /// Steps that were measured.
    pub exponent_steps: u64,
    /// The kind of product with the Hessian that carried the deviations.
    pub exponent_product: String,
    /// −⟨vᵀHv⟩ over training time for the first deviation.
    pub negative_rayleigh: Option<f64>,
    /// The worst disagreement of growth and curvature in a step, in nats; `null` for optimizers other than plain
    /// descent.
    pub identity_violation: Option<f64>,
}

impl ChaosFound {
    /// The exponents of a run whose deviations were carried by this kind of product.
    pub fn new(chaos: &Chaos, exponent_product: String) -> Self {
        let (per_step, per_time) = (&chaos.exponents, chaos.exponents.per_time());
        let measured = per_step.steps > 0;
        let known = |numbers: &[f64]| numbers.iter().map(|x| (measured && x.is_finite()).then_some(*x)).collect();
        Self {
            exponents: known(&per_step.values),
            exponent_std_errors: known(&per_step.std_errors),
            exponents_aligned: per_step.aligned,
            exponents_per_time: known(&per_time.values),
            exponent_steps: per_step.steps,
            exponent_product,
            negative_rayleigh: measured.then_some(chaos.negative_rayleigh).filter(|x| x.is_finite()),
            identity_violation: chaos.violation.filter(|x| x.is_finite()),
        }
    }

    fn sentences(&self) -> String {
        let shown = |(value, error): (&Option<f64>, &Option<f64>)| match (value, error) {
            (Some(value), Some(error)) => format!("{value:.5} ± {error:.5}"),
            (Some(value), None) => format!("{value:.5}, its error unknown"),
            _ => "unknown".to_owned(),
        };
        let several = self.exponents.len() > 1;
        let name = if several { "Lyapunov exponents" } else { "Lyapunov exponent" };
        let each = self.exponents.iter().zip(&self.exponent_std_errors);
        let list: Vec<String> = each.map(shown).collect();
        let aligned = if self.exponents_aligned { "settled" } else { "not settled: the run was too short for a limit" };
        let steps = number(self.exponent_steps as f64, 0);
        let first = self.exponents_per_time.first().copied().flatten();
        let per_time = first.map_or("unknown".to_owned(), |x| compact(x, 3));
        let (list, product) = (list.join(", "), &self.exponent_product);
        let mut text =
            format!("{name} of the optimizer: {list} per step, over {steps} steps by {product} products, {aligned}.\n");
        let rayleigh = self.negative_rayleigh.map_or("unknown".to_owned(), |x| compact(x, 3));
        let _ = write!(text, "Per unit of training time: {per_time}, beside −⟨vᵀHv⟩ = {rayleigh} along its deviation.");
        if let Some(violation) = self.identity_violation {
            let _ = write!(text, "\nGrowth and curvature agree to {violation:.1e} at every step.");
        }
        text
    }
}

/// λ_max at the last measurement, against what it is to be seen in.
#[derive(Clone, Debug, PartialEq)]
pub struct Stand {
    /// η at that measurement: a cooldown may have made it small since.
    learning_rate: f64,
    /// The threshold of stability in units of 1/η, where it speaks of λ_max.
    threshold: Option<f64>,
}

impl Stand {
    /// The stand after the last row of a run.
    pub fn of(course: &Course) -> Option<Self> {
        let last = course.last.as_ref()?;
        let known = !last.edge.preconditioned && last.edge.threshold.is_finite();
        let threshold = known.then_some(last.edge.threshold * last.learning_rate);
        let reading = course.edge.iter().find(|reading| reading.quantity == Quantity::LambdaMax);
        Some(Self { learning_rate: reading.map_or(last.learning_rate, |reading| reading.learning_rate), threshold })
    }

    fn sentence(&self, found: &LambdaMax) -> String {
        let LambdaMax { value, residual, on, product, .. } = found;
        let (value, residual, scaled) = (compact(*value, 2), compact(*residual, 2), self.learning_rate * value);
        let when =
            found.step.map_or("the last measurement".to_owned(), |step| format!("step {}", number(step as f64, 0)));
        let sharpness =
            format!("Sharpness at {when}: λ_max = {value} ± {residual} ({product} products, {}).", on_data(on));
        match self.threshold {
            Some(threshold) => {
                let (scaled, edge) = (compact(scaled, 2), compact(threshold, 2));
                format!("{sharpness}\nη·λ_max = {scaled}, where full-batch training has its edge at {edge}.")
            }
            None => format!("{sharpness}\nη·λ_max = {}.", compact(scaled, 4)),
        }
    }
}

/// The data in a sentence.
fn on_data(on: &str) -> String {
    match on {
        "batch" => "on the mini-batch".to_owned(),
        "full" => "on all training images".to_owned(),
        other => format!("on a fixed {}", other.replace('=', " of ")),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl Summary {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers and texts have a JSON form");
        text.push('\n');
        text
    }

    /// The same object without the folder, which may be moved.
    pub fn without_folder(&self) -> serde_json::Value {
        let mut object = serde_json::to_value(self).expect("numbers and texts have a JSON form");
        object.as_object_mut().expect("it is an object").remove("run");
        object
    }

    /// A few sentences.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}", self.course());
        if let Some(cut) = self.training_time.as_ref().and_then(TrainingTime::sentence) {
            let _ = writeln!(text, "{cut}");
        }
        if let Some(edge) = &self.edge {
            let _ = writeln!(text, "{}", edge.sentence());
        }
        if let (Some(stand), Some(found)) = (&self.stand, &self.lambda_max) {
            let _ = writeln!(text, "{}", stand.sentence(found));
        }
        if let Some(chaos) = &self.chaos {
            let _ = writeln!(text, "{}", chaos.sentences());
        }
        if let Some(guarded) = self.guarded() {
            let _ = writeln!(text, "{guarded}");
        }
        if self.measuring_cost > 0.0 {
            let _ = writeln!(text, "{}", self.cost());
        }
        let _ = writeln!(text, "Run folder: {}", self.run);
        let _ = writeln!(text, "Picture:    {}/run.svg", self.run);
        text
    }

    /// What the guard of a rule has done about a loss that went above its first value.
    fn guarded(&self) -> Option<String> {
        let lowered = self
            .backed_off
            .map(|factor| format!(" and the learning rate is 1/{} of what it asks for", compact(1.0 / factor, 0)));
        let ended = self.went_back.last() == Some(&self.steps);
        let times = match (self.went_back.len(), ended) {
            (0, _) => None,
            (1, true) => Some("it ended at the weights it had before".to_owned()),
            (times, true) => {
                Some(format!("it went back to earlier weights {} and ended at them", counted(times - 1, "time")))
            }
            (times, false) => Some(format!("it went back to earlier weights {}", counted(times, "time"))),
        };
        (lowered.is_some() || times.is_some()).then(|| {
            let times = times.map(|times| format!(" {times},")).unwrap_or_default();
            let lowered = lowered.unwrap_or_default();
            let text = format!("The rule backed off: the loss had gone above its first value,{times}{lowered}.");
            text.replace(",.", ".")
        })
    }

    fn course(&self) -> String {
        let Subject { model, parameters, data, images, .. } = &self.subject;
        let (parameters, images) = (number(*parameters as f64, 0), number(*images as f64, 0));
        let (steps, time) = (counted(self.steps, "step"), duration(self.wall_seconds));
        let network = format!("the {model} ({parameters} weights) on {images} {data} images");
        if let Some(step) = self.diverged_at {
            let step = number(step as f64, 0);
            return format!("The run diverged before step {step}, after {time}: {network}.");
        }
        let accuracy = self.test_accuracy.map(|share| format!(", test accuracy {:.1} %", 100.0 * share));
        let accuracy = accuracy.unwrap_or_default();
        let loss = self.train_loss.filter(|loss| loss.is_finite());
        let result = loss.map(|loss| format!("\nTraining loss {}{accuracy}.", compact(loss, 3))).unwrap_or_default();
        if self.outcome == BLOWN_UP {
            return format!(
                "The run blew up, though its numbers are finite: {network}, {steps} steps in {time}.{result}\n\
                 It ended above ten times its first loss: nothing is said of its stability. Try a smaller learning \
                 rate."
            );
        }
        if self.weights_frozen {
            return format!("Went over the batches of {network} with its weights frozen: {steps} in {time}.{result}");
        }
        format!("Trained {network}: {steps} in {time}.{result}")
    }

    fn cost(&self) -> String {
        let cost = self.measuring_cost;
        format!("Measuring cost {cost:.2} gradient-equivalents per step, {:.0} % on top of training.", 100.0 * cost)
    }
}

/// Where a sharpness stands that is this share of the threshold. λ_max of a mini-batch differs by 10 to 15 % from batch
/// to batch and lies above that of the whole set: this is a place, not whether the run is stable.
pub fn verdict(share: f64) -> &'static str {
    match share {
        x if x > 1.25 => "above the edge of stability",
        x if x >= 0.75 => "at the edge of stability",
        _ => "below the edge of stability",
    }
}

#[cfg(test)]
mod tests;
