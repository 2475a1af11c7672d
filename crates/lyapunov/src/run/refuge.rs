//! Where a run goes back to when its loss has gone above the first one: see [`Guard`](crate::Guard).

use super::{Training, is_finite};
use crate::{
    control::{Controller, Guard, Turn},
    descent::Descent,
    error::Result,
    objective::{Objective, Sample},
    snapshot::{Archive, Persist},
    vector::Vector,
};

/// A state that the run may go back to, and the one that takes its place if what follows it is as good.
#[derive(Clone, Debug)]
pub(super) struct Refuge<S> {
    kept: S,
    next: S,
    /// How often the place has moved: `kept` is the start until it has done so twice.
    moves: u64,
    /// The loss at the start on the batches that are looked at again, once it is known.
    reference: Option<f64>,
}

/// The batch of one step in so many is looked at again; at least and at most so many.
const LOOKS: u64 = 20;
const FEWEST: u64 = 10;
const MOST: u64 = 100;

impl<S: Vector> Refuge<S> {
    fn at(state: &S) -> Self {
        Self { kept: state.clone(), next: state.clone(), moves: 0, reference: None }
    }

    /// What has followed `next` is good.
    fn advance(&mut self, state: &S) {
        self.kept = std::mem::replace(&mut self.next, state.clone());
        self.moves += 1;
    }
}

impl<S: Vector, V: Vector> Training<S, V> {
    /// Does what the guard of the controller asks for, before the step that was decided.
    pub(super) fn turn<D>(&mut self, descent: &mut D, controller: &mut dyn Controller) -> Result<()>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let Some(guard) = controller.guard() else { return Ok(()) };
        let refuge = self.refuge.get_or_insert_with(|| Refuge::at(descent.state()));
        match guard.turn() {
            Turn::Ahead => {}
            Turn::Keep => refuge.advance(descent.state()),
            Turn::Look => {
                let (now, start) = self.look(descent)?;
                guard.looked(now, start.unwrap_or(guard.first()));
                if guard.turn() == Turn::Back {
                    self.go_back(descent);
                }
            }
            Turn::Back => self.go_back(descent),
        }
        Ok(())
    }

    /// Where loss or gradient of the coming step are not finite: goes back if the guard wants it, and if they are
    /// there.
    pub(super) fn retreat<D>(&mut self, descent: &mut D, controller: &mut dyn Controller) -> Result<bool>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        if self.refuge.is_none() || !controller.guard().is_some_and(Guard::lost) {
            return Ok(false);
        }
        self.go_back(descent);
        Ok(is_finite(descent.gradient()?))
    }

    /// After the last step: where the losses are not clearly below the first one, all data are looked at, and the run
    /// ends at the place that it could go back to, if it is better there.
    pub(super) fn settle<D>(&mut self, descent: &mut D, controller: &mut dyn Controller) -> Result<()>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let Some(guard) = controller.guard() else { return Ok(()) };
        let Some(kept) = self.refuge.as_ref().map(|refuge| refuge.kept.clone()) else { return Ok(()) };
        let evaluated = descent.gradient()?;
        if is_finite(evaluated) && !guard.is_in_doubt(evaluated.0) {
            return Ok(());
        }
        let end = self.loss(descent, [Sample::Full])?;
        let state = self.with_state(descent, kept);
        let there = self.loss(descent, [Sample::Full])?;
        // What is not a number is above any.
        if end <= there {
            descent.set_state(state);
        } else {
            self.returned(descent.steps_taken());
        }
        Ok(())
    }

    /// The mean loss on some batches of the first steps: now, and at the start where that is still known.
    fn look<D>(&mut self, descent: &mut D) -> Result<(f64, Option<f64>)>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let looks = (self.plan.steps / LOOKS).clamp(FEWEST, MOST).min(descent.steps_taken());
        let batches = || (0..looks).map(Sample::Mini);
        let now = self.loss(descent, batches())?;
        let start = self.refuge.as_ref().filter(|refuge| refuge.reference.is_none() && refuge.moves < 2);
        if let Some(start) = start.map(|refuge| refuge.kept.clone()) {
            let state = self.with_state(descent, start);
            let reference = self.loss(descent, batches())?;
            descent.set_state(state);
            self.refuge.iter_mut().for_each(|refuge| refuge.reference = Some(reference));
        }
        Ok((now, self.refuge.as_ref().and_then(|refuge| refuge.reference)))
    }

    /// The mean loss at the weights to evaluate.
    fn loss<D>(&mut self, descent: &D, on: impl IntoIterator<Item = Sample>) -> Result<f64>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let (at, objective, mut sum, mut count) = (descent.evaluated(), descent.objective(), 0.0, 0.0);
        for on in on {
            sum += objective.gradient(&at, on)?.0;
            count += 1.0;
            self.sharpness.cost += objective.gradient_cost(on);
        }
        Ok(sum / count)
    }

    /// Replaces the state of `descent`, and gives the one that it had. The gradient of the coming step is computed
    /// again.
    fn with_state<D>(&mut self, descent: &mut D, state: S) -> S
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        self.sharpness.cost += 1.0;
        let own = descent.state().clone();
        descent.set_state(state);
        own
    }

    fn go_back<D>(&mut self, descent: &mut D)
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let Some(refuge) = &mut self.refuge else { return };
        refuge.next.clone_from(&refuge.kept);
        if refuge.moves < 2 {
            refuge.moves = 0;
        }
        let kept = refuge.kept.clone();
        self.with_state(descent, kept);
        self.returned(descent.steps_taken());
    }

    /// Notes that the run has gone back. What deviations grow from here on is another matter.
    fn returned(&mut self, taken: u64) {
        self.returns.push(taken);
        if let Some(deviations) = &mut self.deviations {
            deviations.restart(taken);
        }
    }
}

/// The places to go back to, where there are any, and when the run went there.
pub(super) fn keep<S: Persist>(
    refuge: &mut Option<Refuge<S>>,
    returns: &mut Vec<u64>,
    state: &S,
    archive: &mut Archive<'_>,
) -> Result<()> {
    let write = |step: &u64| [*step as f64];
    archive.list("returns", returns, write, |[step]| Some(step as u64))?;
    let mut there = u64::from(refuge.is_some());
    archive.count("there", &mut there)?;
    if archive.is_loading() {
        *refuge = (there == 1).then(|| Refuge::at(&state.zeros_like()));
    }
    let Some(refuge) = refuge else { return Ok(()) };
    refuge.kept.keep("kept", archive)?;
    refuge.next.keep("next", archive)?;
    archive.count("moves", &mut refuge.moves)?;
    archive.optional("reference", &mut refuge.reference)
}
