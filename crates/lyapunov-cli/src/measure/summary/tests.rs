//! What is said of runs.

use super::*;

fn summary() -> Summary {
    let edge = EdgeFound {
        quantity: "batch_sharpness",
        on: "batch".to_owned(),
        value: 39.4,
        value_spread: Some(4.0),
        share: Some(0.985),
        spread: Some(0.1),
        count: 16,
        since: 1600,
        threshold: 2.0,
        steps: 1975,
    };
    let lambda_max = LambdaMax {
        value: 23.1,
        residual: 0.4,
        step: Some(1960),
        on: "batch".to_owned(),
        product: "exact",
        cost: 12.0,
    };
    Summary {
        run: "runs/cnn-sgd-0123abcd".to_owned(),
        outcome: "completed",
        diverged_at: None,
        steps: 1975,
        training_time: None,
        data: "synthetic".to_owned(),
        training_images: 5000,
        classes: 10,
        train_loss: Some(0.4123),
        test_accuracy: Some(0.613),
        learning_rate: 0.05,
        lambda_max: Some(lambda_max),
        batch_sharpness: None,
        edge: Some(edge),
        chaos: None,
        backed_off: None,
        went_back: Vec::new(),
        weights_frozen: false,
        stand: Some(Stand { learning_rate: 0.05, threshold: Some(2.0) }),
        measuring_cost: 0.125,
        wall_seconds: 72.3,
        subject: Subject {
            model: "cnn".to_owned(),
            has_kinks: true,
            parameters: 21_098,
            data: "synthetic".to_owned(),
            images: 5000,
            classes: 10,
        },
    }
}

