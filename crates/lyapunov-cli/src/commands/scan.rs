//! `lyapunov scan`: where a small network can be trained, over two of its parameters, in parallel over the cores.

mod plane;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, ValueEnum};
use lyapunov::{BoxDimension, box_dimension, systems::Unit};
use serde_json::{Value, json};

use super::{parallel::in_parallel, print};
use crate::{
    error::{Error, Result},
    folder::write_file,
    show::plot::{Format, HeatMap},
    terminal::progress::Spinner,
    text::{duration, number},
};
use plane::{Axis, Plane};

/// What a place of the plane shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// Whether the training converges or diverges, and how fast
    Speed,
    /// The largest Lyapunov exponent of gradient descent: positive where it is chaotic
    Exponent,
}

/// Which trainings, and where their picture goes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov scan --out boundary\n  \
        lyapunov scan --x rate=0.1:100:256 --y scale=0.1:10:256 --activation relu --out scales\n  \
        lyapunov scan --x rate-1=40:60:512 --y rate-2=2:3:512 --out closer")]
pub struct ScanArguments {
    /// The horizontal axis, its values evenly spaced in their logarithms: rate, rate-1, rate-2 or scale
    #[arg(long, value_name = "NAME=FROM:TO:COUNT", default_value = "rate-1=0.1:1000:128")]
    pub x: String,
    /// The vertical axis, likewise
    #[arg(long, value_name = "NAME=FROM:TO:COUNT", default_value = "rate-2=0.1:1000:128")]
    pub y: String,
    /// What the hidden units do: tanh, relu or identity
    #[arg(long, value_name = "NAME", default_value = "tanh", value_parser = unit)]
    pub activation: Unit,
    /// Hidden units, and inputs
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub units: usize,
    /// Points to train on, all of them in every step
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub points: usize,
    /// Steps of each training
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(20..))]
    pub steps: u64,
    /// Decides the points, their targets and the initial weights
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// What the colours show
    #[arg(long, value_enum, default_value_t = Shown::Speed)]
    pub show: Shown,
    /// The folder; a scan that is there and not complete goes on
    #[arg(long, value_name = "DIR", default_value = "scan")]
    pub out: PathBuf,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

fn unit(name: &str) -> std::result::Result<Unit, String> {
    Unit::from_name(name).ok_or_else(|| format!("known are {}", Unit::ALL.map(Unit::name).join(", ")))
}

/// The arguments of the scan, from which a later call knows it again.
const SETTINGS: &str = "scan.json";
/// The rows that are done, in binary numbers.
const ROWS: &str = "rows.f64";
const RESULT: &str = "result.json";
const TABLE: &str = "values.csv";
const PICTURES: [(&str, Format); 2] = [("picture.png", Format::Png), ("picture.svg", Format::Svg)];

/// Trains everywhere, and draws.
pub fn execute(arguments: &ScanArguments) -> Result<()> {
    let plane = Plane::of(arguments)?;
    let began = Instant::now();
    let settings = settings(&plane, arguments);
    let rows = begun(&arguments.out, &settings, plane.x.count)?;
    let before = rows.len() / plane.x.count;
    let values = completed(&plane, arguments, rows)?;
    let dimension = dimension(&plane, arguments.show, &values)?;
    for (name, format) in PICTURES {
        format.write(&arguments.out.join(name), &picture(&plane, arguments, dimension.as_ref(), &values).to_svg())?;
    }
    write_file(&arguments.out.join(TABLE), table(&plane, arguments.show, &values).as_bytes())?;
    let found =
        Found { values: &values, dimension: dimension.as_ref(), seconds: began.elapsed().as_secs_f64(), before };
    let result = found.to_json(&settings, &arguments.out);
    write_file(&arguments.out.join(RESULT), format!("{result:#}\n").as_bytes())?;
    print(if arguments.json { format!("{result}\n") } else { found.text(&plane, arguments) }.as_bytes())
}

