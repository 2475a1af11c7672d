//! What distinguishes runs: the keys that differ, the groups of runs that are alike but for η and seed, and grids of
//! two keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::stored::StoredRun;

/// A path of more letters is shortened.
const LONG: usize = 32;

/// Keys that say where or how a run was made, not what it is, and those whose columns speak for themselves.
const ASIDE: [&str; 5] = ["run.out", "run.device", "run.threads", "measure.what", "measure.on"];

/// Who sets the learning rate.
const RULE: &str = "control.rule";

/// What a rule sets, where there is one.
pub const LEARNING_RATE: &str = "optimizer.learning_rate";

/// How long a run trains.
const LENGTHS: [&str; 4] = ["run.epochs", "run.steps", "run.time", "run.most_steps"];

/// Where keys stand that make another kind of training.
const KINDS: [&str; 7] = ["data.", "model.", "loss.", "optimizer.", "schedule.", "control.", "run."];

/// Keys of the table in which runs differ, in the order of their files; the seed is not among them.
pub fn differing(runs: &[&StoredRun]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut known = BTreeSet::new();
    for (key, _) in runs.iter().flat_map(|run| &run.keys) {
        if known.insert(key.as_str()) && key != "run.seed" && !ASIDE.contains(&key.as_str()) {
            names.push(key);
        }
    }
    names.retain(|name| differs(runs, name));
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.iter().filter(|key| !is_filled_in(runs, key, &names)).cloned().collect()
}

/// Whether the choice of another thing has filled a key in: what some runs leave to the program, or do not have, and a
/// name among those that differ determines.
fn is_filled_in(runs: &[&StoredRun], key: &str, differing: &[String]) -> bool {
    let chosen = |name: &String| name == RULE || name.rsplit('.').next() == Some("name");
    runs.iter().any(|run| is_left_open(&value(run, key)))
        && differing.iter().any(|name| name != key && chosen(name) && determines(runs, name, key))
}

/// Whether a value says nothing: nobody chose it.
fn is_left_open(value: &str) -> bool {
    matches!(value, "auto" | "none" | "—" | "[]")
}

fn differs(runs: &[&StoredRun], key: &str) -> bool {
    runs.windows(2).any(|pair| value(pair[0], key) != value(pair[1], key))
}

/// The value of a key by its full name, as text; a dash where the run has none.
pub fn value(run: &StoredRun, key: &str) -> String {
    // With a rule, nobody looks at the configured learning rate.
    if let Some(rule) = rule(run).filter(|_| key == LEARNING_RATE) {
        return format!("by {rule}");
    }
    run.keys.iter().find(|(name, _)| name == key).map_or_else(|| "—".to_owned(), |(_, value)| text(value))
}

/// The rule that sets the learning rate of a run, where one does.
pub fn rule(run: &StoredRun) -> Option<&str> {
    run.key(RULE).and_then(Value::as_str).filter(|rule| *rule != "none")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The name of a run's group: its model and its loss, and what else differs among runs of the same model, loss,
/// optimizer, …
pub fn groups(runs: &[&StoredRun], differing: &[String]) -> Vec<String> {
    let mut telling = telling(runs, differing, &[LEARNING_RATE, "model.name", "loss.name"]);
    // How long each model trains says nothing beside its name.
    telling.retain(|key| !LENGTHS.contains(&key.as_str()) || !determines(runs, "model.name", key));
    let named = |run: &StoredRun| ["model.name", "loss.name"].map(|key| value(run, key));
    let label = |run: &&StoredRun| named(run).into_iter().chain(parts(run, &telling)).collect::<Vec<_>>().join(" · ");
    runs.iter().map(label).collect()
}

/// What a run is called beside others: what distinguishes it, its seed where seeds differ, and the name of its folder
/// where nothing else does.
pub fn labels(runs: &[&StoredRun], differing: &[String]) -> Vec<String> {
    let telling = telling(runs, differing, &[]);
    let seeds = runs.windows(2).any(|pair| pair[0].manifest.seed != pair[1].manifest.seed);
    let label = |run: &&StoredRun| {
        let seed = seeds.then(|| format!("seed {}", run.manifest.seed));
        parts(run, &telling).into_iter().chain(seed).collect::<Vec<_>>().join(" · ")
    };
    let labels: Vec<String> = runs.iter().map(label).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for label in &labels {
        *counts.entry(label.clone()).or_default() += 1;
    }
    let whole = |(run, label): (&&StoredRun, String)| match label.as_str() {
        "" => run.name(),
        _ if counts[&label] > 1 => format!("{label} · {}", run.name()),
        _ => label,
    };
    runs.iter().zip(labels).map(whole).collect()
}

/// The keys that make another kind of training, but for some.
fn telling<'a>(runs: &[&StoredRun], differing: &'a [String], but: &[&str]) -> Vec<&'a String> {
    let counts = |key: &&String| KINDS.iter().any(|kind| key.starts_with(kind)) && !but.contains(&key.as_str());
    differing.iter().filter(counts).filter(|key| distinguishes(runs, key)).collect()
}

