//! Kernels against sums written out in f64, for shapes that nobody chose.

use proptest::prelude::*;

use super::*;

/// Numbers of the size of 1 that a kernel can round, by a small generator.
pub(super) fn draw<T: Real>(count: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        T::from_f64((state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

/// Every product of a convolution: (number of the image, number of the kernel, number of the output).
fn products(shape: &Shape, examples: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (side, taps) = (shape.side(), shape.kernel * shape.kernel);
    for (example, pixel, output) in (0..examples)
        .flat_map(|e| (0..side * side).map(move |p| (e, p)))
        .flat_map(|(e, p)| (0..shape.outputs).map(move |o| (e, p, o)))
    {
        for (tap, input) in (0..taps).flat_map(|t| (0..shape.inputs).map(move |i| (t, i))) {
            let inside = |pixel: usize, tap: usize| {
                (pixel * shape.stride + tap).checked_sub(shape.padding).filter(|place| *place < shape.size)
            };
            let (row, column) = (inside(pixel / side, tap / shape.kernel), inside(pixel % side, tap % shape.kernel));
            if let (Some(row), Some(column)) = (row, column) {
                visit(
                    example * shape.image() + (row * shape.size + column) * shape.inputs + input,
                    (output * shape.inputs + input) * taps + tap,
                    example * shape.output() + pixel * shape.outputs + output,
                );
            }
        }
    }
}

/// The largest difference, relative to the largest number.
fn error<T: Real>(found: &[T], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
    let largest = found.iter().zip(expected).map(|(f, e)| (f.to_f64() - e).abs()).fold(0.0, f64::max);
    assert_eq!(found.len(), expected.len());
    largest / size.max(1e-300)
}

/// The largest of the errors of the three kernels, relative to the largest number of each.
fn errors<T: Real>(space: &Workspace, shape: &Shape, examples: usize, seed: u64) -> f64 {
    let (x, w) = (draw::<T>(examples * shape.image(), seed), draw::<T>(shape.outputs * shape.rows(), seed + 1));
    let (dy, bias) = (draw::<T>(examples * shape.output(), seed + 2), draw::<T>(shape.outputs, seed + 3));
    let mut expected = [x.len(), w.len(), dy.len()].map(|length| vec![0.0; length]);
    for (output, sum) in expected[2].iter_mut().enumerate() {
        *sum = bias[output % shape.outputs].to_f64();
    }
    products(shape, examples, |i, k, o| {
        expected[0][i] += dy[o].to_f64() * w[k].to_f64();
        expected[1][k] += dy[o].to_f64() * x[i].to_f64();
        expected[2][o] += x[i].to_f64() * w[k].to_f64();
    });
    // What is not written shows.
    let [mut dx, mut dw, mut y] = expected.each_ref().map(|e| vec![T::from_f64(7.0); e.len()]);
    convolve(space, shape, &x, &w, Some(&bias), &mut y);
    input_gradient(space, shape, &dy, &w, &mut dx);
    weight_gradient(space, shape, &x, &dy, &mut dw);
    [error(&dx, &expected[0]), error(&dw, &expected[1]), error(&y, &expected[2])].into_iter().fold(0.0, f64::max)
}

fn shapes() -> impl Strategy<Value = (Shape, usize)> {
    let sides = (1_usize..12, 1_usize..8, 1_usize..4, 0_usize..4);
    let fits = sides.prop_filter("the kernel fits", |(size, kernel, _, padding)| size + 2 * padding >= *kernel);
    (fits, 1_usize..20, 1_usize..36, 1_usize..4).prop_map(|((size, kernel, stride, padding), inputs, outputs, n)| {
        (Shape { size, inputs, outputs, kernel, stride, padding }, n)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_of_any_shape_are_the_sums(((shape, examples), seed) in (shapes(), 0_u64..1000)) {
        let space = Workspace::default();
        let single = errors::<f32>(&space, &shape, examples, seed);
        prop_assert!(single <= 1e-6, "{shape:?}, {examples} images, f32: {single:.1e}");
        let double = errors::<f64>(&space, &shape, examples, seed);
        prop_assert!(double <= 1e-13, "{shape:?}, {examples} images, f64: {double:.1e}");
    }
}

/// A layer as the networks have them.
fn layer(size: usize, inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Shape {
    let padding = if kernel == stride { 0 } else { kernel / 2 };
    Shape { size, inputs, outputs, kernel, stride, padding }
}

/// The layers of the networks: several groups of images, whole and ragged panels.
#[test]
fn convolutions_of_networks_are_the_sums() {
    let space = Workspace::default();
    for shape in [
        layer(32, 3, 16, 3, 1),
        layer(16, 16, 32, 3, 2),
        layer(16, 40, 12, 3, 1),
        layer(16, 16, 32, 1, 2),
        layer(8, 64, 64, 3, 1),
        layer(32, 3, 48, 4, 4),
        layer(32, 1, 8, 5, 1),
        layer(8, 24, 7, 1, 1),
        Shape::of_matrix(1100, 10),
        Shape::of_matrix(37, 1100),
    ] {
        let (single, double) = (errors::<f32>(&space, &shape, 9, 1), errors::<f64>(&space, &shape, 9, 1));
        assert!(single <= 1e-6 && double <= 1e-13, "{shape:?}: {single:.1e}, {double:.1e}");
    }
}

/// Law 7.
#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let square = Shape { size: 16, inputs: 7, outputs: 19, kernel: 3, stride: 2, padding: 1 };
    for shape in [square, Shape::of_matrix(600, 130)] {
        let results = |threads| bits(convolutions(&Workspace::new(threads).unwrap(), &shape, 70));
        let one = results(1);
        assert!(one == results(2) && one == results(3), "{shape:?}");
    }
    let results = |threads| bits(attentions(&Workspace::new(threads).unwrap()));
    let one = results(1);
    assert!(one == results(2) && one == results(3));
}

fn bits(numbers: Vec<Vec<f32>>) -> Vec<Vec<u32>> {
    numbers.into_iter().map(|numbers| numbers.into_iter().map(f32::to_bits).collect()).collect()
}

/// What a convolution of so many images and its gradients give.
fn convolutions(space: &Workspace, shape: &Shape, examples: usize) -> Vec<Vec<f32>> {
    let (x, w) = (draw::<f32>(examples * shape.image(), 1), draw::<f32>(shape.outputs * shape.rows(), 2));
    let dy = draw::<f32>(examples * shape.output(), 3);
    let [mut y, mut dx, mut dw] = [dy.len(), x.len(), w.len()].map(|length| vec![0.0; length]);
    convolve(space, shape, &x, &w, None, &mut y);
    input_gradient(space, shape, &dy, &w, &mut dx);
    weight_gradient(space, shape, &x, &dy, &mut dw);
    vec![y, dx, dw]
}

/// What attention, its tangent and their gradients give.
fn attentions(space: &Workspace) -> Vec<Vec<f32>> {
    let heads = attention::Heads { tokens: 21, width: 26, heads: 2 };
    let [x, t] = [1, 2].map(|seed| draw::<f32>(5 * heads.input(), seed));
    let u = draw::<f32>(5 * heads.output(), 3);
    let ([mut y, mut y_dot], [mut dx, mut ex, mut et]) =
        ([0, 1].map(|_| vec![0.0; u.len()]), [0, 1, 2].map(|_| vec![0.0; x.len()]));
    attention::attend(space, heads, &x, &mut y);
    attention::attend_gradient(space, heads, [&x, &u], &mut dx);
    attention::attend_tangent(space, heads, [&x, &t], &mut y_dot);
    attention::attend_tangent_gradient(space, heads, [&x, &t, &u], [&mut ex, &mut et]);
    vec![y, y_dot, dx, ex, et]
}

/// AVX2 and AVX-512, where this processor has both.
#[test]
fn the_bits_do_not_depend_on_the_instruction_set() {
    let space = Workspace::default();
    let shape = Shape { size: 10, inputs: 7, outputs: 37, kernel: 3, stride: 1, padding: 1 };
    let (x, dy) = (draw::<f32>(3 * shape.image(), 1), draw::<f32>(3 * shape.output(), 3));
    let results = |arch| {
        number::narrowed::by(arch, || {
            let [mut t, mut g, mut r] = [0, 1, 2].map(|_| vec![0.0; x.len()]);
            tanh(&space, &x, &mut t);
            gelu_slope(&space, &x, &t, &mut g);
            rectify(&space, &x, &mut r);
            let mut sums = vec![0.0; shape.outputs];
            channel_sums(&space, &dy, &mut sums);
            let matrix = convolutions(&space, &Shape::of_matrix(70, 37), 5);
            bits([convolutions(&space, &shape, 3), matrix, attentions(&space), vec![t, g, r, sums]].concat())
        })
    };
    let all = number::narrowed::all();
    let found: Vec<_> = all.iter().map(|arch| results(*arch)).collect();
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
}

/// `cargo test --workspace --lib -- --ignored --nocapture throughput`: how many sums and products per second
/// the three kernels of the layers of networks do, on one thread.
#[test]
#[ignore = "a measurement"]
fn throughput() {
    let space = Workspace::default();
    println!("10⁹ sums and products per second: forward, gradient in the input, in the weights");
    for (shape, examples) in [
        (layer(32, 3, 16, 3, 1), 128),
        (layer(32, 16, 16, 3, 1), 128),
        (layer(16, 32, 32, 3, 1), 128),
        (layer(8, 64, 64, 3, 1), 128),
        (layer(4, 128, 128, 3, 1), 128),
        (layer(2, 512, 512, 3, 1), 128),
        (layer(32, 16, 32, 1, 2), 128),
        (Shape::of_matrix(3072, 512), 128),
        (Shape::of_matrix(512, 512), 128),
        (Shape::of_matrix(192, 576), 8320),
        (Shape::of_matrix(192, 768), 8320),
        (Shape::of_matrix(768, 192), 8320),
    ] {
        let (x, w) = (draw::<f32>(examples * shape.image(), 1), draw::<f32>(shape.outputs * shape.rows(), 2));
        let dy = draw::<f32>(examples * shape.output(), 3);
        let [mut y, mut dx, mut dw] = [dy.len(), x.len(), w.len()].map(|length| vec![0.0; length]);
        let speed = |work: &mut dyn FnMut()| {
            work();
            let (started, mut times) = (std::time::Instant::now(), 0);
            while started.elapsed().as_secs_f64() < 0.3 {
                work();
                times += 1;
            }
            let operations = 2.0 * (dy.len() * shape.rows() * times) as f64;
            operations / started.elapsed().as_secs_f64() * 1e-9
        };
        let forward = speed(&mut || convolve(&space, &shape, &x, &w, None, &mut y));
        let input = speed(&mut || input_gradient(&space, &shape, &dy, &w, &mut dx));
        let weights = speed(&mut || weight_gradient(&space, &shape, &x, &dy, &mut dw));
        println!("{forward:6.1} {input:6.1} {weights:6.1}  {shape:?}");
    }
}
