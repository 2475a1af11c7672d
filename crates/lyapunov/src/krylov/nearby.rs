//! The nearby trajectory: one vector moved by one product per training step, as the documented baseline.
//!
//! A perturbation carried by δ ← (I + cH_t) δ, renormalised at every step, leans towards the largest eigenvalue of H if
//! H stands still; with c = −η it is the tangent map of gradient descent, and leans towards the smallest (Sasdelli et
//! al., *A Chaos Theory Approach to Understand Neural Network Optimization*, 2021). It is power iteration with a shift
//! on an operator that moves meanwhile: below the edge of stability it lags, above it the top eigenvector turns over
//! within a step and the value read is a fraction of the truth. [`Tracker`](super::Tracker) spends the same products at
//! one place and moment.

use crate::{
    error::{Error, Result},
    operator::Operator,
    snapshot::{Archive, Persist},
    vector::Vector,
};

/// A perturbation that follows a moving operator by one product per step.
///
/// **Memory**: one vector between calls, three during one.
#[derive(Clone, Debug)]
pub struct Nearby<V> {
    /// c, the factor of the operator: positive for the largest eigenvalue, negative for the smallest; of the size of
    /// the learning rate. At 0 the perturbation stays where it is, and the growth is read in the limit: vᵀHv.
    pub factor: f64,
    vector: V,
}

/// What one step of a [`Nearby`] trajectory shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearbyReading {
    /// ln(‖δ'‖ / ‖δ‖), in nats per step.
    pub growth: f64,
    /// The eigenvalue that would explain the growth, (e^growth − 1) / c.
    pub from_growth: f64,
    /// The Rayleigh quotient vᵀHv of the unit vector before the step.
    pub rayleigh: f64,
    /// ‖Hv‖.
    pub image_norm: f64,
    /// ‖Hv − (vᵀHv) v‖: some eigenvalue lies this close to the quotient.
    pub residual: f64,
}

/// Which number of a [`NearbyReading`] stands for the eigenvalue. On an eigenvector they are the same; elsewhere, for
/// c > 0, vᵀHv ≤ growth ≤ ‖Hv‖.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NearbyValue {
    /// [`NearbyReading::from_growth`]: the exponent of the trajectory, as an eigenvalue.
    Growth,
    /// [`NearbyReading::rayleigh`].
    Rayleigh,
    /// [`NearbyReading::image_norm`], with the sign of the Rayleigh quotient.
    ImageNorm,
}

named! { NearbyValue, "reading": Growth = "growth", Rayleigh = "rayleigh", ImageNorm = "image-norm" }

impl NearbyReading {
    /// The number that stands for the eigenvalue, with ‖Hv − value·v‖: some eigenvalue lies within that distance.
    ///
    /// ```
    /// use lyapunov::{Dense, Nearby, NearbyValue};
    /// let reading = Nearby::new(1.0, &vec![0.6, 0.8])?.update(&Dense::diagonal(&[3.0, -1.0]))?.expect("it is finite");
    /// assert!((reading.value(NearbyValue::Rayleigh).0 - 0.44).abs() < 1e-15);
    /// assert!((reading.value(NearbyValue::ImageNorm).0 - 1.8_f64.hypot(0.8)).abs() < 1e-15);
    /// assert!((reading.value(NearbyValue::Growth).0 - 1.4).abs() < 1e-15);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn value(&self, which: NearbyValue) -> (f64, f64) {
        let value = match which {
            NearbyValue::Growth => self.from_growth,
            NearbyValue::Rayleigh => self.rayleigh,
            NearbyValue::ImageNorm => self.image_norm.copysign(self.rayleigh),
        };
        (value, self.residual.hypot(value - self.rayleigh))
    }
}

impl<V: Vector> Nearby<V> {
    /// A trajectory with the factor c = `factor`, starting in the direction of `start`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a factor that is zero or not finite, and for a start that is zero or not finite.
    pub fn new(factor: f64, start: &V) -> Result<Self> {
        if factor == 0.0 || !factor.is_finite() {
            return Err(Error::argument("factor", factor, "must be finite and not zero"));
        }
        let vector =
            start.unit().ok_or_else(|| Error::argument("start", "the start vector", "must be finite and not zero"))?;
        Ok(Self { factor, vector })
    }

