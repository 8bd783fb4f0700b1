//! Convolutions along one axis, by tract's kernel that computes four channels at a time.
//!
//! tract 0.23.9 makes a matrix product of a one-dimensional convolution, and in networks as small as those of spectra gathering that
//! product's operand takes longer than the product. The direct kernel it keeps for images with rows of 128 points or more, because
//! its own operator arranges the weights anew in each run. Here they are arranged once.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat};
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_core::tract_linalg::isa;
use tract_onnx::tract_core::tract_linalg::routines::{Func, best_for, conv_w4_f32};

use super::patch::instead;

/// Channels that the kernel computes at once.
const CHANNELS: usize = 4;
/// Points that it computes at once; what is left of a run it computes one by one.
const LANES: usize = 8;
/// Products summed for one point, at most: the limit tract sets itself for its own direct convolution.
const SUMMED_MAX: usize = 576;

/// tract's own name of the kernel that this processor gets, if there is one for it.
pub(crate) fn kernel_name() -> Option<&'static str> {
    best_for(Func::ConvW4, f32::datum_type(), &isa::native()).map(|kernel| kernel.name())
}

/// Replaces the convolutions whose kernel has a length that is `chosen`.
pub(super) fn lower(model: &mut TypedModel, chosen: impl Fn(usize) -> bool + 'static) -> TractResult<()> {
    // Not every architecture has the kernel.
    if conv_w4_f32().is_none() {
        return Ok(());
    }
    let rule = move |_: &(), model: &TypedModel, node: &TypedNode, name: &str, conv: &Conv| {
        let Some(along) = Along::of(model, node, conv, &chosen)? else { return Ok(None) };
        Ok(Some(instead(model, node.id.into(), name, along, &node.inputs[..1])?))
    };
    Rewriter::<()>::default().with_rule_for("convolution along one axis", rule).rewrite(&(), model)
}

/// A convolution of f32 along the last axis, of one example. Strided convolutions read the input by phases: every `stride`th point is one
/// row, so that the kernel reads neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Along {
    /// Shape of the output.
    shape: TVec<usize>,
    /// Channels and points of the input.
    input: (usize, usize),
    stride: usize,
    /// Zeros before the first point.
    before: usize,
    /// The phases that some point of the kernel reads.
    phases: Vec<usize>,
    /// Points of a phase.
    phase_points: usize,
    /// Where each input channel's and kernel point's first factor is among the phases.
    offsets: Vec<isize>,
    /// First channel of each group of four. The last group computes some once more where there are not four left.
    firsts: Vec<usize>,
    /// Weights by group, [groups][4][input channels × kernel].
    weights: Arc<Tensor>,
    /// [output channels].
    bias: Arc<Tensor>,
}

impl Along {
    /// `None` where the kernel is not made for it.
    fn of(
        model: &TypedModel,
        node: &TypedNode,
        conv: &Conv,
        chosen: impl Fn(usize) -> bool,
    ) -> TractResult<Option<Self>> {
        let spec = &conv.pool_spec;
        let [input, weights, bias] = &*model.node_input_facts(node.id)? else { return Ok(None) };
        let (Some(given), Some(weights), Some(bias)) = (input.shape.as_concrete(), &weights.konst, &bias.konst) else {
            return Ok(None);
        };
        let plain = conv.group == 1 && conv.q_params.is_none() && conv.kernel_fmt == KernelFormat::OIHW;
        let channels_first = matches!(spec.data_format, DataFormat::NCHW | DataFormat::CHW);
        let floats = [input.datum_type, weights.datum_type(), bias.datum_type()] == [f32::datum_type(); 3];
        if !plain || !channels_first || !floats || spec.rank() != 1 || !chosen(spec.kernel_shape[0]) {
            return Ok(None);
        }
        let given_shape = spec.data_format.shape(given)?;
        let (channels, points) = (*given_shape.c(), given_shape.hw_dims()[0]);
        let shape = spec.output_shape(given)?;
        let (made, output_points) = (*shape.c(), shape.hw_dims()[0]);
        let (taps, stride, dilation) = (spec.kernel_shape[0], spec.stride(0), spec.dilation(0));
        let summed = channels * taps;
        if shape.n().is_some_and(|&n| n != 1) || made < CHANNELS || summed > SUMMED_MAX || output_points == 0 {
            return Ok(None);
        }
        let before = spec.computed_padding(given_shape.hw_dims())[0].pad_before;

        let reads = |tap: usize| (tap * dilation % stride, tap * dilation / stride);
        let mut phases: Vec<usize> = (0..taps).map(|tap| reads(tap).0).collect();
        phases.sort_unstable();
        phases.dedup();
        let phase_points = output_points + (taps - 1) * dilation / stride;
        let places = (0..channels).flat_map(|channel| {
            let phases = &phases;
            (0..taps).map(move |tap| {
                let (phase, shift) = reads(tap);
                let row = channel * phases.len() + phases.partition_point(|&known| known < phase);
                (row * phase_points + shift) as isize
            })
        });
        let offsets = places.collect();

        let firsts: Vec<usize> = (0..made).step_by(CHANNELS).map(|first| first.min(made - CHANNELS)).collect();
        let all = weights.try_as_plain_ram()?.as_slice::<f32>()?;
        ensure!(all.len() == made * summed, "{} weights for {made} channels of {summed}", all.len());
        let arranged: Vec<f32> =
            firsts.iter().flat_map(|first| &all[first * summed..(first + CHANNELS) * summed]).copied().collect();
        let weights = Tensor::from_shape(&[arranged.len()], &arranged)?.into_arc_tensor();
        let bias = bias.try_as_plain_ram()?.as_slice::<f32>()?;
        let bias: Vec<f32> = bias.iter().copied().cycle().take(made).collect();
        ensure!(bias.len() == made, "{} offsets for {made} channels", bias.len());
        let bias = Tensor::from_shape(&[made], &bias)?.into_arc_tensor();
        let (shape, input) = (shape.shape, (channels, points));
        Ok(Some(Self { shape, input, stride, before, phases, phase_points, offsets, firsts, weights, bias }))
    }

