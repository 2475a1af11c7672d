//! Attention with several heads, image by image and head by head: y = p v with p = softmax(s), row by row, and
//! s = c q kᵀ with c = 1/√d.
//!
//! - **Gradient**, of u in y: with a = u vᵀ and s̄ = p ∘ (a − ⟨p, a⟩), v gets pᵀ u, q gets c s̄ k and k gets c s̄ᵀ q.
//! - **Tangent**: ṡ = c (q̇ kᵀ + q k̇ᵀ), ṗ = p ∘ (ṡ − ⟨p, ṡ⟩) and ẏ = ṗ v + p v̇.
//! - **Gradient of the tangent**, of u in ẏ: the tangents of q, k and v get what q, k and v get above. Of their own, v
//!   gets ṗᵀ u; through s̄ they get c s̄ k̇ and c s̄ᵀ q̇; and through p, whose gradient is
//!   b = u v̇ᵀ + a ∘ (ṡ − ⟨p, ṡ⟩) − ⟨p, a⟩ ṡ, they get what p ∘ (b − ⟨p, b⟩) gives in the place of s̄ above.
//!
//! p is computed again in every pass: it is small work, and keeping it takes as much memory as the rest of a block.

use super::{
    number::{Real, arch, in_registers},
    tile::{Packed, Run, Tiles, transpose},
    workspace::{Numbers, Workspace},
};

/// Numbers that are worked on at once.
const WIDE: usize = 16;

/// Sequences of `tokens` tokens, of 3 × `width` numbers: queries, keys and values one after another, and each by
/// `heads`, which divide the width.
#[allow(clippy::struct_field_names, reason = "it is what the field counts")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    pub tokens: usize,
    pub width: usize,
    pub heads: usize,
}

impl Heads {
    /// Numbers of a sequence that comes in.
    pub fn input(&self) -> usize {
        3 * self.output()
    }

    /// Numbers of a sequence that goes out.
    pub fn output(&self) -> usize {
        self.tokens * self.width
    }

    /// Numbers of a token in one head.
    pub fn features(&self) -> usize {
        self.width / self.heads
    }

    /// c.
    fn scale<T: Real>(&self) -> T {
        T::from_f64(1.0 / (self.features() as f64).sqrt())
    }
}

/// Where tokens begin: among queries, keys and values, in what goes out, and in a matrix of tokens by tokens.
struct Places {
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    square: Vec<u32>,
}

impl Places {
    fn new(heads: Heads) -> Self {
        let every = |step: usize| (0..heads.tokens).map(|token| (token * step) as u32).collect();
        Self { inputs: every(3 * heads.width), outputs: every(heads.width), square: every(heads.tokens) }
    }
}

/// A matrix [tokens, columns] whose rows begin at these places.
#[derive(Clone, Copy)]
struct Matrix<'a, T> {
    numbers: &'a [T],
    at: &'a [u32],
    columns: usize,
}

impl<T: Real> Matrix<'_, T> {
    /// How far apart its rows are.
    fn step(&self) -> usize {
        self.at.get(1).map_or(self.columns, |second| *second as usize)
    }

    /// As a right factor.
    fn packed(&self, space: &Workspace) -> Packed {
        Packed::rows(space, [self.at.len(), self.columns], (self.numbers, self.step()))
    }

    /// Its transpose as a right factor.
    fn transposed(&self, space: &Workspace) -> Packed {
        Packed::transposed(space, [self.columns, self.at.len()], (self.numbers, self.step()))
    }

    /// Writes the product with `right`, or adds it to what is there.
    fn times(&self, right: &Packed, (out, to): (&mut [T], &[u32]), adds: bool) {
        let runs: Vec<Run> = Run { start: 0, length: self.columns }.pieces().collect();
        let (x, at, weights) = (self.numbers, self.at, right);
        arch().dispatch(Tiles { x, at, to, runs: &runs, weights, bias: None, out, adds });
    }
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct Head<'a> {
    space: &'a Workspace,
    places: &'a Places,
    heads: Heads,
    index: usize,
}

