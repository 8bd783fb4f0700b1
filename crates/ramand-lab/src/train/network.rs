//! The one network family: a strided convolution, one residual block, flatten, one linear layer, plus a linear skip.
//!
//! ```text
//! x ─ conv k3 s2 ─ ReLU ─┬─ conv k3 s2 ─ ReLU ─ conv k1 ─┐
//! │                      └─ conv k1 s2 ──────────────── (+) ─ ReLU ─ flatten ─ linear ─┐
//! └─ linear skip (PLS, frozen) ────────────────────────────────────────────────────── (+) ─ y
//! ```
//! A cell of the last activation sees 7 points of x, and cells are 4 points apart: the maps keep their place on the axis.
//! Position is the information, so nothing is pooled over it.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::layers::{Affine, BackwardPass, Convolution, Linear, flatten, rectify, rectify_backward, unflatten};
use super::matrix::Scalar;

/// Maps after the first convolution.
const STEM_MAPS: usize = 16;
/// Maps after the residual block.
pub(super) const BLOCK_MAPS: usize = 24;
/// Points of the two spatial kernels.
pub(super) const KERNEL: usize = 3;
/// Points between outputs of the two spatial convolutions.
pub(super) const STRIDE: usize = 2;
/// Zeros on each side of the two spatial convolutions, so that a cell's centre lies on an input point.
pub(super) const PADDING: usize = 1;
/// The second convolution and the shortcut start smaller than He's rule says, so that the block starts near unit variance.
const SECOND_SCALE: f64 = 0.3;
const SHORTCUT_SCALE: f64 = 0.7;

/// What is learned by gradient descent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameters<T> {
    pub(super) stem: Affine<T>,
    pub(super) first: Affine<T>,
    pub(super) second: Affine<T>,
    pub(super) shortcut: Affine<T>,
    pub(super) head: Affine<T>,
}

impl<T: Scalar> Parameters<T> {
    /// Every layer, in a fixed order.
    pub(super) fn layers(&self) -> [&Affine<T>; 5] {
        [&self.stem, &self.first, &self.second, &self.shortcut, &self.head]
    }

    /// Every layer, in the same order.
    pub(super) fn layers_mut(&mut self) -> [&mut Affine<T>; 5] {
        [&mut self.stem, &mut self.first, &mut self.second, &mut self.shortcut, &mut self.head]
    }

    /// All zero, in the shape of `self`.
    pub(super) fn zeros_like(&self) -> Self {
        let [stem, first, second, shortcut, head] = self.layers().map(Affine::zeros_like);
        Self { stem, first, second, shortcut, head }
    }
}

/// A batch of spectra, and what the network should say of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Examples<'a, T> {
    /// `[batch][channels · points]`.
    pub(super) spectra: &'a [T],
    /// `[batch][outputs]`.
    pub(super) targets: &'a [T],
}

/// The shapes of one member of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResidualNetwork {
    pub(super) stem: Convolution,
    pub(super) first: Convolution,
    pub(super) second: Convolution,
    pub(super) shortcut: Convolution,
    pub(super) head: Linear,
    pub(super) skip: Linear,
}

/// The activations of a batch that the backward pass needs.
struct Activations<T> {
    input: Vec<T>,
    stem: Vec<T>,
    first: Vec<T>,
    block: Vec<T>,
    flat: Vec<T>,
}

impl ResidualNetwork {
    /// For spectra of `channels` × `points` and `outputs` numbers to predict.
    pub(super) fn new(channels: usize, points: usize, outputs: usize) -> Self {
        let strided = |maps_in, maps_out, positions_in| Convolution {
            maps_in,
            maps_out,
            kernel: KERNEL,
            stride: STRIDE,
            padding: PADDING,
            positions_in,
        };
        let pointwise = |maps_in, stride, positions_in| Convolution {
            maps_in,
            maps_out: BLOCK_MAPS,
            kernel: 1,
            stride,
            padding: 0,
            positions_in,
        };
        let stem = strided(channels, STEM_MAPS, points);
        let first = strided(STEM_MAPS, BLOCK_MAPS, stem.positions_out());
        let second = pointwise(BLOCK_MAPS, 1, first.positions_out());
        let shortcut = pointwise(STEM_MAPS, STRIDE, stem.positions_out());
        let head = Linear { features: BLOCK_MAPS * first.positions_out(), outputs };
        let skip = Linear { features: channels * points, outputs };
        Self { stem, first, second, shortcut, head, skip }
    }

