//! Following the largest eigenvalue of an operator that changes a little from call to call.
//!
//! Each call is a *burst*: a Krylov space of a few products at the present operator, started from the vector that the
//! last burst found plus a hint (the gradient, in training). Above the edge of stability the top eigenvector turns over
//! within a step, so a method that spreads one product per step over a moving operator reads a fraction of the truth;
//! a burst does not mix operators.
//!
//! The space is orthonormalised as in Arnoldi's method and only the upper triangle of VᵀAV is used, mirrored: products
//! by differences of gradients are not exactly symmetric, and averaging the two triangles inflates the top value.

use super::{Eigenpair, Ritz, combine, small_eigen};
use crate::{
    error::{Error, Result},
    operator::Operator,
    snapshot::{Archive, Persist},
    vector::{Vector, orthogonalize, storage_epsilon},
};

/// Follows λ_max of a slowly changing operator by bursts of a few products.
///
/// **Memory**: one vector between calls; twice the number of products during one.
#[derive(Clone, Debug)]
pub struct Tracker<V> {
    /// Products per burst.
    pub products: usize,
    /// Products of the first burst, which has no earlier vector to start from.
    pub first_products: usize,
    /// A burst counts as converged when its residual is at most this times the magnitude of its value, or times a
    /// hundredth of the norm of the operator where that is more.
    pub tolerance: f64,
    /// Whether a burst ends as soon as it has converged. Then `products` is a limit, and can be set high for the
    /// moments that need it: easy bursts pay for hard ones.
    pub stop_early: bool,
    vector: Option<V>,
}

impl<V: Vector> Tracker<V> {
    /// A tracker with `products` products per burst, twice as many in the first, that calls a burst converged at 5 %.
    pub fn new(products: usize) -> Self {
        Self { products, first_products: 2 * products, tolerance: 0.05, stop_early: false, vector: None }
    }

    /// A tracker whose bursts end at a residual of `tolerance` times their value, or after 12 products, the first after
    /// 24.
    ///
    /// The error of the value goes with the square of the residual: at 0.05 it was 0.3 % at the median and below 1 % in
    /// nine of ten bursts along training runs, for 4 to 5 products each: the book's page
    /// docs/book/src/results/tracking.md.
    pub fn adaptive(tolerance: f64) -> Self {
        Self { tolerance, stop_early: true, ..Self::new(12) }
    }

