//! Whether a run is blowing up: two averages of the loss, and a patience between alarms.

use crate::{error::Result, snapshot::Archive};

/// Tells a loss that has gone up from one that scatters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct LossWatch {
    /// The mean of the first losses.
    first: f64,
    /// The averages of the last ones, over about 5 and 50 steps.
    short: f64,
    slow: f64,
    seen: u32,
    /// Whether the loss is up at present.
    pub(super) alarmed: bool,
    /// Steps until the next halving, and the short average at the last one.
    rest: u32,
    last: f64,
}

impl LossWatch {
    const FIRST: u32 = 5;
    const REST: u32 = 5;
    const SHORT_FOLLOWS: f64 = 0.2;
    const SLOW_FOLLOWS: f64 = 0.02;
    const ALARM: f64 = 1.3;

    /// Whether this loss asks for a halving.
    pub(super) fn see(&mut self, loss: f64) -> bool {
        if self.seen < Self::FIRST {
            self.seen += 1;
            self.first += (loss - self.first) / f64::from(self.seen);
            (self.short, self.slow) = (self.first, self.first);
            return false;
        }
        // One loss that is out of all proportion does not set the averages for long.
        self.short += Self::SHORT_FOLLOWS * (loss.min(10.0 * self.short) - self.short);
        self.slow += Self::SLOW_FOLLOWS * (loss.min(3.0 * self.slow) - self.slow);
        self.rest = self.rest.saturating_sub(1);
        self.alarmed = self.short > Self::ALARM * self.slow.max(0.5 * self.first);
        let halve = self.alarmed && (self.rest == 0 || self.short > 2.0 * self.last);
        if halve {
            (self.rest, self.last) = (Self::REST, self.short);
        }
        halve
    }

    /// Leads `archive` past all of it.
    pub(super) fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        let whole = |number: u32| f64::from(number);
        let Self { first, short, slow, seen, alarmed, rest, last } = *self;
        let mut row = [first, short, slow, whole(seen), whole(alarmed.into()), whole(rest), last];
        archive.array("loss", &mut row)?;
        let [first, short, slow, seen, alarmed, rest, last] = row;
        *self = Self { first, short, slow, seen: seen as u32, alarmed: alarmed == 1.0, rest: rest as u32, last };
        Ok(())
    }
}
