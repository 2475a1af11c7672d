//! Measurements of one network at fixed weights, with their costs.

use std::time::Instant;

use lyapunov::{
    Block, DensityCurve, DensityOptions, Difference, Eigenpair, Flat, Hessian, Lanczos, Objective, Operator, Product,
    Purpose, Ritz, Sample, Stream, TraceOptions, Vector, batch_sharpness, check_determinism, density,
    lambda_max_of_mean, lanczos, trace,
};
use lyapunov_burn::{NamedLayer, Network, Weights};

use crate::{
    config::Subject,
    error::Result,
    measure::{
        findings::MeasureReport,
        found::{LayerFound, Measured, OverBatches, Spectrum, TwoParts, Uncertainty},
        request::{Data, Quantity},
    },
    terminal::progress::Spinner,
};

/// Random vectors of the density, and Lanczos steps for each.
const PROBES: usize = 4;
const STEPS: usize = 40;

/// Points at which the density is reported.
const GRID: usize = 600;

/// How far a measurement goes.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Every residual is at most this share of its eigenvalue.
    pub tolerance: f64,
    /// Or this many products have been spent on one quantity.
    pub max_products: usize,
    /// Decides the random vectors.
    pub seed: u64,
    /// Shows no progress.
    pub quiet: bool,
}

/// Measurements on one operator: the Hessian at these weights on these data.
pub struct MeasureSession<'a> {
    network: &'a Network,
    at: &'a Weights,
    on: Data,
    product: Product,
    search: &'a Search,
    /// The images that `lambda_max_full` compares with.
    other: Option<Sample>,
    /// Loss and gradient.
    known: (f64, Weights),
    spinner: Spinner,
    started: Instant,
    cost: f64,
}

impl<'a> MeasureSession<'a> {
    /// Takes loss and gradient, twice, to see that they are the same.
    pub fn open(
        network: &'a Network,
        at: &'a Weights,
        (on, other): (Data, Option<Sample>),
        product: Product,
        search: &'a Search,
    ) -> Result<Self> {
        let started = Instant::now();
        let known = network.gradient(at, on.sample())?;
        if !(known.0.is_finite() && known.1.norm().is_finite()) {
            let reason = "must be finite, and so must its gradient: at these weights there is nothing to measure";
            return Err(lyapunov::Error::argument("loss", known.0, reason).into());
        }
        check_determinism(network, at, on.sample(), &known)?;
        let (spinner, cost) = (Spinner::new(search.quiet), 2.0 * network.gradient_cost(on.sample()));
        Ok(Self { network, at, on, product, search, other, known, spinner, started, cost })
    }

    /// Measures what is `wanted`, in this order.
    pub fn findings(
        &mut self,
        wanted: &[Quantity],
        weights: String,
        subject: Subject,
        learning_rate: Option<f64>,
    ) -> Result<MeasureReport> {
        let mut findings = MeasureReport {
            weights,
            parameters: self.network.parameters(),
            on: self.on.to_string(),
            images: self.network.images(self.on.sample()),
            loss: self.known.0,
            gradient_norm: self.known.1.norm(),
            learning_rate,
            lambda_max: None,
            lambda_min: None,
            lambda_max_full: None,
            top: None,
            layers: None,
            batch_sharpness: None,
            trace: None,
            density: None,
            cost: 0.0,
            wall_seconds: 0.0,
            subject,
        };
        for quantity in wanted {
            match *quantity {
                Quantity::LambdaMax => findings.lambda_max = Some(self.largest()?),
                Quantity::LambdaMin => findings.lambda_min = Some(self.smallest()?),
                Quantity::LambdaMaxFull => findings.lambda_max_full = self.largest_of_all()?,
                Quantity::Layers => findings.layers = Some(self.layers()?),
                Quantity::BatchSharpness(count) => findings.batch_sharpness = self.batch_sharpness(count)?,
                Quantity::Top(count) => findings.top = Some(self.top(count)?),
                Quantity::Trace => findings.trace = Some(self.trace()?),
                Quantity::Density => findings.density = Some(self.density()?),
            }
        }
        self.spinner.finish();
        (findings.cost, findings.wall_seconds) = (self.cost, self.started.elapsed().as_secs_f64());
        Ok(findings)
    }

