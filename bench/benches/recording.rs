//! What recording every step costs: runs with the store beside runs that drop their rows, in turns.
//!
//! `cargo bench -p lyapunov-bench --bench recording`: ratios of wall time and of the time of the thread, medians of 11
//! pairs.

use std::{error::Error, fs, path::Path, time::Instant};

use lyapunov::{Constant, Measurement, Observer, Plan, Product, Sgd, run};
use lyapunov_burn::{Architecture, Dataset, Network, NetworkOptions, device};
use lyapunov_runs::Store;

/// Pairs of runs.
const REPEATS: usize = 11;

/// Forgets every row.
struct Forget;

impl Observer for Forget {
    fn record(&mut self, _: &Measurement) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

fn main() {
    // On the disk that runs are on, not in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("the folder can be written");
    println!("| hidden widths | batch | step | with the store, wall | with the store, processor |");
    println!("|---|---|---|---|---|");
    for (widths, batch_size, steps) in [(vec![200, 200], 64, 300), (vec![64], 32, 1200), (vec![8], 20, 3000)] {
        let data = Dataset::synthetic(0, 1000, 10).expect("the sizes are positive");
        let architecture = Architecture::Mlp { widths: widths.clone() };
        let options = NetworkOptions { architecture, batch_size, ..NetworkOptions::default() };
        let network =
            Network::new(&options, data, &device("flex").expect("flex is built in")).expect("the options fit");
        let plan = Plan { steps, measure_every: 0, ..Plan::default() };
        row(&format!("{widths:?}"), batch_size, &network, &plan, folder.path());
    }
}

fn row(widths: &str, batch_size: usize, network: &Network, plan: &Plan, place: &Path) {
    seconds(network, plan, None);
    let pairs: Vec<[[f64; 2]; 2]> = (0..REPEATS).map(|turn| pair(network, plan, place, turn)).collect();
    let step = pairs.iter().map(|[_, without]| without[1]).fold(f64::MAX, f64::min) / plan.steps as f64;
    let (wall, processor) = (spread(&pairs, 0), spread(&pairs, 1));
    println!("| {widths} | {batch_size} | {:.3} ms | {wall} | {processor} |", 1e3 * step);
}

/// Times with the store and without it; who goes first changes from pair to pair.
fn pair(network: &Network, plan: &Plan, place: &Path, turn: usize) -> [[f64; 2]; 2] {
    let path = place.join("run.sqlite");
    let before = (turn % 2 == 1).then(|| seconds(network, plan, None));
    let with = seconds(network, plan, Some(&path));
    fs::remove_file(path).expect("it has been written");
    [with, before.unwrap_or_else(|| seconds(network, plan, None))]
}

/// Seconds on the wall, and of the processor, in which other work on the machine does not count.
fn seconds(network: &Network, plan: &Plan, store: Option<&Path>) -> [f64; 2] {
    let (began, worked) = (Instant::now(), processor_seconds());
    let train = |observer: &mut dyn Observer| {
        let mut descent = Sgd::new(network, network.initial_weights(), 0.01, Product::Exact);
        run(&mut descent, plan, &mut Constant(0.01), observer).expect("the plan fits the network");
    };
    match store {
        None => train(&mut Forget),
        Some(path) => {
            let mut store = Store::create(path).expect("the folder can be written");
            train(&mut store);
            store.close().expect("the folder can be written");
        }
    }
    [began.elapsed().as_secs_f64(), processor_seconds() - worked]
}

/// What this thread has had of a processor, on Linux; SQLite works in the thread of the run.
fn processor_seconds() -> f64 {
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split_whitespace().next().and_then(|time| time.parse::<f64>().ok()).map_or(f64::NAN, |time| time / 1e9)
}

/// The median, the least and the largest ratio.
fn spread(pairs: &[[[f64; 2]; 2]], clock: usize) -> String {
    let mut ratios: Vec<f64> = pairs.iter().map(|[with, without]| with[clock] / without[clock]).collect();
    ratios.sort_by(f64::total_cmp);
    format!("{:.4} ({:.4} to {:.4})", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1])
}
