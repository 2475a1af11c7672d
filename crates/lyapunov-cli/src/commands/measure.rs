//! `lyapunov measure`: the spectrum of the Hessian at fixed weights.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use lyapunov::{
    DensityOptions, Hessian, Lanczos, Objective, Operator, Product, Purpose, Ritz, Sample, Stream, TraceOptions,
    Vector, density, lanczos, trace,
    train::{Network, Tensor},
};

use super::print;
use crate::{
    args::MeasureArguments,
    config::name_of,
    draft::Settings,
    error::{Error, Result},
    experiment::{self, Overrides},
    findings::{Findings, Found, INITIAL, Spectrum, Uncertainty},
    folder::{self, CONFIG, MANIFEST, WEIGHTS},
    plot::{DensityCaption, Format, density_figure, number},
    progress::Spinner,
    request::{Data, Quantity},
    summary::Subject,
};

/// Random vectors of the density, and Lanczos steps for each.
const PROBES: usize = 4;
const STEPS: usize = 40;

/// Points at which the density is told, and how much wider than their distance each eigenvalue is spread.
const GRID: usize = 600;
const SPREAD: f64 = 4.0;

/// Where fewer images are there, the default is all of them.
const DEFAULT_SUBSET: usize = 1000;

/// Measures what is asked for and says it.
pub fn execute(arguments: &MeasureArguments) -> Result<()> {
    let request = Request::new(arguments)?;
    let (settings, weights_file) = source(arguments)?;
    let (network, subject) = experiment::network(&settings)?;
    let on = request.data(&network, &settings, subject.images)?;
    let product = request.product(&network)?;
    request.check_count(network.parameters())?;
    let at = weights(&network, weights_file.as_deref())?;
    if let Some(path) = &arguments.export {
        folder::write_file(path, &network.examples_to_safetensors(&at, on.sample())?)?;
    }
    let mut session = Session::open(&network, &at, on, product, arguments)?;
    let origin = weights_file.map_or(INITIAL.to_owned(), |path| path.display().to_string());
    let findings = session.findings(&request.quantities, origin, subject, settings.config.optimizer.learning_rate)?;
    if let (Some((path, format)), Some(spectrum)) = (&request.plot, &findings.density) {
        format.write(path, &density_figure(spectrum, &caption(&findings)).to_svg())?;
    }
    print(if arguments.json { findings.to_json() } else { findings.to_text() }.as_bytes())
}

/// What is asked for, checked as far as that goes without a network.
struct Request<'a> {
    arguments: &'a MeasureArguments,
    quantities: Vec<Quantity>,
    on: Option<Data>,
    plot: Option<(&'a Path, Format)>,
}

impl<'a> Request<'a> {
    fn new(arguments: &'a MeasureArguments) -> Result<Self> {
        let quantities = Quantity::parse_list(&arguments.what)?;
        let on = arguments.on.as_deref().map(Data::parse).transpose()?;
        let tolerance = arguments.tolerance;
        if !(tolerance.is_finite() && tolerance > 0.0) {
            let message = format!("`--tolerance` must be a number greater than 0, not {tolerance}");
            return Err(Error::usage(message, None));
        }
        if arguments.max_products == 0 {
            return Err(Error::usage("`--max-products` must be at least 1".to_owned(), None));
        }
        let plot = arguments.plot.as_deref().map(|path| picture(path, &quantities)).transpose()?;
        arguments.export.iter().try_for_each(|path| folder::check_file(path))?;
        Ok(Self { arguments, quantities, on, plot })
    }

    /// The data to measure on.
    fn data(&self, network: &Network, settings: &Settings, images: usize) -> Result<Data> {
        match self.on {
            None if images > DEFAULT_SUBSET => Ok(Data::Subset(DEFAULT_SUBSET)),
            None => Ok(Data::Full),
            Some(Data::Subset(size)) if size > images => {
                let help =
                    (settings.config.data.subset > 0).then(|| "`data.subset` limits the training images".to_owned());
                let message = format!(
                    "`--on subset={size}` must be at most the number of training images, {}",
                    number(images as f64, 0)
                );
                Err(Error::usage(message, help))
            }
            Some(Data::Batch(step)) if step.checked_add(network.steps_per_epoch()).is_none() => {
                Err(Error::usage(format!("`--on batch={step}` is no step that a run could reach"), None))
            }
            Some(on) => Ok(on),
        }
    }

    /// The kind of products, refused where it cannot give what is asked for.
    fn product(&self, network: &Network) -> Result<Product> {
        let product = experiment::product(self.arguments.product, network);
        for quantity in &self.quantities {
            if let Some(reason) = quantity.obstacle(product, network.has_kinks()) {
                let (name, kind) = (quantity.name(), name_of(&self.arguments.product));
                let help = "use `--product exact`, which every network here offers".to_owned();
                return Err(Error::usage(format!("`--product {kind}` cannot give {name}: {reason}"), Some(help)));
            }
        }
        Ok(product)
    }

