//! The suite: a file with problems and rules, each a part of a configuration, and the runs that they make together.

use std::{fs, path::Path};

use miette::NamedSource;
use toml_edit::{Document, Item, Table, TableLike, Value};

use crate::{
    config::{Draft, Settings, Source},
    error::{Error, Result},
    sweep::{Plan, Planned, Subjects},
};

/// A file of problems and rules.
///
/// ```toml
/// [suite]
/// seeds = 3
/// [base.schedule]             # keys of every run
/// cooldown = 0.3
/// [problems.mlp.model]        # keys of one problem
/// name = "mlp"
/// [problems.mlp.target]       # the loss that steps are counted to
/// loss = 0.5
/// [rules.sgd.grid]            # one key and its values: a reference is tuned over them
/// "optimizer.learning_rate" = [0.01, 0.1]
/// [rules.edge-step.control]
/// rule = "edge-step"
/// ```
pub struct Suite {
    /// The file that it was read from.
    pub file: String,
    /// Seeds 0, 1, … of every case.
    pub seeds: u64,
    /// The names of the problems, in their order.
    pub problems: Vec<String>,
    /// The names of the rules, in their order; the first is what the others are compared with.
    pub rules: Vec<String>,
    /// Every run.
    pub cases: Vec<Case>,
}

/// One run of a suite.
pub struct Case {
    /// Index of the problem.
    pub problem: usize,
    /// Index of the rule.
    pub rule: usize,
    /// The value of the rule's grid, as it is written.
    pub value: Option<String>,
    /// The seed.
    pub seed: u64,
    /// The loss that steps are counted to.
    pub target: Option<f64>,
    /// The configuration.
    pub settings: Settings,
}

/// What the tables of a suite may have beside the sections of a configuration.
const SEEDS: &str = "seeds";
const SEED: &str = "run.seed";
const GRID: &str = "grid";
const TARGET: &str = "target";

/// A part of the file that is a part of a configuration.
struct Part<'a> {
    name: String,
    table: &'a dyn TableLike,
}

/// The key that a rule varies, and its values.
type Grid = Option<(String, Vec<Value>)>;

impl Suite {
    /// Reads the suite in `path`; `prepare` gets every configuration after the keys of the suite.
    pub fn read(path: &Path, prepare: impl Fn(&mut Draft) -> Result<()>) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|cause| Error::io("read", path, cause))?;
        Self::of_text(&path.display().to_string(), text, prepare)
    }

    /// The same of a text that is called `name`.
    pub fn of_text(name: &str, text: String, prepare: impl Fn(&mut Draft) -> Result<()>) -> Result<Self> {
        let source = Source::new(NamedSource::new(name, text.clone()).with_language("toml"));
        let document = Document::parse(text).map_err(|fault| source.unreadable(Path::new(name), &fault))?;
        let root = document.as_table();
        check_tables(root, &source)?;
        let seeds = seeds(root, &source)?;
        let (problems, rules) = (parts(root, "problems", &source)?, parts(root, "rules", &source)?);
        let base = root.get("base").and_then(Item::as_table_like);
        let mut cases = Vec::new();
        for (i, problem) in problems.iter().enumerate() {
            let target = target(problem, &source)?;
            for (j, rule) in rules.iter().enumerate() {
                let mut draft = Draft::default();
                base.map_or(Ok(()), |base| draft.take(base, &[], &source))?;
                draft.take(problem.table, &[TARGET], &source)?;
                draft.take(rule.table, &[GRID], &source)?;
                prepare(&mut draft)?;
                for (value, draft) in along_grid(&draft, rule, &source)? {
                    for seed in 0..seeds {
                        let settings = seeded(&draft, seed)?;
                        cases.push(Case { problem: i, rule: j, value: value.clone(), seed, target, settings });
                    }
                }
            }
        }
        let names = |parts: Vec<Part>| parts.into_iter().map(|part| part.name).collect();
        Ok(Self { file: name.to_owned(), seeds, problems: names(problems), rules: names(rules), cases })
    }

    /// Its runs, in the order of its cases, as those of a sweep.
    pub fn plan(&self) -> Result<Plan> {
        let mut subjects = Subjects::default();
        let planned = |case: &Case| {
            let (problem, rule) = (self.problems[case.problem].clone(), self.rules[case.rule].clone());
            let values = vec![problem, rule, case.value.clone().unwrap_or_default(), case.seed.to_string()];
            Planned::of(case.settings.clone(), values, &mut subjects)
        };
        let runs = self.cases.iter().map(planned).collect::<Result<_>>()?;
        Ok(Plan::new(self.file.clone(), ["problem", "rule", "at", "seed"].map(str::to_owned).to_vec(), runs))
    }
}

