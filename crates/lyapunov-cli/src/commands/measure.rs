//! `lyapunov measure`: the spectrum of the Hessian at fixed weights.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lyapunov::{Product, Sample, SpectralTarget};
use lyapunov_burn::{Network, Weights};

use super::{of_program, print};
use crate::{
    config::{self, Overrides, Settings, Subject},
    error::{Error, Result},
    folder::{self, CONFIG, MANIFEST, WEIGHTS},
    manifest::Manifest,
    measure::{
        findings::{INITIAL, MeasureReport},
        request::{Data, Quantity},
        session::{MeasureSession, Search},
    },
    seal, setup,
    show::plot::{DensityCaption, Format, density_figure},
    text::number,
};
use clap::{ArgGroup, Args, builder::PossibleValuesParser};

/// The kind of products that suits the network.
const AUTO: &str = "auto";

fn kinds_of_products() -> PossibleValuesParser {
    [AUTO].into_iter().chain(Product::ALL.map(Product::name)).collect::<Vec<_>>().into()
}

/// What to measure, and where.
#[derive(Args, Debug)]
#[command(
    group(ArgGroup::new("network").args(["run", "config"]).required(true)),
    after_help = "Quantities:\n  \
        lambda_max       the algebraically largest eigenvalue, with its residual\n  \
        lambda_min       the algebraically smallest one\n  \
        lambda_max_full  an estimate of the largest one for all images, from two disjoint parts of them\n  \
        top=COUNT        the largest ones\n  \
        layers           the largest one of each layer's diagonal block\n  \
        batch_sharpness  the mean of gᵀHg / gᵀg over 20 mini-batches, or batch_sharpness=COUNT of them\n  \
        trace            the sum of all, with its standard error (Hutch++, 60 products)\n  \
        density          how they are spread, with its standard error (stochastic Lanczos, 160 products)\n\n\
        Weights are named and laid out as torch.nn.Sequential has them: `0.weight` [outputs, inputs] and so on.\n\n\
        Examples:\n  \
        lyapunov measure --run runs/cnn-sgd-0123abcd\n  \
        lyapunov measure --run runs/cnn-sgd-0123abcd --what top=10,trace --on full --product gauss-newton\n  \
        lyapunov measure --run runs/cnn-sgd-0123abcd --what layers,batch_sharpness\n  \
        lyapunov measure --run runs/cnn-sgd-0123abcd --what density --plot spectrum.svg\n  \
        lyapunov measure --config run.toml --weights weights.safetensors --json | jq .lambda_max.value"
)]
pub struct MeasureArguments {
    /// The folder of a run: its configuration and its final weights
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// A configuration, instead of a run; without `--weights`, at its initial weights
    #[arg(long, value_name = "RUN.toml")]
    pub config: Option<PathBuf>,
    /// Measure at the weights in this file
    #[arg(long, value_name = "FILE.safetensors")]
    pub weights: Option<PathBuf>,
    /// Measure on the images in this folder or .tar.gz archive
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Override one key of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The device to compute on: flex, the processor; wgpu, the fastest graphics adapter, where the program was built
    /// with that feature; any other name lists what there is [env: BURN_DEVICE]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// The quantities, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "lambda_max,lambda_min")]
    pub what: Vec<String>,
    /// The images: full, subset=COUNT (fixed, drawn by the run's seed) or batch=STEP (the mini-batch of that training
    /// step) [default: subset=1000, or full where there are fewer]
    #[arg(long, value_name = "IMAGES")]
    pub on: Option<String>,
    /// How products with the Hessian are computed; auto is the best that the network offers, here exact
    #[arg(long, value_name = "KIND", default_value = AUTO, value_parser = kinds_of_products())]
    pub product: String,
    /// Search until every residual is at most this share of its eigenvalue
    #[arg(long, value_name = "SHARE", default_value_t = 1e-3, allow_negative_numbers = true)]
    pub tolerance: f64,
    /// Or until this many products have been spent on one quantity
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub max_products: usize,
    /// Decides the random vectors of the search
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw the density: a .svg or .png file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Write the images as the network sees them, their labels and the network's outputs, in training and in
    /// evaluation, for other programs
    #[arg(long, value_name = "FILE.safetensors")]
    pub export: Option<PathBuf>,
}

/// Where fewer images are there, the default is all of them.
const DEFAULT_SUBSET: usize = 1000;

