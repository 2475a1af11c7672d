//! What a draft refuses, and what it suggests.

use std::fs;

use lyapunov_burn::ModelName;

use crate::config::{Draft, keys::ELSEWHERE};

fn refusal(assignment: &str) -> String {
    let mut draft = Draft::default();
    let fault = draft.set(assignment).and_then(|()| draft.finish().map(|_| ())).unwrap_err();
    fault.to_string()
}

fn hint(key: &str) -> String {
    Draft::default().known().hint(key)
}

#[test]
fn a_flag_replaces_the_value_and_leaves_the_comment() {
    let mut draft = Draft::default();
    draft.set("optimizer.learning_rate=0.1").unwrap();
    let settings = draft.finish().unwrap();
    assert_eq!(settings.config.optimizer.learning_rate, 0.1);
    assert!(settings.text().contains("learning_rate = 0.1      # η; \"auto\""));
}

#[test]
fn bare_words_are_texts_and_numbers_are_numbers() {
    let mut draft = Draft::default();
    draft.set("model.name=mlp").unwrap();
    draft.set("optimizer.learning_rate=1").unwrap();
    let config = draft.finish().unwrap().config;
    assert_eq!((config.model.name, config.optimizer.learning_rate), (ModelName::Mlp, 1.0));
    assert_eq!(config.model.widths, [200, 200]);
}

#[test]
fn a_linear_model_has_no_widths() {
    let mut draft = Draft::default();
    draft.set("model.name=linear").unwrap();
    draft.set("model.widths=[5]").unwrap();
    let message = draft.finish().map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("`model.widths` must be \"auto\" or []") && message.contains("[5]"), "{message}");
}

/// The refusal of several keys together.
fn refusal_of(assignments: &[&str]) -> String {
    let mut draft = Draft::default();
    for assignment in assignments {
        draft.set(assignment).unwrap();
    }
    draft.finish().map(|_| ()).unwrap_err().to_string()
}

#[test]
fn rules_that_cannot_work_are_refused() {
    let edge_step = "control.rule=edge-step";
    let cases: [(&[&str], &str); 11] = [
        (&["control.rule=edge-hold"], "which has no theory for \"sgd\""),
        (&[edge_step, "control.sigma=-1"], "`control.sigma` must be a number greater than 0, not -1"),
        (&[edge_step, "optimizer.name=dog", "schedule.cooldown=0.0"], "which has no theory for \"dog\""),
        (&["control.rule=adgd", "optimizer.name=adam"], "which has no theory for \"adam\""),
        (&["control.rule=quasi-newton", "measure.every=0"], "decides by lambda_max, which is not measured"),
        (
            &["control.rule=batch-sharpness", "measure.what=[\"lambda_max\"]"],
            "decides by batch_sharpness, which is not measured",
        ),
        (&["control.rule=quasi-newton", "measure.on=[]"], "decides by lambda_max"),
        (&[edge_step, "optimizer.learning_rate=0.1"], "is given, but \"edge-step\" sets the learning rate"),
        (&[edge_step, "schedule.name=cosine"], "that would decay twice"),
        (&["optimizer.name=schedule-free", "schedule.cooldown=0.2"], "\"schedule-free\" decays by itself"),
        (&["control.sigma=2.5"], "`control.sigma` is given, but `control.rule` is \"none\""),
    ];
    for (assignments, expected) in cases {
        let message = refusal_of(assignments);
        assert!(message.contains(expected), "{assignments:?}: {message}");
    }
}

#[test]
fn a_rule_brings_its_strength_its_period_and_a_cooldown() {
    let mut draft = Draft::default();
    draft.set("control.rule=edge-step").unwrap();
    let config = draft.finish().unwrap().config;
    assert_eq!((config.control.sigma, config.control.every, config.schedule.cooldown), (2.0, 20, 0.3));
    let config = Draft::default().finish().unwrap().config;
    assert_eq!((config.optimizer.learning_rate, config.schedule.cooldown), (0.05, 0.0));
}

