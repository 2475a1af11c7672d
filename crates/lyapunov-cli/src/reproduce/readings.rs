//! Every reading of curvature of C1, C2 and C3, as a compressed table: what a second computation of the claims begins with.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{Ended, Experiment};

/// In single precision, in which networks are computed.
fn single(value: f64) -> String {
    (value as f32).to_string()
}

/// A line per reading.
pub struct Readings(csv::Writer<GzEncoder<Vec<u8>>>);

/// The columns.
const COLUMNS: [&str; 10] =
    ["experiment", "of", "seed", "outcome", "step", "quantity", "on", "learning_rate", "value", "residual"];

impl Readings {
    /// None yet.
    pub fn new() -> Self {
        let mut table = csv::Writer::from_writer(GzEncoder::new(Vec::new(), Compression::best()));
        // Writing into memory cannot fail.
        let _ = table.write_record(COLUMNS);
        Self(table)
    }

    /// Adds those of some runs, under the names of the `keys` that they differ in.
    pub(super) fn add(&mut self, experiment: Experiment, keys: &[String], runs: &[Ended]) {
        for run in runs {
            let named = keys.iter().zip(&run.values).filter(|(key, _)| *key != "run.seed");
            let of =
                named.map(|(key, value)| format!("{key} {}", value.trim_matches('"'))).collect::<Vec<_>>().join(", ");
            let seed = run.run.manifest.seed.to_string();
            for series in &run.history.sharpness {
                for point in &series.points {
                    let numbers = [single(point.learning_rate), single(point.value)];
                    let residual = point.residual.map(single).unwrap_or_default();
                    let step = point.step.to_string();
                    let cells = [experiment.name(), &of, &seed, run.digest.state, &step, &series.quantity, &series.on];
                    let _ = self.0.write_record(
                        cells.into_iter().chain(numbers.iter().map(String::as_str)).chain([residual.as_str()]),
                    );
                }
            }
        }
    }

    /// The compressed file.
    pub fn into_bytes(self) -> Vec<u8> {
        let encoder = self.0.into_inner().ok();
        encoder
            .and_then(|mut encoder| {
                encoder.flush().ok()?;
                encoder.finish().ok()
            })
            .unwrap_or_default()
    }
}
