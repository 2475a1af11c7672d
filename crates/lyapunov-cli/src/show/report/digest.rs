//! What a run is worth beside others: where it ended, how sharp it was there, and how fast it forgets its beginning.

use lyapunov::Quantity;

use crate::{
    manifest::Outcome,
    store::{ExponentPoint, History, Row, SharpnessPoint, SharpnessSeries},
    stored::StoredRun,
    text::statistics::mean_and_spread,
};

/// Data to measure λ_max on, the least noisy first.
const KINDS_OF_DATA: [&str; 3] = ["full", "subset", "batch"];

/// Readings in this share of a run, at its end, speak for it.
const LAST: f64 = 0.2;

/// Training has succeeded where its loss has fallen to this share of the first one, and the share of test images that
/// are classified correctly is this many times that of guessing: a loss alone may begin far above that of a guess.
const FALLEN: f64 = 0.8;
const BETTER: f64 = 1.5;

/// One run in a few numbers.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    /// The last part of its folder's name.
    pub name: String,
    /// `completed`, `diverged`, `blown-up`, `failed`, `killed` or `running`.
    pub state: &'static str,
    /// How many classes its images have; 0 where that is not known.
    pub classes: usize,
    /// Its seed.
    pub seed: u64,
    /// Training steps that were taken.
    pub steps: Option<u64>,
    /// The largest η of its rows; that of the configuration where there are none.
    pub learning_rate: Option<f64>,
    /// The loss of the first mini-batch.
    pub first_loss: Option<f64>,
    /// The mean loss on all training images after the last step.
    pub train_loss: Option<f64>,
    /// The loss of the last mini-batch, of a network that is not of the program: its loop may never evaluate the final
    /// weights.
    pub last_loss: Option<f64>,
    /// The share of test images classified correctly after the last step.
    pub test_accuracy: Option<f64>,
    /// Every sharpness late in the run.
    pub readings: Vec<Reading>,
    /// The largest exponent per unit of training time.
    pub exponent: Option<Estimate>,
}

/// One sharpness, averaged over the end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The quantity: `lambda_max`, `lambda_min`, `batch_sharpness` or `preconditioned_sharpness`.
    pub quantity: String,
    /// The data: `batch`, `subset=COUNT` or `full`.
    pub on: String,
    /// The mean of the readings.
    pub value: f64,
    /// Their standard deviation; `None` for a single one.
    pub spread: Option<f64>,
    /// How many they are.
    pub count: usize,
    /// η at these readings.
    pub learning_rate: f64,
}

/// A number with its standard error, where that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub std_error: Option<f64>,
}

impl Digest {
    /// The few numbers of a run, from its rows.
    pub fn of(run: &StoredRun, history: &History) -> Self {
        let manifest = &run.manifest;
        let last = history.rows.last();
        let configured = run.key("optimizer.learning_rate").and_then(serde_json::Value::as_f64);
        let learning_rate = largest_rate(&history.rows).or(configured);
        let steps = manifest.steps.or_else(|| last.map(|row| row.step));
        if manifest.outcome == Outcome::BlownUp {
            // Like a run that diverged it has no final loss to compare, and nothing about its sharpness means anything.
            let first_loss = history.rows.iter().find_map(|row| row.loss);
            let (name, state, classes, seed) = (run.name(), run.state(), manifest.classes, manifest.seed);
            return Self { name, state, classes, seed, steps, learning_rate, first_loss, ..Self::default() };
        }
        Self {
            name: run.name(),
            state: run.state(),
            classes: manifest.classes,
            seed: manifest.seed,
            steps,
            learning_rate,
            first_loss: history.rows.iter().find_map(|row| row.loss),
            last_loss: manifest.engine.as_ref().and(history.rows.iter().rev().find_map(|row| row.loss)),
            train_loss: manifest.train_loss.or_else(|| last.and_then(|row| row.train_loss)),
            test_accuracy: manifest.test_accuracy,
            readings: history.sharpness.iter().filter_map(|series| reading(series, &history.rows)).collect(),
            exponent: exponent(history, learning_rate),
        }
    }

    /// Whether training has succeeded: it took all its steps, its loss is at most four fifths of the first one, and it
    /// tells test images apart better than by guessing.
    pub fn succeeded(&self) -> bool {
        let guesses =
            self.classes > 0 && self.test_accuracy.is_some_and(|accuracy| accuracy < BETTER / self.classes as f64);
        if guesses {
            return false;
        }
        let fallen =
            self.first_loss.zip(self.train_loss.or(self.last_loss)).is_some_and(|(first, last)| last <= FALLEN * first);
        self.state == Outcome::Completed.name() && fallen
    }

