//! `lyapunov exponents --scan`: the exponents over a range of one parameter, or of two, in parallel over the cores.

use std::{fmt::Write, time::Instant};

use lyapunov::{
    Exponents, Outcome, SpectrumOptions, System, exponents,
    systems::{Choice, SystemVisitor},
};
use serde_json::{Value, json};

use super::{ExponentsArguments, heading, in_units, misshapen, options, parse, short, unit};
use crate::commands::{parallel::in_parallel, print};
use crate::{
    error::{Error, Result},
    show::plot::{self, Format, HeatMap},
    text::number,
};

/// A parameter that takes `count` equally spaced values.
struct Scan {
    name: String,
    from: f64,
    to: f64,
    count: usize,
}

impl Scan {
    /// From `name=from:to:count`.
    fn parse(argument: &str) -> Result<Self> {
        let shape = || misshapen("--scan", argument, "r=2.5:4:2000");
        let (name, range) = argument.split_once('=').ok_or_else(shape)?;
        let [from, to, count] = range.split(':').collect::<Vec<_>>()[..] else { return Err(shape()) };
        let (from, to) = (parse(from, "--scan", argument)?, parse(to, "--scan", argument)?);
        let count = count.trim().parse().map_err(|_| shape())?;
        let scan = Self { name: name.trim().to_owned(), from, to, count };
        if count < 2 || from == to {
            let message = format!("--scan {argument} does not move: its step is 0");
            return Err(Error::Usage {
                message,
                help: Some("give two different ends and a count of 2 or more".to_owned()),
            });
        }
        Ok(scan)
    }

    fn value(&self, i: usize) -> f64 {
        self.from + (self.to - self.from) * i as f64 / (self.count - 1) as f64
    }
}

/// What was found at one place.
struct Cell {
    at: Vec<f64>,
    found: Exponents,
}

struct Measure<'a>(&'a SpectrumOptions);

impl SystemVisitor for Measure<'_> {
    type Output = lyapunov::Result<Exponents>;

    fn visit<S: System + Clone>(self, mut system: S) -> Self::Output {
        exponents(&mut system, self.0)
    }
}

