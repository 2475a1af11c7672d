//! The ends of spectra that are known, of small and of crowded, multiple and clustered ones.

use std::f64::consts::PI;

use super::*;
use crate::vector::orthonormalize;
use crate::{
    noise::{Purpose, Stream},
    operator::Dense,
};

fn random(n: usize) -> Vec<f64> {
    let mut start = vec![0.0; n];
    start.randomize(&mut Stream::new(1, Purpose::Probe, 0));
    start
}

fn laplacian(n: usize) -> Dense {
    let entry = |i: usize, j: usize| match i.abs_diff(j) {
        0 => 2.0,
        1 => -1.0,
        _ => 0.0,
    };
    Dense::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect())
}

fn options(largest: usize, smallest: usize) -> Lanczos {
    Lanczos { largest, smallest, tolerance: 1e-10, max_applications: 500, max_basis: 500 }
}

/// ‖Av − θv‖ from one more application.
fn true_residual(operator: &Dense, pair: &Eigenpair<Vec<f64>>) -> f64 {
    let mut image = operator.apply(&pair.vector).unwrap();
    image.axpy(-pair.value, &pair.vector);
    image.norm()
}

#[test]
fn laplacian_has_its_known_spectrum_at_both_ends() {
    let n = 100;
    let exact = |k: usize| 2.0 - 2.0 * (k as f64 * PI / (n + 1) as f64).cos();
    let ritz = lanczos(&laplacian(n), &random(n), &options(3, 3)).unwrap();
    assert!(ritz.converged);
    for k in 0..3 {
        assert!((ritz.largest[k].value - exact(n - k)).abs() < 1e-9);
        assert!((ritz.smallest[k].value - exact(k + 1)).abs() < 1e-9);
    }
}

#[test]
fn outliers_over_a_bulk_come_once_each() {
    let n = 300;
    let mut entries: Vec<f64> = random(n).iter().map(|x| x.abs().min(3.0)).collect();
    (entries[17], entries[230]) = (100.0, 50.0);
    let matrix = Dense::diagonal(&entries);
    // Far beyond convergence, where a Lanczos without re-orthogonalisation sees ghosts of 100 and 50.
    let ritz =
        lanczos(&matrix, &random(n), &Lanczos { tolerance: 1e-300, max_applications: 120, ..options(4, 0) }).unwrap();
    assert!((ritz.largest[0].value - 100.0).abs() < 1e-10);
    assert!((ritz.largest[1].value - 50.0).abs() < 1e-10);
    assert!(ritz.largest[2].value <= 3.0 + 1e-10 && ritz.largest[3].value < 3.0 + 1e-10);
}

#[test]
fn crowded_top_is_resolved() {
    let mut entries: Vec<f64> = (0..200).map(|i| f64::from(i) / 100.0).collect();
    entries.extend([40.0, 39.6, 38.0]);
    let ritz = lanczos(&Dense::diagonal(&entries), &random(203), &options(3, 0)).unwrap();
    assert!(ritz.converged);
    for (pair, exact) in ritz.largest.iter().zip([40.0, 39.6, 38.0]) {
        assert!((pair.value - exact).abs() < 1e-8, "{} for {exact}", pair.value);
    }
}

#[test]
fn the_order_is_algebraic_not_by_magnitude() {
    let mut entries = vec![0.1; 50];
    (entries[0], entries[1]) = (5.0, -9.0);
    let ritz = lanczos(&Dense::diagonal(&entries), &random(50), &options(1, 1)).unwrap();
    assert!((ritz.largest[0].value - 5.0).abs() < 1e-10);
    assert!((ritz.smallest[0].value + 9.0).abs() < 1e-10);
}

#[test]
fn the_residual_is_the_true_one_also_before_convergence() {
    let n = 200;
    let matrix = laplacian(n);
    let ritz = lanczos(&matrix, &random(n), &Lanczos { max_applications: 20, ..options(2, 2) }).unwrap();
    assert!(!ritz.converged && ritz.applications == 20);
    for pair in ritz.largest.iter().chain(&ritz.smallest) {
        assert!(pair.residual > 1e-6);
        assert!((pair.residual - true_residual(&matrix, pair)).abs() < 1e-10);
    }
}

#[test]
fn a_start_vector_inside_an_invariant_subspace_does_not_hide_the_rest() {
    let matrix = Dense::diagonal(&[7.0, 7.0, 2.0, -1.0]);
    let ritz = lanczos(&matrix, &vec![0.0, 0.0, 1.0, 0.0], &options(2, 1)).unwrap();
    assert!((ritz.largest[0].value - 7.0).abs() < 1e-12);
    assert!((ritz.largest[1].value - 7.0).abs() < 1e-12, "the double eigenvalue comes twice");
    assert!((ritz.smallest[0].value + 1.0).abs() < 1e-12);
}

