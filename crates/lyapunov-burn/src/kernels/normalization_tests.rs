//! Normalisations against central differences of their formulas, written out number by number.

use super::{
    batch_norm::{self, Channels},
    group_norm::{self, Groups, Known},
    tests::draw,
    *,
};

/// What a normalisation depends on: x, γ, β, and the tangents of all three.
type Point = [Vec<f64>; 6];

fn point(pixels: usize, channels: usize) -> Point {
    let lengths = [pixels * channels, channels, channels, pixels * channels, channels, channels];
    let mut seed = 10;
    lengths.map(|length| {
        seed += 1;
        draw::<f64>(length, seed)
    })
}

/// Over what a mean is taken: the numbers of the set that a number belongs to.
trait Sets {
    fn set(&self, index: usize) -> usize;
    fn count(&self) -> usize;
}

struct Batch(usize);

impl Sets for Batch {
    fn set(&self, index: usize) -> usize {
        index % self.0
    }
    fn count(&self) -> usize {
        self.0
    }
}

struct OfImages(Groups, usize);

impl Sets for OfImages {
    fn set(&self, index: usize) -> usize {
        let Groups { channels, groups, .. } = self.0;
        index / self.0.image() * groups + index % channels / (channels / groups)
    }
    fn count(&self) -> usize {
        self.1 * self.0.groups
    }
}

const EPSILON: f64 = 1e-5;

/// y, by the formula.
fn value(sets: &dyn Sets, [x, scale, shift, ..]: &Point) -> Vec<f64> {
    let mut sums = vec![[0.0; 3]; sets.count()];
    for (index, x) in x.iter().enumerate() {
        let [count, sum, squares] = &mut sums[sets.set(index)];
        (*count, *sum, *squares) = (*count + 1.0, *sum + x, *squares + x * x);
    }
    let y = |(index, x): (usize, &f64)| {
        let [count, sum, squares] = sums[sets.set(index)];
        let mean = sum / count;
        let channel = index % scale.len();
        (x - mean) / (squares / count - mean * mean + EPSILON).sqrt() * scale[channel] + shift[channel]
    };
    x.iter().enumerate().map(y).collect()
}

/// ẏ, by differences.
fn tangent(sets: &dyn Sets, point: &Point) -> Vec<f64> {
    let moved = |e: f64| {
        let mut moved = point.clone();
        for part in 0..3 {
            let dots = point[part + 3].iter();
            moved[part].iter_mut().zip(dots).for_each(|(number, dot)| *number += e * dot);
        }
        value(sets, &moved)
    };
    // Fourth order: the error is the rounding.
    let [a, b, c, d] = [-2.0, -1.0, 1.0, 2.0].map(|steps| moved(steps * 1e-3));
    (0..a.len()).map(|k| (a[k] - 8.0 * b[k] + 8.0 * c[k] - d[k]) / 12e-3).collect()
}

/// Gradients of ⟨u, function⟩ in the parts of the point, by differences.
fn gradient(function: &dyn Fn(&Point) -> Vec<f64>, point: &Point, u: &[f64], part: usize) -> Vec<f64> {
    let form = |index: usize, e: f64| {
        let mut moved = point.clone();
        moved[part][index] += e;
        function(&moved).iter().zip(u).map(|(y, u)| y * u).sum::<f64>()
    };
    let slope = |index| {
        let [a, b, c, d] = [-2.0, -1.0, 1.0, 2.0].map(|steps| form(index, steps * 1e-3));
        (a - 8.0 * b + 8.0 * c - d) / 12e-3
    };
    (0..point[part].len()).map(slope).collect()
}

fn check(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    let size = expected.iter().fold(1e-3_f64, |size, x| size.max(x.abs()));
    let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(found.len() == expected.len() && error <= tolerance * size, "{name}: {error:.1e} of {size:.1e}");
}

/// What the kernels of a normalisation make of a point and a gradient: y, its gradients, ẏ and its gradients.
type Made = [Vec<f64>; 10];

