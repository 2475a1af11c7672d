//! Networks against central differences in f64, dense references and the laws of the design.

use lyapunov::{
    Adam, Block, Constant, Dense, Descent, Difference, Elementwise, Estimator, Flat, HeavyBall, Hessian, Lanczos,
    Measurement, Moments, NearbyValue, Objective, Plan, Preconditioned, Product, Purpose, Sample, Sgd, Stream, System,
    Target, Vector, batch_sharpness, lanczos, run, testing,
};
use lyapunov_burn::{
    Activation, Architecture, Dataset, Loss, Network, NetworkOptions, Pooling, Precision, Tensor, Weights, device,
};

fn network(architecture: Architecture, activation: Activation, precision: Precision) -> Network {
    let options = NetworkOptions { architecture, activation, precision, batch_size: 8, ..NetworkOptions::default() };
    Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap()).unwrap()
}

fn mlp() -> Architecture {
    Architecture::Mlp { widths: vec![12, 9] }
}

fn cnn() -> Architecture {
    Architecture::Cnn { widths: vec![3, 4] }
}

fn random_like(vector: &Weights, step: u64) -> Weights {
    let mut v = vector.zeros_like();
    v.randomize(&mut Stream::new(8, Purpose::Probe, step));
    v
}

fn inner(a: &Weights, b: &Weights) -> f64 {
    Vector::dot(a, b)
}

/// ‖a − b‖ / ‖b‖.
fn relative_error(a: &Weights, b: &Weights) -> f64 {
    moved(a, -1.0, b).norm() / b.norm()
}

fn moved(w: &Weights, e: f64, v: &Weights) -> Weights {
    let mut point = w.clone();
    point.axpy(e, v);
    point
}

#[test]
fn the_gradient_agrees_with_central_differences_of_the_loss() {
    for architecture in [mlp(), cnn()] {
        for activation in [Activation::Relu, Activation::Tanh] {
            let network = network(architecture.clone(), activation, Precision::Double);
            let w = network.initial_weights();
            for on in [Sample::Mini(3), Sample::Subset(21), Sample::Full] {
                let (_, gradient) = network.gradient(&w, on).unwrap();
                let v = random_like(&w, 0).unit().unwrap();
                let loss = |e: f64| network.gradient(&moved(&w, e, &v), on).unwrap().0;
                let e = 1e-6;
                let (found, expected) = (inner(&gradient, &v), (loss(e) - loss(-e)) / (2.0 * e));
                let error = (found - expected).abs() / expected.abs();
                assert!(error <= 1e-6, "{architecture:?}, {activation:?}, {on}: {error:.1e}");
            }
        }
    }
}

#[test]
fn the_exact_product_agrees_with_central_differences_of_the_gradient() {
    for architecture in [mlp(), cnn()] {
        let network = network(architecture.clone(), Activation::Tanh, Precision::Double);
        let w = network.initial_weights();
        let v = random_like(&w, 1).unit().unwrap();
        for on in [Sample::Mini(0), Sample::Subset(21)] {
            let exact = network.product(Product::Exact, &w, on, &v).unwrap();
            // The kinks of max-pooling lie within reach of a large step, rounding within that of a small one.
            let error = [1e-4, 1e-5, 1e-6]
                .map(|e| {
                    let kind = Product::Difference(Difference::central(e / w.norm()));
                    relative_error(&network.product(kind, &w, on, &v).unwrap(), &exact)
                })
                .into_iter()
                .fold(f64::INFINITY, f64::min);
            assert!(error <= 1e-8, "{architecture:?}, {on}: {error:.1e}");
        }
    }
}

/// The losses beyond cross-entropy that are twice differentiable.
const LOSSES: [Loss; 5] =
    [Loss::SquaredError, Loss::MeanSquaredError, Loss::Huber, Loss::Focal, Loss::BinaryCrossEntropy];

fn network_with(loss: Loss, label_smoothing: f64, widths: Vec<usize>) -> Network {
    let options = NetworkOptions {
        architecture: Architecture::Mlp { widths },
        activation: Activation::Tanh,
        loss,
        label_smoothing,
        precision: Precision::Double,
        batch_size: 8,
        ..NetworkOptions::default()
    };
    Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap()).unwrap()
}

