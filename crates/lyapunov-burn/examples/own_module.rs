//! A network of one's own, written in Burn: its sharpness along a few steps of gradient descent.
//!
//! Run with `cargo run --release --example own_module`.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{TensorData, activation},
};
use lyapunov::{Descent, Hessian, Lanczos, Objective, Product, Purpose, Sample, Sgd, Stream, System, Vector, lanczos};
use lyapunov_burn::{Device, Loss, ModuleObjective, Tensor, device};

const INPUTS: usize = 10;
const CLASSES: usize = 3;

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

fn main() -> lyapunov_burn::Result<()> {
    let device = device("flex")?;
    let forward = |module: &Mlp, x| module.forward(x);
    let batches = |on| Ok(vec![batch(on, &device)]);
    let objective = ModuleObjective::new(&Mlp::new(&device), forward, batches, Loss::CrossEntropy)?;

    let product = Product::GaussNewton;
    let mut descent = Sgd::new(&objective, objective.weights(), 0.2, product);
    println!("step    loss   λ_max  residual  products");
    for step in 0..=50 {
        if step % 10 == 0 {
            let (at, on) = (&descent.weights().clone(), Sample::Mini(step));
            let (loss, gradient) = objective.gradient(at, on)?;
            let hessian = Hessian { objective: &objective, at, on, product, gradient: None };
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