#[test]
fn the_basis_fits_the_memory() {
    let default = Lanczos::default();
    assert_eq!([default.basis(1000, 8), default.basis(5_000_000, 4)], [100, 100], "small ones are held as asked");
    assert_eq!(default.basis(11_173_962, 4), 48, "ResNet-18 in 2 GiB");
    assert_eq!(default.basis(1_000_000_000, 4), 24, "fewer would not converge");
    assert_eq!(options(30, 30).basis(1_000_000_000, 4), 122);
    assert_eq!(Lanczos { max_basis: 16, ..default }.basis(1_000_000_000, 4), 16, "never more than asked for");
}

#[test]
fn a_restarted_search_finds_the_same_ends_in_bounded_memory() {
    let n = 400;
    let exact = |k: usize| 2.0 - 2.0 * (k as f64 * PI / (n + 1) as f64).cos();
    let restarted = Lanczos { max_basis: 24, max_applications: 4000, tolerance: 1e-8, ..options(2, 2) };
    let ritz = lanczos(&laplacian(n), &random(n), &restarted).unwrap();
    assert!(ritz.converged && ritz.applications > 3 * 24, "{} applications", ritz.applications);
    for k in 0..2 {
        assert!((ritz.largest[k].value - exact(n - k)).abs() < 1e-10);
        assert!((ritz.smallest[k].value - exact(k + 1)).abs() < 1e-10);
        let residual = true_residual(&laplacian(n), &ritz.largest[k]);
        assert!((residual - ritz.largest[k].residual).abs() < 1e-12);
    }
    // A restart throws little away: outliers cost about what the unbounded basis needs.
    let mut entries: Vec<f64> = random(n).iter().map(|x| x.abs().min(3.0)).collect();
    (entries[17], entries[230]) = (6.0, 5.0);
    let matrix = Dense::diagonal(&entries);
    let applications =
        |max_basis| lanczos(&matrix, &random(n), &Lanczos { max_basis, ..options(2, 0) }).unwrap().applications;
    assert!(applications(16) <= 2 * applications(400), "{} and {}", applications(16), applications(400));
}

#[test]
fn f32_storage_works_to_f32_accuracy() {
    struct Diagonal(Vec<f32>);
    impl Operator<Vec<f32>> for Diagonal {
        fn apply(&self, v: &Vec<f32>) -> Result<Vec<f32>> {
            Ok(self.0.iter().zip(v).map(|(a, x)| a * x).collect())
        }
    }
    let entries: Vec<f32> = (0..400).map(|i| if i == 5 { 30.0 } else { i as f32 / 400.0 }).collect();
    let ritz = lanczos(&Diagonal(entries), &vec![1.0; 400], &Lanczos { smallest: 1, ..Lanczos::default() }).unwrap();
    assert!((ritz.largest[0].value - 30.0).abs() < 1e-4);
    // A start vector in an invariant subspace, to rounding: the search goes on outside it.
    let entries: Vec<f32> = (0..60).map(|i| if i == 5 { 30.0 } else { 1.0 + (i % 3) as f32 }).collect();
    let inside: Vec<f32> = (0..60).map(|i| if i == 5 { 0.0 } else { 0.1 + i as f32 }).collect();
    let ritz = lanczos(&Diagonal(entries), &inside, &Lanczos::default()).unwrap();
    assert!((ritz.largest[0].value - 30.0).abs() < 1e-4, "{}", ritz.largest[0].value);
}

#[test]
fn every_copy_of_an_eigenvalue_is_found() {
    // A ⊗ I_10: every eigenvalue of A ten times.
    let a: Vec<f64> = (0..40).map(|i| 930.8 * 0.8_f64.powi(i)).collect();
    let entries: Vec<f64> = a.iter().flat_map(|value| [*value; 10]).collect();
    let matrix = Dense::diagonal(&entries);
    for (wanted, exact) in [(10, &entries[..10]), (14, &entries[..14]), (4, &entries[..4])] {
        let options = Lanczos { tolerance: 1e-6, max_basis: 60, ..options(wanted, 0) };
        let ritz = lanczos(&matrix, &random(400), &options).unwrap();
        assert!(ritz.converged, "{wanted}");
        for (pair, exact) in ritz.largest.iter().zip(exact) {
            assert!((pair.value - exact).abs() < 1e-6 * exact, "{} for {exact}", pair.value);
        }
    }
    // The other end, and both at once.
    let negative = Dense::diagonal(&entries.iter().map(|x| -x).collect::<Vec<_>>());
    let ritz = lanczos(&negative, &random(400), &options(2, 12)).unwrap();
    let found: Vec<f64> = ritz.smallest.iter().map(|pair| (-pair.value / 930.8 * 1e6).round() / 1e6).collect();
    assert_eq!(found, [[1.0; 10].as_slice(), &[0.8; 2]].concat());
    // Where the products do not suffice, the set is not called complete.
    let short = Lanczos { max_applications: 60, tolerance: 1e-3, ..options(10, 0) };
    assert!(!lanczos(&matrix, &random(400), &short).unwrap().converged);
}

