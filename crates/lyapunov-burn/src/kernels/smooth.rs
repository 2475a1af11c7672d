//! Smooth activations, what passes through their slopes, and how the slopes bend: tanh and GELU.
//!
//! tanh|x| = −e/(2 + e) with e = exp(−2|x|) − 1, which keeps its relative precision near zero. GELU is x Φ(x), with the
//! distribution function Φ of the standard normal: Φ(−|x|) = ½ erfc(|x|/√2), and one exponential gives it and its
//! density φ.

use std::f64::consts::FRAC_1_SQRT_2;

use super::{channels, number::Real, workspace::Workspace};

/// 1/√(2π).
const DENSITY: f64 = 0.398_942_280_401_432_7;

/// tanh x.
#[inline(always)]
pub(super) fn tanh_of<T: Real>(x: T) -> T {
    let size = x.abs();
    let [power, p] = (size + size).exponential();
    let e = power * p + (power - T::ONE);
    (-e / (T::ONE + T::ONE + e)).with_sign_of(x)
}

/// Φ(x) and φ(x).
#[inline(always)]
pub(super) fn normal<T: Real>(x: T) -> [T; 2] {
    let half = T::from_f64(0.5);
    let [power, p] = (x * x * half).exponential();
    let e = power * p + power;
    let two = T::ONE + T::ONE;
    let t = two / (two + x.abs() * T::from_f64(FRAC_1_SQRT_2));
    let s = t + t - T::ONE;
    let mut sum = T::ZERO;
    for coefficient in T::TAIL.iter().rev() {
        sum = sum * s + *coefficient;
    }
    let tail = half * e * t * sum;
    [if x > T::ZERO { T::ONE - tail } else { tail }, e * T::from_f64(DENSITY)]
}

/// tanh x.
pub(crate) fn tanh<T: Real>(space: &Workspace, x: &[T], y: &mut [T]) {
    channels::map(
        space,
        [y],
        [x],
        [],
        #[inline(always)]
        |[x], []| [tanh_of(x)],
    );
}

/// (1 − y²) t, where y = tanh x: a tangent behind it, or a gradient before it.
pub(crate) fn tanh_slope<T: Real>(space: &Workspace, y: &[T], t: &[T], out: &mut [T]) {
    channels::map(
        space,
        [out],
        [y, t],
        [],
        #[inline(always)]
        |[y, t], []| [t - y * y * t],
    );
}

/// −2 y t u: the gradient of [`tanh_slope`] in y, where u is that of its output.
pub(crate) fn tanh_bend<T: Real>(space: &Workspace, [y, t, u]: [&[T]; 3], out: &mut [T]) {
    channels::map(
        space,
        [out],
        [y, t, u],
        [],
        #[inline(always)]
        |[y, t, u], []| [-(y + y) * t * u],
    );
}

/// x Φ(x).
pub(crate) fn gelu<T: Real>(space: &Workspace, x: &[T], y: &mut [T]) {
    channels::map(
        space,
        [y],
        [x],
        [],
        #[inline(always)]
        |[x], []| [x * normal(x)[0]],
    );
}

/// (Φ(x) + x φ(x)) t.
pub(crate) fn gelu_slope<T: Real>(space: &Workspace, x: &[T], t: &[T], out: &mut [T]) {
    channels::map(
        space,
        [out],
        [x, t],
        [],
        #[inline(always)]
        |[x, t], []| {
            let [share, density] = normal(x);
            [(share + x * density) * t]
        },
    );
}

/// (2 − x²) φ(x) t u: the gradient of [`gelu_slope`] in x, where u is that of its output.
pub(crate) fn gelu_bend<T: Real>(space: &Workspace, [x, t, u]: [&[T]; 3], out: &mut [T]) {
    channels::map(
        space,
        [out],
        [x, t, u],
        [],
        #[inline(always)]
        |[x, t, u], []| {
            let [_, density] = normal(x);
            [(T::ONE + T::ONE - x * x) * density * t * u]
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of sizes from 1e-12 to 1e2, both signs.
    fn places() -> impl Iterator<Item = f64> {
        (0..40_000).map(|i| {
            let size = 10_f64.powf(f64::from(i) / 40_000.0 * 14.0 - 12.0);
            if i % 2 == 0 { size } else { -size }
        })
    }

    #[test]
    fn tanh_is_right_to_three_units_in_the_last_place() {
        let worst = places().map(|x| (tanh_of(x) / x.tanh() - 1.0).abs()).fold(0.0, f64::max);
        assert!(worst < 3.0 * f64::EPSILON, "{worst:e}");
        let single = |x: f64| f64::from(tanh_of(x as f32)) / f64::from(x as f32).tanh();
        let worst = places().map(|x| (single(x) - 1.0).abs()).fold(0.0, f64::max);
        assert!(worst < 3.0 * f64::from(f32::EPSILON), "{worst:e}");
    }

    /// Φ by tables to 16 digits; the far tail by its relative error.
    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        let table = [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (-1.0, 0.158_655_253_931_457_05),
            (2.0, 0.977_249_868_051_820_8),
            (-3.0, 1.349_898_031_630_094_6e-3),
            (-6.0, 9.865_876_450_376_98e-10),
            (-10.0, 7.619_853_024_160_527e-24),
        ];
        for (x, share) in table {
            let [found, density] = normal::<f64>(x);
            assert!((found / share - 1.0).abs() < 4e-15, "{x}: {found:e}");
            assert!((density / (DENSITY * (-0.5 * x * x).exp()) - 1.0).abs() < 1e-14, "{x}");
        }
        let worst = places().map(|x| (f64::from(normal(x as f32)[0]) - normal(f64::from(x as f32))[0]).abs());
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst:e}");
        // The density is the slope of the share.
        for x in [-3.0, -0.4, 0.0, 0.7, 5.0] {
            let slope = (normal::<f64>(x + 1e-4)[0] - normal::<f64>(x - 1e-4)[0]) / 2e-4;
            assert!((slope - normal::<f64>(x)[1]).abs() < 1e-8, "{x}");
        }
    }

    #[test]
    fn zeros_infinities_and_what_is_not_a_number() {
        assert_eq!([0.0, f64::INFINITY, f64::NEG_INFINITY, 1e300].map(tanh_of), [0.0, 1.0, -1.0, 1.0]);
        assert_eq!([0.0, f32::INFINITY, f32::NEG_INFINITY, 1e30].map(tanh_of), [0.0, 1.0, -1.0, 1.0]);
        assert!(tanh_of(-0.0_f64).is_sign_negative() && tanh_of(-0.0_f32).is_sign_negative());
        assert!(tanh_of(f64::NAN).is_nan() && tanh_of(f32::NAN).is_nan());
        assert_eq!([1e30, -1e30, f64::INFINITY].map(|x| normal(x)[0]), [1.0, 0.0, 1.0]);
        assert_eq!([1e30, -1e30, f32::INFINITY].map(|x| normal(x)[0]), [1.0, 0.0, 1.0]);
        assert!(normal(f64::NAN)[0].is_nan() && normal(f32::NAN)[0].is_nan());
    }
}