#[test]
fn every_loss_has_its_gradient_and_its_products() {
    let all = LOSSES.map(|loss| (loss, 0.0)).into_iter().chain([(Loss::CrossEntropy, 0.1), (Loss::Hinge, 0.0)]);
    for (loss, smoothing) in all {
        for widths in [vec![12, 9], vec![]] {
            let network = network_with(loss, smoothing, widths.clone());
            assert_eq!(network.has_kinks(), loss == Loss::Hinge);
            let (w, on) = (network.initial_weights(), Sample::Subset(21));
            let v = random_like(&w, 4).unit().unwrap();
            let e = 1e-6;
            let at = |e: f64| network.gradient(&moved(&w, e, &v), on).unwrap();
            let slope = (at(e).0 - at(-e).0) / (2.0 * e);
            let found = inner(&at(0.0).1, &v);
            assert!((found - slope).abs() <= 1e-6 * slope.abs(), "{loss:?}, {widths:?}: {found} for {slope}");

            let exact = network.product(Product::Exact, &w, on, &v).unwrap();
            let difference = Product::Difference(Difference::central(1e-5));
            let expected = network.product(difference, &w, on, &v).unwrap();
            let error = moved(&exact, -1.0, &expected).norm();
            assert!(error <= 1e-7 * expected.norm().max(1e-3), "{loss:?}, {widths:?}: {error:.1e}");
            let (value, g, joint) = network.gradient_and_product(Product::Exact, &w, on, &v).unwrap();
            let error = relative_error(&g, &at(0.0).1).max((value - at(0.0).0).abs() / value);
            assert!(error <= 1e-12, "{loss:?}, {widths:?}: {error:.1e}");
            assert!(moved(&joint, -1.0, &exact).norm() <= 1e-12, "{loss:?}, {widths:?}");

            let gauss_newton = network.product(Product::GaussNewton, &w, on, &v);
            if loss == Loss::Hinge {
                assert!(gauss_newton.unwrap_err().to_string().contains("piecewise linear"));
                continue;
            }
            let gauss_newton = gauss_newton.unwrap();
            let form = inner(&gauss_newton, &v);
            assert!(loss == Loss::Focal || form >= 0.0, "{loss:?}: {form}");
            if widths.is_empty() {
                // Outputs that are linear in the weights leave no residual term: the two products are one.
                assert!(moved(&gauss_newton, -1.0, &exact).norm() <= 1e-12, "{loss:?}");
            }
        }
    }
}

const ACTIVATIONS: [(Activation, bool); 8] = [
    (Activation::Relu, true),
    (Activation::LeakyRelu, true),
    (Activation::Tanh, false),
    (Activation::Elu, false),
    (Activation::Softplus, false),
    (Activation::Gelu, false),
    (Activation::Silu, false),
    (Activation::Hardtanh, true),
];

#[test]
fn every_activation_has_its_gradient_and_its_products() {
    for ((activation, kinks), pooling) in
        ACTIVATIONS.into_iter().flat_map(|a| [(a, Pooling::Average), (a, Pooling::Max)])
    {
        let options =
            NetworkOptions { architecture: cnn(), activation, pooling, batch_size: 8, ..NetworkOptions::default() };
        let build = |precision| {
            let data = Dataset::synthetic(1, 40, 10).unwrap();
            let options = NetworkOptions { precision, ..options.clone() };
            Network::new(&options, data, &device("flex").unwrap()).unwrap()
        };
        let (network, on) = (build(Precision::Double), Sample::Mini(0));
        assert_eq!(network.has_kinks(), kinks || pooling == Pooling::Max);
        let w = network.initial_weights();
        let v = random_like(&w, 5).unit().unwrap();
        let slope = |e: f64| {
            let loss = |e: f64| network.gradient(&moved(&w, e, &v), on).unwrap().0;
            (loss(e) - loss(-e)) / (2.0 * e)
        };
        let found = inner(&network.gradient(&w, on).unwrap().1, &v);
        assert!((found - slope(1e-6)).abs() <= 1e-6 * found.abs(), "{activation:?}, {pooling:?}");
        // The step that jumps over the fewest kinks, or rounds the least.
        let exact = network.product(Product::Exact, &w, on, &v).unwrap();
        let error = [1e-4, 1e-5, 1e-6, 1e-7]
            .map(|e| Product::Difference(Difference::central(e / w.norm())))
            .map(|kind| relative_error(&network.product(kind, &w, on, &v).unwrap(), &exact))
            .into_iter()
            .fold(f64::INFINITY, f64::min);
        assert!(error <= 1e-7, "{activation:?}, {pooling:?}: {error:.1e}");
        let single = build(Precision::Single);
        let w = single.initial_weights();
        for product in [Product::Exact, Product::GaussNewton] {
            let hessian = Hessian { objective: &single, at: &w, on, product, gradient: None };
            testing::check_operator(&hessian, &w, 1e-5);
        }
    }
}

