//! The archives that can be downloaded, as their authors publish them.

use clap::ValueEnum;
use lyapunov_burn::Layout;

/// A published archive.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Published {
    /// CIFAR-10, binary version.
    Cifar10,
    /// CIFAR-100, binary version.
    Cifar100,
}

impl Published {
    /// The layout of the files in it.
    pub fn layout(self) -> Layout {
        match self {
            Self::Cifar10 => Layout::Cifar10,
            Self::Cifar100 => Layout::Cifar100,
        }
    }

    /// The name of the archive.
    pub fn archive(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-binary.tar.gz",
            Self::Cifar100 => "cifar-100-binary.tar.gz",
        }
    }

    /// Where its authors publish it.
    pub fn url(self) -> String {
        format!("https://www.cs.toronto.edu/~kriz/{}", self.archive())
    }

    /// The MD5 that they publish beside it.
    pub fn md5(self) -> &'static str {
        match self {
            Self::Cifar10 => "c32a1d4ab5d03f1284b67883e8d87530",
            Self::Cifar100 => "03b5dce01913d631647c71ecec9e9cb8",
        }
    }
}