/// Whether a key differs among runs that agree on the name of its section: the widths of another model say nothing new.
fn distinguishes(runs: &[&StoredRun], key: &str) -> bool {
    let section = key.split('.').next().unwrap_or_default();
    let name = format!("{section}.name");
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    key == name
        || runs.iter().any(|run| {
            let own = value(run, key);
            *seen.entry(value(run, &name)).or_insert_with(|| own.clone()) != own
        })
}

/// What a run has chosen of these keys, each in a word or two.
fn parts(run: &StoredRun, telling: &[&String]) -> Vec<String> {
    let part = |key: &&String| {
        let value = value(run, key);
        let by_rule = *key == RULE && telling.iter().any(|other| *other == LEARNING_RATE);
        let last = key.rsplit('.').next().unwrap_or_default();
        match last {
            _ if by_rule || is_left_open(&value) => None,
            "name" | "rule" => Some(value),
            "learning_rate" => Some(format!("η {value}")),
            _ => Some(format!("{} {}", last.replace('_', " "), short_path(&value))),
        }
    };
    telling.iter().filter_map(part).collect()
}

/// A long path by its last two parts.
pub fn short_path(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    match &parts[..] {
        [_, .., before, last] if text.chars().count() > LONG => format!("…/{before}/{last}"),
        _ => text.to_owned(),
    }
}

/// A grid of two keys: each with its values in order, and for every run its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The two keys.
    pub keys: [String; 2],
    /// Their values, in order.
    pub values: [Vec<String>; 2],
    /// For every run its index along both.
    pub places: Vec<[usize; 2]>,
}

/// The grid that runs form where two keys, other than the seed, differ independently, and most of its places have a
/// run.
pub fn grid(runs: &[&StoredRun], differing: &[String]) -> Option<Grid> {
    let [first, second] = <[&String; 2]>::try_from(independent(runs, differing)).ok()?;
    let keys = [first.clone(), second.clone()];
    let values = [ordered(runs, first), ordered(runs, second)];
    let place = |run: &StoredRun| {
        let along = |i: usize| values[i].iter().position(|other| *other == value(run, &keys[i])).unwrap_or_default();
        [along(0), along(1)]
    };
    let places: Vec<[usize; 2]> = runs.iter().map(|run| place(run)).collect();
    let taken = places.iter().collect::<BTreeSet<_>>().len();
    let size = values[0].len() * values[1].len();
    (size >= 4 && 4 * taken >= 3 * size).then_some(Grid { keys, values, places })
}

/// The keys that do not follow from another one, as the widths are by the model.
fn independent<'a>(runs: &[&StoredRun], differing: &'a [String]) -> Vec<&'a String> {
    let mut kept: Vec<&String> = differing.iter().collect();
    let mut i = kept.len();
    while i > 0 {
        i -= 1;
        let follows = kept.iter().enumerate().any(|(other, key)| other != i && determines(runs, key, kept[i]));
        if follows {
            kept.remove(i);
        }
    }
    kept
}

fn determines(runs: &[&StoredRun], by: &str, key: &str) -> bool {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    runs.iter().all(|run| {
        let own = value(run, key);
        *parts.entry(value(run, by)).or_insert_with(|| own.clone()) == own
    })
}