#[test]
fn a_penalty_adds_to_loss_gradient_and_products_and_not_to_evaluations() {
    let l2 = 0.3;
    let network = |l2| {
        let options = NetworkOptions {
            architecture: cnn(),
            activation: Activation::Tanh,
            precision: Precision::Double,
            batch_size: 8,
            l2,
            ..NetworkOptions::default()
        };
        Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap())
    };
    let (plain, penalised) = (network(0.0).unwrap(), network(l2).unwrap());
    let w = plain.initial_weights();
    let v = random_like(&w, 6).unit().unwrap();
    let close = |a: &Weights, b: &Weights| assert!(relative_error(a, b) <= 1e-14);
    for on in [Sample::Mini(2), Sample::Subset(21)] {
        let ((loss, g), (with, with_g)) = (plain.gradient(&w, on).unwrap(), penalised.gradient(&w, on).unwrap());
        assert!((with - loss - 0.5 * l2 * inner(&w, &w)).abs() <= 1e-14 * with);
        close(&with_g, &moved(&g, l2, &w));
        for kind in [Product::Exact, Product::GaussNewton] {
            let product = plain.product(kind, &w, on, &v).unwrap();
            close(&penalised.product(kind, &w, on, &v).unwrap(), &moved(&product, l2, &v));
        }
        let exact = penalised.product(Product::Exact, &w, on, &v).unwrap();
        let (joint_loss, joint_g, joint) = penalised.gradient_and_product(Product::Exact, &w, on, &v).unwrap();
        assert!((joint_loss - with).abs() <= 1e-13 * with);
        assert!(relative_error(&joint_g, &with_g) <= 1e-12 && relative_error(&joint, &exact) <= 1e-12);
        let difference = penalised.product(Product::Difference(Difference::central(1e-6)), &w, on, &v).unwrap();
        assert!(relative_error(&difference, &exact) <= 1e-7);
    }
    assert_eq!(penalised.evaluate(&w).unwrap(), plain.evaluate(&w).unwrap());
    assert!(network(-0.1).unwrap_err().to_string().contains("l2 = -0.1 must be"));
}

#[test]
fn gauss_newton_is_not_offered_where_the_loss_has_no_curvature() {
    let network = network_with(Loss::Hinge, 0.0, vec![5]);
    assert!(!network.offers(Product::GaussNewton) && network.offers(Product::Exact));
    assert!(network_with(Loss::Huber, 0.0, vec![5]).offers(Product::GaussNewton));
}

#[test]
fn label_smoothing_mixes_the_label_with_all_classes() {
    let (plain, smoothed) =
        (network_with(Loss::CrossEntropy, 0.0, vec![5]), network_with(Loss::CrossEntropy, 0.2, vec![5]));
    let (w, on) = (plain.initial_weights(), Sample::Mini(0));
    let z: Vec<f64> = plain.outputs(&w, on).unwrap().to_data().try_to_vec().unwrap();
    let uniform = |z: &[f64]| {
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        total.ln() - z.iter().sum::<f64>() / 10.0
    };
    let expected = 0.8 * plain.gradient(&w, on).unwrap().0 + 0.2 * z.chunks(10).map(uniform).sum::<f64>() / 8.0;
    assert!((smoothed.gradient(&w, on).unwrap().0 - expected).abs() < 1e-12);

    let refused = |loss, label_smoothing| {
        let options = NetworkOptions { loss, label_smoothing, ..NetworkOptions::default() };
        let data = Dataset::synthetic(1, 64, 1).unwrap();
        Network::new(&options, data, &device("flex").unwrap()).unwrap_err().to_string()
    };
    assert!(refused(Loss::SquaredError, 0.1).contains("other than cross-entropy"));
    assert!(refused(Loss::CrossEntropy, 1.0).contains("less than 1"));
}

#[test]
fn a_difference_below_the_spacing_of_single_precision_is_refused() {
    let network = network(mlp(), Activation::Tanh, Precision::Single);
    let w = network.initial_weights();
    let product = |relative_step| {
        let kind = Product::Difference(Difference { relative_step, central: false });
        network.product(kind, &w, Sample::Mini(0), &w)
    };
    assert!(product(1e-9).unwrap_err().to_string().contains("rounding of the weights"));
    assert!(product(1e-4).is_ok());
}

