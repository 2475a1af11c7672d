//! Weights to and from bytes in the safetensors format, one tensor per parameter.
//!
//! Reading trusts nothing: neither the file (`lyapunov-safetensors`) nor that it is of this network.

use std::{borrow::Cow, fmt};

use burn::tensor::{DType, Device, Element, Tensor, TensorData};
use lyapunov_safetensors::{Dtype, SafeTensors, TensorView, View, open, serialize};

use super::{model::NamedParameter, pass::Moments, vector::Weights};
use crate::error::{Error, Result};

/// A tensor on its way out.
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Entry {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The weights `at` as a file, with statistics as PyTorch's `buffers`: mean, variance and number of batches of each.
pub(super) fn write(
    parameters: &[NamedParameter],
    at: &Weights,
    (buffers, statistics, batches): (&[String], &[Moments], usize),
) -> Vec<u8> {
    let entry = |parameter: &NamedParameter| {
        let part = at.0.clone().slice([parameter.range.clone()]);
        (parameter.name.clone(), floats(part, parameter.shape.clone()))
    };
    let buffer = |(names, moments): (&[String], &Moments)| {
        let of = |tensor: &Tensor<1>| floats(tensor.clone(), tensor.dims().to_vec());
        let count = integers(vec![i64::try_from(batches).expect("batches are images, in memory")], vec![]);
        names.iter().cloned().zip([of(&moments.mean), of(&moments.variance), count]).collect::<Vec<_>>()
    };
    let buffers = buffers.chunks(3).zip(statistics).flat_map(buffer);
    file(parameters.iter().map(entry).chain(buffers).collect())
}

/// Images, labels and outputs, in training and in evaluation, as a file, with the mean and the deviation of each
/// colour.
pub(super) fn write_examples(
    images: Tensor<4>,
    labels: Vec<i64>,
    [outputs, evaluated]: [Tensor<2>; 2],
    colours: &[(f64, f64)],
) -> Vec<u8> {
    let (inputs_shape, outputs_shape) = (images.dims().to_vec(), outputs.dims().to_vec());
    let examples = labels.len();
    let colours = Entry {
        dtype: Dtype::F64,
        shape: vec![colours.len(), 2],
        bytes: colours.iter().flat_map(|(mean, deviation)| [*mean, *deviation]).flat_map(f64::to_le_bytes).collect(),
    };
    file(vec![
        ("colours".to_owned(), colours),
        ("evaluation_outputs".to_owned(), floats(evaluated, outputs_shape.clone())),
        ("inputs".to_owned(), floats(images, inputs_shape)),
        ("labels".to_owned(), integers(labels, vec![examples])),
        ("outputs".to_owned(), floats(outputs, outputs_shape)),
    ])
}

fn file(entries: Vec<(String, Entry)>) -> Vec<u8> {
    // What loaders look for: tensors in PyTorch's layout.
    let format = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    serialize(entries, Some(format)).expect("every entry has the bytes that its shape needs")
}

fn integers(values: Vec<i64>, shape: Vec<usize>) -> Entry {
    Entry { dtype: Dtype::I64, shape, bytes: values.into_iter().flat_map(i64::to_le_bytes).collect() }
}

/// The entries of a tensor in the precision of its storage.
fn floats<const D: usize>(tensor: Tensor<D>, shape: Vec<usize>) -> Entry {
    let (dtype, data) = (safetensors_type(tensor.dtype()), tensor.into_data());
    let bytes = match dtype {
        Dtype::F64 => data.iter::<f64>().flat_map(f64::to_le_bytes).collect(),
        _ => data.iter::<f32>().flat_map(f32::to_le_bytes).collect(),
    };
    Entry { dtype, shape, bytes }
}

/// How the numbers of a network are called in a file.
fn safetensors_type(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        _ => Dtype::F32,
    }
}

/// The weights in a file, flat; tensors called like one of the `buffers` may be there and are not looked at.
pub(super) fn read(
    (parameters, buffers): (&[NamedParameter], &[String]),
    bytes: &[u8],
    to: (&Device, DType),
) -> Result<Weights> {
    let file = open(bytes)?;
    check_fit(parameters, buffers, &file)?;
    match safetensors_type(to.1) {
        Dtype::F64 => collect(parameters, &file, to, f64::from_le_bytes, |x| x.is_finite()),
        _ => collect(parameters, &file, to, f32::from_le_bytes, |x| x.is_finite()),
    }
}

