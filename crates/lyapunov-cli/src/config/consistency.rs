//! Every check across keys: values that are right alone and wrong together.

use lyapunov::{Estimator, Product, Quantity, Rule, Schedule, Shape, Target};
use lyapunov_burn::{Loss, ModelName};
use toml_edit::Value;

use super::{
    choices::{OptimizerName, WeightsName, optimizers},
    draft::Draft,
    sections::Config,
};
use crate::error::Result;

/// Refuses a configuration that contradicts itself, or whose values nobody would look at.
pub fn check(draft: &Draft, config: &Config) -> Result<()> {
    data(draft, config)?;
    model(draft, config)?;
    optimizer(draft, config)?;
    decay(draft, config)?;
    schedule(draft, config)?;
    control(draft, config)?;
    smoothing(draft, config)?;
    estimator(draft, config)?;
    time(draft, config)?;
    products(draft, config)
}

fn data(draft: &Draft, config: &Config) -> Result<()> {
    match config.data.name {
        None if !config.data.path.is_empty() => {
            let message = "`data.path` is given, but `data.name` is \"synthetic\", which reads no files";
            let fault = draft.fault_at("data.path", |_| message.into());
            let help = "set `data.name` to the set that it holds, or use `--data PATH`, which sets both";
            Err(fault(Some(help.to_owned())))
        }
        Some(layout) if config.data.path.is_empty() => {
            let message = format!("`data.name` is \"{layout}\", but `data.path` is empty");
            let fault = draft.fault_at("data.name", |_| message.clone());
            Err(fault(Some("name the folder or archive of the files by `data.path`, or by `--data PATH`".to_owned())))
        }
        _ => Ok(()),
    }
}

/// Refuses a value that its model would not look at.
fn model(draft: &Draft, config: &Config) -> Result<()> {
    widths(draft, config)?;
    let name = config.model.name;
    let used = ModelName::ALL.map(|other| (other.name(), other.unused_sizes()));
    unused(draft, "model", name.name(), &name.unused_sizes(), &used)
}

fn widths(draft: &Draft, config: &Config) -> Result<()> {
    let contradictory = config.model.name == ModelName::Linear && !config.model.widths.is_empty();
    let message = "must be \"auto\" or [] where `model.name` is \"linear\"";
    if contradictory { Err(draft.blame("model.widths", message)) } else { Ok(()) }
}

