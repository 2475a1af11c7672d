//! Every architecture with two losses: gradient, products, and that it learns.

use lyapunov::{
    Constant, Descent, Difference, Hessian, Measurement, Objective, Plan, Product, Purpose, Sample, Sgd, Stream,
    System, Target, Vector, run, testing,
};
use lyapunov_burn::{
    Activation, Architecture, Dataset, Loss, Network, NetworkOptions, Normalization, Pooling, Precision, Shortcut,
    Weights, device,
};

/// Each architecture, as narrow as it can be, and with the depths of its smallest form where that is cheap.
fn architectures() -> Vec<(Architecture, Normalization)> {
    let vgg = |depth| Architecture::Vgg { depth, widths: vec![2, 3, 3, 4, 4] };
    let resnet = |shortcut| Architecture::ResNet { blocks: 1, widths: vec![2, 3, 6], shortcut };
    let resnet20 = Architecture::ResNet { blocks: 3, widths: vec![2, 2, 4], shortcut: Shortcut::Padded };
    let resnet18 = Architecture::ResNet { blocks: 2, widths: vec![2, 2, 3, 4], shortcut: Shortcut::Projected };
    let wide = |depth| Architecture::WideResNet { depth, widths: vec![2, 2, 4, 6] };
    let dense = |depth| Architecture::DenseNet { depth, widths: vec![2, 2] };
    let transformer = Architecture::VisionTransformer { depth: 2, heads: 2, patch: 8, widths: vec![4, 6] };
    let mixer = Architecture::MlpMixer { depth: 2, patch: 8, widths: vec![4, 3, 6] };
    vec![
        (Architecture::Mlp { widths: vec![] }, Normalization::None),
        (Architecture::Mlp { widths: vec![8, 6] }, Normalization::None),
        (Architecture::DeepLinear { widths: vec![8, 6] }, Normalization::None),
        (Architecture::Cnn { widths: vec![2, 3] }, Normalization::Batch),
        (vgg(11), Normalization::None),
        (vgg(16), Normalization::Batch),
        (resnet(Shortcut::Padded), Normalization::None),
        (resnet(Shortcut::Projected), Normalization::Group { groups: 1 }),
        (resnet20, Normalization::Batch),
        (resnet18, Normalization::Batch),
        (wide(10), Normalization::None),
        (wide(10), Normalization::Group { groups: 2 }),
        (wide(16), Normalization::Batch),
        (dense(7), Normalization::None),
        (dense(10), Normalization::Batch),
        (transformer, Normalization::None),
        (mixer, Normalization::None),
    ]
}

fn networks(activation: Activation, precision: Precision) -> impl Iterator<Item = (String, Network)> {
    let each = architectures().into_iter().flat_map(|a| [(a.clone(), Loss::CrossEntropy), (a, Loss::SquaredError)]);
    each.map(move |((architecture, normalization), loss)| {
        let name = format!("{architecture:?}, {normalization:?}, {loss:?}");
        let options = NetworkOptions {
            architecture,
            activation,
            normalization,
            pooling: Pooling::Average,
            loss,
            precision,
            batch_size: 4,
            ..NetworkOptions::default()
        };
        (name, network(&options))
    })
}

fn network(options: &NetworkOptions) -> Network {
    Network::new(options, Dataset::synthetic(1, 16, 4).unwrap(), &device("flex").unwrap()).unwrap()
}

fn random_like(vector: &Weights, step: u64) -> Weights {
    let mut v = vector.zeros_like();
    v.randomize(&mut Stream::new(8, Purpose::Probe, step));
    v.unit().unwrap()
}

fn moved(w: &Weights, e: f64, v: &Weights) -> Weights {
    let mut point = w.clone();
    point.axpy(e, v);
    point
}

