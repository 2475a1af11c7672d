//! Normalisation of each image over groups of its channels: to mean 0 and variance 1, then a scale and a shift per
//! channel; the tangent, and the gradients of both. With one pixel and one group it is the layer normalisation of a
//! token.
//!
//! The formulas are those of [`super::batch_norm`], with means over the numbers of a group, among which γ differs:
//! where γ u stands there, a number û = γ u of its own channel stands here.

use super::{
    number::{Real, in_registers},
    workspace::Workspace,
};

/// Numbers that are worked on at once.
const WIDE: usize = 16;
/// Pixels whose sum is taken in the precision of the numbers.
const PIXELS: usize = 64;
/// Numbers of a part, about.
const PART: usize = 1 << 16;

/// Images of `pixels` pixels with `channels` channels in as many `groups`, which divide them.
#[allow(clippy::struct_field_names, reason = "it is what the field counts")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    pub pixels: usize,
    pub channels: usize,
    pub groups: usize,
}

/// What all passes know beside the groups: μ, then r, of every group of every image; γ.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a, T> {
    pub moments: &'a [T],
    pub scale: &'a [T],
}

impl<T: Real> Known<'_, T> {
    /// μ and r of the groups of an image.
    fn of(&self, image: usize, groups: usize) -> [&[T]; 2] {
        let (means, inverses) = self.moments.split_at(self.moments.len() / 2);
        [means, inverses].map(|numbers| &numbers[image * groups..][..groups])
    }
}

impl Groups {
    /// Numbers of an image.
    pub fn image(&self) -> usize {
        self.pixels * self.channels
    }

    /// Channels of a group.
    pub fn width(&self) -> usize {
        self.channels / self.groups
    }

    /// Numbers that share a mean.
    fn count(&self) -> f64 {
        (self.pixels * self.width()) as f64
    }

    /// Images of a part.
    fn part(&self) -> usize {
        (PART / self.image()).max(1)
    }

    /// Σ of terms(numbers of an image, numbers of their channel) over a group.
    #[inline(always)]
    fn sums<T: Real, const N: usize, const M: usize, const K: usize>(
        self,
        group: usize,
        images: [&[T]; N],
        channels: [&[T]; M],
        terms: impl Fn([T; N], [T; M]) -> [T; K] + Copy,
    ) -> [f64; K] {
        let width = self.width();
        let channels = channels.map(|numbers| &numbers[group * width..][..width]);
        let mut totals = [0.0; K];
        for first in (0..self.pixels).step_by(PIXELS) {
            let mut sums = [[T::ZERO; WIDE]; K];
            for pixel in first..self.pixels.min(first + PIXELS) {
                let pixel = images.map(|image| &image[pixel * self.channels + group * width..][..width]);
                let mut place = 0;
                while place + WIDE <= width {
                    add::<T, N, M, K, WIDE>(&mut sums, pixel, channels, place, terms);
                    place += WIDE;
                }
                while place < width {
                    add::<T, N, M, K, 1>(&mut sums, pixel, channels, place, terms);
                    place += 1;
                }
            }
            for (total, sums) in totals.iter_mut().zip(sums) {
                *total += sums.iter().map(|sum| sum.to_f64()).sum::<f64>();
            }
        }
        totals
    }

    /// outputs = map(numbers of an image, numbers of their channel) over a group.
    #[inline(always)]
    fn map<T: Real, const N: usize, const M: usize, const O: usize>(
        self,
        group: usize,
        outputs: &mut [&mut [T]; O],
        images: [&[T]; N],
        channels: [&[T]; M],
        map: impl Fn([T; N], [T; M]) -> [T; O] + Copy,
    ) {
        let width = self.width();
        let channels = channels.map(|numbers| &numbers[group * width..][..width]);
        for pixel in 0..self.pixels {
            let start = pixel * self.channels + group * width;
            let pixel = images.map(|image| &image[start..][..width]);
            let mut outputs = outputs.each_mut().map(|output| &mut output[start..][..width]);
            let mut place = 0;
            while place + WIDE <= width {
                write::<T, N, M, O, WIDE>(&mut outputs, pixel, channels, place, map);
                place += WIDE;
            }
            while place < width {
                write::<T, N, M, O, 1>(&mut outputs, pixel, channels, place, map);
                place += 1;
            }
        }
    }