/// The tangent of the update sees the batch, the weights and the velocity of its own step.
#[test]
fn descents_on_a_network_pass_the_taylor_test_on_every_batch() {
    let network = network(mlp(), Activation::Tanh, Precision::Double);
    let w = network.initial_weights();
    let mut sgd = Sgd::new(&network, w.clone(), 0.5, Product::Exact);
    let mut ball = HeavyBall::new(&network, w.clone(), 0.1, 0.9, Product::Exact).unwrap();
    let mut nesterov = HeavyBall::nesterov(&network, w.clone(), 0.1, 0.9, Product::Exact).unwrap();
    let (start, rule) = (w.clone(), Moments { beta2: 0.9, epsilon: 1e-3, ..Moments::default() });
    let mut adam = Adam::new(&network, w, 0.01, rule, Product::Exact).unwrap();
    for seed in 0..3 {
        testing::check_tangent(&sgd, seed);
        testing::check_tangent(&ball, seed);
        testing::check_tangent(&nesterov, seed);
        sgd.step(&mut []).unwrap();
        ball.step(&mut []).unwrap();
        nesterov.step(&mut []).unwrap();
    }
    // A second moment is so small that a random direction of the state would make it negative: along weights alone.
    let direction = random_like(&start, 9).unit().unwrap();
    for _ in 0..3 {
        testing::check_tangent_along(&adam, &adam.lift(direction.clone()));
        adam.step(&mut []).unwrap();
    }
}

#[test]
fn products_of_a_relu_network_are_symmetric_in_single_precision() {
    for architecture in [mlp(), cnn()] {
        let network = network(architecture, Activation::Relu, Precision::Single);
        let w = network.initial_weights();
        for product in [Product::Exact, Product::GaussNewton] {
            let hessian = Hessian { objective: &network, at: &w, on: Sample::Mini(0), product, gradient: None };
            testing::check_operator(&hessian, &w, 1e-5);
        }
    }
}

#[test]
fn the_joint_pass_equals_gradient_and_product_taken_apart() {
    for (precision, tolerance) in [(Precision::Double, 1e-13), (Precision::Single, 1e-5)] {
        for architecture in [mlp(), cnn()] {
            for activation in [Activation::Relu, Activation::Tanh] {
                let network = network(architecture.clone(), activation, precision);
                let w = network.initial_weights();
                let v = random_like(&w, 2);
                for on in [Sample::Mini(1), Sample::Subset(21)] {
                    let (loss, g, hv) = network.gradient_and_product(Product::Exact, &w, on, &v).unwrap();
                    let (apart_loss, apart_g) = network.gradient(&w, on).unwrap();
                    let apart_hv = network.product(Product::Exact, &w, on, &v).unwrap();
                    assert!((loss - apart_loss).abs() <= tolerance * apart_loss);
                    assert!(relative_error(&g, &apart_g) <= tolerance);
                    assert!(relative_error(&hv, &apart_hv) <= tolerance);
                }
            }
        }
    }
}

#[test]
fn gauss_newton_equals_the_dense_jacobian_product() {
    // Five one-channel layers and 2 weights per class: small enough for every entry of JᵀAJ.
    let network = network(Architecture::Cnn { widths: vec![1; 5] }, Activation::Tanh, Precision::Double);
    let w = network.initial_weights();
    let n = network.parameters();
    assert_eq!(n, 88);
    let (on, images) = (Sample::Subset(13), 13.0);
    let unit = |k: usize| {
        let values: Vec<f64> = (0..n).map(|j| f64::from(u8::from(j == k))).collect();
        Weights(Tensor::from_data(&values[..], (&device("flex").unwrap(), w.dtype())))
    };
    let outputs = |w: &Weights| network.outputs(w, on).unwrap().to_data().try_to_vec::<f64>().unwrap();
    let e = 1e-6;
    let column = |k: usize| -> Vec<f64> {
        let (plus, minus) = (outputs(&moved(&w, e, &unit(k))), outputs(&moved(&w, -e, &unit(k))));
        plus.iter().zip(&minus).map(|(a, b)| (a - b) / (2.0 * e)).collect()
    };
    let (z, jacobian) = (outputs(&w), (0..n).map(column).collect::<Vec<_>>());
    let size = (0..n).map(|k| softmax_form(&z, &jacobian[k], &jacobian[k])).fold(0.0, f64::max) / images;
    for i in 0..n {
        let product = network.product(Product::GaussNewton, &w, on, &unit(i)).unwrap();
        let product: Vec<f64> = product.to_data().try_to_vec().unwrap();
        for j in 0..n {
            let expected = softmax_form(&z, &jacobian[i], &jacobian[j]) / images;
            let error = (product[j] - expected).abs();
            assert!(error <= 1e-8 * size, "({i}, {j}): {} for {expected}", product[j]);
        }
    }
}

