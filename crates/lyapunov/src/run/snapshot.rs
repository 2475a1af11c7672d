//! A run in progress written down and taken up again: every field that the coming steps depend on.

use super::{Deviations, Plan, Reading, SharpnessMonitor, Target, Training, refuge};
use crate::{
    control::Controller,
    descent::{Descent, Edge},
    error::Result,
    exponents::{Benettin, Growth},
    krylov::Tracker,
    objective::{Evaluation, Objective, Product, Sample},
    record::{Measurement, Quantity, RunningExponents, Secant, Sharpness, StepCurvature, Trajectory},
    snapshot::{Archive, Persist, Snapshot},
};

impl<S: Persist, V: Persist> Training<S, V> {
    /// The run, its optimizer and its rule as they stand between two steps. Nothing changes by it.
    ///
    /// **Memory**: a copy of the optimizer's state, of every deviation and of one vector per tracker.
    ///
    /// # Errors
    /// Those of the controller.
    pub fn save<D>(&mut self, descent: &mut D, controller: &mut dyn Controller) -> Result<Snapshot>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let mut saved = Snapshot::default();
        self.keep(descent, controller, &mut Archive::saving(&mut saved))?;
        Ok(saved)
    }

    /// Goes on from `saved`: `descent` and `controller`, made as they were made for the run, get the state that they
    /// had, and so does the rest. What follows has the bits of the run that was saved.
    ///
    /// # Errors
    /// [`Error::Saved`](crate::Error::Saved) where the saved run was of another plan, optimizer or rule.
    pub fn resume<D>(descent: &mut D, plan: &Plan, controller: &mut dyn Controller, saved: &Snapshot) -> Result<Self>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let sharpness = plan.monitor();
        let carry = plan.exponents.as_ref().filter(|carry| carry.count > 0);
        // Their values are in what was saved: where they started does not matter any more.
        let blank = |count| {
            let growth = Growth::new(count, descent.state().len());
            Benettin::resume(vec![descent.state().zeros_like(); count], growth)
        };
        let deviations = carry.map(|carry| blank(carry.count)).transpose()?.map(Deviations::of);
        let mut training = Self::at_start(plan, sharpness, deviations);
        training.keep(descent, controller, &mut Archive::loading(saved))?;
        Ok(training)
    }

    fn keep<D>(&mut self, descent: &mut D, controller: &mut dyn Controller, archive: &mut Archive<'_>) -> Result<()>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let product = self.plan.product;
        archive.within("optimizer", |archive| keep_optimizer(descent, archive))?;
        archive.within("rule", |archive| controller.keep(archive))?;
        archive.within("gauge", |archive| self.sharpness.keep(archive, descent.weights()))?;
        if let Some(deviations) = &mut self.deviations {
            archive.within("deviations", |archive| deviations.keep(archive))?;
        }
        keep_growing("grown", &mut self.grown, archive)?;
        keep_last(&mut self.last, product, archive)?;
        archive
            .within("refuge", |archive| refuge::keep(&mut self.refuge, &mut self.returns, descent.state(), archive))?;
        archive.maybe("before", &mut self.before, descent.weights())?;
        let mut there = u64::from(self.tracker.is_some());
        archive.count("followed.there", &mut there)?;
        if archive.is_loading() {
            self.tracker = (there == 1).then(|| Tracker::new(1));
        }
        match &mut self.tracker {
            Some(tracker) => archive.within("followed", |archive| tracker.keep(archive, descent.weights())),
            None => Ok(()),
        }
    }
}

fn keep_optimizer<D: Descent<Vector: Persist>>(descent: &mut D, archive: &mut Archive<'_>) -> Result<()> {
    let (mut state, mut learning_rate, mut steps) =
        (descent.state().clone(), descent.learning_rate(), descent.steps_taken());
    state.keep("state", archive)?;
    archive.number("learning_rate", &mut learning_rate)?;
    archive.count("steps", &mut steps)?;
    if archive.is_loading() {
        descent.resume(state, learning_rate, steps);
    }
    Ok(())
}

