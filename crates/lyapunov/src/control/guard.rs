//! Whether the loss of a run has gone above where it began, and what is to be done about it.

use crate::{error::Result, snapshot::Archive};

/// What keeps a rule from ending above its first loss: a factor of its learning rate, and a place to go back to.
///
/// Rules go by curvature, and what they probe now and then is a batch like most others. Where a few batches are far
/// sharper, as outliers among the images make them, every rule steps too far on these; no probe shows it, but the loss
/// does. The principle is that of every descent with safeguards: **a stretch of steps that raised the loss above the
/// first one is taken back, and tried again with half the learning rate**, which never rises again.
///
/// - The first loss is the mean of the first ten; a run is *well* below 0.95 times that, and below 0.95 times the loss
///   of its very first step.
/// - The factor is halved, and the run goes back, where the mean over the last 20 steps is above twice the first loss,
///   over the last 100 above 1.5 times, or over the last 500 above 1.3 times. On batches of one image, whose losses
///   scatter by half, these are six, three and two standard errors for a loss that stays where it began. So it is where
///   loss or gradient are not finite.
/// - Where the mean over 50 steps is not well, the batches of the first steps are computed again, at the weights of now
///   and at those of the start: the same batches, so that no scatter hides the difference. Above 1.2 times the loss
///   there, the factor is halved and the run goes back too; else the next such look comes after twice as many steps.
/// - It goes back to the middle of the last hundred steps of which both halves were well; until there are any, to the
///   start.
/// - After the last step, where the losses of the last one, ten or fifty steps are not well, the loss on all data is
///   computed, at the weights of the end and at those that it would go back to, and the run ends at the better ones.
///
/// **Cost**: none for a run that is well; else looks of 10 to 100 gradients, of which there are as many as the
/// logarithm of the steps, and two passes over the data at the end. Memory: two copies of the optimizer's state.
///
/// [`run`](crate::run) and [`Training::advance`](crate::Training::advance) go back; a loop of one's own, which owns the
/// state itself, has the factor alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    factor: f64,
    /// The loss of the first step, and the mean of the first ones.
    start: f64,
    first: f64,
    seen: u64,
    /// An average over about ten steps, and the mean of the last stage that ended.
    recent: f64,
    stage: f64,
    windows: [Window; 4],
    turn: Turn,
    /// How many stages pass without a look, and how many of these are left.
    gap: u64,
    skip: u64,
}

/// What the loop does with the state before the coming step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    #[default]
    Ahead,
    /// It is a place to go back to, if what follows is as good as what was.
    Keep,
    /// Looks at the first batches again, and says what it sees.
    Look,
    /// It is taken back.
    Back,
}

/// The losses since the last time that so many had been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Window {
    sum: f64,
    count: u64,
}

/// How long the windows are, and how many times the first loss their means may be.
const LIMITS: [(u64, f64); 4] = [(20, 2.0), (100, 1.5), (500, 1.3), (STAGE, f64::INFINITY)];

/// The losses that make the first one.
const FIRST: u64 = 10;

/// Steps after which the place to go back to may move.
const STAGE: u64 = 50;

/// Below this times the first loss a run is well.
const WELL: f64 = 0.95;

/// Above this times the loss at the start, on the same batches, it is not.
const WORSE: f64 = 1.2;

/// The least factor: a loss that rises with so small steps does not rise for their length.
const LEAST: f64 = 1e-9;

impl Default for Guard {
    fn default() -> Self {
        let windows = [Window::default(); 4];
        let (turn, gap, skip) = (Turn::Ahead, 0, 0);
        Self { factor: 1.0, start: 0.0, first: 0.0, seen: 0, recent: 0.0, stage: 0.0, windows, turn, gap, skip }
    }
}