    /// The largest Ritz value of `operator` in the space of this burst, with its explicit residual, which is at least
    /// the rounding of the storage times the norm of the operator.
    ///
    /// The space starts from unit(v) + unit(`hint`), v the Ritz vector of the last call; the first call starts from the
    /// hint alone. A product that is not finite gives an empty, unconverged result and leaves the tracker as it was.
    ///
    /// **Cost**: `products` applications (`first_products` at the first call), or as many as it takes with
    /// `stop_early`.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is neither an earlier vector nor a usable hint, or no product is allowed; the
    /// operator's own errors.
    ///
    /// ```
    /// use lyapunov::{Dense, Tracker};
    /// let mut tracker = Tracker::new(5);
    /// let found = tracker.update(&Dense::diagonal(&[9.0, 4.0, -11.0]), &vec![1.0, 1.0, 1.0])?;
    /// assert!((found.largest[0].value - 9.0).abs() < 1e-12);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn update(&mut self, operator: &impl Operator<V>, hint: &V) -> Result<Ritz<V>> {
        let products = if self.vector.is_some() { self.products } else { self.first_products };
        if products == 0 {
            return Err(Error::argument("products", 0, "must be at least 1"));
        }
        let start = self.start(hint)?;
        let ritz = self.burst(operator, start, products.min(hint.len()))?;
        if let Some(top) = ritz.largest.first() {
            self.vector = Some(top.vector.clone());
        }
        Ok(ritz)
    }

    fn start(&self, hint: &V) -> Result<V> {
        let hint = hint.unit();
        let mut start = match (&self.vector, &hint) {
            (Some(vector), _) => vector.clone(),
            (None, Some(hint)) => return Ok(hint.clone()),
            (None, None) => return Err(Error::argument("hint", "the hint", "must be finite and not zero")),
        };
        if let Some(hint) = hint {
            // The sign that cannot cancel the earlier vector.
            start.axpy(if start.dot(&hint) < 0.0 { -1.0 } else { 1.0 }, &hint);
        }
        // Both parts are unit vectors at an acute angle, so the sum has norm at least √2.
        Ok(start.unit().unwrap_or(start))
    }

    fn burst(&self, operator: &impl Operator<V>, start: V, products: usize) -> Result<Ritz<V>> {
        let mut basis: Vec<V> = Vec::with_capacity(products);
        let mut images: Vec<V> = Vec::with_capacity(products);
        // Column j of VᵀAV down to the diagonal.
        let mut columns: Vec<Vec<f64>> = Vec::with_capacity(products);
        let rounding = 64.0 * storage_epsilon(&start);
        let mut next = start;
        for _ in 0..products {
            let image = operator.apply(&next)?;
            let scale = image.norm();
            basis.push(next);
            columns.push(image.dots(&basis));
            images.push(image.clone());
            let mut rest = image;
            let norm = orthogonalize(&mut rest, &basis);
            // Also ends the burst where a product is not finite: then no comparison holds.
            if !(norm > rounding * scale && norm.is_finite()) || (self.stop_early && self.is_close(&columns, norm)) {
                break;
            }
            rest.scale(1.0 / norm);
            next = rest;
        }
        let applications = images.len();
        let norm = images.iter().map(Vector::norm).fold(0.0, f64::max);
        let mut largest = top(&basis, &images, &columns);
        if let Some(top) = &mut largest {
            top.residual = top.residual.max(rounding / 64.0 * norm);
        }
        let close = |top: &Eigenpair<V>| top.residual <= self.tolerance * top.value.abs().max(norm / 100.0);
        let converged = largest.as_ref().is_some_and(close);
        Ok(Ritz { largest: largest.into_iter().collect(), smallest: Vec::new(), applications, converged })
    }

    /// Whether the top Ritz pair has converged, if all that leads out of the space is the last image, by `norm`: so it
    /// is for symmetric products.
    fn is_close(&self, columns: &[Vec<f64>], norm: f64) -> bool {
        let top = top_pair(columns);
        top.is_some_and(|(value, s)| norm * s[s.len() - 1].abs() <= self.tolerance * value.abs())
    }
}

impl<V: Persist> Tracker<V> {
    /// Leads `archive` past what is known of the eigenvector, which is shaped like `like`.
    ///
    /// # Errors
    /// [`Error::Saved`] where what was saved does not fit.
    pub fn keep(&mut self, archive: &mut Archive<'_>, like: &V) -> Result<()> {
        archive.maybe("vector", &mut self.vector, like)
    }
}

/// The top eigenpair of VᵀAV, whose upper triangle the columns are.
fn top_pair(columns: &[Vec<f64>]) -> Option<(f64, Vec<f64>)> {
    small_eigen(columns.len(), |i, j| columns[j][i])?.into_iter().next()
}

