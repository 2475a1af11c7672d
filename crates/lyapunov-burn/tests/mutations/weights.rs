//! Weights and saved runs in the safetensors format.
//!
//! The format has no checksum. So a file in which a weight has another finite value is read as what it says; whoever
//! wants to know more has to keep a digest beside it, as the program does.

use std::time::{Duration, Instant};

use lyapunov::{Numbers, Snapshot};
use lyapunov_burn::{Architecture, Dataset, Network, NetworkOptions, device};
use lyapunov_runs::{saved_from_safetensors, saved_to_safetensors};

use crate::{
    MEMORY,
    mutant::{endure, mutations},
};

const WORDS: [&str; 14] =
    ["{", "}", "[", "]", "\"", ",", ":", "../", "\\u0000", "-1", "18446744073709551615", "1e400", "\"F16\"", "null"];

fn network() -> Network {
    let options = NetworkOptions {
        architecture: Architecture::Cnn { widths: vec![2] },
        batch_size: 2,
        ..NetworkOptions::default()
    };
    Network::new(&options, Dataset::synthetic(1, 4, 2).unwrap(), &device("flex").unwrap()).unwrap()
}

/// Whether the bytes are weights of the network; they are as many as it has, and finite.
fn are_weights(network: &Network, bytes: &[u8]) -> bool {
    let Ok(weights) = network.weights_from_safetensors(bytes) else { return false };
    let numbers = weights.to_data().iter::<f64>().collect::<Vec<_>>();
    assert_eq!(numbers.len(), network.parameters());
    assert!(numbers.iter().all(|weight| weight.is_finite()));
    true
}

#[test]
fn spoilt_weights_are_refused_or_finite() {
    let network = network();
    let whole = network.weights_to_safetensors(&network.initial_weights());
    let taken = endure(&whole, mutations(2_000), &[], |bytes| are_weights(&network, bytes));
    println!("{taken} files were read as other weights");
}

/// The numbers are a hundred times longer than the header: faults in it are tried by themselves.
#[test]
fn a_spoilt_header_is_refused_or_means_the_same() {
    let network = network();
    let whole = network.weights_to_safetensors(&network.initial_weights());
    let length = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let (header, numbers) = whole.split_at(length);
    endure(&header[8..], mutations(2_000), &WORDS, |text| {
        let length = (text.len() as u64).to_le_bytes();
        are_weights(&network, &[&length, text, numbers].concat())
    });
    endure(header, mutations(2_000), &WORDS, |header| are_weights(&network, &[header, numbers].concat()));
}

#[test]
fn a_spoilt_saved_run_is_refused_or_has_rows() {
    let mut saved = Snapshot::default();
    saved.rows.insert("optimizer.state".into(), Numbers::F64(vec![0.5, f64::INFINITY, -0.0]));
    saved.rows.insert("tracker.bytes".into(), Numbers::Bytes(vec![1, 2, 3]));
    saved.rows.insert("tracker.steps".into(), Numbers::U64(vec![7]));
    let whole = saved_to_safetensors(&saved, "a note").unwrap();
    endure(&whole, mutations(2_000), &WORDS, |bytes| saved_from_safetensors(bytes).is_ok());
}

/// A file with this header and `bytes` zeros.
fn forged(header: &str, bytes: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; bytes]].concat()
}

/// Refused in less than two seconds, and with less memory than `1 << 30` bytes.
#[track_caller]
fn refused(network: &Network, what: &str, bytes: &[u8]) {
    let (began, before) = (Instant::now(), MEMORY.current_usage());
    assert!(!are_weights(network, bytes), "{what}");
    let (took, peak) = (began.elapsed(), MEMORY.peak_usage());
    assert!(took < Duration::from_secs(2), "{what}: {took:?}");
    assert!(peak < before + (1 << 30), "{what}: {peak} bytes");
}

#[test]
fn bombs_are_refused_at_once() {
    let network = network();
    let tensor = |i: usize| format!("\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    let many: Vec<String> = (0..300_000).map(tensor).collect();
    let names: Vec<String> = (0..1_000_000).map(|i| format!("\"{i}\":0")).collect();
    let shape = "4294967296,4294967296,4294967296";
    for (what, bytes) in [
        ("a length of 2^63", [&(1_u64 << 63).to_le_bytes()[..], b"{}"].concat()),
        ("a length of all bits", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("no bytes", vec![]),
        ("a hundred thousand brackets", forged(&"[".repeat(100_000), 0)),
        ("a hundred thousand objects", forged(&"{\"a\":".repeat(100_000), 0)),
        ("tensors without numbers", forged(&format!("{{{}}}", many.join(",")), 0)),
        ("a million names", forged(&format!("{{{}}}", names.join(",")), 0)),
        ("a long name", forged(&format!("{{\"{}\":0}}", "x".repeat(20 << 20)), 0)),
        ("spaces", forged(&format!("{{{}}}", " ".repeat(50 << 20)), 0)),
        (
            "a shape whose size overflows",
            forged(&format!("{{\"0.bias\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[0,8]}}}}"), 8),
        ),
        (
            "offsets beyond the file",
            forged("{\"0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,18446744073709551615]}}", 8),
        ),
        ("offsets that go back", forged("{\"0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8)),
    ] {
        refused(&network, what, &bytes);
    }
}