/// Whether the file holds the tensors of the network and no others. A tensor of another shape says most about what is
/// wrong, so it comes first.
fn check_fit(parameters: &[NamedParameter], buffers: &[String], file: &SafeTensors) -> Result<()> {
    for (parameter, tensor) in parameters.iter().filter_map(|p| Some((p, file.tensor(&p.name).ok()?))) {
        if tensor.shape() != parameter.shape {
            let reason = format!("has shape {:?} where the network has {:?}", tensor.shape(), parameter.shape);
            return Err(wrong_tensor(&parameter.name, reason));
        }
    }
    if let Some(missing) = parameters.iter().find(|parameter| file.tensor(&parameter.name).is_err()) {
        return Err(wrong_tensor(
            &missing.name,
            format!("is missing: the network has one of shape {:?}", missing.shape),
        ));
    }
    let known: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let expected = |name: &str| known.contains(&name) || buffers.iter().any(|buffer| buffer == name);
    let mut extra: Vec<(&str, TensorView)> = file.iter().filter(|(name, _)| !expected(name)).collect();
    extra.sort_by_key(|(name, _)| *name);
    match extra.first() {
        Some((name, tensor)) => {
            let reason =
                format!("of shape {:?} has no place in the network, which has {}", tensor.shape(), known.join(", "));
            Err(wrong_tensor(name, reason))
        }
        None => Ok(()),
    }
}

/// The numbers of all tensors in the order of the parameters; `decode` makes a number of its bytes.
fn collect<const BYTES: usize, E: Element + fmt::Display>(
    parameters: &[NamedParameter],
    file: &SafeTensors,
    (device, dtype): (&Device, DType),
    decode: impl Fn([u8; BYTES]) -> E,
    is_finite: impl Fn(&E) -> bool,
) -> Result<Weights> {
    let mut weights = Vec::new();
    for parameter in parameters {
        let NamedParameter { name, .. } = parameter;
        let tensor = file.tensor(name).expect("the fit has been checked");
        let (found, needed) = (tensor.dtype(), safetensors_type(dtype));
        if found != needed {
            return Err(wrong_tensor(name, format!("holds numbers of type {found} where the network has {needed}")));
        }
        let start = weights.len();
        weights.extend(tensor.data().as_chunks().0.iter().map(|bytes| decode(*bytes)));
        if let Some(entry) = weights[start..].iter().position(|x| !is_finite(x)) {
            let at = index(entry, &parameter.shape);
            return Err(wrong_tensor(
                name,
                format!("holds {} at {at:?}: weights must be finite", weights[start + entry]),
            ));
        }
    }
    let n = weights.len();
    Ok(Weights(Tensor::from_data(TensorData::new(weights, [n]), (device, dtype))))
}

/// The index of an entry of a tensor, from its place in the bytes.
fn index(mut entry: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (place, size) in index.iter_mut().zip(shape).rev() {
        (*place, entry) = (entry % size, entry / size);
    }
    index
}

