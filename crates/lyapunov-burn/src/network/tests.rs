use super::*;
use crate::{Architecture, Normalization, Shortcut, device, operations::testing::plainly};

#[test]
fn a_batch_is_filled_up_before_it_is_normalised() {
    let normalization = Normalization::Batch;
    let options = NetworkOptions { normalization, batch_size: 8, ..NetworkOptions::default() };
    let data = Dataset::synthetic(1, 40, 10).unwrap();
    let network = Network::new(&options, data, &device("flex").unwrap()).unwrap();
    let w = network.initial_weights();
    let sample = network.samples.indices(Sample::Subset(13)).unwrap();
    let last = [&sample[8..], &sample[..3]].concat();
    let inputs = network.images_at(&network.data.train, &last);
    let expected =
        network.forward(&network.constants(&w), inputs, &mut Pass::training(Noise::default())).value.narrow(0, 0, 5);
    let outputs = network.outputs(&w, Sample::Subset(13)).unwrap();
    assert_eq!(outputs.narrow(0, 8, 5).to_data(), expected.to_data());
}

#[test]
fn passes_with_tangents_take_half_chunks_where_kernels_meet_images_that_do_not_meet() {
    let sizes = |options: NetworkOptions| -> Vec<(usize, usize)> {
        let options = NetworkOptions { batch_size: 9, ..options };
        let network = Network::new(&options, Dataset::synthetic(1, 40, 10).unwrap(), &device("flex").unwrap()).unwrap();
        let chunks = network.chunks_with_tangents(Sample::Subset(13)).unwrap();
        chunks.iter().map(|chunk| (chunk.indices.len(), chunk.counted)).collect()
    };
    let cnn = || NetworkOptions { architecture: Architecture::Cnn { widths: vec![4] }, ..NetworkOptions::default() };
    assert_eq!(sizes(cnn()), [(5, 5), (4, 4), (2, 2), (2, 2)]);
    assert_eq!(sizes(NetworkOptions { dropout: 0.1, ..cnn() }), [(9, 9), (4, 4)]);
    assert_eq!(sizes(NetworkOptions { normalization: Normalization::Batch, ..cnn() }), [(9, 9), (9, 4)]);
    let mlp = Architecture::Mlp { widths: vec![5] };
    assert_eq!(sizes(NetworkOptions { architecture: mlp, ..cnn() }), [(9, 9), (4, 4)]);
}

#[test]
fn an_image_is_shifted_by_seed_step_and_image_whatever_batch_it_is_in() {
    let network = |seed| {
        let options = NetworkOptions { seed, augment: true, batch_size: 8, ..NetworkOptions::default() };
        let data = Dataset::synthetic(1, 40, 10).unwrap();
        Network::new(&options, data, &device("flex").unwrap()).unwrap()
    };
    let first = network(0);
    let alone = first.augmented_images_at(&[5], 1).to_data();
    let pair = first.augmented_images_at(&[7, 5], 1);
    assert_eq!(alone, pair.narrow(0, 1, 1).to_data());
    assert_ne!(alone, first.augmented_images_at(&[5], 2).to_data());
    assert_ne!(alone, network(1).augmented_images_at(&[5], 1).to_data());
}

/// Every kind of layer that meets images.
fn architectures() -> Vec<(Architecture, Normalization)> {
    let resnet = |shortcut| Architecture::ResNet { blocks: 1, widths: vec![3, 4, 6], shortcut };
    vec![
        (Architecture::Mlp { widths: vec![6] }, Normalization::Batch),
        (Architecture::Cnn { widths: vec![4, 6] }, Normalization::None),
        (resnet(Shortcut::Padded), Normalization::Batch),
        (resnet(Shortcut::Projected), Normalization::Group { groups: 1 }),
        (Architecture::WideResNet { depth: 10, widths: vec![3, 4, 4, 6] }, Normalization::Batch),
        (Architecture::DenseNet { depth: 7, widths: vec![4, 3] }, Normalization::Batch),
        (Architecture::VisionTransformer { depth: 1, heads: 2, patch: 8, widths: vec![4, 6] }, Normalization::None),
        (Architecture::MlpMixer { depth: 1, patch: 8, widths: vec![4, 3, 6] }, Normalization::None),
    ]
}

fn network(architecture: Architecture, normalization: Normalization, precision: Precision) -> Network {
    let options = NetworkOptions { architecture, normalization, precision, batch_size: 6, ..NetworkOptions::default() };
    Network::new(&options, Dataset::synthetic(1, 20, 4).unwrap(), &device("flex").unwrap()).unwrap()
}

/// Loss and gradient, the exact product and the Gauss–Newton product along the gradient, and outputs in evaluation.
fn everything(network: &Network) -> Vec<Vec<f64>> {
    let (w, on) = (network.initial_weights(), Sample::Mini(1));
    let (loss, gradient) = network.gradient(&w, on).unwrap();
    let products = [Product::Exact, Product::GaussNewton];
    let products = products.map(|kind| network.product(kind, &w, on, &gradient).unwrap());
    let numbers = |tensor: Tensor<1>| tensor.cast(DType::F64).to_data().try_to_vec::<f64>().unwrap();
    let evaluated = network.evaluation_outputs(&w, Sample::Subset(9)).unwrap().reshape([90]);
    let vectors = [gradient].into_iter().chain(products).map(|vector| numbers(vector.0));
    [vec![loss]].into_iter().chain(vectors).chain([numbers(evaluated)]).collect()
}

#[test]
fn kernels_and_plain_operations_give_the_same_numbers() {
    for (architecture, normalization) in architectures() {
        let name = format!("{architecture:?}");
        let network = network(architecture, normalization, Precision::Double);
        let (direct, plain) = (everything(&network), plainly(|| everything(&network)));
        assert!(network.parameters() < 2 || direct != plain, "{name}: both took the same path");
        for (part, (direct, plain)) in direct.iter().zip(&plain).enumerate() {
            let size = plain.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
            let error = direct.iter().zip(plain).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(error <= 1e-12 * size, "{name}, part {part}: {error:.1e} of {size:.1e}");
        }
    }
}

/// Law 7.
#[test]
fn the_bits_of_a_network_do_not_depend_on_its_threads() {
    for (architecture, normalization) in architectures() {
        let name = format!("{architecture:?}");
        let results = |threads| {
            let network = network(architecture.clone(), normalization, Precision::Single);
            everything(&network.with_threads(threads).unwrap())
        };
        let one = results(1);
        assert!(one == results(2) && one == results(3), "{name}");
    }
    assert!(
        network(Architecture::Mlp { widths: vec![] }, Normalization::None, Precision::Single).with_threads(0).is_err()
    );
}

#[test]
fn images_are_exported_as_planes_whatever_the_layers_see() {
    let exported = |architecture| {
        let network = network(architecture, Normalization::None, Precision::Single);
        let bytes = network.examples_to_safetensors(&network.initial_weights(), Sample::Subset(3)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let inputs = file.tensor("inputs").unwrap();
        assert_eq!(inputs.shape(), [3, 3, 32, 32]);
        inputs.data().to_vec()
    };
    let planes = exported(Architecture::Mlp { widths: vec![] });
    assert_eq!(exported(Architecture::Cnn { widths: vec![2] }), planes);
    let vit = Architecture::VisionTransformer { depth: 1, heads: 1, patch: 8, widths: vec![2, 2] };
    assert_eq!(exported(vit), planes);
}
