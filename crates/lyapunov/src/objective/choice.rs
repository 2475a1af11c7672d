//! Which kind of product can answer which question: what an objective offers, and what kinks spoil.

use super::{Objective, Product};
use crate::{
    error::{Error, Result},
    suitability::{SpectralTarget, Unsuitable},
};

impl Product {
    /// The best kind of product that `objective` offers for what is `wanted`: exact; else differences of gradients
    /// where the objective has no kinks; else Gauss–Newton for the largest eigenvalues, and differences where there is
    /// not even that.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] where nothing that is offered can give it, as the smallest eigenvalue of a ReLU network
    /// without tangent rules: refused, not guessed.
    ///
    /// ```
    /// use lyapunov::{Product, SpectralTarget, systems::ScalarNetwork};
    /// assert_eq!(Product::auto(&ScalarNetwork { target: 2.0 }, SpectralTarget::Smallest)?, Product::Exact);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn auto<O: Objective>(objective: &O, wanted: SpectralTarget) -> Result<Self> {
        let difference = Self::Difference(objective.difference());
        let largest = wanted == SpectralTarget::Largest;
        if objective.offers(Self::Exact) {
            Ok(Self::Exact)
        } else if largest && objective.has_kinks() && objective.offers(Self::GaussNewton) {
            Ok(Self::GaussNewton)
        } else {
            difference.suited(objective, wanted)
        }
    }

    /// This kind of product, where it can give what is `wanted`.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] where it cannot, with the obstacle.
    pub fn suited<O: Objective>(self, objective: &O, wanted: SpectralTarget) -> Result<Self> {
        match self.obstacle(objective, wanted) {
            None => Ok(self),
            Some(obstacle) => Err(Error::Unsuitable { product: self.name(), wanted, obstacle }),
        }
    }

    /// What keeps this kind of product from giving what is `wanted`; `None` where nothing does. **Cost**: none.
    pub fn obstacle<O: Objective>(&self, objective: &O, wanted: SpectralTarget) -> Option<Unsuitable> {
        match (self, wanted) {
            _ if !objective.offers(*self) => Some(Unsuitable::NotOffered),
            // Its trace and density are those of another matrix, but say so truly.
            (Self::GaussNewton, SpectralTarget::Smallest) => Some(Unsuitable::SemiDefinite),
            (Self::Difference(_), SpectralTarget::Smallest | SpectralTarget::Spectrum) if objective.has_kinks() => {
                Some(Unsuitable::Kinks)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Difference, Sample};

    /// A model that offers what its fields say.
    struct Model {
        exact: bool,
        gauss_newton: bool,
        kinks: bool,
    }

    impl Objective for Model {
        type Vector = Vec<f64>;
        fn gradient(&self, _at: &Vec<f64>, _on: Sample) -> Result<(f64, Vec<f64>)> {
            panic!("a choice costs nothing")
        }
        fn product(&self, _kind: Product, _at: &Vec<f64>, _on: Sample, _v: &Vec<f64>) -> Result<Vec<f64>> {
            panic!("a choice costs nothing")
        }
        fn offers(&self, kind: Product) -> bool {
            match kind {
                Product::Exact => self.exact,
                Product::GaussNewton => self.gauss_newton,
                Product::Difference(_) => true,
            }
        }
        fn has_kinks(&self) -> bool {
            self.kinks
        }
    }

    fn chosen(exact: bool, gauss_newton: bool, kinks: bool) -> [std::result::Result<&'static str, Unsuitable>; 3] {
        let model = Model { exact, gauss_newton, kinks };
        [SpectralTarget::Largest, SpectralTarget::Smallest, SpectralTarget::Spectrum].map(|wanted| match Product::auto(
            &model, wanted,
        ) {
            Ok(kind) => Ok(kind.name()),
            Err(Error::Unsuitable { obstacle, wanted: refused, .. }) if refused == wanted => Err(obstacle),
            Err(other) => panic!("{other}"),
        })
    }

    #[test]
    fn the_best_kind_that_is_offered_and_right_is_chosen() {
        assert_eq!(chosen(true, true, true), [Ok("exact"); 3]);
        assert_eq!(chosen(false, true, false), [Ok("difference"); 3]);
        let kinks = Err(Unsuitable::Kinks);
        assert_eq!(chosen(false, true, true), [Ok("gauss-newton"), kinks, kinks]);
        assert_eq!(chosen(false, false, true), [Ok("difference"), kinks, kinks]);
    }

    #[test]
    fn a_kind_that_was_named_is_refused_with_the_reason() {
        let model = Model { exact: false, gauss_newton: true, kinks: true };
        let message = |kind: Product, wanted| kind.suited(&model, wanted).unwrap_err().to_string();
        assert!(message(Product::Exact, SpectralTarget::Largest).contains("this model does not offer it"));
        assert!(message(Product::GaussNewton, SpectralTarget::Smallest).contains("no negative eigenvalues"));
        let difference = Product::Difference(Difference::KINKED);
        assert!(
            message(difference, SpectralTarget::Smallest).starts_with("difference products cannot give the smallest")
        );
        assert!(difference.suited(&model, SpectralTarget::Largest).is_ok());
        assert!(Product::GaussNewton.suited(&model, SpectralTarget::Spectrum).is_ok());
    }
}
