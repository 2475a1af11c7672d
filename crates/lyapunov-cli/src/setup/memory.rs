//! Whether there is room for a run: an estimate of its memory, before any work.
//!
//! The estimate is of the largest moment of a run, from the vectors it holds and what a pass over a batch makes. It is
//! right to a factor of about two (docs/notebook/recording-and-files.md), which is enough to distinguish a slip of the
//! pen from a run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lyapunov_burn::{Layout, NetworkOptions, NetworkSize};

use crate::{
    config::{Config, Settings},
    data::built_in::{TEST_IMAGES, TRAINING_IMAGES},
    error::Result,
};

/// Bytes of a number.
const NUMBER: f64 = 4.0;

/// The program itself and the database, in bytes.
const PROGRAM: f64 = 40e6;

/// Vectors as long as the weights that a step needs beside the state: the gradient and its parts, the next state, the
/// weights as they were drawn, in double precision.
const PASSING: usize = 6;

/// Copies of an output of a layer that a pass holds at its largest moment, fitted to the peaks of real runs.
const COPIES: f64 = 3.0;

/// How many times as much a product with the Hessian holds, which carries tangents along.
const TANGENTS: f64 = 1.5;

/// What a run needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Weights, the state of the optimizer, and what a step makes of them.
    pub weights: f64,
    /// Deviations and their products.
    pub deviations: f64,
    /// What a pass over a batch makes.
    pub batch: f64,
    /// The images.
    pub images: f64,
}

impl Estimate {
    /// What a run of `config` needs with a network of this size on `images` images.
    pub fn of(config: &Config, size: NetworkSize, images: usize) -> Self {
        let vectors = config.optimizer.name.vectors();
        let measured = config.measure.every > 0 && !config.measure.on.is_empty();
        // A burst holds two vectors per product, and each tracker keeps one.
        let trackers = if measured { 2 * config.measure.products + 1 + 2 * config.measure.on.len() } else { 0 };
        let count = config.exponents.count.min(size.parameters * vectors);
        let vector = NUMBER * size.parameters as f64;
        let tangents = if measured || count > 0 { TANGENTS } else { 1.0 };
        Self {
            weights: vector * (vectors + PASSING + trackers) as f64,
            // Each, and its image under a step.
            deviations: 2.0 * vector * vectors as f64 * count as f64,
            batch: NUMBER
                * COPIES
                * tangents
                * config.run.batch_size.min(images) as f64
                * (size.outputs + PIXELS) as f64,
            images: (images * PIXELS) as f64,
        }
    }

    /// All of it.
    pub fn total(&self) -> f64 {
        PROGRAM + self.weights + self.deviations + self.batch + self.images
    }

    /// The key to change so that it fits, and how.
    fn key(&self, available: f64) -> (&'static str, &'static str) {
        match self.total() {
            total if total - self.batch <= available => ("run.batch_size", "a smaller batch, or narrower layers"),
            total if total - self.deviations <= available => {
                ("exponents.count", "fewer exponents, or a smaller network")
            }
            _ => ("model.widths", "narrower layers, or another model"),
        }
    }
}

/// Bytes of an image.
const PIXELS: usize = 3 * 32 * 32;

/// Refuses a run for which there is not enough memory.
///
/// # Errors
/// With the estimate, what is there, and the key to change.
pub fn check(settings: &Settings, options: &NetworkOptions) -> Result<()> {
    let (images, classes) = size(&settings.config);
    let size = NetworkSize::of(options, classes).map_err(|fault| settings.explain(fault))?;
    let estimate = Estimate::of(&settings.config, size, images);
    let tensor = NUMBER * size.parameters.max(size.widest * settings.config.run.batch_size.min(images)) as f64;
    if let Some(limit) = lyapunov_burn::largest_tensor(&settings.config.run.device).map(|limit| limit as f64)
        && tensor > limit
    {
        let key = if NUMBER * size.parameters as f64 > limit { "model.widths" } else { "run.batch_size" };
        let message = format!(
            "the run needs tensors of {}, and the device {:?} holds {} in one: change `{key}`",
            amount(tensor),
            settings.config.run.device,
            amount(limit)
        );
        return Err(settings.refuse(key, &message, "or compute on another device".to_owned()));
    }
    match available() {
        Some(available) if estimate.total() > available => Err(refusal(settings, &estimate, size, available)),
        _ => Ok(()),
    }
}

/// How many images and classes the data have, as far as the configuration says.
fn size(config: &Config) -> (usize, usize) {
    let layout = config.data.name;
    let (train, test) = layout.map_or((TRAINING_IMAGES, TEST_IMAGES), Layout::published_size);
    let classes = match config.data.classes.len() {
        0 => layout.unwrap_or(Layout::Cifar10).classes(),
        some => some,
    };
    (train + test, classes)
}

