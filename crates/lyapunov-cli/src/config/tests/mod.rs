//! What the configuration reads, refuses and resolves.

mod refusals;

use lyapunov::{Product, Target};
use lyapunov_burn::{Activation, Layout, ModelName, Shortcut};

use super::{values::target, *};

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
    assert_eq!(config.data.name, None);
    assert_eq!(config.measure.on, [Target::Batch]);
}

#[test]
fn the_comment_on_automatic_widths_is_true() {
    for model in ModelName::ALL {
        let message = format!("\"{model}\" {:?}", model.usual_widths());
        assert!(DEFAULTS.contains(&message), "{message}");
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
    assert_eq!(config(&["model.name=resnet18"]).model.shortcut, Some(Shortcut::Projected));
    let automatic = |name: &str| config(&[&format!("model.name={name}")]).model;
    assert_eq!(automatic("vit-tiny").activation, Activation::Gelu);
    assert_eq!(automatic("mlp-mixer").depth, 8);
    assert_eq!(config(&["model.name=vit-tiny", "model.activation=tanh"]).model.activation, Activation::Tanh);
    assert_eq!(config(&["model.name=mlp"]).model.shortcut, None);
}

#[test]
fn the_choices_are_named_alike_everywhere() {
    for product in Product::ALL {
        let read = config(&[&format!("measure.product={product}"), "model.activation=tanh", "model.name=mlp"]);
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!((read.measure.product, &written["measure"]["product"]), (Some(product), &product.name().into()));
    }
    let written = serde_json::to_value(config(&[])).unwrap();
    let names = ["/data/name", "/model/shortcut", "/measure/product"].map(|at| written.pointer(at).unwrap().clone());
    assert_eq!(names, ["synthetic", "auto", "auto"]);
}

#[test]
fn whatever_decides_the_numbers_decides_the_identity_and_the_folder_does_not() {
    let identity = |assignment: &str| config(&[assignment]).identity();
    let plain = config(&[]).identity();
    assert!(plain.starts_with("cnn-sgd-") && plain.len() == "cnn-sgd-".len() + 8);
    assert_eq!(plain, identity("run.out=elsewhere"));
    assert_eq!(plain, identity("run.threads=3"));
    assert_eq!(plain, identity("checkpoint.every=7"));
    assert_eq!(plain, identity("optimizer.learning_rate=5e-2"), "the same number written otherwise");
    assert_ne!(plain, identity("run.seed=1"));
    assert_ne!(plain, identity("measure.on=[\"full\"]"));
    assert!(identity("model.name=mlp").starts_with("mlp-sgd-"));
}

#[test]
fn every_layout_of_files_has_a_name_in_the_configuration() {
    assert!(Layout::ALL.iter().all(|layout| DEFAULTS.contains(&format!("\"{layout}\""))));
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
    assert_eq!(config(&["run.epochs=3"]).step_count(79), 237);
    assert_eq!(config(&["run.steps=10"]).step_count(79), 10);
    // Training time: as many steps as the rate makes of it, up to a limit.
    let timed =
        |rate: &str| config(&["run.time=20", &format!("optimizer.learning_rate={rate}"), "run.most_steps=3000"]);
    assert_eq!(["0.1", "0.03", "0.01", "0.001"].map(|rate| timed(rate).step_count(79)), [200, 667, 2000, 3000]);
    assert_eq!(["0.1", "0.01"].map(|rate| timed(rate).time_cut_to()), [None, None]);
    assert_eq!(timed("0.001").time_cut_to(), Some(3.0));
    assert_eq!(config(&["run.time=1e300"]).step_count(79), 100_000);
    assert_eq!(config(&[]).run.evaluation_period(79), 79);
    assert_eq!(config(&["run.evaluate_every=5"]).run.evaluation_period(79), 5);
}