#[test]
fn clusters_are_found_whole() {
    let n = 400;
    for gap in [1e-3, 1e-4, 1e-6, 1e-12] {
        for seed in 0..5 {
            let mut entries = vec![0.0; n];
            let mut stream = Stream::new(seed, Purpose::Probe, 7);
            entries.fill_with(|| stream.uniform());
            (0..10).for_each(|j| entries[31 * j] = 100.0 * (1.0 - gap * j as f64));
            let mut start = vec![0.0; n];
            start.randomize(&mut stream);
            let ritz =
                lanczos(&Dense::diagonal(&entries), &start, &Lanczos { tolerance: 1e-3, ..options(10, 0) }).unwrap();
            assert!(ritz.converged, "gap {gap}, seed {seed}");
            for (j, pair) in ritz.largest.iter().enumerate() {
                let exact = 100.0 * (1.0 - gap * j as f64);
                assert!((pair.value - exact).abs() < 0.1, "{} for {exact}, gap {gap}", pair.value);
            }
            assert!(ritz.applications < 200, "{} products", ritz.applications);
        }
    }
}

#[test]
fn looking_for_what_was_missed_is_cheap_where_nothing_was() {
    let n = 1000;
    let mut entries: Vec<f64> = random(n).iter().map(|x| x.abs().min(3.0)).collect();
    (0..5).for_each(|j| entries[j] = 40.0 - 5.0 * j as f64);
    let ritz = lanczos(&Dense::diagonal(&entries), &random(n), &Lanczos { tolerance: 1e-3, ..options(5, 0) }).unwrap();
    assert!(ritz.converged && ritz.applications <= 40, "{} products", ritz.applications);
}

#[test]
fn a_zero_converges_beside_large_eigenvalues_and_alone() {
    // Rank 3 in 200 dimensions: the bottom is 0, 197 times.
    let mut entries = vec![0.0; 200];
    (entries[3], entries[50], entries[51]) = (50.0, 20.0, 1.0);
    let ritz = lanczos(&Dense::diagonal(&entries), &random(200), &Lanczos { smallest: 2, ..Lanczos::default() });
    let ritz = ritz.unwrap();
    assert!(ritz.converged && ritz.applications < 20, "{} products", ritz.applications);
    for pair in &ritz.smallest {
        assert!(pair.value.abs() <= pair.residual && pair.residual < 1e-5 * 50.0, "{}", pair.residual);
    }
    let nothing = Dense::diagonal(&[0.0; 50]);
    let ritz = lanczos(&nothing, &random(50), &Lanczos { largest: 3, smallest: 1, ..Lanczos::default() }).unwrap();
    assert!(ritz.converged && ritz.applications <= 12, "{} products", ritz.applications);
    assert!(ritz.largest.iter().chain(&ritz.smallest).all(|pair| pair.value == 0.0 && pair.residual == 0.0));
}

/// A matrix in double precision that acts on vectors in single, as networks do.
struct Single(Dense);
impl Operator<Vec<f32>> for Single {
    fn apply(&self, v: &Vec<f32>) -> Result<Vec<f32>> {
        let wide: Vec<f64> = v.iter().map(|x| f64::from(*x)).collect();
        Ok(self.0.apply(&wide)?.iter().map(|x| *x as f32).collect())
    }
}

