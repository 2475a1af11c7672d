//! Counts, names and refusals of the models.

use crate::{
    layers::{Layer, Parameter},
    model::Model,
    options::{Architecture, NetworkOptions, Normalization, Shortcut},
};
use lyapunov::Result;

fn model(architecture: &Architecture, normalization: Normalization) -> Result<Model> {
    let architecture = architecture.clone();
    Model::new(&NetworkOptions { architecture, normalization, ..NetworkOptions::default() }, 10)
}

fn plain(architecture: &Architecture) -> Result<Model> {
    model(architecture, Normalization::None)
}

fn count(architecture: &Architecture) -> usize {
    plain(architecture).unwrap().layers.parameters().iter().map(Parameter::len).sum()
}

#[test]
fn the_parameter_counts_are_right() {
    assert_eq!(count(&Architecture::Mlp { widths: vec![200, 200] }), 656_810);
    assert_eq!(count(&Architecture::Mlp { widths: vec![] }), 30_730);
    let (first, second, last) = (8 * 27 + 8, 16 * 72 + 16, 16 * 64 * 10 + 10);
    assert_eq!(count(&Architecture::Cnn { widths: vec![8, 16] }), first + second + last);
}

/// What `timm` counts for the same sizes.
#[test]
fn transformers_and_mixers_have_the_usual_counts_and_names() {
    let tiny = Architecture::VisionTransformer { depth: 12, heads: 3, patch: 4, widths: vec![192, 768] };
    let mixer = Architecture::MlpMixer { depth: 8, patch: 4, widths: vec![128, 64, 512] };
    assert_eq!((count(&tiny), count(&mixer)), (5_362_762, 1_132_170));
    let message = |architecture: &Architecture| -> Vec<String> {
        let named = plain(architecture).unwrap().named_parameters();
        named.into_iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect()
    };
    let (tiny, mixer) = (message(&tiny), message(&mixer));
    let first = ["patch_embed.proj.weight [192, 3, 4, 4]", "patch_embed.proj.bias [192]", "cls_token [1, 1, 192]"];
    assert_eq!(tiny[..3], first);
    assert_eq!(tiny[3..5], ["pos_embed [1, 65, 192]", "blocks.0.norm1.weight [192]"]);
    assert_eq!(tiny[6..8], ["blocks.0.attn.qkv.weight [576, 192]", "blocks.0.attn.qkv.bias [576]"]);
    assert_eq!(tiny[tiny.len() - 3..], ["norm.bias [192]", "head.weight [10, 192]", "head.bias [10]"]);
    assert_eq!(mixer[4], "blocks.0.mlp_tokens.fc1.weight [64, 64]");
    assert_eq!(mixer[10], "blocks.0.mlp_channels.fc1.weight [512, 128]");
}

/// Those of the papers, in the forms for CIFAR: 14.7 M for VGG-16, 11.17 M for ResNet-18, 0.27, 0.46 and 0.85 M for
/// the narrow residual networks.
#[test]
fn the_parameter_counts_are_those_of_the_papers() {
    let count = |architecture: Architecture| -> usize {
        let model = model(&architecture, Normalization::Batch).unwrap();
        model.layers.parameters().iter().map(Parameter::len).sum()
    };
    let vgg = |depth| count(Architecture::Vgg { depth, widths: vec![64, 128, 256, 512, 512] });
    assert_eq!((vgg(11), vgg(16)), (9_231_114, 14_728_266));
    let resnet = |blocks, shortcut| count(Architecture::ResNet { blocks, widths: vec![16, 32, 64], shortcut });
    let padded = [3, 5, 9].map(|blocks| resnet(blocks, Shortcut::Padded));
    assert_eq!(padded, [269_722, 464_154, 853_018]);
    assert_eq!(resnet(3, Shortcut::Projected), 272_474);
    let (widths, shortcut) = (vec![64, 128, 256, 512], Shortcut::Projected);
    assert_eq!(count(Architecture::ResNet { blocks: 2, widths, shortcut }), 11_173_962);
    assert_eq!(count(Architecture::WideResNet { depth: 16, widths: vec![16, 64, 128, 256] }), 2_748_890);
    assert_eq!(count(Architecture::DenseNet { depth: 40, widths: vec![16, 12] }), 1_019_722);
    assert_eq!(count(Architecture::WideResNet { depth: 28, widths: vec![16, 160, 320, 640] }), 36_479_194);
}

#[test]
fn a_residual_network_has_the_usual_names() {
    let resnet = Architecture::ResNet { blocks: 2, widths: vec![2, 4, 8], shortcut: Shortcut::Projected };
    let names: Vec<String> =
        model(&resnet, Normalization::Batch).unwrap().named_parameters().into_iter().map(|p| p.name).collect();
    assert_eq!(names[..4], ["conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight"]);
    assert!(
        names.contains(&"layer3.1.bn2.bias".into()) && names.ends_with(&["linear.weight".into(), "linear.bias".into()])
    );
    let wide = Architecture::WideResNet { depth: 10, widths: vec![2, 2, 4, 8] };
    let names: Vec<String> =
        model(&wide, Normalization::Batch).unwrap().named_parameters().into_iter().map(|p| p.name).collect();
    assert_eq!(names[..3], ["conv1.weight", "block1.layer.0.bn1.weight", "block1.layer.0.bn1.bias"]);
    assert_eq!(names[12..14], ["block2.layer.0.conv2.weight", "block2.layer.0.convShortcut.weight"]);
    assert_eq!(names[names.len() - 3..], ["bn1.bias", "fc.weight", "fc.bias"]);
    let dense = Architecture::DenseNet { depth: 7, widths: vec![2, 3] };
    let names: Vec<String> =
        model(&dense, Normalization::Batch).unwrap().named_parameters().into_iter().map(|p| p.name).collect();
    assert_eq!(names[3..5], ["block1.layer.0.conv1.weight", "trans1.bn1.weight"]);
    assert_eq!(names[names.len() - 3..], ["bn1.bias", "fc.weight", "fc.bias"]);
    let plain: Vec<String> = plain(&resnet).unwrap().named_parameters().into_iter().map(|p| p.name).collect();
    assert_eq!(plain[..3], ["conv1.weight", "conv1.bias", "layer1.0.conv1.weight"]);
}

