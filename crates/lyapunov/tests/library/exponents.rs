//! The exponents of systems whose answers are known, their error bars, and the mistakes that other tools were seen to
//! make.

use lyapunov::{
    AdaptiveFlow, Benettin, Error, Exponents, Flow, Growth, HeavyBall, Map, Outcome, Product, Result, Sgd, Shadow,
    SpectrumOptions, System, Vector, exponents, shadow,
    systems::{
        CatMap, Choice, Henon, Ikeda, Logistic, LogisticLattice, Lorenz63, Lorenz96, Quadratic, RandomMatrices,
        Roessler, ScalarNetwork, StandardMap, SystemVisitor, Tent, catalogue,
    },
};

/// The same system, started at a point that depends on the seed.
fn displaced<S: System>(mut system: S, seed: u64, by: f64) -> S {
    let mut displacement = system.state().zeros_like();
    displacement.randomize(&mut lyapunov::Stream::new(seed, lyapunov::Purpose::System, 1));
    let mut state = system.state().clone();
    state.axpy(by, &displacement);
    system.set_state(state);
    system
}

fn steps(steps: u64) -> SpectrumOptions {
    SpectrumOptions { steps, ..SpectrumOptions::default() }
}

fn measure(mut system: impl System, options: &SpectrumOptions) -> Exponents {
    exponents(&mut system, options).expect("the options are sound")
}

// ---- exact identities
// -------------------------------------------------------------------------------------------------

#[test]
fn uniform_expansion_is_exact() {
    let golden = f64::midpoint(3.0, 5.0_f64.sqrt()).ln();
    let cat = measure(CatMap.system(), &steps(5000));
    assert!((cat.values[0] - golden).abs() < 1e-10 && (cat.values[1] + golden).abs() < 1e-10);
    for mu in [0.5, 1.2, 1.9, 2.0] {
        assert!((measure(Tent { mu }.system(), &steps(5000)).values[0] - mu.ln()).abs() < 1e-10);
    }
}

#[test]
fn constant_contraction_gives_an_exact_sum() {
    let close =
        |found: Exponents, sum: f64| assert!((found.sum.value - sum).abs() < 1e-10, "{:?} for {sum}", found.sum);
    close(measure(Henon::default().system(), &steps(5000)), 0.3_f64.ln());
    close(measure(Ikeda::default().system(), &steps(5000)), 2.0 * 0.9_f64.ln());
    close(measure(StandardMap::default().system(), &steps(5000)), 0.0);
    // The Runge–Kutta step contracts like the flow within O(h⁴): here 1e-11.
    let lorenz =
        measure(Lorenz63::default().system(2e-4), &SpectrumOptions { warm_up: 5000, ..steps(20_000) }).per_time();
    close(lorenz, -(10.0 + 1.0 + 8.0 / 3.0));
    close(measure(Lorenz96::default().system(8, 2e-4), &steps(5000)).per_time(), -8.0);
}

#[test]
fn fixed_points_and_cycles_have_the_rates_of_their_multipliers() {
    for r in [0.5, 1.5, 2.3, 2.9, 3.2, 3.4] {
        let map = Logistic { r };
        let found = measure(map.system(), &SpectrumOptions { warm_up: 5000, ..steps(1000) });
        assert!((found.values[0] - map.exact().unwrap()).abs() < 1e-10, "r = {r}: {found:?}");
    }
}

#[test]
fn a_super_stable_point_has_minus_infinity_and_no_nan() {
    let found = measure(Map::new(Logistic { r: 2.0 }, [0.5]), &steps(1000));
    assert_eq!((found.values[0], found.std_errors[0]), (f64::NEG_INFINITY, 0.0));
    // ηh = 1 in one of three directions; the other two stay exact.
    let descent = Sgd::new(Quadratic::new(vec![10.0, 3.0, -1.0]), vec![0.0; 3], 0.1, Product::Exact);
    let found = measure(descent, &steps(2000));
    assert!((found.values[0] - 1.1_f64.ln()).abs() < 1e-10 && (found.values[1] - 0.7_f64.ln()).abs() < 1e-10);
    assert_eq!(found.values[2], f64::NEG_INFINITY);
    assert!(!found.sum.value.is_nan() && !found.sum.std_error.is_nan());
    // The lost direction is replaced, not left as the zero vector.
    let mut map = Map::new(Logistic { r: 2.0 }, [0.5]);
    let mut benettin = Benettin::new(map.state(), 1, 0).unwrap();
    benettin.advance(&mut map, 3, 1).unwrap();
    assert_eq!(benettin.deviations()[0][0].abs(), 1.0);
}