/// `draft` at every value of the rule's grid, with the value as it is written; as it is, where the rule has none.
fn along_grid(draft: &Draft, rule: &Part, source: &Source) -> Result<Vec<(Option<String>, Draft)>> {
    let Some((key, values)) = grid(rule, source)? else { return Ok(vec![(None, draft.clone())]) };
    let at = |value: &Value| {
        let mut draft = draft.clone();
        draft.take_value(&key, value, source)?;
        Ok((Some(value.clone().decorated("", "").to_string()), draft))
    };
    values.iter().map(at).collect()
}

fn seeded(draft: &Draft, seed: u64) -> Result<Settings> {
    let mut draft = draft.clone();
    draft.assign("run.seed", i64::try_from(seed).unwrap_or(i64::MAX), format!("seed {seed} of the suite"));
    draft.finish()
}

fn check_tables(root: &Table, source: &Source) -> Result<()> {
    let known =
        |name: &str, item: &Item| ["suite", "base", "problems", "rules"].contains(&name) && item.is_table_like();
    match root.iter().find(|(name, item)| !known(name, item)) {
        None => Ok(()),
        Some((name, _)) => {
            let help = "a suite has the tables [suite], [base], [problems.NAME] and [rules.NAME]".to_owned();
            Err(source.fault(Source::key(root, name), format!("`{name}` is not a table of a suite"), Some(help)))
        }
    }
}

fn seeds(root: &Table, source: &Source) -> Result<u64> {
    let Some(suite) = root.get("suite").and_then(Item::as_table_like) else { return Ok(1) };
    if let Some((name, _)) = suite.iter().find(|(name, _)| *name != SEEDS) {
        let message = format!("unknown key `suite.{name}`");
        return Err(source.fault(Source::key(suite, name), message, Some("[suite] has `seeds`".to_owned())));
    }
    let Some(item) = suite.get(SEEDS) else { return Ok(1) };
    match item.as_integer().and_then(|seeds| u64::try_from(seeds).ok()) {
        Some(seeds) if seeds > 0 => Ok(seeds),
        _ => Err(source.fault(item.span(), "`suite.seeds` must be a whole number from 1 up".to_owned(), None)),
    }
}

fn parts<'a>(root: &'a Table, kind: &str, source: &Source) -> Result<Vec<Part<'a>>> {
    let table = root.get(kind).and_then(Item::as_table_like);
    let mut parts = Vec::new();
    for (name, item) in table.iter().flat_map(|table| table.iter()) {
        let Some(table) = item.as_table_like() else {
            let message = format!("`{kind}.{name}` must be a table with keys of a configuration");
            return Err(source.fault(item.span(), message, None));
        };
        parts.push(Part { name: name.to_owned(), table });
    }
    if parts.is_empty() {
        return Err(source.fault(None, format!("the suite has no {kind}"), Some(format!("add a table [{kind}.NAME]"))));
    }
    Ok(parts)
}

fn grid(rule: &Part, source: &Source) -> Result<Grid> {
    let Some(item) = rule.table.get(GRID) else { return Ok(None) };
    let entries: Vec<_> = item.as_table_like().map(|table| table.iter().collect()).unwrap_or_default();
    let values = |item: &Item| item.as_array().map(|list| list.iter().cloned().collect::<Vec<_>>());
    if let [(SEED, _)] = entries[..] {
        let message = format!("the grid of rule `{}` is over `{SEED}`, which `suite.seeds` decides", rule.name);
        return Err(source.fault(item.span(), message, None));
    }
    match entries[..] {
        [(key, item)] if values(item).is_some_and(|values| !values.is_empty()) => {
            Ok(Some((key.to_owned(), values(item).unwrap_or_default())))
        }
        _ => {
            let message = format!("the grid of rule `{}` must be one key and a list of its values", rule.name);
            let help = "write `grid = { \"optimizer.learning_rate\" = [0.01, 0.1] }`".to_owned();
            Err(source.fault(item.span(), message, Some(help)))
        }
    }
}

fn target(problem: &Part, source: &Source) -> Result<Option<f64>> {
    let Some(item) = problem.table.get(TARGET) else { return Ok(None) };
    let loss = item.as_table_like().and_then(|table| table.get("loss"));
    let number = loss.and_then(|loss| loss.as_float().or(loss.as_integer().map(|whole| whole as f64)));
    if let Some(loss) = number.filter(|loss| loss.is_finite() && *loss > 0.0) {
        return Ok(Some(loss));
    }
    let message = format!("the target of problem `{}` must be `loss = NUMBER`, greater than 0", problem.name);
    Err(source.fault(item.span(), message, None))
}
