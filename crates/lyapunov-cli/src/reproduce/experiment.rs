//! The sweeps that the claims are put to the test by, at three scales.

use clap::ValueEnum;

/// How much is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// Small networks, some hundred steps: about ten minutes on two cores
    Quick,
    /// Whole networks on 5,000 images, three seeds: hours on a workstation
    Standard,
    /// Whole networks on all images, three seeds: for a cluster
    Full,
}

/// One sweep, and the claims that it speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Experiment {
    /// C1
    Exponents,
    /// C2
    Estimates,
    /// C3 and C5
    Edge,
    /// C4
    Rules,
}

impl Experiment {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Exponents, Self::Estimates, Self::Rules, Self::Edge];

    /// The name of its file and of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exponents => "exponents",
            Self::Estimates => "estimates",
            Self::Edge => "edge",
            Self::Rules => "rules",
        }
    }

    /// Its sweep, or its suite, as a file.
    pub fn text(self, scale: Scale) -> &'static str {
        match (self, scale) {
            (Self::Exponents, Scale::Quick) => include_str!("quick-exponents.toml"),
            (Self::Estimates, Scale::Quick) => include_str!("quick-estimates.toml"),
            (Self::Edge, Scale::Quick) => include_str!("quick-edge.toml"),
            (Self::Rules, Scale::Quick) => include_str!("quick-rules.toml"),
            (Self::Exponents, Scale::Standard) => include_str!("standard-exponents.toml"),
            (Self::Estimates, Scale::Standard) => include_str!("standard-estimates.toml"),
            (Self::Edge, Scale::Standard) => include_str!("standard-edge.toml"),
            (Self::Rules, Scale::Standard) => include_str!("standard-rules.toml"),
            (Self::Exponents, Scale::Full) => include_str!("full-exponents.toml"),
            (Self::Estimates, Scale::Full) => include_str!("full-estimates.toml"),
            (Self::Edge, Scale::Full) => include_str!("full-edge.toml"),
            (Self::Rules, Scale::Full) => include_str!("full-rules.toml"),
        }
    }
}