#[test]
fn descent_on_a_quadratic_has_the_logarithms_of_its_factors() {
    // The first two curvatures are on the two branches: the flat one, and the sharp one beyond 2/η.
    let (eta, curvatures) = (0.1, [-3.0, 22.0, 0.5, 14.0]);
    let descent = Sgd::new(Quadratic::new(curvatures.to_vec()), vec![0.0; 4], eta, Product::Exact);
    let found = measure(descent, &SpectrumOptions { warm_up: 3000, ..steps(1000) });
    let mut exact = curvatures.map(|h| (1.0 - eta * h).abs().ln());
    exact.sort_by(|a, b| b.total_cmp(a));
    for (value, exact) in found.values.iter().zip(exact) {
        assert!((value - exact).abs() < 1e-10, "{value} for {exact}");
    }
}

#[test]
fn heavy_ball_on_a_quadratic_has_the_log_moduli_of_its_roots() {
    // Complex roots, real roots, a negative curvature, and one beyond the edge (2 + 2β)/η = 38.
    let (eta, beta, curvatures) = (0.1, 0.9, [2.0, 37.99, -1.0, 50.0]);
    let descent = HeavyBall::new(Quadratic::new(curvatures.to_vec()), vec![0.0; 4], eta, beta, Product::Exact).unwrap();
    let found = measure(descent, &SpectrumOptions { warm_up: 2000, ..steps(20_000) });
    let mut exact: Vec<f64> = curvatures.iter().flat_map(|h| HeavyBall::<Quadratic>::moduli(*h, eta, beta)).collect();
    exact.sort_by(|a, b| b.total_cmp(a));
    assert!((found.sum.value - 4.0 * beta.ln()).abs() < 1e-10);
    for (value, exact) in found.values.iter().zip(exact) {
        // Complex pairs turn, so their average telescopes: 1/steps.
        assert!((value - exact.ln()).abs() < 2e-4, "{value} for {}", exact.ln());
    }
}

#[test]
fn the_edge_of_the_heavy_ball_is_where_its_largest_exponent_changes_sign() {
    let largest = |h: f64| HeavyBall::<Quadratic>::moduli(h, 0.1, 0.9)[0].ln();
    assert!(largest(37.99) < 0.0 && largest(38.01) > 0.0);
}

#[test]
fn in_the_valley_of_the_scalar_network_one_direction_is_neutral() {
    let network = Sgd::new(ScalarNetwork { target: 2.0 }, vec![1.0, 2.0], 0.1, Product::Exact);
    let found = measure(network, &steps(2000));
    assert!(found.values[0].abs() < 1e-10 && (found.values[1] - 0.5_f64.ln()).abs() < 1e-10);
}

// ---- ergodic averages
// -------------------------------------------------------------------------------------------------

/// Every exponent within 4 of its own standard errors of the known value, for 20 seeds.
fn within_four_errors(name: &str, known: &[f64], run: impl Fn(u64) -> Exponents) {
    for seed in 0..20 {
        let found = run(seed);
        for (i, known) in known.iter().enumerate() {
            let (value, error) = (found.values[i], found.std_errors[i]);
            assert!((value - known).abs() <= 4.0 * error, "{name} {seed}: Λ_{i} = {value} ± {error}, not {known}");
        }
    }
}