    fn check_count(&self, parameters: usize) -> Result<()> {
        let most = self.arguments.max_products;
        for quantity in &self.quantities {
            let Quantity::Top(count) = *quantity else { continue };
            if count > parameters {
                let n = number(parameters as f64, 0);
                return Err(Error::usage(
                    format!("`--what top={count}` must be at most the number of weights, {n}"),
                    None,
                ));
            }
            if count > most {
                let help = "each eigenvalue takes several products: raise `--max-products`".to_owned();
                return Err(Error::usage(
                    format!("`--what top={count}` cannot be found by {most} products"),
                    Some(help),
                ));
            }
        }
        Ok(())
    }
}

/// Where the density is to be drawn, checked before the work.
fn picture<'a>(path: &'a Path, quantities: &[Quantity]) -> Result<(&'a Path, Format)> {
    if !quantities.contains(&Quantity::Density) {
        let help = Some("add the density: `--what density`".to_owned());
        return Err(Error::usage("`--plot` draws the density, and `--what` does not name it".to_owned(), help));
    }
    let format = Format::of(path)?;
    folder::check_file(path)?;
    Ok((path, format))
}

/// The configuration, and the file of the weights if there is one.
fn source(arguments: &MeasureArguments) -> Result<(Settings, Option<PathBuf>)> {
    let MeasureArguments { run, config, weights, set, data, .. } = arguments;
    let file = match run {
        Some(folder) => Some(configuration_of(folder)?),
        None => config.clone(),
    };
    let overrides = Overrides { set: set.clone(), data: data.clone(), ..Overrides::default() };
    let settings = experiment::settings(file.as_deref(), &overrides)?;
    let weights = match (weights, run) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(folder)) => Some(weights_of(folder)?),
        (None, None) => None,
    };
    Ok((settings, weights))
}

fn configuration_of(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(CONFIG);
    if path.is_file() {
        return Ok(path);
    }
    let help = "`lyapunov train` makes one, and says where".to_owned();
    let message = format!("{} is not a run folder: there is no {CONFIG} in it", folder.display());
    Err(Error::usage(message, Some(help)))
}

/// The weights of a run; where there are none, the manifest knows why.
fn weights_of(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(WEIGHTS);
    if path.is_file() {
        return Ok(path);
    }
    let manifest: Option<serde_json::Value> =
        fs::read(folder.join(MANIFEST)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let why = match manifest.as_ref().and_then(|manifest| manifest["outcome"].as_str()) {
        Some("diverged") => ": the run diverged, and its weights are not finite or have no finite loss",
        Some("running") => ": the run has not ended, or was killed",
        Some("failed") => ": the run failed",
        _ => "",
    };
    let help = format!(
        "name a file by `--weights`, or measure the initial weights by `--config {}`",
        folder.join(CONFIG).display()
    );
    Err(Error::usage(format!("{} has no {WEIGHTS}{why}", folder.display()), Some(help)))
}

fn weights(network: &Network, file: Option<&Path>) -> Result<Tensor<1>> {
    let Some(path) = file else { return Ok(network.initial_weights()) };
    let bytes = fs::read(path).map_err(|cause| Error::io("read", path, cause))?;
    network.weights_from_safetensors(&bytes).map_err(|source| Error::Weights { path: path.to_owned(), source })
}

fn caption(findings: &Findings) -> DensityCaption {
    let Subject { model, data, .. } = &findings.subject;
    let (weights, images) = (number(findings.parameters as f64, 0), number(findings.images as f64, 0));
    DensityCaption {
        title: format!("Spectrum of the {model} on {data}"),
        subtitle: format!("{weights} weights · {images} images ({}) · loss {:.3}", findings.on, findings.loss),
        learning_rate: findings.learning_rate,
        dimension: findings.parameters,
    }
}

/// Measurements on one operator: the Hessian at these weights on these data.
struct Session<'a> {
    network: &'a Network,
    at: &'a Tensor<1>,
    on: Data,
    product: Product,
    arguments: &'a MeasureArguments,
    loss: f64,
    gradient: Tensor<1>,
    spinner: Spinner,
    started: Instant,
    cost: f64,
}

impl<'a> Session<'a> {
    fn open(
        network: &'a Network,
        at: &'a Tensor<1>,
        on: Data,
        product: Product,
        arguments: &'a MeasureArguments,
    ) -> Result<Self> {
        let started = Instant::now();
        let (loss, gradient) = network.gradient(at, on.sample())?;
        if !(loss.is_finite() && gradient.norm().is_finite()) {
            let reason = "must be finite, and so must its gradient: at these weights there is nothing to measure";
            return Err(lyapunov::Error::argument("loss", loss, reason).into());
        }
        let (spinner, cost) = (Spinner::new(arguments.json), network.gradient_cost(on.sample()));
        Ok(Self { network, at, on, product, arguments, loss, gradient, spinner, started, cost })
    }