    /// The reading of a quantity on the largest set of images.
    pub fn reading(&self, quantity: Quantity) -> Option<&Reading> {
        let of_quantity = || self.readings.iter().filter(|reading| reading.quantity == quantity.name());
        let on = |kind| of_quantity().find(|reading| reading.on.split('=').next() == Some(kind));
        KINDS_OF_DATA.into_iter().find_map(on).or_else(|| of_quantity().next())
    }
}

fn largest_rate(rows: &[Row]) -> Option<f64> {
    rows.iter().filter_map(|row| row.learning_rate).filter(|rate| rate.is_finite()).reduce(f64::max)
}

/// Whether a rate is the largest one, but for the rounding of schedules.
fn is_full(rate: f64, largest: f64) -> bool {
    rate >= largest * (1.0 - 1e-9)
}

/// The last fifth of the steps at the largest η, or the last reading where that has none.
///
/// Warm-up and cooldown are left out: while η falls, the sharpness is not yet where the smaller η would hold it. Where
/// η was at its height for less than a fifth of the run, as under a cosine, the last reading speaks for the run.
fn reading(series: &SharpnessSeries, rows: &[Row]) -> Option<Reading> {
    let largest = largest_rate(rows)?;
    let points =
        || series.points.iter().filter(|point: &&SharpnessPoint| point.value.is_finite() && point.learning_rate > 0.0);
    let full: Vec<u64> = rows
        .iter()
        .filter(|row| row.learning_rate.is_some_and(|rate| is_full(rate, largest)))
        .map(|row| row.step)
        .collect();
    let late = full.len() - (full.len() as f64 * LAST).ceil() as usize;
    let lasting = full.len() as f64 >= LAST * rows.len() as f64;
    let chosen: Vec<_> = match full.get(late).filter(|_| lasting) {
        Some(from) => points().filter(|point| point.step >= *from && is_full(point.learning_rate, largest)).collect(),
        None => Vec::new(),
    };
    // An early reading says nothing of the end.
    let end = rows.last().map_or(0, |row| row.step) as f64 * (1.0 - LAST);
    let last = || points().next_back().filter(|point| point.step as f64 >= end);
    let chosen = if chosen.is_empty() { last().into_iter().collect() } else { chosen };
    let values: Vec<f64> = chosen.iter().map(|point| point.value).collect();
    let (value, spread) = mean_and_spread(&values)?;
    let learning_rate = chosen.iter().map(|point| point.learning_rate).sum::<f64>() / chosen.len() as f64;
    let (quantity, on) = (series.quantity.clone(), series.on.clone());
    Some(Reading { quantity, on, value, spread, count: values.len(), learning_rate })
}