fn refusal(settings: &Settings, estimate: &Estimate, size: NetworkSize, available: f64) -> crate::error::Error {
    let (key, remedy) = estimate.key(available);
    let (needed, there) = (amount(estimate.total()), amount(available));
    let message = format!("the run needs about {needed} of memory, {there} are there: change `{key}`");
    let Estimate { weights, deviations, batch, .. } = *estimate;
    let help = format!(
        "{} weights and what an optimizer and measurements keep beside them: {}; deviations: {}; a pass over {} \
            images: {}; try {remedy}",
        size.parameters,
        amount(weights),
        amount(deviations),
        settings.config.run.batch_size,
        amount(batch),
    );
    settings.refuse(key, &message, help)
}

/// Bytes with their unit.
fn amount(bytes: f64) -> String {
    const UNITS: [(f64, &str); 5] = [(1e18, "EB"), (1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")];
    let (size, unit) = UNITS.into_iter().find(|(size, _)| bytes >= *size).unwrap_or((1e6, "MB"));
    let number = bytes / size;
    if number < 10.0 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

/// Bytes that this process may still take, where the system says: the memory that is free or can be freed, and what is
/// left of the limits of its control groups.
fn available() -> Option<f64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let free = field(&meminfo, "MemAvailable:")? * 1024.0;
    Some(groups().iter().filter_map(|group| room(group)).fold(free, f64::min))
}

/// The number behind this word at the beginning of a line.
fn field(text: &str, word: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(word))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The folders of the control groups that this process is in.
fn groups() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let unified = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").trim_start_matches('/');
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join(unified);
    own.ancestors().take_while(|path| path.starts_with(root)).map(Path::to_owned).collect()
}

/// What is left of the limit of a group; files in its cache give way.
fn room(group: &Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<f64>().ok();
    // A group without a limit says "max".
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    let cached = read("memory.stat").and_then(|text| field(&text, "inactive_file")).unwrap_or(0.0);
    Some((limit - used + cached).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Draft, setup};

    fn settings(assignments: &[&str]) -> Settings {
        let mut draft = Draft::default();
        for assignment in assignments {
            draft.set(assignment).unwrap();
        }
        draft.finish().unwrap()
    }

    #[track_caller]
    fn refused(assignments: &[&str], key: &str) {
        let began = std::time::Instant::now();
        let Err(fault) = setup::network(&settings(assignments)) else { panic!("there is no such memory") };
        let message = fault.to_string();
        assert!(message.contains("of memory") && message.contains(key), "{message}");
        assert!(began.elapsed().as_secs() < 1, "{:?}", began.elapsed());
    }

    #[test]
    fn what_cannot_fit_is_refused_by_the_key_to_change() {
        if available().is_none() {
            return;
        }
        refused(&["model.name=mlp", "model.widths=[100000, 100000, 100000]"], "model.widths");
        refused(&["model.name=cnn", "model.widths=[10000]", "run.batch_size=2000"], "run.batch_size");
        refused(&["model.name=mlp", "exponents.count=600000"], "exponents.count");
        refused(&["model.name=densenet", "model.depth=997", "model.widths=[100000, 100000]"], "model.widths");
        refused(&["model.name=mlp-mixer", "model.depth=1000", "model.widths=[100000, 100000, 100000]"], "model.widths");
    }

    #[test]
    fn usual_runs_are_not_refused() {
        for model in ["cnn", "mlp", "linear", "resnet20"] {
            let made = setup::network(&settings(&[&format!("model.name={model}"), "exponents.count=2"]));
            assert!(made.is_ok(), "{model}: {}", made.err().unwrap());
        }
    }

    /// The estimates beside which docs/notebook/recording-and-files.md has the peaks of real runs.
    #[test]
    #[ignore = "prints, and checks nothing"]
    fn estimates() {
        for run in [
            &["model.name=mlp", "exponents.count=4"][..],
            &["model.name=cnn", "run.batch_size=256"],
            &["model.name=resnet20"],
        ] {
            let settings = settings(run);
            let network = NetworkSize::of(&setup::network_options(&settings.config), 10).unwrap();
            let estimate = Estimate::of(&settings.config, network, size(&settings.config).0);
            println!("{run:?}: {} {estimate:?}", amount(estimate.total()));
        }
    }

    #[test]
    fn bytes_are_reported_with_their_unit() {
        assert_eq!([2.5e6, 1.2e10, 4e13, 3e20].map(amount), ["2.5 MB", "12 GB", "40 TB", "300 EB"]);
        assert_eq!(field("a: 1\nMemAvailable:   17 kB\n", "MemAvailable:"), Some(17.0));
    }
}
