//! Pooling of square images [examples, size, size, channels]: the largest number of each 2×2 window, or the mean of a
//! larger one.

use super::{
    number::{Real, in_registers},
    workspace::Workspace,
};

/// Images worked on together, in numbers.
const PART: usize = 1 << 16;

/// Square images that are pooled over square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    /// The side of an image.
    pub size: usize,
    /// Channels.
    pub channels: usize,
    /// The side of a window, which divides that of the image.
    pub window: usize,
}

impl Pool {
    /// Numbers of an image that comes in.
    pub fn image(&self) -> usize {
        self.size * self.size * self.channels
    }

    /// Numbers of an image that comes out.
    pub fn output(&self) -> usize {
        self.image() / (self.window * self.window)
    }

    /// Images of a part.
    fn part(&self) -> usize {
        (PART / self.image()).max(1)
    }

    /// Where the pixels of a row of a window begin, for every row: (number of the window, place).
    #[inline(always)]
    fn rows(self, numbers: usize, mut visit: impl FnMut(usize, usize)) {
        let (line, side) = (self.size * self.channels, self.size / self.window);
        for row in 0..numbers / line {
            for window in 0..side {
                let place = row * line + window * self.window * self.channels;
                visit((row / self.window * side + window) * self.channels, place);
            }
        }
    }
}

/// The numbers of `t` where `x` is largest in each 2×2 window, the first of equals; with t = x, the largest.
pub(crate) fn winners<T: Real>(space: &Workspace, pool: &Pool, x: &[T], t: &[T], out: &mut [T]) {
    let (image, output) = (pool.part() * pool.image(), pool.part() * pool.output());
    let parts = x.chunks(image).zip(t.chunks(image)).zip(out.chunks_mut(output));
    space.for_each(parts, |((x, t), out)| {
        in_registers(
            #[inline(always)]
            || {
                each_window(
                    pool,
                    out.len(),
                    #[inline(always)]
                    |to, from| {
                        let [wide, narrow, single] = pieces(pool.channels);
                        for k in wide {
                            let won = win::<T, 16>(windows(x, from, k), windows(t, from, k));
                            out[to + k..][..16].copy_from_slice(&won);
                        }
                        for k in narrow {
                            let won = win::<T, 8>(windows(x, from, k), windows(t, from, k));
                            out[to + k..][..8].copy_from_slice(&won);
                        }
                        for k in single {
                            out[to + k] = win::<T, 1>(windows(x, from, k), windows(t, from, k))[0];
                        }
                    },
                );
            },
        );
    });
}

/// The gradient of [`winners`] in t.
pub(crate) fn winners_gradient<T: Real>(space: &Workspace, pool: &Pool, x: &[T], u: &[T], dt: &mut [T]) {
    let (image, output) = (pool.part() * pool.image(), pool.part() * pool.output());
    let parts = x.chunks(image).zip(dt.chunks_mut(image)).zip(u.chunks(output));
    space.for_each(parts, |((x, dt), u)| {
        in_registers(
            #[inline(always)]
            || {
                each_window(
                    pool,
                    u.len(),
                    #[inline(always)]
                    |to, from| {
                        let [wide, narrow, single] = pieces(pool.channels);
                        for k in wide {
                            give::<T, 16>(windows(x, from, k), &u[to + k..], from.map(|place| place + k), dt);
                        }
                        for k in narrow {
                            give::<T, 8>(windows(x, from, k), &u[to + k..], from.map(|place| place + k), dt);
                        }
                        for k in single {
                            give::<T, 1>(windows(x, from, k), &u[to + k..], from.map(|place| place + k), dt);
                        }
                    },
                );
            },
        );
    });
}

/// Every 2×2 window: where its number and where its four pixels begin.
#[inline(always)]
fn each_window(pool: &Pool, outputs: usize, mut visit: impl FnMut(usize, [usize; 4])) {
    let (line, c) = (pool.size * pool.channels, pool.channels);
    let side = pool.size / 2;
    for row in 0..outputs / (side * c) {
        for column in 0..side {
            let first = 2 * row * line + 2 * column * c;
            visit((row * side + column) * c, [first, first + c, first + line, first + line + c]);
        }
    }
}

/// Where sixteen channels begin, eight of those that are left, and each that is left then.
#[inline(always)]
fn pieces(channels: usize) -> [std::iter::StepBy<std::ops::Range<usize>>; 3] {
    let (wide, narrow) = (channels / 16 * 16, channels / 8 * 8);
    [(0..wide).step_by(16), (wide..narrow).step_by(8), (narrow..channels).step_by(1)]
}

