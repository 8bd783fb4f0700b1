//! The form a bundle's network has: input [1, channels, points], output [1, outputs], layers [1, maps, cells].
//!
//! Networks come with the channels last, as images of height 1, or without an axis for the channels; nodes that only
//! rename axes are put before and behind them.

use std::collections::HashSet;

use onnx_gradient::onnx::{GraphProto, ModelProto, NodeProto};
use onnx_gradient::proto::{self, integers, ints, node, value};
use onnx_gradient::{
    ACTIVATION, Attached, AttachedTarget, CLASS_INDEX, COTANGENT, GRADIENT, GradientError, Graph, MAP, Positions, Seed,
    Target, attach, fix_shape, sizes,
};
use ramand_model::manifest::FORMED;

use super::error::AdoptError;

/// A network whose input and output have a bundle's form.
#[derive(Clone)]
pub(super) struct Formed {
    pub(super) model: ModelProto,
    pub(super) input: String,
    pub(super) output: String,
}

/// A layer of such a network, with its gradient, in a bundle's form.
pub(super) struct LayerCut {
    /// Output of the graph, [1, maps, cells].
    pub(super) activation: String,
    /// Output of the graph, [outputs, maps, cells].
    pub(super) gradient: String,
    /// The layer itself, as the network has it.
    pub(super) tensor: String,
    /// What is known of it.
    pub(super) facts: AttachedTarget,
}

/// How the outputs become a bundle's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScoreForm {
    /// As they are.
    Plain,
    /// One score z of a yes-or-no question becomes two, [0, z]: softmax over these is the sigmoid of z.
    Binary,
}

/// Fixes the one size that an input leaves open besides the batch: it is the axis.
pub(super) fn close(model: &mut ModelProto, points: usize) -> Result<(), AdoptError> {
    let Some(graph) = model.graph.as_option() else { return Ok(()) };
    let initializer = |name: &str| graph.initializer.iter().any(|initializer| initializer.name == name);
    let Some(input) = graph.input.iter().find(|info| !initializer(&info.name)) else { return Ok(()) };
    let Some(found) = sizes(input) else { return Ok(()) };
    let open = found.iter().skip(1).filter(|size| size.is_none()).count();
    if open != 1 {
        return Ok(());
    }
    let close = |(place, size): (usize, &Option<i64>)| match (size, place) {
        (Some(size), _) => usize::try_from(*size).unwrap_or(0),
        (None, 0) => 1,
        (None, _) => points,
    };
    let shape: Vec<usize> = found.iter().enumerate().map(close).collect();
    Ok(fix_shape(model, None, &shape)?)
}

