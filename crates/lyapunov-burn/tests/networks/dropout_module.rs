//! A user's module that draws at random: in a process of its own, since Burn has one generator for all threads.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
};
use lyapunov::{Difference, Objective, Product, Sample, Vector};
use lyapunov_burn::{Loss, ModuleObjective, ModuleOptions, Tensor, Weights, device};

#[derive(Module, Debug)]
struct Dropping {
    first: Linear,
    dropout: Dropout,
    last: Linear,
}

impl Dropping {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(self.dropout.forward(self.first.forward(x)))
    }
}

#[test]
fn masks_belong_to_the_step() {
    let device = device("flex").unwrap();
    let module = Dropping {
        first: LinearConfig::new(3, 16).init(&device),
        dropout: DropoutConfig::new(0.5).init(),
        last: LinearConfig::new(16, 2).init(&device),
    };
    let inputs = Tensor::<2>::from_floats([[1.0, -0.5, 0.3], [0.2, 0.9, -1.0]], &device);
    let targets = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
    let batches = |_| Ok(vec![(inputs.clone(), targets.clone())]);
    let forward = |module: &Dropping, x| module.forward(x);
    let objective = |outputs| {
        let options = ModuleOptions { outputs, ..ModuleOptions::default() };
        ModuleObjective::new(&module, forward, batches, Loss::SquaredError).unwrap().with_options(options)
    };
    let narrow = objective(Difference::central(1e-3));
    let w = narrow.weights();
    let loss = |step| narrow.gradient(&w, Sample::Mini(step)).unwrap().0.to_bits();
    let first = loss(1);
    assert_ne!(first, loss(2));
    assert_eq!(first, loss(1));

    // Other masks at the moved weights than at the weights would make the product grow with 1/ε.
    let form = |objective: &dyn Objective<Vector = Weights>| {
        Vector::dot(&objective.product(Product::GaussNewton, &w, Sample::Mini(1), &w).unwrap(), &w)
    };
    let (narrow, wide) = (form(&narrow), form(&objective(Difference::central(1e-2))));
    assert!(narrow > 0.0 && (wide / narrow - 1.0).abs() < 1e-3, "{narrow}, {wide}");
}