fn settings(plane: &Plane, arguments: &ScanArguments) -> Value {
    let axis = |axis: &Axis| json!({ "name": axis.name.name(), "from": axis.from, "to": axis.to, "count": axis.count });
    let show = arguments.show.to_possible_value().map(|value| value.get_name().to_owned());
    json!({
        "version": env!("CARGO_PKG_VERSION"), "x": axis(&plane.x), "y": axis(&plane.y),
        "activation": arguments.activation.name(), "units": arguments.units, "points": arguments.points,
        "steps": arguments.steps, "seed": arguments.seed, "show": show,
    })
}

/// The rows that an earlier call has left in the folder, whole ones; makes the folder where there is none.
fn begun(folder: &Path, settings: &Value, columns: usize) -> Result<Vec<f64>> {
    let (path, rows) = (folder.join(SETTINGS), folder.join(ROWS));
    if !path.exists() {
        if folder.exists() && fs::read_dir(folder).map_err(|cause| Error::io("read", folder, cause))?.next().is_some() {
            let message = format!("{} is not empty, and holds no scan", folder.display());
            return Err(Error::usage(message, Some("name another folder by --out".to_owned())));
        }
        fs::create_dir_all(folder).map_err(|cause| Error::io("create the folder", folder, cause))?;
        write_file(&path, format!("{settings:#}\n").as_bytes())?;
    }
    let text = fs::read_to_string(&path).map_err(|cause| Error::io("read", &path, cause))?;
    let known: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if known != *settings {
        let differs = settings.as_object().into_iter().flatten().find(|(key, value)| known.get(key) != Some(value));
        let what = differs.map(|(key, value)| format!(": `{key}` is {}, not {value}", known[key])).unwrap_or_default();
        let message = format!("{} holds another scan{what}", folder.display());
        return Err(Error::usage(message, Some("name another folder by --out, or the same arguments".to_owned())));
    }
    let bytes =
        if rows.exists() { fs::read(&rows).map_err(|cause| Error::io("read", &rows, cause))? } else { Vec::new() };
    let (numbers, _) = bytes.as_chunks::<8>();
    let mut values: Vec<f64> = numbers.iter().map(|number| f64::from_le_bytes(*number)).collect();
    values.truncate(values.len() / columns * columns);
    Ok(values)
}

/// All rows: those that are there, and those that are missing, each written as soon as it is done.
fn completed(plane: &Plane, arguments: &ScanArguments, mut values: Vec<f64>) -> Result<Vec<f64>> {
    let path = arguments.out.join(ROWS);
    let failed = |cause| Error::io("write", &path, cause);
    let (columns, rows) = (plane.x.count, plane.y.count);
    values.truncate(columns * rows);
    let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
    // What was written of a row that was not finished is written again.
    file.set_len((8 * values.len()) as u64).map_err(failed)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(failed)?;
    let spinner = Spinner::new(arguments.quiet || arguments.json);
    spinner.begin_of("trainings", "row", (rows - values.len() / columns) as u64);
    for row in values.len() / columns..rows {
        let found = in_parallel(columns, |column| plane.value(arguments, column, row));
        let found = found.into_iter().collect::<lyapunov::Result<Vec<f64>>>()?;
        let bytes: Vec<u8> = found.iter().flat_map(|value| value.to_le_bytes()).collect();
        file.write_all(&bytes).map_err(failed)?;
        values.extend(found);
        spinner.tick();
    }
    spinner.finish();
    Ok(values)
}

/// The dimension of the boundary between what converges and what diverges, where the plane is large enough.
fn dimension(plane: &Plane, shown: Shown, values: &[f64]) -> Result<Option<BoxDimension>> {
    if shown != Shown::Speed || plane.x.count.min(plane.y.count) < 64 {
        return Ok(None);
    }
    Ok(box_dimension(&values.iter().map(|value| *value > 0.0).collect::<Vec<_>>(), plane.x.count)?)
}