    /// Adds terms(numbers of an image, number of the channel's group) to the sums of the channels.
    #[inline(always)]
    fn add_to_channels<T: Real, const N: usize, const K: usize>(
        self,
        group: usize,
        totals: &mut [Vec<f64>; K],
        images: [&[T]; N],
        terms: impl Fn([T; N]) -> [T; K] + Copy,
    ) {
        let width = self.width();
        for pixel in 0..self.pixels {
            let pixel = images.map(|image| &image[pixel * self.channels + group * width..][..width]);
            for place in 0..width {
                for (total, term) in totals.iter_mut().zip(terms(pixel.map(|numbers| numbers[place]))) {
                    total[group * width + place] += term.to_f64();
                }
            }
        }
    }
}

#[inline(always)]
fn piece<T: Real, const N: usize, const L: usize>(slices: [&[T]; N], place: usize) -> [[T; L]; N] {
    slices.map(|slice| *slice[place..].first_chunk().expect("slices are of one length"))
}

#[inline(always)]
fn add<T: Real, const N: usize, const M: usize, const K: usize, const L: usize>(
    sums: &mut [[T; WIDE]; K],
    pixel: [&[T]; N],
    channels: [&[T]; M],
    place: usize,
    terms: impl Fn([T; N], [T; M]) -> [T; K],
) {
    let (pixel, channels) = (piece::<T, N, L>(pixel, place), piece::<T, M, L>(channels, place));
    for l in 0..L {
        let terms = terms(pixel.map(|numbers| numbers[l]), channels.map(|numbers| numbers[l]));
        for (sums, term) in sums.iter_mut().zip(terms) {
            sums[l] += term;
        }
    }
}

#[inline(always)]
fn write<T: Real, const N: usize, const M: usize, const O: usize, const L: usize>(
    outputs: &mut [&mut [T]; O],
    pixel: [&[T]; N],
    channels: [&[T]; M],
    place: usize,
    map: impl Fn([T; N], [T; M]) -> [T; O],
) {
    let (pixel, channels) = (piece::<T, N, L>(pixel, place), piece::<T, M, L>(channels, place));
    let mut made = [[T::ZERO; L]; O];
    for l in 0..L {
        let numbers = map(pixel.map(|numbers| numbers[l]), channels.map(|numbers| numbers[l]));
        for (made, number) in made.iter_mut().zip(numbers) {
            made[l] = number;
        }
    }
    for (output, made) in outputs.iter_mut().zip(made) {
        output[place..][..L].copy_from_slice(&made);
    }
}

/// Means, then inverse deviations, of every group of every image.
pub(crate) fn statistics<T: Real>(space: &Workspace, groups: Groups, x: &[T], epsilon: f64, moments: &mut [T]) {
    let (means, inverses) = moments.split_at_mut(moments.len() / 2);
    let (images, sets) = (groups.part() * groups.image(), groups.part() * groups.groups);
    let parts = x.chunks(images).zip(means.chunks_mut(sets)).zip(inverses.chunks_mut(sets));
    space.for_each(parts, |((x, means), inverses)| {
        in_registers(
            #[inline(always)]
            || {
                for (set, (mean, inverse)) in means.iter_mut().zip(inverses.iter_mut()).enumerate() {
                    let (image, group) = (set / groups.groups, set % groups.groups);
                    let x = &x[image * groups.image()..][..groups.image()];
                    // Around the first number, so that squares do not cancel where the mean is far from zero.
                    let shift = x[group * groups.width()];
                    let [sum, squares] = groups.sums(
                        group,
                        [x],
                        [],
                        #[inline(always)]
                        |[x], []| [x - shift, (x - shift) * (x - shift)],
                    );
                    let centre = sum / groups.count();
                    let variance = squares / groups.count() - centre * centre;
                    *mean = T::from_f64(shift.to_f64() + centre);
                    // Rounding can make it negative; what is not a number stays so.
                    let variance = if variance < 0.0 { 0.0 } else { variance };
                    *inverse = T::from_f64(1.0 / (variance + epsilon).sqrt());
                }
            },
        );
    });
}

/// γ (x − μ) r + β.
pub(crate) fn normalize<T: Real>(
    space: &Workspace,
    groups: Groups,
    known: Known<T>,
    shift: &[T],
    x: &[T],
    y: &mut [T],
) {
    let images = groups.part() * groups.image();
    space.for_each(x.chunks(images).zip(y.chunks_mut(images)).enumerate(), |(part, (x, y))| {
        in_registers(
            #[inline(always)]
            || {
                let pairs = x.chunks_exact(groups.image()).zip(y.chunks_exact_mut(groups.image()));
                for (image, (x, y)) in pairs.enumerate() {
                    let [means, inverses] = known.of(part * groups.part() + image, groups.groups);
                    for group in 0..groups.groups {
                        let (mean, inverse) = (means[group], inverses[group]);
                        groups.map(
                            group,
                            &mut [&mut *y],
                            [x],
                            [known.scale, shift],
                            #[inline(always)]
                            |[x], [scale, shift]| [(x - mean) * inverse * scale + shift],
                        );
                    }
                }
            },
        );
    });
}

