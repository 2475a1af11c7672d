//! The nearby trajectory of the paper, from outside: what it leaves in a run, and what it must not change.

use predicates::str::contains;

use crate::support::{count, folder_of, json, losses, program, text, train};

/// The paper's way: a difference of gradients at a nearby point on the same batch, at every step.
const PAPERS: [&str; 8] = [
    "--set",
    "measure.estimator=nearby-trajectory",
    "--set",
    "measure.product=difference",
    "--set",
    "measure.what=[\"lambda_max\"]",
    "--set",
    "model.activation=tanh",
];

#[test]
fn it_is_recorded_at_every_step_and_changes_no_bit_of_the_run() {
    let out = tempfile::tempdir().unwrap();
    let with = json(out.path(), &PAPERS);
    let without = json(out.path(), &["--set", "measure.every=0", "--set", "model.activation=tanh"]);
    assert_eq!(losses(&with), losses(&without));
    assert_eq!((count(&with, "nearby"), count(&with, "sharpness")), (12, 12));
    // The reading that is reported is the growth.
    let same = "nearby JOIN sharpness USING (step, quantity) WHERE nearby.from_growth = sharpness.value";
    assert_eq!(count(&with, same), 12);
    // Up to the rounding of single precision.
    let ordered = "nearby WHERE rayleigh <= 1.000001 * from_growth AND from_growth <= 1.000001 * image_norm \
                   AND image_norm > 0";
    assert_eq!(count(&with, ordered), 12);
    // One gradient per step, and one burst of ten products at the beginning.
    assert!((with["measuring_cost"].as_f64().unwrap() - (12.0 + 10.0) / 12.0).abs() < 1e-9, "{with}");
    let csv = program().arg("export").arg(folder_of(&with)).assert().success().get_output().stdout.clone();
    let csv = text(&csv);
    let head = csv.lines().next().unwrap();
    for column in ["growth", "from_growth", "rayleigh", "image_norm", "factor"] {
        assert!(head.contains(&format!(",nearby_lambda_max_{column}")), "{head}");
    }
    let page = out.path().join("page.html");
    program().arg("report").arg(folder_of(&with)).arg("--out").arg(page).assert().success();
}

#[test]
fn the_papers_rule_is_fed_by_it_at_every_step() {
    let out = tempfile::tempdir().unwrap();
    let rule =
        ["--set", "control.rule=quasi-newton", "--set", "measure.reading=image-norm", "--set", "control.smoothing=1"];
    let arguments: Vec<&str> = PAPERS.into_iter().chain(rule).chain(["--set", "schedule.cooldown=0"]).collect();
    let run = json(out.path(), &arguments);
    assert_eq!(count(&run, "rows JOIN nearby USING (step) WHERE abs(learning_rate * image_norm - 1) < 1e-12"), 12);
    assert_eq!(count(&run, "nearby WHERE factor > 0"), 11, "before the first step it does not move");
    // Without the key the mean of ten readings decides.
    let arguments: Vec<&str> = PAPERS.into_iter().chain(["--set", "control.rule=quasi-newton"]).collect();
    let config = folder_of(&json(out.path(), &arguments)).join("config.toml");
    let config = std::fs::read_to_string(config).unwrap();
    assert!(config.contains("smoothing = 10 "), "{config}");
}

#[test]
fn what_would_follow_nothing_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let refused = |keys: &[&str], why: &str| {
        let arguments: Vec<&str> = keys.iter().flat_map(|key| ["--set", key]).collect();
        train(out.path(), &arguments).assert().code(2).stderr(contains(why));
    };
    let nearby = "measure.estimator=nearby-trajectory";
    refused(&["measure.reading=image-norm"], "`measure.estimator` is \"burst\"");
    refused(&[nearby, "measure.every=0"], "nothing is measured");
    refused(&[nearby, "measure.on=[\"full\"]"], "does not name \"batch\"");
    refused(&["measure.estimator=nearby"], "\"burst\" or \"nearby-trajectory\"");
    refused(&[nearby, "measure.reading=norm"], "\"growth\", \"rayleigh\" or \"image-norm\"");
    refused(&["control.rule=edge-step", "control.smoothing=5"], "\"edge-step\" has none");
    refused(&["control.smoothing=5"], "`control.rule` is \"none\"");
    // Differences take the kinks of ReLU for curvature: what they read of the smallest eigenvalue means nothing.
    let lowest = [nearby, "measure.product=difference", "measure.what=[\"lambda_min\"]"];
    train(out.path(), &lowest.iter().flat_map(|key| ["--set", key]).collect::<Vec<_>>()).assert().failure();
}