/// The first exponent per unit of training time: per step, over the mean η of the steps since its warm-up.
fn exponent(history: &History, largest: Option<f64>) -> Option<Estimate> {
    let points = &history.exponents.first()?.points;
    let known = |point: &&ExponentPoint| point.value.is_some_and(f64::is_finite);
    let last = points.iter().rev().find(known)?;
    let began = points.iter().find(known)?.step;
    let counted = history.rows.iter().filter(|row| (began..=last.step).contains(&row.step));
    let rates: Vec<f64> = counted.filter_map(|row| row.learning_rate).collect();
    let rate = mean_and_spread(&rates).map(|(mean, _)| mean).or(largest).filter(|rate| *rate > 0.0)?;
    let std_error = last.std_error.map(|error| error / rate).filter(|error| error.is_finite());
    Some(Estimate { value: last.value? / rate, std_error })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::store::ExponentSeries;

    /// A row at a step, with its rate.
    pub fn row(step: u64, learning_rate: f64) -> Row {
        Row { step, loss: Some(2.0), learning_rate: Some(learning_rate), ..Row::default() }
    }

    fn series(values: &[(u64, f64, f64)]) -> SharpnessSeries {
        let point = |&(step, value, learning_rate): &(u64, f64, f64)| SharpnessPoint {
            step,
            value,
            residual: None,
            learning_rate,
            edge: None,
            cost: 1.0,
        };
        SharpnessSeries {
            quantity: "lambda_max".to_owned(),
            on: "batch".to_owned(),
            product: "exact".to_owned(),
            points: values.iter().map(point).collect(),
        }
    }

    #[test]
    fn the_last_fifth_at_the_full_rate_speaks_for_a_run_and_the_cooldown_does_not() {
        let rate = |step: u64| if step < 100 { 0.1 } else { 0.1 * (120 - step) as f64 / 20.0 };
        let rows: Vec<Row> = (0..120).map(|step| row(step, rate(step))).collect();
        // Were the first fifth or the cooldown counted, 100 or 1000 would be in the mean.
        let value = |step: u64| {
            if step < 80 {
                100.0
            } else if rate(step) < 0.0999 {
                1000.0
            } else {
                10.0
            }
        };
        let measured: Vec<_> = (0..120).step_by(5).map(|step| (step, value(step), rate(step))).collect();
        let found = reading(&series(&measured), &rows).unwrap();
        assert_eq!((found.value, found.spread, found.learning_rate), (10.0, Some(0.0), 0.1));
        assert_eq!(found.count, 5, "80, 85, 90, 95, and 100, where the cooldown has not begun");
    }

    #[test]
    fn a_reading_at_the_beginning_says_nothing_of_the_end() {
        let rows: Vec<Row> = (0..100).map(|step| row(step, 0.1)).collect();
        assert_eq!(reading(&series(&[(0, 5.0, 0.1)]), &rows), None);
    }

    #[test]
    fn under_a_falling_rate_the_last_reading_speaks_at_its_own_rate() {
        let rows: Vec<Row> = (0..100).map(|step| row(step, 0.1 - 0.001 * step as f64)).collect();
        let found = reading(&series(&[(0, 5.0, 0.1), (90, 80.0, 0.01)]), &rows).unwrap();
        assert_eq!((found.value, found.spread, found.count, found.learning_rate), (80.0, None, 1, 0.01));
    }

    #[test]
    fn an_exponent_per_time_is_over_the_mean_rate_since_the_warm_up() {
        let point = |step, value| ExponentPoint { step, local: Some(0.0), value, std_error: Some(0.002) };
        let exponents =
            vec![ExponentSeries { points: vec![point(10, None), point(50, Some(0.1)), point(90, Some(0.02))] }];
        let rows = (0..100).map(|step| row(step, if step < 50 { 1.0 } else { 0.1 })).collect();
        let found = exponent(&History { rows, exponents, ..History::default() }, Some(1.0)).unwrap();
        assert!((found.value - 0.2).abs() < 1e-12 && (found.std_error.unwrap() - 0.02).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_run_succeeds_where_it_ends_at_four_fifths_of_its_first_loss() {
        let digest = |state, train_loss| Digest { state, first_loss: Some(2.0), train_loss, ..Digest::default() };
        assert!(digest("completed", Some(1.6)).succeeded());
        assert!(!digest("completed", Some(1.61)).succeeded());
        assert!(!digest("completed", None).succeeded());
        let shown = |test_accuracy| Digest { classes: 10, test_accuracy, ..digest("completed", Some(1.0)) };
        assert!(shown(Some(0.16)).succeeded() && shown(None).succeeded() && !shown(Some(0.14)).succeeded());
        assert!(!digest("killed", Some(0.1)).succeeded());
        let foreign = |last_loss, train_loss| Digest { last_loss, ..digest("completed", train_loss) };
        assert!(foreign(Some(0.1), None).succeeded() && !foreign(Some(1.7), None).succeeded());
        assert!(!foreign(Some(0.1), Some(1.7)).succeeded(), "an evaluation counts for more");
    }

    #[test]
    fn the_largest_set_of_images_is_preferred() {
        let on = |on: &str| Reading {
            quantity: "lambda_max".to_owned(),
            on: on.to_owned(),
            value: 1.0,
            spread: None,
            count: 1,
            learning_rate: 0.1,
        };
        let digest = Digest { readings: vec![on("batch"), on("subset=100"), on("full")], ..Digest::default() };
        assert_eq!(digest.reading(Quantity::LambdaMax).unwrap().on, "full");
        let digest = Digest { readings: vec![on("batch"), on("subset=100")], ..Digest::default() };
        assert_eq!(digest.reading(Quantity::LambdaMax).unwrap().on, "subset=100");
        assert_eq!(digest.reading(Quantity::LambdaMin), None);
    }
}