#[test]
fn parameters_have_the_names_and_shapes_of_a_sequential_in_pytorch() {
    let message = |architecture| {
        let named = plain(&architecture).unwrap().named_parameters();
        named.iter().map(|p| format!("{} {:?} {:?}", p.name, p.shape, p.range)).collect::<Vec<_>>()
    };
    let mlp = ["0.weight [5, 3072] 0..15360", "0.bias [5] 15360..15365", "2.weight [10, 5] 15365..15415"];
    assert_eq!(message(Architecture::Mlp { widths: vec![5] })[..3], mlp);
    let cnn = message(Architecture::Cnn { widths: vec![2, 4] });
    assert_eq!(cnn[0], "0.weight [2, 3, 3, 3] 0..54");
    assert_eq!(cnn[2], "3.weight [4, 2, 3, 3] 56..128");
    assert_eq!(cnn[4], "7.weight [10, 256] 132..2692");
    assert_eq!(cnn[5], "7.bias [10] 2692..2702");
}

#[test]
fn normalisations_stand_before_the_activations() {
    let names = |architecture, normalization| -> Vec<String> {
        let model = model(&architecture, normalization).unwrap();
        model.named_parameters().into_iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect()
    };
    let mlp = names(Architecture::Mlp { widths: vec![5] }, Normalization::Layer);
    assert_eq!(mlp[2..5], ["1.weight [5]", "1.bias [5]", "3.weight [10, 5]"]);
    let cnn = names(Architecture::Cnn { widths: vec![2, 4] }, Normalization::Batch);
    assert_eq!(cnn[2..5], ["1.weight [2]", "1.bias [2]", "4.weight [4, 2, 3, 3]"]);
    let buffers = model(&Architecture::Cnn { widths: vec![2, 4] }, Normalization::Batch).unwrap().layers.buffers();
    assert_eq!(buffers[..2], ["1.running_mean", "1.running_var"]);
    assert_eq!(buffers[5], "5.num_batches_tracked");
}

#[test]
fn widths_that_do_not_fit_are_refused() {
    let message = |a: &Architecture| plain(a).unwrap_err().to_string();
    let odd = model(&Architecture::Mlp { widths: vec![8, 6] }, Normalization::Group { groups: 4 });
    assert!(odd.unwrap_err().to_string().contains("groups = 4 must divide every one of the widths, [8, 6]"));
    assert!(message(&Architecture::Cnn { widths: vec![4; 6] }).contains("one to five"));
    assert!(message(&Architecture::Mlp { widths: vec![10, 0] }).contains("positive"));
    assert!(message(&Architecture::Vgg { depth: 11, widths: vec![4; 4] }).contains("five entries"));
    assert!(message(&Architecture::Vgg { depth: 12, widths: vec![4; 5] }).contains("11, 13, 16 or 19"));
    assert!(
        message(&Architecture::ResNet { blocks: 1, widths: vec![8, 4, 4], shortcut: Shortcut::Padded })
            .contains("none less")
    );
    assert!(message(&Architecture::WideResNet { depth: 17, widths: vec![2; 4] }).contains("6n + 4"));
    assert!(message(&Architecture::WideResNet { depth: 4, widths: vec![2; 4] }).contains("6n + 4"));
    assert!(message(&Architecture::WideResNet { depth: 16, widths: vec![2; 3] }).contains("four entries"));
    let vit = |heads, patch, widths| Architecture::VisionTransformer { depth: 1, heads, patch, widths };
    assert!(message(&vit(3, 4, vec![8, 8])).contains("must divide the width of a token, 8"));
    assert!(message(&vit(2, 5, vec![8, 8])).contains("must divide the size of an image, 32"));
    assert!(message(&vit(2, 4, vec![8])).contains("two entries"));
    let batch = model(&vit(2, 4, vec![8, 8]), Normalization::Batch).unwrap_err().to_string();
    assert!(batch.contains("normalization = Batch must be none"), "{batch}");
    assert!(message(&Architecture::MlpMixer { depth: 0, patch: 4, widths: vec![8; 3] }).contains("at least 1"));
    assert!(message(&Architecture::MlpMixer { depth: 1, patch: 4, widths: vec![8; 2] }).contains("three entries"));
    assert!(message(&Architecture::DenseNet { depth: 41, widths: vec![2; 2] }).contains("3n + 4"));
    assert!(message(&Architecture::DenseNet { depth: 4, widths: vec![2; 2] }).contains("3n + 4"));
    assert!(message(&Architecture::DenseNet { depth: 40, widths: vec![2; 3] }).contains("two entries"));
    assert!(
        message(&Architecture::ResNet { blocks: 0, widths: vec![4, 4, 4], shortcut: Shortcut::Padded })
            .contains("at least 1")
    );
}
