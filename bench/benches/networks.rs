//! One network at the disposal of `bench/networks.py`: it reads what to compute from its input, line by line, and
//! answers each line when it is done, so that the script can take turns with PyTorch and read the processor time of
//! both.
//!
//! Arguments: the network, the batch size, the number of threads. Lines: `gradient`, `product` (exact), `gauss-newton`,
//! and `tracked`, the next twenty steps of a descent whose λ_max is measured once in them, by five exact products.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::io::{BufRead, Write, stdin, stdout};

use lyapunov::{Constant, Descent, Objective, Plan, Product, Sample, Sgd, Training};
use lyapunov_burn::{Activation, Architecture, Dataset, Network, NetworkOptions, Normalization, Shortcut, device};

/// The steps that are timed together: one of them measures.
const TRACKED_STEPS: u64 = 20;
/// A rate at which none of the networks blows up.
const RATE: f64 = 1e-4;

fn architecture(name: &str) -> (Architecture, Normalization) {
    let vgg = Architecture::Vgg { depth: 11, widths: vec![32, 64, 128, 128, 128] };
    let resnet = |blocks, widths, shortcut| Architecture::ResNet { blocks, widths, shortcut };
    match name {
        "mlp" => (Architecture::Mlp { widths: vec![512, 512] }, Normalization::None),
        "cnn" => (Architecture::Cnn { widths: vec![16, 32, 64] }, Normalization::None),
        "vgg11" => (vgg, Normalization::None),
        "vgg11-bn" => (vgg, Normalization::Batch),
        "resnet20" => (resnet(3, vec![16, 32, 64], Shortcut::Padded), Normalization::Batch),
        "resnet18" => (resnet(2, vec![64, 128, 256, 512], Shortcut::Projected), Normalization::Batch),
        "wide-resnet" => (Architecture::WideResNet { depth: 16, widths: vec![16, 64, 128, 256] }, Normalization::Batch),
        "densenet" => (Architecture::DenseNet { depth: 40, widths: vec![16, 12] }, Normalization::Batch),
        "vit-tiny" => {
            let vit = Architecture::VisionTransformer { depth: 12, heads: 3, patch: 4, widths: vec![192, 768] };
            (vit, Normalization::None)
        }
        "mlp-mixer" => (Architecture::MlpMixer { depth: 8, patch: 4, widths: vec![128, 64, 512] }, Normalization::None),
        other => panic!("no network is called {other:?}"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [name, batch, threads] = &arguments[..] else {
        // `cargo bench` without arguments runs every benchmark: this one waits for its script.
        return println!("networks: run bench/networks.py");
    };
    let (architecture, normalization) = architecture(name);
    let tokens = matches!(name.as_str(), "vit-tiny" | "mlp-mixer");
    let activation = if tokens { Activation::Gelu } else { Activation::Relu };
    let batch_size = batch.parse().unwrap();
    let options = NetworkOptions { architecture, activation, normalization, batch_size, ..NetworkOptions::default() };
    let data = Dataset::synthetic(0, batch_size, 10).unwrap();
    let network = Network::new(&options, data, &device("flex").unwrap()).unwrap();
    let network = network.with_threads(threads.parse().unwrap()).unwrap();
    let (w, on) = (network.initial_weights(), Sample::Mini(0));
    let (_, direction) = network.gradient(&w, on).unwrap();
    let plan = Plan { steps: u64::MAX, measure_every: TRACKED_STEPS, ..Plan::default() };
    let mut descent = Sgd::new(&network, w.clone(), RATE, Product::Exact);
    let mut training = Training::new(&mut descent, &plan).unwrap();
    for line in stdin().lock().lines() {
        match line.unwrap().as_str() {
            "gradient" => drop(network.gradient(&w, on).unwrap()),
            "product" => drop(network.product(Product::Exact, &w, on, &direction).unwrap()),
            "gauss-newton" => drop(network.product(Product::GaussNewton, &w, on, &direction).unwrap()),
            "tracked" => {
                let until = descent.steps_taken() + TRACKED_STEPS;
                training.advance(&mut descent, until, &mut Constant(RATE), &mut Vec::new()).unwrap();
            }
            other => panic!("{other:?} is nothing that a network computes here"),
        }
        println!("done");
        stdout().flush().unwrap();
    }
}
