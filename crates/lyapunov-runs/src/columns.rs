//! What is recorded of a run: every column with its symbol, unit and meaning, written once.
//!
//! The schema of `run.sqlite`, what is written into it and read from it, the columns of the exports, the tags of
//! TensorBoard and the curves of a report all follow these tables. A new number is a new line here, with the version of
//! the tables that brought it.

use lyapunov::{Evaluation, Measurement, Quantity, RunningExponents, Secant, Sharpness, StepCurvature, Trajectory};
use rusqlite::Row as Cells;

/// The version of the tables, in `PRAGMA user_version`; no column is of a later one.
pub const SCHEMA_VERSION: i64 = 5;

/// A recorded number of a row `T`.
pub struct Column<T> {
    /// Its name in the database, and in the exports: alone for a row, behind a prefix for other tables.
    pub name: &'static str,
    /// How formulas write it.
    pub symbol: &'static str,
    /// Its unit; 1 for a share or a ratio.
    pub unit: &'static str,
    /// What it is, in one line.
    pub meaning: &'static str,
    /// The version of the tables since which it is recorded.
    pub since: i64,
    /// Whether a row without it is none.
    pub required: bool,
    /// Its tag in TensorBoard, where that is not the name of its column.
    pub tag: Option<&'static str>,
    /// The panel of a report that draws it, and what it is called there.
    pub curve: Option<(&'static str, &'static str)>,
    /// The number, where it is known.
    pub value: fn(&T) -> Option<f64>,
    /// Takes the number from a cell of the database.
    pub(crate) read: fn(&mut T, &Cells<'_>, usize) -> rusqlite::Result<()>,
}

/// What says which row of a table it is, beside numbers: a step, a name.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its type in SQL.
    pub(crate) declaration: &'static str,
    /// What it is, in one line.
    pub meaning: &'static str,
    /// What it was in files that do not have it, in SQL, and the version that brought it.
    pub(crate) before: Option<(i64, &'static str)>,
}

/// A row of a table of the database: its step, and numbers.
pub trait Recorded: Clone + Default + 'static {
    /// The name of the table.
    const TABLE: &'static str;
    /// The version of the tables since which it is there.
    const SINCE: i64;
    /// What each row is known by.
    const KEYS: &'static [Key];
    /// The names of the keys that say which row it is together; empty where the step alone does.
    const PRIMARY: &'static [&'static str];
    /// The numbers, in their order.
    const COLUMNS: &'static [Column<Self>];

    /// The step.
    fn step(&self) -> u64;

    /// The row of a step, with nothing known.
    fn at(step: u64) -> Self;
}

/// A recorded number as a field: one that is always known, or one that may not be.
trait Field: Copy {
    const REQUIRED: bool;
    fn known(self) -> Option<f64>;
}

impl Field for f64 {
    const REQUIRED: bool = true;

    fn known(self) -> Option<f64> {
        Some(self)
    }
}

impl Field for Option<f64> {
    const REQUIRED: bool = false;

    fn known(self) -> Option<f64> {
        self
    }
}

/// The struct of a row and the table of its columns, from one list. A field `beside` is not of this table.
macro_rules! recorded {
    (
        $(#[$doc:meta])* $row:ident: $table:literal since $since:literal, keys $keys:expr, primary $primary:expr $(, beside $other:ident: $other_type:ty, $other_meaning:literal)?;
        $($field:ident: $type:ty, $symbol:literal, $unit:literal, since $version:literal, $meaning:literal
            $(, tag $tag:literal)? $(, curve $panel:literal $label:literal)?;)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $row {
            /// The step t that comes next.
            pub step: u64,
            $(#[doc = concat!($meaning, " (", $unit, ").")] pub $field: $type,)*
            $(#[doc = $other_meaning] pub $other: $other_type,)*
        }

        impl Recorded for $row {
            const TABLE: &'static str = $table;
            const SINCE: i64 = $since;
            const KEYS: &'static [Key] = &$keys;
            const PRIMARY: &'static [&'static str] = &$primary;
            const COLUMNS: &'static [Column<Self>] = &[$(Column {
                name: stringify!($field),
                symbol: $symbol,
                unit: $unit,
                meaning: $meaning,
                since: $version,
                required: <$type as Field>::REQUIRED,
                tag: [$(Some($tag),)? None][0],
                curve: [$(Some(($panel, $label)),)? None][0],
                value: |row| row.$field.known(),
                read: |row, cells, place| {
                    row.$field = cells.get(place)?;
                    Ok(())
                },
            },)*];

            fn step(&self) -> u64 {
                self.step
            }

            fn at(step: u64) -> Self {
                Self { step, ..Self::default() }
            }
        }
    };
}

