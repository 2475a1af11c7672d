//! Rules for the learning rate: what they choose on a quadratic, and that a recorded run replays them.

use lyapunov::{
    Adam, Adgd, BackedOff, BatchSharpnessRule, Bounded, Constant, Controller, Descent, EdgeHold, EdgeStep, Error,
    HeavyBall, Measurement, Moments, Objective, OnEdge, Outcome, Plan, Probes, Product, Quantity, QuasiNewton, Result,
    Sample, Schedule, Scheduled, Sgd, Shape, Vector, run,
    systems::{Quadratic, ScalarNetwork},
    twins,
};

/// Everything that any rule needs, at every other step.
fn plan(steps: u64) -> Plan {
    let what = vec![Quantity::LambdaMax, Quantity::BatchSharpness];
    Plan { steps, measure_every: 2, what, ..Plan::default() }
}

fn rules() -> Vec<(&'static str, Box<dyn Controller>)> {
    vec![
        ("quasi-newton", Box::new(QuasiNewton::new(1.0, 2.0).unwrap())),
        ("batch-sharpness", Box::new(BatchSharpnessRule::new(0.5).unwrap())),
        ("on-edge", Box::new(OnEdge::new(1.0, 3).unwrap())),
        ("adgd", Box::new(Adgd::new(1.0).unwrap())),
        ("edge-step", Box::new(EdgeStep::new(2.0, 0.0).unwrap())),
        ("edge-hold", Box::new(EdgeHold::new(1.0, 2.0).unwrap())),
        ("bounded", Box::new(Bounded::new(EdgeStep::new(2.0, 0.0).unwrap(), 0.0, 0.05).unwrap())),
        (
            "scheduled",
            Box::new(Scheduled {
                rule: QuasiNewton::new(1.0, 2.0).unwrap(),
                schedule: Schedule::new(Shape::Constant, 30, 0.1, 0.3).unwrap(),
            }),
        ),
    ]
}

#[test]
fn a_recorded_run_replays_every_rule() {
    for ((name, mut rule), (_, mut fresh)) in rules().into_iter().zip(rules()) {
        let mut descent = Sgd::new(ScalarNetwork { target: 2.0 }, vec![0.7, 1.9], 0.1, Product::Exact);
        let mut rows: Vec<Measurement> = Vec::new();
        run(&mut descent, &plan(30), rule.as_mut(), &mut rows).unwrap();
        for row in &rows {
            let wanted = fresh.wants(row.step);
            // At the minimum there is no direction to probe.
            let probed = (wanted.along && row.gradient_norm > 0.0, wanted.secant);
            assert_eq!(probed, (row.along.is_some(), row.secant.is_some()), "{name}, step {}", row.step);
            assert!(wanted.sharpness == 0 || row.batch_lambda_max().is_some(), "{name}, step {}", row.step);
            assert_eq!(fresh.next(row).unwrap().to_bits(), row.learning_rate.to_bits(), "{name}, step {}", row.step);
        }
        assert!(rows.iter().any(|row| row.learning_rate > 0.0), "{name}");
    }
}

#[test]
fn every_rule_finds_the_minimum_of_a_quadratic_without_a_learning_rate() {
    for (name, mut rule) in rules() {
        for scale in [1e-3, 1.0, 1e3] {
            let mut descent = Sgd::new(Quadratic::new(vec![4.0 * scale, scale]), vec![1.0, -1.0], 1.0, Product::Exact);
            let mut rule = std::mem::replace(&mut rule, fresh(name));
            let summary = run(&mut descent, &plan(30), rule.as_mut(), &mut Vec::new()).unwrap();
            assert_eq!(summary.outcome, Outcome::Completed, "{name}");
            // A bound of 0.05 is far from the rate that a thousandth of the curvature needs.
            let bounded = name == "bounded" && scale < 1.0;
            assert!(bounded || Vector::norm(descent.weights()) < 1.0, "{name}, {scale}: {:?}", descent.weights());
        }
    }
}

fn fresh(name: &str) -> Box<dyn Controller> {
    rules().into_iter().find(|(own, _)| *own == name).unwrap().1
}