fn ordered(runs: &[&StoredRun], key: &str) -> Vec<String> {
    let mut values: Vec<String> = runs.iter().map(|run| value(run, key)).collect();
    let number = |text: &String| text.parse::<f64>().unwrap_or(f64::INFINITY);
    values.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b)));
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::manifest::Manifest;

    fn run(keys: &[(&str, Value)]) -> StoredRun {
        let seed = keys.iter().find(|(key, _)| *key == "run.seed").and_then(|(_, seed)| seed.as_u64());
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let manifest = Manifest { seed: seed.unwrap_or_default(), ..Manifest::default() };
        StoredRun { folder: PathBuf::from("runs/a"), manifest, keys }
    }

    fn trained(model: &str, widths: i64, loss: &str, rate: f64, seed: i64) -> StoredRun {
        run(&[
            ("model.name", model.into()),
            ("model.widths", json!([widths])),
            ("loss.name", loss.into()),
            ("optimizer.learning_rate", rate.into()),
            ("run.seed", seed.into()),
            ("run.out", format!("runs{seed}").into()),
        ])
    }

    #[test]
    fn the_widths_of_another_model_are_no_group_of_their_own_but_those_of_the_same_are() {
        let (a, b, c) = (
            trained("mlp", 8, "hinge", 0.1, 0),
            trained("cnn", 4, "hinge", 0.1, 1),
            trained("mlp", 16, "hinge", 0.2, 0),
        );
        let keys = differing(&[&a, &b]);
        assert_eq!(keys, ["model.name", "model.widths"]);
        assert_eq!(groups(&[&a, &b], &keys), ["mlp · hinge", "cnn · hinge"]);
        let runs = [&a, &b, &c];
        assert_eq!(
            groups(&runs, &differing(&runs)),
            ["mlp · hinge · widths [8]", "cnn · hinge · widths [4]", "mlp · hinge · widths [16]"]
        );
    }

    #[test]
    fn runs_of_other_lengths_are_not_pooled_and_a_rule_has_no_configured_rate() {
        let long = |epochs: i64, seed: i64| {
            let mut run = trained("mlp", 8, "hinge", 0.1, seed);
            run.keys.push(("run.epochs".to_owned(), epochs.into()));
            run
        };
        let runs = [long(1, 0), long(4, 0), long(4, 1)];
        let runs: Vec<&StoredRun> = runs.iter().collect();
        let named = groups(&runs, &differing(&runs));
        assert_eq!(named, ["mlp · hinge · epochs 1", "mlp · hinge · epochs 4", "mlp · hinge · epochs 4"]);
        assert_eq!(labels(&runs, &differing(&runs)), ["epochs 1 · seed 0", "epochs 4 · seed 0", "epochs 4 · seed 1"]);
        let mut ruled = trained("mlp", 8, "hinge", 0.01, 0);
        ruled.keys.push(("control.rule".to_owned(), "edge-step".into()));
        assert_eq!(value(&ruled, "optimizer.learning_rate"), "by edge-step");
        assert_eq!(value(&trained("mlp", 8, "hinge", 0.01, 0), "optimizer.learning_rate"), "0.01");
    }

    #[test]
    fn a_run_is_called_by_what_was_chosen_and_not_by_what_follows_from_it() {
        let ruled = |rule: &str, cooldown: Value, rate: f64| {
            let mut run = trained("mlp", 8, "hinge", rate, 0);
            run.keys.extend([("control.rule".to_owned(), rule.into()), ("schedule.cooldown".to_owned(), cooldown)]);
            run
        };
        let runs =
            [ruled("none", "auto".into(), 0.1), ruled("none", "auto".into(), 0.2), ruled("adgd", 0.3.into(), 0.1)];
        let runs: Vec<&StoredRun> = runs.iter().collect();
        let keys = differing(&runs);
        assert_eq!(keys, ["optimizer.learning_rate", "control.rule"], "the cooldown is that of the rule");
        assert_eq!(labels(&runs, &keys), ["η 0.1", "η 0.2", "η by adgd"]);
        assert_eq!(groups(&runs, &keys), ["mlp · hinge", "mlp · hinge", "mlp · hinge · adgd"]);
        let alike = [runs[0], runs[0]];
        assert_eq!(labels(&alike, &differing(&alike)), ["a", "a"], "by the folder, where nothing else differs");
        let own = [ruled("none", 0.1.into(), 0.1), ruled("none", "auto".into(), 0.1)];
        assert_eq!(differing(&[&own[0], &own[1]]), ["schedule.cooldown"], "chosen, not filled in");
    }

    #[test]
    fn long_paths_are_known_by_their_ends() {
        assert_eq!(short_path("/home/somebody/data/pictures/cifar-10-batches-bin"), "…/pictures/cifar-10-batches-bin");
        assert_eq!(short_path("runs/mine"), "runs/mine");
        assert_eq!(
            short_path("[lambda_max, lambda_min, batch_sharpness]"),
            "[lambda_max, lambda_min, batch_sharpness]"
        );
    }

    #[test]
    fn two_keys_that_differ_by_themselves_form_a_grid() {
        let mut runs = Vec::new();
        for (rate, seed) in [(0.01, 0), (0.1, 1), (0.002, 0)] {
            runs.extend([trained("mlp", 8, "hinge", rate, seed), trained("cnn", 4, "hinge", rate, seed)]);
        }
        let runs: Vec<&StoredRun> = runs.iter().collect();
        let found = grid(&runs, &differing(&runs)).unwrap();
        assert_eq!(found.keys, ["model.name", "optimizer.learning_rate"]);
        assert_eq!(found.values[1], ["0.002", "0.01", "0.1"], "as numbers, not as texts");
        assert_eq!(found.places[..3], [[1, 1], [0, 1], [1, 2]]);
        assert_eq!(
            grid(&runs[..3], &differing(&runs[..3])).map(|grid| grid.places.len()),
            Some(3),
            "three places of four"
        );
        assert_eq!(grid(&runs[..2], &differing(&runs[..2])), None, "one key");
    }
}