#[test]
fn the_blocks_of_a_network_are_those_of_its_dense_hessian() {
    let network = network(Architecture::Cnn { widths: vec![1; 5] }, Activation::Tanh, Precision::Double);
    let (w, on) = (network.initial_weights(), Sample::Subset(13));
    let n = network.parameters();
    let hessian = Hessian { objective: &network, at: &w, on, product: Product::Exact, gradient: None };
    let column = |k: usize| {
        let values: Vec<f64> = (0..n).map(|j| f64::from(u8::from(j == k))).collect();
        let unit = Weights(Tensor::from_data(&values[..], (&device("flex").unwrap(), w.dtype())));
        network.product(Product::Exact, &w, on, &unit).unwrap().to_data().try_to_vec::<f64>().unwrap()
    };
    let columns: Vec<Vec<f64>> = (0..n).map(column).collect();
    let layers = network.named_layers();
    assert_eq!(layers.len(), 6);
    for layer in layers {
        let rows = layer.range.clone().map(|i| layer.range.clone().map(|j| columns[j][i]).collect()).collect();
        let expected = Dense::new(rows).eigenvalues()[0];
        let block = Block { operator: &hessian, range: layer.range.clone(), dimension: n };
        let start = random_like(&w, 4).part(layer.range.clone());
        testing::check_operator(&block, &start, 1e-12);
        let found = lanczos(&block, &start, &Lanczos { tolerance: 1e-10, ..Lanczos::default() }).unwrap();
        assert!((found.largest[0].value - expected).abs() < 1e-9 * expected.abs(), "layer {}", layer.name);
    }
    let scale = random_like(&w, 5);
    let root = |v: &mut Weights| v.multiply(&scale);
    testing::check_operator(&Preconditioned { operator: &hessian, root }, &w, 1e-12);
}

