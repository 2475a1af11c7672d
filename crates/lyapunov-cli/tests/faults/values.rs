//! Numbers that leave the range of numbers.

use crate::{
    course::{Ground, status},
    times,
};

const LOSSES: [&str; 7] =
    ["cross-entropy", "squared-error", "mean-squared-error", "hinge", "huber", "focal", "binary-cross-entropy"];
const OPTIMIZERS: [&str; 8] = ["sgd", "heavy-ball", "nesterov", "adam", "adamw", "prodigy", "dog", "schedule-free"];

#[test]
fn a_learning_rate_out_of_all_proportion_is_a_finding() {
    let ground = Ground::new();
    let (mut pairs, mut tried) = (0, 0);
    for (i, loss) in LOSSES.into_iter().enumerate() {
        for (j, optimizer) in OPTIMIZERS.into_iter().enumerate() {
            // The short form has every loss and every optimizer, the long one each with each.
            if i % 7 != j % 7 && times(0, 1) == 0 {
                continue;
            }
            pairs += 1;
            for rate in ["1e3", "1e30"] {
                let mut command = ground.train(&format!("{loss}-{optimizer}-{rate}"));
                for assignment in [
                    format!("loss.name={loss}"),
                    format!("optimizer.name={optimizer}"),
                    format!("optimizer.learning_rate={rate}"),
                    "control.rule=none".to_owned(),
                    "run.steps=12".to_owned(),
                ] {
                    command.arg("--set").arg(assignment);
                }
                let output = command.output().unwrap();
                assert_eq!(status(output), Some(0), "{loss}, {optimizer}, {rate}");
                tried += 1;
            }
        }
    }
    println!("{pairs} pairs of loss and optimizer, {tried} runs");
}