/// Sums of the channels over parts of the images, added in their order.
fn total<T: Real, const K: usize>(parts: Vec<[Vec<f64>; K]>, mut sums: [&mut [T]; K]) {
    let mut parts = parts.into_iter();
    let first = parts.next().expect("there are images");
    let totals = parts.fold(first, |mut totals, part| {
        for (total, more) in totals.iter_mut().flatten().zip(part.iter().flatten()) {
            *total += more;
        }
        totals
    });
    for (sums, totals) in sums.iter_mut().zip(&totals) {
        sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum = T::from_f64(*total));
    }
}

/// Gradients in x, γ and β of the gradient `u` of y.
pub(crate) fn gradient<T: Real>(
    space: &Workspace,
    groups: Groups,
    known: Known<T>,
    [x, u]: [&[T]; 2],
    dx: &mut [T],
    of_channels: [&mut [T]; 2],
) {
    let images = groups.part() * groups.image();
    let mut sums = vec![[const { Vec::new() }; 2]; x.len().div_ceil(images)];
    let parts = x.chunks(images).zip(u.chunks(images)).zip(dx.chunks_mut(images)).zip(&mut sums).enumerate();
    space.for_each(parts, |(part, (((x, u), dx), sums))| {
        *sums = [(); 2].map(|()| vec![0.0; groups.channels]);
        in_registers(
            #[inline(always)]
            || {
                for image in 0..x.len() / groups.image() {
                    let place = image * groups.image()..(image + 1) * groups.image();
                    let (x, u, dx) = (&x[place.clone()], &u[place.clone()], &mut dx[place]);
                    let [means, inverses] = known.of(part * groups.part() + image, groups.groups);
                    for group in 0..groups.groups {
                        let (mean, r) = (means[group], inverses[group]);
                        let [plain, centred] = groups.sums(
                            group,
                            [x, u],
                            [known.scale],
                            #[inline(always)]
                            |[x, u], [scale]| [u * scale, u * scale * ((x - mean) * r)],
                        );
                        let plain = T::from_f64(plain / groups.count());
                        let centred = T::from_f64(centred / groups.count());
                        groups.map(
                            group,
                            &mut [&mut *dx],
                            [x, u],
                            [known.scale],
                            #[inline(always)]
                            |[x, u], [scale]| [r * (u * scale - plain - (x - mean) * r * centred)],
                        );
                        groups.add_to_channels(
                            group,
                            sums,
                            [x, u],
                            #[inline(always)]
                            |[x, u]| [u * ((x - mean) * r), u],
                        );
                    }
                }
            },
        );
    });
    total(sums, of_channels);
}

/// ẏ along the tangents t of x, γ̇ and β̇; what its gradient needs again, a and b, goes to `kept`.
pub(crate) fn tangent<T: Real>(
    space: &Workspace,
    groups: Groups,
    known: Known<T>,
    [x, t]: [&[T]; 2],
    [scale_dot, shift_dot]: [&[T]; 2],
    y_dot: &mut [T],
    kept: &mut [T],
) {
    let (images, sets) = (groups.part() * groups.image(), groups.part() * groups.groups);
    let (a, b) = kept.split_at_mut(kept.len() / 2);
    let kept = a.chunks_mut(sets).zip(b.chunks_mut(sets));
    let parts = x.chunks(images).zip(t.chunks(images)).zip(y_dot.chunks_mut(images)).zip(kept).enumerate();
    space.for_each(parts, |(part, (((x, t), y_dot), (a, b)))| {
        in_registers(
            #[inline(always)]
            || {
                for image in 0..x.len() / groups.image() {
                    let place = image * groups.image()..(image + 1) * groups.image();
                    let (x, t, y_dot) = (&x[place.clone()], &t[place.clone()], &mut y_dot[place]);
                    let [means, inverses] = known.of(part * groups.part() + image, groups.groups);
                    for group in 0..groups.groups {
                        let (mean, r) = (means[group], inverses[group]);
                        let [plain, centred] = groups.sums(
                            group,
                            [x, t],
                            [],
                            #[inline(always)]
                            |[x, t], []| [t, t * ((x - mean) * r)],
                        );
                        let set = image * groups.groups + group;
                        (a[set], b[set]) = (T::from_f64(plain / groups.count()), T::from_f64(centred / groups.count()));
                        let (a, b) = (a[set], b[set]);
                        groups.map(
                            group,
                            &mut [&mut *y_dot],
                            [x, t],
                            [known.scale, scale_dot, shift_dot],
                            #[inline(always)]
                            |[x, t], [scale, scale_dot, shift_dot]| {
                                let c = (x - mean) * r;
                                [scale_dot * c + scale * r * (t - a - c * b) + shift_dot]
                            },
                        );
                    }
                }
            },
        );
    });
}

