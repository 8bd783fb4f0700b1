//! `ramand model inspect`: the layers that can be explained, what an explanation there is worth, and what it costs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use onnx_gradient::geometry::{Reach, reaches};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::onnx::tensor_proto::DataType;
use onnx_gradient::{
    Attached, Explained, GradientError, Graph, Layer, Positions, Role, Seed, Target, Tensor, attach, auto_layer,
    explained, fix_shape, has_global_receptive_field, layers, multiplications, proto, unsupported_nodes,
};
use ramand_core::median::upper_median;
use ramand_model::{Bundle, GradientFailure, NetworkError, Runner};

use super::attach::{InputShape, parse_shape};
use super::report::{BundleLine, InspectReport, LayerLine, Median, Shaped, Unruled, print};
use crate::cli::error::CommandError;
use crate::cli::network::load;

/// Runs of each network that a median is taken of.
const RUNS: usize = 31;
/// Names of what is attached here and never written.
const TRIED: [&str; 2] = ["ramand/activation", "ramand/gradient"];

/// List the layers of a network or bundle that can be explained, what that is worth there, and what it costs
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// A bundle's folder, or an ONNX file
    #[arg(value_name = "DIR|FILE.onnx")]
    path: PathBuf,
    /// Every value that is laid out along the spectrum, not only convolutions, activations and residual stages
    #[arg(long)]
    all: bool,
    /// The output to explain [default: the first; where it is a probability, the logit before it]
    #[arg(long, value_name = "INDEX|NAME")]
    output: Option<String>,
    /// The size of an input whose file leaves it open, as in 1,1,512 or spectrum=1,1,512
    #[arg(long, value_name = "[NAME=]N,C,L", value_parser = parse_shape)]
    shape: Vec<InputShape>,
    /// Measure forward, and forward with gradient at each layer: medians in tract, one thread
    #[arg(long)]
    time: bool,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the file is no valid graph.
pub(super) fn run(args: &InspectArgs) -> Result<(), CommandError> {
    let path = args.path.display().to_string();
    let report = report(args).map_err(|error| error.context(path))?;
    if args.json {
        println!("{}", serde_json::to_string(&report).expect("names and numbers are JSON"));
    } else {
        print(&report);
    }
    Ok(())
}

/// Layers times nodes: a gradient is attached to each layer that is listed. Of a network of 500 nodes, the last 131 are.
const NODES_WALKED_MAX: usize = 1 << 16;

/// What is looked into, and which values are held fixed with each other.
struct InspectedNetwork {
    model: ModelProto,
    graph: Graph,
    input: String,
    output: String,
    /// The layers a bundle is cut at: the value, and whether it is the linear part.
    cuts: Vec<(String, bool)>,
}

fn report(args: &InspectArgs) -> Result<InspectReport, CommandError> {
    let (mut model, bundle) = match args.path.is_dir() {
        true => {
            let bundle = Bundle::open(&args.path)?;
            (bundle.network.clone(), Some(bundle))
        }
        false => (load(&args.path)?.model, None),
    };
    for InputShape { name, shape } in &args.shape {
        fix_shape(&mut model, name.as_deref(), shape).map_err(GradientFailure::from)?;
    }
    let graph = Graph::new(&model).map_err(GradientFailure::from)?;
    let Explained { value: output, before, .. } = match &bundle {
        Some(bundle) => Explained {
            value: bundle.manifest.network.output.clone(),
            output: bundle.manifest.network.output.clone(),
            before: None,
        },
        None => explained(&graph, args.output.as_deref()).map_err(GradientFailure::from)?,
    };
    let cuts = bundle.iter().flat_map(|bundle| &bundle.manifest.network.targets);
    let cuts = cuts.map(|target| (graph.source(&target.activation).to_owned(), target.linear)).collect();
    let input = graph.inputs().first().cloned().unwrap_or_default();
    let parameters = parameters(&model);
    let network = InspectedNetwork { model, graph, input, output, cuts };
    let graph = &network.graph;
    let forward = multiplications(graph, &[&network.output], &[]);
    let shaped = |names: &[String]| -> Vec<Shaped> {
        let shape = |name: &String| graph.shape(name).ok().map(<[usize]>::to_vec);
        names.iter().map(|name| Shaped { name: name.clone(), shape: shape(name) }).collect()
    };
    let auto = auto_layer(graph, &network.output);
    let mut lines = lines(args, &network, forward, auto.as_ref().ok())?;
    let forward_us = match args.time {
        true => time(&network, &mut lines)?,
        false => None,
    };
    Ok(InspectReport {
        inputs: shaped(graph.inputs()),
        outputs: shaped(graph.outputs()),
        explained: network.output.clone(),
        before,
        parameters,
        multiplications: forward,
        forward_us,
        unruled: unsupported_nodes(graph)
            .into_iter()
            .map(|(node, op)| Unruled { node: node.into(), operator: op.into() })
            .collect(),
        auto: match auto {
            Ok(Layer { value, role }) => format!("{value}, {}", role.in_words()),
            Err(error) => error.to_string(),
        },
        layers: lines,
        bundle: bundle.as_ref().map(|bundle| BundleLine::new(bundle, graph)),
    })
}

