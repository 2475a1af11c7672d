use super::*;
use crate::{Architecture, Normalization, device};

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
