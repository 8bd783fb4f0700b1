//! `ramand model attach`: gives an exported network its gradient.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{
    ACTIVATION, AttachedTarget, Explained, GRADIENT, Graph, MAP, MapOf, Seed, Target, attach, attach_map, auto_layer,
    earlier_layer, explained, find_layer, fix_shape, proto,
};
use ramand_model::GradientFailure;
use serde::Serialize;

use crate::cli::error::CommandError;
use crate::cli::network::{Loaded, load};

/// Give an ONNX network its gradient: one run then yields the output, a layer's activation A and dy/dA
#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    /// The network as it was exported
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.onnx")]
    out: PathBuf,
    /// A value, a node or a weight of the layer to explain; auto is the last residual stage after its activation
    #[arg(long, value_name = "auto|NAME", default_value = "auto")]
    layer: String,
    /// The output to explain [default: the first; where it is a probability, the logit before it]
    #[arg(long, value_name = "INDEX|NAME")]
    output: Option<String>,
    /// Which output is differentiated
    #[arg(long, value_enum, default_value = "argmax")]
    seed: SeedName,
    /// The size of an input whose file leaves it open, as in 1,1,512 or spectrum=1,1,512
    #[arg(long, value_name = "[NAME=]N,C,L", value_parser = parse_shape)]
    shape: Vec<InputShape>,
    /// Replace OUT.onnx if it exists
    #[arg(long)]
    force: bool,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum SeedName {
    /// The greatest output of each run
    #[value(name = "argmax")]
    #[serde(rename = "argmax")]
    ArgMax,
    /// The output whose index the new input `class_index` gives: i64, a scalar
    ClassIndex,
    /// The outputs weighted by the new input `cotangent`: f32 [1, outputs]
    Cotangent,
    /// Every output, a row of the gradient each
    All,
    /// The map of the greatest output itself, where all behind the layer is linear
    Linear,
    /// Every output's map, a row each
    LinearAll,
}

/// A shape for the input of that name, or for the first.
#[derive(Debug, Clone)]
pub(super) struct InputShape {
    pub(super) name: Option<String>,
    pub(super) shape: Vec<usize>,
}

pub(super) fn parse_shape(text: &str) -> Result<InputShape, String> {
    let (name, sizes) = match text.rsplit_once('=') {
        Some((name, sizes)) => (Some(name.to_owned()), sizes),
        None => (None, text),
    };
    let sizes = sizes.split(',').map(|size| size.trim().parse::<usize>());
    let shape = sizes.collect::<Result<Vec<_>, _>>().map_err(|error| format!("{error}: write it as in 1,1,512"))?;
    Ok(InputShape { name, shape })
}

/// What was attached, as JSON.
#[derive(Debug, Serialize)]
struct AttachReport {
    /// The value that is differentiated, and the file's output it belongs to.
    explained: String,
    output: String,
    /// The operator that makes a probability of the explained logit.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    seed: SeedName,
    layer: LayerReport,
    inputs: Vec<Named>,
    /// In the order a runtime gives them.
    outputs: Vec<Named>,
    /// Bytes that the network grew by, its numbers in other files included.
    bytes_added: u64,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    shape: Option<Vec<usize>>,
}

#[derive(Debug, Serialize)]
struct LayerReport {
    name: String,
    /// Whether it was chosen, and how.
    chosen_by: &'static str,
    shape: Vec<usize>,
    map_axis: usize,
    cell_axis: usize,
    maps: usize,
    cells: usize,
    /// Points of the input between neighbouring cells; `null` where position is lost.
    stride: Option<usize>,
    receptive_field: Option<usize>,
    /// Centre of cell 0 in points of the input.
    first_cell: Option<f64>,
    gradient: Behaviour,
    /// Whether part of the output comes from the input past this layer.
    bypassed: bool,
    /// Where the gradient is the same at every cell: the layer to choose instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier: Option<String>,
}

/// How the gradient of the layer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Behaviour {
    /// The same at every cell and for every input.
    SameAtEveryCell,
    /// The same for every input.
    Constant,
    /// Another one for each input.
    DependsOnInput,
}