fn lines(
    args: &InspectArgs,
    network: &InspectedNetwork,
    forward: u64,
    auto: Option<&Layer>,
) -> Result<Vec<LayerLine>, CommandError> {
    let InspectedNetwork { graph, input, output, cuts, .. } = network;
    let found = match graph.inputs().first() {
        Some(input) => {
            let rank = graph.shape(input).map_err(GradientFailure::from)?.len();
            let axis = Positions::of(graph, input).map_or(rank.saturating_sub(1), |positions| positions.cell_axis);
            reaches(graph, input, axis).map_err(GradientFailure::from)?
        }
        None => HashMap::new(),
    };
    let offered = layers(graph, output);
    let offered: HashMap<&str, Role> = offered.iter().map(|layer| (layer.value.as_str(), layer.role)).collect();
    // What attaching wrote is no layer of the network.
    let own = |node: &str, operator: &str| !node.starts_with("grad/") && operator != "Identity";
    let wanted = |name: &str| args.all || offered.contains_key(name) || cuts.iter().any(|(cut, _)| cut == name);
    let chosen = graph.values().filter(|(node, operator, name)| own(node, operator) && wanted(name));
    let chosen: Vec<_> =
        chosen.filter_map(|(node, op, name)| Some((node, op, name, Positions::of(graph, name).ok()?))).collect();
    let examined_max = (NODES_WALKED_MAX / graph.values().count().max(1)).max(1);
    let left_out = chosen.len().saturating_sub(examined_max);
    if left_out > 0 {
        eprintln!("note: of {} layers the last {examined_max} are examined", chosen.len());
    }
    let mut lines = Vec::new();
    for (node, operator, name, positions) in chosen.into_iter().skip(left_out) {
        let role = offered.get(name).copied();
        let is_cut = cuts.iter().any(|(cut, _)| cut == name);
        let shape = graph.shape(name).map_err(GradientFailure::from)?.to_vec();
        let reach = found.get(name).filter(|reach| reach.axis == positions.cell_axis);
        let (before, behind) = (multiplications(graph, &[name], &[]), multiplications(graph, &[output], &[name]));
        let attached = attached(network, name);
        let cost = match &attached {
            Ok(attached) => {
                let grown = Graph::new(&attached.model).map_err(GradientFailure::from)?;
                Some(multiplications(&grown, &[output, TRIED[0], TRIED[1]], &[]))
            }
            Err(_) => None,
        };
        lines.push(LayerLine {
            name: name.to_owned(),
            node: node.to_owned(),
            operator: operator.to_owned(),
            role: role.map(|role| match role {
                Role::Stage => "residual stage",
                Role::Joined => "joined branches",
                Role::Activation => "activation",
                Role::Convolution => "convolution",
            }),
            auto: auto.is_some_and(|auto| auto.value == name),
            maps: shape[positions.map_axis],
            cells: shape[positions.cell_axis],
            map_axis: positions.map_axis,
            cell_axis: positions.cell_axis,
            shape,
            stride: reach.map(|reach| reach.stride()),
            receptive_field: reach.map(|reach| reach.receptive_field()),
            first_cell: reach.map(|reach| reach.first_cell()),
            whole_axis: reach.map(|_: &Reach| has_global_receptive_field(graph, input, name, &found)),
            multiplications_before: before,
            multiplications_behind: behind,
            multiplications_with_gradient: cost,
            cost_in_forward_passes: cost.map(|cost| cost as f64 / forward.max(1) as f64),
            time: None,
            exact: attached.as_ref().ok().map(exact),
            gradient: behaviour(&attached, is_cut && cuts.len() > 1),
        });
    }
    Ok(lines)
}

