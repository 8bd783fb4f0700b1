//! The given network: read, pruned to its scores, brought into a bundle's form and cut at the layer that is explained.

use onnx_gradient::geometry::reaches;
use onnx_gradient::{
    ACTIVATION, Explained, GRADIENT, GradientError, Graph, Positions, auto_layer, find_layer, fix_shape, layers, proto,
    score_of,
};
use ramand_model::manifest::{CompletenessRecord, Task};

use super::adoption::Adoption;
use super::error::AdoptError;
use super::form::{Formed, LayerCut, ScoreForm, close, cut, cut_attached, form, is_attached, prune};

/// The network as its bundle will hold it, and what the bundle says about it in words.
pub(super) struct CutNetwork {
    pub(super) formed: Formed,
    /// The layers that are explained.
    pub(super) cuts: Vec<LayerCut>,
    pub(super) outputs: usize,
    /// What may be expected of the maps' sum.
    pub(super) completeness: CompletenessRecord,
    /// Program and version that wrote the file.
    pub(super) producer: String,
    /// Which value is explained.
    pub(super) explained: String,
    /// Which layer, and why that one.
    pub(super) layer: String,
}

/// The layer to cut at.
enum LayerToCut {
    /// The file has its gradient already.
    Attached,
    /// By name, and who chose it.
    Named(String, &'static str),
}

impl CutNetwork {
    /// # Errors
    /// When the network cannot be differentiated or does not fit axis, task and labels.
    pub(super) fn of(bytes: &[u8], adoption: &Adoption) -> Result<Self, AdoptError> {
        let shape = (adoption.pipeline.channels(), adoption.pipeline.axis().len());
        let mut model = proto::decode(bytes)?;
        match &adoption.shape {
            Some(shape) => fix_shape(&mut model, None, shape)?,
            None => close(&mut model, shape.1)?,
        }
        let graph = Graph::new(&model)?;
        let explained = explained(&graph, adoption.output.as_deref())?;
        let head = head(&graph, &explained, adoption)?;
        let attached = is_attached(&graph)?;
        match attached {
            true => prune(&mut model, &graph, &[&explained.value, ACTIVATION, GRADIENT])?,
            false => prune(&mut model, &graph, &[&explained.value])?,
        }
        let graph = Graph::new(&model)?;
        graph.understood()?;
        let layer = match (&adoption.layer, attached) {
            (Some(_), true) => return Err(AdoptError::LayerGiven),
            (None, true) => LayerToCut::Attached,
            (Some(name), false) => LayerToCut::Named(find_layer(&graph, name)?, "chosen by its name"),
            (None, false) => placed_layer(&graph, &explained.value)?,
        };
        let producer = [model.producer_name.as_str(), model.producer_version.as_str()].join(" ").trim().to_owned();
        let mut formed = form(model, &graph, &explained.value, head, shape)?;
        let outputs = Graph::new(&formed.model)?.shape(&formed.output)?.iter().product();
        let ((cuts, bypassed), chosen) = match &layer {
            LayerToCut::Attached => (cut_attached(&mut formed, outputs)?, "the file's own"),
            LayerToCut::Named(name, chosen) => (cut_complete(&mut formed, outputs, name)?, *chosen),
        };
        let exact = !bypassed && cuts.iter().all(|cut| cut.facts.constant.is_some());
        Ok(Self {
            completeness: if exact { CompletenessRecord::Exact } else { CompletenessRecord::Reported },
            layer: format!("{}, {chosen}", cuts.first().map_or("", |cut| cut.tensor.as_str())),
            explained: in_words(explained),
            formed,
            cuts,
            outputs,
            producer,
        })
    }
}

/// The scores of the output `wanted`: a bundle explains the logit, also where the output is named.
fn explained(graph: &Graph, wanted: Option<&str>) -> Result<Explained, GradientError> {
    let named = onnx_gradient::explained(graph, wanted)?;
    Ok(score_of(graph, &named.output))
}

fn in_words(explained: Explained) -> String {
    match explained.before {
        Some(op) => format!("{}, before the {op} of {}", explained.value, explained.output),
        None => explained.value,
    }
}

/// The layer that `auto` chooses, or where its cells have lost their place, the last whose cells have not; and why.
fn placed_layer(graph: &Graph, score: &str) -> Result<LayerToCut, GradientError> {
    let auto = auto_layer(graph, score)?;
    let Some(input) = graph.inputs().first() else { return Ok(LayerToCut::Named(auto.value, auto.role.in_words())) };
    let last = graph.shape(input)?.len().saturating_sub(1);
    let axis = Positions::of(graph, input).map_or(last, |positions| positions.cell_axis);
    let looks = reaches(graph, input, axis)?;
    let placed = |value: &str| {
        let cells = Positions::of(graph, value).map(|positions| positions.cell_axis);
        looks.get(value).is_some_and(|reach| cells == Ok(reach.axis))
    };
    if placed(&auto.value) {
        return Ok(LayerToCut::Named(auto.value, auto.role.in_words()));
    }
    let earlier = layers(graph, score).into_iter().rfind(|layer| placed(&layer.value));
    Ok(match earlier {
        Some(layer) => {
            LayerToCut::Named(layer.value, "being the last layer whose cells keep their place on the spectrum")
        }
        None => LayerToCut::Named(auto.value, auto.role.in_words()),
    })
}

/// How the scores become a bundle's outputs, after task, labels and outputs were found to agree.
fn head(graph: &Graph, explained: &Explained, adoption: &Adoption) -> Result<ScoreForm, AdoptError> {
    let outputs: usize = graph.shape(&explained.value)?.iter().product();
    let (value, output) = (explained.value.clone(), explained.output.clone());
    match (adoption.task, explained.before.as_deref()) {
        (Task::Regression, Some(op)) => Err(AdoptError::Probability { output, op: op.to_owned() }),
        (Task::Regression, None) if outputs != 1 => Err(AdoptError::Quantities { outputs, explained: value }),
        (Task::Regression, None) => Ok(ScoreForm::Plain),
        (Task::Classification, Some("Sigmoid")) if outputs > 1 => Err(AdoptError::Sigmoids { output, outputs }),
        (Task::Classification, _) if outputs == 1 && adoption.labels.len() == 2 => Ok(ScoreForm::Binary),
        (Task::Classification, _) if outputs != adoption.labels.len() => {
            Err(AdoptError::Labels { labels: adoption.labels.len(), outputs, explained: value })
        }
        (Task::Classification, _) => Ok(ScoreForm::Plain),
    }
}

/// Cuts the network at `layer`. Where part of the output goes past it in a straight line from the input, that part is a
/// second target, and nothing is missing.
fn cut_complete(formed: &mut Formed, outputs: usize, layer: &str) -> Result<(Vec<LayerCut>, bool), AdoptError> {
    let mut alone = formed.clone();
    let (cuts, bypassed) = cut(&mut alone, outputs, &[layer.to_owned()])?;
    if bypassed {
        let mut both = formed.clone();
        let layers = [layer.to_owned(), formed.input.clone()];
        // What cannot be cut at the input as well is left with what is missing.
        if let Ok((cuts, false)) = cut(&mut both, outputs, &layers)
            && cuts.iter().all(|cut| cut.facts.constant.is_some())
        {
            *formed = both;
            return Ok((cuts, false));
        }
    }
    *formed = alone;
    Ok((cuts, bypassed))
}
