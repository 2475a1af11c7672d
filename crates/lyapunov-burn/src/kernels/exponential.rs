//! exp, in a form without branches, so that a loop of it becomes a loop over registers.
#![allow(clippy::excessive_precision, reason = "digits are those of the constants, not of their rounding")]

macro_rules! exponential {
    (
        $name:ident, $number:ident, $bits:ident,
        mantissa: $mantissa:expr, bias: $bias:expr,
        ln_2: [$high:expr, $low:expr], factorials: $terms:expr
    ) => {
        /// exp(−size) = 2ⁿ (1 + p), as 2ⁿ and p with |p| < 0.42: the size, not negative, is cut off at `most`. What is
        /// not a number stays so.
        #[inline(always)]
        pub(super) fn $name(size: $number, most: $number) -> [$number; 2] {
            // Added to a number, it leaves the nearest integer in the last bits.
            const ROUND: $number = 1.5 * ((1 as $bits) << $mantissa) as $number;
            const LAST: usize = $terms;
            /// 1/k! from k = 1.
            const INVERSE: [$number; LAST] = {
                let (mut inverse, mut factorial, mut k) = ([1.0; LAST], 1.0, 1);
                while k < LAST {
                    factorial *= (k + 1) as $number;
                    inverse[k] = 1.0 / factorial;
                    k += 1;
                }
                inverse
            };
            let argument = -(if size > most { most } else { size });
            let rounded = argument * std::$number::consts::LOG2_E + ROUND;
            let n = rounded - ROUND;
            let power =
                $number::from_bits((rounded.to_bits() << $mantissa).wrapping_add(($bias as $bits) << $mantissa));
            let r = argument - n * $high - n * $low;
            let mut sum = INVERSE[LAST - 1];
            let mut k = LAST - 1;
            while k > 0 {
                k -= 1;
                sum = sum * r + INVERSE[k];
            }
            [power, sum * r]
        }
    };
}

exponential!(
    single, f32, u32,
    mantissa: 23, bias: 127, ln_2: [0.693_359_375, -2.121_944_4e-4], factorials: 7
);
exponential!(
    double, f64, u64,
    mantissa: 52, bias: 1023, ln_2: [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10], factorials: 13
);

/// erfc(z) exp(z²)/t with t = 2/(2 + z), as a polynomial of 2t − 1 on z ≥ 0: its Chebyshev series, which ends here at a
/// part in 10¹⁰.
pub(super) const SINGLE_TAIL: [f32; 11] = [
    0.510_791_36,
    0.343_580_32,
    0.139_735_73,
    0.018_221_669,
    -0.010_751_626,
    -0.003_243_452,
    0.001_529_157_2,
    0.000_430_670_5,
    -0.000_299_382_7,
    -3.660_187_7e-5,
    4.216_12e-5,
];

/// The same, to a part in 10¹⁶.
pub(super) const DOUBLE_TAIL: [f64; 25] = [
    0.510_791_352_621_011_5,
    0.343_580_342_206_906_7,
    0.139_736_046_278_014_75,
    0.018_221_115_753_294_92,
    -0.010_755_330_944_036_531,
    -0.003_239_592_529_527_153_2,
    0.001_545_306_014_101_328_7,
    0.000_418_647_971_066_050_77,
    -0.000_331_536_576_690_146_12,
    -1.718_525_417_040_69e-5,
    7.223_418_829_504_807e-5,
    -1.707_663_814_507_957e-5,
    -1.084_298_532_996_441e-5,
    8.067_106_211_220_229e-6,
    -5.776_423_611_511_427e-7,
    -1.835_078_540_898_153e-6,
    1.030_569_921_529_110_6e-6,
    1.572_054_006_679_415_8e-8,
    -3.262_460_935_296_672e-7,
    1.497_143_526_022_312_1e-7,
    3.600_084_529_207_993_4e-8,
    -5.145_629_434_357_735e-8,
    6.520_434_614_401_54e-9,
    6.597_367_302_900_275e-9,
    -1.911_173_728_607_894e-9,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_right_to_two_units_in_the_last_place() {
        let sizes = || (0..70_000).map(|i| f64::from(i) * 1e-3);
        let value = |[power, p]: [f64; 2]| power * p + power;
        let worst = sizes().map(|x| (value(double(x, 700.0)) / (-x).exp() - 1.0).abs()).fold(0.0, f64::max);
        assert!(worst < 2.0 * f64::EPSILON, "{worst:e}");
        let value = |[power, p]: [f32; 2]| f64::from(power * p + power);
        let error = |x: f64| value(single(x as f32, 80.0)) / (-f64::from(x as f32)).exp() - 1.0;
        let worst = sizes().map(|x| error(x).abs()).fold(0.0, f64::max);
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst:e}");
    }
}
