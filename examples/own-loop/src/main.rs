//! A training loop of one's own, with Burn's optimizer, whose learning rate is set by a rule of ours.
//!
//! Run with `cargo run --release -p own-loop`.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    optim::{GradientsParams, SgdConfig, momentum::MomentumConfig},
    tensor::{TensorData, activation},
};
use lyapunov::{
    Controller, Difference, EdgeStep, Measurement, Objective, Product, Purpose, Sample, Schedule, Scheduled, Shape,
    Stream, Vector, along,
};
use lyapunov_burn::{Device, ModuleObjective, Tensor, device};

const INPUTS: usize = 10;
const CLASSES: usize = 3;
const MOMENTUM: f64 = 0.9;
const STEPS: u64 = 200;

#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    last: Linear,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        device.seed(0);
        Self { first: LinearConfig::new(INPUTS, 32).init(device), last: LinearConfig::new(32, CLASSES).init(device) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(activation::tanh(self.first.forward(x)))
    }
}

/// 64 points of a step out of three clouds, one per class, and one-hot targets.
fn batch(on: Sample, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let step = if let Sample::Mini(step) = on { step } else { 0 };
    let mut stream = Stream::new(1, Purpose::Data, step);
    let (mut points, mut targets) = (Vec::new(), Vec::new());
    for label in (0..64).map(|i| i % CLASSES) {
        points.extend((0..INPUTS).map(|k| (stream.normal() + if k == label { 2.0 } else { 0.0 }) as f32));
        targets.extend((0..CLASSES).map(|k| f32::from(u8::from(k == label))));
    }
    let tensor = |values, columns| Tensor::from_data(TensorData::new(values, [64, columns]), device);
    (tensor(points, INPUTS), tensor(targets, CLASSES))
}

/// The sum over the examples.
fn loss(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    -(targets * activation::log_softmax(outputs, 1)).sum()
}

fn main() -> lyapunov_burn::Result<()> {
    println!("step    loss  learning rate");
    train(|step, loss, rate| {
        if step % 20 == 0 {
            println!("{step:4} {loss:7.4}  {rate:.4}");
        }
    })
}

/// Trains, and tells step, loss and learning rate.
fn train(mut tell: impl FnMut(u64, f64, f64)) -> lyapunov_burn::Result<()> {
    let device = device("flex")?;
    let mut module = Mlp::new(&device.clone().autodiff());
    let momentum = MomentumConfig::new().with_momentum(MOMENTUM).with_dampening(0.0);
    let mut optimizer = SgdConfig::new().with_momentum(Some(momentum)).init();

    // What the rule measures by: the same forward pass, loss and batches, as an objective of flat weights.
    let objective =
        ModuleObjective::new(&module, |module: &Mlp, x| module.forward(x), |on| Ok(vec![batch(on, &device)]), loss)?;
    let product = Product::Difference(Difference::SMOOTH);
    let schedule = Schedule::new(Shape::Constant, STEPS, 0.0, 0.3)?;
    let mut rule = Scheduled { rule: EdgeStep::new(2.0, MOMENTUM)?, schedule };
    let (mut before, mut norm) = (objective.weights(), 1.0);

    for step in 0..STEPS {
        let (x, y) = batch(Sample::Mini(step), &device.clone().autodiff());
        let mean = loss(module.forward(x), y) / 64.0;
        let value: f64 = mean.clone().into_scalar::<f32>().into();

        // What the rule adds: where it asks for a probe, the curvature along the way that the optimizer is heading.
        let mut row = Measurement::of_step(step, value, norm);
        if rule.wants(step).along {
            let weights = objective.weights_of(&module);
            let (_, gradient) = objective.gradient(&weights, Sample::Mini(step))?;
            norm = gradient.norm();
            // The steps since the last probe say where; before the first, the gradient does.
            before.axpy(-1.0, &weights);
            let heading = if step == 0 { &gradient } else { &before };
            row.along = along(&objective, &weights, Sample::Mini(step), product, heading, &gradient)?;
            before = weights;
        }
        let rate = rule.next(&row)?;

        let gradients = GradientsParams::from_grads(mean.backward(), &module);
        module = optimizer.step(rate, module, gradients);
        tell(step, value, rate);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_falls_at_a_rate_that_nobody_chose() {
        let mut losses = Vec::new();
        train(|_, loss, _| losses.push(loss)).expect("nothing is out of its domain");
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..5]), mean(&losses[195..]));
        assert!(last < 0.6 * first, "{first} to {last}");
    }
}
