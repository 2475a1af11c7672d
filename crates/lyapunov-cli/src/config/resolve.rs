//! From a draft to a checked configuration in which nothing is automatic.

use std::fs;

use lyapunov::{Estimator, Product, Quantity, Rule, Target};
use lyapunov_burn::ModelName;
use toml_edit::{Array, Document, Value};

use super::{
    choices::{OptimizerName, StartName},
    consistency,
    draft::Draft,
    sections::Config,
    shorthand::Shorthand,
    subject::Subject,
};
use crate::error::{Error, Result};

/// A checked configuration, with the memory of who wrote what.
#[derive(Clone)]
pub struct Settings {
    /// The configuration.
    pub config: Config,
    draft: Draft,
}

impl Draft {
    /// Replaces what is automatic by what it means, and checks every value.
    pub fn finish(mut self) -> Result<Settings> {
        self.expand_name()?;
        self.resolve_model();
        self.resolve_rate();
        let text = self.with_control().document();
        let config: Config = toml_edit::de::from_str(&text).map_err(|refusal| {
            let key = refusal.span().and_then(|bytes| key_at(&text, bytes.start)).unwrap_or_default();
            self.blame(&key, &format!("must be {}", refusal.message()))
        })?;
        consistency::check(&self, &config)?;
        let mut settings = Settings { config, draft: self };
        settings.resolve_path();
        Ok(settings)
    }

    /// Writes out a name that says depth and widths as well, such as `wide-resnet-28-10`.
    fn expand_name(&mut self) -> Result<()> {
        let Some(named) = self.text("model.name").and_then(Shorthand::read) else { return Ok(()) };
        for key in ["model.depth", "model.widths"] {
            if self.text(key) != Some("auto") {
                let message = "must be \"auto\" where `model.name` says it";
                return Err(self.blame(key, message));
            }
        }
        self.replace("model.name", named.model.name().into());
        self.replace("model.depth", named.depth.into());
        self.replace("model.widths", named.widths.into_iter().collect::<Array>().into());
        Ok(())
    }

    /// Replaces "auto" by what it means for the model.
    fn resolve_model(&mut self) {
        let name = self.text("model.name").and_then(ModelName::from_name);
        let Some(model) = name else { return };
        let widths: Array = model.usual_widths().iter().map(|width| width.cast_signed() as i64).collect();
        self.resolve_automatic("model.widths", Some(widths.into()));
        self.resolve_automatic("model.depth", model.usual_depth().map(|depth| Value::from(depth.cast_signed() as i64)));
        self.resolve_automatic("model.shortcut", model.usual_shortcut().map(|shortcut| shortcut.name().into()));
        self.resolve_automatic("model.activation", Some(model.usual_activation().name().into()));
    }

    fn resolve_automatic(&mut self, key: &str, meaning: Option<Value>) {
        if let Some(meaning) = meaning.filter(|_| self.text(key) == Some("auto")) {
            self.replace(key, meaning);
        }
    }

    /// Replaces `learning_rate = "auto"` by what it means for the optimizer.
    fn resolve_rate(&mut self) {
        let optimizer = self.text("optimizer.name").and_then(OptimizerName::from_name);
        // A name that is none is refused later, by its key.
        let rate = optimizer.unwrap_or(OptimizerName::Sgd).automatic_rate();
        self.resolve_automatic("optimizer.learning_rate", Some(rate.into()));
    }

    /// The same with what `"auto"` means for the rule. Without a rule the written configuration keeps its `"auto"`, so
    /// that a rule which is named later finds it.
    fn with_control(&mut self) -> Self {
        let rule = self.text("control.rule").and_then(Rule::from_name);
        let falls = self.text("schedule.name") != Some("constant");
        let decays =
            self.text("optimizer.name").and_then(OptimizerName::from_name).is_some_and(OptimizerName::decays_by_itself);
        let cooldown = if rule.is_none() || falls || decays { 0.0 } else { 0.3 };
        let mut resolved = self.clone();
        resolved.resolve_automatic("control.sigma", Some(rule.map_or(1.0, Rule::usual_strength).into()));
        resolved.resolve_automatic("control.every", Some(rule.map_or(1, Rule::usual_period).cast_signed().into()));
        resolved.resolve_automatic("control.smoothing", Some(self.usual_smoothing(rule).into()));
        resolved.resolve_automatic("schedule.cooldown", Some(cooldown.into()));
        if rule.is_some() {
            *self = resolved.clone();
        }
        resolved
    }
}

impl Draft {
    /// Readings of a nearby trajectory scatter from batch to batch.
    fn usual_smoothing(&self, rule: Option<Rule>) -> i64 {
        let nearby = self.text("measure.estimator") != Some(Estimator::Burst.name());
        if rule == Some(Rule::QuasiNewton) && nearby { SMOOTHING } else { 1 }
    }
}

/// Readings of a nearby trajectory that the mean is taken of.
const SMOOTHING: i64 = 10;

impl Settings {
    /// The whole configuration as a commented file.
    pub fn text(&self) -> String {
        self.draft.document()
    }

    /// Whatever differs from the defaults but the folder of the runs, as `key=value`.
    pub fn differences(&self) -> Vec<String> {
        let defaults = Draft::default();
        let written =
            |draft: &Draft, key: &str| draft.value(key).map(|value| value.clone().decorated("", "").to_string());
        let keys = self.draft.known().keys().into_iter().filter(|key| key != "run.out");
        let changed = keys.filter(|key| written(&self.draft, key) != written(&defaults, key));
        changed.filter_map(|key| Some(format!("{key}={}", written(&self.draft, &key)?))).collect()
    }