#[test]
fn the_rules_give_their_formula_on_one_curvature() {
    let rates = |mut rule: Box<dyn Controller>, curvature: f64| {
        let mut descent = Sgd::new(Quadratic::new(vec![curvature]), vec![1e30], 1.0, Product::Exact);
        let mut rows: Vec<Measurement> = Vec::new();
        run(&mut descent, &plan(4), rule.as_mut(), &mut rows).unwrap();
        rows.iter().map(|row| row.learning_rate).collect::<Vec<_>>()
    };
    for curvature in [0.5, 8.0] {
        let near = |found: Vec<f64>, expected: f64| {
            assert!(found.iter().all(|rate| (rate * curvature / expected - 1.0).abs() < 1e-9), "{found:?}");
        };
        near(rates(Box::new(QuasiNewton::new(0.7, 2.0).unwrap()), curvature), 0.7);
        near(rates(Box::new(BatchSharpnessRule::new(0.7).unwrap()), curvature), 1.4);
        near(rates(Box::new(OnEdge::new(0.7, 1).unwrap()), curvature), 0.7);
        near(rates(Box::new(Adgd::new(0.7).unwrap()), curvature), 0.35);
    }
}

#[test]
fn the_edge_of_the_optimizer_scales_the_papers_rule() {
    let mut ball = HeavyBall::new(Quadratic::new(vec![2.0]), vec![1.0], 1.0, 0.9, Product::Exact).unwrap();
    let mut rule = QuasiNewton::new(1.0, ball.edge_constant()).unwrap();
    let mut rows: Vec<Measurement> = Vec::new();
    run(&mut ball, &plan(1), &mut rule, &mut rows).unwrap();
    // Half of the edge (2 + 2β)/λ.
    assert!((rows[0].learning_rate - 0.5 * 3.8 / 2.0).abs() < 1e-9);
}

#[test]
fn a_measurement_that_is_missing_is_named() {
    let mut descent = Sgd::new(Quadratic::new(vec![1.0]), vec![1.0], 1.0, Product::Exact);
    let silent = Plan { measure_every: 0, ..plan(3) };
    let mut message = |mut rule: Box<dyn Controller>| {
        run(&mut descent, &silent, rule.as_mut(), &mut Vec::new()).unwrap_err().to_string()
    };
    assert!(
        message(Box::new(QuasiNewton::new(1.0, 2.0).unwrap()))
            .contains("needs the lambda_max, which was not measured up to step 0")
    );
    assert!(message(Box::new(BatchSharpnessRule::new(1.0).unwrap())).contains("batch_sharpness"));
    // Twins make no measurements.
    let twin = || Sgd::new(Quadratic::new(vec![1.0]), vec![1.0], 1.0, Product::Exact);
    let refused = twins(&mut twin(), &mut twin(), 3, 1, &mut QuasiNewton::new(1.0, 2.0).unwrap());
    assert!(matches!(refused, Err(Error::Unmeasured { step: 0, .. })));
    // Those that ask for probes find none in a row that has none.
    let bare = Measurement::of_step(0, 1.0, 1.0);
    let probing: [Box<dyn Controller>; 4] = [
        Box::new(OnEdge::new(1.0, 1).unwrap()),
        Box::new(Adgd::new(1.0).unwrap()),
        Box::new(EdgeStep::new(1.0, 0.0).unwrap()),
        Box::new(EdgeHold::new(1.0, 2.0).unwrap()),
    ];
    for mut rule in probing {
        assert!(matches!(rule.next(&bare), Err(Error::Unmeasured { step: 0, .. })));
    }
}

/// A loss whose batches have the curvature 1, but one of thirty that has 400: those of the outliers.
struct Outliers;

impl Objective for Outliers {
    type Vector = Vec<f64>;
    fn gradient(&self, at: &Vec<f64>, on: Sample) -> Result<(f64, Vec<f64>)> {
        Self::batch(on).gradient(at, on)
    }
    fn offers(&self, _: Product) -> bool {
        true
    }
    fn product(&self, kind: Product, at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        Self::batch(on).product(kind, at, on, v)
    }
}

impl Outliers {
    fn batch(on: Sample) -> Quadratic {
        let sharp = matches!(on, Sample::Mini(step) if step % 30 == 17);
        Quadratic::new(vec![if sharp { 400.0 } else { 1.0 }; 4])
    }
}