/// The network with the gradient of its greatest output by one layer. A layer at which a bundle is cut is differentiated
/// as the bundle does, with its other cuts held fixed; any other layer with the linear part held fixed.
fn attached(network: &InspectedNetwork, layer: &str) -> Result<Attached, GradientError> {
    let is_cut = network.cuts.iter().any(|(cut, _)| cut == layer);
    let held = network.cuts.iter().filter(|(cut, linear)| cut != layer && (is_cut || *linear));
    let names: Vec<(String, String, String)> = held
        .enumerate()
        .map(|(index, (cut, _))| (cut.clone(), format!("{}-{index}", TRIED[0]), format!("{}-{index}", TRIED[1])))
        .collect();
    let mut targets = vec![Target { tensor: layer, activation: TRIED[0], gradient: TRIED[1] }];
    targets.extend(names.iter().map(|(tensor, activation, gradient)| Target { tensor, activation, gradient }));
    attach(&network.model, &network.output, Seed::ArgMax, &targets)
}

fn exact(attached: &Attached) -> bool {
    !attached.bypassed && attached.targets.first().is_some_and(|target| target.constant.is_some())
}

/// How the gradient behaves, or why there is none.
fn behaviour(attached: &Result<Attached, GradientError>, others_held: bool) -> String {
    let attached = match attached {
        Err(error) => return error.to_string(),
        Ok(attached) => attached,
    };
    let Some(own) = attached.targets.first() else { return String::new() };
    let constant = match (own.position_independent(), &own.constant) {
        (true, _) => "the same at every cell: 1D Grad-CAM equals CAM, choose an earlier layer",
        (false, Some(_)) => "the same for every spectrum: the maps add up",
        (false, None) => "differs between spectra: the maps miss the later layers' offsets",
    };
    let others = if others_held { ", the bundle's other targets held fixed" } else { "" };
    let beside = if attached.bypassed { "; part of the output goes another way" } else { "" };
    format!("{constant}{others}{beside}")
}

/// Numbers that the file holds besides what attaching wrote.
fn parameters(model: &ModelProto) -> usize {
    let own = model
        .graph
        .initializer
        .iter()
        .filter(|tensor| tensor.data_type == DataType::Float as i32 && !tensor.name.starts_with("grad/"));
    own.map(|tensor| tensor.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).product::<usize>()).sum()
}

/// Medians of forward alone, which is returned, and with the gradient at each layer: the networks take turns, so that what
/// else the machine does falls on all alike.
fn time(network: &InspectedNetwork, lines: &mut [LayerLine]) -> Result<Option<f64>, CommandError> {
    let mut given = HashMap::new();
    for name in network.graph.inputs() {
        let shape = network.graph.shape(name).map_err(GradientFailure::from)?.to_vec();
        let count: usize = shape.iter().product();
        // Any numbers will do, except zeros, which a processor may treat faster.
        given.insert(name.clone(), Tensor::new(shape, (0..count).map(|place| (place % 7) as f64 - 3.0).collect()));
    }
    let mut forward = network.model.clone();
    if let Some(graph) = forward.graph.as_option_mut() {
        graph.output.retain(|output| output.name == network.output);
        if graph.output.is_empty() {
            graph.output.push(proto::value(
                &network.output,
                network.graph.shape(&network.output).map_err(GradientFailure::from)?,
            ));
        }
    }
    let mut runners = vec![(usize::MAX, runner(&forward, &given)?)];
    for (place, line) in lines.iter().enumerate() {
        let Ok(mut attached) = attached(network, &line.name) else { continue };
        if let Some(graph) = attached.model.graph.as_option_mut() {
            let wanted = [network.output.as_str(), TRIED[0], TRIED[1]];
            graph.output.retain(|output| wanted.contains(&output.name.as_str()));
        }
        runners.push((place, runner(&attached.model, &given)?));
    }
    let mut took: Vec<Vec<Duration>> = vec![Vec::with_capacity(RUNS); runners.len()];
    for _ in 0..RUNS {
        for ((_, runner), took) in runners.iter_mut().zip(&mut took) {
            let started = Instant::now();
            runner.run()?;
            took.push(started.elapsed());
        }
    }
    let mut medians =
        took.into_iter().map(|mut took| upper_median(&mut took, Ord::cmp).unwrap_or_default().as_secs_f64() * 1e6);
    let forward_us = medians.next().unwrap_or(0.0);
    for ((place, _), with_gradient_us) in runners.iter().skip(1).zip(medians) {
        if let Some(line) = lines.get_mut(*place) {
            line.time = Some(Median { with_gradient_us, in_forward_passes: with_gradient_us / forward_us });
        }
    }
    Ok(Some(forward_us))
}

fn runner(model: &ModelProto, given: &HashMap<String, Tensor>) -> Result<Runner, CommandError> {
    let graph = Graph::new(model).map_err(GradientFailure::from)?;
    Runner::new(model, &graph, given).map_err(|error: NetworkError| error.into())
}
