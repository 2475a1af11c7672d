//! Networks whose images depend on each other: products against differences in f64, chunks, evaluation, and law 2.

use lyapunov::{
    Constant, Difference, Hessian, Measurement, Objective, Plan, Product, Purpose, Sample, Sgd, Stream, Target, Vector,
    run, testing,
};
use lyapunov_burn::{
    Activation, Architecture, Dataset, Network, NetworkOptions, Normalization, Pooling, Precision, Tensor, Weights,
    device,
};

const ALL: [Normalization; 3] = [Normalization::Batch, Normalization::Layer, Normalization::Group { groups: 2 }];

fn network(
    architecture: Architecture,
    activation: Activation,
    normalization: Normalization,
    precision: Precision,
) -> Network {
    let options = NetworkOptions {
        pooling: Pooling::Average,
        architecture,
        activation,
        normalization,
        precision,
        batch_size: 8,
        ..NetworkOptions::default()
    };
    Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap()).unwrap()
}

fn architectures() -> [Architecture; 2] {
    [Architecture::Mlp { widths: vec![12, 10] }, Architecture::Cnn { widths: vec![4, 6] }]
}

fn random_like(vector: &Weights, step: u64) -> Weights {
    let mut v = vector.zeros_like();
    v.randomize(&mut Stream::new(8, Purpose::Probe, step));
    v
}

fn moved(w: &Weights, e: f64, v: &Weights) -> Weights {
    let mut point = w.clone();
    point.axpy(e, v);
    point
}

/// ‖a − b‖ / ‖b‖.
fn relative_error(a: &Weights, b: &Weights) -> f64 {
    moved(a, -1.0, b).norm() / b.norm()
}

/// 21 images are chunks of 8, 8 and 5: the last one is filled up.
const SAMPLES: [Sample; 2] = [Sample::Mini(3), Sample::Subset(21)];

#[test]
fn gradient_product_and_joint_pass_agree_with_central_differences() {
    for (architecture, normalization) in architectures().into_iter().flat_map(|a| ALL.map(|n| (a.clone(), n))) {
        let network = network(architecture.clone(), Activation::Tanh, normalization, Precision::Double);
        // Away from the start, where every shift is zero and every scale one.
        let start = network.initial_weights();
        let w = moved(&start, 0.1, &random_like(&start, 9));
        let v = random_like(&w, 1).unit().unwrap();
        for on in SAMPLES {
            let at = |e: f64| network.gradient(&moved(&w, e, &v), on).unwrap();
            let slope = (at(1e-6).0 - at(-1e-6).0) / 2e-6;
            let (loss, gradient) = at(0.0);
            let error = (Vector::dot(&gradient, &v) - slope).abs() / slope.abs();
            assert!(error <= 1e-6, "{architecture:?}, {normalization:?}, {on}: {error:.1e}");

            let exact = network.product(Product::Exact, &w, on, &v).unwrap();
            let kind = Product::Difference(Difference::central(1e-5 / w.norm()));
            let error = relative_error(&network.product(kind, &w, on, &v).unwrap(), &exact);
            assert!(error <= 1e-7, "{architecture:?}, {normalization:?}, {on}: {error:.1e}");

            let (joint_loss, joint_gradient, joint) = network.gradient_and_product(Product::Exact, &w, on, &v).unwrap();
            assert!((joint_loss - loss).abs() <= 1e-13 * loss);
            assert!(relative_error(&joint_gradient, &gradient) <= 1e-12 && relative_error(&joint, &exact) <= 1e-12);
        }
    }
}

#[test]
fn products_of_a_relu_network_are_symmetric_in_single_precision() {
    for (architecture, normalization) in architectures().into_iter().flat_map(|a| ALL.map(|n| (a.clone(), n))) {
        let network = network(architecture, Activation::Relu, normalization, Precision::Single);
        let w = network.initial_weights();
        for product in [Product::Exact, Product::GaussNewton] {
            for on in SAMPLES {
                let hessian = Hessian { objective: &network, at: &w, on, product, gradient: None };
                testing::check_operator(&hessian, &w, 1e-5);
            }
        }
    }
}

#[test]
fn gauss_newton_equals_the_dense_jacobian_product() {
    for normalization in ALL {
        let architecture = Architecture::Cnn { widths: vec![2; 5] };
        let network = network(architecture, Activation::Tanh, normalization, Precision::Double);
        let w = network.initial_weights();
        let (n, on, images) = (network.parameters(), Sample::Subset(13), 13.0);
        let unit = |k: usize| {
            let values: Vec<f64> = (0..n).map(|j| f64::from(u8::from(j == k))).collect();
            Weights(Tensor::from_data(&values[..], (&device("flex").unwrap(), w.dtype())))
        };
        let values = |tensor: Tensor<2>| tensor.to_data().try_to_vec::<f64>().unwrap();
        let outputs = |e: f64, k: usize| values(network.outputs(&moved(&w, e, &unit(k)), on).unwrap());
        let column = |k: usize| -> Vec<f64> {
            outputs(1e-6, k).iter().zip(outputs(-1e-6, k)).map(|(a, b)| (a - b) / 2e-6).collect()
        };
        let (z, jacobian) = (outputs(0.0, 0), (0..n).map(column).collect::<Vec<_>>());
        let size = (0..n).map(|k| softmax_form(&z, &jacobian[k], &jacobian[k])).fold(0.0, f64::max) / images;
        for i in (0..n).step_by(7) {
            let product = network.product(Product::GaussNewton, &w, on, &unit(i)).unwrap();
            let product: Vec<f64> = product.to_data().try_to_vec().unwrap();
            for j in 0..n {
                let expected = softmax_form(&z, &jacobian[i], &jacobian[j]) / images;
                let error = (product[j] - expected).abs();
                assert!(error <= 1e-7 * size, "{normalization:?} ({i}, {j}): {} for {expected}", product[j]);
            }
        }
    }
}

