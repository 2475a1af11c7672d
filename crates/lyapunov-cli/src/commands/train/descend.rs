//! The steps of a run, one at a time: after each there may be a checkpoint, or a signal that asks to leave.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use lyapunov::{
    Controller, Descent, Evaluation, Objective, Optimizer, Outcome, Persist, Snapshot, Summary as Course, Training,
    UpdateRule, Vector,
};
use lyapunov_burn::{Network, Weights};

use super::TrainingRun;
use crate::{
    checkpoint::{self, Clock, Note},
    error::{Error, Result},
    export::tensorboard::Live,
    faults,
    folder::ROWS,
    setup::{self, OptimizerVisitor},
    store::Store,
    terminal::{
        interrupt::{self, Signal},
        progress::{Observers, Progress},
    },
    text::duration,
};

/// A run whose first step takes so long has a checkpoint after it.
const FIRST_STEP: Duration = Duration::from_secs(1);

/// How the steps of a run came to an end.
pub(super) enum Left {
    /// By themselves.
    Ended(Box<End>),
    /// A signal asked to leave, and there is a checkpoint after so many steps.
    Interrupted {
        /// The steps.
        step: u64,
        /// The signal.
        signal: Signal,
    },
}

/// What a run has come to.
pub(super) struct End {
    pub course: Course,
    /// Loss and accuracy of the final weights on training and test images; `None` where the run diverged.
    pub evaluations: Option<(Evaluation, Option<Evaluation>)>,
    /// The final weights as a file; `None` where the run diverged: there, loss or gradient is not finite, and nothing
    /// can be measured.
    pub weights: Option<Vec<u8>>,
    /// The factor by which the rule backed off: 1 where it did not.
    pub back_off: f64,
}

/// The training itself, by whichever optimizer.
pub(super) struct Descend<'a, 'b> {
    pub session: &'a TrainingRun<'a>,
    pub store: &'b mut Store,
    pub progress: &'b mut Progress,
    /// Events for TensorBoard.
    pub events: &'b mut Live,
    /// Where it goes on.
    pub from: Option<Snapshot>,
}

/// A run between two steps.
struct Moving<'a, R: UpdateRule<Weights>> {
    descent: Optimizer<&'a Network, R>,
    controller: Box<dyn Controller>,
    training: Training<R::State, Weights>,
}

impl OptimizerVisitor for Descend<'_, '_> {
    type Output = Left;

    fn visit<R: UpdateRule<Weights, State: Persist>>(mut self, rule: R) -> Result<Left> {
        let mut moving = self.start(rule)?;
        match self.steps(&mut moving)? {
            Some(signal) => Ok(Left::Interrupted { step: moving.descent.steps_taken(), signal }),
            None => self.end(moving).map(|end| Left::Ended(Box::new(end))),
        }
    }
}