/// Measures everywhere, and draws, or prints a table.
pub fn execute(choice: &Choice, arguments: &ExponentsArguments, format: Option<Format>) -> Result<()> {
    let scans = arguments.scan.iter().map(|argument| Scan::parse(argument)).collect::<Result<Vec<_>>>()?;
    let options = match scans.len() {
        1 => options(arguments, 5000),
        2 => SpectrumOptions { count: arguments.count.or(Some(1)), ..options(arguments, 1000) },
        _ => return Err(Error::Usage { message: "more than two --scan".to_owned(), help: None }),
    };
    let choices = places(choice, &scans)?;
    let started = Instant::now();
    let entry = choice.entry();
    let found = in_parallel(choices.len(), |i| choices[i].1.visit(Measure(&options)));
    let cells = choices.into_iter().zip(found).map(|((at, _), found)| Ok(Cell { at, found: in_units(found?, entry) }));
    let cells = cells.collect::<Result<Vec<Cell>>>()?;
    if let (Some(path), Some(format)) = (&arguments.plot, format) {
        format.write(path, &picture(choice, &options, &scans, &cells))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    match &arguments.plot {
        _ if arguments.json => print(to_json(choice, &options, &scans, &cells).as_bytes()),
        None => print(table(&scans, &cells).as_bytes()),
        Some(path) => {
            let count = number(cells.len() as f64, 0);
            print(
                format!("{count} systems of {} in {seconds:.1} s. Picture: {}\n", entry.name, path.display())
                    .as_bytes(),
            )
        }
    }
}

/// The systems of the scan, the first parameter running fastest.
fn places(choice: &Choice, scans: &[Scan]) -> Result<Vec<(Vec<f64>, Choice)>> {
    let total = scans.iter().map(|scan| scan.count).product();
    let place = |mut i: usize| {
        let (mut at, mut moved) = (Vec::new(), choice.clone());
        for scan in scans {
            at.push(scan.value(i % scan.count));
            moved.set(&scan.name, scan.value(i % scan.count))?;
            i /= scan.count;
        }
        Ok((at, moved))
    };
    (0..total).map(place).collect()
}

fn is_whole(cell: &Cell) -> bool {
    cell.found.outcome == Outcome::Completed
}

fn picture(choice: &Choice, options: &SpectrumOptions, scans: &[Scan], cells: &[Cell]) -> String {
    let entry = choice.entry();
    let title = heading(entry);
    let fixed: Vec<String> = choice
        .parameters()
        .filter(|(parameter, _)| scans.iter().all(|scan| scan.name != parameter.name))
        .map(|(parameter, value)| format!("{} = {}", parameter.name, short(value)))
        .collect();
    let what = if scans.len() == 1 { "Lyapunov exponents" } else { "largest Lyapunov exponent" };
    let steps = format!("{what}, nats {} · {} steps each", unit(entry), number(options.steps as f64, 0));
    let subtitle = if fixed.is_empty() { steps } else { format!("{} · {steps}", fixed.join(", ")) };
    if let [only] = scans {
        let point = |cell: &Cell| (cell.at[0], if is_whole(cell) { cell.found.values.clone() } else { Vec::new() });
        let points: Vec<_> = cells.iter().map(point).collect();
        return plot::curve_figure(title, subtitle, &only.name, &points).to_svg();
    }
    let value = |cell: &Cell| if is_whole(cell) { cell.found.values[0] } else { f64::NAN };
    let side = |scan: &Scan| (scan.name.clone(), scan.from, scan.to);
    let (x, y) = (side(&scans[0]), side(&scans[1]));
    let (columns, values) = (scans[0].count, cells.iter().map(value).collect());
    HeatMap { title, subtitle, x, y, symbol: "Λ1".to_owned(), columns, values }.to_svg()
}

/// One line per place: the parameters, then every exponent and its error, between tabs.
fn table(scans: &[Scan], cells: &[Cell]) -> String {
    let count = cells.iter().map(|cell| cell.found.values.len()).max().unwrap_or(0);
    let mut text = scans.iter().map(|scan| scan.name.as_str()).collect::<Vec<_>>().join("\t");
    for i in 1..=count {
        // Writing into a string cannot fail.
        let _ = write!(text, "\texponent_{i}\tstd_error_{i}");
    }
    text.push_str("\toutcome\n");
    for cell in cells {
        let at: Vec<String> = cell.at.iter().map(f64::to_string).collect();
        text.push_str(&at.join("\t"));
        for (value, error) in cell.found.values.iter().zip(&cell.found.std_errors) {
            let _ = write!(text, "\t{value}\t{error}");
        }
        text.push_str(if is_whole(cell) { "\tcompleted\n" } else { "\tdiverged\n" });
    }
    text
}

fn to_json(choice: &Choice, options: &SpectrumOptions, scans: &[Scan], cells: &[Cell]) -> String {
    let point = |cell: &Cell| -> Value {
        let outcome = if is_whole(cell) { "completed" } else { "diverged" };
        json!({ "at": cell.at, "exponents": cell.found.values, "std_errors": cell.found.std_errors,
                "aligned": cell.found.aligned, "outcome": outcome })
    };
    let scanned = |scan: &Scan| json!({ "name": scan.name, "from": scan.from, "to": scan.to, "count": scan.count });
    let object = json!({
        "system": choice.entry().name,
        "parameters": choice
            .parameters()
            .map(|(p, value)| (p.name.to_owned(), value.into()))
            .collect::<serde_json::Map<_, Value>>(),
        "unit": unit(choice.entry()),
        "steps": options.steps,
        "scan": scans.iter().map(scanned).collect::<Vec<_>>(),
        "points": cells.iter().map(point).collect::<Vec<_>>(),
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_parameter_runs_fastest() {
        let choice = Choice::named("henon").unwrap();
        let scans = [Scan::parse("a=1:2:3").unwrap(), Scan::parse("b=0:0.1:2").unwrap()];
        let at: Vec<Vec<f64>> = places(&choice, &scans).unwrap().into_iter().map(|(at, _)| at).collect();
        assert_eq!(at[1], [1.5, 0.0]);
        assert_eq!(at[3], [1.0, 0.1]);
    }
}
