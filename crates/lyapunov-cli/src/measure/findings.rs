//! What the program says about measured quantities: a table for a person, one JSON object for a program.

use std::fmt::Write;

use serde::Serialize;

use crate::{
    config::Subject,
    measure::{
        found::{LayerFound, Measured, OverBatches, Spectrum, TwoParts, Uncertainty},
        summary::verdict,
        table::{Line, table},
    },
    text::{duration, number, significant},
};

/// The JSON object of `measure --json`. What is not a number is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct MeasureReport {
    /// Where the weights are from: a file, or `initial`.
    pub weights: String,
    /// How many weights there are.
    pub parameters: usize,
    /// The data: `full`, `subset=N` or `batch=K`.
    pub on: String,
    /// How many images that is.
    pub images: usize,
    /// The mean loss on these images.
    pub loss: f64,
    /// The norm of the gradient on these images.
    pub gradient_norm: f64,
    /// The learning rate of the configuration; `None` where a rule or the optimizer sets it.
    pub learning_rate: Option<f64>,
    /// The algebraically largest eigenvalue of the Hessian.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda_max: Option<Measured<f64>>,
    /// The algebraically smallest eigenvalue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda_min: Option<Measured<f64>>,
    /// The algebraically largest eigenvalue for all images, estimated from two disjoint parts of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda_max_full: Option<TwoParts>,
    /// The largest eigenvalues, largest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<Measured<Vec<f64>>>,
    /// The largest eigenvalue of each layer's diagonal block, first layer first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerFound>>,
    /// The mean of gᵀHg / gᵀg over mini-batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_sharpness: Option<OverBatches>,
    /// The sum of all eigenvalues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Measured<f64>>,
    /// The density of the eigenvalues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<Spectrum>,
    /// The cost of everything, in gradient-equivalents.
    pub cost: f64,
    /// How long the measuring took.
    pub wall_seconds: f64,
    /// What only the sentences say.
    #[serde(skip)]
    pub subject: Subject,
}

impl MeasureReport {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers and texts have a JSON form");
        text.push('\n');
        text
    }

    /// A table under a sentence.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}\n", self.subject_line());
        let _ = write!(text, "{}", table(&self.lines()));
        let (cost, time) = (number(self.cost, 0), duration(self.wall_seconds));
        let _ = writeln!(text, "\n{}Cost: {cost} gradient-equivalents in {time}.", self.legend());
        if let (Some(found), Some(rate)) = (&self.lambda_max, self.learning_rate) {
            let scaled = rate * found.value;
            let place = verdict(scaled / 2.0);
            let _ = writeln!(text, "At η = {rate}, η·λ_max = {scaled:.2}: {place} of gradient descent.");
        }
        text
    }

    fn subject_line(&self) -> String {
        let Subject { model, parameters, data, images, .. } = &self.subject;
        let (parameters, images) = (number(*parameters as f64, 0), number(*images as f64, 0));
        let (on, these) = (number(self.images as f64, 0), &self.weights);
        let weights = if these == INITIAL { "the initial ones" } else { these };
        format!(
            "The {model} ({parameters} weights: {weights})\non {on} of {images} {data} images: loss {:.4}.",
            self.loss
        )
    }

    fn lines(&self) -> Vec<Line> {
        let eigenvalues = [("lambda_max", &self.lambda_max), ("lambda_min", &self.lambda_min)];
        let mut lines: Vec<Line> =
            eigenvalues.into_iter().filter_map(|(name, found)| Some(line(name, found.as_ref()?))).collect();
        lines.extend(self.lambda_max_full.iter().map(|parts| line("lambda_max_full", &parts.found)));
        lines.extend(self.top.iter().flat_map(top_lines));
        lines.extend(self.layers.iter().flatten().map(|layer| line(&format!("layer {}", layer.name), &layer.found)));
        lines.extend(self.batch_sharpness.iter().map(|batches| line("batch_sharpness", &batches.found)));
        lines.extend(self.trace.iter().map(|found| line("trace", found)));
        lines.extend(self.density.iter().map(density_line));
        lines
    }

    /// What the errors in the table mean, as far as it has them.
    fn legend(&self) -> String {
        let lines = self.lines();
        let any = |kind: fn(&Uncertainty<f64>) -> bool| lines.iter().any(|line| kind(&line.error));
        let mut legend = String::new();
        if any(|error| matches!(error, Uncertainty::Residual(_))) {
            legend += "Residual: some eigenvalue lies this close to the value.\n";
        }
        if any(|error| matches!(error, Uncertainty::StdError(_))) {
            legend += "Standard error: of an estimate by random vectors, or of a mean over mini-batches.\n";
        }
        if let Some(OverBatches { spread, batches, .. }) = &self.batch_sharpness {
            let spread = significant(*spread, 2);
            let _ = writeln!(legend, "The {batches} batches scatter by ± {spread} about their mean.");
        }
        if let Some(TwoParts { in_sample, out_of_sample, .. }) = &self.lambda_max_full {
            let (inside, outside) = (significant(*in_sample, 4), significant(*out_of_sample, 4));
            let values = format!("{inside} in sample and {outside} out of it");
            let _ = writeln!(legend, "Half bracket: of {values}, between which the truth is expected.");
        }
        legend
    }
}