impl Head<'_> {
    /// Where queries, keys or values of this head begin.
    fn start(&self, part: usize) -> usize {
        part * self.heads.width + self.index * self.heads.features()
    }

    /// Queries, keys and values.
    fn parts<'x, T: Real>(&'x self, x: &'x [T]) -> [Matrix<'x, T>; 3] {
        let (at, columns) = (&self.places.inputs[..], self.heads.features());
        std::array::from_fn(|part| Matrix { numbers: &x[self.start(part)..], at, columns })
    }

    /// What belongs to this head of what goes out.
    fn output<'x, T: Real>(&'x self, y: &'x [T]) -> Matrix<'x, T> {
        Matrix { numbers: &y[self.start(0)..], at: &self.places.outputs, columns: self.heads.features() }
    }

    /// A matrix of tokens by tokens.
    fn square<'x, T: Real>(&'x self, numbers: &'x [T]) -> Matrix<'x, T> {
        Matrix { numbers, at: &self.places.square, columns: self.heads.tokens }
    }

    /// out = Σ aᵢ bᵢᵀ over pairs of matrices, tokens by tokens.
    fn scores<T: Real>(&self, pairs: &[[Matrix<T>; 2]], out: &mut [T]) {
        for (index, [a, b]) in pairs.iter().enumerate() {
            a.times(&b.transposed(self.space), (&mut *out, &self.places.square), index > 0);
        }
    }

    /// Writes the product with `right` to queries, keys or values, or adds it to what is there.
    fn give_part<T: Real>(&self, square: &[T], right: Matrix<T>, (x, part): (&mut [T], usize), adds: bool) {
        let to = (&mut x[self.start(part)..], &self.places.inputs[..]);
        self.square(square).times(&right.packed(self.space), to, adds);
    }

    /// p.
    fn weights<T: Real>(&self, x: &[T], p: &mut [T]) {
        let [queries, keys, _] = self.parts(x);
        self.scores(&[[queries, keys]], p);
        softmax(self.heads.tokens, self.heads.scale(), p);
    }

    /// What gradients `square` of the scores give to queries and keys, or add to what is there; `turned` is room.
    fn give_factors<T: Real>(
        &self,
        square: &[T],
        [queries, keys]: [Matrix<T>; 2],
        dx: &mut [T],
        turned: &mut [T],
        adds: bool,
    ) {
        self.give_part(square, keys, (dx, 0), adds);
        self.turn(square, turned);
        self.give_part(turned, queries, (dx, 1), adds);
    }

    fn turn<T: Real>(&self, square: &[T], turned: &mut [T]) {
        let tokens = self.heads.tokens;
        transpose([tokens; 2], (square, tokens), (turned, tokens));
    }
}

/// Does the work on every head of every sequence, with so much room for matrices of tokens by tokens.
fn for_each_head<T: Real, P: Send, const ROOM: usize>(
    space: &Workspace,
    heads: Heads,
    sequences: impl Iterator<Item = P>,
    work: impl Fn(Head, &mut P, [&mut [T]; ROOM]) + Sync,
) {
    let places = Places::new(heads);
    space.for_each(sequences, |mut sequence| {
        let mut room = [(); ROOM].map(|()| space.numbers::<T>(heads.tokens * heads.tokens));
        for index in 0..heads.heads {
            let head = Head { space, places: &places, heads, index };
            work(head, &mut sequence, room.each_mut().map(Numbers::slice_mut));
        }
    });
}

/// y [examples, tokens × width] of x [examples, tokens × 3 × width].
pub(crate) fn attend<T: Real>(space: &Workspace, heads: Heads, x: &[T], y: &mut [T]) {
    let sequences = x.chunks(heads.input()).zip(y.chunks_mut(heads.output()));
    for_each_head(space, heads, sequences, |head, (x, y), [p]| {
        head.weights(x, p);
        let [_, _, values] = head.parts(x);
        let to = (&mut y[head.start(0)..], &head.places.outputs[..]);
        head.square(p).times(&values.packed(space), to, false);
    });
}

/// dx of the gradient u of y.
pub(crate) fn attend_gradient<T: Real>(space: &Workspace, heads: Heads, [x, u]: [&[T]; 2], dx: &mut [T]) {
    let sequences = x.chunks(heads.input()).zip(u.chunks(heads.output())).zip(dx.chunks_mut(heads.input()));
    for_each_head(space, heads, sequences, |head, ((x, u), dx), [p, a, turned]| {
        head.weights(x, p);
        let ([queries, keys, values], u) = (head.parts(x), head.output(u));
        head.turn(p, turned);
        head.give_part(turned, u, (dx, 2), false);
        head.scores(&[[u, values]], a);
        through_softmax(heads.tokens, heads.scale(), p, a);
        head.give_factors(a, [queries, keys], dx, turned, false);
    });
}

/// ẏ along a tangent t of x.
pub(crate) fn attend_tangent<T: Real>(space: &Workspace, heads: Heads, [x, t]: [&[T]; 2], y_dot: &mut [T]) {
    let sequences = x.chunks(heads.input()).zip(t.chunks(heads.input())).zip(y_dot.chunks_mut(heads.output()));
    for_each_head(space, heads, sequences, |head, ((x, t), y_dot), [p, p_dot]| {
        head.weights(x, p);
        let [queries, keys, values] = head.parts(x);
        let [queries_dot, keys_dot, values_dot] = head.parts(t);
        head.scores(&[[queries_dot, keys], [queries, keys_dot]], p_dot);
        through_softmax(heads.tokens, heads.scale(), p, p_dot);
        for (square, values, adds) in [(&*p_dot, values, false), (&*p, values_dot, true)] {
            let to = (&mut y_dot[head.start(0)..], &head.places.outputs[..]);
            head.square(square).times(&values.packed(space), to, adds);
        }
    });
}

