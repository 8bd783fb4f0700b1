//! The layers of the network, forward and backward, over a batch: convolution, rectifier, and the fully connected head.
//!
//! Activations are stored `[maps][batch][positions]`, so that a convolution of the whole batch is one matrix product of
//! its weights with the unfolded input. Backward passes ADD to the gradients they are given.

use super::matrix::{Accumulation, MatrixView, Scalar, multiply, transposed};

/// Weights and bias of a layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Affine<T> {
    /// Convolution: `[maps out][maps in][kernel]`; head: `[outputs][features]`.
    pub(super) weights: Vec<T>,
    /// One per map or output.
    pub(super) bias: Vec<T>,
}

impl<T: Scalar> Affine<T> {
    /// All zero, in the shape of `self`.
    pub(super) fn zeros_like(&self) -> Self {
        Self { weights: vec![T::default(); self.weights.len()], bias: vec![T::default(); self.bias.len()] }
    }
}

/// A convolution along the spectrum: out[o, i] = bias[o] + Σ_c Σ_j weight[o, c, j] · in[c, i · stride + j − padding].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Convolution {
    /// Maps that come in.
    pub(super) maps_in: usize,
    /// Maps that go out.
    pub(super) maps_out: usize,
    /// Points of the kernel.
    pub(super) kernel: usize,
    /// Points between two outputs.
    pub(super) stride: usize,
    /// Zeros on each side.
    pub(super) padding: usize,
    /// Positions that come in.
    pub(super) positions_in: usize,
}

/// What a backward pass through a convolution reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct BackwardPass<'a, T> {
    pub(super) parameters: &'a Affine<T>,
    /// `[maps_in][batch][positions_in]`
    pub(super) input: &'a [T],
    /// ∂loss/∂output, `[maps_out][batch][positions_out]`.
    pub(super) output_gradient: &'a [T],
    pub(super) batch: usize,
}