/// Leaves out what `wanted` does not need: a softmax behind the scores, other outputs.
pub(super) fn prune(model: &mut ModelProto, graph: &Graph, wanted: &[&str]) -> Result<(), AdoptError> {
    let proto = model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
    let mut needed: HashSet<String> = wanted.iter().map(ToString::to_string).collect();
    let mut kept: Vec<NodeProto> = Vec::new();
    for node in proto.node.drain(..).rev() {
        let holds_graphs = node.attribute.iter().any(|attribute| attribute.g.is_set() || !attribute.graphs.is_empty());
        if node.output.iter().any(|output| needed.contains(output)) || holds_graphs {
            needed.extend(node.input.iter().cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    proto.node = kept;
    proto.initializer.retain(|tensor| needed.contains(&tensor.name));
    let shapes = wanted.iter().map(|&name| Ok(value(name, graph.shape(name)?)));
    proto.output = shapes.collect::<Result<_, GradientError>>()?;
    Ok(())
}

/// Puts nodes around a network until its input is [1, channels, points] and its output, made of `explained`, [1, outputs].
pub(super) fn form(
    mut model: ModelProto,
    graph: &Graph,
    explained: &str,
    head: ScoreForm,
    (channels, points): (usize, usize),
) -> Result<Formed, AdoptError> {
    let own: Vec<String> =
        graph.inputs().iter().filter(|name| ![CLASS_INDEX, COTANGENT].contains(&&***name)).cloned().collect();
    let [own] = &own[..] else { return Err(AdoptError::Inputs { found: own }) };
    let shape = graph.shape(own)?.to_vec();
    let channels_last = arrangement(graph, own, &shape, channels, points)?;
    let proto = model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
    let expected = [1, channels, points];
    let mut input = own.clone();
    if shape != expected {
        input = format!("{FORMED}spectrum");
        let mut before = Vec::new();
        let mut last = input.clone();
        if channels_last {
            last = format!("{FORMED}channels-last");
            before.push(node("Transpose", &[&input], &last, vec![ints("perm", &[0, 2, 1])]));
        }
        let sizes = format!("{FORMED}input-shape");
        proto.initializer.push(integers(&sizes, &shape.iter().map(|&size| size as i64).collect::<Vec<_>>()));
        before.push(node("Reshape", &[&last, &sizes], own, Vec::new()));
        proto.node.splice(0..0, before);
        proto.input.retain(|info| info.name != *own);
        proto.input.insert(0, value(&input, &expected));
    }
    let outputs = graph.shape(explained)?.iter().product::<usize>();
    let output = match head {
        ScoreForm::Plain if graph.shape(explained)? == [1, outputs] => explained.to_owned(),
        ScoreForm::Plain => {
            let output = format!("{FORMED}y");
            reshape(proto, explained, &output, &[1, outputs], &format!("{output}-shape"));
            output
        }
        ScoreForm::Binary => {
            let (flat, scores, output) =
                (format!("{FORMED}score"), format!("{FORMED}no-and-yes"), format!("{FORMED}y"));
            reshape(proto, explained, &flat, &[1, 1], &format!("{flat}-shape"));
            proto.initializer.push(proto::floats(&scores, &[1, 2], &[0.0, 1.0]));
            proto.node.push(node("MatMul", &[&flat, &scores], &output, Vec::new()));
            output
        }
    };
    let outputs = if head == ScoreForm::Binary { 2 } else { outputs };
    if !proto.output.iter().any(|info| info.name == output) {
        proto.output.push(value(&output, &[1, outputs]));
    }
    Ok(Formed { model, input, output })
}

/// Whether the channels come after the points, in an input that holds `channels` by `points`.
fn arrangement(
    graph: &Graph,
    input: &str,
    shape: &[usize],
    channels: usize,
    points: usize,
) -> Result<bool, AdoptError> {
    let wide: Vec<usize> = shape.iter().skip(1).copied().filter(|&size| size > 1).collect();
    let single = (2..=4).contains(&shape.len()) && shape.first() == Some(&1);
    match wide[..] {
        [found] if single && channels == 1 && found == points => return Ok(false),
        [first, second] if single && channels > 1 => {
            if first == second && first == points && channels == points {
                return Ok(Positions::of(graph, input).is_ok_and(|positions| positions.map_axis > positions.cell_axis));
            }
            if (first, second) == (channels, points) || (first, second) == (points, channels) {
                return Ok(first == points);
            }
        }
        _ => {}
    }
    let (input, shape) = (input.to_owned(), shape.to_vec());
    let spectra = (2..=4).contains(&shape.len())
        && wide.len() <= 2
        && !(shape.len() == 4 && Positions::of(graph, &input).is_err());
    Err(match spectra {
        true => AdoptError::Points { input, shape, channels, points },
        false => AdoptError::NotSpectra { input, shape },
    })
}

/// Appends a node that gives `from` another shape: `name`, whose sizes are a constant of the name `sizes`.
fn reshape(proto: &mut GraphProto, from: &str, name: &str, shape: &[usize], sizes: &str) {
    proto.initializer.push(integers(sizes, &shape.iter().map(|&size| size as i64).collect::<Vec<_>>()));
    proto.node.push(node("Reshape", &[from, sizes], name, Vec::new()));
}

/// Attaches the gradient of every output by each of `layers`, or takes the one that is there already, and brings both into
/// a bundle's form. Also says whether part of the output goes past all layers.
pub(super) fn cut(formed: &mut Formed, outputs: usize, layers: &[String]) -> Result<(Vec<LayerCut>, bool), AdoptError> {
    let raw: Vec<(String, String)> = (0..layers.len())
        .map(|index| (format!("{FORMED}layer-{index}"), format!("{FORMED}gradient-{index}")))
        .collect();
    let targets = layers.iter().zip(&raw);
    let targets: Vec<Target<'_>> =
        targets.map(|(tensor, (activation, gradient))| Target { tensor, activation, gradient }).collect();
    let attached = match attach(&formed.model, &formed.output, Seed::All, &targets) {
        Err(GradientError::Rows { .. }) => one_by_one(formed, outputs, &targets)?,
        attached => attached?,
    };
    let mut model = attached.model;
    let mut cuts = Vec::new();
    for (index, (facts, &target)) in attached.targets.into_iter().zip(&targets).enumerate() {
        let proto = model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
        cuts.push(lay_out(proto, index, outputs, target, facts));
    }
    formed.model = model;
    Ok((cuts, attached.bypassed))
}

/// The gradients of all outputs where they cannot share one walk, as an operator on the way mixes the batch axis: each
/// output has a walk of its own, and the results are joined.
fn one_by_one(formed: &Formed, outputs: usize, targets: &[Target<'_>]) -> Result<Attached, AdoptError> {
    let mut model = formed.model.clone();
    let mut found: Option<Attached> = None;
    for output in 0..outputs {
        let proto = model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
        let own = format!("{FORMED}y-{output}");
        let chosen = format!("{own}-chosen");
        let column: Vec<f32> = (0..outputs).map(|row| f32::from(u8::from(row == output))).collect();
        proto.initializer.push(proto::floats(&chosen, &[outputs, 1], &column));
        proto.node.push(node("MatMul", &[&formed.output, &chosen], &own, Vec::new()));
        let names: Vec<[String; 2]> = targets
            .iter()
            .map(|target| [target.activation, target.gradient].map(|name| format!("{name}-of-{output}")))
            .collect();
        let parts = targets.iter().zip(&names);
        let parts: Vec<Target<'_>> = parts
            .map(|(target, [activation, gradient])| Target { tensor: target.tensor, activation, gradient })
            .collect();
        let mut part = attach(&model, &own, Seed::All, &parts)?;
        model = std::mem::take(&mut part.model);
        let Some(whole) = &mut found else {
            found = Some(part);
            continue;
        };
        whole.bypassed |= part.bypassed;
        for (whole, part) in whole.targets.iter_mut().zip(part.targets) {
            whole.outputs += 1;
            whole.constant = whole.constant.take().zip(part.constant).map(|(whole, part)| [whole, part].concat());
        }
    }
    let mut found = found.ok_or(GradientError::NoOutput)?;
    let proto = model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
    for target in targets {
        let rows: Vec<String> = (0..outputs).map(|output| format!("{}-of-{output}", target.gradient)).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        proto.node.push(node("Concat", &rows, target.gradient, vec![proto::int("axis", 0)]));
        proto.node.push(node("Identity", &[target.tensor], target.activation, Vec::new()));
    }
    proto.output.retain(|info| !(info.name.starts_with(FORMED) && info.name.contains("-of-")));
    found.model = model;
    Ok(found)
}

/// The layer and gradient that `ramand model attach` wrote into the file.
///
/// # Errors
/// When the gradient there is not of every output: a bundle compares classes.
pub(super) fn cut_attached(formed: &mut Formed, outputs: usize) -> Result<(Vec<LayerCut>, bool), AdoptError> {
    let graph = Graph::new(&formed.model)?;
    let tensor = graph.source(ACTIVATION).to_owned();
    let shape = graph.shape(&tensor)?.to_vec();
    let rows = graph.shape(GRADIENT)?.first().copied().unwrap_or(0);
    let asks = graph.inputs().iter().any(|input| [CLASS_INDEX, COTANGENT].contains(&input.as_str()));
    if rows != outputs || asks {
        return Err(AdoptError::Seeded { outputs });
    }
    // What is known of the layer does not depend on who attached.
    let probe = format!("{FORMED}probe");
    let names = (format!("{probe}-layer"), format!("{probe}-gradient"));
    let target = Target { tensor: &tensor, activation: &names.0, gradient: &names.1 };
    let attached = attach(&formed.model, &formed.output, Seed::All, &[target])?;
    let facts = attached.targets.into_iter().next().expect("one target was asked for");
    debug_assert_eq!(facts.shape, shape);
    let proto = formed.model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
    let written = Target { tensor: &tensor, activation: ACTIVATION, gradient: GRADIENT };
    let cut = lay_out(proto, 0, outputs, written, facts);
    Ok((vec![cut], attached.bypassed))
}

/// Whether the file holds what `ramand model attach` writes.
///
/// # Errors
/// When it holds a map alone.
pub(super) fn is_attached(graph: &Graph) -> Result<bool, AdoptError> {
    let holds = |name: &str| graph.outputs().iter().any(|output| output == name);
    match (holds(ACTIVATION) && holds(GRADIENT), holds(MAP)) {
        (true, _) => Ok(true),
        (false, true) => Err(AdoptError::MapOnly),
        (false, false) => Ok(false),
    }
}

fn lay_out(
    proto: &mut GraphProto,
    index: usize,
    outputs: usize,
    target: Target<'_>,
    facts: AttachedTarget,
) -> LayerCut {
    let AttachedTarget { maps, cells, positions, .. } = facts;
    let exchanged = positions.map_axis > positions.cell_axis;
    let (first, second) = if exchanged { (cells, maps) } else { (maps, cells) };
    let names = [format!("{FORMED}A{index}"), format!("{FORMED}dYdA{index}")];
    for ((name, from), rows) in names.iter().zip([target.activation, target.gradient]).zip([1, outputs]) {
        let (shape, sizes) = ([rows, first, second], format!("{name}-shape"));
        match exchanged {
            false => reshape(proto, from, name, &shape, &sizes),
            true => {
                let flat = format!("{name}-flat");
                reshape(proto, from, &flat, &shape, &sizes);
                proto.node.push(node("Transpose", &[&flat], name, vec![ints("perm", &[0, 2, 1])]));
            }
        }
        proto.output.retain(|info| info.name != from);
        proto.output.push(value(name, &[rows, maps, cells]));
    }
    let [activation, gradient] = names;
    LayerCut { activation, gradient, tensor: target.tensor.to_owned(), facts }
}