#[test]
fn ergodic_averages_lie_within_four_of_their_own_errors() {
    within_four_errors("logistic", &[2.0_f64.ln()], |seed| {
        measure(displaced(Logistic { r: 4.0 }.system(), seed, 0.01), &steps(10_000))
    });
    within_four_errors("henon", &[0.419_22, -1.623_19], |seed| {
        measure(displaced(Henon::default().system(), seed, 0.01), &steps(20_000))
    });
    within_four_errors("ikeda", &[0.5076, -0.7183], |seed| {
        measure(displaced(Ikeda::default().system(), seed, 0.01), &steps(20_000))
    });
    within_four_errors("random matrices", &RandomMatrices::<2>.exact(), |seed| {
        measure(RandomMatrices::<2>.system(seed), &SpectrumOptions { seed, ..steps(10_000) })
    });
    within_four_errors("random 3 x 3 matrices", &RandomMatrices::<3>.exact(), |seed| {
        measure(RandomMatrices::<3>.system(seed), &SpectrumOptions { seed, ..steps(5000) })
    });
}

#[test]
fn the_flows_have_their_literature_values() {
    within_four_errors("lorenz", &[0.9056], |seed| {
        measure(displaced(Lorenz63::default().system(0.01), seed, 0.1), &steps(20_000)).per_time()
    });
    within_four_errors("roessler", &[0.0714], |seed| {
        measure(displaced(Roessler::default().system(0.05), seed, 0.1), &steps(20_000)).per_time()
    });
    let lorenz = measure(Lorenz63::default().system(0.01), &steps(50_000)).per_time();
    assert!(lorenz.values[1].abs() < 4.0 * lorenz.std_errors[1].max(1e-4), "{lorenz:?}");
    assert!((lorenz.values[2] + 14.572).abs() < 0.03);
    let dimension = lorenz.kaplan_yorke.unwrap();
    assert!((dimension.value - 2.062).abs() < 4.0 * dimension.std_error + 1e-3, "{dimension:?}");
}

#[test]
fn the_errors_of_a_flow_include_its_time_step() {
    // The sum is exact: the divergence is a constant. Without the term it was 500 of its errors off.
    let exact = -(10.0 + 1.0 + 8.0 / 3.0);
    for time_step in [0.02, 0.01, 0.005] {
        let found = measure(Lorenz63::default().system(time_step), &steps(20_000)).per_time();
        let (off, error) = ((found.sum.value - exact).abs(), found.sum.std_error);
        assert!(off <= 1.5 * error && error <= 3.0 * off, "h = {time_step}: {off:e} of {error:e}");
        let bias: f64 = found.discretization.iter().sum();
        assert!((found.sum.value + bias - exact).abs() < 0.2 * off, "the sign is that of the correction");
        assert!(found.std_errors[2] >= found.discretization[2].abs());
    }
    let ring = measure(Lorenz96::default().system(8, 0.05), &steps(5000)).per_time();
    assert!((ring.sum.value + 8.0).abs() <= 1.5 * ring.sum.std_error && ring.sum.std_error < 1e-2, "{:?}", ring.sum);
    // Steps that choose themselves: the tolerance in the place of h.
    let mut lorenz = AdaptiveFlow::new(Lorenz63::default(), [1.0, 1.0, 20.0], 0.1, 1e-6).unwrap();
    let found = exponents(&mut lorenz, &steps(2000)).unwrap().per_time();
    assert!((found.sum.value - exact).abs() <= 3.0 * found.sum.std_error && found.sum.std_error < 3e-3, "{found:?}");
    // A map is no approximation.
    assert_eq!(measure(Henon::default().system(), &steps(1000)).discretization, [0.0; 2]);
}

#[test]
fn sums_in_closed_form_are_met() {
    struct Sum;
    impl SystemVisitor for Sum {
        type Output = Result<Exponents>;
        fn visit<S: System + Clone>(self, mut system: S) -> Self::Output {
            exponents(&mut system, &steps(5000))
        }
    }
    for entry in catalogue() {
        let choice = Choice::named(entry.name).unwrap();
        let Some(exact) = choice.exact_sum() else { continue };
        let found = choice.visit(Sum).unwrap();
        let found = if entry.per_time { found.per_time() } else { found };
        let same = found.sum.value == exact;
        let off = if same { 0.0 } else { (found.sum.value - exact).abs() };
        assert!(off <= 4.0 * found.sum.std_error + 1e-9, "{}: {:?}, not {exact}", entry.name, found.sum);
    }
}