#[test]
fn values_outside_their_domain_are_refused_by_name() {
    let cases = [
        ("optimizer.learning_rate=-0.1", "must be a number greater than 0, not -0.1"),
        ("optimizer.learning_rate=nan", "must be a number greater than 0, not nan"),
        ("optimizer.learning_rate=fast", "must be a number greater than 0, not \"fast\""),
        ("run.batch_size=0", "must be a whole number from 1 up, not 0"),
        ("run.batch_size=1.5", "must be a whole number from 1 up, not 1.5"),
        ("run.steps=-1", "must be a whole number from 0 up, not -1"),
        ("model.activation=swish", "\"silu\" or \"hardtanh\", not \"swish\""),
        ("model.pooling=min", "must be \"max\" or \"average\", not \"min\""),
        ("model.widths=[16, 0]", "must be \"auto\" or a list of whole numbers from 1 to 100000, such as [200, 200]"),
        ("model.widths=wide", "not \"wide\""),
        ("model.name=vgg", "\"vit-tiny\" or \"mlp-mixer\", not \"vgg\""),
        ("model.init=orthogonal", "must be \"default\", \"kaiming\", \"xavier\", \"lecun\", \"ntk\" or \"mup-like\""),
        ("model.init_scale=0", "must be a number greater than 0, not 0"),
        ("model.depth=16", "`model.depth` is given, but \"cnn\" has none"),
        ("model.depth=deep", "must be \"auto\" or a whole number from 1 to 1000, not \"deep\""),
        ("model.heads=4", "`model.heads` is given, but \"cnn\" has none"),
        ("model.shortcut=padded", "`model.shortcut` is given, but \"cnn\" has none"),
        ("model.shortcut=none", "must be \"auto\", \"padded\" or \"projected\", not \"none\""),
        ("measure.on=[\"batch\", \"batch\"]", "must be a list of different names"),
        ("measure.what=[\"trace\"]", "must be \"auto\" or a list of different names out of \"lambda_max\", "),
        ("measure.what=[\"preconditioned_sharpness\"]", "but \"sgd\" has no preconditioner"),
        ("optimizer.momentum=0.5", "is given, but \"sgd\" has none"),
        ("optimizer.name=lion", "\"prodigy\", \"dog\" or \"schedule-free\", not \"lion\""),
        ("optimizer.betas=[0.9, 1.0]", "two numbers that are at least 0 and less than 1"),
        ("optimizer.weight_decay=-1", "must be a number that is at least 0, not -1"),
        ("schedule.warm_up=1.5", "must be a share of the run, from 0 to 1, not 1.5"),
        ("exponents.product=gauss-newton", "is not the derivative of a step"),
        ("exponents.weights=frozen", "nothing would move"),
        ("exponents.every=0", "must be a whole number from 1 up, not 0"),
        ("exponents.start=top", "must be \"random\" or \"lambda_min\""),
        ("measure.products=100000", "must be a whole number from 1 to 500, not 100000"),
        ("measure.product=newton", "must be \"auto\", \"exact\", \"gauss-newton\" or \"difference\""),
        ("loss.name=l2", "\"focal\" or \"binary-cross-entropy\", not \"l2\""),
        ("loss.l2=-0.1", "must be a number that is at least 0, not -0.1"),
        ("model.dropout=1.0", "must be a number that is at least 0 and less than 1, not 1.0"),
        ("data.augment=1", "must be true or false, not 1"),
        ("loss.label_smoothing=1", "must be a number that is at least 0 and less than 1, not 1"),
        ("run.out=", "must be a text in quotes, not empty, not \"\""),
        ("data.name=cifar10", "`data.path` is empty"),
        ("data.name=mnist", "`data.name` is \"mnist\", but `data.path` is empty"),
        ("data.name=svhn", "\"cifar10\", \"cifar100\", \"cifar100-coarse\", \"mnist\" or \"fashion-mnist\""),
        (
            "data.classes=[]",
            "must be \"all\" or a list of at least two different class numbers, such as [0, 1], not []",
        ),
        ("data.classes=[3]", "at least two"),
        ("data.classes=[3, 3]", "different"),
        ("data.classes=[3, 256]", "class numbers"),
        ("data.classes=some", "must be \"all\" or"),
        ("data.path=somewhere", "reads no files"),
    ];
    for (assignment, expected) in cases {
        let message = refusal(assignment);
        let key = assignment.split('=').next().unwrap();
        assert!(message.contains(expected) && message.contains(key), "{assignment}: {message}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let refusal = |assignments: &[&str]| {
        let mut draft = Draft::default();
        for assignment in assignments {
            draft.set(assignment).unwrap();
        }
        draft.finish().map(|_| ()).unwrap_err().to_string()
    };
    let twice = refusal(&["model.name=wide-resnet-28-10", "model.depth=16"]);
    assert!(twice.contains("`model.depth` must be \"auto\" where `model.name` says it, not 16"), "{twice}");
    let twice = refusal(&["loss.l2=0.1", "optimizer.weight_decay=0.1"]);
    assert!(twice.contains("`--set loss.l2=0.1`") && twice.contains("both given"), "{twice}");
    let unpooled = refusal(&["model.name=mlp", "model.pooling=average"]);
    assert!(unpooled.contains("`model.pooling` is given, but \"mlp\" has none"), "{unpooled}");
    let flat = refusal(&["loss.name=hinge", "measure.product=gauss-newton"]);
    assert!(flat.contains("`measure.product` must be") && flat.contains("piecewise linear"), "{flat}");
    let long = refusal(&["schedule.warm_up=0.6", "schedule.cooldown=0.5"]);
    assert!(long.contains("`schedule.cooldown`") && long.contains("longer than the run"), "{long}");
    let twice = refusal(&["schedule.name=cosine", "schedule.cooldown=0.5"]);
    assert!(twice.contains("which decays already"), "{twice}");
}

#[test]
fn the_nearest_key_is_suggested() {
    assert_eq!(hint("optimizer.learning_rat"), "did you mean `optimizer.learning_rate`?");
    assert_eq!(hint("learning_rate"), "did you mean `optimizer.learning_rate`?");
    assert_eq!(hint("run.learning_rate"), "did you mean `optimizer.learning_rate`?");
    assert_eq!(hint("optimiser"), "did you mean `optimizer`?");
    assert_eq!(hint("optimiser.learning_rate"), "did you mean `optimizer.learning_rate`?");
    assert_eq!(hint("loss"), "[loss] has `name`, `label_smoothing`, `l2`");
    assert_eq!(hint("loss.beta"), "[loss] has `name`, `label_smoothing`, `l2`");
    assert_eq!(hint("nonsense"), "`lyapunov config` prints every key there is");
}

#[test]
fn the_words_of_other_programs_are_known() {
    let cases = [
        ("optimizer.lr", "optimizer.learning_rate"),
        ("lr", "optimizer.learning_rate"),
        ("optimizer.wd", "optimizer.weight_decay"),
        ("weight-decay", "optimizer.weight_decay"),
        ("betas", "optimizer.betas"),
        ("optimizer.nesterov", "optimizer.name"),
        ("bs", "run.batch_size"),
        ("epochs", "run.epochs"),
        ("max_epochs", "run.epochs"),
        ("run.num_epochs", "run.epochs"),
    ];
    for (written, meant) in cases {
        assert_eq!(hint(written), format!("did you mean `{meant}`?"), "{written}");
    }
    let keys = Draft::default();
    assert!(ELSEWHERE.iter().all(|(_, key)| keys.knows(key)));
}

#[test]
fn the_resolved_file_reads_back_to_the_same_configuration() {
    let mut draft = Draft::default();
    draft.set("measure.on=[\"batch\", \"subset=100\"]").unwrap();
    draft.set("data.subset=500").unwrap();
    let settings = draft.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, settings.text()).unwrap();
    let mut again = Draft::default();
    again.read(&path).unwrap();
    assert_eq!(again.finish().unwrap().config, settings.config);
}
