//! The shape of a convolution, and where its numbers lie.

/// A convolution of square images [examples, size, size, inputs], in that order in memory, with a kernel [outputs,
/// inputs, kernel, kernel], as in PyTorch: to [examples, side, side, outputs].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The side of an image in pixels.
    pub size: usize,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// The side of the kernel.
    pub kernel: usize,
    /// The step between two places of the kernel.
    pub stride: usize,
    /// Pixels of zeros on each side of an image.
    pub padding: usize,
}

impl Shape {
    /// The product with a matrix [outputs, inputs]: images of one pixel.
    pub fn of_matrix(inputs: usize, outputs: usize) -> Self {
        Self { size: 1, inputs, outputs, kernel: 1, stride: 1, padding: 0 }
    }

    /// Whether it is the product of every pixel with a matrix.
    pub fn is_pointwise(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (1, 1, 0)
    }

    /// The side of an image that comes out.
    pub fn side(&self) -> usize {
        (self.size + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// The frame of an image that comes in.
    pub(super) fn frame(&self) -> Frame {
        Frame { size: self.size, channels: self.inputs, before: self.padding, after: self.padding }
    }

    /// Numbers of an image that comes in.
    pub fn image(&self) -> usize {
        self.size * self.size * self.inputs
    }

    /// Numbers of an image that comes out.
    pub fn output(&self) -> usize {
        self.side() * self.side() * self.outputs
    }

    /// Numbers of a window that the kernel sees: rows of the kernel as a matrix [kernel × kernel × inputs, outputs].
    pub fn rows(&self) -> usize {
        self.kernel * self.kernel * self.inputs
    }
}

/// Images [size, size, channels] with a frame of zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub size: usize,
    pub channels: usize,
    /// Pixels of zeros above and to the left.
    pub before: usize,
    /// Pixels of zeros below and to the right.
    pub after: usize,
}

impl Frame {
    /// The side with the frame.
    pub fn side(&self) -> usize {
        self.before + self.size + self.after
    }

    /// Numbers of an image with its frame.
    pub fn len(&self) -> usize {
        self.side() * self.side() * self.channels
    }

    /// Whether there is no frame at all.
    pub fn is_empty(&self) -> bool {
        self.before + self.after == 0
    }

    /// Where a pixel begins, counted from the corner of the frame.
    pub fn place(&self, row: usize, column: usize) -> usize {
        (row * self.side() + column) * self.channels
    }

    /// Copies images into frames, whose borders are zero already.
    pub fn fill<T: Copy>(&self, images: &[T], framed: &mut [T]) {
        let (row, wide) = (self.size * self.channels, self.side() * self.channels);
        for (image, framed) in images.chunks_exact(row * self.size).zip(framed.chunks_exact_mut(self.len())) {
            let rows = framed[self.before * wide..].chunks_exact_mut(wide);
            for (from, to) in image.chunks_exact(row).zip(rows) {
                to[self.before * self.channels..][..row].copy_from_slice(from);
            }
        }
    }
}

/// Bytes of framed images that are worked on together: half of a usual second-level cache.
const GROUP: usize = 1 << 18;
/// Pixels that are worked on together, at least: they share what is read of the weights.
const PIXELS: usize = 64;

/// How many images are worked on together where each has as many numbers, and as many pixels that go out.
pub(super) fn group<T>(numbers: usize, pixels: usize, examples: usize) -> usize {
    (GROUP / (numbers * size_of::<T>())).max(PIXELS / pixels).clamp(1, examples.max(1))
}