fn compare(sets: &dyn Sets, point: &Point, u: &[f64], made: &Made) {
    let [y, dx, dscale, dshift, y_dot, ..] = &made;
    check("y", y, &value(sets, point), 1e-12);
    let of_value = |point: &Point| value(sets, point);
    for (name, found, part) in [("dx", dx, 0), ("dscale", dscale, 1), ("dshift", dshift, 2)] {
        check(name, found, &gradient(&of_value, point, u, part), 1e-8);
    }
    check("y_dot", y_dot, &tangent(sets, point), 1e-8);
    let of_tangent = |point: &Point| tangent(sets, point);
    let names = ["dx of ẏ", "dt", "dscale of ẏ", "dscale_dot", "dshift_dot"];
    for ((name, found), part) in names.into_iter().zip(&made[5..]).zip([0, 3, 1, 4, 5]) {
        check(name, found, &gradient(&of_tangent, point, u, part), 1e-6);
    }
}

#[test]
fn batch_normalisation_its_tangent_and_their_gradients_are_the_derivatives() {
    let (pixels, channels) = (9, 3);
    let (point, u, space) = (point(pixels, channels), draw::<f64>(pixels * channels, 3), Workspace::default());
    let [x, scale, shift, t, scale_dot, shift_dot] = &point;
    let mut moments = vec![0.0; 2 * channels];
    batch_norm::statistics(&space, x, EPSILON, &mut moments);
    let known = Channels { moments: &moments, scale, shift, rectified: false };
    let mut made: Made = [27, 27, 3, 3, 27, 27, 27, 3, 3, 3].map(|length| vec![7.0; length]);
    let [y, dx, dscale, dshift, y_dot, dx_dot, dt, dscale_moved, dscale_dot, dshift_dot] = &mut made;
    batch_norm::normalize(&space, known, x, y);
    batch_norm::gradient(&space, known, [x, &u], dx, [dscale, dshift]);
    let mut means = vec![0.0; 2 * channels];
    batch_norm::tangent(&space, known, [x, t], [scale_dot, shift_dot], y_dot, &mut means);
    let of_channels = [&mut dscale_moved[..], &mut dscale_dot[..], &mut dshift_dot[..]];
    batch_norm::tangent_gradient(&space, known, scale_dot, &means, [x, t, &u], [dx_dot, dt], of_channels);
    compare(&Batch(channels), &point, &u, &made);
}

#[test]
fn group_normalisation_its_tangent_and_their_gradients_are_the_derivatives() {
    for (images, groups) in [
        (2, Groups { pixels: 3, channels: 4, groups: 2 }),
        (3, Groups { pixels: 1, channels: 19, groups: 1 }),
        (2, Groups { pixels: 6, channels: 3, groups: 3 }),
    ] {
        let (channels, length) = (groups.channels, images * groups.image());
        let (point, u, space) = (point(images * groups.pixels, channels), draw::<f64>(length, 3), Workspace::default());
        let [x, scale, shift, t, scale_dot, shift_dot] = &point;
        let mut moments = vec![0.0; 2 * images * groups.groups];
        group_norm::statistics(&space, groups, x, EPSILON, &mut moments);
        let known = Known { moments: &moments, scale };
        let (l, c) = (length, channels);
        let mut made: Made = [l, l, c, c, l, l, l, c, c, c].map(|length| vec![7.0; length]);
        let [y, dx, dscale, dshift, y_dot, dx_dot, dt, dscale_moved, dscale_dot, dshift_dot] = &mut made;
        group_norm::normalize(&space, groups, known, shift, x, y);
        group_norm::gradient(&space, groups, known, [x, &u], dx, [dscale, dshift]);
        let mut kept = moments.clone();
        group_norm::tangent(&space, groups, known, [x, t], [scale_dot, shift_dot], y_dot, &mut kept);
        let of_channels = [&mut dscale_moved[..], &mut dscale_dot[..], &mut dshift_dot[..]];
        let dots = [&scale_dot[..], &kept];
        group_norm::tangent_gradient(&space, groups, known, dots, [x, t, &u], [dx_dot, dt], of_channels);
        compare(&OfImages(groups, images), &point, &u, &made);
    }
}
