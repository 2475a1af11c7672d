//! Devices by name.

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The names of the devices of this build.
pub const DEVICES: &[&str] = &["flex"];

/// The device called `name`; `"flex"` is the pure-Rust CPU device, on one thread: deterministic, the same bits in any
/// process and beside any others.
///
/// # Errors
/// [`Error::Device`] for a name that is not in [`DEVICES`].
pub fn device(name: &str) -> Result<Device> {
    match name {
        "flex" => Ok(Device::flex()),
        _ => Err(Error::Device { name: name.to_owned(), available: DEVICES.join(", ") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_device_exists_and_others_are_named() {
        assert!(DEVICES.iter().all(|name| device(name).is_ok()));
        let message = device("gpu").unwrap_err().to_string();
        assert!(message.contains("\"gpu\"") && message.contains("flex"), "{message}");
    }
}
