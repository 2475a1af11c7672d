//! The claim that the largest exponent of descent, per unit of training time, is minus the most negative eigenvalue of
//! the Hessian, put to the test on one network: the measurements, and what they are held against.
//!
//! Frozen weights: the map is δ' = (I − ηH)δ with one H, and Λ = max ln|1 − ηλᵢ| exactly; the claim is its limit for
//! small η, up to the switch to the sharp end at ηλ_max = 2 + η|λ_min|. Moving weights: the deviation has to follow a
//! bottom of the spectrum that turns, and what it sees is −⟨vᵀHv⟩.

use lyapunov::{
    Chaos, Constant, Descent, ExponentOptions, Hessian, Lanczos, Outcome, Plan, Product, Purpose, Sample, Sgd, Stream,
    System, Training, Vector, lanczos,
};
use lyapunov_burn::{Network, Weights};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    terminal::progress::Spinner,
};

/// η·λ_max of the rows.
const SCALED_RATES: [f64; 9] = [0.025, 0.05, 0.1, 0.2, 0.35, 0.6, 1.2, 1.9, 2.5];

/// Steps of frozen weights that turn the deviation, and steps that are measured.
const FROZEN: (u64, u64) = (125, 25);

/// Stretches of the run, at whose ends both ends of the spectrum are measured while the weights move.
const LOOKS: u64 = 6;

/// The experiment on one network.
pub struct Experiment<'a> {
    network: &'a Network,
    /// Steps of moving weights.
    steps: u64,
    spinner: &'a Spinner,
}

/// The ends of the spectrum with their vectors.
struct Ends {
    largest: f64,
    smallest: f64,
    top: Weights,
    bottom: Weights,
}

impl<'a> Experiment<'a> {
    /// With this many steps of moving weights.
    pub fn new(network: &'a Network, steps: u64, spinner: &'a Spinner) -> Self {
        Self { network, steps, spinner }
    }

    /// Carries out the experiment, after this many steps of training.
    pub fn report(&self, learning_rate: f64, train: u64) -> Result<Report> {
        self.spinner.begin_of("training to the weights of the experiment", "step", train);
        let mut descent = self.descent(self.network.initial_weights(), learning_rate);
        for _ in 0..train {
            descent.step(&mut [])?;
            self.spinner.tick();
        }
        let weights = descent.weights().clone();
        let ends = self.ends(&weights)?;
        if !(ends.largest > 0.0 && ends.smallest < 0.0) {
            let help = "train longer or shorter: `--train STEPS`".to_owned();
            let (low, high) = (ends.smallest, ends.largest);
            let message = format!(
                "the Hessian at the weights of the experiment lies between {low:.3e} and {high:.3e}: it needs a \
                    negative and a positive end"
            );
            return Err(Error::usage(message, Some(help)));
        }
        let rates = SCALED_RATES.map(|scaled| scaled / ends.largest);
        let frozen = rates.iter().map(|rate| self.frozen(&weights, &ends, *rate)).collect::<Result<Vec<_>>>()?;
        let moving = rates.iter().map(|rate| self.moving(&weights, &ends, *rate)).collect::<Result<Vec<_>>>()?;
        Ok(Report {
            parameters: self.network.parameters(),
            lambda_max: ends.largest,
            lambda_min: ends.smallest,
            switch: self.switch(&weights, &ends)?,
            frozen,
            moving,
            steps: self.steps,
            wall_seconds: 0.0,
        })
    }

    fn descent(&self, weights: Weights, learning_rate: f64) -> Sgd<&Network> {
        Sgd::new(self.network, weights, learning_rate, Product::Exact)
    }

    fn ends(&self, at: &Weights) -> Result<Ends> {
        let hessian =
            Hessian { objective: self.network, at, on: Sample::Full, product: Product::Exact, gradient: None };
        let mut start = at.zeros_like();
        start.randomize(&mut Stream::new(0, Purpose::Probe, 0));
        let options = Lanczos { largest: 1, smallest: 1, tolerance: 1e-4, max_applications: 400, max_basis: 100 };
        let mut ritz = lanczos(&hessian, &start, &options)?;
        let (top, bottom) = (ritz.largest.remove(0), ritz.smallest.remove(0));
        Ok(Ends { largest: top.value, smallest: bottom.value, top: top.vector, bottom: bottom.vector })
    }

