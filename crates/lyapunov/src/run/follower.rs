//! How an eigenvalue is followed along a run: by bursts of products at some steps, or by a trajectory at every step.

use crate::{
    error::Result,
    krylov::{Nearby, NearbyReading, NearbyValue, Ritz, Tracker},
    operator::{Affine, Operator},
    snapshot::{Archive, Persist},
    vector::Vector,
};

/// How the eigenvalues of a run are estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// By a few products at one place whenever a measurement is due: [`Tracker`].
    Burst,
    /// On the mini-batch by one product at every step, which moves a perturbation that is carried along the run:
    /// [`Nearby`], whose number of this kind is reported. On other data by bursts.
    NearbyTrajectory(NearbyValue),
}

named! { Estimator, "estimator":
    Burst = "burst",
    NearbyTrajectory = "nearby-trajectory" => Self::NearbyTrajectory(NearbyValue::Growth),
}

/// One eigenvalue that is followed.
#[derive(Clone, Debug)]
pub enum Follower<V> {
    /// By bursts.
    Burst(Tracker<V>),
    /// By a nearby trajectory, which begins in the direction that one burst finds: a random direction reads nothing.
    Nearby {
        /// The burst that it begins with.
        warm_up: Tracker<V>,
        /// The trajectory, once it has begun.
        trajectory: Option<Nearby<V>>,
        /// The number that is reported.
        value: NearbyValue,
    },
}

/// What a [`Follower`] has found at one step.
pub(super) struct Followed {
    /// The eigenvalue and its residual, where the products were finite.
    pub(super) found: Option<(f64, f64)>,
    /// How many products it took.
    pub(super) applications: usize,
    /// c, and everything that a trajectory shows.
    pub(super) reading: Option<(f64, NearbyReading)>,
}

impl<V: Vector> Follower<V> {
    /// A follower that knows nothing yet; bursts are of this many products.
    pub fn new(estimator: Estimator, products: usize) -> Self {
        match estimator {
            Estimator::Burst => Self::Burst(Tracker::new(products)),
            Estimator::NearbyTrajectory(value) => {
                Self::Nearby { warm_up: Tracker::new(products), trajectory: None, value }
            }
        }
    }

    /// Whether it moves at every step, and not only where a measurement is due.
    pub fn is_at_every_step(&self) -> bool {
        matches!(self, Self::Nearby { .. })
    }

    /// Looks at `operator`: for its smallest eigenvalue where that is asked for, else for the largest. `rate` is η of
    /// the last step, where there was one: a trajectory moves by δ' = (I ± ηH)δ, and before the first step not at all.
    ///
    /// # Errors
    /// The operator's own.
    pub(super) fn update(
        &mut self,
        operator: &impl Operator<V>,
        hint: &V,
        smallest: bool,
        rate: Option<f64>,
    ) -> Result<Followed> {
        match self {
            Self::Burst(tracker) => {
                let ritz = burst(tracker, operator, hint, smallest)?;
                let found = ritz.largest.first().map(|top| (top.value, top.residual));
                Ok(Followed { found, applications: ritz.applications, reading: None })
            }
            Self::Nearby { warm_up, trajectory, value } => {
                let mut applications = 0;
                if trajectory.is_none() {
                    let ritz = burst(warm_up, operator, hint, smallest)?;
                    applications = ritz.applications;
                    *trajectory = ritz.largest.first().and_then(|top| Nearby::new(1.0, &top.vector).ok());
                }
                let Some(nearby) = trajectory else { return Ok(Followed { found: None, applications, reading: None }) };
                let rate = rate.unwrap_or(0.0);
                nearby.factor = if smallest { -rate } else { rate };
                let reading = nearby.update(operator)?;
                let (found, factor) = (reading.map(|reading| reading.value(*value)), nearby.factor);
                let reading = reading.map(|reading| (factor, reading));
                Ok(Followed { found, applications: applications + 1, reading })
            }
        }
    }
}

impl<V: Persist> Follower<V> {
    /// Leads `archive` past what it knows, in vectors shaped like `like`.
    ///
    /// # Errors
    /// [`Error::Saved`](crate::Error::Saved) where what was saved does not fit.
    pub(super) fn keep(&mut self, archive: &mut Archive<'_>, like: &V) -> Result<()> {
        match self {
            Self::Burst(tracker) => tracker.keep(archive, like),
            // The burst is over once there is a trajectory, and knows nothing before.
            Self::Nearby { trajectory, .. } => Nearby::keep(trajectory, archive, like),
        }
    }
}

/// A burst that looks for the largest eigenvalue of A, or for the smallest one as the largest of −A.
fn burst<V: Vector>(
    tracker: &mut Tracker<V>,
    operator: &impl Operator<V>,
    hint: &V,
    smallest: bool,
) -> Result<Ritz<V>> {
    if !smallest {
        return tracker.update(operator, hint);
    }
    let mut ritz = tracker.update(&Affine { a: -1.0, operator, b: 0.0 }, hint)?;
    ritz.largest.iter_mut().for_each(|pair| pair.value = -pair.value);
    Ok(ritz)
}