/// Gradients of a tangent in x, in t, and in γ, γ̇ and β̇, of the gradient `u` of ẏ.
pub(crate) fn tangent_gradient<T: Real>(
    space: &Workspace,
    groups: Groups,
    known: Known<T>,
    [scale_dot, kept]: [&[T]; 2],
    [x, t, u]: [&[T]; 3],
    [dx, dt]: [&mut [T]; 2],
    of_channels: [&mut [T]; 3],
) {
    let images = groups.part() * groups.image();
    let mut sums = vec![[const { Vec::new() }; 3]; x.len().div_ceil(images)];
    let made = dx.chunks_mut(images).zip(dt.chunks_mut(images)).zip(&mut sums);
    let parts = x.chunks(images).zip(t.chunks(images)).zip(u.chunks(images)).zip(made).enumerate();
    space.for_each(parts, |(part, (((x, t), u), ((dx, dt), sums)))| {
        *sums = [(); 3].map(|()| vec![0.0; groups.channels]);
        in_registers(
            #[inline(always)]
            || {
                for image in 0..x.len() / groups.image() {
                    let place = image * groups.image()..(image + 1) * groups.image();
                    let inputs = [&x[place.clone()], &t[place.clone()], &u[place.clone()]];
                    let mut outputs = [&mut dx[place.clone()], &mut dt[place]];
                    let [means, inverses] = known.of(part * groups.part() + image, groups.groups);
                    for group in 0..groups.groups {
                        let set = (part * groups.part() + image) * groups.groups + group;
                        let moments = [means[group], inverses[group], kept[set], kept[kept.len() / 2 + set]];
                        group_tangent_gradient(groups, group, known.scale, scale_dot, moments, inputs, &mut outputs);
                        let [mean, r, a, b] = moments;
                        groups.add_to_channels(
                            group,
                            sums,
                            inputs,
                            #[inline(always)]
                            |[x, t, u]| {
                                let c = (x - mean) * r;
                                [u * (r * (t - a - b * c)), u * c, u]
                            },
                        );
                    }
                }
            },
        );
    });
    total(sums, of_channels);
}

/// Gradients in x and t in one group of an image.
#[inline(always)]
fn group_tangent_gradient<T: Real>(
    groups: Groups,
    group: usize,
    scale: &[T],
    scale_dot: &[T],
    [mean, r, a, b]: [T; 4],
    inputs: [&[T]; 3],
    outputs: &mut [&mut [T]; 2],
) {
    let count = groups.count();
    let [plain, centred, moved, with_dot, centred_with_dot] = groups.sums(
        group,
        inputs,
        [scale, scale_dot],
        #[inline(always)]
        |[x, t, u], [scale, scale_dot]| {
            let (c, of_u) = ((x - mean) * r, u * scale);
            [of_u, of_u * c, of_u * (t - a), u * scale_dot, u * scale_dot * c]
        },
    );
    let [inverse, slope] = [r, b].map(Real::to_f64);
    let e = centred / count;
    let q = (moved - slope * centred) / count;
    // r (w − ⟨w⟩ − c⟨c w⟩) − r² q c, where w = γ̇ u − r b û − r e t; ⟨t⟩ is a.
    let mean_w = (with_dot - inverse * slope * plain) / count;
    let of_centred = centred_with_dot / count - 2.0 * inverse * slope * e;
    let of_c = T::from_f64(of_centred + inverse * q);
    let [rb, re, mean_w, e, plain] = [inverse * slope, inverse * e, mean_w, e, plain / count].map(T::from_f64);
    groups.map(
        group,
        outputs,
        inputs,
        [scale, scale_dot],
        #[inline(always)]
        |[x, t, u], [scale, scale_dot]| {
            let (c, of_u) = ((x - mean) * r, u * scale);
            let w = scale_dot * u - rb * of_u - re * (t - a);
            [r * (w - mean_w - of_c * c), r * (of_u - plain - c * e)]
        },
    );
}
