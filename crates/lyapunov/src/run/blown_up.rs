//! Whether a run that ended with finite numbers has blown up all the same.

/// How many times the first loss the end has to lie above it.
const FACTOR: f64 = 10.0;

/// Whether a run has blown up though its numbers are finite, as ReLU networks do whose units have all died on the way:
/// the mean loss of the last tenth of the steps, and the `end` where it is known (the loss on all training images after
/// the last step), both lie above ten times the first loss.
///
/// `losses` are those of the mini-batches, step after step, from initial weights. A plateau ends where it began, or
/// below. A catapult, where the loss shoots up once and finds a flatter place, is judged where it has come down to;
/// only a run that ends on the way up, after a tenth of its steps there, counts as blown up. Losses that are not finite
/// are another matter: [`Outcome::Diverged`](crate::Outcome::Diverged).
///
/// ```
/// use lyapunov::has_blown_up;
/// let catapult = (0..100).map(|step| if (5..30).contains(&step) { 300.0 } else { 2.0 });
/// assert!(!has_blown_up(catapult, Some(1.5)));
/// assert!(has_blown_up((0..100).map(|step| if step < 5 { 2.3 } else { 7e23 }), Some(7e23)));
/// ```
pub fn has_blown_up(losses: impl IntoIterator<Item = f64>, end: Option<f64>) -> bool {
    let losses: Vec<f64> = losses.into_iter().collect();
    let Some(first) = losses.first().filter(|first| **first > 0.0) else { return false };
    let tail = &losses[losses.len() - losses.len().div_ceil(10)..];
    let late = tail.iter().sum::<f64>() / tail.len() as f64;
    let far = |loss: f64| loss > FACTOR * first;
    far(late) && end.is_none_or(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_fire_on_a_plateau_a_catapult_or_noise() {
        let steps = 0..200_u32;
        let plateau = steps.clone().map(|_| 2.25);
        assert!(!has_blown_up(plateau, Some(2.25)));
        // A rise to 1,000 times the first loss that comes down before the end; at once, and slowly.
        for width in [5.0, 20.0] {
            let catapult = steps.clone().map(|t| 0.5 + 500.0 * (-(f64::from(t) - 40.0).powi(2) / width).exp());
            assert!(!has_blown_up(catapult, Some(0.4)));
        }
        // One batch of one image, met at the end, is no end.
        let noise = steps.clone().map(|t| if t % 50 == 49 { 60.0 } else { 1.0 });
        assert!(!has_blown_up(noise, Some(1.1)));
        assert!(!has_blown_up(steps.map(|_| 0.0), Some(0.0)) && !has_blown_up([], None));
    }

    #[test]
    fn it_fires_on_what_ends_high() {
        let losses = (0..300).map(|t| if t < 20 { 2.3 } else { 5.8e9 * f64::from(t % 3) });
        assert!(has_blown_up(losses.clone(), Some(5.8e9)) && has_blown_up(losses.clone(), None));
        assert!(!has_blown_up(losses, Some(2.0)), "where all images say otherwise");
    }

    #[test]
    fn the_border_is_ten_times_the_first_loss() {
        let ends_at = |late: f64| (0..100).map(move |t| if t < 80 { 2.0 } else { late });
        assert!(!has_blown_up(ends_at(19.9), None) && !has_blown_up(ends_at(30.0), Some(19.9)));
        assert!(has_blown_up(ends_at(20.1), None) && has_blown_up(ends_at(30.0), Some(20.1)));
    }
}