    fn largest(&mut self) -> Result<Measured<f64>> {
        let (ritz, began) = self.extremes(Quantity::LambdaMax, 1, 0)?;
        let (value, residual) = first(&ritz.largest);
        Ok(self.found(value, Uncertainty::Residual(residual), ritz.applications, Some(ritz.converged), began))
    }

    fn smallest(&mut self) -> Result<Measured<f64>> {
        let (ritz, began) = self.extremes(Quantity::LambdaMin, 0, 1)?;
        let (value, residual) = first(&ritz.smallest);
        Ok(self.found(value, Uncertainty::Residual(residual), ritz.applications, Some(ritz.converged), began))
    }

    fn top(&mut self, count: usize) -> Result<Measured<Vec<f64>>> {
        let (ritz, began) = self.extremes(Quantity::Top(count), count, 0)?;
        let values = ritz.largest.iter().map(|pair| pair.value).collect();
        let residuals = ritz.largest.iter().map(|pair| pair.residual).collect();
        Ok(self.found(values, Uncertainty::Residual(residuals), ritz.applications, Some(ritz.converged), began))
    }

    /// The estimate from two parts of the images; `None` where a product was not finite.
    fn largest_of_all(&mut self) -> Result<Option<TwoParts>> {
        let began = Instant::now();
        let Some(other) = self.other else { return Ok(None) };
        let (inside, outside) =
            (self.hessian(Quantity::LambdaMaxFull), self.hessian_on(Quantity::LambdaMaxFull, other, None));
        let found = lambda_max_of_mean(&inside, &outside, &self.start(), &self.options(1, 0))?;
        let Some(seen) = found else { return Ok(None) };
        let value = seen.value().unwrap_or(f64::NAN);
        let error = Uncertainty::HalfBracket(seen.half_bracket());
        let mut found = self.found(value, error, seen.applications, Some(seen.converged), began);
        // A forward difference needs the gradient of these images as well.
        let forward = matches!(self.product, Product::Difference(Difference { central: false, .. }));
        let base = if forward { self.network.gradient_cost(other) } else { 0.0 };
        let extra = base + self.network.product_cost(self.product, other);
        self.cost += extra;
        (found.cost, found.products) = (found.cost + extra, found.products + 1);
        found.on = format!("{}, {}", self.on, name_of_sample(other));
        Ok(Some(TwoParts { in_sample: seen.inside, residual: seen.residual, out_of_sample: seen.outside, found }))
    }

    /// Each layer with all others held fixed.
    fn layers(&mut self) -> Result<Vec<LayerFound>> {
        let (start, dimension) = (self.start(), self.network.parameters());
        let mut found = Vec::new();
        for NamedLayer { name, range } in self.network.named_layers() {
            let began = Instant::now();
            let block = Block { operator: self.hessian(Quantity::Layers), range: range.clone(), dimension };
            let ritz = lanczos(&block, &start.part(range.clone()), &self.options(1, 0))?;
            let (value, residual) = first(&ritz.largest);
            let found_here =
                self.found(value, Uncertainty::Residual(residual), ritz.applications, Some(ritz.converged), began);
            found.push(LayerFound { name, parameters: range.len(), found: found_here });
        }
        Ok(found)
    }

    /// The mean over this many mini-batches: those of the first steps, or from the one on that is named.
    fn batch_sharpness(&mut self, count: usize) -> Result<Option<OverBatches>> {
        let began = Instant::now();
        let first = if let Data::Batch(step) = self.on { step } else { 0 };
        let last = first.saturating_add(count as u64 - 1);
        self.spinner.begin_of(Quantity::BatchSharpness(count).name(), "product", count as u64);
        let batches = (first..=last).map(|step| {
            self.spinner.tick();
            Sample::Mini(step)
        });
        let Some(mean) = batch_sharpness(self.network, self.product, self.at, batches)? else { return Ok(None) };
        self.cost += mean.cost;
        let found = Measured {
            value: mean.value,
            error: Uncertainty::StdError(mean.std_error),
            cost: mean.cost,
            products: mean.batches,
            product: self.product.name(),
            on: format!("batch={first}..{last}"),
            converged: None,
            wall_seconds: began.elapsed().as_secs_f64(),
        };
        Ok(Some(OverBatches { spread: mean.spread, batches: mean.batches, found }))
    }

