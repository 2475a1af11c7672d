//! The axes of a sweep, as the table `[sweep]` of its file writes them, and the points of their grid.

use toml_edit::{InlineTable, Item, Table, TableLike, Value};

use crate::{
    config::{Draft, Source},
    error::Result,
};

/// Keys that go together, and what they are set to: a list of one or more keys varies along each axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The keys, by their full names.
    pub keys: Vec<String>,
    /// One row of values per point, in the order of the keys.
    pub rows: Vec<Vec<Value>>,
}

/// What a point sets: keys by their full names, with their values.
pub type Point = Vec<(String, Value)>;

/// A point that is left out: all these keys have one of these values.
type Exclusion = Vec<(String, Vec<Value>)>;

/// The axes, in the order of the file, and what is left out of their grid.
#[derive(Clone, Debug, Default)]
pub struct Axes {
    /// The axes.
    pub axes: Vec<Axis>,
    exclusions: Vec<Exclusion>,
}

/// The table of the file.
pub const SWEEP: &str = "sweep";

/// What `[sweep]` may have beside keys.
const ZIP: &str = "zip";
const EXCLUDE: &str = "exclude";

/// Short for the key of the seed, whose axis may be a count.
const SEED: &str = "seed";
const SEED_KEY: &str = "run.seed";

/// More points than this are taken for a mistake.
const MOST: usize = 100_000;

impl Axes {
    /// Reads `[sweep]`; `draft` knows which keys there are.
    ///
    /// # Errors
    /// For an axis that names no key, one without values, keys that two axes set.
    pub fn read(table: &dyn TableLike, draft: &Draft, source: &Source) -> Result<Self> {
        let mut axes = Self::default();
        for (name, item) in table.iter() {
            match name {
                ZIP => axes.read_zips(item, draft, source)?,
                EXCLUDE => axes.read_exclusions(item, draft, source)?,
                _ => axes.read_axis(table, name, name, item, (draft, source))?,
            }
        }
        if axes.axes.is_empty() {
            let help =
                "write a key and its values, such as `\"optimizer.learning_rate\" = [0.01, 0.1]`, or `\"seed\" = 3`"
                    .to_owned();
            return Err(source.fault(None, "the sweep has no axis".to_owned(), Some(help)));
        }
        axes.check_distinct(table, source)?;
        Ok(axes)
    }

