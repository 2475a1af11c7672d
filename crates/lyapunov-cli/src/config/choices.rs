//! The choices of a configuration that the libraries have no name for: optimizers, how deviations are carried.

use lyapunov::Rule;

/// The kinds of optimizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptimizerName {
    /// Stochastic gradient descent.
    Sgd,
    /// With momentum.
    HeavyBall,
    /// With Nesterov's momentum.
    Nesterov,
    /// By moments of the gradient.
    Adam,
    /// The same with decoupled weight decay.
    AdamW,
    /// Adam that estimates its own learning rate.
    Prodigy,
    /// The distance covered over the gradients met.
    Dog,
    /// The average of the iterates instead of a schedule.
    ScheduleFree,
}

lyapunov::named! { OptimizerName, "optimizer":
    Sgd = "sgd",
    HeavyBall = "heavy-ball",
    Nesterov = "nesterov",
    Adam = "adam",
    AdamW = "adamw",
    Prodigy = "prodigy",
    Dog = "dog",
    ScheduleFree = "schedule-free",
}

impl OptimizerName {
    /// How many vectors as long as the weights its state has.
    pub fn vectors(self) -> usize {
        match self {
            Self::Sgd => 1,
            Self::HeavyBall | Self::Nesterov | Self::ScheduleFree => 2,
            Self::Adam | Self::AdamW | Self::Dog => 3,
            Self::Prodigy => 5,
        }
    }

    /// The keys of `[optimizer]` that this optimizer has no use for.
    pub fn unused_keys(self) -> &'static [&'static str] {
        match self {
            Self::Sgd => &["momentum", "betas", "epsilon"],
            Self::Dog => &["momentum", "betas", "epsilon", "decoupled_decay"],
            Self::HeavyBall | Self::Nesterov => &["betas", "epsilon"],
            Self::ScheduleFree => &["betas", "epsilon", "decoupled_decay"],
            Self::Adam | Self::AdamW => &["momentum"],
            Self::Prodigy => &["momentum", "decoupled_decay"],
        }
    }

    /// What `learning_rate = "auto"` stands for.
    pub fn automatic_rate(self) -> f64 {
        match self {
            Self::Sgd => 0.05,
            Self::HeavyBall | Self::Nesterov => 0.01,
            Self::Adam | Self::AdamW => 0.001,
            Self::Prodigy | Self::Dog => 1.0,
            Self::ScheduleFree => 0.5,
        }
    }

    /// Whether its steps shrink by themselves, or an average takes the place of that, so that a schedule that falls
    /// would decay twice.
    pub fn decays_by_itself(self) -> bool {
        matches!(self, Self::Dog | Self::ScheduleFree)
    }

    /// Whether its edge speaks of the preconditioned sharpness.
    pub fn is_preconditioned(self) -> bool {
        matches!(self, Self::Adam | Self::AdamW | Self::Prodigy | Self::Dog)
    }
}

/// The optimizers that a rule has a theory for.
pub fn optimizers(rule: Rule) -> &'static [OptimizerName] {
    use OptimizerName::{Adam, AdamW, HeavyBall, Nesterov, Sgd};
    if rule == Rule::EdgeHold {
        &[OptimizerName::ScheduleFree]
    } else if rule.is_for_plain_descent() {
        &[Sgd]
    } else {
        &[Sgd, HeavyBall, Nesterov, Adam, AdamW]
    }
}

/// Where deviations start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartName {
    /// In random directions.
    Random,
    /// At the eigenvectors of the smallest eigenvalues.
    LambdaMin,
}

lyapunov::named! { StartName, "start": Random = "random", LambdaMin = "lambda_min" }

/// How a step that carries deviations is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassName {
    /// The gradient as it would be without deviations, then the products.
    Apart,
    /// The gradient with the first product.
    Joint,
}

lyapunov::named! { PassName, "pass": Apart = "apart", Joint = "joint" }

/// What the weights do while deviations move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightsName {
    /// They train.
    Moving,
    /// They stay.
    Frozen,
}

lyapunov::named! { WeightsName, "weights": Moving = "moving", Frozen = "frozen" }