impl Convolution {
    /// Positions that go out.
    pub(super) fn positions_out(&self) -> usize {
        (self.positions_in + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Weights of one output map.
    pub(super) fn fan_in(&self) -> usize {
        self.maps_in * self.kernel
    }

    /// The input unfolded, so that the convolution is one matrix product: row (c, j) holds in[c, i · stride + j − padding]
    /// of every spectrum and position i.
    fn unfold<T: Scalar>(&self, input: &[T], batch: usize, unfolded: &mut Vec<T>) {
        let positions_out = self.positions_out();
        unfolded.clear();
        unfolded.resize(self.fan_in() * batch * positions_out, T::default());
        let rows = unfolded.chunks_exact_mut(batch * positions_out);
        for (row, (map, tap)) in rows.zip(taps(self.maps_in, self.kernel)) {
            for (spectrum, row) in row.chunks_exact_mut(positions_out).enumerate() {
                let source = &input[(map * batch + spectrum) * self.positions_in..][..self.positions_in];
                for position in self.inside(tap) {
                    row[position] = source[position * self.stride + tap - self.padding];
                }
            }
        }
    }

    /// The adjoint of [`Self::unfold`]: adds every unfolded value to the input it came from.
    fn fold<T: Scalar>(&self, unfolded: &[T], batch: usize, input: &mut [T]) {
        let positions_out = self.positions_out();
        let rows = unfolded.chunks_exact(batch * positions_out);
        for (row, (map, tap)) in rows.zip(taps(self.maps_in, self.kernel)) {
            for (spectrum, row) in row.chunks_exact(positions_out).enumerate() {
                let target = &mut input[(map * batch + spectrum) * self.positions_in..][..self.positions_in];
                for position in self.inside(tap) {
                    target[position * self.stride + tap - self.padding] += row[position];
                }
            }
        }
    }

    /// The output positions at which a tap of the kernel lies on the input, not on the padding.
    fn inside(&self, tap: usize) -> std::ops::Range<usize> {
        let start = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.positions_in + self.padding - tap).div_ceil(self.stride);
        start..end.min(self.positions_out())
    }

    /// Whether the input is its own unfolding.
    fn is_pointwise(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (1, 1, 0)
    }

    /// `input` is `[maps_in][batch][positions_in]`, the result `[maps_out][batch][positions_out]`.
    pub(super) fn forward<T: Scalar>(
        &self,
        parameters: &Affine<T>,
        input: &[T],
        batch: usize,
        unfolded: &mut Vec<T>,
    ) -> Vec<T> {
        let columns = batch * self.positions_out();
        let mut output = vec![T::default(); self.maps_out * columns];
        for (row, &bias) in output.chunks_exact_mut(columns).zip(&parameters.bias) {
            row.fill(bias);
        }
        let weights = MatrixView::new(&parameters.weights, self.maps_out, self.fan_in());
        let taps = if self.is_pointwise() {
            input
        } else {
            self.unfold(input, batch, unfolded);
            unfolded
        };
        multiply(weights, MatrixView::new(taps, self.fan_in(), columns), Accumulation::AddTo, &mut output);
        output
    }

    /// Adds ∂loss/∂parameters to `gradient`.
    pub(super) fn parameter_gradient<T: Scalar>(
        &self,
        pass: &BackwardPass<'_, T>,
        unfolded: &mut Vec<T>,
        gradient: &mut Affine<T>,
    ) {
        let &BackwardPass { input, output_gradient, batch, .. } = pass;
        let columns = batch * self.positions_out();
        let by_tap = if self.is_pointwise() {
            transposed(input, columns)
        } else {
            self.unfold(input, batch, unfolded);
            transposed(unfolded, columns)
        };
        // The long rows are laid side by side first: a product reads its operands across, which is slow over such strides.
        let across = transposed(output_gradient, columns);
        let across = MatrixView::new(&across, columns, self.maps_out).transposed();
        multiply(across, MatrixView::new(&by_tap, columns, self.fan_in()), Accumulation::AddTo, &mut gradient.weights);
        for (row, bias) in output_gradient.chunks_exact(columns).zip(&mut gradient.bias) {
            *bias += row.iter().fold(T::default(), |sum, &value| sum + value);
        }
    }

    /// Adds ∂loss/∂input to `gradient`.
    pub(super) fn input_gradient<T: Scalar>(
        &self,
        pass: &BackwardPass<'_, T>,
        unfolded: &mut Vec<T>,
        gradient: &mut [T],
    ) {
        let columns = pass.batch * self.positions_out();
        let by_output = MatrixView::new(pass.output_gradient, self.maps_out, columns);
        let weights = MatrixView::new(&pass.parameters.weights, self.maps_out, self.fan_in()).transposed();
        if self.is_pointwise() {
            multiply(weights, by_output, Accumulation::AddTo, gradient);
        } else {
            unfolded.resize(self.fan_in() * columns, T::default());
            multiply(weights, by_output, Accumulation::Overwrite, unfolded);
            self.fold(unfolded, pass.batch, gradient);
        }
    }
}

/// The rows of an unfolded input: (map, tap of the kernel).
fn taps(maps: usize, kernel: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..maps).flat_map(move |map| (0..kernel).map(move |tap| (map, tap)))
}

/// The fully connected layer: out[n, o] = bias[o] + Σ_f weight[o, f] · in[n, f].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Linear {
    /// Numbers that come in.
    pub(super) features: usize,
    /// Numbers that go out.
    pub(super) outputs: usize,
}

impl Linear {
    /// `input` is `[batch][features]`; adds weights and bias to `output`, `[batch][outputs]`.
    pub(super) fn add_forward<T: Scalar>(&self, parameters: &Affine<T>, input: &[T], output: &mut [T]) {
        let batch = output.len() / self.outputs;
        for row in output.chunks_exact_mut(self.outputs) {
            for (value, &bias) in row.iter_mut().zip(&parameters.bias) {
                *value += bias;
            }
        }
        let weights = MatrixView::new(&parameters.weights, self.outputs, self.features).transposed();
        multiply(MatrixView::new(input, batch, self.features), weights, Accumulation::AddTo, output);
    }