/// The top Ritz pair, with the residual taken from the images themselves.
fn top<V: Vector>(basis: &[V], images: &[V], columns: &[Vec<f64>]) -> Option<Eigenpair<V>> {
    let (value, s) = top_pair(columns)?;
    let vector = combine(basis, &s);
    let mut rest = combine(images, &s);
    rest.axpy(-value, &vector);
    Some(Eigenpair { value, residual: rest.norm(), vector })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        noise::{Purpose, Stream},
        operator::Dense,
    };

    fn random(n: usize, step: u64) -> Vec<f64> {
        let mut v = vec![0.0; n];
        v.randomize(&mut Stream::new(2, Purpose::Probe, step));
        v
    }

    #[test]
    fn it_follows_an_eigenvalue_that_drifts_and_says_how_well() {
        let n = 200;
        let mut tracker = Tracker::new(5);
        for step in 0..20_u32 {
            let mut entries: Vec<f64> = (0..n).map(|i| f64::from(i) / f64::from(n)).collect();
            let exact = 10.0 + 0.3 * f64::from(step);
            entries[7] = exact;
            // λ_min with the larger modulus must not be mistaken for the top.
            entries[8] = -30.0;
            let found = tracker.update(&Dense::diagonal(&entries), &random(n as usize, u64::from(step))).unwrap();
            let top = &found.largest[0];
            assert!((top.value - exact).abs() <= top.residual + 1e-12);
            assert!((top.value - exact).abs() < 0.02 * exact, "{} for {exact}", top.value);
            assert_eq!(found.applications, if step == 0 { 10 } else { 5 });
        }
    }

    #[test]
    fn an_adaptive_burst_spends_what_its_residual_asks_for() {
        let entries = |gap: f64| {
            let mut entries: Vec<f64> = (0..200).map(|i| f64::from(i) / 200.0).collect();
            entries[7] = 1.0 + gap;
            Dense::diagonal(&entries)
        };
        let applications = |gap: f64| {
            let found = Tracker::adaptive(0.05).update(&entries(gap), &random(200, 0)).unwrap();
            let top = &found.largest[0];
            assert!(found.converged && top.residual <= 0.05 * top.value, "{} at {gap}", top.residual);
            assert!((top.value - 1.0 - gap).abs() < 0.01 * top.value, "{} at {gap}", top.value);
            let fixed = |first_products| {
                let mut tracker = Tracker { first_products, ..Tracker::new(1) };
                tracker.update(&entries(gap), &random(200, 0)).unwrap().converged
            };
            assert_eq!((1..24).find(|products| fixed(*products)), Some(found.applications), "not one more than needed");
            found.applications
        };
        let (easy, hard) = (applications(9.0), applications(0.1));
        assert!(2 * easy <= hard && hard < 24, "{easy} and {hard} products");
        let mut limited = Tracker { products: 2, first_products: 3, ..Tracker::adaptive(1e-12) };
        let found = limited.update(&entries(9.0), &random(200, 0)).unwrap();
        assert!(!found.converged && found.applications == 3);
    }

    #[test]
    fn asymmetric_products_do_not_inflate_the_value() {
        // A symmetric matrix plus noise as long as the image of the top eigenvector, as the kinks of a ReLU network
        // have it.
        struct Noisy(Dense);
        impl Operator<Vec<f64>> for Noisy {
            fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
                let mut image = self.0.apply(v)?;
                image.axpy(0.4, &random(v.len(), v[0].to_bits()));
                Ok(image)
            }
        }
        let mut entries = vec![0.2; 400];
        entries[3] = 10.0;
        let noisy = Noisy(Dense::diagonal(&entries));
        let mut tracker = Tracker::new(5);
        let mut hint = vec![0.1; 400];
        hint[3] = 10.0;
        let mut read = || tracker.update(&noisy, &hint).unwrap().largest[0].value;
        let mean = (0..10).map(|_| read()).sum::<f64>() / 10.0;
        // Averaging the two triangles reads 11.5.
        assert!((mean - 10.0).abs() < 0.6, "{mean}");
    }

    #[test]
    fn a_product_that_is_not_finite_leaves_the_tracker_usable() {
        struct Broken;
        impl Operator<Vec<f64>> for Broken {
            fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
                Ok(vec![f64::INFINITY; v.len()])
            }
        }
        let matrix = Dense::diagonal(&[3.0, 1.0]);
        let mut tracker = Tracker::new(5);
        tracker.update(&matrix, &vec![1.0, 1.0]).unwrap();
        let broken = tracker.update(&Broken, &vec![1.0, 1.0]).unwrap();
        assert!(broken.largest.is_empty() && !broken.converged);
        let found = tracker.update(&matrix, &vec![0.0, 0.0]).unwrap();
        assert!((found.largest[0].value - 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_space_that_is_everything_leaves_the_rounding() {
        struct Single;
        impl Operator<Vec<f32>> for Single {
            fn apply(&self, v: &Vec<f32>) -> Result<Vec<f32>> {
                Ok(vec![10.0 * v[0] + v[1], v[0] + 3.0 * v[1]])
            }
        }
        let found = Tracker::new(2).update(&Single, &vec![0.3_f32, 0.7]).unwrap();
        let (top, exact) = (&found.largest[0], 6.5 + 13.25_f64.sqrt());
        assert!((top.value - exact).abs() <= top.residual && top.residual >= exact * 1e-7, "{top:?}");
    }

    #[test]
    fn without_a_hint_there_is_no_first_burst() {
        let error = Tracker::new(5).update(&Dense::diagonal(&[1.0]), &vec![0.0]).unwrap_err();
        assert!(error.to_string().contains("hint"));
    }
}
