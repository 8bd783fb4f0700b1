//! The direct convolution gives what tract's matrix product gives, with every setting, at every length.

use super::networks::Network;
use onnx_gradient::proto::{self, int, ints};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, Tensor, TractResult, TypedModel,
    tvec,
};

use ramand_model::optimised;

/// Largest difference over the largest value: sums of at most 576 products are formed in another order.
const RELATIVE_MAX: f32 = 2e-6;

struct Case {
    channels: usize,
    made: usize,
    points: usize,
    kernel: usize,
    stride: i64,
    pads: [i64; 2],
    dilation: i64,
    groups: usize,
    bias: bool,
}

/// A common one.
const COMMON: Case =
    Case { channels: 3, made: 8, points: 62, kernel: 3, stride: 1, pads: [1, 1], dilation: 1, groups: 1, bias: true };

impl Case {
    fn model(&self) -> InferenceModel {
        let Self { channels, made, points, kernel, stride, pads, dilation, groups, bias } = *self;
        let mut network = Network::new((made * points + kernel) as u64);
        network.weights("w", &[made, channels / groups, kernel]).weights("b", &[made]);
        let inputs: &[&str] = if bias { &["x", "w", "b"] } else { &["x", "w"] };
        let steps = [ints("strides", &[stride]), ints("pads", &pads), ints("dilations", &[dilation])];
        network.op("Conv", inputs, "z", steps.into_iter().chain([int("group", groups as i64)]).collect());
        let fact = InferenceFact::dt_shape(f32::datum_type(), [1, channels, points]);
        let onnx = tract_onnx::onnx().with_ignore_value_info(true);
        let model = onnx.model_for_read(&mut proto::encode(&network.draft(&[1, channels, points])).as_slice());
        model.and_then(|model| model.with_input_fact(0, fact)).expect("a graph")
    }

    fn run(&self, model: TractResult<TypedModel>) -> (Vec<usize>, Vec<f32>) {
        let values = Network::new(5).numbers(self.channels * self.points);
        let input = Tensor::from_shape(&[1, self.channels, self.points], &values).expect("an input");
        let outputs = model.and_then(IntoRunnable::into_runnable).and_then(|plan| plan.run(tvec!(input.into())));
        let output = outputs.expect("it runs").remove(0);
        let values = output.try_as_plain_ram().and_then(|plain| Ok(plain.as_slice::<f32>()?.to_vec()));
        (output.shape().to_vec(), values.expect("floats"))
    }

    /// Whether it was computed directly.
    fn check(&self, name: &str) -> bool {
        let direct = optimised(self.model()).expect("tract optimises it");
        let is_direct = direct.nodes().iter().any(|node| node.op().name() == "ConvAlong");
        let (expected_shape, expected) = self.run(self.model().into_optimized());
        let (shape, found) = self.run(Ok(direct));
        assert_eq!(shape, expected_shape, "{name}");
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() <= RELATIVE_MAX * largest, "{name}: {found} at {place}, not {expected}");
        }
        is_direct
    }
}

/// Whether tract has the kernel for this processor.
const SUPPORTED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

#[test]
fn every_setting_gives_what_the_matrix_product_gives() {
    for kernel in [1, 2, 3, 5, 7] {
        for stride in [1, 2, 3, 4] {
            for pads in [[0, 0], [1, 1], [2, 0], [0, 3], [4, 5]] {
                for dilation in [1, 2] {
                    let name = format!("kernel {kernel}, stride {stride}, pads {pads:?}, dilation {dilation}");
                    let case = Case { kernel, stride, pads, dilation, ..COMMON };
                    assert_eq!(case.check(&name), SUPPORTED, "{name}");
                }
            }
        }
    }
}

#[test]
fn every_length_and_number_of_channels_gives_what_the_matrix_product_gives() {
    for points in (1..=20).chain([31, 32, 33, 137]) {
        for made in [4, 5, 6, 7, 8, 13] {
            for stride in [1, 2] {
                let name = format!("{made} channels of {points} points, stride {stride}");
                let case = Case { points, made, stride, channels: 1 + made % 3, bias: made % 2 == 0, ..COMMON };
                assert_eq!(case.check(&name), SUPPORTED, "{name}");
            }
        }
    }
}

#[test]
fn the_shipped_networks_multiply_matrices_in_their_heads_alone() {
    for bundle in ["emulsion-pufa", "oil-type", "olive-adulteration"] {
        let path = crate::root::root().join("models").join(bundle).join("model.onnx");
        let model = tract_onnx::onnx().with_ignore_value_info(true).model_for_path(path).and_then(optimised);
        let model = model.expect("tract optimises it");
        let count = |name: &str| model.nodes().iter().filter(|node| node.op().name() == name).count();
        let expected = if SUPPORTED { (4, 2) } else { (0, 6) };
        assert_eq!((count("ConvAlong"), count("OptMatMul")), expected, "{bundle}\n{model}");
    }
}

#[test]
fn what_the_kernel_is_not_made_for_stays_a_matrix_product() {
    assert!(!Case { made: 3, ..COMMON }.check("three channels"));
    assert!(!Case { channels: 4, groups: 2, ..COMMON }.check("groups"));
    assert!(!Case { channels: 83, kernel: 7, pads: [3, 3], ..COMMON }.check("581 products"));
}