#[test]
fn a_super_stable_cycle_is_minus_infinity_and_not_the_logarithm_of_rounding() {
    // 1 + √5 as a double: the critical point is on the cycle of two, to rounding.
    for r in [3.236_067_977_499_79, 1.0 + 5.0_f64.sqrt()] {
        let map = Logistic { r };
        assert_eq!(map.exact(), Some(f64::NEG_INFINITY));
        let found = measure(map.system(), &SpectrumOptions { warm_up: 5000, ..steps(1000) });
        assert_eq!(found.values[0], f64::NEG_INFINITY, "r = {r}");
    }
    // A hair beside it the number is a number, on both sides.
    let near = Logistic { r: 3.2361 };
    let found = measure(near.system(), &SpectrumOptions { warm_up: 5000, ..steps(1000) });
    assert!((found.values[0] - near.exact().unwrap()).abs() < 1e-8 && found.values[0] < -4.0, "{found:?}");
}

#[test]
fn sticky_orbits_are_not_called_settled() {
    // The gingerbread map from (.5, 3.7): chaotic, among islands at which it stays for times without a scale.
    let gingerbread = |x: f64| {
        Map::of([x, 3.7], |x: &[f64; 2]| [1.0 - x[1] + x[0].abs(), x[0]], |x, d| [x[0].signum() * d[0] - d[1], d[0]])
    };
    let runs: Vec<Exponents> =
        (0..60).map(|i| measure(gingerbread(0.5 + 1e-4 * f64::from(i)), &steps(10_000))).collect();
    let settled = runs.iter().filter(|found| found.aligned).count();
    let within =
        |k: f64| runs.iter().filter(|found| (found.values[0] - 0.0741).abs() <= k * found.std_errors[0]).count();
    assert!(settled <= 30, "{settled} of 60 called settled");
    assert!(within(1.0) >= 33 && within(2.0) >= 44, "{} and {} of 60", within(1.0), within(2.0));
}

#[test]
fn the_zero_exponent_of_a_flow_has_the_small_error_that_it_deserves() {
    let lorenz = measure(Lorenz63::default().system(0.01), &steps(50_000));
    assert!(lorenz.std_errors[1] < 0.3 * lorenz.std_errors[0], "{lorenz:?}");
    assert!(lorenz.values[1].abs() < 4.0 * lorenz.std_errors[1], "{lorenz:?}");
}

#[test]
fn lorenz_96_has_thirteen_positive_exponents_and_dimension_27() {
    let options = SpectrumOptions { steps: 4000, warm_up: 1000, ..SpectrumOptions::default() };
    let found = measure(Lorenz96::default().system(40, 0.05), &options).per_time();
    assert!((found.values[0] - 1.68).abs() < 0.06, "{}", found.values[0]);
    let positive = found.values.iter().filter(|value| **value > 0.02).count();
    assert!((12..=14).contains(&positive), "{positive}");
    let dimension = found.kaplan_yorke.unwrap();
    assert!((dimension.value - 27.1).abs() < 0.4, "{dimension:?}");
    assert!((found.sum.value + 40.0).abs() < 0.01);
}

#[test]
fn an_uncoupled_lattice_has_the_exponent_of_its_sites() {
    let lattice = LogisticLattice { r: 4.0, coupling: 0.0 };
    let found = measure(lattice.system(5), &steps(20_000));
    for (value, error) in found.values.iter().zip(&found.std_errors) {
        assert!((value - 2.0_f64.ln()).abs() < 4.0 * error.max(1e-4), "{found:?}");
    }
}