/// Σ over images of aᵀ (diag p − p pᵀ) b with p the softmax of z: the curvature of cross-entropy, ten classes.
fn softmax_form(z: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let image = |((z, a), b): ((&[f64], &[f64]), &[f64])| {
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        let p: Vec<f64> = z.iter().map(|z| z.exp() / total).collect();
        let mean = |x: &[f64]| p.iter().zip(x).map(|(p, x)| p * x).sum::<f64>();
        p.iter().zip(a).zip(b).map(|((p, a), b)| p * a * b).sum::<f64>() - mean(a) * mean(b)
    };
    z.chunks(10).zip(a.chunks(10)).zip(b.chunks(10)).map(image).sum()
}

#[test]
fn a_large_sample_is_its_chunks_of_a_batch() {
    let architecture = Architecture::Mlp { widths: vec![12] };
    let network = network(architecture, Activation::Tanh, Normalization::Batch, Precision::Double);
    let w = network.initial_weights();
    let rows = |on| network.outputs(&w, on).unwrap();
    let same = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f64>() < 1e-12;
    // Subsets are nested: the chunks that are whole see the same images in both.
    let (large, small) = (rows(Sample::Subset(21)), rows(Sample::Subset(16)));
    assert!(large.dims() == [21, 10] && same(large.narrow(0, 0, 16), small));
    assert_eq!(network.gradient_cost(Sample::Subset(21)), 3.0);
}

#[test]
fn in_evaluation_no_image_depends_on_another() {
    for normalization in ALL {
        let architecture = Architecture::Cnn { widths: vec![4, 6] };
        let network = network(architecture, Activation::Relu, normalization, Precision::Double);
        let w = network.initial_weights();
        let outputs = |size| network.evaluation_outputs(&w, Sample::Subset(size)).unwrap();
        let difference = (outputs(21).narrow(0, 0, 3) - outputs(3)).abs().max().into_scalar::<f64>();
        assert!(difference < 1e-12, "{normalization:?}: {difference}");
        let training = network.outputs(&w, Sample::Subset(3)).unwrap();
        let apart = (training - outputs(3)).abs().max().into_scalar::<f64>() > 1e-6;
        assert_eq!(apart, normalization == Normalization::Batch);
        assert_eq!(network.evaluate(&w).unwrap(), network.evaluate(&w).unwrap());
    }
}

#[test]
fn weights_come_back_and_bring_their_statistics() {
    let architecture = Architecture::Cnn { widths: vec![4, 6] };
    let network = network(architecture, Activation::Relu, Normalization::Batch, Precision::Single);
    let w = network.initial_weights();
    let file = network.weights_to_safetensors(&w);
    assert_eq!(network.weights_from_safetensors(&file).unwrap().to_data(), w.to_data());
    let header = String::from_utf8_lossy(&file);
    for name in ["1.weight", "1.running_mean", "1.running_var", "5.num_batches_tracked"] {
        assert!(header.contains(&format!("\"{name}\"")), "{name}");
    }
    let architecture = Architecture::Cnn { widths: vec![4, 6] };
    let plain = self::network(architecture, Activation::Relu, Normalization::None, Precision::Single);
    assert!(plain.weights_from_safetensors(&file).is_err());
}

/// A run of ten steps of a small network with batch normalisation.
fn rows(measure_every: u64, evaluate_every: u64) -> Vec<Measurement> {
    let architecture = Architecture::Cnn { widths: vec![4, 6] };
    let network = network(architecture, Activation::Relu, Normalization::Batch, Precision::Single);
    let start = network.initial_weights();
    let mut descent = Sgd::new(network, start, 0.0, Product::Exact);
    let on = vec![Target::Batch, Target::Subset(20), Target::Full];
    let plan = Plan { steps: 10, measure_every, on, evaluate_every, products: 3, ..Plan::default() };
    let mut rows = Vec::new();
    run(&mut descent, &plan, &mut Constant(0.1), &mut rows).unwrap();
    rows
}

#[test]
fn measuring_never_changes_the_run() {
    let (plain, measured) = (rows(0, 0), rows(1, 2));
    assert_eq!((plain.len(), measured[0].sharpness.len()), (10, 3));
    for (a, b) in plain.iter().zip(&measured) {
        assert_eq!(a.loss.to_bits(), b.loss.to_bits());
        assert_eq!(a.gradient_norm.to_bits(), b.gradient_norm.to_bits());
    }
    assert_eq!(measured, rows(1, 2), "same seed, same bits");
}
