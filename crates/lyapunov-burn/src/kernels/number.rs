//! The numbers that kernels compute with, and their vectors in each instruction set.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use bytemuck::Pod;
use pulp::{Arch, Simd, WithSimd};

use super::exponential;

/// f32 or f64.
pub(crate) trait Real:
    Pod
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The polynomial of the tail of the normal distribution.
    const TAIL: &'static [Self];
    /// A register of the instruction set `S`.
    type Vector<S: Simd>: Pod;
    /// x in every lane.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;
    /// a b + c, rounded once.
    fn multiply_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    /// a + b.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// As many whole registers as there are.
    fn vectors<S: Simd>(x: &[Self]) -> &[Self::Vector<S>];
    /// As many whole registers as there are.
    fn vectors_mut<S: Simd>(x: &mut [Self]) -> &mut [Self::Vector<S>];
    /// The nearest number.
    fn from_f64(x: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// Its size.
    fn abs(self) -> Self;
    /// Its size with the sign of the other.
    fn with_sign_of(self, other: Self) -> Self;
    /// exp(−x) = 2ⁿ (1 + p) of a number that is not negative, as 2ⁿ and p.
    fn exponential(self) -> [Self; 2];
}

macro_rules! real {
    ($number:ty, $vector:ident, $splat:ident, $multiply_add:ident, $add:ident, $as:ident, $as_mut:ident, $exponential:path, $most:expr, $tail:path) => {
        impl Real for $number {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const TAIL: &'static [Self] = &$tail;
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$vector {
                simd.$splat(x)
            }

            #[inline(always)]
            fn multiply_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$multiply_add(a, b, c)
            }

            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn vectors<S: Simd>(x: &[Self]) -> &[S::$vector] {
                S::$as(x).0
            }

            #[inline(always)]
            fn vectors_mut<S: Simd>(x: &mut [Self]) -> &mut [S::$vector] {
                S::$as_mut(x).0
            }

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as Self
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }

            #[inline(always)]
            fn with_sign_of(self, other: Self) -> Self {
                self.copysign(other)
            }

            #[inline(always)]
            fn exponential(self) -> [Self; 2] {
                $exponential(self, $most)
            }
        }
    };
}

real!(
    f32,
    f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    exponential::single,
    87.0,
    exponential::SINGLE_TAIL
);
real!(
    f64,
    f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    exponential::double,
    708.0,
    exponential::DOUBLE_TAIL
);

/// Numbers in a register.
#[inline(always)]
pub(super) fn lanes<T: Real, S: Simd>() -> usize {
    size_of::<T::Vector<S>>() / size_of::<T>()
}

struct Lanes<T>(std::marker::PhantomData<T>);

impl<T: Real> WithSimd for Lanes<T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        lanes::<T, S>()
    }
}

/// The widest instruction set of this processor.
pub(super) fn arch() -> Arch {
    #[cfg(test)]
    if let Some(narrower) = narrowed::ARCH.get() {
        return narrower;
    }
    Arch::new()
}

/// Work that takes what it needs by reference.
struct Work<F>(F);

impl<F: FnMut()> WithSimd for Work<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        (self.0)();
    }
}

/// Does the work, whose loops become loops over the widest registers of this processor where it is marked to be
/// inlined always. Called as `FnOnce`, as `pulp` does, it would pass through a function that is compiled for none.
pub(super) fn in_registers(work: impl FnMut()) {
    arch().dispatch(Work(work));
}

/// Numbers in a register of this processor.
pub(super) fn lanes_here<T: Real>() -> usize {
    arch().dispatch(Lanes::<T>(std::marker::PhantomData))
}

/// Whether this processor has registers of several numbers and rounds a b + c once: without them the kernels are right,
/// and slower than plain operations.
pub(crate) fn has_registers() -> bool {
    lanes_here::<f64>() > 1
}

#[cfg(test)]
pub(super) mod narrowed {
    //! The kernels by a narrower instruction set.

    use std::cell::Cell;

    use pulp::Arch;

    thread_local! {
        pub static ARCH: Cell<Option<Arch>> = const { Cell::new(None) };
    }

    /// The instruction sets of this processor that kernels are used with, the narrowest first.
    pub fn all() -> Vec<Arch> {
        #[cfg(target_arch = "x86_64")]
        let wider = [pulp::x86::V3::try_new().map(Arch::V3), pulp::x86::V4::try_new().map(Arch::V4)];
        #[cfg(not(target_arch = "x86_64"))]
        let wider = [Some(Arch::new())];
        wider.into_iter().flatten().collect()
    }

    /// What `work` returns where the kernels of this thread use this instruction set.
    pub fn by<T>(arch: Arch, work: impl FnOnce() -> T) -> T {
        ARCH.set(Some(arch));
        let result = work();
        ARCH.set(None);
        result
    }
}