    /// The points of the grid, the last axis turning fastest, without what is left out.
    ///
    /// # Errors
    /// Where nothing is left, or far too much.
    pub fn points(&self, source: &Source) -> Result<Vec<Point>> {
        let count = self.axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.rows.len()));
        if count.is_none_or(|count| count > MOST) {
            let message = format!("the grid of the sweep has more than {MOST} points");
            return Err(source.fault(None, message, Some("a sweep of this size is best cut into several".to_owned())));
        }
        let mut points: Vec<Point> = vec![Vec::new()];
        for axis in &self.axes {
            let along = |point: &Point| -> Vec<Point> {
                let extended = |row: &Vec<Value>| {
                    let own = axis.keys.iter().cloned().zip(row.iter().cloned());
                    point.iter().cloned().chain(own).collect()
                };
                axis.rows.iter().map(extended).collect()
            };
            points = points.iter().flat_map(along).collect();
        }
        points.retain(|point| !self.exclusions.iter().any(|exclusion| is_excluded(point, exclusion)));
        if points.is_empty() {
            let message = "`sweep.exclude` leaves nothing of the grid".to_owned();
            return Err(source.fault(None, message, None));
        }
        Ok(points)
    }

    /// One key with its values. A dotted key that is not quoted is a table in TOML.
    fn read_axis(
        &mut self,
        table: &dyn TableLike,
        written: &str,
        name: &str,
        item: &Item,
        (draft, source): (&Draft, &Source),
    ) -> Result<()> {
        let key = if name == SEED { SEED_KEY } else { name };
        if let Some(nested) = item.as_table().filter(|_| !draft.knows(key)) {
            return nested.iter().try_for_each(|(part, item)| {
                self.read_axis(nested, part, &format!("{name}.{part}"), item, (draft, source))
            });
        }
        draft.check_key(key, Source::key(table, written), source)?;
        let rows = values(key, item, source)?.into_iter().map(|value| vec![value]).collect();
        self.axes.push(Axis { keys: vec![key.to_owned()], rows });
        Ok(())
    }

    /// Each entry of the list `zip` is one axis of several keys.
    fn read_zips(&mut self, item: &Item, draft: &Draft, source: &Source) -> Result<()> {
        for table in &tables(ZIP, item, source)? {
            let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
            for (name, item) in table {
                let key = if name == SEED { SEED_KEY } else { name };
                draft.check_key(key, Source::key(table, name), source)?;
                let column = values(key, item, source)?;
                if let Some((first, other)) = columns.first().filter(|(_, other)| other.len() != column.len()) {
                    let (n, m) = (other.len(), column.len());
                    let message =
                        format!("axes that are zipped have as many values each: `{first}` has {n}, `{key}` {m}");
                    return Err(source.fault(item.span(), message, None));
                }
                columns.push((key.to_owned(), column));
            }
            let Some(count) = columns.first().map(|(_, column)| column.len()) else { continue };
            let row = |i: usize| columns.iter().map(|(_, column)| column[i].clone()).collect();
            let rows = (0..count).map(row).collect();
            self.axes.push(Axis { keys: columns.into_iter().map(|(key, _)| key).collect(), rows });
        }
        Ok(())
    }

    fn read_exclusions(&mut self, item: &Item, draft: &Draft, source: &Source) -> Result<()> {
        for table in &tables(EXCLUDE, item, source)? {
            let mut exclusion = Exclusion::new();
            for (name, item) in table {
                let key = if name == SEED { SEED_KEY } else { name };
                draft.check_key(key, Source::key(table, name), source)?;
                let list = match item.as_value() {
                    Some(Value::Array(list)) => list.iter().cloned().collect(),
                    Some(value) => vec![value.clone()],
                    None => Vec::new(),
                };
                exclusion.push((key.to_owned(), list));
            }
            if !exclusion.is_empty() {
                self.exclusions.push(exclusion);
            }
        }
        Ok(())
    }

    /// Refuses a key that two axes set, and an exclusion by a key that no axis has.
    fn check_distinct(&self, table: &dyn TableLike, source: &Source) -> Result<()> {
        let mut seen: Vec<&String> = Vec::new();
        for key in self.axes.iter().flat_map(|axis| &axis.keys) {
            if seen.contains(&key) {
                return Err(source.fault(Source::key(table, key), format!("two axes of the sweep set `{key}`"), None));
            }
            seen.push(key);
        }
        let unknown = self.exclusions.iter().flatten().find(|(key, _)| !seen.contains(&key));
        match unknown {
            None => self.check_excluded(table, source),
            Some((key, _)) => {
                let message = format!("`sweep.exclude` names `{key}`, which is no axis of the sweep");
                Err(source.fault(Source::key(table, EXCLUDE), message, None))
            }
        }
    }
}

impl Axes {
    /// Refuses to leave out a value that its axis does not have.
    fn check_excluded(&self, table: &dyn TableLike, source: &Source) -> Result<()> {
        let values = |key: &String| -> Vec<&Value> {
            let of = |axis: &'_ Axis| axis.keys.iter().position(|other| other == key);
            let found = self.axes.iter().find_map(|axis| of(axis).map(|place| (axis, place)));
            found.map(|(axis, place)| axis.rows.iter().map(|row| &row[place]).collect()).unwrap_or_default()
        };
        for (key, excluded) in self.exclusions.iter().flatten() {
            let own = values(key);
            if let Some(value) = excluded.iter().find(|value| !own.iter().any(|other| is_same(other, value))) {
                let message =
                    format!("`sweep.exclude` leaves out `{key}` = {}, which its axis does not have", text(value));
                let known: Vec<String> = own.into_iter().take(12).map(text).collect();
                let help = Some(format!("the axis has {}", known.join(", ")));
                return Err(source.fault(Source::key(table, EXCLUDE), message, help));
            }
        }
        Ok(())
    }
}

fn is_excluded(point: &Point, exclusion: &Exclusion) -> bool {
    exclusion.iter().all(|(key, values)| {
        let own = point.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        own.is_some_and(|own| values.iter().any(|value| is_same(own, value)))
    })
}

/// Whether two values mean the same: 1 is 1.0.
fn is_same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|whole| whole as f64));
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => text(a) == text(b),
    }
}

