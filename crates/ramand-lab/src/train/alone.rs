//! One fit to a whole recording, as a graph without any figures: for whoever judges explanations, not predictions.

use onnx_gradient::onnx::ModelProto;

use super::candidate::Candidate;
use super::choose::Choices;
use super::crossvalidate::{Purpose, random};
use super::dataset::Dataset;
use super::error::TrainError;
use super::estimator::Estimator;
use super::fit::Head;
use super::network::BLOCK_MAPS;
use super::progress::Progress;
use super::request::TrainingRequest;
use super::{described, onnx};

/// A network fitted to every row of a recording, with nothing held out.
#[derive(Debug, Clone)]
pub(crate) struct Fitted {
    /// From a preprocessed spectrum to the output, without gradients.
    pub(crate) graph: ModelProto,
    /// Name of the output in the graph, f32 [1, outputs].
    pub(crate) output: &'static str,
    /// The layers behind which all is linear, one after the other: y depends on the spectrum through these alone.
    pub(crate) cuts: Vec<&'static str>,
    /// The centred, scaled spectrum, f32 [1, channels, points]: an affine function of the input that all else is made of.
    pub(crate) scaled: &'static str,
    /// The constants that hold the weights behind the cuts, and how many weights in a row are one: the cells of a map, where the
    /// head sees their mean.
    pub(crate) heads: Vec<(&'static str, usize)>,
    /// What the model says where all cuts are zero, one per output.
    pub(crate) offset: Vec<f32>,
    /// Which class each output is; none for a quantity.
    pub(crate) labels: Vec<String>,
    /// Rows of the reference population.
    pub(crate) reference_rows: Vec<usize>,
}

/// Fits the first candidate of `request` to all of `recording`: the same recording, request and version give the same graph.
///
/// # Errors
/// Names the row or column that cannot be used; [`TrainError::Interrupted`] when `progress` was told to stop.
pub(crate) fn fit(
    recording: &ramand_recording::Recording,
    request: &TrainingRequest,
    head: Head,
    progress: &Progress,
) -> Result<Fitted, TrainError> {
    let truth = request.truth(recording)?;
    let (groups, names) = request.groups(recording, &truth)?;
    let units = request.units(recording, &truth, &groups, &names)?;
    let (reference_rows, _) = request.reference_rows(recording)?;
    let data = Dataset::preprocess(recording, &request.preprocessings[0].pipeline, truth, groups)?;
    let data = [data.held_out_by(units)];
    let candidates = [Candidate { preprocessing: 0, family: request.families[0] }];
    let choices = Choices {
        preprocessings: &data,
        candidates: &candidates,
        networks: request.networks,
        steps: request.steps,
        recipe: &|family, data, members| request.recipe(family, data, members).with_head(head),
        progress,
    };
    let everything: Vec<usize> = (0..data[0].len()).collect();
    let Estimator::Network(fit) = choices.fit_first(&everything, &mut random(request.seed, Purpose::Last))? else {
        return Err(TrainError::NoNetwork);
    };
    let tied = match head {
        Head::Flat => 1,
        Head::Pooled => fit.network.head.features / BLOCK_MAPS,
    };
    let mut heads = Vec::new();
    heads.extend(fit.family.has_network().then_some((onnx::HEAD_WEIGHT, tied)));
    heads.extend(fit.family.has_pls().then_some((onnx::SKIP_WEIGHT, 1)));
    Ok(Fitted {
        graph: onnx::forward_graph(&fit),
        output: onnx::OUTPUT,
        cuts: described::cuts(fit.family).iter().map(|cut| cut.activation).collect(),
        scaled: onnx::SKIP_ACTIVATION,
        heads,
        offset: fit.offset(),
        labels: data[0].truth.labels().to_vec(),
        reference_rows,
    })
}