/// L channels of the four pixels of a window.
#[inline(always)]
fn windows<T: Real, const L: usize>(x: &[T], [a, b, c, d]: [usize; 4], channel: usize) -> [&[T; L]; 4] {
    [window(x, a + channel), window(x, b + channel), window(x, c + channel), window(x, d + channel)]
}

#[inline(always)]
fn window<T: Real, const L: usize>(x: &[T], place: usize) -> &[T; L] {
    x[place..].first_chunk().expect("windows lie inside the image")
}

/// Whether a number beats the best so far: the larger one, and what is not a number.
#[inline(always)]
fn beats<T: Real>(x: T, best: T) -> bool {
    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "what is not a number beats all, and is not beaten")]
    #[allow(clippy::eq_op, reason = "what is not a number differs from itself")]
    #[allow(clippy::needless_bitwise_bool, reason = "without a branch it is one instruction for many numbers")]
    let beats = !(x <= best) & (best == best);
    beats
}

#[inline(always)]
fn win<T: Real, const L: usize>(x: [&[T; L]; 4], t: [&[T; L]; 4]) -> [T; L] {
    // Read at once, they are chosen among; left where they are, it is their addresses that would be.
    let (x, t) = ([*x[0], *x[1], *x[2], *x[3]], [*t[0], *t[1], *t[2], *t[3]]);
    let mut all = [T::ZERO; L];
    for l in 0..L {
        let (mut best, mut won) = (x[0][l], t[0][l]);
        for pixel in 1..4 {
            let better = beats(x[pixel][l], best);
            best = if better { x[pixel][l] } else { best };
            won = if better { t[pixel][l] } else { won };
        }
        all[l] = won;
    }
    all
}

/// Gives L gradients to the winners of a window and zero to the others.
#[inline(always)]
fn give<T: Real, const L: usize>(x: [&[T; L]; 4], u: &[T], to: [usize; 4], dt: &mut [T]) {
    let u: &[T; L] = u.first_chunk().expect("outputs have as many channels");
    let mut given = [[T::ZERO; L]; 4];
    for l in 0..L {
        let second = beats(x[1][l], x[0][l]);
        let best = if second { x[1][l] } else { x[0][l] };
        let third = beats(x[2][l], best);
        let best = if third { x[2][l] } else { best };
        let fourth = beats(x[3][l], best);
        // Whatever is left by those that come later.
        let left = if fourth { T::ZERO } else { u[l] };
        given[3][l] = if fourth { u[l] } else { T::ZERO };
        given[2][l] = if third { left } else { T::ZERO };
        let left = if third { T::ZERO } else { left };
        given[1][l] = if second { left } else { T::ZERO };
        given[0][l] = if second { T::ZERO } else { left };
    }
    for (place, given) in to.into_iter().zip(given) {
        dt[place..][..L].copy_from_slice(&given);
    }
}

/// The means of all windows.
pub(crate) fn means<T: Real>(space: &Workspace, pool: &Pool, x: &[T], out: &mut [T]) {
    let share = T::from_f64(1.0 / (pool.window * pool.window) as f64);
    let parts = x.chunks(pool.part() * pool.image()).zip(out.chunks_mut(pool.part() * pool.output()));
    space.for_each(parts, |(x, out)| {
        out.fill(T::ZERO);
        in_registers(
            #[inline(always)]
            || {
                pool.rows(
                    x.len(),
                    #[inline(always)]
                    |to, from| {
                        let sums = &mut out[to..][..pool.channels];
                        for pixel in x[from..][..pool.window * pool.channels].chunks_exact(pool.channels) {
                            for (sum, x) in sums.iter_mut().zip(pixel) {
                                *sum += *x;
                            }
                        }
                    },
                );
                for mean in out.iter_mut() {
                    *mean = *mean * share;
                }
            },
        );
    });
}

/// The gradient of [`means`].
pub(crate) fn means_gradient<T: Real>(space: &Workspace, pool: &Pool, u: &[T], dx: &mut [T]) {
    let share = T::from_f64(1.0 / (pool.window * pool.window) as f64);
    let parts = dx.chunks_mut(pool.part() * pool.image()).zip(u.chunks(pool.part() * pool.output()));
    space.for_each(parts, |(dx, u)| {
        in_registers(
            #[inline(always)]
            || {
                pool.rows(
                    dx.len(),
                    #[inline(always)]
                    |from, to| {
                        let u = &u[from..][..pool.channels];
                        for pixel in dx[to..][..pool.window * pool.channels].chunks_exact_mut(pool.channels) {
                            for (dx, u) in pixel.iter_mut().zip(u) {
                                *dx = *u * share;
                            }
                        }
                    },
                );
            },
        );
    });
}
