//! A run that is saved after any step and resumed elsewhere has the bits of one that was never interrupted.

use lyapunov::{
    Adgd, BatchSharpnessRule, Bounded, Constant, Controller, Decay, Descent, DistanceOverGradients, EdgeHold, EdgeStep,
    Estimator, ExponentOptions, Measurement, Moments, Momentum, NearbyValue, Objective, OnEdge, Optimizer, Persist,
    Plan, ProdigyRule, Product, Quantity, QuasiNewton, Result, Sample, Schedule, ScheduleFreeRule, Scheduled, SgdRule,
    Shape, Snapshot, Start, Target, Training, UpdateRule, systems::ScalarNetwork,
};

const STEPS: u64 = 26;

/// A scalar network whose target is another one in every batch, so that momentum, moments and losses never come to
/// rest.
#[derive(Clone)]
struct Batches;

impl Batches {
    fn network(on: Sample) -> ScalarNetwork {
        let shift = match on {
            Sample::Mini(step) => [0.0, 0.6, -0.5, 0.2, -0.1][step as usize % 5],
            _ => 0.0,
        };
        ScalarNetwork { target: 2.0 + shift }
    }
}

impl Objective for Batches {
    type Vector = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>, on: Sample) -> Result<(f64, Vec<f64>)> {
        Self::network(on).gradient(at, on)
    }

    fn product(&self, kind: Product, at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        Self::network(on).product(kind, at, on, v)
    }
}

/// The same in single precision.
#[derive(Clone)]
struct SinglePrecision;

fn double(v: &[f32]) -> Vec<f64> {
    v.iter().map(|x| f64::from(*x)).collect()
}

fn single(v: &[f64]) -> Vec<f32> {
    v.iter().map(|x| *x as f32).collect()
}

impl Objective for SinglePrecision {
    type Vector = Vec<f32>;

    fn gradient(&self, at: &Vec<f32>, on: Sample) -> Result<(f64, Vec<f32>)> {
        Batches.gradient(&double(at), on).map(|(loss, gradient)| (loss, single(&gradient)))
    }

    fn product(&self, kind: Product, at: &Vec<f32>, on: Sample, v: &Vec<f32>) -> Result<Vec<f32>> {
        Ok(single(&Batches.product(kind, &double(at), on, &double(v))?))
    }
}

fn plan(what: &[Quantity], exponents: Option<ExponentOptions>) -> Plan {
    let on = vec![Target::Batch, Target::Full];
    Plan { steps: STEPS, measure_every: 3, what: what.to_vec(), on, products: 1, exponents, ..Plan::default() }
}

/// Deviations re-orthonormalised at every step, with warm-up; every four steps, from eigenvectors; in a joint pass.
fn carries() -> [Option<ExponentOptions>; 4] {
    let carry = ExponentOptions { count: 2, warm_up: 5, ..ExponentOptions::default() };
    let bottom = ExponentOptions { every: 4, warm_up: 6, start: Start::LambdaMin(Sample::Full), ..carry.clone() };
    let joint = ExponentOptions { every: 3, joint: true, count: 1, ..carry.clone() };
    [None, Some(carry), Some(bottom), Some(joint)]
}

