//! `lyapunov scan`: where a small network can be trained, over two of its parameters, in parallel over the cores.

mod folder;
mod plane;
mod report;

use std::{path::PathBuf, time::Instant};

use clap::{Args, ValueEnum};
use lyapunov::{BoxDimension, box_dimension, systems::Unit};
use serde_json::{Value, json};

use super::{at_least, print};
use crate::{error::Result, folder::write_file, show::plot::Format};
use folder::{begun, completed};
use plane::{Axis, Plane};
use report::{ScanReport, picture, table};

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
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = at_least(20))]
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
    let seconds = began.elapsed().as_secs_f64();
    let report = ScanReport { values: &values, dimension: dimension.as_ref(), seconds, before };
    let result = report.to_json(&settings, &arguments.out);
    write_file(&arguments.out.join(RESULT), format!("{result:#}\n").as_bytes())?;
    print(if arguments.json { format!("{result}\n") } else { report.text(&plane, arguments) }.as_bytes())
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

/// The dimension of the boundary between what converges and what diverges, where the plane is large enough.
fn dimension(plane: &Plane, shown: Shown, values: &[f64]) -> Result<Option<BoxDimension>> {
    if shown != Shown::Speed || plane.x.count.min(plane.y.count) < 64 {
        return Ok(None);
    }
    Ok(box_dimension(&values.iter().map(|value| *value > 0.0).collect::<Vec<_>>(), plane.x.count)?)
}