    /// Writes the place of the images down in full, so that the configuration of a run means the same wherever it is
    /// read again, and however it was spelt. A place that is not there is left for the reader of images to refuse.
    fn resolve_path(&mut self) {
        if let Ok(path) = fs::canonicalize(&self.config.data.path) {
            self.config.data.path = path.display().to_string();
            self.draft.replace("data.path", self.config.data.path.as_str().into());
        }
    }

    /// Writes down what `"auto"` means for this network: exact products, which every network of ours offers, and the
    /// quantities that suit the optimizer.
    ///
    /// # Errors
    /// For exponents by differences of gradients on a network with kinks.
    pub fn resolve(&mut self, subject: &Subject) -> Result<()> {
        let Config { measure, exponents, .. } = &mut self.config;
        for (key, product) in [("measure.product", &mut measure.product), ("exponents.product", &mut exponents.product)]
        {
            if product.is_none() {
                *product = Some(Product::Exact);
                self.draft.replace(key, Product::Exact.name().into());
            }
        }
        if self.config.measure.what.is_empty() {
            self.config.measure.what = automatic_quantities(&self.config, subject.images);
            let names: Array = self.config.measure.what.iter().map(|quantity| quantity.name()).collect();
            self.draft.replace("measure.what", names.into());
        }
        let (exponents, weights) = (&self.config.exponents, subject.parameters);
        // Random deviations live in the whole state, eigenvectors in the weights.
        let dimension = match exponents.start {
            StartName::Random => weights * self.config.optimizer.name.vectors(),
            StartName::LambdaMin => weights,
        };
        if exponents.count > dimension {
            return Err(self.draft.blame("exponents.count", &format!("must be at most the dimension, {dimension}")));
        }
        if exponents.count > 0 && matches!(exponents.product, Some(Product::Difference(_))) && subject.has_kinks {
            let message = "`exponents.product` is \"difference\", but differences of gradients take the kinks of ReLU \
                and \
                        max-pooling for curvature";
            let help = "use \"exact\", which every network here offers".to_owned();
            return Err(self.draft.fault_at("exponents.product", |flag| format!("{flag}{message}"))(Some(help)));
        }
        Ok(())
    }

    /// A fault that points at where `key` got its value.
    pub fn refuse(&self, key: &str, message: &str, help: String) -> Error {
        self.draft.fault_at(key, |flag| format!("{flag}{message}"))(Some(help))
    }

    /// Refuses batches and subsets that are larger than the training set.
    pub fn check_sizes(&self, images: usize) -> Result<()> {
        let at_most = format!("must be at most the number of training images, {images}");
        if self.config.run.batch_size > images {
            return Err(self.draft.blame("run.batch_size", &at_most));
        }
        let too_large = |target: &Target| matches!(target, Target::Subset(size) if *size > images);
        if self.config.measure.on.iter().any(too_large) {
            let subsets = format!("must name subsets of at most the number of training images, {images}");
            return Err(self.draft.blame("measure.on", &subsets));
        }
        Ok(())
    }

    /// A fault of the library, shown where the key to blame was written, if a key is to blame.
    pub fn explain(&self, fault: impl Into<lyapunov_burn::Error>) -> Error {
        let fault = fault.into();
        let key = match &fault {
            lyapunov_burn::Error::Core(lyapunov::Error::Argument { name, reason, .. }) => {
                return match self.draft.known().key_named(name) {
                    Some(key) => self.draft.blame(&key, reason),
                    None => fault.into(),
                };
            }
            lyapunov_burn::Error::Device { .. } | lyapunov_burn::Error::Unusable { .. } => "run.device",
            lyapunov_burn::Error::Core(lyapunov::Error::Product { .. }) => "measure.product",
            _ => return fault.into(),
        };
        let message = fault.to_string();
        self.draft.fault_at(key, |flag| format!("{flag}{message}"))(None)
    }
}

/// What `measure.what = "auto"` means: λ_max, and what the edge of the optimizer speaks of.
fn automatic_quantities(config: &Config, images: usize) -> Vec<Quantity> {
    let edge = match config.optimizer.name {
        name if name.is_preconditioned() => Some(Quantity::PreconditionedSharpness),
        OptimizerName::Sgd if config.run.batch_size < images => Some(Quantity::BatchSharpness),
        _ => None,
    };
    let mut wanted: Vec<Quantity> = [Quantity::LambdaMax].into_iter().chain(edge).collect();
    // And what the rule decides by.
    let decisive = config.control.rule.and_then(|rule| rule.quantity(config.optimizer.name.is_preconditioned()));
    wanted.extend(decisive.filter(|quantity| !wanted.contains(quantity)));
    wanted
}

/// The key whose value covers this byte of a file.
fn key_at(text: &str, byte: usize) -> Option<String> {
    let document = Document::parse(text).ok()?;
    for (section, item) in document.as_table() {
        for (name, item) in item.as_table_like()?.iter() {
            if item.span().is_some_and(|bytes| bytes.contains(&byte)) {
                return Some(format!("{section}.{name}"));
            }
        }
    }
    None
}
