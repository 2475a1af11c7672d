//! The configuration as a typed structure; every key says itself what it allows.

use lyapunov::{Estimator, NearbyValue, Product, Quantity, Rule, Shape, Target};
use lyapunov_burn::{
    Activation, Initialization, Layout, Loss as LossName, ModelName, Normalization, Pooling, Shortcut,
};
use serde::{Deserialize, Serialize};

use super::{
    choices::{OptimizerName, PassName, StartName, WeightsName},
    values::{
        betas, bounds, class_numbers, classes, count, depth, named, named_or_auto, named_or_none, named_or_synthetic,
        nonempty_text, not_negative, part, positive, products, quantities, quantity_names, share, target_names,
        targets, text, whole, widths, yes_or_no,
    },
};
use crate::data::digest::sha256;

/// Everything that decides a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The images.
    pub data: Data,
    /// The network.
    pub model: Model,
    /// The loss.
    pub loss: Loss,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// How the learning rate changes with time.
    pub schedule: Schedule,
    /// Who changes the learning rate by what is measured.
    pub control: Control,
    /// What is measured, and when.
    pub measure: Measure,
    /// Which Lyapunov exponents are measured, and how.
    pub exponents: Exponents,
    /// When the run is saved.
    #[serde(skip_serializing)]
    pub checkpoint: Checkpoint,
    /// How long, where, and from which seed.
    pub run: Run,
}

impl Config {
    /// η, where the configuration has it: not with a rule, and not with an optimizer that multiplies it by a rate of
    /// its own.
    pub fn fixed_rate(&self) -> Option<f64> {
        let own = matches!(self.optimizer.name, OptimizerName::Prodigy | OptimizerName::Dog);
        (self.control.rule.is_none() && !own).then_some(self.optimizer.learning_rate)
    }

    /// How many steps to take, where an epoch has this many.
    pub fn step_count(&self, steps_per_epoch: u64) -> u64 {
        match self.timed_steps() {
            // Whatever is beyond all numbers is beyond the limit.
            Some(steps) => (steps as u64).clamp(1, self.run.most_steps),
            None if self.run.steps > 0 => self.run.steps,
            None => self.run.epochs.saturating_mul(steps_per_epoch),
        }
    }

    /// The steps that the training time of `run.time` needs, where that decides.
    fn timed_steps(&self) -> Option<f64> {
        // A quotient that should be whole is, up to its rounding.
        let steps = (self.run.time / self.optimizer.learning_rate * (1.0 - 1e-12)).ceil();
        (self.run.time > 0.0).then_some(steps)
    }

    /// The training time that is taken instead of `run.time`, where `run.most_steps` cut it short.
    pub fn time_cut_to(&self) -> Option<f64> {
        let most = self.run.most_steps as f64;
        self.timed_steps().filter(|steps| *steps > most).map(|_| most * self.optimizer.learning_rate)
    }

    /// The SHA-256 of all that decides the numbers, in hexadecimal digits: everything but
    /// `run.out`, `run.threads` and `[checkpoint]`.
    pub fn digest(&self) -> String {
        sha256(&serde_json::to_vec(self).expect("numbers, names and lists have a JSON form"))
    }

    /// `<model>-<optimizer>-<8 digits>`, the first digits of [`Config::digest`].
    pub fn identity(&self) -> String {
        format!("{}-{}-{}", self.model.name, self.optimizer.name, &self.digest()[..8])
    }
}

/// `[data]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Which images: of files in this layout, or made up.
    #[serde(with = "named_or_synthetic")]
    pub name: Option<Layout>,
    /// The folder of the files, or an archive of them; empty for images that need none.
    #[serde(deserialize_with = "text")]
    pub path: String,
    /// The classes to use, in the order of their new labels; empty for all.
    #[serde(deserialize_with = "classes", serialize_with = "class_numbers")]
    pub classes: Vec<u8>,
    /// How many training images to use; 0 = all.
    #[serde(deserialize_with = "whole")]
    pub subset: usize,
    /// Whether training batches show shifted and flipped images.
    #[serde(deserialize_with = "yes_or_no")]
    pub augment: bool,
}

/// `[model]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Which network.
    #[serde(with = "named")]
    pub name: ModelName,
    /// Channels of each convolution or stage, or units of each hidden layer.
    #[serde(deserialize_with = "widths")]
    pub widths: Vec<usize>,
    /// Layers with weights; 0 where the name says it.
    #[serde(deserialize_with = "depth")]
    pub depth: usize,
    /// Heads of attention.
    #[serde(deserialize_with = "count")]
    pub heads: usize,
    /// Pixels along a side of a patch.
    #[serde(deserialize_with = "count")]
    pub patch: usize,
    /// What stands beside residual blocks that change the size or the channels.
    #[serde(with = "named_or_auto")]
    pub shortcut: Option<Shortcut>,
    /// The nonlinearity.
    #[serde(with = "named")]
    pub activation: Activation,
    /// What stands before the nonlinearity.
    #[serde(with = "named")]
    pub normalization: Normalization,
    /// Groups of channels of the group normalisation.
    #[serde(deserialize_with = "count")]
    pub groups: usize,
    /// How images shrink.
    #[serde(with = "named")]
    pub pooling: Pooling,
    /// The share of entries that are dropped before linear layers.
    #[serde(deserialize_with = "share")]
    pub dropout: f64,
    /// How the weights begin.
    #[serde(with = "named")]
    pub init: Initialization,
    /// A factor of the weights at the start.
    #[serde(deserialize_with = "positive")]
    pub init_scale: f64,
}

/// `[loss]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Which loss.
    #[serde(with = "named")]
    pub name: LossName,
    /// The share of every target that is spread over all classes.
    #[serde(deserialize_with = "share")]
    pub label_smoothing: f64,
    /// λ of the penalty.
    #[serde(deserialize_with = "not_negative")]
    pub l2: f64,
}

