//! Batch normalisation of pixels [pixels, channels]: each channel to mean 0 and variance 1, then a scale and a shift,
//! and a ReLU behind it where one is asked for; the tangent, and the gradients of both.
//!
//! With the mean μ, the inverse deviation r = (σ² + ε)^−½ and c = (x − μ) r the value is y = γ c + β. Means ⟨·⟩ are
//! over pixels. Since μ and r move with x, a tangent t of x moves c by r (t − ⟨t⟩ − c⟨c t⟩) = r P t, so that
//!
//! ẏ = γ̇ c + γ r (t − a − b c) + β̇ with a = ⟨t⟩, b = ⟨c t⟩.
//!
//! P is symmetric: a gradient u of y becomes γ r P u in x, and a gradient u of ẏ becomes γ r P u in t. In x it becomes,
//! with e = ⟨c u⟩, w = (γ̇ − γ r b) u − γ r e t and q = ⟨u (t − a − b c)⟩: r P w − γ r² q c, as ṙ = −r²⟨c ẋ⟩.
//!
//! The ReLU lets through where γ c + β is not negative or zero; its own derivative is taken to be constant.

use super::{channels, number::Real, workspace::Workspace};

/// Means, then inverse deviations, of every channel.
pub(crate) fn statistics<T: Real>(space: &Workspace, x: &[T], epsilon: f64, moments: &mut [T]) {
    let (means, inverses) = moments.split_at_mut(moments.len() / 2);
    let channels = means.len();
    let count = (x.len() / channels) as f64;
    // Around the first pixel, so that squares do not cancel where the mean is far from zero.
    let shift = &x[..channels];
    let [sum, squares] = channels::sums(
        space,
        channels,
        [x],
        [shift],
        #[inline(always)]
        |[x], [shift]| {
            let x = x - shift;
            [x, x * x]
        },
    );
    for channel in 0..channels {
        let mean = sum[channel] / count;
        let variance = (squares[channel] / count - mean * mean).max(0.0);
        means[channel] = T::from_f64(shift[channel].to_f64() + mean);
        // A sum that is not a number stays one: `max` would hide it.
        let variance = if squares[channel].is_nan() { f64::NAN } else { variance };
        inverses[channel] = T::from_f64(1.0 / (variance + epsilon).sqrt());
    }
}

/// What all passes know of the channels.
#[derive(Clone, Copy)]
pub(crate) struct Channels<'a, T> {
    /// μ, then r.
    pub moments: &'a [T],
    /// γ.
    pub scale: &'a [T],
    /// β.
    pub shift: &'a [T],
    /// Whether a ReLU stands behind.
    pub rectified: bool,
}

/// The coefficients of a pass: y = factor x + offset.
struct Line<T> {
    factor: Vec<T>,
    offset: Vec<T>,
}

impl<T: Real> Channels<'_, T> {
    fn len(&self) -> usize {
        self.scale.len()
    }

    fn means(&self) -> &[T] {
        &self.moments[..self.len()]
    }

    fn inverses(&self) -> &[T] {
        &self.moments[self.len()..]
    }

    /// y as a line in x: where the ReLU stands decides every pass by the same bits.
    fn line(&self) -> Line<T> {
        let factor: Vec<T> = self.scale.iter().zip(self.inverses()).map(|(scale, inverse)| *scale * *inverse).collect();
        let terms = self.shift.iter().zip(&factor).zip(self.means());
        let offset = terms.map(|((shift, factor), mean)| *shift - *factor * *mean).collect();
        Line { factor, offset }
    }

    fn each(&self, number: impl Fn(usize) -> f64) -> Vec<T> {
        (0..self.len()).map(|channel| T::from_f64(number(channel))).collect()
    }
}

/// u where a ReLU behind factor x + offset lets through.
#[inline(always)]
fn passed<T: Real>(rectified: bool, x: T, factor: T, offset: T, u: T) -> T {
    if rectified && factor * x + offset <= T::ZERO { T::ZERO } else { u }
}

/// y.
pub(crate) fn normalize<T: Real>(space: &Workspace, channels: Channels<T>, x: &[T], y: &mut [T]) {
    let (line, rectified) = (channels.line(), channels.rectified);
    channels::map(
        space,
        [y],
        [x],
        [&line.factor, &line.offset],
        #[inline(always)]
        |[x], [factor, offset]| {
            let y = factor * x + offset;
            [if rectified && y <= T::ZERO { T::ZERO } else { y }]
        },
    );
}

/// Gradients in x, γ and β of the gradient `u` of y.
pub(crate) fn gradient<T: Real>(
    space: &Workspace,
    channels: Channels<T>,
    [x, u]: [&[T]; 2],
    dx: &mut [T],
    [dscale, dshift]: [&mut [T]; 2],
) {
    let (line, rectified, count) = (channels.line(), channels.rectified, (x.len() / channels.len()) as f64);
    let [plain, centred] = channels::sums(
        space,
        channels.len(),
        [x, u],
        [channels.means(), &line.factor, &line.offset],
        #[inline(always)]
        |[x, u], [mean, factor, offset]| {
            let u = passed(rectified, x, factor, offset, u);
            [u, u * (x - mean)]
        },
    );
    let inverse = |channel: usize| channels.inverses()[channel].to_f64();
    for channel in 0..channels.len() {
        dscale[channel] = T::from_f64(centred[channel] * inverse(channel));
        dshift[channel] = T::from_f64(plain[channel]);
    }
    // γ r (u − ⟨u⟩ − c⟨c u⟩), around the mean: factor u + slope (x − μ) + constant.
    let factor = |channel: usize| line.factor[channel].to_f64();
    let slope = channels.each(|k| -factor(k) * inverse(k).powi(2) * centred[k] / count);
    let constant = channels.each(|k| -factor(k) * plain[k] / count);
    channels::map(
        space,
        [dx],
        [x, u],
        [channels.means(), &line.factor, &line.offset, &slope, &constant],
        #[inline(always)]
        |[x, u], [mean, factor, offset, slope, constant]| {
            let u = passed(rectified, x, factor, offset, u);
            [factor * u + slope * (x - mean) + constant]
        },
    );
}

