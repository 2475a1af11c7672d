//! The learning rate from the stretch of the coming step: how long H_B u is for the unit vector u along the momentum.
//!
//! λ_max sees the sharpest direction only, in which training at the edge of stability has long come to terms with the
//! learning rate; the momentum lies in the directions that the run is going. ‖H_B u‖ says how fast the gradient changes
//! along these, and the step is made so long that it changes by a fixed part of itself:
//!
//! η = s (1 − β)/L̄, L̄ the geometric mean of ‖H_B u‖ over about five probes.
//!
//! **The part depends on the network**: at the edge, MLPs hold η‖Hu‖/(1 − β) at 2.5 to 3 and plain convolutional
//! networks at 4 to 7. The alignment c = uᵀHu/‖Hu‖ of the step with its image distinguishes them, and s = σ (c̄/0.46)⁶
//! serves all of those that were tried with σ = 2; docs/notebook/edge-step.md has what did not work.

use super::{Controller, Probes, loss_watch::LossWatch, positive};
use crate::{
    error::{Error, Result},
    record::{Measurement, StepCurvature},
    snapshot::Archive,
};

/// η = min(1.04 η, s (1 − β)/L̄), from a quarter of that at the first step: no learning rate to begin with, and a
/// warm-up that ends by itself.
///
/// - L̄: ln L̄ moves towards ln ‖H_B u‖ by 0.2 per probe; in the first 40 steps by 0.8 where that rises.
/// - s = σ (c̄/0.46)⁶, between 0.6 σ and 4 σ, and at most nine tenths of the optimizer's edge, which on a quadratic is
///   s = (2 + 2β)/(1 − β); c̄ moves from 0.46 towards max(uᵀH_B u, 0)/‖H_B u‖ by 0.1 per probe.
/// - A probe that is not finite halves η and is forgotten.
/// - So does a loss whose average over 5 steps is above 1.3 times that over 50, and above 0.65 times the first ones: at
///   most every five steps, unless it goes on doubling. Meanwhile every step is probed, and L̄ rises as fast as in the
///   beginning. This is what keeps untuned problems from blowing up.
///
/// Under Adam everything is in the metric of its preconditioner. A cooldown to zero over the last 30 % of the run
/// belongs to the rule: [`Scheduled`](super::Scheduled).
///
/// **Cost**: one product every five steps in the first 40, then every 20: 0.09 g-eq per step over 780 steps of an MLP
/// with exact products.
///
/// **Source**: this project; the data are in docs/book/src/results/learning-rates.md.
///
/// ```
/// use lyapunov::{EdgeStep, Plan, Product, Sgd, run, systems::Quadratic};
/// // One curvature of 4: a quarter of σ/4 to begin with, and 4 % more at every step.
/// let mut descent = Sgd::new(Quadratic::new(vec![4.0]), vec![1.0], 1.0, Product::Exact);
/// let mut rows = Vec::new();
/// run(&mut descent, &Plan { steps: 3, ..Plan::default() }, &mut EdgeStep::new(1.0, 0.0)?, &mut rows)?;
/// assert!((rows[0].learning_rate - 1.04 * 0.25 * 1.0 / 4.0).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeStep {
    strength: f64,
    every: u64,
    /// How much longer than η·g steps are in the long run: 1/(1 − β).
    amplification: f64,
    /// The largest s.
    most: f64,
    rate: f64,
    /// ln L̄.
    level: Option<f64>,
    alignment: f64,
    loss: LossWatch,
}

/// Steps in which probes are close to each other.
const EARLY: u64 = 40;
const EVERY_EARLY: u64 = 5;

/// The first learning rate, as a share of what the first probe allows.
const FIRST: f64 = 0.25;

/// How fast the learning rate may rise per step.
const RISE: f64 = 1.04;

/// How far L̄ follows a probe, and how far early in the run where that is above it.
const FOLLOWS: f64 = 0.2;
const FOLLOWS_UP: f64 = 0.8;

/// The alignment at which s = σ, and how far c̄ follows a probe.
const ALIGNMENT: f64 = 0.46;
const ALIGNMENT_FOLLOWS: f64 = 0.1;

/// The bounds of s/σ.
const LEAST: f64 = 0.6;
const MOST: f64 = 4.0;

/// The largest s, as a share of the optimizer's edge.
const STEADY: f64 = 0.9;

impl EdgeStep {
    /// The rule with σ = `strength`, for momentum m' = βm + g with β = `momentum`; 0 where there is none.
    ///
    /// # Errors
    /// [`Error::Argument`] for a σ that is not positive and a β outside [0, 1).
    pub fn new(strength: f64, momentum: f64) -> Result<Self> {
        let damped = Self::damped(strength, momentum)?;
        Ok(Self { amplification: 1.0 / (1.0 - momentum), ..damped })
    }

