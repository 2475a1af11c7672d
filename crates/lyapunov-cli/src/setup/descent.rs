//! From a configuration to an optimizer, and what its run does when.

use lyapunov::{
    Decay, DistanceOverGradients, Estimator, ExponentOptions, Moments, Momentum, Objective, Optimizer, Persist, Plan,
    ProdigyRule, Product, Quantity, Sample, ScheduleFreeRule, SgdRule, SpectralTarget, Start, UpdateRule,
};
use lyapunov_burn::{Network, Weights};

use crate::{
    config::{Config, OptimizerName, PassName, StartName, WeightsName},
    error::Result,
};

/// The products of this kind, or of the best one, where they can give what is `wanted`.
pub fn product(kind: Option<Product>, network: &Network, wanted: SpectralTarget) -> lyapunov::Result<Product> {
    match kind {
        None => Product::auto(network, wanted),
        Some(Product::Difference(_)) => Product::Difference(network.difference()).suited(network, wanted),
        Some(product) => product.suited(network, wanted),
    }
}

/// Something to do with an optimizer, whichever it is.
pub trait OptimizerVisitor {
    /// What comes out of it.
    type Output;

    /// Does it with the optimizer that steps by `rule`.
    fn visit<R: UpdateRule<Weights, State: Persist>>(self, rule: R) -> Result<Self::Output>;
}

/// Does `visitor` with the rule of `[optimizer]`.
pub fn with_rule<S: OptimizerVisitor>(config: &Config, visitor: S) -> Result<S::Output> {
    let optimizer = &config.optimizer;
    match optimizer.name {
        OptimizerName::Sgd => visitor.visit(SgdRule),
        OptimizerName::HeavyBall => visitor.visit(Momentum::new(optimizer.momentum, false)?),
        OptimizerName::Nesterov => visitor.visit(Momentum::new(optimizer.momentum, true)?),
        OptimizerName::Adam | OptimizerName::AdamW => {
            let [beta1, beta2] = optimizer.betas;
            visitor.visit(Moments { beta1, beta2, epsilon: optimizer.epsilon })
        }
        OptimizerName::Prodigy => {
            let [beta1, beta2] = optimizer.betas;
            visitor.visit(ProdigyRule::new(Moments { beta1, beta2, epsilon: optimizer.epsilon })?)
        }
        OptimizerName::Dog => visitor.visit(DistanceOverGradients),
        OptimizerName::ScheduleFree => visitor.visit(ScheduleFreeRule::new(optimizer.momentum)?),
    }
}

/// The optimizer of a run before its first step.
pub fn descent<'a, R: UpdateRule<Weights>>(
    config: &Config,
    network: &'a Network,
    start: Weights,
    rule: R,
) -> Result<Optimizer<&'a Network, R>> {
    let optimizer = &config.optimizer;
    let decoupled = optimizer.decoupled_decay || optimizer.name == OptimizerName::AdamW;
    // Without deviations nothing asks for a product.
    let product = match config.exponents.count {
        0 => Product::Exact,
        _ => product(config.exponents.product, network, SpectralTarget::Spectrum)?,
    };
    let descent = Optimizer::with_rule(network, start, optimizer.learning_rate, rule, product)
        .with_decay(Decay { rate: optimizer.weight_decay, decoupled })?;
    Ok(match config.exponents.weights {
        WeightsName::Moving => descent,
        WeightsName::Frozen => descent.frozen(),
    })
}

/// What a run does, and when.
pub fn plan(config: &Config, network: &Network) -> Result<Plan> {
    let epoch = network.steps_per_epoch();
    let steps = config.step_count(epoch);
    let lowest = config.measure.what.contains(&Quantity::LambdaMin);
    let wanted = if lowest { SpectralTarget::Smallest } else { SpectralTarget::Largest };
    Ok(Plan {
        steps,
        measure_every: config.measure.every,
        what: config.measure.what.clone(),
        on: config.measure.on.clone(),
        product: product(config.measure.product, network, wanted)?,
        products: config.measure.products,
        estimator: match config.measure.estimator {
            Estimator::Burst => Estimator::Burst,
            Estimator::NearbyTrajectory(_) => Estimator::NearbyTrajectory(config.measure.reading),
        },
        evaluate_every: config.run.evaluation_period(epoch),
        exponents: (config.exponents.count > 0).then(|| carry(config, network, steps)),
    })
}

/// Images on which the smallest eigenvalues are sought that deviations may start from, where batches are smaller.
const START_SUBSET: usize = 1000;

fn carry(config: &Config, network: &Network, steps: u64) -> ExponentOptions {
    let (exponents, images) = (&config.exponents, network.images(Sample::Full));
    let on = if config.run.batch_size >= START_SUBSET.min(images) {
        Sample::Mini(0)
    } else {
        Sample::Subset(START_SUBSET.min(images))
    };
    ExponentOptions {
        count: exponents.count,
        every: exponents.every,
        warm_up: (exponents.warm_up * steps as f64).floor() as u64,
        start: match exponents.start {
            StartName::Random => Start::Random,
            StartName::LambdaMin => Start::LambdaMin(on),
        },
        joint: exponents.pass == PassName::Joint,
        seed: config.run.seed,
    }
}
