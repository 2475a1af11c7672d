//! The spectrum of classical systems, beside loops written by hand for each of them.
//!
//! `cargo bench -p lyapunov-bench --bench exponents`. One iteration is 1,000 steps with their QR.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lyapunov::{
    Benettin, System,
    systems::{Henon, Lorenz63, Lorenz96},
};

const STEPS: u64 = 1000;

/// The library: state machine, renormalised at every step.
fn library<S: System>(bencher: &mut criterion::Bencher<'_>, mut system: S, count: usize) {
    let mut benettin = Benettin::new(system.state(), count, 0).expect("the count is sound");
    bencher.iter(|| benettin.advance(&mut system, STEPS, 1).expect("the system can step"));
    black_box(benettin.exponents());
}

#[allow(clippy::needless_range_loop, reason = "written as one would in C")]
/// Gram–Schmidt of the rows, adding up the logarithms of their lengths.
fn gram_schmidt<const N: usize>(rows: &mut [[f64; N]; N], sums: &mut [f64; N]) {
    for i in 0..N {
        for j in 0..i {
            let mut dot = 0.0;
            for l in 0..N {
                dot += rows[i][l] * rows[j][l];
            }
            for l in 0..N {
                rows[i][l] -= dot * rows[j][l];
            }
        }
        let mut square = 0.0;
        for l in 0..N {
            square += rows[i][l] * rows[i][l];
        }
        let norm = square.sqrt();
        sums[i] += norm.ln();
        for l in 0..N {
            rows[i][l] /= norm;
        }
    }
}

fn identity<const N: usize>() -> [[f64; N]; N] {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 } else { 0.0 }))
}

fn henon_by_hand(x: &mut [f64; 2], rows: &mut [[f64; 2]; 2], sums: &mut [f64; 2]) {
    for _ in 0..STEPS {
        for row in rows.iter_mut() {
            *row = [-2.8 * x[0] * row[0] + row[1], 0.3 * row[0]];
        }
        *x = [1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]];
        gram_schmidt(rows, sums);
    }
}

/// One Runge–Kutta step of a field and of its tangent along N rows.
fn runge_kutta<const N: usize>(
    x: &mut [f64; N],
    rows: &mut [[f64; N]; N],
    h: f64,
    field: impl Fn(&[f64; N]) -> [f64; N],
    tangent: impl Fn(&[f64; N], &[f64; N]) -> [f64; N],
) {
    let moved = |x: &[f64; N], a: f64, k: &[f64; N]| -> [f64; N] { std::array::from_fn(|i| x[i] + a * k[i]) };
    let k1 = field(x);
    let p2 = moved(x, 0.5 * h, &k1);
    let k2 = field(&p2);
    let p3 = moved(x, 0.5 * h, &k2);
    let k3 = field(&p3);
    let p4 = moved(x, h, &k3);
    let k4 = field(&p4);
    for row in rows.iter_mut() {
        let d1 = tangent(x, row);
        let d2 = tangent(&p2, &moved(row, 0.5 * h, &d1));
        let d3 = tangent(&p3, &moved(row, 0.5 * h, &d2));
        let d4 = tangent(&p4, &moved(row, h, &d3));
        for i in 0..N {
            row[i] += h / 6.0 * (d1[i] + 2.0 * d2[i] + 2.0 * d3[i] + d4[i]);
        }
    }
    for i in 0..N {
        x[i] += h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
    }
}

fn lorenz63_by_hand(x: &mut [f64; 3], rows: &mut [[f64; 3]; 3], sums: &mut [f64; 3]) {
    const BETA: f64 = 8.0 / 3.0;
    for _ in 0..STEPS {
        runge_kutta(
            x,
            rows,
            0.01,
            |x| [10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - BETA * x[2]],
            |x, d| {
                [
                    10.0 * (d[1] - d[0]),
                    (28.0 - x[2]) * d[0] - d[1] - x[0] * d[2],
                    x[1] * d[0] + x[0] * d[1] - BETA * d[2],
                ]
            },
        );
        gram_schmidt(rows, sums);
    }
}

fn lorenz96_by_hand(x: &mut [f64; 40], rows: &mut [[f64; 40]; 40], sums: &mut [f64; 40]) {
    const N: usize = 40;
    for _ in 0..STEPS {
        runge_kutta(
            x,
            rows,
            0.01,
            |x| std::array::from_fn(|i| (x[(i + 1) % N] - x[(i + N - 2) % N]) * x[(i + N - 1) % N] - x[i] + 8.0),
            |x, d| {
                std::array::from_fn(|i| {
                    (d[(i + 1) % N] - d[(i + N - 2) % N]) * x[(i + N - 1) % N]
                        + (x[(i + 1) % N] - x[(i + N - 2) % N]) * d[(i + N - 1) % N]
                        - d[i]
                })
            },
        );
        gram_schmidt(rows, sums);
    }
}

fn spectra(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("henon, 2 exponents");
    group.throughput(Throughput::Elements(STEPS));
    group.bench_function("library", |b| library(b, Henon::default().system(), 2));
    group.bench_function("by hand", |b| {
        let (mut x, mut rows, mut sums) = ([0.1, 0.1], identity(), [0.0; 2]);
        b.iter(|| henon_by_hand(&mut x, &mut rows, &mut sums));
        black_box(sums);
    });
    group.finish();

    let mut group = criterion.benchmark_group("lorenz63, 3 exponents");
    group.throughput(Throughput::Elements(STEPS));
    group.bench_function("library", |b| library(b, Lorenz63::default().system(0.01), 3));
    group.bench_function("by hand", |b| {
        let (mut x, mut rows, mut sums) = ([1.0, 1.0, 20.0], identity(), [0.0; 3]);
        b.iter(|| lorenz63_by_hand(&mut x, &mut rows, &mut sums));
        black_box(sums);
    });
    group.finish();

    let mut group = criterion.benchmark_group("lorenz96, n = 40, 40 exponents");
    group.throughput(Throughput::Elements(STEPS)).sample_size(20);
    group.bench_function("library", |b| library(b, Lorenz96::default().system(40, 0.01), 40));
    group.bench_function("by hand", |b| {
        let (mut x, mut rows, mut sums) = ([8.0; 40], identity(), [0.0; 40]);
        x[0] += 0.01;
        b.iter(|| lorenz96_by_hand(&mut x, &mut rows, &mut sums));
        black_box(sums);
    });
    group.finish();
}

criterion_group!(benches, spectra);
criterion_main!(benches);
