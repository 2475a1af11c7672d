//! Operations on images that Burn does not have, or not as fast: each is one file with its kernels, its gradients and
//! the same by plain operations of Burn.
//!
//! Images are matrices [examples, features] whose features are pixels, row by row, and in each pixel channels.
//! The kernels run on the CPU device where the processor has registers of several numbers; elsewhere the plain
//! operations do the same, within rounding. Which of the two is decided by where a tensor lies, and by nothing else.
//!
//! Values and tangents pass through the same operations, so an exact product needs first-order gradients only.

mod attention;
mod channels;
mod convolution;
mod normalization;
mod pooling;
mod record;
mod rectification;
mod smooth;

use std::sync::Arc;

use burn::{
    backend::DispatchTensor,
    tensor::{DType, Tensor},
};

use self::record::Operation;
pub(crate) use self::{
    attention::{attend, attend_tangent},
    channels::{concatenate, thin},
    convolution::convolve,
    normalization::{Made, Over, normalize, normalize_tangent, statistics},
    pooling::{means, winners},
    rectification::{gate, rectify, rectify_sum},
    smooth::{gelu, gelu_slope, tanh, tanh_slope},
};
use crate::kernels;

/// Whether the kernels take this tensor.
fn is_direct<const D: usize>(x: &Tensor<D>) -> bool {
    #[cfg(test)]
    if testing::PLAIN.get() {
        return false;
    }
    let device = x.device().inner();
    device == burn::tensor::Device::flex() && matches!(x.dtype(), DType::F32 | DType::F64) && kernels::has_registers()
}

/// The output of an operation on a list of tensors of any dimensions.
macro_rules! run {
    ($operation:expr, $($input:expr),+) => {
        crate::operations::ran($operation, vec![$($input.into_dispatch()),+])
    };
}
use run;

fn ran<const D: usize>(operation: impl Operation, inputs: Vec<DispatchTensor>) -> Tensor<D> {
    Tensor::from_dispatch(record::run(inputs, Arc::new(operation)))
}

#[cfg(test)]
pub(crate) mod testing {
    //! The same by plain operations.

    use std::cell::Cell;

    use burn::tensor::{DType, Tensor};

    use crate::layers::testing::draw;

    thread_local! {
        pub static PLAIN: Cell<bool> = const { Cell::new(false) };
    }

    /// What `work` returns where the operations of this thread are plain ones.
    pub fn plainly<T>(work: impl FnOnce() -> T) -> T {
        PLAIN.set(true);
        let result = work();
        PLAIN.set(false);
        result
    }

    /// Compares the kernels of an operation on inputs of these lengths with plain operations: the value, and the
    /// gradients in all inputs.
    pub fn check_paths(lengths: &[usize], operation: impl Fn(&[Tensor<1>]) -> Tensor<2>) {
        for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 2e-5)] {
            let made = || {
                let inputs = lengths.iter().zip(0..).map(|(length, k)| draw(*length, k).cast(dtype));
                let inputs: Vec<Tensor<1>> = inputs.map(|input| input.autodiff().require_grad()).collect();
                let value = operation(&inputs);
                let cotangent = draw(value.dims().iter().product(), 99).cast(dtype).reshape(value.dims());
                let gradients = (value.clone() * cotangent).sum().backward();
                let of =
                    |input: &Tensor<1>| input.grad(&gradients).unwrap_or_else(|| input.clone().inner().zeros_like());
                let value = value.inner();
                let length = value.dims().iter().product::<usize>();
                [value.reshape([length])].into_iter().chain(inputs.iter().map(of)).collect::<Vec<_>>()
            };
            for (part, (direct, plain)) in made().into_iter().zip(plainly(made)).enumerate() {
                let size = plain.clone().abs().max().into_scalar::<f64>().max(1.0);
                let error = (direct - plain).abs().max().into_scalar::<f64>() / size;
                assert!(error <= tolerance, "{lengths:?}, {dtype:?}, part {part}: {error:.1e}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
