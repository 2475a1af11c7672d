//! What the program says about a run that has ended: sentences for a person, one JSON object for a program.

use std::fmt::Write;

use lyapunov::Sharpness;
use serde::Serialize;

use crate::plot::number;

/// The JSON object of `train --json`. What is not a number is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The folder of the run.
    pub run: String,
    /// `completed` or `diverged`.
    pub outcome: &'static str,
    /// The step that could not be taken, where the run diverged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged_at: Option<u64>,
    /// Training steps that were taken.
    pub steps: u64,
    /// The mean loss on all training images after the last step; `null` where the run diverged.
    pub train_loss: Option<f64>,
    /// The share of test images classified correctly after the last step; `null` where the run diverged.
    pub test_accuracy: Option<f64>,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// The last λ_max that was measured, of the mini-batch where that was measured.
    pub lambda_max: Option<LambdaMax>,
    /// The cost of all measurements, in gradient-equivalents per training step.
    pub measuring_cost: f64,
    /// How long the run took.
    pub wall_seconds: f64,
    /// What only the sentences say.
    #[serde(skip)]
    pub subject: Subject,
}

/// What was trained.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The network.
    pub model: String,
    /// How many weights it has.
    pub parameters: usize,
    /// The images.
    pub data: String,
    /// How many of them it is trained on.
    pub images: usize,
}

/// One measurement of λ_max.
#[derive(Clone, Debug, Serialize)]
pub struct LambdaMax {
    /// The estimate.
    pub value: f64,
    /// Some eigenvalue lies within this distance of it.
    pub residual: f64,
    /// The data.
    pub on: String,
    /// The kind of product with the Hessian.
    pub product: &'static str,
    /// In gradient-equivalents.
    pub cost: f64,
}

impl From<&Sharpness> for LambdaMax {
    fn from(found: &Sharpness) -> Self {
        let Sharpness { value, residual, on, product, cost } = *found;
        Self { value, residual, on: on.to_string(), product: product.name(), cost }
    }
}

impl Summary {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers and texts have a JSON form");
        text.push('\n');
        text
    }

    /// A few sentences.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}", self.course());
        if let Some(found) = &self.lambda_max {
            let _ = writeln!(text, "{}", stand(found, self.learning_rate));
            let _ = writeln!(text, "{}", self.cost());
        }
        let _ = writeln!(text, "Run folder: {}", self.run);
        let _ = writeln!(text, "Picture:    {}/run.svg", self.run);
        text
    }

    fn course(&self) -> String {
        let Subject { model, parameters, data, images } = &self.subject;
        let (parameters, images) = (number(*parameters as f64, 0), number(*images as f64, 0));
        let (steps, time) = (number(self.steps as f64, 0), duration(self.wall_seconds));
        let network = format!("the {model} ({parameters} weights) on {images} {data} images");
        if let Some(step) = self.diverged_at {
            let step = number(step as f64, 0);
            return format!("The run diverged before step {step}, after {time}: {network}.");
        }
        let accuracy = self.test_accuracy.map(|share| format!(", test accuracy {:.1} %", 100.0 * share));
        let accuracy = accuracy.unwrap_or_default();
        let loss = self.train_loss.filter(|loss| loss.is_finite());
        let result = loss.map(|loss| format!("\nTraining loss {}{accuracy}.", compact(loss, 3))).unwrap_or_default();
        format!("Trained {network}: {steps} steps in {time}.{result}")
    }

    fn cost(&self) -> String {
        let cost = self.measuring_cost;
        format!("Measuring cost {cost:.2} gradient-equivalents per step, {:.0} % on top of training.", 100.0 * cost)
    }
}