    /// He's normal weights, biases zero, and a head of zeros: training starts from the skip alone.
    ///
    /// K. He et al., "Delving deep into rectifiers", ICCV 2015: variance 2 / fan-in.
    pub(super) fn initial(&self, random: &mut impl Rng) -> Parameters<f32> {
        let mut convolution = |layer: &Convolution, scale: f64| {
            let deviation = scale * (2.0 / layer.fan_in() as f64).sqrt();
            let mut normal = || -> f64 { StandardNormal.sample(random) };
            Affine {
                weights: (0..layer.maps_out * layer.fan_in()).map(|_| (deviation * normal()) as f32).collect(),
                bias: vec![0.0; layer.maps_out],
            }
        };
        Parameters {
            stem: convolution(&self.stem, 1.0),
            first: convolution(&self.first, 1.0),
            second: convolution(&self.second, SECOND_SCALE),
            shortcut: convolution(&self.shortcut, SHORTCUT_SCALE),
            head: Affine {
                weights: vec![0.0; self.head.outputs * self.head.features],
                bias: vec![0.0; self.head.outputs],
            },
        }
    }

    /// `spectra` is `[batch][channels · points]`, the result `[batch][outputs]`.
    pub(super) fn forward<T: Scalar>(&self, parameters: &Parameters<T>, skip: &Affine<T>, spectra: &[T]) -> Vec<T> {
        self.run(parameters, skip, spectra, &mut Vec::new()).0
    }

    fn run<T: Scalar>(
        &self,
        parameters: &Parameters<T>,
        skip: &Affine<T>,
        spectra: &[T],
        scratch: &mut Vec<T>,
    ) -> (Vec<T>, Activations<T>) {
        let batch = spectra.len() / self.skip.features;
        let input = unflatten(spectra, self.stem.maps_in, batch);
        let mut stem = self.stem.forward(&parameters.stem, &input, batch, scratch);
        rectify(&mut stem);
        let mut first = self.first.forward(&parameters.first, &stem, batch, scratch);
        rectify(&mut first);
        let mut block = self.second.forward(&parameters.second, &first, batch, scratch);
        let shortcut = self.shortcut.forward(&parameters.shortcut, &stem, batch, scratch);
        for (value, beside) in block.iter_mut().zip(shortcut) {
            *value += beside;
        }
        rectify(&mut block);
        let flat = flatten(&block, BLOCK_MAPS, batch);
        let mut output = vec![T::default(); batch * self.head.outputs];
        self.skip.add_forward(skip, spectra, &mut output);
        self.head.add_forward(&parameters.head, &flat, &mut output);
        (output, Activations { input, stem, first, block, flat })
    }

