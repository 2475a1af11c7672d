//! What the crate of networks reports, as a fault of the program.

use crate::error::Error;

const DATA_HELP: &str = "`lyapunov data fetch cifar10` downloads images, `lyapunov data synthesize DIR` makes some \
    up, and \
                         `lyapunov data check PATH` looks at what is there";

impl From<lyapunov_burn::Error> for Error {
    fn from(source: lyapunov_burn::Error) -> Self {
        let help = match source {
            lyapunov_burn::Error::Core(core) => return core.into(),
            lyapunov_burn::Error::Data { .. } | lyapunov_burn::Error::Io { .. } => Some(DATA_HELP.to_owned()),
            _ => None,
        };
        Self::library(source, help)
    }
}