/// A system with its exponent, and a run from a start that depends on the seed.
type Calibrated = (&'static str, f64, fn(u64) -> Exponents);

/// Systems that forget, and whose largest exponent is known: in closed form, or from a thousand times as many steps.
const MIXING: [Calibrated; 7] = [
    ("logistic, r = 4", std::f64::consts::LN_2, |seed| {
        ten_thousand(displaced(Logistic { r: 4.0 }.system(), seed, 0.01))
    }),
    ("Hénon", 0.419_22, |seed| ten_thousand(displaced(Henon::default().system(), seed, 0.01))),
    ("Ikeda", 0.507_6, |seed| ten_thousand(displaced(Ikeda::default().system(), seed, 0.01))),
    ("Lozi", 0.470_22, |seed| {
        let lozi = |x: &[f64; 2]| [1.0 - 1.7 * x[0].abs() + x[1], 0.5 * x[0]];
        ten_thousand(displaced(
            Map::of([0.1; 2], lozi, |x, d| [d[1] - 1.7 * x[0].signum() * d[0], 0.5 * d[0]]),
            seed,
            0.01,
        ))
    }),
    ("random 2 × 2 matrices", 0.057_965_76, |seed| {
        measure(RandomMatrices::<2>.system(seed), &SpectrumOptions { seed, count: Some(1), ..steps(10_000) })
    }),
    ("standard map, k = 10", 1.619_99, |seed| ten_thousand(displaced(StandardMap { k: 10.0 }.system(), seed, 0.5))),
    ("Lorenz", 0.009_056, |seed| ten_thousand(displaced(Lorenz63::default().system(0.01), seed, 0.1))),
];

/// Area-preserving systems with islands, at which orbits stick.
const STICKY: [Calibrated; 3] = [
    ("gingerbread", 0.074_13, |seed| {
        let step = |x: &[f64; 2]| [1.0 - x[1] + x[0].abs(), x[0]];
        ten_thousand(displaced(Map::of([0.5, 3.7], step, |x, d| [x[0].signum() * d[0] - d[1], d[0]]), seed, 0.001))
    }),
    ("standard map, k = 2", 0.438_6, |seed| {
        let mut map = StandardMap { k: 2.0 }.system();
        map.set_state([0.01, 0.01]);
        ten_thousand(displaced(map, seed, 0.005))
    }),
    ("standard map, k = 1.2", 0.186, |seed| {
        let mut map = StandardMap { k: 1.2 }.system();
        map.set_state([0.01, 0.01]);
        ten_thousand(displaced(map, seed, 0.005))
    }),
];

fn ten_thousand(system: impl System) -> Exponents {
    measure(system, &SpectrumOptions { count: Some(1), ..steps(10_000) })
}

/// Of 200 runs: how often the known value lies within 1 and within 2 standard errors, and the share called settled.
fn coverage((name, known, run): &Calibrated) -> [f64; 3] {
    let runs: Vec<Exponents> = (0..200).map(run).collect();
    let within = |k: f64| move |found: &&Exponents| (found.values[0] - known).abs() <= k * found.std_errors[0];
    let settled: Vec<&Exponents> = runs.iter().filter(|found| found.aligned).collect();
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let all = [1.0, 2.0].map(|k| share(runs.iter().filter(within(k)).count(), runs.len()));
    let of_settled =
        [1.0, 2.0].map(|k| share(settled.iter().copied().filter(|found| within(k)(found)).count(), settled.len()));
    println!(
        "| {name} | {:.0} % | {:.0} % | {:.0} % | {:.0} % | {:.0} % |",
        100.0 * all[0],
        100.0 * all[1],
        50.0 / 100.0 * settled.len() as f64,
        100.0 * of_settled[0],
        100.0 * of_settled[1]
    );
    [all[0], all[1], share(settled.len(), runs.len())]
}

#[test]
#[ignore = "slow: 2,000 runs; cargo test --release -p lyapunov --test library error_bars -- --ignored --nocapture"]
fn the_error_bars_hold_the_truth_as_often_as_they_should() {
    println!(
        "| system | within 1 error | within 2 | settled | of these within 1 | within 2 |\n|---|---|---|---|---|---|"
    );
    for system in &MIXING {
        let [one, two, settled] = coverage(system);
        assert!((0.58..=0.80).contains(&one) && (0.90..=1.0).contains(&two), "{}: {one} and {two}", system.0);
        // The exponent of the random matrices is small beside its error: a tenth of itself is not reached.
        assert!(settled > 0.9 || system.0.starts_with("random"), "{}: {settled} settled", system.0);
    }
    for system in &STICKY {
        let [one, two, settled] = coverage(system);
        // A run that has not met the longest stays cannot know of them: this is what is promised, and not more.
        assert!(one >= 0.4 && two >= 0.65 && settled < 0.85, "{}: {one} and {two}, {settled} settled", system.0);
    }
}

// ---- what other tools were seen to get wrong
// ----------------------------------------------------------------------------

#[test]
fn a_stable_linear_flow_is_exact_and_not_zero() {
    let mut flow = Flow::of([1.0, 1.0], 0.01, |x: &[f64; 2]| [-x[0], -3.0 * x[1]], |_, d| [-d[0], -3.0 * d[1]]);
    let found = exponents(&mut flow, &steps(5000)).unwrap().per_time();
    // Runge–Kutta: ln(1 − z + z²/2 − z³/6 + z⁴/24)/h for z = h and 3h.
    assert!((found.values[0] + 1.0).abs() < 1e-9 && (found.values[1] + 3.0).abs() < 1e-7, "{found:?}");
    assert!(found.aligned && found.kaplan_yorke.unwrap().value == 0.0);
}

#[test]
fn short_runs_are_flagged() {
    let run = |length| measure(Lorenz63::default().system(0.01), &SpectrumOptions { warm_up: 0, ..steps(length) });
    assert!(!run(10).aligned && !run(100).aligned && !run(1000).aligned);
    assert!(run(50_000).aligned);
    let slow = Sgd::new(Quadratic::new(vec![-1.0, -0.9, 1.0]), vec![0.0; 3], 1e-3, Product::Exact);
    assert!(
        !measure(slow, &SpectrumOptions { warm_up: 0, ..steps(3000) }).aligned,
        "a drift without noise is no convergence"
    );
}

#[test]
fn fewer_exponents_are_the_first_of_them_all() {
    let of = |count| measure(Lorenz96::default().system(10, 0.01), &SpectrumOptions { count, ..steps(3000) });
    let all = of(None);
    for k in [1, 3, 7] {
        assert_eq!(of(Some(k)).values, all.values[..k], "bit for bit: the first k deviations do not see the others");
    }
    assert_eq!(of(Some(3)).kaplan_yorke, None, "the dimension is beyond three exponents");
}

#[test]
fn rarer_renormalisation_gives_the_same_exponents() {
    let of = |every| measure(Henon::default().system(), &SpectrumOptions { every, ..steps(9000) });
    for every in [2, 5, 9] {
        let (often, rarely) = (of(1), of(every));
        for (a, b) in often.values.iter().zip(&rarely.values) {
            assert!((a - b).abs() < 1e-3, "{every}: {a} and {b}");
        }
        assert_eq!(rarely.steps, 9000);
    }
}

#[test]
fn deviations_that_would_overflow_are_renormalised_in_time() {
    // Growth by e¹⁰⁰ and decay by e⁻¹⁰⁰ per ten steps, never asked to renormalise.
    let mut map = Map::of([0.0; 2], |x: &[f64; 2]| *x, |_, d| [d[0] * 10.0_f64.exp(), d[1] * (-10.0_f64).exp()]);
    let found = exponents(&mut map, &SpectrumOptions { every: u64::MAX, warm_up: 10, ..steps(2000) }).unwrap();
    assert_eq!(found.outcome, Outcome::Completed);
    assert!((found.values[0] - 10.0).abs() < 1e-9 && (found.values[1] + 10.0).abs() < 1e-6, "{:?}", found.values);
}

#[test]
fn growth_beyond_all_numbers_within_a_few_steps_is_added_up() {
    let mut map = Map::of([0.0], |x: &[f64; 1]| *x, |_, d| [1e60 * d[0]]);
    let found = exponents(&mut map, &SpectrumOptions { warm_up: 0, ..steps(100) }).unwrap();
    assert!((found.values[0] - 60.0 * 10.0_f64.ln()).abs() < 1e-10);
}

#[test]
fn a_run_that_blows_up_keeps_what_was_found() {
    // η = 3 on h = 1: the weights double at every step and diverge after 512.
    let descent = || Sgd::new(Quadratic::new(vec![1.0]), vec![1.0], 3.0, Product::Exact);
    for warm_up in [0, 100, 1000] {
        let found = measure(descent(), &SpectrumOptions { warm_up, ..steps(10_000) });
        assert_eq!(found.outcome, Outcome::Diverged { step: 512 }, "warm-up {warm_up}");
        assert!((found.values[0] - 2.0_f64.ln()).abs() < 1e-10 && !found.aligned);
        assert_eq!(found.steps, if warm_up < 512 { 512 - warm_up } else { 512 });
    }
    let found = shadow(&mut descent(), &Shadow { warm_up: 0, ..Shadow::default() }).unwrap();
    assert!(matches!(found.outcome, Outcome::Diverged { .. }) && (found.values[0] - 2.0_f64.ln()).abs() < 1e-5);
}

#[test]
fn single_precision_goes_through_the_same_code() {
    fn henon() -> Map<impl lyapunov::Law<Vector = Vec<f32>> + Clone> {
        Map::of(
            vec![0.1_f32, 0.1],
            |x: &Vec<f32>| vec![1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]],
            |x: &Vec<f32>, d: &Vec<f32>| vec![-2.8 * x[0] * d[0] + d[1], 0.3 * d[0]],
        )
    }
    let found = measure(henon(), &steps(20_000));
    assert!((found.values[0] - 0.419_22).abs() < 4.0 * found.std_errors[0]);
    // ε^(2/3) for f32.
    assert!((found.sum.value - 0.3_f64.ln()).abs() < 2.5e-5, "{:?}", found.sum);
    let twin = shadow(&mut henon(), &Shadow { steps: 20_000, ..Shadow::default() }).unwrap();
    assert!((twin.values[0] - found.values[0]).abs() < 0.01 * found.values[0], "{twin:?}");
    let refused = shadow(&mut henon(), &Shadow { relative_separation: Some(1e-8), ..Shadow::default() });
    assert!(matches!(refused, Err(Error::Argument { name: "relative_separation", .. })));
}

