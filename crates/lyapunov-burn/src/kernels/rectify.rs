//! ReLU, and what passes where it passes.

use super::{channels, number::Real, workspace::Workspace};

/// The larger of x and 0; what is not a number stays so.
pub(crate) fn rectify<T: Real>(space: &Workspace, x: &[T], y: &mut [T]) {
    channels::map(
        space,
        [y],
        [x],
        [],
        #[inline(always)]
        |[x], []| [if x <= T::ZERO { T::ZERO } else { x }],
    );
}

/// The larger of a + b and 0; what is not a number stays so.
pub(crate) fn rectify_sum<T: Real>(space: &Workspace, [a, b]: [&[T]; 2], y: &mut [T]) {
    channels::map(
        space,
        [y],
        [a, b],
        [],
        #[inline(always)]
        |[a, b], []| {
            let sum = a + b;
            [if sum <= T::ZERO { T::ZERO } else { sum }]
        },
    );
}

/// t where y, the output of a ReLU, is not zero.
pub(crate) fn gate<T: Real>(space: &Workspace, y: &[T], t: &[T], out: &mut [T]) {
    channels::map(
        space,
        [out],
        [y, t],
        [],
        #[inline(always)]
        |[y, t], []| [if y <= T::ZERO { T::ZERO } else { t }],
    );
}
