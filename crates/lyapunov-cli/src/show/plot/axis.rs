//! Axes: which part of the numbers is shown, on which scale, and where the ticks are.

use crate::text::number;

/// One axis: linear or logarithmic, from low to high.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

/// Positive numbers that span more than this are shown on a logarithmic axis.
const WIDE: f64 = 20.0;

impl Axis {
    /// From `low` to `high`, as they are.
    pub fn exactly(low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, logarithmic: false }
    }

    /// Decades from `low` to the largest of these numbers, with a little room above.
    pub fn decades(low: f64, numbers: impl Iterator<Item = f64>) -> Self {
        let high = numbers.filter(|number| number.is_finite()).fold(10.0 * low, f64::max);
        Self { low, high: high * (high / low).powf(0.06), logarithmic: true }
    }

    /// An axis that shows all of these finite numbers with a little room: logarithmic where they span decades, from
    /// zero where zero is near.
    pub fn around(numbers: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for number in numbers.filter(|number| number.is_finite()) {
            (low, high) = (low.min(number), high.max(number));
        }
        if low > high {
            Self::exactly(0.0, 1.0)
        } else if low > 0.0 && high / low > WIDE {
            let room = (high / low).powf(0.06);
            Self { low: low / room, high: high * room, logarithmic: true }
        } else {
            let room = if high > low { 0.08 * (high - low) } else { 0.5 * high.abs().max(1e-3) };
            let from_zero = low >= 0.0 && low < 0.5 * high;
            Self { low: if from_zero { 0.0 } else { low - room }, high: high + room, logarithmic: false }
        }
    }

    /// Where `value` stands: 0 at the low end, 1 at the high end; `None` where it has no place.
    pub fn position(&self, value: f64) -> Option<f64> {
        let place = |value: f64| if self.logarithmic { value.ln() } else { value };
        let position = (place(value) - place(self.low)) / (place(self.high) - place(self.low));
        position.is_finite().then_some(position)
    }

    /// About `wanted` round numbers on the axis, with their texts.
    pub fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        if self.logarithmic { self.logarithmic_ticks(wanted) } else { self.linear_ticks(wanted) }
    }

    /// About `wanted` round whole numbers on a linear axis, with their texts.
    pub fn whole_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        self.linear_ticks(wanted.min((self.high - self.low) as usize))
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / wanted.max(1) as f64);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).map(|value| (value, number(value, decimals))).collect()
    }

    fn logarithmic_ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let decades = (self.high / self.low).log10();
        let leads: &[f64] = match decades {
            d if d < 2.0 => &[1.0, 2.0, 5.0],
            d if d < 3.5 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let stride = ((decades / wanted.max(1) as f64).ceil() as i32).max(1);
        let powers = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
        powers
            .filter(|power| power.rem_euclid(stride) == 0)
            .flat_map(|power| leads.iter().map(move |lead| (lead * 10_f64.powi(power), power)))
            .filter(|(value, _)| (self.low..=self.high).contains(value))
            .map(|(value, power)| (value, power_text(value, power)))
            .collect()
    }
}

/// The number of the form 1, 2, 5 × 10^k that is next above `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|lead| lead * power).into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
}

fn power_text(value: f64, power: i32) -> String {
    if (-4..6).contains(&power) { number(value, (-power).max(0) as usize) } else { scientific(value) }
}

/// Two digits at most: a tick is 1, 2, 3 or 5 times a power of ten, up to rounding.
fn scientific(value: f64) -> String {
    let text = format!("{value:.1e}");
    text.replacen(".0e", "e", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: Axis) -> Vec<String> {
        axis.ticks(5).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(texts(Axis::exactly(0.0, 395.0)), ["0", "100", "200", "300"]);
        assert_eq!(texts(Axis::exactly(0.0, 2.4)), ["0.0", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!(texts(Axis::exactly(-1500.0, 1200.0)), ["−1,000", "0", "1,000"]);
        let steps = Axis::exactly(0.0, 2.0).whole_ticks(8);
        assert_eq!(steps.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["0", "1", "2"]);
    }

    #[test]
    fn decades_get_a_logarithmic_axis() {
        let axis = Axis::around([1e-4, f64::NAN, 2.0].into_iter());
        assert_eq!(texts(axis), ["0.0001", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(axis.position(0.0), None);
        assert_eq!(texts(Axis::around([0.5, 20.0].into_iter())), ["0.5", "1", "2", "5", "10", "20"]);
        assert!(texts(Axis::around([1e-30, 1.0].into_iter())).len() < 8);
    }

    #[test]
    fn decades_begin_where_they_are_asked_to() {
        assert_eq!([5e-6 - 4e-14, 3.000_000_000_4e-8, 1e-30].map(scientific), ["5e-6", "3e-8", "1e-30"]);
        let axis = Axis::decades(1e-3, [1e-30, f64::NAN, 10.0].into_iter());
        assert_eq!(axis.position(1e-3), Some(0.0));
        assert!(axis.position(10.0).unwrap() < 1.0);
        assert_eq!(texts(axis), ["0.001", "0.01", "0.1", "1", "10"]);
        assert!(!texts(Axis::decades(1e-3, std::iter::empty())).is_empty());
    }

    #[test]
    fn numbers_near_zero_are_shown_from_zero_and_others_with_room() {
        assert_eq!(Axis::around([0.2, 2.0].into_iter()).position(0.0), Some(0.0));
        let axis = Axis::around([90.0, 100.0].into_iter());
        assert!(axis.position(90.0).unwrap() > 0.05 && axis.position(100.0).unwrap() < 0.95);
    }

    #[test]
    fn nothing_and_a_single_number_have_an_axis() {
        assert!(!texts(Axis::around(std::iter::empty())).is_empty());
        assert!(!texts(Axis::around([0.0].into_iter())).is_empty());
        assert!(!texts(Axis::around([2.3].into_iter())).is_empty());
        assert!(!texts(Axis::exactly(0.0, 0.0)).is_empty());
    }
}