#[test]
fn gradient_and_exact_product_agree_with_central_differences() {
    for (name, network) in networks(Activation::Tanh, Precision::Double) {
        let (w, on) = (network.initial_weights(), Sample::Mini(1));
        let v = random_like(&w, 0);
        let loss = |e: f64| network.gradient(&moved(&w, e, &v), on).unwrap().0;
        let slope = (loss(1e-6) - loss(-1e-6)) / 2e-6;
        let found = Vector::dot(&network.gradient(&w, on).unwrap().1, &v);
        assert!((found - slope).abs() <= 1e-6 * slope.abs(), "{name}: {found} for {slope}");

        assert!(!network.has_kinks());
        let exact = network.product(Product::Exact, &w, on, &v).unwrap();
        let difference = Product::Difference(Difference::central(1e-5 / w.norm()));
        let difference = network.product(difference, &w, on, &v).unwrap();
        let error = moved(&exact, -1.0, &difference).norm() / exact.norm();
        assert!(error <= 1e-6, "{name}: {error:.1e}");
    }
}

#[test]
fn products_are_symmetric_and_gauss_newton_ones_never_negative() {
    for (name, network) in networks(Activation::Relu, Precision::Single) {
        let (w, on) = (network.initial_weights(), Sample::Mini(1));
        for product in [Product::Exact, Product::GaussNewton] {
            let hessian = Hessian { objective: &network, at: &w, on, product, gradient: None };
            testing::check_operator(&hessian, &w, 1e-5);
        }
        for v in (0..4).map(|step| random_like(&w, step)) {
            let form = Vector::dot(&network.product(Product::GaussNewton, &w, on, &v).unwrap(), &v);
            assert!(form >= 0.0, "{name}: {form}");
        }
    }
}

/// The same batch again and again.
struct OneBatch<'a>(&'a Network);

impl Objective for OneBatch<'_> {
    type Vector = Weights;
    fn gradient(&self, at: &Weights, _on: Sample) -> lyapunov::Result<(f64, Weights)> {
        self.0.gradient(at, Sample::Mini(0))
    }
    fn product(&self, kind: Product, at: &Weights, _on: Sample, v: &Weights) -> lyapunov::Result<Weights> {
        self.0.product(kind, at, Sample::Mini(0), v)
    }
}

#[test]
fn three_steps_on_one_batch_lower_its_loss() {
    for (name, network) in networks(Activation::Relu, Precision::Single) {
        let batch = OneBatch(&network);
        let mut sgd = Sgd::new(&batch, network.initial_weights(), 1e-4, Product::Exact);
        let loss = |w: &Weights| batch.gradient(w, Sample::Full).unwrap().0;
        let before = loss(sgd.weights());
        for _ in 0..3 {
            sgd.step(&mut []).unwrap();
        }
        let after = loss(sgd.weights());
        assert!(after < before, "{name}: {before} became {after}");
    }
}

/// Three rows of a run with everything random there is, measured as often as that.
fn rows(options: &NetworkOptions, measure_every: u64) -> Vec<Measurement> {
    let network = network(options);
    let start = network.initial_weights();
    let mut descent = Sgd::new(network, start, 0.0, Product::Exact);
    let on = vec![Target::Batch, Target::Subset(6)];
    let plan = Plan { steps: 3, measure_every, on, evaluate_every: measure_every, products: 2, ..Plan::default() };
    let mut rows = Vec::new();
    run(&mut descent, &plan, &mut Constant(0.05), &mut rows).unwrap();
    rows
}

#[test]
fn measuring_never_changes_the_run_of_any_architecture() {
    let all = architectures();
    for (architecture, normalization) in all.into_iter().filter(|(a, _)| !matches!(a, Architecture::Mlp { .. })) {
        let (batch_size, name) = (4, format!("{architecture:?}, {normalization:?}"));
        let options = NetworkOptions {
            architecture,
            normalization,
            dropout: 0.2,
            augment: true,
            batch_size,
            ..NetworkOptions::default()
        };
        let (plain, measured) = (rows(&options, 0), rows(&options, 1));
        assert_eq!((plain.len(), measured[0].sharpness.len()), (3, 2));
        for (a, b) in plain.iter().zip(&measured) {
            assert_eq!(a.loss.to_bits(), b.loss.to_bits(), "{name}");
            assert_eq!(a.gradient_norm.to_bits(), b.gradient_norm.to_bits(), "{name}");
        }
        assert_ne!(
            plain[0].loss,
            rows(&NetworkOptions { dropout: 0.3, ..options }, 0)[0].loss,
            "{name}: nothing is dropped"
        );
    }
}