/// Measures what is asked for and says it.
pub fn execute(arguments: &MeasureArguments) -> Result<()> {
    let request = Request::new(arguments)?;
    let MeasureArguments { run, config, weights: file, set, data, device, .. } = arguments;
    let overrides = Overrides { set: set.clone(), data: data.clone(), device: device.clone(), out: None };
    let (settings, weights_file) = source(run.as_deref(), config.as_deref(), file.as_deref(), &overrides)?;
    let (network, subject) = setup::network(&settings)?;
    let on = request.data(&network, &settings, subject.images)?;
    let product = request.product(&network)?;
    request.check_count(network.parameters())?;
    let at = weights(&network, weights_file.as_deref())?;
    if let Some(path) = &arguments.export {
        folder::write_file(path, &network.examples_to_safetensors(&at, on.sample())?)?;
    }
    let other = request.other_part(on, &network, subject.images)?;
    let MeasureArguments { tolerance, max_products, seed, json, .. } = *arguments;
    let search = Search { tolerance, max_products, seed, quiet: json };
    let mut session = MeasureSession::open(&network, &at, (on, other), product, &search)?;
    let origin = weights_file.map_or(INITIAL.to_owned(), |path| path.display().to_string());
    let findings = session.findings(&request.quantities, origin, subject, settings.config.fixed_rate())?;
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
        let asked = Product::from_name(&self.arguments.product);
        let mut product = setup::product(asked, network, SpectralTarget::Largest)?;
        for quantity in &self.quantities {
            product = match setup::product(asked, network, quantity.wanted()) {
                Err(lyapunov::Error::Unsuitable { obstacle, .. }) => {
                    let (name, kind) = (quantity.name(), &self.arguments.product);
                    let help = "use `--product exact`, which every network here offers".to_owned();
                    let message = format!("`--product {kind}` cannot give {name}: {obstacle}");
                    return Err(Error::usage(message, Some(help)));
                }
                found => found?,
            };
        }
        Ok(product)
    }

    /// The data of `lambda_max_full`, where that is asked for: two parts of the images that share none.
    fn other_part(&self, on: Data, network: &Network, images: usize) -> Result<Option<Sample>> {
        if !self.quantities.contains(&Quantity::LambdaMaxFull) {
            return Ok(None);
        }
        let refused = |message: &str, help: &str| Err(Error::usage(message.to_owned(), Some(help.to_owned())));
        match on {
            Data::Full => refused(
                "`--what lambda_max_full` is an estimate from a part of the images, and `--on full` takes them all",
                "use `--on subset=COUNT`, or `--what lambda_max`, which needs no estimate there",
            ),
            Data::Subset(size) if 2 * size > images => refused(
                &format!("`--what lambda_max_full` needs another {size} images that `subset={size}` leaves out"),
                &format!("use at most half of the {} images", number(images as f64, 0)),
            ),
            Data::Subset(size) => Ok(Some(Sample::Disjoint(size))),
            Data::Batch(_) if network.steps_per_epoch() < 2 => refused(
                "`--what lambda_max_full` needs a second mini-batch, and an epoch has only one",
                "use `--on subset=COUNT` with at most half of the images",
            ),
            // The next batch of the same epoch, or at its end the one before: within an epoch they share no image.
            Data::Batch(step) if (step + 1) % network.steps_per_epoch() == 0 => Ok(Some(Sample::Mini(step - 1))),
            Data::Batch(step) => Ok(Some(Sample::Mini(step + 1))),
        }
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
pub fn source(
    run: Option<&Path>,
    config: Option<&Path>,
    weights: Option<&Path>,
    overrides: &Overrides,
) -> Result<(Settings, Option<PathBuf>)> {
    let file = match run {
        Some(folder) => Some(configuration_of(folder)?),
        None => config.map(Path::to_owned),
    };
    let settings = config::settings(file.as_deref(), overrides)?;
    let weights = match (weights, run) {
        (Some(path), _) => Some(path.to_owned()),
        (None, Some(folder)) => Some(weights_of(folder)?),
        (None, None) => None,
    };
    Ok((settings, weights))
}

fn configuration_of(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(CONFIG);
    if let Ok(manifest) = Manifest::read(folder) {
        of_program(folder, &manifest)?;
    }
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

/// The weights in `file`, or the initial ones.
pub fn weights(network: &Network, file: Option<&Path>) -> Result<Weights> {
    let Some(path) = file else { return Ok(network.initial_weights()) };
    let bytes = fs::read(path).map_err(|cause| Error::io("read", path, cause))?;
    let weights = network.weights_from_safetensors(&bytes);
    let weights = weights.map_err(|source| Error::Weights { path: path.to_owned(), source: source.into() })?;
    // Weights that fit may still be others than those that the run has left.
    seal::check(path)?;
    Ok(weights)
}

fn caption(findings: &MeasureReport) -> DensityCaption {
    let Subject { model, data, .. } = &findings.subject;
    let (weights, images) = (number(findings.parameters as f64, 0), number(findings.images as f64, 0));
    DensityCaption {
        title: format!("Spectrum of the {model} on {data}"),
        subtitle: format!("{weights} weights · {images} images ({}) · loss {:.3}", findings.on, findings.loss),
        learning_rate: findings.learning_rate,
        dimension: findings.parameters,
    }
}
