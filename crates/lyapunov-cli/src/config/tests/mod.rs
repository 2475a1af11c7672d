//! What the configuration reads, refuses and resolves.

mod refusals;

use clap::ValueEnum;
use lyapunov::Target;
use lyapunov_burn::Layout;

use super::{choices::DataName, values::target, *};

fn config(assignments: &[&str]) -> Config {
    let mut draft = Draft::default();
    for assignment in assignments {
        draft.set(assignment).unwrap();
    }
    draft.finish().unwrap().config
}

#[test]
fn the_defaults_are_a_valid_configuration() {
    let config = config(&[]);
    assert_eq!(config.data.name, DataName::Synthetic);
    assert_eq!(config.measure.on, [Target::Batch]);
}

#[test]
fn the_comment_on_automatic_widths_tells_the_truth() {
    for model in ModelName::value_variants() {
        let told = format!("\"{}\" {:?}", name_of(model), model.automatic_widths());
        assert!(DEFAULTS.contains(&told), "{told}");
    }
}

#[test]
fn shorthands_are_written_out() {
    let model = config(&["model.name=wide-resnet-28-10"]).model;
    assert_eq!((model.name, model.depth, &model.widths[..]), (ModelName::WideResnet, 28, &[16, 160, 320, 640][..]));
    assert_eq!(config(&["model.name=wide-resnet-16-4"]), config(&["model.name=wide-resnet"]));
    let model = config(&["model.name=densenet100-24"]).model;
    assert_eq!((model.name, model.depth, &model.widths[..]), (ModelName::Densenet, 100, &[16, 24][..]));
    assert_eq!(config(&["model.name=densenet40-12"]), config(&["model.name=densenet"]));
    assert_eq!(config(&["model.name=resnet18"]).model.shortcut, ShortcutName::Projected);
    let automatic = |name: &str| config(&[&format!("model.name={name}")]).model;
    assert_eq!(automatic("vit-tiny").activation, ActivationName::Gelu);
    assert_eq!(automatic("mlp-mixer").depth, 8);
    assert_eq!(config(&["model.name=vit-tiny", "model.activation=tanh"]).model.activation, ActivationName::Tanh);
    assert_eq!(config(&["model.name=mlp"]).model.shortcut, ShortcutName::Auto);
}

#[test]
fn the_choices_are_named_alike_everywhere() {
    let named = |choice: &ProductName| serde_json::to_value(choice).unwrap() == name_of(choice).as_str();
    assert!(ProductName::value_variants().iter().all(named));
}

#[test]
fn whatever_decides_the_numbers_decides_the_identity_and_the_folder_does_not() {
    let identity = |assignment: &str| config(&[assignment]).identity();
    let plain = config(&[]).identity();
    assert!(plain.starts_with("cnn-sgd-") && plain.len() == "cnn-sgd-".len() + 8);
    assert_eq!(plain, identity("run.out=elsewhere"));
    assert_eq!(plain, identity("checkpoint.every=7"));
    assert_eq!(plain, identity("optimizer.learning_rate=5e-2"), "the same number written otherwise");
    assert_ne!(plain, identity("run.seed=1"));
    assert_ne!(plain, identity("measure.on=[\"full\"]"));
    assert!(identity("model.name=mlp").starts_with("mlp-sgd-"));
}

#[test]
fn every_layout_of_files_has_a_name_in_the_configuration() {
    let layouts: Vec<_> = DataName::value_variants().iter().filter_map(|name| name.layout()).collect();
    assert_eq!(layouts, Layout::ALL);
    assert!(DataName::value_variants().iter().all(|name| DEFAULTS.contains(&format!("\"{}\"", name_of(name)))));
}

#[test]
fn classes_are_all_or_a_list() {
    assert!(config(&["data.classes=all"]).data.classes.is_empty());
    assert_eq!(config(&["data.classes=[9, 0]"]).data.classes, [9, 0]);
}

#[test]
fn targets_have_names_that_read_back() {
    for text in ["batch", "subset=1000", "full"] {
        assert_eq!(target_name(target(text).unwrap()), text);
    }
    for text in ["", "subset", "subset=0", "subset=-1", "subset=x", "batch=1", "Full"] {
        assert_eq!(target(text), None, "{text}");
    }
}

#[test]
fn steps_come_from_epochs_unless_given() {
    assert_eq!(config(&["run.epochs=3"]).run.step_count(79), 237);
    assert_eq!(config(&["run.steps=10"]).run.step_count(79), 10);
    assert_eq!(config(&[]).run.evaluation_period(79), 79);
    assert_eq!(config(&["run.evaluate_every=5"]).run.evaluation_period(79), 5);
}
