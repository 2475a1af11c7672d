//! Kernels against plain operations of Burn: values and gradients in every input, in both precisions.

use burn::tensor::{DType, Tensor};

use super::{
    testing::{check_paths, plainly},
    *,
};
use crate::kernels::{Pool, Shape, Thinning, attention::Heads, group_norm::Groups};

fn rows(x: &Tensor<1>, examples: usize) -> Tensor<2> {
    let length = x.dims()[0];
    x.clone().reshape([examples, length / examples])
}

#[test]
fn convolutions() {
    let square = Shape { size: 6, inputs: 3, outputs: 5, kernel: 3, stride: 1, padding: 1 };
    for shape in [
        square,
        Shape { stride: 2, ..square },
        Shape { kernel: 1, padding: 0, stride: 2, ..square },
        Shape { kernel: 5, padding: 2, inputs: 1, outputs: 17, ..square },
        Shape { kernel: 2, stride: 2, padding: 0, ..square },
    ] {
        check_paths(&[2 * shape.image(), shape.outputs * shape.rows(), shape.outputs], |inputs| {
            convolve(rows(&inputs[0], 2), inputs[1].clone(), Some(inputs[2].clone()), shape)
        });
        check_paths(&[2 * shape.image(), shape.outputs * shape.rows()], |inputs| {
            convolve(rows(&inputs[0], 2), inputs[1].clone(), None, shape)
        });
    }
}

#[test]
fn rectifications_and_what_passes_them() {
    check_paths(&[77], |inputs| rectify(rows(&inputs[0], 7)));
    check_paths(&[77, 77], |inputs| rectify_sum(rows(&inputs[0], 7), rows(&inputs[1], 7)));
    check_paths(&[70, 70], |inputs| gate(rectify(rows(&inputs[0], 7)), rows(&inputs[1], 7)));
}

#[test]
fn smooth_activations_and_their_slopes() {
    check_paths(&[77], |inputs| tanh(rows(&inputs[0], 7)));
    check_paths(&[77, 77], |inputs| tanh_slope(rows(&inputs[0], 7), rows(&inputs[1], 7)));
    check_paths(&[77], |inputs| gelu(rows(&inputs[0], 7)));
    check_paths(&[77, 77], |inputs| gelu_slope(rows(&inputs[0], 7), rows(&inputs[1], 7)));
}

#[test]
fn attention_is_that_of_plain_operations() {
    for heads in [
        Heads { tokens: 5, width: 6, heads: 3 },
        Heads { tokens: 1, width: 2, heads: 1 },
        Heads { tokens: 37, width: 24, heads: 2 },
        Heads { tokens: 17, width: 300, heads: 1 },
    ] {
        let length = 3 * heads.input();
        check_paths(&[length], |inputs| attend(rows(&inputs[0], 3), heads));
        check_paths(&[length, length], |inputs| attend_tangent(rows(&inputs[0], 3), rows(&inputs[1], 3), heads));
    }
}

#[test]
fn poolings() {
    for channels in [1, 16, 19] {
        let pool = Pool { size: 4, channels, window: 2 };
        let length = 3 * pool.image();
        check_paths(&[length], |inputs| winners(rows(&inputs[0], 3), rows(&inputs[0], 3), pool));
        check_paths(&[length, length], |inputs| winners(rows(&inputs[0], 3), rows(&inputs[1], 3), pool));
        check_paths(&[length], |inputs| means(rows(&inputs[0], 3), pool));
        check_paths(&[length], |inputs| means(rows(&inputs[0], 3), Pool { window: 4, ..pool }));
    }
}

#[test]
fn channels_side_by_side_and_left_out() {
    check_paths(&[2 * 9 * 4, 2 * 9 * 3], |inputs| concatenate(rows(&inputs[0], 2), rows(&inputs[1], 2), [4, 3]));
    let thinning = Thinning { size: 4, stride: 2, inputs: 3, before: 1, outputs: 6 };
    check_paths(&[2 * 16 * 3], |inputs| thin(rows(&inputs[0], 2), thinning));
}

fn made(inputs: &[Tensor<1>], over: Over) -> (Tensor<2>, Made) {
    let (x, scale, shift) = (rows(&inputs[0], 3), inputs[1].clone(), inputs[2].clone());
    let moments = statistics(&x, over, 1e-5);
    (x, Made { over, scale, shift, moments, epsilon: 1e-5 })
}

fn check_normalization(over: Over, [channels, pixels]: [usize; 2]) {
    let (x, c) = (3 * channels * pixels, channels);
    check_paths(&[x, c, c], |inputs| {
        let (x, made) = made(inputs, over);
        normalize(x, made)
    });
    check_paths(&[x, c, c, x, c, c], |inputs| {
        let ((x, made), t) = (made(inputs, over), rows(&inputs[3], 3));
        normalize_tangent(x, made, t, [inputs[4].clone(), inputs[5].clone()])
    });
}

#[test]
fn normalisations_over_a_batch() {
    // Channels that fill rows of 32, rows of 96, and none; a few pixels and many.
    for (channels, pixels) in [(16, 4), (3, 100), (7, 1), (100, 9), (33, 40)] {
        for rectified in [false, true] {
            check_normalization(Over::Batch { channels, rectified }, [channels, pixels]);
        }
    }
}

#[test]
fn normalisations_over_groups() {
    for (channels, pixels, groups) in [(4, 9, 2), (40, 1, 1), (36, 70, 2), (5, 3, 5)] {
        check_normalization(Over::Groups(Groups { pixels, channels, groups }), [channels, pixels]);
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let nan = Tensor::<2>::from_data([[f64::NAN, -1.0, 2.0, 1.0]], (&burn::tensor::Device::flex(), DType::F64));
    let numbers = |x: Tensor<2>| x.to_data().try_to_vec::<f64>().unwrap();
    let rectified = numbers(rectify(nan.clone()));
    assert!(rectified[0].is_nan() && rectified[1..] == [0.0, 2.0, 1.0]);
    let pool = Pool { size: 2, channels: 1, window: 2 };
    for turned in 0..4 {
        let mut pixels = numbers(nan.clone());
        pixels.rotate_left(turned);
        let x = Tensor::<1>::from_data(&pixels[..], (&nan.device(), DType::F64)).reshape([1, 4]);
        assert!(numbers(winners(x.clone(), x, pool))[0].is_nan());
    }
    let moments = statistics(&nan, Over::Batch { channels: 4, rectified: false }, 1e-5);
    assert!(moments.to_data().try_to_vec::<f64>().unwrap()[4].is_nan());
}

#[test]
fn a_path_is_chosen_by_where_a_tensor_lies() {
    let x = Tensor::<2>::zeros([1, 1], (&burn::tensor::Device::flex(), DType::F32));
    assert_eq!(is_direct(&x), kernels::has_registers());
    assert_eq!(is_direct(&x.clone().autodiff()), kernels::has_registers());
    assert!(!plainly(|| is_direct(&x)));
}