/// The step as the only row of its kind.
const ONE_PER_STEP: Key =
    Key { name: "step", declaration: "INTEGER PRIMARY KEY", meaning: "the step t that comes next", before: None };
/// The same, of which a row is on record.
const OF_A_ROW: Key = Key { declaration: "INTEGER PRIMARY KEY REFERENCES rows (step)", ..ONE_PER_STEP };
/// The step of several rows of a kind.
const SEVERAL_PER_STEP: Key = Key { declaration: "INTEGER NOT NULL REFERENCES rows (step)", ..ONE_PER_STEP };
const PRODUCT: Key = Key {
    name: "product",
    declaration: "TEXT NOT NULL",
    meaning: "the kind of product with the Hessian: exact, gauss-newton, difference",
    before: None,
};

recorded! {
    /// What is known of the weights before step t. The last row of a completed run speaks of the final weights: no step
    /// follows, so it has no batch.
    Row: "rows" since 1, keys [ONE_PER_STEP], primary [];
    loss: Option<f64>, "L_B", "loss", since 1, "Mean loss of the mini-batch of step t",
        tag "loss/batch", curve "loss" "mini-batch";
    gradient_norm: Option<f64>, "‖g_B‖", "loss per weight", since 1, "Norm of the gradient of that batch";
    learning_rate: Option<f64>, "η", "weight² per loss", since 1, "Learning rate of step t", curve "rate" "η";
    test_loss: Option<f64>, "L_test", "loss", since 1, "Mean loss on the test images",
        tag "loss/test", curve "loss" "test";
    test_accuracy: Option<f64>, "A_test", "1", since 1, "Share of the test images classified correctly",
        tag "accuracy/test", curve "accuracy" "test";
    train_loss: Option<f64>, "L", "loss", since 1, "Mean loss on all training images",
        tag "loss/train", curve "loss" "training";
    edge: Option<f64>, "λ_edge", "loss per weight²", since 2,
        "Sharpness above which the optimizer is unstable at this learning rate";
    rayleigh: Option<f64>, "vᵀHv", "loss per weight²", since 2,
        "Mean of vᵀHv of the first deviation since the last row that has exponents";
    measuring_cost: Option<f64>, "c", "g-eq", since 1, "Cost of all measurements so far";
}

recorded! {
    /// A sharpness at one step, on one kind of data.
    SharpnessPoint: "sharpness" since 1, keys [
        SEVERAL_PER_STEP,
        Key {
            name: "quantity",
            declaration: "TEXT NOT NULL",
            meaning: "lambda_max, lambda_min, batch_sharpness, preconditioned_sharpness",
            before: Some((2, "'lambda_max'")),
        },
        Key {
            name: "on",
            declaration: "TEXT NOT NULL",
            meaning: "the data: batch, subset=COUNT, full",
            before: None,
        },
        PRODUCT,
    ], primary ["step", "quantity", "on"], beside learning_rate: f64, "η of the row of that step.";
    value: f64, "λ", "loss per weight²", since 1, "The sharpness";
    residual: Option<f64>, "‖Hv − λv‖", "loss per weight²", since 1, "Some eigenvalue lies this close to the value";
    edge: Option<f64>, "λ/λ_edge", "1", since 2,
        "The value over the threshold of stability, where that speaks of this quantity";
    cost: f64, "c", "g-eq", since 1, "Cost of this value";
}

recorded! {
    /// What a nearby trajectory shows at one step: δ is the perturbation that is carried along the run, v = δ/‖δ‖.
    NearbyPoint: "nearby" since 5, keys [
        SEVERAL_PER_STEP,
        Key {
            name: "quantity",
            declaration: "TEXT NOT NULL",
            meaning: "what it follows: lambda_max, lambda_min, preconditioned_sharpness",
            before: None,
        },
    ], primary ["step", "quantity"];
    factor: Option<f64>, "c", "weight² per loss", since 5, "The perturbation moves by δ' = (I + cH)δ";
    growth: Option<f64>, "ln(‖δ'‖/‖δ‖)", "nats per step", since 5, "How the perturbation grows in this step";
    from_growth: Option<f64>, "(‖δ'‖/‖δ‖ − 1)/c", "loss per weight²", since 5,
        "The eigenvalue that explains the growth";
    rayleigh: Option<f64>, "vᵀHv", "loss per weight²", since 5, "The Rayleigh quotient";
    image_norm: Option<f64>, "‖Hv‖", "loss per weight²", since 5, "Norm of the product with the Hessian";
}