fn losses(rule: &mut impl Controller) -> Vec<f64> {
    let mut descent = Sgd::new(Outliers, vec![1.0; 4], 1.0, Product::Exact);
    let mut rows: Vec<Measurement> = Vec::new();
    run(&mut descent, &Plan { steps: 1500, measure_every: 0, ..Plan::default() }, rule, &mut rows).unwrap();
    rows.iter().map(|row| row.loss).collect()
}

#[test]
fn a_rule_that_outliers_mislead_ends_below_its_first_loss() {
    let late = |losses: &[f64]| losses[losses.len() - 60..].iter().sum::<f64>() / 60.0;
    // Its probes, every five steps, never meet the sharp batch.
    let rule = || OnEdge::new(1.9, 5).unwrap();
    let alone = losses(&mut rule());
    let mut rule = BackedOff::new(rule());
    let watched = losses(&mut rule);
    assert!(alone.len() < 1500 || late(&alone) > alone[0], "without it the loss ends at {}", late(&alone));
    assert!(watched.len() == 1500 && late(&watched) < watched[0], "with it at {}", late(&watched));
    assert!(rule.back_off() < 1.0);
}

/// Σ |wᵢ − 10 i|: a gradient everywhere, and no curvature anywhere.
struct Planes;

impl Objective for Planes {
    type Vector = Vec<f64>;
    fn gradient(&self, at: &Vec<f64>, _on: Sample) -> Result<(f64, Vec<f64>)> {
        let off = |(i, w): (usize, &f64)| w - 10.0 * i as f64;
        let offs: Vec<f64> = at.iter().enumerate().map(off).collect();
        Ok((offs.iter().map(|x| x.abs()).sum(), offs.iter().map(|x| x.signum()).collect()))
    }
    fn offers(&self, _: Product) -> bool {
        true
    }
    fn product(&self, _: Product, _: &Vec<f64>, _: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(vec![0.0; v.len()])
    }
}

#[test]
fn a_loss_without_curvature_gets_a_positive_rate_or_a_refusal_by_name() {
    let rules: [(&str, Box<dyn Controller>); 6] = [
        ("edge-step", Box::new(EdgeStep::new(1.0, 0.0).unwrap())),
        ("edge-hold", Box::new(EdgeHold::new(1.0, 2.0).unwrap())),
        ("quasi-newton", Box::new(QuasiNewton::new(1.0, 2.0).unwrap())),
        ("on-edge", Box::new(OnEdge::new(1.0, 1).unwrap())),
        ("batch-sharpness", Box::new(BatchSharpnessRule::new(1.0).unwrap())),
        ("adgd", Box::new(Adgd::new(1.0).unwrap())),
    ];
    for (name, mut rule) in rules {
        let mut descent = Sgd::new(Planes, vec![1.0, 2.0, 3.0], 1.0, Product::Exact);
        let what = vec![Quantity::LambdaMax, Quantity::BatchSharpness];
        let plan = Plan { measure_every: 1, what, ..plan(20) };
        let mut rows: Vec<Measurement> = Vec::new();
        match run(&mut descent, &plan, rule.as_mut(), &mut rows) {
            Ok(_) => assert!(rows.iter().all(|row| row.learning_rate > 0.0), "{name} trains nothing"),
            Err(error) => {
                assert!(matches!(error, Error::NoCurvature { step: 0, .. }), "{error}");
                let text = error.to_string();
                assert!(text.contains(name) && text.contains("piecewise linear"), "{text}");
            }
        }
    }
}

#[test]
fn options_outside_their_domain_are_refused() {
    let refusals = [
        QuasiNewton::new(-1.0, 2.0).err(),
        BatchSharpnessRule::new(0.0).err(),
        OnEdge::new(f64::NAN, 1).err(),
        Adgd::new(f64::INFINITY).err(),
        EdgeStep::new(-2.0, 0.9).err(),
        EdgeHold::new(0.0, 2.0).err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Some(Error::Argument { name: "sigma", .. })), "{refusal:?}");
    }
    assert!(OnEdge::new(1.0, 0).is_err());
    assert!(Bounded::new(Constant(1.0), 1.0, 0.5).unwrap_err().to_string().contains("bounds = 1 to 0.5"));
}