    /// The input by channels and phases, with its zeros.
    fn by_phase(&self, input: &[f32]) -> Vec<f32> {
        let Self { stride, before, ref phases, phase_points, .. } = *self;
        let mut rows = Vec::with_capacity(self.input.0 * phases.len() * phase_points);
        for channel in input.chunks(self.input.1) {
            for &phase in phases {
                let zeros = before.saturating_sub(phase).div_ceil(stride).min(phase_points);
                let start = rows.len() + zeros;
                rows.resize(start + phase_points - zeros, 0.0);
                let first = (zeros * stride + phase).checked_sub(before);
                let seen = first.and_then(|first| channel.get(first..)).unwrap_or_default();
                let row = &mut rows[start..];
                match stride {
                    1 => row.iter_mut().zip(seen).for_each(|(to, from)| *to = *from),
                    2 => {
                        // In pairs the compiler vectorises it.
                        let (pairs, last) = seen.as_chunks::<2>();
                        row.iter_mut().zip(pairs).for_each(|(to, [from, _])| *to = *from);
                        row.iter_mut().skip(pairs.len()).zip(last).for_each(|(to, from)| *to = *from);
                    }
                    _ => row.iter_mut().zip(seen.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
                }
            }
        }
        rows
    }
}

/// Where runs of whole vectors start, and how long they are; the second overlaps the first by what is left over.
fn runs(points: usize) -> impl Iterator<Item = (usize, usize)> {
    let whole = if points < LANES { points } else { points - points % LANES };
    let rest = (whole < points).then(|| (points - LANES, LANES));
    std::iter::once((0, whole)).chain(rest)
}

impl Op for Along {
    fn name(&self) -> StaticName {
        "ConvAlong".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let Self { input: (channels, points), stride, .. } = self;
        let kernel = kernel_name().unwrap_or("none");
        Ok(vec![format!(
            "{channels} channels of {points} points, stride {stride}, to {:?} with [{kernel}]",
            self.shape
        )])
    }

    /// Sums are formed in another order.
    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for Along {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let input = input.try_as_plain_ram()?.as_slice::<f32>()?;
        let (channels, points) = self.input;
        ensure!(input.len() == channels * points, "{} values for {channels} channels of {points} points", input.len());
        let untouched = self.stride == 1 && self.phase_points == points && self.before == 0;
        let by_phase = if untouched { Vec::new() } else { self.by_phase(input) };
        let rows = if untouched { input } else { &by_phase };
        let weights = self.weights.try_as_plain_ram()?.as_slice::<f32>()?;
        let bias = self.bias.try_as_plain_ram()?.as_slice::<f32>()?;
        let kernel = conv_w4_f32().context("this processor has no kernel for it")?;
        let taps = self.offsets.len();
        let output_points = self.shape.last().copied().unwrap_or_default();
        ensure!(rows.len() == channels * self.phases.len() * self.phase_points);

        // SAFETY: each of the shape's elements is written below before anybody reads it: the groups cover all channels and the runs
        // all points.
        let mut output = unsafe { Tensor::uninitialized::<f32>(&self.shape)? };
        let mut plain = output.try_as_plain_ram_mut()?;
        let written = plain.as_slice_mut::<f32>()?;
        for (group, &first) in weights.chunks(CHANNELS * taps).zip(&self.firsts) {
            let bias = [bias[first], bias[first + 1], bias[first + 2], bias[first + 3]];
            let channels = &mut written[first * output_points..(first + CHANNELS) * output_points];
            for (start, length) in runs(output_points) {
                // SAFETY: an offset is the place of a row plus a shift of at most `phase_points` − `output_points`, and `start` + `length` is at
                // most `output_points`: what is read lies within `rows`, whose length was checked. `group` holds four channels' weights, one for each
                // offset, and the four channels written to are `output_points` points long each, as long as the step between them.
                unsafe {
                    let (from, to) = (rows.as_ptr().add(start), channels.as_mut_ptr().add(start));
                    kernel(from, to, group, &self.offsets, &bias, length, 1, output_points as isize);
                }
            }
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for Along {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1);
        Ok(tvec!(f32::datum_type().fact(&self.shape)))
    }

    as_op!();
}