impl<V: Persist> SharpnessMonitor<V> {
    fn keep(&mut self, archive: &mut Archive<'_>, like: &V) -> Result<()> {
        for (i, (.., follower)) in self.followers.iter_mut().enumerate() {
            archive.within(&i.to_string(), |archive| follower.keep(archive, like))?;
        }
        archive.number("cost", &mut self.cost)?;
        keep_sharpness("latest", &mut self.latest, self.product, archive)?;
        archive.list("readings", &mut self.readings, written_reading, read_reading)
    }
}

impl<S: Persist> Deviations<S> {
    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        self.benettin.keep(archive)?;
        archive.count("pending", &mut self.pending)?;
        archive.number("pending_time", &mut self.pending_time)?;
        archive.number("pending_rayleigh", &mut self.pending_rayleigh.0)?;
        archive.number("pending_weighted", &mut self.pending_rayleigh.1)?;
        archive.number("rayleigh", &mut self.rayleigh)?;
        archive.optional("violation", &mut self.violation)
    }
}

/// The last row, where there is one.
fn keep_last(last: &mut Option<Measurement>, product: Product, archive: &mut Archive<'_>) -> Result<()> {
    let mut there = u64::from(last.is_some());
    archive.count("last.there", &mut there)?;
    if archive.is_loading() {
        *last = (there == 1).then(|| Measurement::of_step(0, 0.0, 0.0));
    }
    match last {
        Some(row) => archive.within("last", |archive| keep_row(row, product, archive)),
        None => Ok(()),
    }
}

fn keep_row(row: &mut Measurement, product: Product, archive: &mut Archive<'_>) -> Result<()> {
    archive.count("step", &mut row.step)?;
    archive.number("loss", &mut row.loss)?;
    archive.number("gradient_norm", &mut row.gradient_norm)?;
    archive.number("learning_rate", &mut row.learning_rate)?;
    archive.number("measuring_cost", &mut row.measuring_cost)?;
    let Edge { threshold, preconditioned, holds_batch_sharpness } = row.edge;
    let mut edge = [threshold, flag(preconditioned), flag(holds_batch_sharpness)];
    archive.array("edge", &mut edge)?;
    row.edge = Edge { threshold: edge[0], preconditioned: edge[1] == 1.0, holds_batch_sharpness: edge[2] == 1.0 };
    keep_sharpness("sharpness", &mut row.sharpness, product, archive)?;
    archive.list("nearby", &mut row.nearby, written_trajectory, read_trajectory)?;
    let write = |found: &Evaluation| [found.loss, found.accuracy];
    let read = |[loss, accuracy]: [f64; 2]| Some(Evaluation { loss, accuracy });
    keep_one("evaluation", &mut row.evaluation, write, read, archive)?;
    let write =
        |found: &StepCurvature| [found.slope, found.curvature, found.product_norm, found.direction_norm, found.cost];
    let read = |[slope, curvature, stretch, reach, cost]: [f64; 5]| {
        Some(StepCurvature { slope, curvature, product_norm: stretch, direction_norm: reach, product, cost })
    };
    keep_one("along", &mut row.along, write, read, archive)?;
    let write = |found: &Secant| [found.step_norm, found.gradient_change, found.cost];
    let read = |[moved, turned, cost]: [f64; 3]| Some(Secant { step_norm: moved, gradient_change: turned, cost });
    keep_one("secant", &mut row.secant, write, read, archive)?;
    keep_growing("exponents", &mut row.exponents, archive)
}

/// What may be missing, as a list of at most one.
fn keep_one<T, const N: usize>(
    name: &str,
    field: &mut Option<T>,
    write: impl Fn(&T) -> [f64; N],
    read: impl Fn([f64; N]) -> Option<T>,
    archive: &mut Archive<'_>,
) -> Result<()> {
    let mut list: Vec<T> = field.take().into_iter().collect();
    let kept = archive.list(name, &mut list, write, read);
    *field = list.pop();
    kept
}