fn picture(plane: &Plane, arguments: &ScanArguments, dimension: Option<&BoxDimension>, values: &[f64]) -> HeatMap {
    let side = |axis: &Axis| (format!("log10 {}", axis.name.words()), axis.from.log10(), axis.to.log10());
    let ScanArguments { units, points, steps, activation, .. } = arguments;
    let (symbol, what) = match arguments.show {
        Shown::Speed => ("speed", "blue converges, red diverges, deep is fast"),
        Shown::Exponent => ("Λ1", "largest exponent, nats per step: red is chaotic"),
    };
    let fractal = dimension.map(|found| format!(" · boundary: box dimension {}", written(found))).unwrap_or_default();
    HeatMap {
        title: format!("Where training works: {units} {activation} units on {points} points, {steps} steps"),
        subtitle: format!("{what}{fractal}"),
        x: side(&plane.x),
        y: side(&plane.y),
        symbol: symbol.to_owned(),
        columns: plane.x.count,
        values: values.to_vec(),
    }
}

/// `1.27 ± 0.03`.
fn written(found: &BoxDimension) -> String {
    format!("{:.2} ± {:.2}", found.value, found.std_error)
}

/// One line per place: both parameters, and what was found there; empty where the exponent has none.
fn table(plane: &Plane, shown: Shown, values: &[f64]) -> String {
    let found = if shown == Shown::Speed { "speed" } else { "exponent" };
    let head = format!("{},{},{found}\n", plane.x.name.name(), plane.y.name.name());
    let lines = values.iter().enumerate().map(|(i, value)| {
        let (x, y) = (plane.x.value(i % plane.x.count), plane.y.value(i / plane.x.count));
        let value = if value.is_finite() { value.to_string() } else { String::new() };
        format!("{x},{y},{value}\n")
    });
    std::iter::once(head).chain(lines).collect()
}

/// What is said of a scan.
struct Found<'a> {
    values: &'a [f64],
    dimension: Option<&'a BoxDimension>,
    seconds: f64,
    /// Rows that were there.
    before: usize,
}

impl Found<'_> {
    /// Trainings whose value is above zero, at most zero, and neither.
    fn counts(&self) -> [usize; 3] {
        let above = self.values.iter().filter(|value| **value > 0.0).count();
        let below = self.values.iter().filter(|value| **value <= 0.0).count();
        [above, below, self.values.len() - above - below]
    }

    fn text(&self, plane: &Plane, arguments: &ScanArguments) -> String {
        let [above, below, neither] = self.counts().map(|count| number(count as f64, 0));
        let all = number(self.values.len() as f64, 0);
        let split = match arguments.show {
            Shown::Speed => format!("{below} converge, {above} diverge"),
            Shown::Exponent => format!("{above} are chaotic, {below} are not, {neither} diverge"),
        };
        let boundary = if let Some(found) = self.dimension {
            let (least, most) = (found.counts[0].0, found.counts[found.counts.len() - 1].0);
            let dimension = written(found);
            format!("The boundary has the box dimension {dimension}, by boxes of {least} to {most} samples.\n")
        } else if arguments.show == Shown::Speed && plane.x.count.min(plane.y.count) < 64 {
            "The dimension of the boundary wants 64 values along each axis.\n".to_owned()
        } else {
            String::new()
        };
        let (took, picture) = (duration(self.seconds), arguments.out.join(PICTURES[0].0));
        format!("{all} trainings in {took}: {split}.\n{boundary}Picture: {}\n", picture.display())
    }

    fn to_json(&self, settings: &Value, folder: &Path) -> Value {
        let [above, below, neither] = self.counts();
        let speed = settings["show"] == "speed";
        let counts = if speed {
            json!({ "converged": below, "diverged": above })
        } else {
            json!({ "chaotic": above, "regular": below, "diverged": neither })
        };
        let dimension = self
            .dimension
            .map(|found| json!({ "value": found.value, "std_error": found.std_error, "counts": found.counts }));
        json!({
            "scan": settings, "folder": folder, "picture": folder.join(PICTURES[0].0), "trainings": self.values.len(),
            "counts": counts, "dimension": dimension, "rows_before": self.before, "wall_seconds": self.seconds,
        })
    }
}