    /// From ∂loss/∂output, added to ∂loss/∂parameters; the result is ∂loss/∂input, `[batch][features]`.
    pub(super) fn backward<T: Scalar>(
        &self,
        parameters: &Affine<T>,
        input: &[T],
        output_gradient: &[T],
        gradient: &mut Affine<T>,
    ) -> Vec<T> {
        let batch = output_gradient.len() / self.outputs;
        let by_output = MatrixView::new(output_gradient, batch, self.outputs);
        let by_feature = MatrixView::new(input, batch, self.features);
        multiply(by_output.transposed(), by_feature, Accumulation::AddTo, &mut gradient.weights);
        for row in output_gradient.chunks_exact(self.outputs) {
            for (bias, &value) in gradient.bias.iter_mut().zip(row) {
                *bias += value;
            }
        }
        let mut input_gradient = vec![T::default(); batch * self.features];
        let weights = MatrixView::new(&parameters.weights, self.outputs, self.features);
        multiply(by_output, weights, Accumulation::Overwrite, &mut input_gradient);
        input_gradient
    }
}

/// max(0, x), in place.
pub(super) fn rectify<T: Scalar>(values: &mut [T]) {
    // A value is chosen rather than a branch taken: the sign of an activation cannot be predicted.
    for value in values {
        *value = if *value < T::default() { T::default() } else { *value };
    }
}

/// ∂loss/∂x of a rectifier from ∂loss/∂max(0, x), in place: zero wherever the rectified value is (at 0 the slope is 0).
pub(super) fn rectify_backward<T: Scalar>(rectified: &[T], gradient: &mut [T]) {
    for (gradient, &value) in gradient.iter_mut().zip(rectified) {
        *gradient = if value <= T::default() { T::default() } else { *gradient };
    }
}

/// From `[maps][batch][positions]` to `[batch][maps · positions]`, map by map, as ONNX's `Flatten` of one spectrum.
pub(super) fn flatten<T: Scalar>(activations: &[T], maps: usize, batch: usize) -> Vec<T> {
    exchange(activations, maps, batch)
}

/// The way back.
pub(super) fn unflatten<T: Scalar>(flat: &[T], maps: usize, batch: usize) -> Vec<T> {
    exchange(flat, batch, maps)
}

/// From `[outer][inner][positions]` to `[inner][outer][positions]`.
fn exchange<T: Scalar>(values: &[T], outer: usize, inner: usize) -> Vec<T> {
    let positions = values.len() / (outer * inner);
    let mut exchanged = Vec::with_capacity(values.len());
    for i in 0..inner {
        for o in 0..outer {
            exchanged.extend_from_slice(&values[(o * inner + i) * positions..][..positions]);
        }
    }
    exchanged
}

#[cfg(test)]
pub(super) mod tests {
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    /// Central differences in f64 with this step are right to about its square.
    const STEP: f64 = 1e-5;
    /// Relative to the largest gradient of the comparison.
    const TOLERANCE: f64 = 1e-8;

    pub(crate) fn noise(count: usize, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
    }