impl<'a> Descend<'a, '_> {
    fn start<R: UpdateRule<Weights, State: Persist>>(&self, rule: R) -> Result<Moving<'a, R>> {
        let TrainingRun { config, network, plan, .. } = self.session;
        let mut descent = setup::descent(config, network, network.initial_weights(), rule)?;
        let mut controller = setup::controller(config, descent.edge_constant(), plan.steps)?;
        let training = match &self.from {
            Some(saved) => Training::resume(&mut descent, plan, controller.as_mut(), saved)?,
            None => Training::new(&mut descent, plan)?,
        };
        Ok(Moving { descent, controller, training })
    }

    /// Takes the steps that are left; the signal that ended them early, if one did.
    fn steps<R: UpdateRule<Weights, State: Persist>>(&mut self, moving: &mut Moving<'_, R>) -> Result<Option<Signal>> {
        let (steps, when) = (self.session.plan.steps, &self.session.config.checkpoint);
        let mut clock = Clock::new(when.every, when.minutes);
        let (mut saved, mut warned, mut due) = (moving.descent.steps_taken(), false, false);
        while moving.descent.steps_taken() < steps {
            let taken = moving.descent.steps_taken();
            if let Some(signal) = interrupt::received() {
                self.save(moving, when.keep)?;
                return Ok(Some(signal));
            }
            due |= clock.is_due(taken);
            let held = self.store.held_for();
            warned = warned && held.is_some() || self.warn_of_the_holder(held, warned);
            let leaves = held.is_some_and(|time| time >= self.store.patience());
            if taken > saved && (due || leaves) {
                self.save(moving, when.keep)?;
                clock.reset();
                (saved, due) = (taken, false);
            }
            // The database may have taken that.
            if leaves && self.store.held_for().is_some() {
                return Err(self.gave_up(taken));
            }
            let began = Instant::now();
            let mut observers = Observers(vec![&mut *self.store, &mut *self.progress, &mut *self.events]);
            let controller = moving.controller.as_mut();
            let outcome = moving.training.advance(&mut moving.descent, taken + 1, controller, &mut observers)?;
            faults::note_step(self.session.folder.path(), taken + 1);
            // A step that may not be waited for after a signal is not to be lost: nor is the only one there is.
            let slow = if saved == 0 { FIRST_STEP } else { interrupt::PATIENCE / 2 };
            due |= clock.is_on() && began.elapsed() >= slow;
            if outcome != Outcome::Completed {
                return Ok(None);
            }
        }
        if clock.is_on() {
            // The one that stays.
            self.save(moving, 1)?;
        }
        Ok(None)
    }

    /// Says once that somebody else holds the database; whether it has been said.
    fn warn_of_the_holder(&self, held: Option<Duration>, warned: bool) -> bool {
        let Some(time) = held.filter(|time| !warned && *time >= Duration::from_secs(2)) else { return false };
        let rows = self.session.folder.file(ROWS);
        // Where standard error is closed, nobody is left to read it.
        let _ = writeln!(
            io::stderr(),
            "warning: another program has held {} for {:.0} s: rows wait in memory, and the run goes on",
            rows.display(),
            time.as_secs_f64()
        );
        true
    }

    fn gave_up(&self, taken: u64) -> Error {
        let folder = self.session.folder.path();
        let (rows, time) = (folder.join(ROWS), duration(self.store.patience().as_secs_f64()));
        let message =
            format!("another program has held {} for {time}: the run stopped after {taken} steps", rows.display());
        let help = format!(
            "nothing is lost: the rows and a checkpoint wait beside it. End the other program, then `lyapunov train \
             --resume {}`",
            folder.display()
        );
        Error::Failed { message, help: Some(help) }
    }

    /// A checkpoint, in the database or beside it: it waits for nobody.
    fn save<R: UpdateRule<Weights, State: Persist>>(&mut self, moving: &mut Moving<'_, R>, keep: usize) -> Result<()> {
        let TrainingRun { config, folder, .. } = self.session;
        let Moving { descent, controller, training } = moving;
        let saved = training.save(descent, controller.as_mut())?;
        let note = Note::new(config.digest(), descent.steps_taken(), self.session.seconds());
        checkpoint::write(folder, self.store, &saved, &note, keep)?;
        Ok(self.events.flush()?)
    }

    /// What is to be said of the weights after the last step.
    fn end<R: UpdateRule<Weights>>(&self, mut moving: Moving<'_, R>) -> Result<End> {
        let network = self.session.network;
        let course = moving.training.summary(&mut moving.descent)?;
        let back_off = moving.controller.back_off();
        if let Outcome::Diverged { .. } = course.outcome {
            return Ok(End { course, evaluations: None, weights: None, back_off });
        }
        let weights = &moving.descent.evaluated();
        let evaluations = Some((network.evaluate_training_set(weights)?, network.evaluate(weights)?));
        // The last step of a run may be the one that blows up.
        let finite = weights.norm().is_finite();
        Ok(End { course, evaluations, weights: finite.then(|| network.weights_to_safetensors(weights)), back_off })
    }
}