/// ẏ along the tangents t of x, γ̇ and β̇; what its gradient needs again, a and b, goes to `means`.
pub(crate) fn tangent<T: Real>(
    space: &Workspace,
    channels: Channels<T>,
    [x, t]: [&[T]; 2],
    [scale_dot, shift_dot]: [&[T]; 2],
    y_dot: &mut [T],
    means: &mut [T],
) {
    let (line, rectified, count) = (channels.line(), channels.rectified, (x.len() / channels.len()) as f64);
    let [plain, centred] = channels::sums(
        space,
        channels.len(),
        [x, t],
        [channels.means()],
        #[inline(always)]
        |[x, t], [mean]| [t, t * (x - mean)],
    );
    let inverse = |channel: usize| channels.inverses()[channel].to_f64();
    let factor = |channel: usize| line.factor[channel].to_f64();
    let (a, b) = (|k: usize| plain[k] / count, |k: usize| centred[k] * inverse(k) / count);
    for channel in 0..channels.len() {
        means[channel] = T::from_f64(a(channel));
        means[channels.len() + channel] = T::from_f64(b(channel));
    }
    let slope = channels.each(|k| (scale_dot[k].to_f64() - factor(k) * b(k)) * inverse(k));
    let constant = channels.each(|k| shift_dot[k].to_f64() - factor(k) * a(k));
    channels::map(
        space,
        [y_dot],
        [x, t],
        [channels.means(), &line.factor, &line.offset, &slope, &constant],
        #[inline(always)]
        |[x, t], [mean, factor, offset, slope, constant]| {
            [passed(rectified, x, factor, offset, factor * t + slope * (x - mean) + constant)]
        },
    );
}

/// Gradients of a tangent in x, in t, and in γ, γ̇ and β̇, of the gradient `u` of ẏ.
pub(crate) fn tangent_gradient<T: Real>(
    space: &Workspace,
    channels: Channels<T>,
    scale_dot: &[T],
    means: &[T],
    [x, t, u]: [&[T]; 3],
    [dx, dt]: [&mut [T]; 2],
    [dscale, dscale_dot, dshift_dot]: [&mut [T]; 3],
) {
    let (line, rectified, count) = (channels.line(), channels.rectified, (x.len() / channels.len()) as f64);
    let (a, b) = means.split_at(channels.len());
    let [plain, centred, moved] = channels::sums(
        space,
        channels.len(),
        [x, t, u],
        [channels.means(), &line.factor, &line.offset, a],
        #[inline(always)]
        |[x, t, u], [mean, factor, offset, a]| {
            let u = passed(rectified, x, factor, offset, u);
            [u, u * (x - mean), u * (t - a)]
        },
    );
    let [r, b] = [channels.inverses(), b].map(|numbers| move |channel: usize| numbers[channel].to_f64());
    let factor = |channel: usize| line.factor[channel].to_f64();
    let e = |k: usize| centred[k] * r(k) / count;
    // m q.
    let q = |k: usize| moved[k] - b(k) * centred[k] * r(k);
    for channel in 0..channels.len() {
        dscale[channel] = T::from_f64(r(channel) * q(channel));
        dscale_dot[channel] = T::from_f64(count * e(channel));
        dshift_dot[channel] = T::from_f64(plain[channel]);
    }
    // r (w − ⟨w⟩ − c⟨c w⟩) − γ r² q c, where w = v u − γ r e t.
    let v = |k: usize| scale_dot[k].to_f64() - factor(k) * b(k);
    let of_u = channels.each(|k| r(k) * v(k));
    let of_t = channels.each(|k| -r(k) * factor(k) * e(k));
    let of_x = channels.each(|k| {
        let mean_cw = v(k) * e(k) - factor(k) * e(k) * b(k);
        -(r(k) * mean_cw + factor(k) * r(k) * q(k) / count) * r(k)
    });
    let constant = channels.each(|k| -r(k) * v(k) * plain[k] / count);
    // γ r (u − ⟨u⟩ − c e).
    let slope = channels.each(|k| -factor(k) * e(k) * r(k));
    let mean = channels.each(|k| plain[k] / count);
    channels::map(
        space,
        [dx, dt],
        [x, t, u],
        [channels.means(), a, &line.factor, &line.offset, &of_u, &of_t, &of_x, &constant, &slope, &mean],
        #[inline(always)]
        |[x, t, u], [centre, a, factor, offset, of_u, of_t, of_x, constant, slope, mean]| {
            let u = passed(rectified, x, factor, offset, u);
            let x = x - centre;
            [of_u * u + of_t * (t - a) + of_x * x + constant, factor * (u - mean) + slope * x]
        },
    );
}