/// As many local rates, values and errors as there are deviations, after whether they are aligned and the curvature.
fn keep_growing(name: &str, field: &mut Option<RunningExponents>, archive: &mut Archive<'_>) -> Result<()> {
    let mut numbers = Vec::new();
    if let Some(RunningExponents { local, values, std_errors, aligned, rayleigh }) = field {
        numbers.extend([flag(*aligned), *rayleigh]);
        numbers.extend([local, values, std_errors].into_iter().flatten().map(|rate| *rate));
    }
    archive.numbers(name, &mut numbers)?;
    *field = numbers.split_first_chunk().map(|([aligned, rayleigh], rates)| {
        let count = rates.len() / 3;
        let part = |i: usize| rates[i * count..(i + 1) * count].to_vec();
        RunningExponents {
            local: part(0),
            values: part(1),
            std_errors: part(2),
            aligned: *aligned == 1.0,
            rayleigh: *rayleigh,
        }
    });
    Ok(())
}

/// All of them by the same kind of product, that of the plan.
fn keep_sharpness(name: &str, found: &mut Vec<Sharpness>, product: Product, archive: &mut Archive<'_>) -> Result<()> {
    let write = |found: &Sharpness| {
        let [kind, number] = written_sample(found.on);
        [written_quantity(found.quantity), found.value, found.residual, kind, number, found.cost]
    };
    let read = |[quantity, value, residual, kind, number, cost]: [f64; 6]| {
        let (quantity, on) = (read_quantity(quantity)?, read_sample([kind, number])?);
        Some(Sharpness { quantity, value, residual, on, product, cost })
    };
    archive.list(name, found, write, read)
}

fn written_trajectory(shown: &Trajectory) -> [f64; 6] {
    let Trajectory { quantity, factor, growth, from_growth, rayleigh, image_norm } = *shown;
    [written_quantity(quantity), factor, growth, from_growth, rayleigh, image_norm]
}

fn read_trajectory([quantity, factor, growth, from_growth, rayleigh, image_norm]: [f64; 6]) -> Option<Trajectory> {
    Some(Trajectory { quantity: read_quantity(quantity)?, factor, growth, from_growth, rayleigh, image_norm })
}

fn written_reading(reading: &Reading) -> [f64; 8] {
    let Reading { step, quantity, on, value, share, learning_rate } = *reading;
    let [kind, number] = written_sample(on.sample(0));
    let known = flag(share.is_some());
    [step as f64, written_quantity(quantity), kind, number, value, known, share.unwrap_or(0.0), learning_rate]
}

fn read_reading(numbers: [f64; 8]) -> Option<Reading> {
    let [step, quantity, kind, number, value, known, share, learning_rate] = numbers;
    let on = match read_sample([kind, number])? {
        Sample::Mini(_) => Target::Batch,
        Sample::Subset(size) => Target::Subset(size),
        Sample::Full => Target::Full,
        Sample::Disjoint(_) => return None,
    };
    let share = (known == 1.0).then_some(share);
    Some(Reading { step: step as u64, quantity: read_quantity(quantity)?, on, value, share, learning_rate })
}

fn flag(answer: bool) -> f64 {
    f64::from(u8::from(answer))
}

/// Its number on the list of quantities, to whose end new ones are added.
fn written_quantity(quantity: Quantity) -> f64 {
    Quantity::ALL.iter().position(|known| *known == quantity).expect("all are listed") as f64
}

fn read_quantity(number: f64) -> Option<Quantity> {
    (0..).map(f64::from).zip(Quantity::ALL).find(|(known, _)| *known == number).map(|(_, quantity)| quantity)
}

fn written_sample(on: Sample) -> [f64; 2] {
    match on {
        Sample::Full => [0.0, 0.0],
        Sample::Subset(size) => [1.0, size as f64],
        Sample::Disjoint(size) => [2.0, size as f64],
        Sample::Mini(step) => [3.0, step as f64],
    }
}

fn read_sample(numbers: [f64; 2]) -> Option<Sample> {
    match numbers {
        [0.0, _] => Some(Sample::Full),
        [1.0, size] => Some(Sample::Subset(size as usize)),
        [2.0, size] => Some(Sample::Disjoint(size as usize)),
        [3.0, step] => Some(Sample::Mini(step as u64)),
        _ => None,
    }
}
