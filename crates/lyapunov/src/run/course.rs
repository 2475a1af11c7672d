//! Whether a training converges or diverges, and how fast: one number per run, for pictures of many.

use crate::{descent::Descent, error::Result, system::Outcome};

/// How a training went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// From −1, for a training whose loss is gone at once, to 1, for one that diverges at once; around 0 nothing
    /// happens. It converges where this is at most 0.
    ///
    /// With x_t = loss of step t over the first loss, over T steps: mean of min(1, x_t) − 1 where it converges, 1 − mean
    /// of min(1, 1/x_t) where it diverges.
    pub speed: f64,
    /// How it ended.
    pub outcome: Outcome,
}

/// So many losses at the end decide.
const LAST: u64 = 20;

/// What has come so far above the first loss does not come back in sums of numbers that small.
const LOST: f64 = 1e12;

/// Trains for `steps` steps. A training diverges where its loss is not finite, where it is 10¹² times the first one, or
/// where the mean of its last 20 losses is above the first one; else it converges.
///
/// **Cost**: one gradient per step; a run that diverges ends there.
///
/// Source: the measure is that of Sohl-Dickstein, *The boundary of neural network trainability is fractal* (2024),
/// section 2.2.
///
/// ```
/// use lyapunov::{Outcome, Product, Sgd, course, systems::Quadratic};
/// let train = |rate| course(&mut Sgd::new(Quadratic::new(vec![1.0]), vec![1.0], rate, Product::Exact), 100);
/// // x_t = (1 − η)^2t: at η = 1.5 its sum is 4/3.
/// assert!((train(1.5)?.speed - (4.0 / 300.0 - 1.0)).abs() < 1e-12);
/// assert_eq!(train(3.0)?.outcome, Outcome::Diverged { step: 20 });
/// assert!((train(3.0)?.speed - (1.0 - 4.0 / 300.0)).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
///
/// # Errors
/// Those of the objective.
pub fn course<D: Descent>(descent: &mut D, steps: u64) -> Result<Course> {
    let (mut first, mut below, mut above, mut late) = (f64::NAN, 0.0, 0.0, 0.0);
    let count = steps.max(1) as f64;
    for step in 0..steps {
        let loss = descent.gradient()?.0;
        if step == 0 {
            first = loss;
        }
        // A loss of zero has nothing to lose.
        let share = if first == 0.0 { loss } else { loss / first };
        if share.is_nan() || share > LOST {
            return Ok(Course { speed: 1.0 - above / count, outcome: Outcome::Diverged { step } });
        }
        below += share.min(1.0);
        above += share.recip().min(1.0);
        if step + LAST >= steps {
            late += share;
        }
        descent.step(&mut [])?;
    }
    let diverged = late > LAST.min(steps) as f64;
    let speed = if diverged { 1.0 - above / count } else { below / count - 1.0 };
    Ok(Course { speed, outcome: if diverged { Outcome::Diverged { step: steps } } else { Outcome::Completed } })
}