recorded! {
    /// An exponent at one step.
    ExponentPoint: "exponents" since 2, keys [
        SEVERAL_PER_STEP,
        Key { name: "number", declaration: "INTEGER NOT NULL", meaning: "1 is the largest", before: None },
    ], primary ["step", "number"];
    local: Option<f64>, "λ_i(t)", "nats per step", since 2, "Growth since the row before";
    value: Option<f64>, "Λ_i", "nats per step", since 2, "The exponent so far";
    std_error: Option<f64>, "σ(Λ_i)", "nats per step", since 2, "Standard error of the exponent so far";
}

recorded! {
    /// The curvature along the coming step, where the rule asked for it: u is the unit vector along the step.
    AlongPoint: "along" since 3, keys [OF_A_ROW, PRODUCT], primary [];
    slope: Option<f64>, "gᵀu", "loss per weight", since 3, "Slope of the loss along the step";
    curvature: Option<f64>, "uᵀHu", "loss per weight²", since 3, "Curvature of the loss along the step";
    stretch: Option<f64>, "‖Hu‖", "loss per weight²", since 3, "Norm of the product with the Hessian";
    reach: Option<f64>, "‖P^-½ m‖", "loss per weight", since 3, "Length of the step per unit of learning rate";
    cost: Option<f64>, "c", "g-eq", since 3, "Cost of this measurement";
}

recorded! {
    /// The step before, where the rule asked for it.
    SecantPoint: "secants" since 3, keys [OF_A_ROW], primary [];
    moved: Option<f64>, "‖w_t − w_(t−1)‖", "weight", since 3, "Length of the step before";
    turned: Option<f64>, "‖g_B(w_t) − g_B(w_(t−1))‖", "loss per weight", since 3,
        "Length of the change of the gradient, on the batch of this row";
    cost: Option<f64>, "c", "g-eq", since 3, "Cost of this measurement";
}

impl Row {
    /// What is known before a step.
    pub fn of(measured: &Measurement) -> Self {
        let Measurement { step, loss, gradient_norm, learning_rate, measuring_cost, .. } = *measured;
        Self {
            loss: Some(loss),
            gradient_norm: Some(gradient_norm),
            learning_rate: Some(learning_rate),
            test_loss: measured.evaluation.map(|test| test.loss),
            test_accuracy: measured.evaluation.map(|test| test.accuracy),
            edge: finite(measured.edge.threshold),
            rayleigh: measured.exponents.as_ref().map(|grown| grown.rayleigh),
            measuring_cost: Some(measuring_cost),
            ..Self::at(step)
        }
    }

    /// What is known after the last step, `step` in all: evaluations on all training data and on test data, and the
    /// cost of all measurements in g-eq.
    pub fn at_end(
        step: u64,
        (train, test): (Evaluation, Option<Evaluation>),
        grown: Option<&RunningExponents>,
        cost: f64,
    ) -> Self {
        Self {
            train_loss: Some(train.loss),
            test_loss: test.map(|test| test.loss),
            test_accuracy: test.map(|test| test.accuracy),
            rayleigh: grown.map(|grown| grown.rayleigh),
            measuring_cost: Some(cost),
            ..Self::at(step)
        }
    }
}

impl SharpnessPoint {
    /// One sharpness of a row.
    pub fn of(row: &Measurement, measured: &Sharpness) -> Self {
        Self {
            step: row.step,
            value: measured.value,
            residual: Some(measured.residual),
            edge: row.share_of_edge(measured).and_then(finite),
            cost: measured.cost,
            learning_rate: row.learning_rate,
        }
    }
}

impl NearbyPoint {
    /// What one trajectory of a row shows.
    pub fn of(step: u64, shown: &Trajectory) -> Self {
        let Trajectory { factor, growth, from_growth, rayleigh, image_norm, .. } = *shown;
        let [factor, growth, from_growth, rayleigh, image_norm] =
            [factor, growth, from_growth, rayleigh, image_norm].map(finite);
        Self { step, factor, growth, from_growth, rayleigh, image_norm }
    }

    /// The name of the series of what follows this quantity.
    pub fn series(quantity: &str) -> String {
        format!("nearby_{quantity}")
    }
}