    /// Adds ∂loss/∂parameters of a batch to `gradient`, for loss = `weight` · Σ (output − target)², and returns the loss.
    pub(super) fn squared_error<T: Scalar>(
        &self,
        parameters: &Parameters<T>,
        skip: &Affine<T>,
        examples: Examples<'_, T>,
        weight: T,
        gradient: &mut Parameters<T>,
    ) -> T {
        let Examples { spectra, targets } = examples;
        let batch = spectra.len() / self.skip.features;
        let mut scratch = Vec::new();
        let scratch = &mut scratch;
        let (mut output, activations) = self.run(parameters, skip, spectra, scratch);
        let mut loss = T::default();
        for (value, &target) in output.iter_mut().zip(targets) {
            let error = *value - target;
            loss += weight * error * error;
            *value = (weight + weight) * error;
        }
        let by_flat = self.head.backward(&parameters.head, &activations.flat, &output, &mut gradient.head);
        let mut by_block = unflatten(&by_flat, BLOCK_MAPS, batch);
        rectify_backward(&activations.block, &mut by_block);
        let mut by_stem = vec![T::default(); activations.stem.len()];
        let Activations { stem, first, input, .. } = &activations;
        let shortcut =
            BackwardPass { parameters: &parameters.shortcut, input: stem, output_gradient: &by_block, batch };
        self.shortcut.parameter_gradient(&shortcut, scratch, &mut gradient.shortcut);
        self.shortcut.input_gradient(&shortcut, scratch, &mut by_stem);
        let mut by_first = vec![T::default(); first.len()];
        let second = BackwardPass { parameters: &parameters.second, input: first, output_gradient: &by_block, batch };
        self.second.parameter_gradient(&second, scratch, &mut gradient.second);
        self.second.input_gradient(&second, scratch, &mut by_first);
        rectify_backward(first, &mut by_first);
        let into_block = BackwardPass { parameters: &parameters.first, input: stem, output_gradient: &by_first, batch };
        self.first.parameter_gradient(&into_block, scratch, &mut gradient.first);
        self.first.input_gradient(&into_block, scratch, &mut by_stem);
        rectify_backward(stem, &mut by_stem);
        let into_stem = BackwardPass { parameters: &parameters.stem, input, output_gradient: &by_stem, batch };
        self.stem.parameter_gradient(&into_stem, scratch, &mut gradient.stem);
        loss
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    use super::super::layers::tests::{check, noise};
    use super::*;

    /// A network in f64 with every parameter off zero, so that no gradient vanishes by symmetry.
    fn random(network: &ResidualNetwork) -> (Parameters<f64>, Affine<f64>) {
        let fill = |layer: &Affine<f32>, seed: u64| Affine {
            weights: noise(layer.weights.len(), seed),
            bias: noise(layer.bias.len(), seed + 1),
        };
        let initial = network.initial(&mut ChaCha8Rng::seed_from_u64(1));
        let [stem, first, second, shortcut, head] = initial.layers();
        let parameters = Parameters {
            stem: fill(stem, 10),
            first: fill(first, 20),
            second: fill(second, 30),
            shortcut: fill(shortcut, 40),
            head: fill(head, 50),
        };
        let skip = Affine {
            weights: noise(network.skip.outputs * network.skip.features, 60),
            bias: noise(network.skip.outputs, 61),
        };
        (parameters, skip)
    }

    #[test]
    fn the_whole_network_passes_back_what_finite_differences_say() {
        for (channels, points, outputs) in [(1, 17, 1), (2, 14, 3)] {
            let network = ResidualNetwork::new(channels, points, outputs);
            let (parameters, skip) = random(&network);
            let batch = 3;
            let spectra = noise(batch * network.skip.features, 70);
            let targets = noise(batch * outputs, 71);
            let mut gradient = parameters.zeros_like();
            // Weighted down so that the squared errors stay near 1 and the finite differences keep their digits.
            let weight = 1e-3;
            let examples = Examples { spectra: &spectra, targets: &targets };
            network.squared_error(&parameters, &skip, examples, weight, &mut gradient);
            for layer in 0..5 {
                for bias in [false, true] {
                    let pick = |affine: &Affine<f64>| if bias { affine.bias.clone() } else { affine.weights.clone() };
                    let what = format!("{channels} x {points}: layer {layer}, bias {bias}");
                    check(&what, &pick(parameters.layers()[layer]), &pick(gradient.layers()[layer]), |values| {
                        let mut moved = parameters.clone();
                        let target = &mut moved.layers_mut()[layer];
                        *(if bias { &mut target.bias } else { &mut target.weights }) = values.to_vec();
                        let output = network.forward(&moved, &skip, &spectra);
                        weight * output.iter().zip(&targets).map(|(y, t)| (y - t).powi(2)).sum::<f64>()
                    });
                }
            }
        }
    }

    #[test]
    fn a_fresh_network_is_its_skip() {
        let network = ResidualNetwork::new(1, 33, 2);
        let parameters = network.initial(&mut ChaCha8Rng::seed_from_u64(1));
        let skip = Affine { weights: (0..66).map(|i| i as f32 * 0.01).collect(), bias: vec![0.5, -0.5] };
        let spectrum = [1.0_f32; 33];
        let output = network.forward(&parameters, &skip, &spectrum);
        let expected = [(0..33).sum::<i32>() as f32 * 0.01 + 0.5, (33..66).sum::<i32>() as f32 * 0.01 - 0.5];
        for (value, expected) in output.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-4, "{value} against {expected}");
        }
    }

    #[test]
    fn a_batch_predicts_what_its_spectra_predict_alone() {
        let network = ResidualNetwork::new(2, 21, 2);
        let (parameters, skip) = random(&network);
        let spectra = noise(5 * 42, 80);
        let together = network.forward(&parameters, &skip, &spectra);
        for (spectrum, expected) in spectra.chunks(42).zip(together.chunks(2)) {
            let alone = network.forward(&parameters, &skip, spectrum);
            for (a, b) in alone.iter().zip(expected) {
                assert!((a - b).abs() < 1e-12, "{a} against {b}");
            }
        }
    }
}