    /// The rule for momentum that is an average, m' = βm + (1 − β)g, as Adam's.
    ///
    /// # Errors
    /// As for [`EdgeStep::new`].
    pub fn damped(strength: f64, momentum: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&momentum) {
            return Err(Error::argument("momentum", momentum, "must be at least 0 and below 1"));
        }
        Ok(Self {
            strength: positive("sigma", strength)?,
            every: 20,
            amplification: 1.0,
            most: STEADY * (2.0 + 2.0 * momentum) / (1.0 - momentum),
            rate: 0.0,
            level: None,
            alignment: ALIGNMENT,
            loss: LossWatch::default(),
        })
    }

    /// The same for an optimizer whose edge is at `edge`/η, where that is not the heavy ball's (2 + 2β)/η, as
    /// Nesterov's.
    #[must_use]
    pub fn with_edge(self, edge: f64) -> Self {
        Self { most: STEADY * edge * self.amplification, ..self }
    }

    /// The same with a probe every so many steps after the first 40, instead of every 20.
    #[must_use]
    pub fn with_period(self, every: u64) -> Self {
        Self { every, ..self }
    }

    /// The learning rate that a curvature of this stretch allows, at the present alignment.
    pub fn allowed(&self, stretch: f64) -> f64 {
        let share = (self.alignment / ALIGNMENT).powi(6).clamp(LEAST, MOST);
        (self.strength * share).min(self.most) / (self.amplification * stretch)
    }

    /// Takes a probe into the averages.
    fn follow(&mut self, along: &StepCurvature, step: u64) {
        let log = along.product_norm.ln();
        match self.level {
            None => {
                self.level = Some(log);
                self.rate = FIRST * self.allowed(along.product_norm);
            }
            Some(level) => {
                let follows = if (step < EARLY || self.loss.alarmed) && log > level { FOLLOWS_UP } else { FOLLOWS };
                self.level = Some(level + follows * (log - level));
            }
        }
        let alignment = along.curvature.max(0.0) / along.product_norm;
        self.alignment += ALIGNMENT_FOLLOWS * (alignment - self.alignment);
    }
}

