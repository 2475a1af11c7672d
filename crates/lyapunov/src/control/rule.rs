//! The rules by name: the one list from which configurations and other languages choose.

use super::{
    Adgd, BackedOff, BatchSharpnessRule, Bounded, Controller, EdgeHold, EdgeStep, OnEdge, QuasiNewton, Schedule,
    Scheduled,
};
use crate::{error::Result, record::Quantity};

/// A rule that sets the learning rate from what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// [`EdgeStep`]: by the product with the Hessian along the step.
    EdgeStep,
    /// [`EdgeHold`]: σ over the largest eigenvalue, read while the learning rate rises, and held.
    EdgeHold,
    /// [`QuasiNewton`]: σ over the largest eigenvalue, as in the paper.
    QuasiNewton,
    /// [`BatchSharpnessRule`]: 2σ over the batch sharpness.
    BatchSharpness,
    /// [`OnEdge`]: by slope and curvature along the step.
    OnEdge,
    /// [`Adgd`]: by the secant of the last step.
    Adgd,
}

named! { Rule, "rule":
    EdgeStep = "edge-step",
    EdgeHold = "edge-hold",
    QuasiNewton = "quasi-newton",
    BatchSharpness = "batch-sharpness",
    OnEdge = "on-edge",
    Adgd = "adgd",
}

/// How strong a rule is, what it may choose, and what it has to know of the optimizer that it serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleOptions {
    /// σ, the strength; [`Rule::usual_strength`].
    pub strength: f64,
    /// Steps between two probes, for rules that probe; [`Rule::usual_period`].
    pub period: u64,
    /// The readings that [`QuasiNewton`] takes the mean of; 1 for each alone.
    pub smoothing: u64,
    /// The least and the largest learning rate.
    pub bounds: [f64; 2],
    /// The edge of the optimizer at η = 1: 2 for gradient descent.
    pub edge: f64,
    /// Its momentum; 0 without.
    pub momentum: f64,
    /// Whether the momentum is an average, as Adam's.
    pub damped: bool,
}

impl Rule {
    /// The rule, backed off where the loss goes above the first one, within its bounds.
    ///
    /// ```
    /// use lyapunov::{Measurement, Rule, RuleOptions};
    /// let rule = Rule::from_name("quasi-newton").expect("it is on the list");
    /// let mut controller = rule.controller(&RuleOptions::of(rule))?;
    /// // It decides by λ_max, which this row lacks.
    /// assert!(controller.next(&Measurement::of_step(0, 1.0, 1.0)).is_err());
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    ///
    /// # Errors
    /// For a strength, a period or bounds that the rule cannot work with.
    pub fn controller(self, options: &RuleOptions) -> Result<Box<dyn Controller + Send + Sync>> {
        let RuleOptions { strength, period, bounds: [least, most], edge, .. } = *options;
        let rule: Box<dyn Controller + Send + Sync> = match self {
            Self::EdgeStep => Box::new(EdgeStep::of(options)?),
            Self::EdgeHold => Box::new(EdgeHold::new(strength, edge)?),
            Self::QuasiNewton => Box::new(QuasiNewton::new(strength, edge)?.with_smoothing(options.smoothing)),
            Self::BatchSharpness => Box::new(BatchSharpnessRule::new(strength)?),
            Self::OnEdge => Box::new(OnEdge::new(strength, period)?),
            Self::Adgd => Box::new(Adgd::new(strength)?),
        };
        Ok(Box::new(Bounded::new(BackedOff::new(rule), least, most)?))
    }

    /// The same with a schedule around it.
    ///
    /// # Errors
    /// As for [`Rule::controller`].
    pub fn scheduled(self, options: &RuleOptions, schedule: Schedule) -> Result<Box<dyn Controller + Send + Sync>> {
        Ok(Box::new(Scheduled { rule: self.controller(options)?, schedule }))
    }

    /// Whether the rule has a theory for plain gradient descent only, and none for momentum or a preconditioner.
    pub fn is_for_plain_descent(self) -> bool {
        matches!(self, Self::BatchSharpness | Self::Adgd)
    }

    /// The quantity that the rule decides by, where the plan has to measure it.
    pub fn quantity(self, preconditioned: bool) -> Option<Quantity> {
        match self {
            Self::QuasiNewton if preconditioned => Some(Quantity::PreconditionedSharpness),
            Self::QuasiNewton => Some(Quantity::LambdaMax),
            Self::BatchSharpness => Some(Quantity::BatchSharpness),
            Self::EdgeStep | Self::EdgeHold | Self::OnEdge | Self::Adgd => None,
        }
    }

    /// The strength that experiments have found best.
    pub fn usual_strength(self) -> f64 {
        match self {
            Self::EdgeStep | Self::OnEdge => 2.0,
            Self::EdgeHold => 1.5,
            Self::QuasiNewton | Self::BatchSharpness | Self::Adgd => 1.0,
        }
    }

    /// The steps between two probes that experiments have found enough.
    pub fn usual_period(self) -> u64 {
        if self == Self::EdgeStep { 20 } else { 1 }
    }
}

impl RuleOptions {
    /// What is usual for a rule on plain gradient descent, without bounds.
    pub fn of(rule: Rule) -> Self {
        Self {
            strength: rule.usual_strength(),
            period: rule.usual_period(),
            smoothing: 1,
            bounds: [0.0, f64::INFINITY],
            edge: 2.0,
            momentum: 0.0,
            damped: false,
        }
    }
}

impl EdgeStep {
    /// The rule for the optimizer that `options` describe.
    ///
    /// # Errors
    /// For a strength or a momentum that the rule cannot work with.
    pub fn of(options: &RuleOptions) -> Result<Self> {
        let made = if options.damped { Self::damped } else { Self::new };
        Ok(made(options.strength, options.momentum)?.with_edge(options.edge).with_period(options.period))
    }
}
