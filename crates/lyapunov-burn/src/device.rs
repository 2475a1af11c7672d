//! Devices by name: the processor, and with the feature `wgpu` whatever graphics adapters there are.

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The kinds of devices of this build. `"wgpu"` alone is the fastest adapter that there is; `"wgpu:discrete:0"`,
/// `"wgpu:integrated:0"`, `"wgpu:virtual:0"` and `"wgpu:cpu"` name one, as [`devices`] lists them.
pub const DEVICES: &[&str] = &[
    "flex",
    #[cfg(feature = "wgpu")]
    "wgpu",
];

/// The device called `name`. `"flex"` is the processor, in pure Rust: deterministic, the same bits in any process and
/// beside any others. Devices of the feature `wgpu` compute in single precision only, and are given a gradient that is
/// known before anything else.
///
/// # Errors
/// [`Error::Device`] for a name that this build does not know, and [`Error::Unusable`] for a device that cannot be
/// opened or gets that gradient wrong.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        _ if adapters::is_named(name) => adapters::open(name),
        _ => Err(Error::Device { name: name.to_owned(), available: names() }),
    }
}

/// The devices of this machine by their names, each with what it is.
pub fn devices() -> Vec<(String, String)> {
    let flex = ("flex".to_owned(), "the processor, in pure Rust".to_owned());
    #[cfg(feature = "wgpu")]
    let others = adapters::list();
    #[cfg(not(feature = "wgpu"))]
    let others = Vec::new();
    [flex].into_iter().chain(others).collect()
}

/// The largest piece of memory that one tensor may take on a device, in bytes; `None` where nothing but the machine's
/// memory limits it. For `"wgpu"` alone it is that of the first adapter that [`devices`] lists.
pub fn largest_tensor(name: &str) -> Option<u64> {
    #[cfg(feature = "wgpu")]
    if adapters::is_named(name) {
        return adapters::largest_tensor(name);
    }
    let _ = name;
    None
}