/// A value as it is written.
pub fn text(value: &Value) -> String {
    value.clone().decorated("", "").to_string()
}

/// The values of one axis: a list, a count of seeds, or `{ logspace = [from, to], count = n }`.
fn values(key: &str, item: &Item, source: &Source) -> Result<Vec<Value>> {
    let value = item.as_value();
    let found = match value {
        Some(Value::Array(list)) => Some(list.iter().cloned().collect::<Vec<_>>()),
        Some(Value::Integer(count))
            if key == SEED_KEY && u64::try_from(*count.value()).is_ok_and(|count| count > MOST as u64) =>
        {
            let message = format!("the axis `{key}` has more than {MOST} values");
            return Err(source.fault(
                item.span(),
                message,
                Some(format!("write `[{}]` for that one seed", count.value())),
            ));
        }
        Some(Value::Integer(count)) if key == SEED_KEY => Some((0..*count.value()).map(Value::from).collect()),
        Some(Value::InlineTable(table)) => spaced(table),
        _ => None,
    };
    match found {
        Some(values) if !values.is_empty() => Ok(values),
        Some(_) => Err(source.fault(item.span(), format!("the axis `{key}` has no values"), None)),
        None => {
            let (named, shape) = match key.rsplit('.').next() {
                // A key of its own where it should stand inside the axis.
                Some(last @ ("logspace" | "linspace")) => (true, last),
                _ => (false, ""),
            };
            if named || value.is_some_and(Value::is_inline_table) {
                let shape = if named { shape } else { "logspace" };
                let message = format!("the axis `{key}` must have two ends and a count");
                let help = format!(
                    "write `\"optimizer.learning_rate\" = {{ {shape} = [0.01, 1.0], count = 5 }}`; of a \
                                    logspace both ends are greater than 0"
                );
                return Err(source.fault(item.span(), message, Some(help)));
            }
            let message = format!("the axis `{key}` must be a list of values");
            let help = match key {
                SEED_KEY => "write how many seeds, such as 3, or a list of them",
                _ => "write `[0.01, 0.1]` or `{ logspace = [0.01, 1.0], count = 5 }`",
            };
            Err(source.fault(item.span(), message, Some(help.to_owned())))
        }
    }
}

/// Points at equal distances, or at equal ratios.
fn spaced(table: &InlineTable) -> Option<Vec<Value>> {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|whole| whole as f64));
    let count = usize::try_from(table.get("count")?.as_integer()?).ok().filter(|count| (1..=MOST).contains(count))?;
    let (name, ends) = table.iter().find(|(name, _)| *name != "count").filter(|_| table.len() == 2)?;
    let ends: Vec<f64> = ends.as_array()?.iter().filter_map(number).collect();
    let [from, to] = ends[..] else { return None };
    let share = |i: usize| if count == 1 { 0.0 } else { i as f64 / (count - 1) as f64 };
    let finite = from.is_finite() && to.is_finite();
    match name {
        "logspace" if finite && from > 0.0 && to > 0.0 => {
            Some((0..count).map(|i| rounded(from * (to / from).powf(share(i))).into()).collect())
        }
        "linspace" if finite => Some((0..count).map(|i| rounded(from + (to - from) * share(i)).into()).collect()),
        _ => None,
    }
}