impl Controller for EdgeStep {
    fn wants(&self, step: u64) -> Probes {
        let every = if step < EARLY { EVERY_EARLY } else { self.every.max(1) };
        // Until there is something to go by, every step is probed.
        Probes {
            along: self.level.is_none() || self.loss.alarmed || step.is_multiple_of(every),
            secant: false,
            ..Probes::default()
        }
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        let due = self.wants(measurement.step).along;
        match &measurement.along {
            Some(along) if along.product_norm > 0.0 && along.product_norm.is_finite() => {
                self.follow(along, measurement.step);
            }
            // Along a plane nothing bounds the step.
            Some(along) if along.product_norm == 0.0 => (),
            _ if due && measurement.gradient_norm > 0.0 => self.rate *= 0.5,
            _ => (),
        }
        if self.loss.see(measurement.loss) {
            self.rate *= 0.5;
        }
        match self.level {
            Some(level) => {
                self.rate = (RISE * self.rate).min(self.allowed(level.exp()));
                Ok(self.rate)
            }
            // Without a gradient there is nowhere to go.
            None if measurement.gradient_norm == 0.0 => Ok(0.0),
            None if measurement.along.is_some_and(|along| along.product_norm == 0.0) => {
                Err(Error::NoCurvature { rule: "edge-step", what: "product along the step", step: measurement.step })
            }
            None if measurement.along.is_some() => Ok(0.0),
            None => Err(Error::Unmeasured { what: "curvature along the step", step: measurement.step }),
        }
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        archive.number("rate", &mut self.rate)?;
        archive.optional("level", &mut self.level)?;
        archive.number("alignment", &mut self.alignment)?;
        self.loss.keep(archive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::{Adam, HeavyBall, Moments, Sgd},
        noise::{Purpose, Stream},
        objective::Product,
        run::{Plan, run},
        systems::Quadratic,
    };

    fn rates<D: crate::descent::Descent>(mut descent: D, mut rule: EdgeStep, steps: u64) -> Vec<f64> {
        let mut rows: Vec<Measurement> = Vec::new();
        let plan = Plan { steps, measure_every: 0, ..Plan::default() };
        run(&mut descent, &plan, &mut rule, &mut rows).unwrap();
        rows.iter().map(|row| row.learning_rate).collect()
    }

    #[test]
    fn on_one_curvature_the_rate_rises_to_its_bound_and_stays() {
        // c = 1 at every probe, so s goes to nine tenths of the edge.
        let found = rates(
            Sgd::new(Quadratic::new(vec![4.0]), vec![1e60], 1.0, Product::Exact),
            EdgeStep::new(1.0, 0.0).unwrap(),
            120,
        );
        assert!((found[0] - 1.04 * 0.0625).abs() < 1e-12, "{}", found[0]);
        assert!((found[119] - 0.9 * 2.0 / 4.0).abs() < 1e-12, "{}", found[119]);
        assert!(found.windows(2).all(|pair| pair[1] <= 1.04 * pair[0] + 1e-12));
    }

    /// The rates along these losses, all probes alike, and how many probes were asked for.
    fn along_losses(losses: impl Iterator<Item = f64>) -> (Vec<f64>, usize) {
        let along = StepCurvature {
            slope: 1.0,
            curvature: 0.46,
            product_norm: 1.0,
            direction_norm: 1.0,
            product: Product::Exact,
            cost: 1.0,
        };
        let (mut rule, mut probes) = (EdgeStep::new(1.0, 0.0).unwrap(), 0);
        let rates = (0..).zip(losses).map(|(step, loss)| {
            let wanted = rule.wants(step).along;
            probes += usize::from(wanted);
            rule.next(&Measurement { along: wanted.then_some(along), ..Measurement::of_step(step, loss, 1.0) }).unwrap()
        });
        (rates.collect(), probes)
    }

    #[test]
    fn a_loss_that_blows_up_halves_the_rate_again_and_again() {
        let exploding = (0..100).map(|step| if step < 60 { 1.0 } else { 2.0_f64.powi(step - 59) });
        let (rates, probes) = along_losses(exploding);
        assert_eq!(rates[60 - 1], 1.0);
        assert!(rates[80] < 1e-2, "{}", rates[80]);
        assert!(probes > 40, "{probes}");
    }

    #[test]
    fn a_loss_that_scatters_and_one_that_stays_up_cost_little() {
        let mut stream = Stream::new(3, Purpose::Probe, 0);
        let scattering: Vec<f64> = (0..5000).map(|_| (2.0 + 0.4 * stream.normal()).max(0.1)).collect();
        let (rates, _) = along_losses(scattering.into_iter());
        assert!(rates[100..].iter().all(|rate| *rate > 0.4), "{:?}", rates.iter().copied().fold(1.0, f64::min));
        let (rates, _) = along_losses((0..600).map(|step| if step < 200 { 1.0 } else { 2.3 }));
        assert!(rates.iter().all(|rate| *rate > 1e-4) && rates[599] == 1.0, "{}", rates[599]);
    }

    #[test]
    fn momentum_divides_the_rate_and_a_preconditioner_takes_the_scale_away() {
        let first = |momentum| {
            let quadratic = Quadratic::new(vec![4.0, 1.0]);
            rates(
                HeavyBall::new(quadratic, vec![1.0, 1.0], 1.0, momentum, Product::Exact).unwrap(),
                EdgeStep::new(1.0, momentum).unwrap(),
                1,
            )[0]
        };
        assert!((first(0.9) / first(0.0) - 0.1).abs() < 1e-12);
        // Adam does not see the scale of the loss, and its rate does not either.
        let adam = |scale: f64| {
            let quadratic = Quadratic::new(vec![4.0 * scale, scale]);
            let moments = Moments { epsilon: 1e-30, ..Moments::default() };
            rates(
                Adam::new(quadratic, vec![1.0, 1.0], 1.0, moments, Product::Exact).unwrap(),
                EdgeStep::damped(1.0, 0.9).unwrap(),
                5,
            )[4]
        };
        assert!((adam(1e4) / adam(1.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_probe_that_is_missing_halves_the_rate_and_none_at_all_is_an_error() {
        let row = |step, along| Measurement { along, ..Measurement::of_step(step, 1.0, 1.0) };
        let along = StepCurvature {
            slope: 1.0,
            curvature: 1.0,
            product_norm: 2.0,
            direction_norm: 1.0,
            product: Product::Exact,
            cost: 1.0,
        };
        let mut rule = EdgeStep::new(1.0, 0.0).unwrap();
        assert!(matches!(rule.next(&row(0, None)), Err(Error::Unmeasured { step: 0, .. })));
        let first = rule.next(&row(0, Some(along))).unwrap();
        assert_eq!(rule.next(&row(1, None)).unwrap(), 1.04 * first, "not due");
        assert_eq!(rule.next(&row(5, None)).unwrap(), 1.04 * 0.5 * 1.04 * first, "due and not finite");
    }

    #[test]
    fn strengths_and_momenta_outside_their_domain_are_refused() {
        assert!(EdgeStep::new(-1.0, 0.0).unwrap_err().to_string().contains("sigma = -1 must be"));
        assert!(EdgeStep::new(1.0, 1.0).unwrap_err().to_string().contains("momentum = 1"));
    }
}