#[test]
fn a_completed_run_is_reported_in_sentences() {
    insta::assert_snapshot!(summary().to_text(), @r"
    Trained the cnn (21,098 weights) on 5,000 synthetic images: 1,975 steps in 1 min 12 s.
    Training loss 0.412, test accuracy 61.3 %.
    At the edge of stability: batch sharpness (1.97 ± 0.20)/η over the last 20 % (16 measurements); the edge is 2.00/η.
    Sharpness at step 1,960: λ_max = 23.10 ± 0.40 (exact products, on the mini-batch).
    η·λ_max = 1.16, where full-batch training has its edge at 2.00.
    Measuring cost 0.12 gradient-equivalents per step, 12 % on top of training.
    Run folder: runs/cnn-sgd-0123abcd
    Picture:    runs/cnn-sgd-0123abcd/run.svg
    ");
}

#[test]
fn a_verdict_needs_measurements_that_agree_and_says_when_they_are_old() {
    let edge = |share, spread, since| EdgeFound { share: Some(share), spread, since, ..summary().edge.unwrap() };
    assert!(edge(0.8, Some(1.0), 1600).sentence().starts_with("Indistinguishable from the edge"));
    assert!(edge(0.3, Some(0.1), 1600).sentence().starts_with("Below the edge"));
    assert!(edge(0.3, None, 100).sentence().contains("at step 100, the last measurement"));
    let decayed = EdgeFound { threshold: -3.0, ..summary().edge.unwrap() };
    assert!(decayed.sentence().contains("the weight decay alone is beyond it"));
}

#[test]
fn exponents_are_reported_with_what_explains_them() {
    let chaos = ChaosFound {
        exponents: vec![Some(0.01234), None],
        exponent_std_errors: vec![Some(0.0004), None],
        exponents_aligned: false,
        exponents_per_time: vec![Some(0.2468), None],
        exponent_steps: 1800,
        exponent_product: "exact".to_owned(),
        negative_rayleigh: Some(0.25),
        identity_violation: Some(3e-7),
    };
    insta::assert_snapshot!(chaos.sentences(), @r"
    Lyapunov exponents of the optimizer: 0.01234 ± 0.00040, unknown per step, over 1,800 steps by exact products, not settled: the run was too short for a limit.
    Per unit of training time: 0.247, beside −⟨vᵀHv⟩ = 0.250 along its deviation.
    Growth and curvature agree to 3.0e-7 at every step.
    ");
    let json = serde_json::to_value(Summary { chaos: Some(chaos), ..summary() }).unwrap();
    assert_eq!((&json["exponents"][0], &json["exponents_aligned"]), (&0.01234.into(), &false.into()));
    assert!(json["exponents"][1].is_null() && json.get("chaos").is_none());
    assert_eq!(json["edge"]["share"], 0.985);
}

#[test]
fn a_diverged_run_is_reported_in_sentences() {
    let run = Summary {
        outcome: "diverged",
        diverged_at: Some(12),
        train_loss: None,
        lambda_max: None,
        edge: None,
        measuring_cost: 0.0,
        ..summary()
    };
    insta::assert_snapshot!(run.to_text(), @r"
    The run diverged before step 12, after 1 min 12 s: the cnn (21,098 weights) on 5,000 synthetic images.
    Run folder: runs/cnn-sgd-0123abcd
    Picture:    runs/cnn-sgd-0123abcd/run.svg
    ");
}

#[test]
fn a_run_that_blew_up_has_no_verdict_on_its_stability() {
    let run = Summary {
        outcome: BLOWN_UP,
        train_loss: Some(7.2e23),
        edge: None,
        batch_sharpness: None,
        stand: None,
        ..summary()
    };
    let text = run.to_text();
    assert!(text.starts_with("The run blew up, though its numbers are finite: the cnn"), "{text}");
    assert!(text.contains("7.2e23") || text.contains("7.20e23"), "{text}");
    assert!(!text.contains("edge of stability") && !text.contains("λ_max"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&run.to_json()).unwrap();
    assert_eq!((&json["outcome"], &json["edge"]), (&"blown-up".into(), &serde_json::Value::Null));
}

#[test]
fn a_rule_that_backed_off_says_so() {
    let said = |backed_off, went_back: &[u64]| {
        Summary { backed_off, went_back: went_back.to_vec(), steps: 100, ..summary() }.guarded()
    };
    assert_eq!(said(None, &[]), None);
    let begin = "The rule backed off: the loss had gone above its first value,";
    let texts = [said(Some(0.25), &[30, 50]), said(Some(0.5), &[100]), said(None, &[100]), said(Some(0.5), &[])];
    let ends = [
        " it went back to earlier weights 2 times, and the learning rate is 1/4 of what it asks for.",
        " it ended at the weights it had before, and the learning rate is 1/2 of what it asks for.",
        " it ended at the weights it had before.",
        " and the learning rate is 1/2 of what it asks for.",
    ];
    assert_eq!(texts, ends.map(|end| Some(format!("{begin}{end}"))));
}

#[test]
fn the_object_without_its_folder_keeps_every_digit() {
    let run = Summary { train_loss: Some(0.1 + 0.2), ..summary() };
    let (kept, whole) = (run.without_folder().to_string(), run.to_json());
    let [mut kept, whole] = [kept, whole].map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
    assert!(kept.get("run").is_none() && kept["train_loss"] == 0.1 + 0.2);
    kept["run"] = whole["run"].clone();
    assert_eq!(kept, whole);
}

#[test]
fn the_json_object_has_no_number_that_is_not_one() {
    let run = Summary { train_loss: Some(f64::NAN), ..summary() };
    let json: serde_json::Value = serde_json::from_str(&run.to_json()).unwrap();
    assert!(json["train_loss"].is_null());
    assert!(json.get("diverged_at").is_none() && json.get("subject").is_none());
    assert_eq!(json["lambda_max"]["on"], "batch");
}

#[test]
fn durations_read_well() {
    assert_eq!([8.21, 125.0, 3725.0].map(duration), ["8.2 s", "2 min 5 s", "1 h 2 min"]);
    assert_eq!(duration(59.96), "1 min 0 s");
}