/// Where the run stands against 2/η.
fn stand(found: &LambdaMax, learning_rate: f64) -> String {
    let LambdaMax { value, residual, on, product, .. } = found;
    let on = match on.as_str() {
        "batch" => "the mini-batch".to_owned(),
        "full" => "all training images".to_owned(),
        other => format!("a fixed {}", other.replace('=', " of ")),
    };
    let scaled = learning_rate * value;
    format!(
        "Sharpness at the last measurement: λ_max = {} ± {} ({product} products, on {on}).\n\
         η·λ_max = {}: {}, 2/η = {}.",
        compact(*value, 2),
        compact(*residual, 2),
        compact(scaled, 2),
        verdict(scaled),
        compact(2.0 / learning_rate, 2)
    )
}

/// Where η·λ_max stands. λ_max of a mini-batch differs by 10 to 15 % from batch to batch and lies above that of the whole
/// set: this tells a place, not whether the run is stable.
pub fn verdict(scaled: f64) -> &'static str {
    match scaled {
        x if x > 2.5 => "above the edge of stability of gradient descent",
        x if x >= 1.5 => "near the edge of stability of gradient descent",
        _ => "below the edge of stability of gradient descent",
    }
}

/// With so many decimals, or in powers of ten where that would be long.
pub fn compact(value: f64, decimals: usize) -> String {
    if value.abs() < 1e6 { format!("{value:.decimals$}") } else { format!("{value:.2e}") }
}

/// `8.2 s`, `2 min 5 s`, `1 h 2 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let lambda_max = LambdaMax { value: 23.1, residual: 0.4, on: "batch".to_owned(), product: "exact", cost: 12.0 };
        Summary {
            run: "runs/cnn-sgd-0123abcd".to_owned(),
            outcome: "completed",
            diverged_at: None,
            steps: 1975,
            train_loss: Some(0.4123),
            test_accuracy: Some(0.613),
            learning_rate: 0.05,
            lambda_max: Some(lambda_max),
            measuring_cost: 0.125,
            wall_seconds: 72.3,
            subject: Subject {
                model: "cnn".to_owned(),
                parameters: 21_098,
                data: "synthetic".to_owned(),
                images: 5000,
            },
        }
    }

    #[test]
    fn a_completed_run_is_told_in_sentences() {
        insta::assert_snapshot!(summary().to_text(), @r"
        Trained the cnn (21,098 weights) on 5,000 synthetic images: 1,975 steps in 1 min 12 s.
        Training loss 0.412, test accuracy 61.3 %.
        Sharpness at the last measurement: λ_max = 23.10 ± 0.40 (exact products, on the mini-batch).
        η·λ_max = 1.16: below the edge of stability of gradient descent, 2/η = 40.00.
        Measuring cost 0.12 gradient-equivalents per step, 12 % on top of training.
        Run folder: runs/cnn-sgd-0123abcd
        Picture:    runs/cnn-sgd-0123abcd/run.svg
        ");
    }

    #[test]
    fn a_diverged_run_is_told_in_sentences() {
        let run =
            Summary { outcome: "diverged", diverged_at: Some(12), train_loss: None, lambda_max: None, ..summary() };
        insta::assert_snapshot!(run.to_text(), @r"
        The run diverged before step 12, after 1 min 12 s: the cnn (21,098 weights) on 5,000 synthetic images.
        Run folder: runs/cnn-sgd-0123abcd
        Picture:    runs/cnn-sgd-0123abcd/run.svg
        ");
    }

    #[test]
    fn the_json_object_has_no_number_that_is_not_one() {
        let run = Summary { train_loss: Some(f64::NAN), ..summary() };
        let json: serde_json::Value = serde_json::from_str(&run.to_json()).unwrap();
        assert!(json["train_loss"].is_null());
        assert!(json.get("diverged_at").is_none() && json.get("subject").is_none());
        assert_eq!(json["lambda_max"]["on"], "batch");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([8.21, 125.0, 3725.0].map(duration), ["8.2 s", "2 min 5 s", "1 h 2 min"]);
        assert_eq!(duration(59.96), "1 min 0 s");
    }
}