/// Refuses a value that the choice `section.name` would not look at; `choices` are all there are, with the keys that
/// each has no use for. One that says the same as the default does no harm: a resolved configuration has them all.
fn unused(
    draft: &Draft,
    section: &str,
    name: &str,
    unused_keys: &[&str],
    choices: &[(&str, Vec<&'static str>)],
) -> Result<()> {
    let defaults = Draft::default();
    for unused in unused_keys {
        let key = format!("{section}.{unused}");
        if plain(draft.value(&key)) != plain(defaults.value(&key)) {
            let message = format!("`{key}` is given, but \"{name}\" has none");
            let users = choices.iter().filter(|(_, others)| !others.contains(unused));
            let users: Vec<String> = users.map(|(user, _)| format!("\"{user}\"")).collect();
            let help = format!("`{section}.name` may be {}", users.join(" or "));
            return Err(draft.fault_at(&key, |flag| format!("{flag}{message}"))(Some(help)));
        }
    }
    Ok(())
}

fn optimizer(draft: &Draft, config: &Config) -> Result<()> {
    let name = config.optimizer.name;
    let used = OptimizerName::ALL.map(|other| (other.name(), other.unused_keys().to_vec()));
    unused(draft, "optimizer", name.name(), name.unused_keys(), &used)?;
    if !name.is_preconditioned() && config.measure.what.contains(&Quantity::PreconditionedSharpness) {
        let message = format!("`measure.what` names preconditioned_sharpness, but \"{name}\" has no preconditioner");
        let help = "only \"adam\", \"adamw\", \"prodigy\" and \"dog\" have one".to_owned();
        return Err(draft.fault_at("measure.what", |flag| format!("{flag}{message}"))(Some(help)));
    }
    Ok(())
}

/// A penalty and a decay both pull the weights to zero: which of the two is meant decides what is measured.
fn decay(draft: &Draft, config: &Config) -> Result<()> {
    if config.loss.l2 == 0.0 || config.optimizer.weight_decay == 0.0 {
        return Ok(());
    }
    let message = "`loss.l2` and `optimizer.weight_decay` are both given: they do the same to a gradient, twice";
    let help =
        "`loss.l2` is part of the loss and of what is measured, `optimizer.weight_decay` of the step: set one to 0";
    Err(draft.fault_at("loss.l2", |flag| format!("{flag}{message}"))(Some(help.to_owned())))
}

fn schedule(draft: &Draft, config: &Config) -> Result<()> {
    let schedule = &config.schedule;
    // Whatever the length of the run.
    let made = Schedule::new(schedule.name, 1000, schedule.warm_up, schedule.cooldown);
    match made {
        Err(lyapunov::Error::Argument { name, reason, .. }) => Err(draft.blame(&format!("schedule.{name}"), &reason)),
        _ => Ok(()),
    }
}

/// Refuses a rule that has no theory for the optimizer, that is not fed, or that decays twice; and keys that nobody
/// would look at.
fn control(draft: &Draft, config: &Config) -> Result<()> {
    let (rule, optimizer) = (config.control.rule, config.optimizer.name);
    let falls = config.schedule.name == Shape::Cosine || config.schedule.cooldown > 0.0;
    if optimizer.decays_by_itself() && falls {
        let key = if config.schedule.cooldown > 0.0 { "schedule.cooldown" } else { "schedule.name" };
        let message = format!("`{key}` lets the learning rate fall, and \"{optimizer}\" decays by itself");
        let help = "two decays leave a run unfinished: leave the schedule constant, without a cooldown".to_owned();
        return Err(draft.fault_at(key, |flag| format!("{flag}{message}"))(Some(help)));
    }
    let Some(rule) = rule else { return unused_control(draft) };
    if !optimizers(rule).contains(&optimizer) {
        let names: Vec<String> = optimizers(rule).iter().map(|name| format!("\"{name}\"")).collect();
        let message = format!("`control.rule` is \"{rule}\", which has no theory for \"{optimizer}\"");
        let others = Rule::ALL.into_iter().filter(|other| optimizers(*other).contains(&optimizer));
        let others: Vec<String> = others.map(|other| format!("\"{other}\"")).collect();
        let suited = if others.is_empty() { String::new() } else { format!("; made for it: {}", others.join(", ")) };
        let help = format!("it works with {}{suited}", names.join(", "));
        return Err(draft.fault_at("control.rule", |flag| format!("{flag}{message}"))(Some(help)));
    }
    if config.schedule.name == Shape::Cosine {
        let message = "`schedule.name` is \"cosine\", but a rule of [control] already follows the curvature down: \
            that would decay twice";
        let help = "use \"constant\" with its cooldown".to_owned();
        return Err(draft.fault_at("schedule.name", |flag| format!("{flag}{message}"))(Some(help)));
    }
    if draft.is_given("optimizer.learning_rate") && config.optimizer.learning_rate != optimizer.automatic_rate() {
        let message = format!("`optimizer.learning_rate` is given, but \"{rule}\" sets the learning rate");
        let help = "leave it out, or set `control.rule` to \"none\"".to_owned();
        return Err(draft.fault_at("optimizer.learning_rate", |flag| format!("{flag}{message}"))(Some(help)));
    }
    fed(draft, config, rule)
}

/// Refuses a rule whose measurement the plan leaves out.
fn fed(draft: &Draft, config: &Config, rule: Rule) -> Result<()> {
    let measure = &config.measure;
    let Some(quantity) = rule.quantity(config.optimizer.name.is_preconditioned()) else { return Ok(()) };
    let unmeasured = (measure.every == 0).then_some("measure.every");
    let unnamed = (!measure.what.is_empty() && !measure.what.contains(&quantity)).then_some("measure.what");
    let nowhere = (quantity != Quantity::BatchSharpness && measure.on.is_empty()).then_some("measure.on");
    match unmeasured.or(unnamed).or(nowhere) {
        None => Ok(()),
        Some(key) => {
            let message = format!("\"{rule}\" decides by {quantity}, which is not measured");
            let help = format!("`{key}` must ask for it; `measure.every = 20` follows it well");
            Err(draft.fault_at(key, |flag| format!("{flag}{message}"))(Some(help)))
        }
    }
}

/// Refuses a mean of readings for a rule that has its own.
fn smoothing(draft: &Draft, config: &Config) -> Result<()> {
    match config.control.rule {
        Some(rule) if rule != Rule::QuasiNewton && config.control.smoothing > 1 => {
            let message = format!("`control.smoothing` is given, but \"{rule}\" has none");
            let help = format!("leave it out, or set `control.rule` to \"{}\"", Rule::QuasiNewton);
            Err(draft.fault_at("control.smoothing", |flag| format!("{flag}{message}"))(Some(help)))
        }
        _ => Ok(()),
    }
}

/// Refuses a training time beside a number of steps, and one whose steps no rate decides.
fn time(draft: &Draft, config: &Config) -> Result<()> {
    if config.run.time == 0.0 {
        return Ok(());
    }
    let (message, help) = if config.run.steps > 0 {
        let message =
            format!("`run.time` and `run.steps` are both given: {} and {}", config.run.time, config.run.steps);
        (message, "set one of the two to 0; `run.most_steps` limits the steps of a time")
    } else if config.fixed_rate().is_none() {
        let message = "`run.time` is given, but no `optimizer.learning_rate` decides how many steps that is".to_owned();
        (message, "set `run.steps` or `run.epochs` instead: a rule or the optimizer chooses the rate here")
    } else {
        return Ok(());
    };
    Err(draft.fault_at("run.time", |flag| format!("{flag}{message}"))(Some(help.to_owned())))
}

/// Refuses a nearby trajectory that has nothing to follow, and the choice of a reading without one.
fn estimator(draft: &Draft, config: &Config) -> Result<()> {
    let measure = &config.measure;
    let defaults = Draft::default();
    if measure.estimator == Estimator::Burst {
        if draft.text("measure.reading") == defaults.text("measure.reading") {
            return Ok(());
        }
        let message = "`measure.reading` is given, but `measure.estimator` is \"burst\", which reads eigenvalues only";
        let help = "leave it out, or set `measure.estimator = \"nearby-trajectory\"`".to_owned();
        return Err(draft.fault_at("measure.reading", |flag| format!("{flag}{message}"))(Some(help)));
    }
    let (key, message, help) = if measure.every == 0 {
        let message = "`measure.estimator` is \"nearby-trajectory\", but `measure.every` is 0: nothing is measured";
        ("measure.every", message, "the trajectory moves at every step, whatever period this is: leave it out")
    } else if !measure.on.contains(&Target::Batch) {
        let message = "`measure.estimator` is \"nearby-trajectory\", which follows the batches of the run, but \
            `measure.on` does not name \"batch\"";
        ("measure.on", message, "add \"batch\", such as `measure.on = [\"batch\", \"full\"]`")
    } else {
        return Ok(());
    };
    Err(draft.fault_at(key, |flag| format!("{flag}{message}"))(Some(help.to_owned())))
}

/// Refuses a strength, a period, a mean or bounds without a rule.
fn unused_control(draft: &Draft) -> Result<()> {
    let defaults = Draft::default();
    for key in ["control.sigma", "control.every", "control.smoothing", "control.bounds"] {
        if plain(draft.value(key)) != plain(defaults.value(key)) {
            let message = format!("`{key}` is given, but `control.rule` is \"none\"");
            let help = "name a rule, such as `control.rule = \"edge-step\"`".to_owned();
            return Err(draft.fault_at(key, |flag| format!("{flag}{message}"))(Some(help)));
        }
    }
    Ok(())
}

/// The Gauss–Newton matrix needs a loss that is curved in the outputs, and the tangent of a step the whole Hessian.
fn products(draft: &Draft, config: &Config) -> Result<()> {
    if config.loss.name == Loss::Hinge && config.measure.product == Some(Product::GaussNewton) {
        let reason = "must be \"auto\", \"exact\" or \"difference\" with the hinge loss: that is piecewise linear in \
            the outputs, \
                      and its Gauss–Newton matrix zero";
        return Err(draft.blame("measure.product", reason));
    }
    let lowest = config.measure.what.contains(&Quantity::LambdaMin);
    if lowest && config.measure.product == Some(Product::GaussNewton) {
        let reason = "must be \"auto\", \"exact\" or \"difference\" where `measure.what` names lambda_min: the \
            Gauss–Newton matrix \
                      has no negative eigenvalues";
        return Err(draft.blame("measure.product", reason));
    }
    if config.exponents.product == Some(Product::GaussNewton) {
        let reason =
            "must be \"auto\", \"exact\" or \"difference\": the Gauss–Newton matrix is not the derivative of a step";
        return Err(draft.blame("exponents.product", reason));
    }
    if config.exponents.weights == WeightsName::Frozen && config.exponents.count == 0 {
        let message = "`exponents.weights` is \"frozen\", but no exponents are asked for: nothing would move";
        let help = "set `exponents.count` to 1 or more".to_owned();
        return Err(draft.fault_at("exponents.weights", |flag| format!("{flag}{message}"))(Some(help)));
    }
    Ok(())
}

/// A text, a number or those of a list, however they are written.
fn plain(value: Option<&Value>) -> (Option<&str>, Vec<f64>) {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|whole| whole as f64));
    let list = value.and_then(Value::as_array).map(|list| list.iter().filter_map(number).collect());
    (value.and_then(Value::as_str), list.unwrap_or_else(|| value.and_then(number).into_iter().collect()))
}