fn wrong_tensor(name: &str, reason: impl Into<String>) -> Error {
    lyapunov_safetensors::Error::of_tensor(name, reason).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Architecture, Dataset, Network, NetworkOptions, Precision, device};
    use lyapunov::{Sample, Vector};

    fn network(precision: Precision) -> Network {
        let options = NetworkOptions {
            architecture: Architecture::Cnn { widths: vec![2] },
            batch_size: 4,
            seed: 3,
            precision,
            ..NetworkOptions::default()
        };
        Network::new(&options, Dataset::synthetic(1, 8, 2).unwrap(), &device("flex").unwrap()).unwrap()
    }

    /// A file with this header; `bytes` of zeros follow.
    fn forged(header: &str, bytes: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.resize(file.len() + bytes, 0);
        file
    }

    /// A file with tensors of zeros of these names, shapes and types.
    fn zeros(tensors: &[(&str, &[usize], Dtype)]) -> Vec<u8> {
        let entry = |(name, shape, dtype): &(&str, &[usize], Dtype)| {
            let bytes = vec![0; shape.iter().product::<usize>() * dtype.bitsize() / 8];
            ((*name).to_owned(), Entry { dtype: *dtype, shape: shape.to_vec(), bytes })
        };
        file(tensors.iter().map(entry).collect())
    }

    const RIGHT: [(&str, &[usize], Dtype); 4] = [
        ("0.weight", &[2, 3, 3, 3], Dtype::F32),
        ("0.bias", &[2], Dtype::F32),
        ("4.weight", &[10, 512], Dtype::F32),
        ("4.bias", &[10], Dtype::F32),
    ];

    fn refusal(bytes: &[u8]) -> String {
        network(Precision::Single).weights_from_safetensors(bytes).unwrap_err().to_string()
    }

    #[test]
    fn weights_come_back_to_the_last_bit_in_both_precisions() {
        for precision in [Precision::Single, Precision::Double] {
            let network = network(precision);
            let weights = network.initial_weights();
            let bytes = network.weights_to_safetensors(&weights);
            let again = network.weights_from_safetensors(&bytes).unwrap();
            assert_eq!(again.to_data(), weights.to_data());
            assert_eq!(bytes, network.weights_to_safetensors(&again), "the same weights make the same file");
        }
    }

    #[test]
    fn every_tensor_holds_the_entries_of_its_parameter() {
        let network = network(Precision::Single);
        let weights = network.initial_weights();
        let bytes = network.weights_to_safetensors(&weights);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.len(), 4);
        let flat: Vec<f32> = weights.to_data().try_to_vec().unwrap();
        for parameter in network.named_parameters() {
            let tensor = file.tensor(&parameter.name).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &parameter.shape[..]));
            let expected: Vec<u8> = flat[parameter.range].iter().flat_map(|w| w.to_le_bytes()).collect();
            assert_eq!(tensor.data(), expected);
        }
    }

    #[test]
    fn examples_are_what_the_network_sees_and_says() {
        let network = network(Precision::Single);
        let weights = network.initial_weights();
        let bytes = network.examples_to_safetensors(&weights, Sample::Mini(1)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("inputs").unwrap().shape(), [4, 3, 32, 32]);
        assert_eq!(
            (file.tensor("labels").unwrap().shape(), file.tensor("labels").unwrap().dtype()),
            (&[4][..], Dtype::I64)
        );
        let colours = file.tensor("colours").unwrap();
        assert_eq!((colours.shape(), colours.dtype()), (&[3, 2][..], Dtype::F64));
        let outputs: Vec<f32> = network.outputs(&weights, Sample::Mini(1)).unwrap().to_data().try_to_vec().unwrap();
        let message: Vec<u8> = outputs.into_iter().flat_map(f32::to_le_bytes).collect();
        assert_eq!(file.tensor("outputs").unwrap().data(), message);
        let evaluated = file.tensor("evaluation_outputs").unwrap();
        assert_eq!(
            (evaluated.shape(), evaluated.data()),
            (&[4, 10][..], &message[..]),
            "nothing here differs in training"
        );
        assert!(network.examples_to_safetensors(&weights, Sample::Subset(9)).is_err());
    }

    #[test]
    fn the_right_tensors_are_taken() {
        let weights = network(Precision::Single).weights_from_safetensors(&zeros(&RIGHT)).unwrap();
        assert_eq!((Vector::len(&weights), weights.norm()), (56 + 5130, 0.0));
    }

    #[test]
    fn a_file_that_is_cut_short_or_something_else_is_refused() {
        let whole = zeros(&RIGHT);
        for length in [0, 7, 8, 100, whole.len() - 1] {
            let message = refusal(&whole[..length]);
            assert!(
                message.starts_with("the file is cut short or not in the safetensors format"),
                "{length}: {message}"
            );
        }
        let mut longer = whole;
        longer.push(0);
        for bytes in [&longer[..], b"PK\x03\x04 a zip file, as torch.save writes it", &forged("[]", 0), &forged("{", 0)]
        {
            assert!(refusal(bytes).contains("not in the safetensors format"));
        }
    }

    #[test]
    fn a_tensor_that_occurs_twice_is_refused() {
        let entry =
            |from: usize| format!(r#""0.bias":{{"dtype":"F32","shape":[2],"data_offsets":[{from},{}]}}"#, from + 8);
        for (second, bytes) in [(0, 8), (8, 16)] {
            let header = format!("{{{},{}}}", entry(0), entry(second));
            assert_eq!(refusal(&forged(&header, bytes)), "tensor `0.bias` occurs twice");
        }
    }

    #[test]
    fn a_name_like_a_path_is_refused() {
        for name in ["../0.weight", "/etc/passwd", "a\\b", ".."] {
            let mut tensors = RIGHT.to_vec();
            tensors.push((name, &[1], Dtype::F32));
            assert_eq!(refusal(&zeros(&tensors)), format!("tensor `{name}` is named like a path"));
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_named_with_both_shapes() {
        let with = |i: usize, tensor| {
            let mut tensors = RIGHT.to_vec();
            tensors[i] = tensor;
            refusal(&zeros(&tensors))
        };
        assert_eq!(
            with(2, ("4.weight", &[10, 256], Dtype::F32)),
            "tensor `4.weight` has shape [10, 256] where the network has [10, 512]"
        );
        assert_eq!(
            with(2, ("4.weight", &[512, 10], Dtype::F32)),
            "tensor `4.weight` has shape [512, 10] where the network has [10, 512]",
            "as many entries do not make a fit"
        );
        assert_eq!(
            with(1, ("0.biases", &[2], Dtype::F32)),
            "tensor `0.bias` is missing: the network has one of shape [2]"
        );
        assert_eq!(
            with(1, ("0.bias", &[2], Dtype::F16)),
            "tensor `0.bias` holds numbers of type F16 where the network has F32"
        );
        let mut more = RIGHT.to_vec();
        more.push(("6.bias", &[10], Dtype::F32));
        assert_eq!(
            refusal(&zeros(&more)),
            "tensor `6.bias` of shape [10] has no place in the network, which has 0.weight, 0.bias, 4.weight, 4.bias"
        );
    }

    #[test]
    fn weights_that_are_not_finite_are_refused() {
        let network = network(Precision::Single);
        for (value, message) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
            let mut flat: Vec<f32> = network.initial_weights().to_data().try_to_vec().unwrap();
            flat[56 + 512 + 3] = value;
            let weights = Weights(Tensor::from_data(TensorData::new(flat, [5186]), &device("flex").unwrap()));
            let bytes = network.weights_to_safetensors(&weights);
            assert_eq!(refusal(&bytes), format!("tensor `4.weight` holds {message} at [1, 3]: weights must be finite"));
        }
    }
}