/// With the four digits that a person would write.
fn rounded(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

/// The entries of a list of tables, however it is written.
fn tables(name: &str, item: &Item, source: &Source) -> Result<Vec<Table>> {
    let inline = |value: &Value| value.as_inline_table().map(|table| table.clone().into_table());
    let found = match item {
        Item::ArrayOfTables(list) => Some(list.iter().cloned().collect()),
        Item::Value(Value::Array(list)) => list.iter().map(inline).collect(),
        _ => None,
    };
    found.ok_or_else(|| {
        let message = format!("`sweep.{name}` must be a list of tables");
        let help = format!("write `{name} = [{{ \"model.name\" = …, \"model.normalization\" = … }}]`");
        source.fault(item.span(), message, Some(help))
    })
}

#[cfg(test)]
mod tests {
    use miette::NamedSource;
    use toml_edit::Document;

    use super::*;

    fn points(text: &str) -> Result<Vec<String>> {
        let source = Source::new(NamedSource::new("sweep.toml", text.to_owned()));
        let document = Document::parse(text.to_owned()).unwrap();
        let table = document.as_table().get(SWEEP).and_then(Item::as_table_like).unwrap();
        let axes = Axes::read(table, &Draft::default(), &source)?;
        let shown = |point: &Point| point.iter().map(|(_, value)| super::text(value)).collect::<Vec<_>>().join(" ");
        Ok(axes.points(&source)?.iter().map(shown).collect())
    }

    fn refusal(text: &str) -> String {
        points(text).unwrap_err().to_string()
    }

    #[test]
    fn the_last_axis_turns_fastest() {
        let text = "[sweep]\n\"optimizer.learning_rate\" = [0.1, 1]\nmodel.name = [\"mlp\", \"cnn\"]\nseed = 2\n";
        let found = points(text).unwrap();
        assert_eq!(found.len(), 8);
        assert_eq!(found[..3], ["0.1 \"mlp\" 0", "0.1 \"mlp\" 1", "0.1 \"cnn\" 0"]);
        assert_eq!(found[7], "1 \"cnn\" 1");
    }

    #[test]
    fn a_logarithmic_axis_has_equal_ratios_and_its_ends() {
        let text = "[sweep]\n\"optimizer.learning_rate\" = { logspace = [0.001, 1], count = 4 }\n";
        assert_eq!(points(text).unwrap(), ["0.001", "0.01", "0.1", "1.0"]);
        let text = "[sweep]\n\"optimizer.learning_rate\" = { linspace = [0.1, 0.4], count = 4 }\n";
        assert_eq!(points(text).unwrap(), ["0.1", "0.2", "0.3", "0.4"]);
    }

    #[test]
    fn zipped_axes_go_together_and_exclusions_leave_points_out() {
        let text = "[sweep]\nzip = [{ \"model.name\" = [\"mlp\", \"cnn\"], \"model.normalization\" = [\"none\", \
            \"batch\"] }]\n\
                    \"loss.name\" = [\"cross-entropy\", \"hinge\"]\nseed = [7]\n\
                    exclude = [{ \"model.name\" = \"cnn\", \"loss.name\" = [\"hinge\"] }]\n";
        let found = points(text).unwrap();
        let expected = [
            "\"mlp\" \"none\" \"cross-entropy\" 7",
            "\"mlp\" \"none\" \"hinge\" 7",
            "\"cnn\" \"batch\" \"cross-entropy\" 7",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        let message = refusal("[sweep]\n\"optimizer.rate\" = [1]\n");
        assert!(message.contains("unknown key `optimizer.rate`"), "{message}");
        assert!(refusal("[sweep]\n").contains("no axis"));
        assert!(refusal("[sweep]\nseed = 0\n").contains("`run.seed` has no values"));
        assert!(refusal("[sweep]\n\"run.epochs\" = 3\n").contains("must be a list of values"));
        for spaced in
            ["{ logspace = [0.0, 1.0], count = 5 }", "{ logspace = [0.01, 1.0] }", "{ linspace = [1], count = 2 }"]
        {
            let message = refusal(&format!("[sweep]\n\"optimizer.learning_rate\" = {spaced}\n"));
            assert!(message.contains("must have two ends and a count"), "{message}");
        }
        assert!(refusal("[sweep]\nseed = 2\n\"run.seed\" = [1]\n").contains("two axes"));
        let uneven = "[sweep]\nzip = [{ \"run.epochs\" = [1, 2], \"run.batch_size\" = [8] }]\n";
        assert!(refusal(uneven).contains("`run.epochs` has 2, `run.batch_size` 1"));
        let all = "[sweep]\nseed = 2\nexclude = [{ seed = [0, 1] }]\n";
        assert!(refusal(all).contains("leaves nothing"));
        assert!(refusal("[sweep]\nseed = 2\nexclude = [{ \"run.epochs\" = 1 }]\n").contains("no axis of the sweep"));
        assert!(
            refusal("[sweep]\nseed = 2\nexclude = [{ seed = 5 }]\n")
                .contains("`run.seed` = 5, which its axis does not have")
        );
        assert!(refusal("[sweep]\nseed = 20261124000\n").contains("more than 100000 values"));
        let huge = "[sweep]\nseed = 100000\n\"run.epochs\" = [1, 2]\n";
        assert!(refusal(huge).contains("more than 100000"));
    }
}