/// dx and dt of the gradient u of ẏ.
pub(crate) fn attend_tangent_gradient<T: Real>(
    space: &Workspace,
    heads: Heads,
    [x, t, u]: [&[T]; 3],
    [dx, dt]: [&mut [T]; 2],
) {
    let (tokens, scale) = (heads.tokens, heads.scale());
    let given = x.chunks(heads.input()).zip(t.chunks(heads.input())).zip(u.chunks(heads.output()));
    let made = dx.chunks_mut(heads.input()).zip(dt.chunks_mut(heads.input()));
    for_each_head(space, heads, given.zip(made), |head, (((x, t), u), (dx, dt)), [p, s_dot, a, b, turned]| {
        head.weights(x, p);
        let [queries, keys, values] = head.parts(x);
        let [queries_dot, keys_dot, values_dot] = head.parts(t);
        let u = head.output(u);
        head.scores(&[[queries_dot, keys], [queries, keys_dot]], s_dot);
        head.scores(&[[u, values]], a);
        head.scores(&[[u, values_dot]], b);
        head.turn(p, turned);
        head.give_part(turned, u, (dt, 2), false);
        // s_dot becomes ṗ, a becomes c s̄, and b what p gets.
        tangent_rows(tokens, scale, p, [s_dot, a, b]);
        head.turn(s_dot, turned);
        head.give_part(turned, u, (dx, 2), false);
        head.give_factors(a, [queries, keys], dt, turned, false);
        head.give_factors(a, [queries_dot, keys_dot], dx, turned, false);
        through_softmax(tokens, scale, p, b);
        head.give_factors(b, [queries, keys], dx, turned, true);
    });
}

/// What `step` makes of rows, number by number, in as many accumulators as are worked on at once.
#[inline(always)]
fn gathered<T: Real, const N: usize>(rows: [&[T]; N], start: T, step: impl Fn(T, [T; N]) -> T) -> [T; WIDE] {
    let mut made = [start; WIDE];
    let (whole, rest) = (rows.map(|row| row.as_chunks::<WIDE>().0), rows.map(|row| row.as_chunks::<WIDE>().1));
    for chunk in 0..whole[0].len() {
        for (l, made) in made.iter_mut().enumerate() {
            *made = step(*made, whole.map(|row| row[chunk][l]));
        }
    }
    for (l, made) in made[..rest[0].len()].iter_mut().enumerate() {
        *made = step(*made, rest.map(|row| row[l]));
    }
    made
}

/// ⟨a, b⟩.
#[inline(always)]
fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    gathered([a, b], T::ZERO, |sum, [a, b]| sum + a * b).into_iter().fold(T::ZERO, |sum, part| sum + part)
}

/// s becomes softmax(c s), row by row.
fn softmax<T: Real>(tokens: usize, scale: T, square: &mut [T]) {
    in_registers(
        #[inline(always)]
        || {
            for row in square.chunks_exact_mut(tokens) {
                let larger = |a: T, b: T| if b > a { b } else { a };
                let largest = gathered([row], row[0], |most, [x]| larger(most, x)).into_iter().fold(row[0], larger);
                for x in row.iter_mut() {
                    let [power, p] = ((largest - *x) * scale).exponential();
                    *x = power * p + power;
                }
                let total = gathered([row], T::ZERO, |sum, [x]| sum + x);
                let share = T::ONE / total.into_iter().fold(T::ZERO, |sum, part| sum + part);
                for x in row.iter_mut() {
                    *x = *x * share;
                }
            }
        },
    );
}

/// a becomes c p ∘ (a − ⟨p, a⟩), row by row.
fn through_softmax<T: Real>(tokens: usize, scale: T, p: &[T], a: &mut [T]) {
    in_registers(
        #[inline(always)]
        || {
            for (p, a) in p.chunks_exact(tokens).zip(a.chunks_exact_mut(tokens)) {
                let mean = dot(p, a);
                a.iter_mut().zip(p).for_each(|(a, p)| *a = scale * *p * (*a - mean));
            }
        },
    );
}

/// With ṡ/c, a and u v̇ᵀ: ṗ, c p ∘ (a − ⟨p, a⟩) and b, row by row.
fn tangent_rows<T: Real>(tokens: usize, scale: T, p: &[T], [s_dot, a, b]: [&mut [T]; 3]) {
    in_registers(
        #[inline(always)]
        || {
            let squares =
                s_dot.chunks_exact_mut(tokens).zip(a.chunks_exact_mut(tokens)).zip(b.chunks_exact_mut(tokens));
            for (p, ((s_dot, a), b)) in p.chunks_exact(tokens).zip(squares) {
                let (mean, mean_of_a) = (scale * dot(p, s_dot), dot(p, a));
                for (((p, s_dot), a), b) in p.iter().zip(s_dot).zip(a).zip(b) {
                    let (moved, centred) = (scale * *s_dot, scale * *s_dot - mean);
                    *b = *b + *a * centred - mean_of_a * moved;
                    *s_dot = *p * centred;
                    *a = scale * *p * (*a - mean_of_a);
                }
            }
        },
    );
}