    fn findings(
        &mut self,
        wanted: &[Quantity],
        weights: String,
        subject: Subject,
        learning_rate: f64,
    ) -> Result<Findings> {
        let mut findings = Findings {
            weights,
            parameters: self.network.parameters(),
            on: self.on.to_string(),
            images: self.network.images(self.on.sample()),
            loss: self.loss,
            gradient_norm: self.gradient.norm(),
            learning_rate,
            lambda_max: None,
            lambda_min: None,
            top: None,
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
                Quantity::Top(count) => findings.top = Some(self.top(count)?),
                Quantity::Trace => findings.trace = Some(self.trace()?),
                Quantity::Density => findings.density = Some(self.density()?),
            }
        }
        self.spinner.finish();
        (findings.cost, findings.wall_seconds) = (self.cost, self.started.elapsed().as_secs_f64());
        Ok(findings)
    }

    fn largest(&mut self) -> Result<Found<f64>> {
        let found = self.extremes(Quantity::LambdaMax, 1, 0)?;
        let (value, residual) = found.0.largest.first().map_or((f64::NAN, f64::NAN), |top| (top.value, top.residual));
        Ok(self.found(value, Uncertainty::Residual(residual), found.0.applications, Some(found.0.converged), found.1))
    }

    fn smallest(&mut self) -> Result<Found<f64>> {
        let found = self.extremes(Quantity::LambdaMin, 0, 1)?;
        let (value, residual) = found.0.smallest.first().map_or((f64::NAN, f64::NAN), |low| (low.value, low.residual));
        Ok(self.found(value, Uncertainty::Residual(residual), found.0.applications, Some(found.0.converged), found.1))
    }

    fn top(&mut self, count: usize) -> Result<Found<Vec<f64>>> {
        let (ritz, began) = self.extremes(Quantity::Top(count), count, 0)?;
        let values = ritz.largest.iter().map(|pair| pair.value).collect();
        let residuals = ritz.largest.iter().map(|pair| pair.residual).collect();
        Ok(self.found(values, Uncertainty::Residual(residuals), ritz.applications, Some(ritz.converged), began))
    }

    /// So many eigenvalues at either end.
    fn extremes(&self, quantity: Quantity, largest: usize, smallest: usize) -> Result<(Ritz<Tensor<1>>, Instant)> {
        let began = Instant::now();
        let options = Lanczos {
            largest,
            smallest,
            tolerance: self.arguments.tolerance,
            max_applications: self.arguments.max_products,
            max_basis: 80 + 2 * largest,
        };
        Ok((lanczos(&self.hessian(quantity), &self.start(), &options)?, began))
    }

    fn trace(&mut self) -> Result<Found<f64>> {
        let began = Instant::now();
        let options = TraceOptions { seed: self.arguments.seed, ..TraceOptions::default() };
        let found = trace(&self.hessian(Quantity::Trace), self.at, &options)?;
        Ok(self.found(found.value, Uncertainty::StdError(found.std_error), found.applications, None, began))
    }

    fn density(&mut self) -> Result<Spectrum> {
        let began = Instant::now();
        let options = DensityOptions { probes: PROBES, steps: STEPS, seed: self.arguments.seed };
        let sampled = density(&self.hessian(Quantity::Density), self.at, &options)?;
        let (low, high) = sampled.range();
        let span = (high - low).max(f64::MIN_POSITIVE);
        let (margin, step) = (0.05 * span, 1.1 * span / (GRID - 1) as f64);
        let width = SPREAD * step;
        let eigenvalue: Vec<f64> = (0..GRID).map(|i| low - margin + step * i as f64).collect();
        let (values, errors) = eigenvalue.iter().map(|t| sampled.at(*t, width)).unzip();
        let (mean, mean_std_error) = sampled.mean(|t| t);
        let found = self.found(values, Uncertainty::StdError(errors), sampled.applications, None, began);
        Ok(Spectrum { eigenvalue, width, mean, mean_std_error, found })
    }

    fn hessian(&self, quantity: Quantity) -> Watched<'_> {
        self.spinner.begin(quantity.name());
        let on: Sample = self.on.sample();
        let gradient = Some(&self.gradient);
        Watched {
            hessian: Hessian { objective: self.network, at: self.at, on, product: self.product, gradient },
            spinner: &self.spinner,
        }
    }

    /// The gradient, which leans towards the top of the spectrum, and as much of a random direction, which leaves nothing
    /// out.
    fn start(&self) -> Tensor<1> {
        let mut start = self.at.zeros_like();
        start.randomize(&mut Stream::new(self.arguments.seed, Purpose::Probe, 0));
        match (start.unit(), self.gradient.unit()) {
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
    ) -> Found<T> {
        let cost = products as f64 * self.network.product_cost(self.product, self.on.sample());
        self.cost += cost;
        Found {
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

/// The Hessian, with somebody watching how often it is applied.
struct Watched<'a> {
    hessian: Hessian<'a, Network>,
    spinner: &'a Spinner,
}

impl Operator<Tensor<1>> for Watched<'_> {
    fn apply(&self, v: &Tensor<1>) -> lyapunov::Result<Tensor<1>> {
        self.spinner.tick();
        self.hessian.apply(v)
    }
}