#[test]
fn the_batch_sharpness_is_that_of_central_differences_batch_by_batch() {
    let network = network(mlp(), Activation::Tanh, Precision::Double);
    let w = network.initial_weights();
    let found = batch_sharpness(&network, Product::Exact, &w, (1..4).map(Sample::Mini)).unwrap().unwrap();
    let curvature = |step: u64| {
        let on = Sample::Mini(step);
        let direction = network.gradient(&w, on).unwrap().1.unit().unwrap();
        let slope = |e: f64| inner(&network.gradient(&moved(&w, e, &direction), on).unwrap().1, &direction);
        (slope(1e-5) - slope(-1e-5)) / 2e-5
    };
    let expected = (1..4).map(curvature).sum::<f64>() / 3.0;
    assert!((found.value - expected).abs() < 1e-6 * expected.abs(), "{} for {expected}", found.value);
    assert_eq!((found.batches, found.spread > 0.0), (3, true));
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
fn a_ragged_last_chunk_weighs_by_its_images() {
    // 21 images are chunks of 8, 8 and 5; the mean over 21 is the weighted mean of disjoint parts.
    let network = network(mlp(), Activation::Tanh, Precision::Double);
    let w = network.initial_weights();
    let z = network.outputs(&w, Sample::Full).unwrap();
    assert_eq!(z.dims(), [40, 10]);
    let (loss, _) = network.gradient(&w, Sample::Full).unwrap();
    let whole = network.evaluate_training_set(&w).unwrap();
    assert!((loss - whole.loss).abs() < 1e-12);
    let parts: f64 = (0..5).map(|t| network.gradient(&w, Sample::Mini(t)).unwrap().0).sum();
    assert!((parts / 5.0 - loss).abs() < 1e-12, "an epoch of whole batches is the full set");
}

/// A run of ten steps of the small CNN.
fn rows(measure_every: u64, on: Vec<Target>, evaluate_every: u64) -> Vec<Measurement> {
    let network = network(cnn(), Activation::Relu, Precision::Single);
    let start = network.initial_weights();
    let mut descent = Sgd::new(network, start, 0.0, Product::Exact);
    let plan = Plan { steps: 10, measure_every, on, evaluate_every, products: 3, ..Plan::default() };
    let mut rows = Vec::new();
    run(&mut descent, &plan, &mut Constant(0.1), &mut rows).unwrap();
    rows
}

#[test]
fn measuring_never_changes_the_run() {
    let plain = rows(0, vec![], 0);
    let measured = rows(1, vec![Target::Batch, Target::Subset(20), Target::Full], 2);
    assert_eq!(plain.len(), 10);
    for (a, b) in plain.iter().zip(&measured) {
        assert_eq!(a.loss.to_bits(), b.loss.to_bits());
        assert_eq!(a.gradient_norm.to_bits(), b.gradient_norm.to_bits());
        assert_eq!((a.sharpness.len(), b.sharpness.len()), (0, 3));
    }
    assert_eq!(measured, rows(1, vec![Target::Batch, Target::Subset(20), Target::Full], 2), "same seed, same bits");
}

/// Differences at the nearby point run the network at other weights on the same batch: batch normalisation would
/// notice.
#[test]
fn a_nearby_trajectory_never_changes_the_run() {
    let rows = |measure_every: u64| {
        let network = network(cnn(), Activation::Tanh, Precision::Single);
        let product = Product::Difference(network.difference());
        let mut descent = Sgd::new(&network, network.initial_weights(), 0.0, Product::Exact);
        let estimator = Estimator::NearbyTrajectory(NearbyValue::Growth);
        let plan = Plan { steps: 10, measure_every, estimator, product, products: 3, ..Plan::default() };
        let mut rows: Vec<Measurement> = Vec::new();
        run(&mut descent, &plan, &mut Constant(0.1), &mut rows).unwrap();
        rows
    };
    let (plain, measured) = (rows(0), rows(4));
    for (a, b) in plain.iter().zip(&measured) {
        assert_eq!(a.loss.to_bits(), b.loss.to_bits());
        assert_eq!(a.gradient_norm.to_bits(), b.gradient_norm.to_bits());
        assert_eq!((a.nearby.len(), b.nearby.len(), b.sharpness.len()), (0, 1, 1));
    }
    assert_eq!(measured[9].measuring_cost, 6.0 + 10.0, "a burst, and one gradient per step");
    assert_eq!(measured, rows(4), "same seed, same bits");
}

/// The device computes on the thread that calls it: runs beside each other must not touch each other's numbers.
#[test]
fn runs_on_two_threads_at_once_have_the_bits_of_one_alone() {
    let alone = rows(2, vec![Target::Batch], 5);
    let beside: Vec<_> = (0..2).map(|_| std::thread::spawn(|| rows(2, vec![Target::Batch], 5))).collect();
    for thread in beside {
        assert_eq!(thread.join().unwrap(), alone);
    }
}

#[test]
fn the_tracker_agrees_with_a_long_lanczos() {
    let network = network(mlp(), Activation::Tanh, Precision::Single);
    let w = network.initial_weights();
    let row = |on: Vec<Target>| {
        let mut descent = Sgd::new(&network, w.clone(), 0.0, Product::Exact);
        let mut rows = Vec::new();
        let plan = Plan { steps: 1, on, ..Plan::default() };
        run(&mut descent, &plan, &mut Constant(0.1), &mut rows).unwrap();
        rows[0].sharpness[0]
    };
    for (target, on) in [(Target::Batch, Sample::Mini(0)), (Target::Subset(20), Sample::Subset(20))] {
        let hessian = Hessian { objective: &network, at: &w, on, product: Product::Exact, gradient: None };
        let truth = lanczos(&hessian, &random_like(&w, 3), &Lanczos { tolerance: 1e-5, ..Lanczos::default() }).unwrap();
        let found = row(vec![target]);
        let exact = truth.largest[0].value;
        // A Ritz value lies below λ_max, and no further than its residual where it has found the right pair.
        assert!(found.value <= exact * (1.0 + 1e-5) && found.value >= exact - found.residual, "{found:?} for {exact}");
        assert!((found.value - exact).abs() < 0.05 * exact && found.residual < 0.2 * exact, "{found:?} for {exact}");
        // Ten products; the subset is 2.5 batches.
        let batches = if on == Sample::Mini(0) { 1.0 } else { 2.5 };
        assert!((found.cost - 10.0 * batches * network.product_cost(Product::Exact, Sample::Mini(0))).abs() < 1e-9);
    }
}