#[test]
fn a_difference_tangent_finds_the_same_exponents() {
    let step = |x: &[f64; 2]| [1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]];
    let found = measure(Map::by_differences([0.1, 0.1], step).unwrap(), &steps(5000));
    let exact = measure(Henon::default().system(), &steps(5000));
    assert!((found.values[0] - exact.values[0]).abs() < 1e-6 && (found.sum.value - 0.3_f64.ln()).abs() < 1e-6);
    let decay = Flow::by_differences([1.0], 0.01, |x: &[f64; 1]| [-2.0 * x[0]]).unwrap();
    assert!((measure(decay, &steps(500)).per_time().values[0] + 2.0).abs() < 1e-7);
}

// ---- both methods, resumption, arguments
// --------------------------------------------------------------------------------

/// However rarely a loop would like to renormalise: the smaller exponents are not lost to rounding, and the sum is
/// ln|det|.
#[test]
fn the_spectrum_does_not_depend_on_how_often_it_is_renormalised() {
    fn close(of: impl Fn(u64) -> Exponents, tolerance: f64) {
        let often = of(1);
        for every in [20, 300, u64::MAX] {
            let rarely = of(every);
            for (a, b) in often.values.iter().zip(&rarely.values) {
                assert!((a - b).abs() < tolerance, "every {every}: {a} and {b}");
            }
            assert!((often.sum.value - rarely.sum.value).abs() < tolerance);
        }
    }
    let sampled = |every| SpectrumOptions { every, ..steps(3000) };
    close(|every| measure(Henon::default().system(), &sampled(every)), 1e-8);
    close(|every| measure(Lorenz63::default().system(0.01), &sampled(every)), 1e-6);
    let curvatures = [-1.0, 2.0, 5.0, 9.9999];
    close(
        |every| {
            let descent = Sgd::new(Quadratic::new(curvatures.to_vec()), vec![0.0; 4], 0.1, Product::Exact);
            measure(descent, &sampled(every))
        },
        1e-8,
    );
    close(
        |every| {
            let quadratic = Quadratic::new((1..=5).map(f64::from).collect());
            let start = vec![0.0; 5];
            measure(HeavyBall::new(quadratic, start, 0.1, 0.5, Product::Exact).unwrap(), &sampled(every))
        },
        1e-7,
    );
    // In single precision the Hénon map has five digits; started alike, its orbit is another one at every precision.
    let single = |every| {
        let mut map = Map::of(
            [0.1_f32, 0.1],
            |x: &[f32; 2]| [1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]],
            |x, d| [-2.8 * x[0] * d[0] + d[1], 0.3 * d[0]],
        );
        exponents(&mut map, &sampled(every)).unwrap()
    };
    close(single, 1e-3);
}

