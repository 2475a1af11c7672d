//! Deviations along a run: the Lyapunov exponents of the optimizer's own map.

use crate::{
    descent::Descent,
    error::{Error, Result},
    exponents::{Benettin, Exponents, Growth},
    krylov::{Lanczos, Ritz, lanczos},
    noise::{Purpose, Stream},
    objective::{Hessian, Objective, Product, Sample},
    record::RunningExponents,
    vector::{Vector, orthonormalize},
};

/// Which deviations a run carries.
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentOptions {
    /// How many: the number k of exponents.
    pub count: usize,
    /// Steps between two re-orthonormalisations.
    pub every: u64,
    /// Steps before the first that counts, in which the deviations turn to the directions that grow most.
    pub warm_up: u64,
    /// Where they start.
    pub start: Start,
    /// Whether the gradient of the step and the product for the first deviation come out of one pass: cheaper, and with
    /// a gradient that may differ from the plain one in the last bits, so that the run is not that without deviations.
    /// Its cost is counted as that of the two apart.
    pub joint: bool,
    /// Decides a random start.
    pub seed: u64,
}

impl Default for ExponentOptions {
    /// One deviation from a random start, re-orthonormalised at every step, none of them forgotten.
    fn default() -> Self {
        Self { count: 1, every: 1, warm_up: 0, start: Start::Random, joint: false, seed: 0 }
    }
}

/// Where deviations start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In random directions of the whole state.
    Random,
    /// At the eigenvectors of the k smallest eigenvalues of the Hessian on this sample, the directions that slow
    /// descent stretches most; moments and velocities at rest.
    LambdaMin(Sample),
}

/// The deviations of a run with all that a resumed run needs: plain data.
#[derive(Clone, Debug)]
pub struct Deviations<S> {
    /// The deviations and their growth.
    pub benettin: Benettin<S>,
    /// Steps since the last re-orthonormalisation.
    pub pending: u64,
    /// The time that these took.
    pub pending_time: f64,
    /// Σ vᵀHv of the first deviation over these steps, and Σ η vᵀHv.
    pub pending_rayleigh: (f64, f64),
    /// Σ η vᵀHv over the steps that have been added up.
    pub rayleigh: f64,
    /// The worst disagreement of growth and curvature so far, in nats per step.
    pub violation: Option<f64>,
}

/// The Lyapunov exponents of a run, with what explains them.
#[derive(Clone, Debug, PartialEq)]
pub struct Chaos {
    /// The exponents in nats per step; [`Exponents::per_time`] gives them per unit of training time.
    pub exponents: Exponents,
    /// −⟨vᵀHv⟩ over training time, v the weights of the first deviation scaled to length 1: Λ_1 per unit of time for
    /// slow plain descent.
    pub negative_rayleigh: f64,
    /// The worst disagreement, in nats per step, between the growth of the first deviation and ½ ln(1 − 2η vᵀHv +
    /// η²‖Hv‖²), which holds for plain descent; `None` for other optimizers.
    pub violation: Option<f64>,
}

impl<S: Vector> Deviations<S> {
    /// The deviations that `carry` asks for, before the first step of `descent`; with their cost in g-eq.
    pub(super) fn start<D: Descent<Vector = S>>(descent: &D, carry: &ExponentOptions) -> Result<(Self, f64)> {
        if carry.every == 0 {
            return Err(Error::argument("every", 0, "must be at least 1"));
        }
        let (benettin, cost) = match carry.start {
            Start::Random => (Benettin::new(descent.state(), carry.count, carry.seed)?, 0.0),
            Start::LambdaMin(on) => at_the_bottom(descent, carry, on)?,
        };
        Ok((Self::of(benettin), cost))
    }

    /// Deviations that have not been stepped.
    pub(super) fn of(benettin: Benettin<S>) -> Self {
        Self { benettin, pending: 0, pending_time: 0.0, pending_rayleigh: (0.0, 0.0), rayleigh: 0.0, violation: None }
    }

