//! Why an address did not give the file, as the end of a sentence that begins with the address.

use std::io;

use crate::error::Error;

/// Why an address did not give the file.
pub enum Trouble {
    /// The connection ended or stalled; to ask again may help.
    Cut(String),
    /// To ask again will not help.
    Refused(String),
    /// The fault is on our side.
    Ours(Error),
}

impl Trouble {
    /// The trouble of an address that gave no answer.
    pub fn of(fault: &ureq::Error) -> Self {
        match fault {
            ureq::Error::Timeout(_) => Self::Cut("says nothing".to_owned()),
            ureq::Error::Io(cause) => Self::Cut(format!("cannot be reached: {cause}")),
            ureq::Error::HostNotFound => {
                Self::Refused("cannot be reached: there is no such host, or no network".to_owned())
            }
            fault => Self::Refused(format!("cannot be reached: {fault}")),
        }
    }

    /// The trouble of an answer that ended by `cause`.
    pub fn cut(cause: &io::Error) -> Self {
        let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
        match (inner, cause.kind()) {
            (Some(ureq::Error::Timeout(_)), _) | (_, io::ErrorKind::TimedOut) => Self::Cut("stalls".to_owned()),
            (_, io::ErrorKind::UnexpectedEof) => Self::Cut("ends too early".to_owned()),
            _ => Self::Cut(format!("breaks off: {cause}")),
        }
    }
}

impl From<Error> for Trouble {
    fn from(fault: Error) -> Self {
        Self::Ours(fault)
    }
}

/// Refuses what does not begin as an archive does.
pub fn check_archive(start: &[u8]) -> Result<(), Trouble> {
    let message = match start {
        [0x1f, 0x8b, ..] => return Ok(()),
        [] => "gives nothing",
        _ if start.trim_ascii_start().starts_with(b"<") => "gives a web page, not the archive",
        _ => "gives something that is no gzip archive",
    };
    Err(Trouble::Refused(message.to_owned()))
}
