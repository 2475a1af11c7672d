//! The paper's claims from outside: the plan, and the page of the runs that have ended.

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use assert_cmd::Command;
use predicates::str::contains;
use serde_json::Value;

use crate::support::program;

fn reproduce(out: &Path, flag: &str) -> Command {
    let mut command = program();
    command.args(["reproduce", flag, "--out"]).arg(out);
    command
}

/// The error of one product beside two, computed again from the table of readings.
fn errors_are_those_of_the_readings(out: &Path, claim: &Value) {
    let mut text = String::new();
    let file = fs::File::open(out.join("readings.csv.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let read = |products: &str| -> BTreeMap<u64, f64> {
        let rows = csv::Reader::from_reader(text.as_bytes()).into_records().map(Result::unwrap).collect::<Vec<_>>();
        let own =
            rows.iter().filter(|row| &row[0] == "estimates" && row[1].contains(products) && &row[5] == "lambda_max");
        own.map(|row| (row[4].parse().unwrap(), row[8].parse().unwrap())).collect()
    };
    let (one, two) = (read("measure.products 1"), read("measure.products 2"));
    // The first measurement begins with nothing.
    let mut errors: Vec<f64> = one.iter().skip(1).map(|(step, value)| (value / two[step] - 1.0).abs()).collect();
    errors.sort_by(f64::total_cmp);
    let worst = claim["table"][1][4].as_str().unwrap().trim_end_matches(" %").replace(',', "");
    let worst: f64 = worst.parse().unwrap();
    assert!((100.0 * errors.last().unwrap() / worst - 1.0).abs() < 1e-3, "{errors:?}, {claim}");
}

#[test]
fn the_page_says_of_every_claim_what_the_runs_that_have_ended_say() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    reproduce(&out, "--page").assert().code(2).stderr(contains("there is no run in"));
    reproduce(&out, "--plan").assert().success().stdout(contains("Planned 138 runs"));
    for name in ["exponents", "estimates", "edge", "rules"] {
        assert!(out.join(format!("{name}.toml")).is_file(), "{name}");
    }
    let plan: Value = serde_json::from_slice(&fs::read(out.join("sweep.json")).unwrap()).unwrap();
    let runs = plan["runs"].as_array().unwrap();
    // The shortest of each experiment.
    let shortest = |experiment: &str, of: &str| {
        let wanted = |run: &&Value| run["values"][0] == experiment && run["values"][1].as_str().unwrap().contains(of);
        let index = runs.iter().position(|run| wanted(&run)).unwrap();
        program().args(["sweep", "run", "--quiet", "--index", &index.to_string()]).arg(&out).assert().success();
    };
    shortest("edge", "mlp, widths [64], normalization none, steps 1000, loss squared-error, learning_rate 1.0");
    shortest("estimates", "mlp, widths [64], activation relu, loss cross-entropy, products 1");
    shortest("estimates", "mlp, widths [64], activation relu, loss cross-entropy, products 2");
    shortest("rules", "mlp, rule sgd, at 0.1");
    reproduce(&out, "--page").assert().success().stdout(contains("C3: SGD travels where λ_max is of the order of 1/η"));
    let claims: Value = serde_json::from_slice(&fs::read(out.join("claims.json")).unwrap()).unwrap();
    let claims = claims["claims"].as_array().unwrap();
    assert_eq!(claims.iter().map(|claim| claim["number"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(claims[1]["verdict"].as_str().unwrap().contains("bit for bit, in 1 of 1"), "{}", claims[1]);
    for undecided in [0, 2, 4] {
        assert!(claims[undecided]["verdict"].as_str().unwrap().contains("Undecided"), "{}", claims[undecided]);
    }
    assert!(claims[2]["measured"].as_str().unwrap().contains("nothing can be said"), "{}", claims[2]);
    errors_are_those_of_the_readings(&out, &claims[1]);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for number in 1..=5 {
        assert!(page.contains(&format!("<h2>C{number}: ")), "C{number}");
    }
    // What a script says of numbers that are none stands after the data.
    let message = page.split("<script>").next().unwrap();
    assert!(!message.contains("NaN") && message.contains("application/json"));
    let finding = page.split("<p class=\"finding\">").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(finding.starts_with("1 run: 1 diverged."), "{finding}");
}