type Rules = Vec<(&'static str, Box<dyn Fn() -> Box<dyn Controller>>)>;

/// Every rule, with bounds and a schedule around it.
fn rules(edge: f64) -> Rules {
    let schedule = Schedule::new(Shape::Constant, STEPS, 0.1, 0.3).unwrap();
    let wrap = move |rule: Box<dyn Controller>| -> Box<dyn Controller> {
        Box::new(Scheduled { rule: Bounded::new(rule, 0.0, 0.15).unwrap(), schedule })
    };
    vec![
        ("constant", Box::new(move || wrap(Box::new(Constant(0.05))))),
        (
            "edge-step",
            Box::new(move || wrap(Box::new(EdgeStep::new(1.0, 0.0).unwrap().with_edge(edge).with_period(3)))),
        ),
        ("edge-hold", Box::new(move || wrap(Box::new(EdgeHold::new(0.5, edge).unwrap())))),
        ("quasi-newton", Box::new(move || wrap(Box::new(QuasiNewton::new(0.5, edge).unwrap())))),
        ("smoothed", Box::new(move || wrap(Box::new(QuasiNewton::new(0.5, edge).unwrap().with_smoothing(4))))),
        ("on-edge", Box::new(move || wrap(Box::new(OnEdge::new(1.0, 4).unwrap())))),
        ("adgd", Box::new(move || wrap(Box::new(Adgd::new(0.7).unwrap())))),
        ("batch-sharpness", Box::new(move || wrap(Box::new(BatchSharpnessRule::new(0.5).unwrap())))),
    ]
}

/// Runs in one go, then saves after every step and goes on from what was saved alone.
fn check<R: UpdateRule<Vec<f64>, State: Persist>>(name: &str, rule: &R, decay: Decay) {
    check_on(&Batches, &vec![0.7, 1.9], name, rule, decay);
}

fn check_on<O, R>(objective: &O, start: &O::Vector, name: &str, rule: &R, decay: Decay)
where
    O: Objective<Vector: Persist + PartialEq + std::fmt::Debug> + Clone,
    R: UpdateRule<O::Vector, State: Persist>,
{
    let fresh = || {
        let descent = Optimizer::with_rule(objective.clone(), start.clone(), 0.05, rule.clone(), Product::Exact);
        descent.with_decay(decay).unwrap()
    };
    let own = if fresh().edge().preconditioned { Quantity::PreconditionedSharpness } else { Quantity::LambdaMin };
    let what = [Quantity::LambdaMax, own, Quantity::BatchSharpness];
    let nearby = Estimator::NearbyTrajectory(NearbyValue::ImageNorm);
    let ways = carries().map(|carry| (carry, Estimator::Burst)).into_iter().chain([(None, nearby)]);
    for (carry, estimator) in ways {
        for (rule_name, make) in rules(fresh().edge_constant()) {
            let label = format!("{name}, {rule_name}, {carry:?}, {estimator}");
            let plan = Plan { estimator, ..plan(&what, carry.clone()) };
            let (mut descent, mut controller, mut rows) = (fresh(), make(), Vec::new());
            let mut training = Training::new(&mut descent, &plan).unwrap();
            let mut saves: Vec<Snapshot> = vec![training.save(&mut descent, &mut controller).unwrap()];
            for until in 1..=STEPS {
                training.advance(&mut descent, until, &mut controller, &mut rows).unwrap();
                saves.push(training.save(&mut descent, &mut controller).unwrap());
            }
            assert_eq!(rows.len() as u64, STEPS, "{label}");
            let summary = training.summary(&mut descent).unwrap();
            for saved in &saves {
                let (mut again, mut controller, mut later) = (fresh(), make(), Vec::<Measurement>::new());
                let mut resumed = Training::resume(&mut again, &plan, &mut controller, saved).unwrap();
                let from = again.steps_taken() as usize;
                resumed.advance(&mut again, STEPS, &mut controller, &mut later).unwrap();
                assert_eq!(later, rows[from..], "{label}, from step {from}");
                assert_eq!(again.weights(), descent.weights(), "{label}, from step {from}");
                assert_eq!(resumed.summary(&mut again).unwrap(), summary, "{label}, from step {from}");
                let end = resumed.save(&mut again, &mut controller).unwrap();
                assert_eq!(Some(&end), saves.last(), "{label}, from step {from}");
            }
        }
    }
}

const NO_DECAY: Decay = Decay { rate: 0.0, decoupled: false };
const DECAY: Decay = Decay { rate: 0.05, decoupled: true };

#[test]
fn descent_with_and_without_momentum_resumes_to_the_bit() {
    check("sgd", &SgdRule, NO_DECAY);
    check("heavy ball", &Momentum::new(0.8, false).unwrap(), DECAY);
    check("nesterov", &Momentum::new(0.8, true).unwrap(), NO_DECAY);
}

#[test]
fn adam_resumes_to_the_bit() {
    let moments = Moments { beta1: 0.8, beta2: 0.95, epsilon: 1e-3 };
    check("adam", &moments, NO_DECAY);
    check("adamw", &moments, DECAY);
    check("prodigy", &ProdigyRule::new(moments).unwrap(), NO_DECAY);
}

#[test]
fn optimizers_that_average_resume_to_the_bit() {
    check("dog", &DistanceOverGradients, NO_DECAY);
    check("schedule-free", &ScheduleFreeRule::new(0.9).unwrap(), NO_DECAY);
}

/// States of single-precision vectors and double-precision numbers, whose precision is that of the numbers only when
/// these are not zero.
#[test]
fn single_precision_resumes_to_the_bit() {
    check_on(&SinglePrecision, &vec![0.7, 1.9], "dog", &DistanceOverGradients, NO_DECAY);
    check_on(&SinglePrecision, &vec![0.7, 1.9], "schedule-free", &ScheduleFreeRule::new(0.9).unwrap(), NO_DECAY);
}

#[test]
fn the_run_of_another_plan_or_optimizer_is_refused() {
    let fresh =
        || Optimizer::with_rule(Batches, vec![0.7, 1.9], 0.05, Momentum::new(0.8, false).unwrap(), Product::Exact);
    let carry = ExponentOptions { count: 2, ..ExponentOptions::default() };
    let (plain, carrying) = (plan(&[Quantity::LambdaMax], None), plan(&[Quantity::LambdaMax], Some(carry)));
    let mut descent = fresh();
    let saved = Training::new(&mut descent, &plain).unwrap().save(&mut descent, &mut Constant(0.1)).unwrap();
    let refusal = |plan: &Plan, controller: &mut dyn Controller| {
        Training::resume(&mut fresh(), plan, controller, &saved).unwrap_err().to_string()
    };
    assert_eq!(refusal(&carrying, &mut Constant(0.1)), "the saved `deviations.0.0` is missing");
    assert_eq!(refusal(&plain, &mut OnEdge::new(1.0, 1).unwrap()), "the saved `rule.fall` is missing");
    let mut other = Optimizer::with_rule(Batches, vec![0.7, 1.9], 0.05, SgdRule, Product::Exact);
    let message = Training::resume(&mut other, &plain, &mut Constant(0.1), &saved).unwrap_err().to_string();
    assert_eq!(message, "the saved `optimizer.state` is missing");
}
