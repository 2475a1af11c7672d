//! Every system of the catalogue: the Taylor test, at its start and on its attractor, and the law of the path.

use lyapunov::{
    Map, System, Vector,
    systems::{CatMap, Choice, StandardMap, SystemVisitor, Tent, catalogue},
    testing::check_tangent,
};

/// Every system of the catalogue, started off the documented state.
fn every_system<T: SystemVisitor>(visitor: impl Fn() -> T) -> Vec<(&'static str, T::Output)> {
    let choice = |name| {
        let mut choice = Choice::named(name).expect("a name of the catalogue");
        choice.set_seed(5);
        choice
    };
    catalogue().iter().map(|entry| (entry.name, choice(entry.name).visit(visitor()))).collect()
}

#[test]
fn both_branches_of_the_tent_have_their_slopes() {
    for x in [0.3, 0.7] {
        check_tangent(&Map::new(Tent { mu: 1.9 }, [x]), 1);
    }
}

#[test]
fn on_a_torus_the_way_is_the_short_one() {
    let cat = Map::new(CatMap, [0.1, 0.9]).displacement(&[0.95, 0.1]);
    assert!((cat[0] + 0.15).abs() < 1e-12 && (cat[1] - 0.2).abs() < 1e-12, "{cat:?}");
    let kicked = Map::new(StandardMap::default(), [6.2, 0.1]).displacement(&[0.1, 6.2]);
    let short = 2.0 * std::f64::consts::PI - 6.1;
    assert!((kicked[0] - short).abs() < 1e-12 && (kicked[1] + short).abs() < 1e-12, "{kicked:?}");
}

struct Taylor {
    after: u64,
}

impl SystemVisitor for Taylor {
    type Output = ();
    fn visit<S: System + Clone>(self, mut system: S) {
        for _ in 0..self.after {
            system.step(&mut []).expect("the step succeeds");
        }
        check_tangent(&system, 7);
    }
}

#[test]
fn every_tangent_is_the_derivative_of_its_step() {
    every_system(|| Taylor { after: 0 });
}

#[test]
fn and_also_on_the_attractor() {
    every_system(|| Taylor { after: 1000 });
}

#[test]
fn deviations_never_change_the_path() {
    struct Paths;
    impl SystemVisitor for Paths {
        type Output = bool;
        fn visit<S: System + Clone>(self, system: S) -> bool {
            let (mut plain, mut carrying) = (system.clone(), system);
            let mut deviations = [carrying.state().clone(), carrying.state().clone()];
            for _ in 0..50 {
                plain.step(&mut []).expect("the step succeeds");
                carrying.step(&mut deviations).expect("the step succeeds");
            }
            // Distance exactly zero: the same bits.
            let mut rest = plain.state().clone();
            rest.axpy(-1.0, carrying.state());
            rest.norm() == 0.0
        }
    }
    for (name, same) in every_system(|| Paths) {
        assert!(same, "{name}");
    }
}
