//! From a configuration to whoever decides the learning rate.

use lyapunov::{
    Adgd, BackedOff, BatchSharpnessRule, Bounded, Constant, Controller, EdgeStep, OnEdge, QuasiNewton, Schedule,
    Scheduled,
};

use crate::{
    config::{Config, Control, ControlRule, OptimizerName},
    error::Result,
};

/// Who decides the learning rate of every step; `edge` is that of the optimizer at η = 1.
pub fn controller(config: &Config, edge: f64, steps: u64) -> Result<Box<dyn Controller>> {
    let Control { rule, sigma, every, bounds } = config.control;
    let schedule = &config.schedule;
    let schedule = Schedule::new(schedule.name, steps, schedule.warm_up, schedule.cooldown)?;
    let rule: Box<dyn Controller> = match rule {
        ControlRule::None => {
            return Ok(Box::new(Scheduled { rule: Constant(config.optimizer.learning_rate), schedule }));
        }
        ControlRule::EdgeStep => Box::new(edge_step(config, edge)?),
        ControlRule::QuasiNewton => Box::new(QuasiNewton::new(sigma, edge)?),
        ControlRule::BatchSharpness => Box::new(BatchSharpnessRule::new(sigma)?),
        ControlRule::OnEdge => Box::new(OnEdge::new(sigma, every)?),
        ControlRule::Adgd => Box::new(Adgd::new(sigma)?),
    };
    let [least, most] = bounds;
    Ok(Box::new(Scheduled { rule: Bounded::new(BackedOff::new(rule), least, most)?, schedule }))
}

/// The rule `edge-step`; `edge` is that of the optimizer at η = 1.
pub fn edge_step(config: &Config, edge: f64) -> Result<EdgeStep> {
    let (optimizer, sigma) = (&config.optimizer, config.control.sigma);
    let rule = match optimizer.name {
        OptimizerName::HeavyBall | OptimizerName::Nesterov => EdgeStep::new(sigma, optimizer.momentum),
        OptimizerName::Adam | OptimizerName::AdamW => EdgeStep::damped(sigma, optimizer.betas[0]),
        _ => EdgeStep::new(sigma, 0.0),
    };
    Ok(rule?.with_edge(edge).with_period(config.control.every))
}