    /// A run with one deviation that starts as `deviation`.
    fn carry(&self, mut descent: Sgd<&Network>, deviation: Weights, warm_up: u64, steps: u64) -> Result<Carried> {
        let rate = descent.learning_rate();
        let plan = Plan {
            steps: warm_up + steps,
            measure_every: 0,
            exponents: Some(ExponentOptions { warm_up, ..ExponentOptions::default() }),
            ..Plan::default()
        };
        let mut training = Training::new(&mut descent, &plan)?;
        if let Some(deviations) = &mut training.deviations {
            deviations.benettin.deviations_mut()[0] = deviation.unit().unwrap_or(deviation);
        }
        let mut looks = Vec::new();
        let mut rows = Silent(self.spinner);
        for look in 0..=LOOKS {
            let until = warm_up + steps * look / LOOKS;
            if training.advance(&mut descent, until, &mut Constant(rate), &mut rows)? != Outcome::Completed {
                return Ok(Carried { chaos: None, looks });
            }
            if warm_up == 0 {
                let Ends { largest, smallest, .. } = self.ends(descent.weights())?;
                looks.push((smallest, largest));
            }
        }
        Ok(Carried { chaos: training.deviations.as_ref().map(lyapunov::Deviations::chaos), looks })
    }

    /// Λ at frozen weights, from a deviation in the plane of both ends: every other eigenvalue lies between them.
    fn frozen(&self, weights: &Weights, ends: &Ends, rate: f64) -> Result<Frozen> {
        self.spinner.begin_of("frozen weights", "step", FROZEN.0 + FROZEN.1);
        let descent = self.descent(weights.clone(), rate).frozen();
        // Mostly the bottom: at small η the top takes long to shrink, at large η it grows fast.
        let carried = self.carry(descent, both(ends, 0.1), FROZEN.0, FROZEN.1)?;
        let (value, error) = carried.first().unwrap_or((f64::NAN, f64::NAN));
        let exact = (1.0 - rate * ends.largest).abs().ln().max((1.0 - rate * ends.smallest).ln());
        Ok(Frozen { learning_rate: rate, scaled: rate * ends.largest, exponent: value, std_error: error, exact })
    }

    /// Λ while the weights move, from the bottom of the spectrum.
    fn moving(&self, weights: &Weights, ends: &Ends, rate: f64) -> Result<Moving> {
        self.spinner.begin_of("moving weights", "step", self.steps);
        let carried = self.carry(self.descent(weights.clone(), rate), ends.bottom.clone(), 0, self.steps)?;
        let scaled = rate * ends.largest;
        // The trapezoid rule: λ_min moves along the run.
        let stretches = carried.looks.windows(2).map(|pair| 0.5 * (pair[0].0 + pair[1].0));
        let mean = stretches.sum::<f64>() / LOOKS as f64;
        let most = carried.looks.iter().map(|(_, high)| *high).fold(0.0, f64::max);
        let per_time = |x: f64| x / rate;
        Ok(Moving {
            learning_rate: rate,
            scaled,
            scaled_most: rate * most,
            exponent_per_time: carried.first().map(|(value, _)| per_time(value)),
            std_error: carried.first().map(|(_, error)| per_time(error)).filter(|error| error.is_finite()),
            negative_rayleigh: carried.chaos.as_ref().map(|chaos| chaos.negative_rayleigh),
            negative_lambda_min: carried.chaos.as_ref().map(|_| -mean),
            identity_violation: carried.chaos.as_ref().and_then(|chaos| chaos.violation),
        })
    }