impl Guard {
    /// What the learning rate is multiplied by: 1 at first, then halved again and again.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// The loss of the coming step.
    pub(super) fn see(&mut self, loss: f64) {
        self.turn = Turn::Ahead;
        if !loss.is_finite() {
            return;
        }
        self.seen += 1;
        if self.seen == 1 {
            self.start = loss;
        }
        if self.seen <= FIRST {
            self.first += (loss - self.first) / self.seen as f64;
            (self.recent, self.stage) = (self.first, self.first);
            return;
        }
        self.recent += 0.1 * (loss - self.recent);
        let (mut high, well, mut stage) = (false, self.well(), None);
        let limits = LIMITS.map(|(length, limit)| (length, self.times_first(limit)));
        for (window, (length, limit)) in self.windows.iter_mut().zip(limits) {
            (window.sum, window.count) = (window.sum + loss, window.count + 1);
            if window.count == length {
                let mean = window.sum / length as f64;
                high |= mean > limit;
                if length == STAGE {
                    (self.stage, stage) = (mean, Some(mean <= well));
                }
                *window = Window::default();
            }
        }
        self.turn = match stage {
            _ if high && self.factor > LEAST => return self.back_off(),
            Some(true) => Turn::Keep,
            Some(false) => self.look(),
            None => Turn::Ahead,
        };
    }

    /// The first loss.
    pub(crate) fn first(&self) -> f64 {
        self.first
    }

    pub(crate) fn turn(&self) -> Turn {
        self.turn
    }

    /// What a look at the first batches has shown: their loss now, and at the start.
    pub(crate) fn looked(&mut self, now: f64, start: f64) {
        self.turn = Turn::Ahead;
        let worse = start + (WORSE - 1.0) * start.abs();
        // What is not a number is worse than anything.
        if self.factor > LEAST && (now > worse || now.is_nan()) {
            self.back_off();
        } else {
            self.gap = (2 * self.gap).max(1);
            self.skip = self.gap;
        }
    }

    /// Loss or gradient are not finite: whether to go back and try again.
    pub(crate) fn lost(&mut self) -> bool {
        let again = self.factor > LEAST;
        if again {
            self.back_off();
        }
        again
    }

    /// Whether a run may have ended above its first loss, whose last one this is.
    pub(crate) fn is_in_doubt(&self, last: f64) -> bool {
        let well = self.well();
        !(self.recent <= well && self.stage <= well && last <= well)
    }

    /// What comes next is judged by itself.
    fn back_off(&mut self) {
        self.factor *= 0.5;
        self.windows = [Window::default(); 4];
        (self.recent, self.stage) = (self.first, self.first);
        self.turn = Turn::Back;
        (self.gap, self.skip) = (0, 0);
    }

    fn look(&mut self) -> Turn {
        if self.skip == 0 {
            return Turn::Look;
        }
        self.skip -= 1;
        Turn::Ahead
    }

    /// Below this a run is well: the first steps may have raised the loss already.
    fn well(&self) -> f64 {
        let first = self.first.min(self.start);
        first - (1.0 - WELL) * first.abs()
    }

    /// So many times the first loss, where that is positive; as far above or below it where it is not.
    fn times_first(&self, times: f64) -> f64 {
        self.first + (times - 1.0) * self.first.abs()
    }

    pub(super) fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        let mut numbers = [self.factor, self.start, self.first, self.recent, self.stage];
        archive.array("back_off", &mut numbers)?;
        [self.factor, self.start, self.first, self.recent, self.stage] = numbers;
        archive.count("back_off_seen", &mut self.seen)?;
        archive.count("back_off_gap", &mut self.gap)?;
        archive.count("back_off_skip", &mut self.skip)?;
        let mut sums = self.windows.map(|window| window.sum);
        let mut counts = self.windows.map(|window| window.count as f64);
        archive.array("back_off_sums", &mut sums)?;
        archive.array("back_off_counts", &mut counts)?;
        for (i, window) in self.windows.iter_mut().enumerate() {
            *window = Window { sum: sums[i], count: counts[i] as u64 };
        }
        Ok(())
    }
}