    /// Moves the perturbation by δ ← (I + c H) δ, H = `operator`, and renormalises it. A product that is not finite
    /// gives `None` and leaves the perturbation as it was.
    ///
    /// On a symmetric operator that stands still the component along the second eigenvector shrinks against that along
    /// the first by r = |1 + cλ₂| / |1 + cλ₁| per step, and the error of every reading by r², where |1 + cλ₁| is the
    /// largest of all |1 + cλ|: for c > 0 and λ₁ = λ_max wherever c λ_min > −2 − cλ_max; for c = −η and λ₁ = λ_min as
    /// long as ηλ_max < 2 + η|λ_min|, beyond which it turns to the sharp end, as the training itself does.
    ///
    /// **Cost**: one application.
    ///
    /// # Errors
    /// The operator's own.
    ///
    /// ```
    /// use lyapunov::{Dense, Nearby};
    /// let mut nearby = Nearby::new(0.1, &vec![1.0, 1.0])?;
    /// let matrix = Dense::diagonal(&[5.0, 1.0]);
    /// let last = (0..60).filter_map(|_| nearby.update(&matrix).ok().flatten()).last().expect("products are finite");
    /// assert!((last.rayleigh - 5.0).abs() < 1e-9 && (last.growth - 1.5_f64.ln()).abs() < 1e-9);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn update(&mut self, operator: &impl Operator<V>) -> Result<Option<NearbyReading>> {
        let image = operator.apply(&self.vector)?;
        let (rayleigh, image_norm) = (self.vector.dot(&image), image.norm());
        let mut moved = self.vector.clone();
        moved.axpy(self.factor, &image);
        let size = moved.norm();
        let mut rest = image;
        rest.axpy(-rayleigh, &self.vector);
        let Some(direction) = moved.unit() else { return Ok(None) };
        self.vector = direction;
        // (size − 1)/c without its cancellation: size² − 1 = 2c vᵀHv + c²‖Hv‖² for a unit vector.
        let from_growth = (2.0 * rayleigh + self.factor * image_norm * image_norm) / (1.0 + size);
        Ok(Some(NearbyReading { growth: size.ln(), from_growth, rayleigh, image_norm, residual: rest.norm() }))
    }
}

