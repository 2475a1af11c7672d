//! From a configuration to whoever decides the learning rate.

use lyapunov::{Constant, Controller, RuleOptions, Schedule, Scheduled};

use crate::{
    config::{Config, Control, OptimizerName},
    error::Result,
};

/// Who decides the learning rate of every step; `edge` is that of the optimizer at η = 1.
pub fn controller(config: &Config, edge: f64, steps: u64) -> Result<Box<dyn Controller>> {
    let schedule = &config.schedule;
    let schedule = Schedule::new(schedule.name, steps, schedule.warm_up, schedule.cooldown)?;
    match config.control.rule {
        None => Ok(Box::new(Scheduled { rule: Constant(config.optimizer.learning_rate), schedule })),
        Some(rule) => Ok(rule.scheduled(&rule_options(config, edge), schedule)?),
    }
}

/// What a rule has to know of the optimizer of this configuration; `edge` is that of the optimizer at η = 1.
pub fn rule_options(config: &Config, edge: f64) -> RuleOptions {
    let Control { sigma, every, smoothing, bounds, .. } = config.control;
    let (momentum, damped) = match config.optimizer.name {
        OptimizerName::HeavyBall | OptimizerName::Nesterov => (config.optimizer.momentum, false),
        OptimizerName::Adam | OptimizerName::AdamW => (config.optimizer.betas[0], true),
        _ => (0.0, false),
    };
    RuleOptions { strength: sigma, period: every, smoothing, bounds, edge, momentum, damped }
}
