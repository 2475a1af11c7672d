//! The steps of a run, one at a time: after each there may be a checkpoint, or a signal that asks to leave.

use lyapunov::{
    Controller, Descent, Evaluation, Objective, Optimizer, Outcome, Persist, Snapshot, Summary as Course, Training,
    UpdateRule, Vector,
};
use lyapunov_burn::{Network, Weights};

use super::TrainingRun;
use crate::{
    checkpoint::{self, Clock, Note},
    error::Result,
    export::tensorboard::Live,
    faults,
    setup::{self, OptimizerVisitor},
    store::Store,
    terminal::{
        interrupt::{self, Signal},
        progress::{Observers, Progress},
    },
};

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
    /// The final weights as a file; `None` where the run diverged: there, loss or gradient is not finite, and nothing can
    /// be measured.
    pub weights: Option<Vec<u8>>,
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
    type Found = Left;

    fn study<R: UpdateRule<Weights, State: Persist>>(mut self, rule: R) -> Result<Left> {
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
        let mut saved = moving.descent.steps_taken();
        while moving.descent.steps_taken() < steps {
            let taken = moving.descent.steps_taken();
            if let Some(signal) = interrupt::received() {
                self.save(moving, when.keep)?;
                return Ok(Some(signal));
            }
            if taken > saved && clock.is_due(taken) {
                self.save(moving, when.keep)?;
                clock.reset();
                saved = taken;
            }
            let mut observers = Observers(vec![&mut *self.store, &mut *self.progress, &mut *self.events]);
            let controller = moving.controller.as_mut();
            let outcome = moving.training.advance(&mut moving.descent, taken + 1, controller, &mut observers)?;
            faults::note_step(self.session.folder.path(), taken + 1);
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

    fn save<R: UpdateRule<Weights, State: Persist>>(&mut self, moving: &mut Moving<'_, R>, keep: usize) -> Result<()> {
        let TrainingRun { config, folder, .. } = self.session;
        let Moving { descent, controller, training } = moving;
        let saved = training.save(descent, controller.as_mut())?;
        let note = Note::new(config.digest(), descent.steps_taken(), self.session.seconds());
        Ok(checkpoint::write(folder, self.store, &saved, &note, keep)?)
    }

    /// What is to be said of the weights after the last step.
    fn end<R: UpdateRule<Weights>>(&self, mut moving: Moving<'_, R>) -> Result<End> {
        let network = self.session.network;
        let course = moving.training.summary(&mut moving.descent)?;
        if let Outcome::Diverged { .. } = course.outcome {
            return Ok(End { course, evaluations: None, weights: None });
        }
        let weights = &moving.descent.evaluated();
        let evaluations = Some((network.evaluate_training_set(weights)?, network.evaluate(weights)?));
        // The last step of a run may be the one that blows up.
        let finite = weights.norm().is_finite();
        Ok(End { course, evaluations, weights: finite.then(|| network.weights_to_safetensors(weights)) })
    }
}