    /// So many eigenvalues at either end.
    fn extremes(&self, quantity: Quantity, largest: usize, smallest: usize) -> Result<(Ritz<Weights>, Instant)> {
        let began = Instant::now();
        Ok((lanczos(&self.hessian(quantity), &self.start(), &self.options(largest, smallest))?, began))
    }

    fn options(&self, largest: usize, smallest: usize) -> Lanczos {
        Lanczos {
            largest,
            smallest,
            tolerance: self.search.tolerance,
            max_applications: self.search.max_products,
            max_basis: 80 + 2 * largest,
        }
    }

    fn trace(&mut self) -> Result<Measured<f64>> {
        let began = Instant::now();
        let options = TraceOptions { seed: self.search.seed, ..TraceOptions::default() };
        let found = trace(&self.hessian(Quantity::Trace), self.at, &options)?;
        Ok(self.found(found.value, Uncertainty::StdError(found.std_error), found.applications, None, began))
    }

    fn density(&mut self) -> Result<Spectrum> {
        let began = Instant::now();
        let options = DensityOptions { probes: PROBES, steps: STEPS, seed: self.search.seed };
        let sampled = density(&self.hessian(Quantity::Density), self.at, &options)?;
        let DensityCurve { eigenvalues, values, std_errors, width } = sampled.on_grid(GRID)?;
        let (mean, mean_std_error) = sampled.mean(|t| t);
        let found = self.found(values, Uncertainty::StdError(std_errors), sampled.applications, None, began);
        Ok(Spectrum { eigenvalue: eigenvalues, width, mean, mean_std_error, found })
    }

    fn hessian(&self, quantity: Quantity) -> Watched<'_> {
        self.hessian_on(quantity, self.on.sample(), Some(&self.known.1))
    }

    fn hessian_on<'b>(&'b self, quantity: Quantity, on: Sample, gradient: Option<&'b Weights>) -> Watched<'b> {
        self.spinner.begin(quantity.name());
        let hessian = Hessian { objective: self.network, at: self.at, on, product: self.product, gradient };
        Watched { hessian, spinner: &self.spinner }
    }

    /// The gradient, which leans towards the top of the spectrum, and as much of a random direction, which leaves
    /// nothing out.
    fn start(&self) -> Weights {
        let mut start = self.at.zeros_like();
        start.randomize(&mut Stream::new(self.search.seed, Purpose::Probe, 0));
        match (start.unit(), self.known.1.unit()) {
            (Some(mut random), Some(gradient)) => {
                random.axpy(1.0, &gradient);
                random
            }
            _ => start,
        }
    }

    /// Books the cost of a finding.
    fn found<T>(
        &mut self,
        value: T,
        error: Uncertainty<T>,
        products: usize,
        converged: Option<bool>,
        began: Instant,
    ) -> Measured<T> {
        let cost = products as f64 * self.network.product_cost(self.product, self.on.sample());
        self.cost += cost;
        Measured {
            value,
            error,
            cost,
            products,
            product: self.product.name(),
            on: self.on.to_string(),
            converged,
            wall_seconds: began.elapsed().as_secs_f64(),
        }
    }
}

/// Value and residual of the first pair; not a number where nothing was found.
fn first(pairs: &[Eigenpair<Weights>]) -> (f64, f64) {
    pairs.first().map_or((f64::NAN, f64::NAN), |pair| (pair.value, pair.residual))
}

/// The sample as `--on` would name it.
fn name_of_sample(sample: Sample) -> String {
    match sample {
        Sample::Mini(step) => Data::Batch(step).to_string(),
        other => other.to_string(),
    }
}

/// The Hessian, with somebody watching how often it is applied.
struct Watched<'a> {
    hessian: Hessian<'a, Network>,
    spinner: &'a Spinner,
}

impl Operator<Weights> for Watched<'_> {
    fn apply(&self, v: &Weights) -> lyapunov::Result<Weights> {
        self.spinner.tick();
        self.hessian.apply(v)
    }
}
