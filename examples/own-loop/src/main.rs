//! A training loop of one's own, with Burn's optimizer, whose learning rate is set by a rule of ours.
//!
//! Run with `cargo run --release -p own-loop`.

use std::ops::Range;

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    optim::{GradientsParams, SgdConfig, momentum::MomentumConfig},
    tensor::{TensorData, activation},
};
use lyapunov::{
    ComingStep, Controller, Difference, EdgeStep, Measurement, Objective, Plan, Product, Purpose, Sample, Schedule,
    Scheduled, Shape, Stream, Training, Vector, decide,
};
use lyapunov_burn::{Device, ModuleObjective, Tensor, Weights, device};

const INPUTS: usize = 10;
const CLASSES: usize = 3;
const POINTS: usize = 512;
const BATCH: usize = 64;
const MOMENTUM: f64 = 0.9;
const STEPS: u64 = 200;
const EVERY: u64 = 20;

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

/// The points that `on` names, out of three clouds, one per class, with one-hot targets: in batches of at most 64.
fn batches(on: Sample, device: &Device) -> lyapunov::Result<Vec<(Tensor<2>, Tensor<2>)>> {
    let points = match on {
        Sample::Mini(step) => {
            let first = step as usize % (POINTS / BATCH) * BATCH;
            first..first + BATCH
        }
        Sample::Full => 0..POINTS,
        Sample::Subset(size) => 0..size,
        Sample::Disjoint(size) => size..2 * size,
    };
    if points.end > POINTS {
        return Err(lyapunov::Error::argument("subset", points.len(), format!("there are {POINTS} points")));
    }
    let batch = |first: usize| batch(first..points.end.min(first + BATCH), device);
    Ok(points.clone().step_by(BATCH).map(batch).collect())
}

fn batch(points: Range<usize>, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let (count, mut values, mut targets) = (points.len(), Vec::new(), Vec::new());
    for point in points {
        let (mut stream, label) = (Stream::new(1, Purpose::Data, point as u64), point % CLASSES);
        values.extend((0..INPUTS).map(|k| (stream.normal() + if k == label { 2.0 } else { 0.0 }) as f32));
        targets.extend((0..CLASSES).map(|k| f32::from(u8::from(k == label))));
    }
    let tensor = |values, columns| Tensor::from_data(TensorData::new(values, [count, columns]), device);
    (tensor(values, INPUTS), tensor(targets, CLASSES))
}

/// The sum over the examples.
fn loss(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    -(targets * activation::log_softmax(outputs, 1)).sum()
}

fn main() -> lyapunov_burn::Result<()> {
    println!("step    loss  learning rate    λ_max  residual");
    for row in train()?.iter().filter(|row| row.step % EVERY == 0) {
        let Measurement { step, loss, learning_rate, .. } = row;
        let sharpness = row.sharpness.first().map_or((0.0, f64::INFINITY), |found| (found.value, found.residual));
        println!("{step:4} {loss:7.4}  {learning_rate:13.4} {:8.3}  {:8.3}", sharpness.0, sharpness.1);
    }
    Ok(())
}

/// Trains; says what was measured before each step.
fn train() -> lyapunov_burn::Result<Vec<Measurement>> {
    let device = device("flex")?;
    let mut module = Mlp::new(&device.clone().autodiff());
    let momentum = MomentumConfig::new().with_momentum(MOMENTUM).with_dampening(0.0);
    let mut optimizer = SgdConfig::new().with_momentum(Some(momentum)).init();

    // What is measured with: the same forward pass, loss and batches, as an objective of flat weights.
    let forward = |module: &Mlp, x| module.forward(x);
    let objective = ModuleObjective::new(&module, forward, |on| batches(on, &device), loss)?;
    let product = Product::Difference(Difference::SMOOTH);
    let mut training = Training::of_loop(&Plan { steps: STEPS, measure_every: EVERY, product, ..Plan::default() })?;
    let schedule = Schedule::new(Shape::Constant, STEPS, 0.0, 0.3)?;
    let mut rule = Scheduled { rule: EdgeStep::new(2.0, MOMENTUM)?, schedule };
    let (mut before, mut norm, mut rows) = (objective.weights(), 1.0, Vec::new());

    for step in 0..STEPS {
        let (x, y) = batches(Sample::Mini(step), &device.clone().autodiff())?.remove(0);
        let mean = loss(module.forward(x), y) / BATCH as f64;
        let value: f64 = mean.clone().into_scalar::<f32>().into();

        // What measurements and a rule take.
        let (mut row, wanted) = (Measurement::of_step(step, value, norm), rule.wants(step));
        if training.is_due(step, wanted) {
            let weights = objective.weights_of(&module);
            let gradient = objective.gradient(&weights, Sample::Mini(step))?.1;
            (norm, before) = (gradient.norm(), heading(before, &weights, &gradient));
            let coming = ComingStep { heading: Some(&before), ..ComingStep::new(&weights, &gradient) };
            training.measure(&objective, &coming, wanted, &mut row)?;
            before = weights;
        }
        let learning_rate = decide(&mut rule, &mut row)?;
        training.record(row, &mut rule, &mut rows, || objective.weights_of(&module))?;

        let gradients = GradientsParams::from_grads(mean.backward(), &module);
        module = optimizer.step(learning_rate, module, gradients);
    }
    Ok(rows)
}

/// Where the optimizer is heading: against the steps since `before`; at first against the gradient.
fn heading(mut before: Weights, weights: &Weights, gradient: &Weights) -> Weights {
    before.axpy(-1.0, weights);
    if before.norm() > 0.0 { before } else { gradient.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_falls_at_a_rate_that_nobody_chose() {
        let rows = train().expect("nothing is out of its domain");
        let losses: Vec<f64> = rows.iter().map(|row| row.loss).collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..5]), mean(&losses[195..]));
        assert!(last < 0.6 * first, "{first} to {last}");
        let measured: Vec<u64> = rows.iter().filter(|row| !row.sharpness.is_empty()).map(|row| row.step).collect();
        assert_eq!(measured, (0..STEPS).step_by(EVERY as usize).collect::<Vec<_>>());
    }

    #[test]
    fn every_sample_names_its_own_points() {
        let device = device("flex").expect("it is built in");
        let points = |on| -> Vec<Vec<f32>> {
            let batches = batches(on, &device).expect("they exist");
            let values = |(x, _): &(Tensor<2>, _)| x.to_data().iter::<f32>().collect::<Vec<f32>>();
            batches.iter().flat_map(values).collect::<Vec<_>>().chunks(INPUTS).map(<[f32]>::to_vec).collect()
        };
        let full = points(Sample::Full);
        assert_eq!(full.len(), POINTS);
        let epoch: Vec<_> = (0..8).flat_map(|step| points(Sample::Mini(step))).collect();
        assert_eq!(epoch, full, "an epoch is everything");
        assert_eq!(points(Sample::Mini(8)), full[..BATCH]);
        assert_eq!(
            (points(Sample::Subset(100)), points(Sample::Disjoint(100))),
            (full[..100].to_vec(), full[100..200].to_vec())
        );
        assert!(batches(Sample::Disjoint(300), &device).is_err());
    }
}