#[test]
fn the_shadow_and_the_tangent_agree_on_every_system() {
    struct Both;
    impl SystemVisitor for Both {
        type Output = Result<(Exponents, Exponents)>;
        fn visit<S: System + Clone>(self, system: S) -> Self::Output {
            let options = SpectrumOptions { count: Some(1), ..steps(5000) };
            let tangent = exponents(&mut system.clone(), &options)?;
            let twin = shadow(&mut system.clone(), &Shadow { steps: 5000, ..Shadow::default() })?;
            Ok((tangent, twin))
        }
    }
    for entry in catalogue() {
        let (tangent, twin) = Choice::named(entry.name).unwrap().visit(Both).unwrap();
        let error = tangent.std_errors[0].hypot(twin.std_errors[0]).max(1e-5);
        let distance = (tangent.values[0] - twin.values[0]).abs();
        assert!(distance < 4.0 * error, "{}: {tangent:?} and {twin:?}", entry.name);
    }
}

#[test]
fn a_wide_separation_does_not_tear_at_the_edge_of_the_torus() {
    let options = Shadow { relative_separation: Some(1e-3), ..Shadow::default() };
    let cat = shadow(&mut CatMap.system(), &options).unwrap();
    assert!((cat.values[0] - f64::midpoint(3.0, 5.0_f64.sqrt()).ln()).abs() < 1e-9, "{cat:?}");
    let kicked = shadow(&mut StandardMap { k: 10.0 }.system(), &options).unwrap();
    assert!((kicked.values[0] - 5.0_f64.ln()).abs() < 0.05, "{kicked:?}");
}