/// ½ (t + 1) w² on the batch of step t.
#[derive(Clone)]
struct Stiffening;

impl Objective for Stiffening {
    type Vector = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>, on: Sample) -> Result<(f64, Vec<f64>)> {
        let Sample::Mini(step) = on else { panic!("only mini-batches") };
        let h = step as f64 + 1.0;
        Ok((0.5 * h * at[0] * at[0], vec![h * at[0]]))
    }

    fn product(&self, _kind: Product, _at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(self.gradient(v, on)?.1)
    }
}

/// Asks for everything at every step.
struct Curious;

impl Controller for Curious {
    fn wants(&self, _step: u64) -> Probes {
        Probes { along: true, secant: true, sharpness: 1 }
    }

    fn next(&mut self, _measurement: &Measurement) -> Result<f64> {
        Ok(0.01)
    }
}

#[test]
fn probes_and_secants_belong_to_the_batch_of_the_coming_step() {
    let mut descent = HeavyBall::new(Stiffening, vec![1.0], 0.01, 0.5, Product::Exact).unwrap();
    let mut rows: Vec<Measurement> = Vec::new();
    run(&mut descent, &Plan { measure_every: 0, ..plan(6) }, &mut Curious, &mut rows).unwrap();
    for row in &rows {
        let (h, along) = (row.step as f64 + 1.0, row.along.unwrap());
        assert!((along.product_norm - h).abs() < 1e-12 && (along.curvature - h).abs() < 1e-12, "{row:?}");
        assert!((row.batch_lambda_max().unwrap().value - h).abs() < 1e-12, "{row:?}");
        assert_eq!(row.secant.is_some(), row.step > 0);
        assert!(
            row.secant.is_none_or(|secant| (secant.gradient_change / secant.step_norm - h).abs() < 1e-9),
            "{row:?}"
        );
    }
}

#[test]
fn the_momentum_of_every_optimizer_is_its_step() {
    fn check<D: Descent<Objective = Quadratic>>(mut descent: D, name: &str) {
        for _ in 0..5 {
            let (before, mut push) = (descent.weights().clone(), descent.momentum().unwrap());
            if let Some(root) = descent.preconditioner().unwrap() {
                root(&mut push);
                root(&mut push);
            }
            descent.step(&mut []).unwrap();
            for i in 0..2 {
                let step = before[i] - descent.weights()[i];
                assert!((step - 0.1 * push[i]).abs() < 1e-14, "{name}: {step} for {}", 0.1 * push[i]);
            }
        }
    }
    let (bowl, start) = (|| Quadratic::new(vec![2.0, 5.0]), || vec![1.0, -0.5]);
    check(Sgd::new(bowl(), start(), 0.1, Product::Exact), "sgd");
    check(HeavyBall::new(bowl(), start(), 0.1, 0.9, Product::Exact).unwrap(), "heavy ball");
    check(HeavyBall::nesterov(bowl(), start(), 0.1, 0.9, Product::Exact).unwrap(), "nesterov");
    check(Adam::new(bowl(), start(), 0.1, Moments::default(), Product::Exact).unwrap(), "adam");
}

#[test]
fn both_ends_of_the_spectrum_are_followed_along_a_run() {
    // The smallest eigenvalue is not the one of the smallest modulus.
    let mut descent = Sgd::new(Quadratic::new(vec![4.0, -0.5, 0.1]), vec![1.0, 1.0, 1.0], 0.1, Product::Exact);
    let what = vec![Quantity::LambdaMax, Quantity::LambdaMin];
    let mut rows = Vec::new();
    run(&mut descent, &Plan { steps: 6, measure_every: 2, what, ..Plan::default() }, &mut Constant(0.1), &mut rows)
        .unwrap();
    for row in rows.iter().filter(|row| row.step.is_multiple_of(2)) {
        let [largest, smallest] = row.sharpness[..] else { panic!("two are measured") };
        assert!((largest.value - 4.0).abs() < 1e-10 && (smallest.value + 0.5).abs() < 1e-10, "{row:?}");
        assert_eq!((largest.quantity, smallest.quantity), (Quantity::LambdaMax, Quantity::LambdaMin));
        assert_eq!(row.share_of_edge(&smallest), None, "no edge speaks of it");
    }
}