/// What `weights` says of a network that has not been trained.
pub const INITIAL: &str = "initial";

fn line(name: &str, found: &Measured<f64>) -> Line {
    Line {
        name: name.to_owned(),
        value: found.value,
        error: found.error.clone(),
        cost: Some(found.cost),
        on: found.on.clone(),
        product: found.product,
        converged: found.converged,
    }
}

fn top_lines(found: &Measured<Vec<f64>>) -> Vec<Line> {
    let errors = found.error.size();
    let one = |(i, (value, residual)): (usize, (&f64, &f64))| Line {
        name: format!("top {}", i + 1),
        value: *value,
        error: Uncertainty::Residual(*residual),
        // They are found together: the cost stands beside the first.
        cost: (i == 0).then_some(found.cost),
        on: found.on.clone(),
        product: found.product,
        converged: found.converged,
    };
    found.value.iter().zip(errors).enumerate().map(one).collect()
}

/// The density has no single value: the table shows the mean, the picture and the JSON object show it all.
fn density_line(spectrum: &Spectrum) -> Line {
    Line {
        name: "density (mean)".to_owned(),
        value: spectrum.mean,
        error: Uncertainty::StdError(spectrum.mean_std_error),
        cost: Some(spectrum.found.cost),
        on: spectrum.found.on.clone(),
        product: spectrum.found.product,
        converged: spectrum.found.converged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<T>(value: T, error: Uncertainty<T>, converged: Option<bool>) -> Measured<T> {
        let on = "batch=300".to_owned();
        Measured { value, error, cost: 31.25, products: 12, product: "exact", on, converged, wall_seconds: 0.5 }
    }

    fn layer(name: &str, value: f64) -> LayerFound {
        LayerFound {
            name: name.to_owned(),
            parameters: 100,
            found: found(value, Uncertainty::Residual(0.01), Some(true)),
        }
    }

    fn findings() -> MeasureReport {
        MeasureReport {
            weights: "runs/cnn-sgd-0123abcd/weights.safetensors".to_owned(),
            parameters: 21_098,
            on: "batch=300".to_owned(),
            images: 64,
            loss: 0.412_345,
            gradient_norm: 0.5,
            learning_rate: Some(0.05),
            lambda_max: Some(found(23.104_567, Uncertainty::Residual(0.012_34), Some(true))),
            lambda_min: Some(found(-1.203, Uncertainty::Residual(0.0123), Some(false))),
            lambda_max_full: Some(TwoParts {
                in_sample: 25.0,
                residual: 0.02,
                out_of_sample: 16.0,
                found: found(20.0, Uncertainty::HalfBracket(4.5), Some(true)),
            }),
            layers: Some(vec![layer("0", 5.5), layer("3", 11.25)]),
            batch_sharpness: Some(OverBatches {
                spread: 4.3,
                batches: 20,
                found: found(36.5, Uncertainty::StdError(0.97), None),
            }),
            top: Some(found(vec![23.104_567, 9.0], Uncertainty::Residual(vec![0.01, 0.0]), Some(true))),
            trace: Some(found(1234.5, Uncertainty::StdError(23.0), None)),
            density: Some(Spectrum {
                eigenvalue: vec![-1.0, 0.0],
                width: 0.1,
                mean: 0.058_5,
                mean_std_error: 0.001_2,
                found: found(vec![0.0, 1.0], Uncertainty::StdError(vec![0.0, f64::NAN]), None),
            }),
            cost: 1234.0,
            wall_seconds: 72.3,
            subject: Subject {
                model: "cnn".to_owned(),
                has_kinks: true,
                parameters: 21_098,
                data: "synthetic".to_owned(),
                images: 5000,
                classes: 10,
            },
        }
    }

    #[test]
    fn findings_are_reported_in_a_table() {
        insta::assert_snapshot!(findings().to_text(), @r"
        The cnn (21,098 weights: runs/cnn-sgd-0123abcd/weights.safetensors)
        on 64 of 5,000 synthetic images: loss 0.4123.

        quantity             value     error                  cost, g-eq  data       product  converged
        lambda_max         23.1046   ± 0.012  residual              31.2  batch=300  exact    yes
        lambda_min        -1.20300   ± 0.012  residual              31.2  batch=300  exact    no
        lambda_max_full    20.0000     ± 4.5  half bracket          31.2  batch=300  exact    yes
        top 1              23.1046   ± 0.010  residual              31.2  batch=300  exact    yes
        top 2              9.00000       ± 0  residual                    batch=300  exact    yes
        layer 0            5.50000   ± 0.010  residual              31.2  batch=300  exact    yes
        layer 3            11.2500   ± 0.010  residual              31.2  batch=300  exact    yes
        batch_sharpness    36.5000    ± 0.97  standard error        31.2  batch=300  exact    —
        trace              1234.50      ± 23  standard error        31.2  batch=300  exact    —
        density (mean)   0.0585000  ± 0.0012  standard error        31.2  batch=300  exact    —

        Residual: some eigenvalue lies this close to the value.
        Standard error: of an estimate by random vectors, or of a mean over mini-batches.
        The 20 batches scatter by ± 4.3 about their mean.
        Half bracket: of 25.00 in sample and 16.00 out of it, between which the truth is expected.
        Cost: 1,234 gradient-equivalents in 1 min 12 s.
        At η = 0.05, η·λ_max = 1.16: below the edge of stability of gradient descent.
        ");
    }

    #[test]
    fn every_quantity_says_what_it_is_in_json() {
        let json: serde_json::Value = serde_json::from_str(&findings().to_json()).unwrap();
        assert_eq!(json["lambda_max"]["residual"], 0.012_34);
        assert_eq!(json["top"]["value"][1], 9.0);
        assert_eq!(json["trace"]["std_error"], 23.0);
        assert!(json["trace"]["converged"].is_null() && json["trace"].get("residual").is_none());
        assert_eq!((&json["density"]["eigenvalue"][0], &json["density"]["value"][1]), (&(-1.0).into(), &1.0.into()));
        assert!(json["density"]["std_error"][1].is_null(), "what is not a number is null");
        let (parts, batches) = (&json["lambda_max_full"], &json["batch_sharpness"]);
        assert_eq!((&parts["half_bracket"], &parts["out_of_sample"]), (&4.5.into(), &16.0.into()));
        assert_eq!((&batches["std_error"], &batches["spread"]), (&0.97.into(), &4.3.into()));
        assert_eq!((&json["layers"][1]["name"], &json["layers"][1]["value"]), (&"3".into(), &11.25.into()));
        for name in ["lambda_max", "lambda_min", "lambda_max_full", "top", "batch_sharpness", "trace", "density"] {
            for key in ["value", "cost", "products", "product", "on", "converged", "wall_seconds"] {
                assert!(json[name].get(key).is_some(), "{name}.{key}");
            }
        }
    }
}