impl ExponentPoint {
    /// The exponents of a row, largest first.
    pub fn all(step: u64, grown: &RunningExponents) -> impl Iterator<Item = Self> {
        grown.local.iter().enumerate().map(move |(i, local)| Self {
            step,
            local: finite(*local),
            value: finite(grown.values[i]),
            std_error: finite(grown.std_errors[i]),
        })
    }
}

impl AlongPoint {
    /// The curvature along the step of a row.
    pub fn of(step: u64, along: &StepCurvature) -> Self {
        let StepCurvature { slope, curvature, product_norm: stretch, direction_norm: reach, cost, .. } = *along;
        let [slope, curvature, stretch, reach, cost] = [slope, curvature, stretch, reach, cost].map(finite);
        Self { step, slope, curvature, stretch, reach, cost }
    }
}

impl SecantPoint {
    /// The secant of a row.
    pub fn of(step: u64, secant: &Secant) -> Self {
        let Secant { step_norm: moved, gradient_change: turned, cost } = *secant;
        let [moved, turned, cost] = [moved, turned, cost].map(finite);
        Self { step, moved, turned, cost }
    }
}

/// What is not a number is not known.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// How a sharpness is written and drawn.
pub struct QuantityWords {
    /// The quantity.
    pub quantity: Quantity,
    /// What it is called in a table.
    pub label: &'static str,
    /// How formulas write it.
    pub symbol: &'static str,
    /// How formulas write it where its size is drawn, times η.
    pub scaled: &'static str,
    /// The panel of a report that draws it.
    pub panel: &'static str,
    /// What it is, in one line.
    pub meaning: &'static str,
}

/// The quantities in the order in which they are shown: those that the edge speaks of come first.
pub const QUANTITIES: [QuantityWords; 4] = [
    QuantityWords {
        quantity: Quantity::LambdaMax,
        label: "λ_max",
        symbol: "λ_max",
        scaled: "η·λ_max",
        panel: "sharpness",
        meaning: "The algebraically largest eigenvalue of the Hessian",
    },
    QuantityWords {
        quantity: Quantity::BatchSharpness,
        label: "batch sharpness",
        symbol: "gᵀHg/gᵀg",
        scaled: "η·batch sharpness",
        panel: "sharpness",
        meaning: "The curvature along the gradient of each mini-batch, on that batch",
    },
    QuantityWords {
        quantity: Quantity::PreconditionedSharpness,
        label: "preconditioned sharpness",
        symbol: "λ_max(P^-½HP^-½)",
        scaled: "η·λ_max(P^-½HP^-½)",
        panel: "preconditioned",
        meaning: "The largest eigenvalue of the Hessian in the metric of the optimizer",
    },
    QuantityWords {
        quantity: Quantity::LambdaMin,
        label: "λ_min",
        symbol: "λ_min",
        scaled: "η·|λ_min|",
        panel: "sharpness",
        meaning: "The algebraically smallest eigenvalue of the Hessian",
    },
];

/// The words for a quantity of this name, and its place among them; of a later version's quantities nothing is known.
pub fn quantity(name: &str) -> Option<(usize, &'static QuantityWords)> {
    QUANTITIES.iter().enumerate().find(|(_, words)| words.quantity.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Recorded>() {
        for column in T::COLUMNS {
            let name = format!("{}.{}", T::TABLE, column.name);
            assert!((T::SINCE..=SCHEMA_VERSION).contains(&column.since), "{name}");
            assert!(!column.symbol.is_empty() && !column.unit.is_empty() && column.meaning.len() > 10, "{name}");
            assert_eq!((column.value)(&T::at(7)).is_some(), column.required, "{name}: unknown is not zero");
        }
        let mut names: Vec<_> = T::COLUMNS.iter().map(|c| c.name).chain(T::KEYS.iter().map(|key| key.name)).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn every_column_says_what_it_is_and_no_name_stands_twice() {
        check::<Row>();
        check::<SharpnessPoint>();
        check::<ExponentPoint>();
        check::<NearbyPoint>();
        check::<AlongPoint>();
        check::<SecantPoint>();
    }

    #[test]
    fn every_quantity_of_the_library_has_its_words() {
        let mut named: Vec<_> = QUANTITIES.iter().map(|words| words.quantity.name()).collect();
        let mut known: Vec<_> = Quantity::ALL.iter().map(|quantity| quantity.name()).collect();
        named.sort_unstable();
        known.sort_unstable();
        assert_eq!(named, known);
    }
}