/// `[optimizer]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Which optimizer.
    #[serde(with = "named")]
    pub name: OptimizerName,
    /// The learning rate η.
    #[serde(deserialize_with = "positive")]
    pub learning_rate: f64,
    /// β, where there is momentum.
    #[serde(deserialize_with = "share")]
    pub momentum: f64,
    /// β₁ and β₂ of Adam.
    #[serde(deserialize_with = "betas")]
    pub betas: [f64; 2],
    /// ε of Adam.
    #[serde(deserialize_with = "positive")]
    pub epsilon: f64,
    /// λ.
    #[serde(deserialize_with = "not_negative")]
    pub weight_decay: f64,
    /// Whether the weights shrink apart from the gradient.
    #[serde(deserialize_with = "yes_or_no")]
    pub decoupled_decay: bool,
}

/// `[schedule]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Which schedule.
    #[serde(with = "named")]
    pub name: Shape,
    /// The share of the run over which the learning rate rises.
    #[serde(deserialize_with = "part")]
    pub warm_up: f64,
    /// The share of the run over which it falls.
    #[serde(deserialize_with = "part")]
    pub cooldown: f64,
}

/// `[control]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Which rule; without one, nobody changes the learning rate.
    #[serde(with = "named_or_none")]
    pub rule: Option<Rule>,
    /// σ, the strength of the rule.
    #[serde(deserialize_with = "positive")]
    pub sigma: f64,
    /// Steps between two probes of the step, for rules that probe.
    #[serde(deserialize_with = "count")]
    pub every: u64,
    /// Readings that `"quasi-newton"` takes the mean of.
    #[serde(deserialize_with = "count")]
    pub smoothing: u64,
    /// The least and the largest learning rate that a rule may choose.
    #[serde(deserialize_with = "bounds")]
    pub bounds: [f64; 2],
}

/// `[measure]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Steps between measurements; 0 = never.
    #[serde(deserialize_with = "whole")]
    pub every: u64,
    /// What to measure; empty for what suits the optimizer.
    #[serde(deserialize_with = "quantities", serialize_with = "quantity_names")]
    pub what: Vec<Quantity>,
    /// The data to measure on.
    #[serde(deserialize_with = "targets", serialize_with = "target_names")]
    pub on: Vec<Target>,
    /// How products with the Hessian are computed; `None` for what suits the network.
    #[serde(with = "named_or_auto")]
    pub product: Option<Product>,
    /// Products per measurement.
    #[serde(deserialize_with = "products")]
    pub products: usize,
    /// How eigenvalues of the mini-batch are followed.
    #[serde(with = "named")]
    pub estimator: Estimator,
    /// Which number of a nearby trajectory is reported.
    #[serde(with = "named")]
    pub reading: NearbyValue,
}

/// `[exponents]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Exponents {
    /// How many.
    #[serde(deserialize_with = "whole")]
    pub count: usize,
    /// Steps between two re-orthonormalisations.
    #[serde(deserialize_with = "count")]
    pub every: u64,
    /// The share of the run that does not count.
    #[serde(deserialize_with = "share")]
    pub warm_up: f64,
    /// Where the deviations start.
    #[serde(with = "named")]
    pub start: StartName,
    /// How the deviations are carried; `None` for what suits the network.
    #[serde(with = "named_or_auto")]
    pub product: Option<Product>,
    /// Whether gradient and first product come out of one pass.
    #[serde(with = "named")]
    pub pass: PassName,
    /// Whether the weights move.
    #[serde(with = "named")]
    pub weights: WeightsName,
}

/// `[checkpoint]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Steps between two checkpoints; 0 = never.
    #[serde(deserialize_with = "whole")]
    pub every: u64,
    /// Minutes between two checkpoints; 0 = never.
    #[serde(deserialize_with = "not_negative")]
    pub minutes: f64,
    /// How many are kept.
    #[serde(deserialize_with = "count")]
    pub keep: usize,
}

/// `[run]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Passes over the training images.
    #[serde(deserialize_with = "count")]
    pub epochs: u64,
    /// Training steps; 0 = as many as `epochs` needs.
    #[serde(deserialize_with = "whole")]
    pub steps: u64,
    /// Training time to take; 0 = as long as `steps` or `epochs` say.
    #[serde(deserialize_with = "not_negative")]
    pub time: f64,
    /// The steps that `time` may need at most.
    #[serde(deserialize_with = "count")]
    pub most_steps: u64,
    /// Images per step.
    #[serde(deserialize_with = "count")]
    pub batch_size: usize,
    /// Decides the initial weights, the batches and the subsets.
    #[serde(deserialize_with = "whole")]
    pub seed: u64,
    /// Where to compute.
    #[serde(deserialize_with = "text")]
    pub device: String,
    /// Threads that a run computes on; 0 = one per core, and in a sweep one. No number depends on it.
    #[serde(deserialize_with = "whole", skip_serializing)]
    pub threads: usize,
    /// The folder that receives one folder per run.
    #[serde(deserialize_with = "nonempty_text", skip_serializing)]
    pub out: String,
    /// Steps between two evaluations on the test images; 0 = an epoch.
    #[serde(deserialize_with = "whole")]
    pub evaluate_every: u64,
}

impl Run {
    /// How many threads to compute on.
    pub fn thread_count(&self) -> usize {
        if self.threads > 0 { self.threads } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// The steps between two evaluations, where an epoch has this many.
    pub fn evaluation_period(&self, steps_per_epoch: u64) -> u64 {
        if self.evaluate_every > 0 { self.evaluate_every } else { steps_per_epoch }
    }
}