#[test]
fn a_run_resumes_from_bytes_to_the_same_bits() {
    let options = SpectrumOptions { warm_up: 100, ..steps(5000) };
    let mut system = Henon::default().system();
    let mut whole = Benettin::warmed_up(&mut system, &options).unwrap();
    let (mut interrupted, mut elsewhere) = (whole.clone(), system.clone());
    whole.advance(&mut system, 5000, 1).unwrap();
    interrupted.advance(&mut elsewhere, 1234, 1).unwrap();
    let growth = Growth::from_bytes(&interrupted.growth().to_bytes()).unwrap();
    let mut resumed = Benettin::resume(interrupted.deviations().to_vec(), growth).unwrap();
    resumed.advance(&mut elsewhere, 5000 - 1234, 1).unwrap();
    assert_eq!(resumed.growth(), whole.growth());
    assert_eq!(resumed.exponents(), whole.exponents());
}

#[test]
fn two_halves_merge_into_the_bits_of_the_whole() {
    let mut system = Lorenz63::default().system(0.01);
    let mut whole = Benettin::new(system.state(), 3, 0).unwrap();
    let mut halves = system.clone();
    whole.advance(&mut system, 20_000, 1).unwrap();
    let mut part = Benettin::new(halves.state(), 3, 0).unwrap();
    part.advance(&mut halves, 8192, 1).unwrap();
    let mut first = part.growth().clone();
    part.forget();
    part.advance(&mut halves, 20_000 - 8192, 1).unwrap();
    first.merge(part.growth()).unwrap();
    assert_eq!(&first, whole.growth());
}

#[test]
fn bad_arguments_are_named() {
    let refuse =
        |options: SpectrumOptions| exponents(&mut Henon::default().system(), &options).unwrap_err().to_string();
    assert_eq!(
        refuse(SpectrumOptions { count: Some(3), ..steps(10) }),
        "count = 3 must be at least 1 and at most the dimension, 2"
    );
    assert!(refuse(SpectrumOptions { count: Some(0), ..steps(10) }).contains("count = 0"));
    assert!(refuse(steps(0)).contains("steps = 0 must be at least 1"));
    assert!(refuse(SpectrumOptions { every: 0, ..steps(10) }).contains("every = 0"));
    let twin = |options: Shadow| shadow(&mut Henon::default().system(), &options).unwrap_err().to_string();
    assert!(twin(Shadow { steps: 0, ..Shadow::default() }).contains("steps = 0"));
    assert!(twin(Shadow { relative_separation: Some(-1.0), ..Shadow::default() }).contains("must be positive"));
}