    /// Compares a gradient with central differences of `loss` in every one of `values`.
    pub(crate) fn check(what: &str, values: &[f64], gradient: &[f64], mut loss: impl FnMut(&[f64]) -> f64) {
        assert_eq!(values.len(), gradient.len(), "{what}");
        let largest = gradient.iter().fold(0.0_f64, |largest, g| largest.max(g.abs()));
        assert!(largest > 1e-3, "{what}: a gradient of zero proves nothing");
        let mut moved = values.to_vec();
        for (index, &g) in gradient.iter().enumerate() {
            moved[index] = values[index] + STEP;
            let above = loss(&moved);
            moved[index] = values[index] - STEP;
            let below = loss(&moved);
            moved[index] = values[index];
            let difference = (above - below) / (2.0 * STEP);
            assert!(
                (difference - g).abs() <= TOLERANCE * largest.max(1.0),
                "{what}[{index}]: {g} against {difference}"
            );
        }
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn a_convolution_by_hand() {
        let layer = Convolution { maps_in: 1, maps_out: 1, kernel: 3, stride: 2, padding: 1, positions_in: 5 };
        let parameters = Affine { weights: vec![1.0, 10.0, 100.0], bias: vec![0.5] };
        let output = layer.forward(&parameters, &[1.0, 2.0, 3.0, 4.0, 5.0], 1, &mut Vec::new());
        assert_eq!(output, [210.5, 432.5, 54.5]);
    }

    #[test]
    fn convolutions_pass_back_what_finite_differences_say() {
        // kernel, stride, padding, positions: the shapes of the family, and those where an edge goes wrong first.
        for (kernel, stride, padding, positions) in [
            (3, 2, 1, 9),
            (3, 2, 1, 8),
            (3, 1, 1, 5),
            (1, 1, 0, 4),
            (1, 2, 0, 7),
            (1, 2, 0, 8),
            (5, 3, 2, 11),
            (7, 2, 0, 7),
        ] {
            let layer = Convolution { maps_in: 2, maps_out: 3, kernel, stride, padding, positions_in: positions };
            let what = format!("k{kernel} s{stride} p{padding} of {positions}");
            let batch = 2;
            let parameters = Affine { weights: noise(3 * layer.fan_in(), 1), bias: noise(3, 2) };
            let input = noise(2 * batch * positions, 3);
            let weighing = noise(3 * batch * layer.positions_out(), 4);
            let loss = |parameters: &Affine<f64>, input: &[f64]| {
                dot(&layer.forward(parameters, input, batch, &mut Vec::new()), &weighing)
            };
            let mut gradient = parameters.zeros_like();
            let mut input_gradient = vec![0.0; input.len()];
            let mut scratch = Vec::new();
            let pass = BackwardPass { parameters: &parameters, input: &input, output_gradient: &weighing, batch };
            layer.parameter_gradient(&pass, &mut scratch, &mut gradient);
            layer.input_gradient(&pass, &mut scratch, &mut input_gradient);
            check(&format!("{what} weights"), &parameters.weights, &gradient.weights, |weights| {
                loss(&Affine { weights: weights.to_vec(), bias: parameters.bias.clone() }, &input)
            });
            check(&format!("{what} bias"), &parameters.bias, &gradient.bias, |bias| {
                loss(&Affine { weights: parameters.weights.clone(), bias: bias.to_vec() }, &input)
            });
            check(&format!("{what} input"), &input, &input_gradient, |input| loss(&parameters, input));
        }
    }

    #[test]
    fn the_linear_layer_passes_back_what_finite_differences_say() {
        let layer = Linear { features: 5, outputs: 3 };
        let parameters = Affine { weights: noise(15, 1), bias: noise(3, 2) };
        let input = noise(10, 3);
        let weighing = noise(6, 4);
        let loss = |parameters: &Affine<f64>, input: &[f64]| {
            let mut output = vec![0.0; 6];
            layer.add_forward(parameters, input, &mut output);
            dot(&output, &weighing)
        };
        let mut gradient = parameters.zeros_like();
        let input_gradient = layer.backward(&parameters, &input, &weighing, &mut gradient);
        check("weights", &parameters.weights, &gradient.weights, |weights| {
            loss(&Affine { weights: weights.to_vec(), bias: parameters.bias.clone() }, &input)
        });
        check("bias", &parameters.bias, &gradient.bias, |bias| {
            loss(&Affine { weights: parameters.weights.clone(), bias: bias.to_vec() }, &input)
        });
        check("input", &input, &input_gradient, |input| loss(&parameters, input));
    }

    #[test]
    fn the_rectifier_passes_back_what_finite_differences_say() {
        let input = noise(20, 5);
        let weighing = noise(20, 6);
        let rectified = |input: &[f64]| {
            let mut output = input.to_vec();
            rectify(&mut output);
            output
        };
        let mut gradient = weighing.clone();
        rectify_backward(&rectified(&input), &mut gradient);
        check("rectifier", &input, &gradient, |input| dot(&rectified(input), &weighing));
    }

    #[test]
    fn flattening_goes_map_by_map_and_back() {
        let activations: Vec<f64> = (0..12).map(f64::from).collect(); // 2 maps, 3 spectra, 2 positions
        let flat = flatten(&activations, 2, 3);
        assert_eq!(flat, [0.0, 1.0, 6.0, 7.0, 2.0, 3.0, 8.0, 9.0, 4.0, 5.0, 10.0, 11.0]);
        assert_eq!(unflatten(&flat, 2, 3), activations);
    }
}
