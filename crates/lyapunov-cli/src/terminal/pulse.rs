//! Signs of life where there is no terminal: a line every half minute, with how fast the work goes on and how long it
//! will.

use std::{
    cell::Cell,
    io::{self, Write},
    time::{Duration, Instant},
};

use crate::text::{compact, duration, number};

/// Between two lines.
pub const PERIOD: Duration = Duration::from_secs(30);

/// What is being done, and how much of it is.
pub struct Pulse {
    what: String,
    /// `product`, `step` or `run`.
    unit: &'static str,
    total: Option<u64>,
    done: Cell<u64>,
    began: Instant,
    message: Cell<Instant>,
}

impl Pulse {
    /// Work that begins now, of so many units where that is known.
    pub fn new(what: &str, unit: &'static str, total: Option<u64>) -> Self {
        let now = Instant::now();
        Self { what: what.to_owned(), unit, total, done: Cell::new(0), began: now, message: Cell::new(now) }
    }

    /// So many units more; says so on standard error where the last line is half a minute old.
    pub fn add(&self, count: u64) {
        self.done.set(self.done.get() + count);
        if self.message.get().elapsed() >= PERIOD {
            self.message.set(Instant::now());
            // Where standard error is closed, nobody is left to read it.
            let _ = writeln!(io::stderr(), "{}", self.line(self.began.elapsed()));
        }
    }

    /// `frozen weights: 1,200 of 9,000 steps, 41 per second, 3 min 10 s left`.
    fn line(&self, elapsed: Duration) -> String {
        let (done, seconds) = (self.done.get() as f64, elapsed.as_secs_f64().max(1e-9));
        let rate = done / seconds;
        let of = self.total.map(|total| format!(" of {}", number(total as f64, 0))).unwrap_or_default();
        let speed = if rate >= 1.0 {
            format!("{} per second", compact(rate, 0))
        } else {
            format!("{} each", duration(seconds / done.max(1.0)))
        };
        let left = self.total.filter(|_| rate > 0.0).map(|total| (total as f64 - done).max(0.0) / rate);
        let left = left.map(|left| format!(", {} left", duration(left))).unwrap_or_default();
        format!("{}: {}{of} {}s, {speed}{left}", self.what, number(done, 0), self.unit)
    }
}

/// What is said of a run at its start: how long a step takes, and so how long the run will.
pub fn outlook(step: Duration, left: u64) -> String {
    let seconds = step.as_secs_f64();
    let each = if seconds < 1.0 { format!("{} ms", compact(1e3 * seconds, 0)) } else { duration(seconds) };
    format!(
        "A step takes about {each}: {} for the {} steps that are left",
        duration(seconds * left as f64),
        number(left as f64, 0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let pulse = Pulse::new("frozen weights", "step", Some(9000));
        pulse.done.set(1200);
        assert_eq!(
            pulse.line(Duration::from_secs(30)),
            "frozen weights: 1,200 of 9,000 steps, 40 per second, 3 min 15 s left"
        );
        let slow = Pulse::new("λ_max", "product", None);
        slow.done.set(2);
        assert_eq!(slow.line(Duration::from_secs(30)), "λ_max: 2 products, 15.0 s each");
    }

    #[test]
    fn the_outlook_is_that_of_the_steps_that_are_left() {
        assert_eq!(
            outlook(Duration::from_millis(21), 1559),
            "A step takes about 21 ms: 32.7 s for the 1,559 steps that are left"
        );
    }
}