    /// ηλ_max at which the growth at frozen weights goes over to the sharp end, by bisection: there the deviation sees
    /// a positive curvature.
    fn switch(&self, weights: &Weights, ends: &Ends) -> Result<Option<Switch>> {
        let predicted = 2.0 / (ends.largest + ends.smallest);
        if predicted <= 0.0 {
            return Ok(None);
        }
        self.spinner.begin_of("the switch to the sharp end", "step", 5 * (2 * FROZEN.0 + 10));
        let (mut low, mut high) = (0.9 * predicted, 1.1 * predicted);
        for _ in 0..5 {
            let rate = 0.5 * (low + high);
            let descent = self.descent(weights.clone(), rate).frozen();
            let carried = self.carry(descent, both(ends, 1.0), 2 * FROZEN.0, 10)?;
            let sharp = carried.chaos.is_some_and(|chaos| chaos.negative_rayleigh < 0.0);
            (low, high) = if sharp { (low, rate) } else { (rate, high) };
        }
        let found = 0.5 * (low + high);
        Ok(Some(Switch { predicted: predicted * ends.largest, found: found * ends.largest }))
    }
}

/// The bottom with this much of the top.
fn both(ends: &Ends, top: f64) -> Weights {
    let mut sum = ends.bottom.clone();
    sum.axpy(top, &ends.top);
    sum
}

struct Carried {
    /// `None` where the run diverged.
    chaos: Option<Chaos>,
    /// λ_min and λ_max along the run.
    looks: Vec<(f64, f64)>,
}

impl Carried {
    fn first(&self) -> Option<(f64, f64)> {
        let exponents = &self.chaos.as_ref()?.exponents;
        Some((exponents.values[0], exponents.std_errors[0]))
    }
}

/// Counts steps for the spinner.
struct Silent<'a>(&'a Spinner);

impl lyapunov::Observer for Silent<'_> {
    fn record(
        &mut self,
        _: &lyapunov::Measurement,
    ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.tick();
        Ok(())
    }
}

/// What was found: the JSON object of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many weights.
    pub parameters: usize,
    /// The ends of the spectrum at the weights of the experiment.
    pub lambda_max: f64,
    /// The other end.
    pub lambda_min: f64,
    /// Where the sharp end takes over; `None` where it never does.
    pub switch: Option<Switch>,
    /// One row per learning rate.
    pub frozen: Vec<Frozen>,
    /// One row per learning rate.
    pub moving: Vec<Moving>,
    /// Steps of every moving row.
    pub steps: u64,
    /// How long it took.
    pub wall_seconds: f64,
}

/// η·λ_max at the switch.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Switch {
    /// 2 + η|λ_min|.
    pub predicted: f64,
    /// By bisection.
    pub found: f64,
}

/// A row of frozen weights; exponents per step.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Frozen {
    /// η.
    pub learning_rate: f64,
    /// η·λ_max.
    pub scaled: f64,
    /// Λ.
    pub exponent: f64,
    /// Its standard error.
    pub std_error: f64,
    /// max ln|1 − ηλᵢ|.
    pub exact: f64,
}

/// A row of moving weights; everything per unit of training time, `None` where the run diverged.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Moving {
    /// η.
    pub learning_rate: f64,
    /// η·λ_max at the beginning.
    pub scaled: f64,
    /// The largest η·λ_max that was seen along the run.
    pub scaled_most: f64,
    /// Λ/η.
    pub exponent_per_time: Option<f64>,
    /// Its standard error.
    pub std_error: Option<f64>,
    /// −⟨vᵀHv⟩ along the deviation.
    pub negative_rayleigh: Option<f64>,
    /// −⟨λ_min⟩ along the run.
    pub negative_lambda_min: Option<f64>,
    /// The worst disagreement of growth and curvature in a step, in nats.
    pub identity_violation: Option<f64>,
}

impl Moving {
    /// Λ/η over −⟨λ_min⟩.
    pub fn claim(&self) -> Option<f64> {
        Some(self.exponent_per_time? / self.negative_lambda_min?)
    }

    /// Λ/η over −⟨vᵀHv⟩.
    pub fn identity(&self) -> Option<f64> {
        Some(self.exponent_per_time? / self.negative_rayleigh?)
    }
}