/// Whether a device computes in double precision.
pub(crate) fn has_doubles(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

fn names() -> String {
    devices().into_iter().map(|(name, what)| format!("{name} ({what})")).collect::<Vec<_>>().join(", ")
}

#[cfg(feature = "wgpu")]
mod adapters {
    //! Graphics adapters: their names, and a first look at what they compute.

    use burn::tensor::{
        Device, DeviceKind, Tensor, activation,
        wgpu::wgpu::{Adapter, Backends, DeviceType, Instance, InstanceDescriptor},
    };

    use crate::error::{Error, Result};

    /// How far a probe may be off, relative to the largest entry: some hundred roundings of single precision.
    const TOLERANCE: f64 = 1e-4;

    /// Whether the name is one of this kind of devices, there or not.
    pub fn is_named(name: &str) -> bool {
        kind(name).is_some()
    }

    /// The device that a name asks for.
    fn kind(name: &str) -> Option<DeviceKind> {
        let mut parts = name.strip_prefix("wgpu")?.split(':').skip(1);
        if name == "wgpu" {
            return Some(DeviceKind::DefaultDevice);
        }
        let kind = parts.next()?;
        let number = parts.next().map_or(Ok(0), str::parse).ok()?;
        let kind = match kind {
            "discrete" => DeviceKind::DiscreteGpu(number),
            "integrated" => DeviceKind::IntegratedGpu(number),
            "virtual" => DeviceKind::VirtualGpu(number),
            "cpu" if number == 0 => DeviceKind::Cpu,
            _ => return None,
        };
        parts.next().is_none().then_some(kind)
    }

    /// The adapters, each with its name of ours.
    fn named() -> Vec<(String, Adapter)> {
        let instance = Instance::new(InstanceDescriptor::new_without_display_handle());
        let found = burn::tensor::try_read_sync(instance.enumerate_adapters(Backends::PRIMARY)).unwrap_or_default();
        let mut counts = [0; 3];
        let mut named = Vec::new();
        for adapter in found {
            let (kind, count) = match adapter.get_info().device_type {
                DeviceType::DiscreteGpu => ("discrete", &mut counts[0]),
                DeviceType::IntegratedGpu => ("integrated", &mut counts[1]),
                DeviceType::VirtualGpu => ("virtual", &mut counts[2]),
                DeviceType::Cpu => {
                    named.push(("wgpu:cpu".to_owned(), adapter));
                    continue;
                }
                DeviceType::Other => continue,
            };
            named.push((format!("wgpu:{kind}:{count}"), adapter));
            *count += 1;
        }
        named
    }

    /// Whether a listed adapter is the one that a name asks for, whose number may be left out where it is 0.
    fn is_same(listed: &str, name: &str) -> bool {
        listed == name || listed.strip_suffix(":0") == Some(name)
    }

    pub fn list() -> Vec<(String, String)> {
        let what = |adapter: &Adapter| {
            let info = adapter.get_info();
            format!("{}, {:?}, single precision", info.name, info.backend)
        };
        named().iter().map(|(name, adapter)| (name.clone(), what(adapter))).collect()
    }

    pub fn largest_tensor(name: &str) -> Option<u64> {
        let adapters = named();
        let own = adapters.iter().find(|(other, _)| is_same(other, name)).or_else(|| adapters.first())?;
        let limits = own.1.limits();
        Some(limits.max_buffer_size.min(limits.max_storage_buffer_binding_size))
    }

    pub fn open(name: &str) -> Result<Device> {
        let unusable = |reason: String| Error::Unusable { name: name.to_owned(), reason };
        let kind = kind(name).ok_or_else(|| unusable("is not the name of an adapter".to_owned()))?;
        let known = list();
        if known.is_empty() {
            return Err(unusable("no graphics adapter was found: is a driver installed?".to_owned()));
        }
        if name != "wgpu" && !known.iter().any(|(other, _)| is_same(other, name)) {
            let names: Vec<String> = known.into_iter().map(|(name, _)| name).collect();
            return Err(unusable(format!("is not there; there are {}", names.join(", "))));
        }
        // Opened once in a process: the runtime keeps it.
        let device = Device::wgpu(kind);
        let (own, right) = (probe(&device), probe(&Device::flex()));
        let size = right.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
        let error = own.iter().zip(&right).fold(0.0_f64, |error, (a, b)| error.max((a - b).abs())) / size;
        // What is not a number is not small either.
        if own.len() == right.len() && error <= TOLERANCE {
            Ok(device)
        } else {
            Err(unusable(format!(
                "got a gradient wrong by {error:.1e} of its size, which is known: its driver cannot be trusted"
            )))
        }
    }

    /// The gradient of a small network with a smooth activation and a softmax, in weights that are no random numbers.
    fn probe(device: &Device) -> Vec<f64> {
        let tensor = |rows: usize, columns: usize, phase: f32| {
            let values: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.7 + phase).sin()).collect();
            Tensor::<1>::from_data(&values[..], device).reshape([rows, columns])
        };
        let (x, w, v) = (tensor(33, 17, 0.1), tensor(17, 40, 0.5), tensor(40, 10, 0.9));
        let (w, v): (Tensor<2>, Tensor<2>) = (w.autodiff().require_grad(), v.autodiff().require_grad());
        let outputs = activation::tanh(x.autodiff().matmul(w.clone())).matmul(v.clone());
        let gradients = activation::log_softmax(outputs, 1).square().mean().backward();
        let numbers = |weights: &Tensor<2>| -> Vec<f64> {
            weights.grad(&gradients).map_or_else(Vec::new, |gradient| gradient.to_data().iter::<f64>().collect())
        };
        [numbers(&w), numbers(&v)].concat()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn names_are_those_of_kinds_and_numbers() {
            assert_eq!(kind("wgpu"), Some(DeviceKind::DefaultDevice));
            assert_eq!(kind("wgpu:discrete:2"), Some(DeviceKind::DiscreteGpu(2)));
            assert_eq!(kind("wgpu:cpu"), Some(DeviceKind::Cpu));
            for wrong in ["wgpux", "wgpu:", "wgpu:fast", "wgpu:discrete:x", "wgpu:cpu:1", "wgpu:virtual:0:0", "gpu"] {
                assert_eq!(kind(wrong), None, "{wrong}");
            }
            assert!(is_same("wgpu:discrete:0", "wgpu:discrete") && is_same("wgpu:cpu", "wgpu:cpu"));
            assert!(!is_same("wgpu:discrete:10", "wgpu:discrete:1"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_named_with_those_that_there_are() {
        let message = device("gpu").unwrap_err().to_string();
        assert!(message.contains("\"gpu\"") && message.contains("flex (the processor"), "{message}");
        // An adapter need not be there.
        assert!(DEVICES.iter().filter(|name| **name != "wgpu").all(|name| device(name).is_ok()));
        assert!(DEVICES.contains(&"flex") && devices()[0].0 == "flex");
        assert_eq!(largest_tensor("flex"), None);
    }
}
