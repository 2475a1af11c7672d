//! What recording every step costs: runs with the store beside runs that drop their rows, in turns.
//!
//! `cargo test --release --workspace --bin lyapunov -- --ignored --nocapture recording`

use std::{error::Error as StdError, path::Path, time::Instant};

use lyapunov::{
    Descent, Measurement, Observer, Plan, Rule,
    train::{Network, Tensor},
};

use super::Store;
use crate::{
    config::Config,
    error::Result,
    experiment::{self, Overrides, Study},
};

/// Forgets every row.
struct Forget;

impl Observer for Forget {
    fn record(&mut self, _: &Measurement) -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }
}

struct Descend<'a>(&'a Config, &'a Network, &'a Plan, &'a mut dyn Observer);

impl Study for Descend<'_> {
    type Found = ();

    fn study<R: Rule<Tensor<1>>>(self, rule: R) -> Result<()> {
        let Self(config, network, plan, observer) = self;
        let mut descent = experiment::descent(config, network, network.initial_weights(), rule)?;
        let mut controller = experiment::controller(config, descent.edge_constant(), plan.steps)?;
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
    fn new(set: &[&str]) -> Self {
        let set = set.iter().map(|setting| (*setting).to_owned()).collect();
        let mut settings = experiment::settings(None, &Overrides { set, ..Overrides::default() }).unwrap();
        let (network, subject) = experiment::network(&settings).unwrap();
        settings.resolve(&subject).unwrap();
        let plan = experiment::plan(&settings.config, &network).unwrap();
        Self { config: settings.config, network, plan }
    }

    fn seconds(&self, store: Option<&Path>) -> f64 {
        let began = Instant::now();
        let run = |observer: &mut dyn Observer| {
            experiment::with_rule(&self.config, Descend(&self.config, &self.network, &self.plan, observer)).unwrap();
        };
        match store {
            None => run(&mut Forget),
            Some(path) => {
                let mut store = Store::create(path).unwrap();
                run(&mut store);
                store.close().unwrap();
            }
        }
        began.elapsed().as_secs_f64()
    }
}

/// The median of the ratios of neighbours, with the least and the largest.
fn ratios(bench: &Bench, repeats: usize, place: &Path) -> [f64; 3] {
    bench.seconds(None);
    let mut ratios: Vec<f64> = (0..repeats)
        .map(|i| {
            let path = place.join(format!("{i}.sqlite"));
            // Who goes first changes from pair to pair.
            if i % 2 == 0 {
                bench.seconds(Some(&path)) / bench.seconds(None)
            } else {
                let without = bench.seconds(None);
                bench.seconds(Some(&path)) / without
            }
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    [ratios[repeats / 2], ratios[0], ratios[repeats - 1]]
}

#[test]
#[ignore = "a measurement of a minute"]
fn recording_every_step_costs_little() {
    // On the disk that runs are on, not in memory.
    let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    for (widths, batch, steps) in [("[200, 200]", 64, 400), ("[64]", 32, 1500), ("[8]", 20, 4000)] {
        let (widths, batch) = (format!("model.widths={widths}"), format!("run.batch_size={batch}"));
        let steps_set = format!("run.steps={steps}");
        let fixed = ["model.name=mlp", "measure.every=0", "run.evaluate_every=1000000", "data.subset=1000"];
        let bench = Bench::new(&[&fixed[..], &[&widths, &batch, &steps_set]].concat());
        let step = bench.seconds(None) / f64::from(steps);
        let [median, least, largest] = ratios(&bench, 15, place.path());
        println!(
            "{widths} {batch}: {:.3} ms per step, with the store {median:.4} ({least:.4} to {largest:.4})",
            1e3 * step
        );
        place.path().read_dir().unwrap().for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
    }
}
