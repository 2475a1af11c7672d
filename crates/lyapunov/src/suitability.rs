//! What a product with the Hessian is wanted for, and why a kind of product cannot give it.

use std::fmt;

/// What a product with the Hessian is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpectralTarget {
    /// The algebraically largest eigenvalues, or a curvature along a given direction.
    Largest,
    /// The algebraically smallest eigenvalues.
    Smallest,
    /// All of the spectrum: its density, its sum.
    Spectrum,
}

impl fmt::Display for SpectralTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Largest => "the largest eigenvalues",
            Self::Smallest => "the smallest eigenvalues",
            Self::Spectrum => "the whole spectrum",
        })
    }
}

/// Why a kind of product cannot give what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsuitable {
    /// The objective does not offer the kind.
    NotOffered,
    /// The matrix of the kind has no negative eigenvalues.
    SemiDefinite,
    /// The gradient jumps, and the kind takes the jumps for curvature.
    Kinks,
}

impl fmt::Display for Unsuitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOffered => "this model does not offer it",
            Self::SemiDefinite => {
                "the Gauss–Newton matrix has no negative eigenvalues, so its smallest one is not that of the Hessian"
            }
            Self::Kinks => {
                "differences of gradients take the kinks of ReLU and max-pooling for curvature, and show \
                 eigenvalues that are not there"
            }
        })
    }
}