pub(super) fn run(args: &AttachArgs) -> Result<(), CommandError> {
    refuse_overwriting(args)?;
    let Loaded { mut model, bytes, .. } = load(&args.input)?;
    let (model, report) = attached(args, &mut model, &bytes).map_err(|error| error.context(shown(&args.input)))?;
    write(&args.out, &model, if args.force { Existing::Replace } else { Existing::Keep })?;
    explain(&report, &args.out);
    if args.json {
        println!("{}", serde_json::to_string(&report).expect("names and numbers are JSON"));
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn refuse_overwriting(args: &AttachArgs) -> Result<(), CommandError> {
    let out = args.out.display();
    let same =
        fs::canonicalize(&args.out).is_ok_and(|out| fs::canonicalize(&args.input).is_ok_and(|input| input == out));
    if same {
        return Err(CommandError::operator(format!("{out} is the network itself: write to another file")));
    }
    if args.out.exists() && !args.force {
        return Err(CommandError::operator(format!("{out} exists: --force replaces it")));
    }
    Ok(())
}

fn attached(args: &AttachArgs, model: &mut ModelProto, bytes: &[u8]) -> Result<(Vec<u8>, AttachReport), CommandError> {
    for InputShape { name, shape } in &args.shape {
        fix_shape(model, name.as_deref(), shape).map_err(GradientFailure::from)?;
    }
    let own = (proto::encode(model).len() as u64).max(bytes.len() as u64);
    let graph = Graph::new(model).map_err(GradientFailure::from)?;
    let Explained { value, output, before } =
        explained(&graph, args.output.as_deref()).map_err(GradientFailure::from)?;
    let (layer, chosen_by) = match args.layer.as_str() {
        "auto" => {
            let layer = auto_layer(&graph, &value).map_err(GradientFailure::from)?;
            (layer.value, layer.role.in_words())
        }
        name => (find_layer(&graph, name).map_err(GradientFailure::from)?, "its name"),
    };
    let target = Target { tensor: &layer, activation: ACTIVATION, gradient: GRADIENT };
    let attached = match args.seed {
        SeedName::ArgMax => attach(model, &value, Seed::ArgMax, &[target]),
        SeedName::ClassIndex => attach(model, &value, Seed::ClassIndex, &[target]),
        SeedName::Cotangent => attach(model, &value, Seed::Cotangent, &[target]),
        SeedName::All => attach(model, &value, Seed::All, &[target]),
        SeedName::Linear => attach_map(model, &value, MapOf::Winner, &layer, MAP),
        SeedName::LinearAll => attach_map(model, &value, MapOf::All, &layer, MAP),
    }
    .map_err(GradientFailure::from)?;
    let found = attached.targets.first().expect("one target was asked for");
    let AttachedTarget { maps, cells, shape, positions, reach, constant, .. } = found;
    let gradient = match constant {
        Some(_) if found.position_independent() => Behaviour::SameAtEveryCell,
        Some(_) => Behaviour::Constant,
        None => Behaviour::DependsOnInput,
    };
    let earlier = match gradient {
        Behaviour::SameAtEveryCell => earlier_layer(&graph, &value, &layer).map_err(GradientFailure::from)?,
        _ => None,
    };
    let written = proto::encode(&attached.model);
    let grown = Graph::new(&attached.model).map_err(GradientFailure::from)?;
    let named = |names: &[String]| {
        let shape = |name: &String| grown.shape(name).ok().map(<[usize]>::to_vec);
        names.iter().map(|name| Named { name: name.clone(), shape: shape(name) }).collect()
    };
    let report = AttachReport {
        explained: value,
        output,
        before,
        seed: args.seed,
        layer: LayerReport {
            name: layer,
            chosen_by,
            shape: shape.clone(),
            map_axis: positions.map_axis,
            cell_axis: positions.cell_axis,
            maps: *maps,
            cells: *cells,
            stride: reach.map(|reach| reach.stride()),
            receptive_field: reach.map(|reach| reach.receptive_field()),
            first_cell: reach.map(|reach| reach.first_cell()),
            gradient,
            bypassed: attached.bypassed,
            earlier,
        },
        inputs: named(grown.inputs()),
        outputs: named(grown.outputs()),
        bytes_added: (written.len() as u64).saturating_sub(own),
    };
    Ok((written, report))
}

/// Tells a person what the file now computes, and what the choice of layer means.
fn explain(report: &AttachReport, out: &Path) {
    let AttachReport { explained, output, before, layer, .. } = report;
    match before {
        Some(op) => eprintln!(
            "explains '{explained}', the logit before the {op} of '{output}' (--output {output}: the probability)"
        ),
        None => eprintln!("explains '{explained}'"),
    }
    let LayerReport { name, chosen_by, shape, map_axis, cell_axis, maps, cells, .. } = layer;
    eprintln!(
        "layer '{name}' {shape:?}, chosen by {chosen_by}: {maps} maps on axis {map_axis}, {cells} cells on axis {cell_axis}"
    );
    match (layer.stride, layer.receptive_field, layer.first_cell) {
        (Some(stride), Some(field), Some(first)) => {
            eprintln!("cell i sees {field} points around point {first} + {stride} i of the input");
        }
        _ => eprintln!("its cells have no known place on the input's axis"),
    }
    match layer.gradient {
        Behaviour::SameAtEveryCell => {
            eprintln!("note: the gradient is the same at every cell and for every input, so that this map equals CAM");
            match &layer.earlier {
                Some(earlier) => eprintln!("note: an earlier layer tells more: --layer '{earlier}'"),
                None => eprintln!("note: no earlier layer tells more"),
            }
        }
        Behaviour::Constant => eprintln!("the gradient is the same for every input; only the activation makes the map"),
        Behaviour::DependsOnInput => eprintln!("the gradient depends on the input"),
    }
    match (layer.bypassed, layer.gradient) {
        (true, _) => {
            eprintln!("note: part of the output comes from the input past this layer: the map does not add up to it")
        }
        (false, Behaviour::DependsOnInput) => {
            eprintln!("completeness: the map misses the offsets of the layers behind it");
        }
        (false, _) => eprintln!("completeness: the map adds up to the output less its offset"),
    }
    let list = |values: &[Named]| {
        let value = |Named { name, shape }: &Named| match shape {
            Some(shape) => format!("{name} {shape:?}"),
            None => name.clone(),
        };
        values.iter().map(value).collect::<Vec<_>>().join(", ")
    };
    eprintln!("inputs: {}", list(&report.inputs));
    eprintln!("outputs: {}", list(&report.outputs));
    eprintln!("wrote {}, {} bytes more", out.display(), report.bytes_added);
}

/// What becomes of a file of that name.
enum Existing {
    Keep,
    Replace,
}

/// Writes the file whole or not at all.
fn write(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| CommandError::operator(format!("failed to write {}: {error}", path.display()));
    let name = path.file_name().ok_or_else(|| CommandError::operator(format!("{} is no file", path.display())))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(hidden);
    let moved = fs::File::create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| match existing {
            Existing::Replace => fs::rename(&temporary, path),
            // A link is refused where somebody else was faster; a rename would replace their file.
            Existing::Keep => fs::hard_link(&temporary, path).and_then(|()| fs::remove_file(&temporary)),
        });
    moved.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(error)
    })
}