impl<V: Persist> Nearby<V> {
    /// Leads `archive` past a trajectory that may not have begun; one that comes is shaped like `like`.
    ///
    /// # Errors
    /// [`Error::Saved`] where what was saved does not fit.
    pub fn keep(nearby: &mut Option<Self>, archive: &mut Archive<'_>, like: &V) -> Result<()> {
        let mut factor = nearby.as_ref().map_or(0.0, |nearby| nearby.factor);
        let mut vector = nearby.take().map(|nearby| nearby.vector);
        archive.number("factor", &mut factor)?;
        archive.maybe("vector", &mut vector, like)?;
        *nearby = vector.map(|vector| Self { factor, vector });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{Affine, Dense};

    fn last(nearby: &mut Nearby<Vec<f64>>, operator: &impl Operator<Vec<f64>>, steps: usize) -> NearbyReading {
        (0..steps).filter_map(|_| nearby.update(operator).unwrap()).last().unwrap()
    }

    #[test]
    fn its_growth_is_that_of_the_tangent_map_and_the_sign_chooses_the_end() {
        let matrix = Dense::new(vec![vec![2.0, 1.0, 0.0], vec![1.0, 3.0, -1.0], vec![0.0, -1.0, -4.0]]);
        let spectrum = matrix.eigenvalues();
        let top = last(&mut Nearby::new(0.1, &vec![1.0; 3]).unwrap(), &matrix, 400);
        assert!((top.rayleigh - spectrum[0]).abs() < 1e-10 && top.residual < 1e-6, "{top:?}");
        assert!((top.from_growth - spectrum[0]).abs() < 1e-10);
        assert!((top.growth - (1.0 + 0.1 * spectrum[0]).ln()).abs() < 1e-10);
        let low = last(&mut Nearby::new(-0.1, &vec![1.0; 3]).unwrap(), &matrix, 400);
        assert!((low.rayleigh - spectrum[2]).abs() < 1e-10 && (low.from_growth - spectrum[2]).abs() < 1e-10);
    }

    #[test]
    fn one_step_is_the_tangent_map_and_the_quotient_is_that_before_it() {
        let matrix = Dense::diagonal(&[3.0, -1.0]);
        let start = vec![0.6, 0.8];
        let mut nearby = Nearby::new(0.5, &start).unwrap();
        let found = nearby.update(&matrix).unwrap().unwrap();
        let image = Affine { a: 0.5, operator: &matrix, b: 1.0 }.apply(&start).unwrap();
        assert!((found.growth - image.norm().ln()).abs() < 1e-15);
        assert!((found.rayleigh - (0.36 * 3.0 - 0.64)).abs() < 1e-15);
        let mut difference = image.unit().unwrap();
        difference.axpy(-1.0, &nearby.vector);
        assert!(difference.norm() < 1e-15);
    }

    #[test]
    fn the_error_shrinks_by_the_square_of_the_ratio_of_the_two_leading_factors() {
        let matrix = Dense::diagonal(&[4.0, 3.0, 1.0, -0.5, -2.0]);
        for (factor, end, next) in [(0.1, 4.0, 3.0), (-0.1, -2.0, -0.5), (0.7, 4.0, 3.0), (-0.3, -2.0, -0.5)] {
            let ratio = (1.0 + factor * next) / (1.0 + factor * end);
            let mut nearby = Nearby::new(factor, &vec![1.0; 5]).unwrap();
            let mut errors: Vec<[f64; 3]> = Vec::new();
            // Until the error is small but far above the rounding.
            while errors.last().is_none_or(|error| error[0] > 1e-8) {
                let found = nearby.update(&matrix).unwrap().unwrap();
                errors.push(NearbyValue::ALL.map(|which| (found.value(which).0 - end).abs()));
            }
            let [.., before, last] = &errors[..] else { panic!("it takes steps") };
            for (before, last) in before.iter().zip(last) {
                assert!((last / before / ratio.powi(2) - 1.0).abs() < 1e-2, "{factor}: {} for {ratio}", last / before);
            }
        }
    }

    #[test]
    fn the_readings_stand_in_their_order_and_each_has_an_eigenvalue_within_its_residual() {
        let matrix = Dense::new(vec![vec![2.0, 1.0, 0.0], vec![1.0, 3.0, -1.0], vec![0.0, -1.0, -4.0]]);
        let mut nearby = Nearby::new(0.3, &vec![1.0, 2.0, 0.5]).unwrap();
        for _ in 0..10 {
            let found = nearby.update(&matrix).unwrap().unwrap();
            assert!(found.rayleigh <= found.from_growth && found.from_growth <= found.image_norm, "{found:?}");
            assert!((found.from_growth - (found.growth.exp() - 1.0) / 0.3).abs() < 1e-12);
            for (value, residual) in NearbyValue::ALL.map(|which| found.value(which)) {
                assert!(matrix.eigenvalues().iter().any(|exact| (exact - value).abs() <= residual + 1e-12));
            }
        }
    }

    #[test]
    fn an_eigenvector_that_turns_at_every_step_is_read_far_too_low() {
        // Why it is the baseline and not the tracker: the top direction of step t is the t-th axis.
        let operator =
            |t: usize| Dense::diagonal(&(0..20).map(|i| if i == t { 10.0 } else { 1.0 }).collect::<Vec<_>>());
        let mut nearby = Nearby::new(0.1, &vec![1.0; 20]).unwrap();
        let read: Vec<f64> = (0..20).filter_map(|t| nearby.update(&operator(t)).unwrap()).map(|r| r.rayleigh).collect();
        assert!(read.iter().all(|value| *value < 3.0), "{read:?}");
    }

    #[test]
    fn what_is_not_finite_leaves_it_as_it_was() {
        let mut nearby = Nearby::new(0.1, &vec![1.0, 0.0]).unwrap();
        assert_eq!(nearby.update(&Dense::diagonal(&[f64::INFINITY, 0.0])).unwrap(), None);
        assert_eq!(nearby.update(&Dense::diagonal(&[2.0, 0.0])).unwrap().unwrap().rayleigh, 2.0);
        nearby.factor = 0.0;
        let still = nearby.update(&Dense::diagonal(&[2.0, 1.0])).unwrap().unwrap();
        assert_eq!((still.growth, still.from_growth, still.rayleigh), (0.0, 2.0, 2.0));
        assert!(Nearby::new(0.0, &vec![1.0]).is_err() && Nearby::new(0.1, &vec![0.0]).is_err());
    }
}
