//! A network of one's own, written in Burn: its sharpness along a few steps of gradient descent.
//!
//! Run with `cargo run --release --example own_module`.

use std::ops::Range;

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{TensorData, activation},
};
use lyapunov::{Descent, Hessian, Lanczos, Objective, Product, Purpose, Sample, Sgd, Stream, System, Vector, lanczos};
use lyapunov_burn::{Device, Loss, ModuleObjective, Tensor, device};

const INPUTS: usize = 10;
const CLASSES: usize = 3;
const POINTS: usize = 512;
const BATCH: usize = 64;

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
        self.last.forward(activation::relu(self.first.forward(x)))
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

fn main() -> lyapunov_burn::Result<()> {
    let device = device("flex")?;
    let forward = |module: &Mlp, x| module.forward(x);
    let objective = ModuleObjective::new(&Mlp::new(&device), forward, |on| batches(on, &device), Loss::CrossEntropy)?;

    let product = Product::GaussNewton;
    let mut descent = Sgd::new(&objective, objective.weights(), 0.2, product);
    println!("step    loss   λ_max  residual  products");
    for step in 0..=50 {
        if step % 10 == 0 {
            let (at, on) = (&descent.weights().clone(), Sample::Mini(step));
            let (loss, gradient) = objective.gradient(at, on)?;
            let hessian = Hessian::new(&objective, at, on).product(product);
            let start = gradient.clone().unit().unwrap_or(gradient);
            let ritz = lanczos(&hessian, &start, &Lanczos { tolerance: 1e-2, ..Lanczos::default() })?;
            let top = &ritz.largest[0];
            println!("{step:4} {loss:7.4} {:7.3} {:9.3} {:9}", top.value, top.residual, ritz.applications);
        }
        descent.step(&mut [])?;
    }
    let trained = objective.module(descent.weights());
    println!("{} weights, to go on with in Burn", trained.num_params());
    Ok(())
}