#[test]
fn residuals_in_single_precision_hold_the_error() {
    // Few distinct eigenvalues: β|s_m| falls to nothing, the error does not.
    let n = 60;
    let basis: Vec<Vec<f64>> = {
        let mut basis: Vec<Vec<f64>> = (0..n as u64)
            .map(|i| {
                let mut v = vec![0.0; n];
                v.randomize(&mut Stream::new(5, Purpose::Probe, i));
                v
            })
            .collect();
        orthonormalize(&mut basis);
        basis
    };
    let exact = |k: usize| if k < 8 { 30.0 - 3.0 * k as f64 } else { 0.0 };
    let entry = |i: usize, j: usize| (0..8).map(|k| exact(k) * basis[k][i] * basis[k][j]).sum();
    let matrix = Dense::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect());
    let start: Vec<f32> = random(n).iter().map(|x| *x as f32).collect();
    for tolerance in [1e-3, 1e-8] {
        let options = Lanczos { tolerance, max_applications: 60, ..options(5, 1) };
        let ritz = lanczos(&Single(matrix.clone()), &start, &options).unwrap();
        for (k, pair) in ritz.largest.iter().chain(&ritz.smallest).enumerate() {
            let truth = if k < 5 { exact(k) } else { 0.0 };
            let error = (pair.value - truth).abs();
            assert!(error <= pair.residual, "{error:e} within {:e}", pair.residual);
            // The largest Ritz value is a lower bound of the norm.
            assert!(pair.residual >= 29.99 * f64::from(f32::EPSILON));
            assert!(pair.residual <= 30.0 * tolerance.max(1e-5), "{:e}", pair.residual);
        }
        assert_eq!(ritz.converged, tolerance > 1e-7, "what rounding hides is not called converged");
    }
}

#[test]
fn a_loose_search_spends_its_last_product_on_the_value() {
    let n = 400;
    let outliers = |top: [f64; 2]| {
        let mut entries: Vec<f64> = random(n).iter().map(|x| x.abs().min(3.0)).collect();
        (entries[17], entries[230]) = (top[0], top[1]);
        Dense::diagonal(&entries)
    };
    // (second eigenvalue, products): a value that is known well ends the search, a near neighbour prolongs it.
    for second in [50.0, 90.0, 97.0] {
        let matrix = outliers([100.0, second]);
        let loose = Lanczos { tolerance: 0.05, ..Lanczos::default() };
        let ritz = lanczos(&matrix, &random(n), &loose).unwrap();
        let top = &ritz.largest[0];
        assert!(ritz.converged && top.residual <= 0.05 * top.value && ritz.applications <= 10);
        assert!((top.residual - true_residual(&matrix, top)).abs() < 1e-10, "the recurrence tells the residual");
        // Of two that the space has not told apart yet, the value is between them.
        let off = (top.value - 100.0).abs().min((top.value - second).abs());
        assert!(off <= if second == 50.0 { 0.1 } else { top.residual }, "{} beside {second}", top.value);
        // As many products as the space has directions, none of them on the vector that was found.
        let mut space = Space::new(&random(n)).unwrap();
        (0..ritz.applications).for_each(|_| assert!(space.extend(&matrix, &[]).unwrap()));
        assert_eq!(space.pairs()[0].value.to_bits(), top.value.to_bits(), "beside {second}");
    }
}

#[test]
fn what_is_not_finite_ends_the_search_without_an_error() {
    struct Broken;
    impl Operator<Vec<f64>> for Broken {
        fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
            Ok(vec![f64::NAN; v.len()])
        }
    }
    let ritz = lanczos(&Broken, &vec![1.0; 3], &Lanczos::default()).unwrap();
    assert!(ritz.largest.is_empty() && !ritz.converged);
}

#[test]
fn an_operator_that_breaks_after_a_restart_keeps_its_residuals() {
    struct Breaks(Dense, std::cell::Cell<usize>);
    impl Operator<Vec<f64>> for Breaks {
        fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
            self.1.set(self.1.get() + 1);
            if self.1.get() > 10 { Ok(vec![f64::NAN; v.len()]) } else { self.0.apply(v) }
        }
    }
    let breaks = Breaks(laplacian(100), std::cell::Cell::new(0));
    let ritz = lanczos(&breaks, &random(100), &Lanczos { max_basis: 10, ..options(1, 1) }).unwrap();
    assert!(!ritz.converged && ritz.applications == 11);
    let residual = true_residual(&laplacian(100), &ritz.largest[0]);
    assert!(residual > 1e-3 && (ritz.largest[0].residual - residual).abs() < 1e-10, "{residual}");
}

#[test]
fn bad_arguments_are_named() {
    let matrix = Dense::diagonal(&[1.0, 2.0]);
    let message = |start: &Vec<f64>, options: &Lanczos| lanczos(&matrix, start, options).unwrap_err().to_string();
    assert!(message(&vec![1.0; 2], &options(2, 1)).contains("at most the dimension, 2"));
    assert!(message(&vec![0.0; 2], &options(1, 0)).contains("not zero"));
    assert!(message(&vec![1.0; 2], &Lanczos { tolerance: 0.0, ..Lanczos::default() }).contains("tolerance = 0"));
    assert!(message(&vec![1.0; 2], &Lanczos { max_basis: 3, ..Lanczos::default() }).contains("at least 4"));
}