    /// Steps `descent` with the deviations; says what they have grown, where they were re-orthonormalised.
    pub(super) fn step<D: Descent<Vector = S>>(
        &mut self,
        descent: &mut D,
        carry: &ExponentOptions,
    ) -> Result<Option<RunningExponents>> {
        let time = descent.time_step();
        descent.step(self.benettin.deviations_mut())?;
        self.pending += 1;
        self.pending_time += time;
        let rayleigh = descent.curvatures().first().map_or(0.0, |curvature| curvature.rayleigh);
        self.pending_rayleigh.0 += rayleigh;
        self.pending_rayleigh.1 += time * rayleigh;
        if let Some(violation) = descent.growth_violation() {
            // Not a number is worse than any.
            let keeps = |worst: f64| worst.is_nan() || violation <= worst;
            self.violation = Some(self.violation.filter(|worst| keeps(*worst)).unwrap_or(violation));
        }
        let steps = descent.steps_taken();
        let last_of_warm_up = steps == carry.warm_up;
        let due = self.pending >= carry.every || last_of_warm_up || self.benettin.is_strained();
        let grown = if due { self.renormalize(steps) } else { None };
        if last_of_warm_up {
            self.benettin.forget();
            self.rayleigh = 0.0;
        }
        Ok(grown)
    }

    /// Adds up what the last steps have grown, after the run's last step or where it cannot go on.
    pub(super) fn finish(&mut self, taken: u64) -> Option<RunningExponents> {
        if self.pending > 0 { self.renormalize(taken) } else { None }
    }

    /// Forgets what was grown up to here, where the run has gone back to an earlier state after `taken` steps.
    pub(super) fn restart(&mut self, taken: u64) {
        self.finish(taken);
        self.benettin.forget();
        self.rayleigh = 0.0;
    }

    /// Re-orthonormalises after `taken` steps of the run; `None` where the deviations are not finite.
    fn renormalize(&mut self, taken: u64) -> Option<RunningExponents> {
        let (steps, time, (sum, weighted)) = (self.pending, self.pending_time, self.pending_rayleigh);
        (self.pending, self.pending_time, self.pending_rayleigh) = (0, 0.0, (0.0, 0.0));
        let Some(factors) = self.benettin.renormalize(steps, time) else {
            self.benettin.diverge(taken);
            return None;
        };
        let local: Vec<f64> = factors.iter().map(|factor| factor.ln() / steps as f64).collect();
        self.rayleigh += weighted;
        let rayleigh = sum / steps as f64;
        let Exponents { values, std_errors, aligned, .. } = self.benettin.exponents();
        Some(RunningExponents { local, values, std_errors, aligned, rayleigh })
    }

    /// What has been found so far.
    pub fn chaos(&self) -> Chaos {
        let exponents = self.benettin.exponents();
        let time = exponents.time;
        Chaos {
            negative_rayleigh: if time > 0.0 { -self.rayleigh / time } else { 0.0 },
            violation: self.violation,
            exponents,
        }
    }
}

/// Deviations at the eigenvectors of the k smallest eigenvalues, and the cost of finding them.
fn at_the_bottom<D: Descent>(descent: &D, carry: &ExponentOptions, on: Sample) -> Result<(Benettin<D::Vector>, f64)> {
    let product = descent.product();
    if product == Product::GaussNewton {
        let reason = "it has no negative eigenvalues; start at random, or use exact products".to_owned();
        return Err(Error::Product { product: product.name(), reason });
    }
    let (objective, at) = (descent.objective(), descent.weights());
    let hessian = Hessian { objective, at, on, product, gradient: None };
    let mut probe = at.zeros_like();
    probe.randomize(&mut Stream::new(carry.seed, Purpose::Probe, 0));
    // A start: two digits are plenty, and the deviations turn by themselves.
    let options = Lanczos {
        largest: 0,
        smallest: carry.count,
        tolerance: 0.05,
        max_applications: 200,
        max_basis: 60 + 2 * carry.count,
    };
    let Ritz { smallest, applications, .. } = lanczos(&hessian, &probe, &options)?;
    let cost = applications as f64 * objective.product_cost(product, on);
    let mut deviations: Vec<_> = smallest.into_iter().map(|pair| descent.lift(pair.vector)).collect();
    orthonormalize(&mut deviations);
    let growth = Growth::new(carry.count, descent.state().len());
    Ok((Benettin::resume(deviations, growth)?, cost))
}
