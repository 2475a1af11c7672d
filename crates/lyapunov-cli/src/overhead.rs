//! What recording every step costs: runs with the store beside runs that drop their rows, in turns.
//!
//! `cargo test --release --workspace --bin lyapunov -- --ignored --nocapture recording`

use std::{error::Error as StdError, path::Path, time::Instant};

use lyapunov::{Descent, Measurement, Observer, Plan, UpdateRule};
use lyapunov_burn::{Network, Weights};

use crate::{
    config::{Config, Overrides, settings},
    error::Result,
    setup::{self, OptimizerVisitor},
    store::Store,
};

/// Forgets every row.
struct Forget;

impl Observer for Forget {
    fn record(&mut self, _: &Measurement) -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }
}

struct Descend<'a>(&'a Config, &'a Network, &'a Plan, &'a mut dyn Observer);

impl OptimizerVisitor for Descend<'_> {
    type Found = ();

    fn study<R: UpdateRule<Weights>>(self, rule: R) -> Result<()> {
        let Self(config, network, plan, observer) = self;
        let mut descent = setup::descent(config, network, network.initial_weights(), rule)?;
        let mut controller = setup::controller(config, descent.edge_constant(), plan.steps)?;
        lyapunov::run(&mut descent, plan, controller.as_mut(), observer)?;
        Ok(())
    }
}

/// Runs of a small network.
struct Bench {
    config: Config,
    network: Network,
    plan: Plan,
}

impl Bench {
    fn new(set: &[String]) -> Self {
        let set = set.to_vec();
        let mut settings = settings(None, &Overrides { set, ..Overrides::default() }).unwrap();
        let (network, subject) = setup::network(&settings).unwrap();
        settings.resolve(&subject).unwrap();
        let plan = setup::plan(&settings.config, &network).unwrap();
        Self { config: settings.config, network, plan }
    }

    /// Seconds on the clock, and of the processor, in which other work on the machine does not count.
    fn seconds(&self, store: Option<&Path>) -> [f64; 2] {
        let (began, worked) = (Instant::now(), processor_seconds());
        let run = |observer: &mut dyn Observer| {
            setup::with_rule(&self.config, Descend(&self.config, &self.network, &self.plan, observer)).unwrap();
        };
        match store {
            None => run(&mut Forget),
            Some(path) => {
                let mut store = Store::create(path).unwrap();
                run(&mut store);
                store.close().unwrap();
            }
        }
        [began.elapsed().as_secs_f64(), processor_seconds() - worked]
    }
}

/// What this thread has had of a processor; SQLite works in the thread of the run.
fn processor_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Times with the store and without it, in turns; who goes first changes from pair to pair.
fn pairs(bench: &Bench, repeats: usize, place: &Path) -> Vec<[[f64; 2]; 2]> {
    let pair = |i: usize| {
        let path = place.join("run.sqlite");
        let without = (i % 2 == 1).then(|| bench.seconds(None));
        let with = bench.seconds(Some(&path));
        std::fs::remove_file(path).unwrap();
        [with, without.unwrap_or_else(|| bench.seconds(None))]
    };
    (0..repeats).map(pair).collect()
}

/// The median, the least and the largest ratio.
fn spread(pairs: &[[[f64; 2]; 2]], clock: usize) -> String {
    let mut ratios: Vec<f64> = pairs.iter().map(|[with, without]| with[clock] / without[clock]).collect();
    ratios.sort_by(f64::total_cmp);
    format!("{:.4} ({:.4} to {:.4})", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1])
}

#[test]
#[ignore = "a measurement of a minute"]
fn recording_every_step_costs_little() {
    // On the disk that runs are on, not in memory.
    let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    for (widths, batch, steps) in [("[200, 200]", 64, 300), ("[64]", 32, 1200), ("[8]", 20, 3000)] {
        let set = [
            format!("model.widths={widths}"),
            format!("run.batch_size={batch}"),
            format!("run.steps={steps}"),
            "model.name=mlp".to_owned(),
            "measure.every=0".to_owned(),
            "run.evaluate_every=1000000".to_owned(),
            "data.subset=1000".to_owned(),
        ];
        let bench = Bench::new(&set);
        bench.seconds(None);
        let pairs = pairs(&bench, 11, place.path());
        let step = pairs.iter().map(|[_, without]| without[1]).fold(f64::MAX, f64::min) / f64::from(steps);
        let (clock, processor) = (spread(&pairs, 0), spread(&pairs, 1));
        println!("{widths} on {batch}: {:.3} ms per step; clock {clock}; processor {processor}", 1e3 * step);
    }
}
