//! Every architecture with two losses: gradient, products, and that it learns.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(feature = "train")]

use lyapunov::{
    Descent, Difference, Hessian, Objective, Product, Purpose, Sample, Sgd, Stream, System, Vector, testing,
    train::{
        Activation, Architecture, Dataset, Loss, Network, NetworkOptions, Normalization, Pooling, Precision, Shortcut,
        Tensor, device,
    },
};

/// Each architecture, as small as it can be.
fn architectures() -> [(Architecture, Normalization); 13] {
    let vgg = Architecture::Vgg { depth: 11, widths: vec![2, 3, 3, 4, 4] };
    let resnet = |shortcut| Architecture::ResNet { blocks: 1, widths: vec![2, 3, 6], shortcut };
    let dense = Architecture::DenseNet { depth: 7, widths: vec![2, 3] };
    let transformer = Architecture::VisionTransformer { depth: 2, heads: 2, patch: 8, widths: vec![4, 6] };
    let mixer = Architecture::MlpMixer { depth: 2, patch: 8, widths: vec![4, 3, 6] };
    let wide = Architecture::WideResNet { depth: 10, widths: vec![2, 2, 3, 4] };
    [
        (Architecture::Mlp { widths: vec![] }, Normalization::None),
        (Architecture::DeepLinear { widths: vec![8, 6] }, Normalization::None),
        (vgg.clone(), Normalization::None),
        (vgg, Normalization::Batch),
        (resnet(Shortcut::Padded), Normalization::None),
        (resnet(Shortcut::Padded), Normalization::Batch),
        (resnet(Shortcut::Projected), Normalization::Batch),
        (wide.clone(), Normalization::None),
        (wide, Normalization::Batch),
        (dense.clone(), Normalization::None),
        (dense, Normalization::Batch),
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
        let data = Dataset::synthetic(1, 16, 4).unwrap();
        (name, Network::new(&options, data, &device("flex").unwrap()).unwrap())
    })
}

fn random_like(vector: &Tensor<1>) -> Tensor<1> {
    let mut v = vector.zeros_like();
    v.randomize(&mut Stream::new(8, Purpose::Probe, 0));
    v.unit().unwrap()
}

fn moved(w: &Tensor<1>, e: f64, v: &Tensor<1>) -> Tensor<1> {
    let mut point = w.clone();
    point.axpy(e, v);
    point
}

#[test]
fn gradient_and_exact_product_agree_with_central_differences() {
    for (name, network) in networks(Activation::Tanh, Precision::Double) {
        let (w, on) = (network.initial_weights(), Sample::Mini(1));
        let v = random_like(&w);
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
    for (_, network) in networks(Activation::Relu, Precision::Single) {
        let (w, on) = (network.initial_weights(), Sample::Mini(1));
        for product in [Product::Exact, Product::GaussNewton] {
            let hessian = Hessian { objective: &network, at: &w, on, product, gradient: None };
            testing::check_operator(&hessian, &w, 1e-5);
        }
        let v = random_like(&w);
        assert!(Vector::dot(&network.product(Product::GaussNewton, &w, on, &v).unwrap(), &v) >= 0.0);
    }
}

/// The same batch again and again.
struct OneBatch<'a>(&'a Network);

impl Objective for OneBatch<'_> {
    type Vector = Tensor<1>;
    fn gradient(&self, at: &Tensor<1>, _on: Sample) -> lyapunov::Result<(f64, Tensor<1>)> {
        self.0.gradient(at, Sample::Mini(0))
    }
    fn product(&self, kind: Product, at: &Tensor<1>, _on: Sample, v: &Tensor<1>) -> lyapunov::Result<Tensor<1>> {
        self.0.product(kind, at, Sample::Mini(0), v)
    }
}

#[test]
fn three_steps_on_one_batch_lower_its_loss() {
    for (name, network) in networks(Activation::Relu, Precision::Single) {
        let batch = OneBatch(&network);
        let mut sgd = Sgd::new(&batch, network.initial_weights(), 1e-4, Product::Exact);
        let loss = |w: &Tensor<1>| batch.gradient(w, Sample::Full).unwrap().0;
        let before = loss(sgd.weights());
        for _ in 0..3 {
            sgd.step(&mut []).unwrap();
        }
        let after = loss(sgd.weights());
        assert!(after < before, "{name}: {before} became {after}");
    }
}
