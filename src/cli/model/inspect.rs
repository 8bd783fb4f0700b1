//! `ramand model inspect`: the layers that can be explained.

use std::path::Path;

use serde::Serialize;

use super::read;
use crate::cli::CommandError;
use crate::gradient::geometry::reaches;
use crate::gradient::{Graph, Seed, Target, attach, proto};
use crate::infer::Bundle;

/// What is known about a graph and, for a bundle, its targets.
#[derive(Debug, Serialize)]
struct Report {
    inputs: Vec<Shaped>,
    outputs: Vec<Shaped>,
    layers: Vec<LayerLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<BundleLine>,
}

#[derive(Debug, Serialize)]
struct Shaped {
    name: String,
    /// `null` where an operator before it is not understood.
    shape: Option<Vec<usize>>,
}

/// A value of shape [1, maps, cells].
#[derive(Debug, Serialize)]
struct LayerLine {
    name: String,
    node: String,
    operator: String,
    maps: usize,
    cells: usize,
    stride: Option<usize>,
    receptive_field: Option<usize>,
    first_cell: Option<f64>,
    /// How the gradient of the first output behaves, or why there is none.
    gradient: String,
}

#[derive(Debug, Serialize)]
struct BundleLine {
    name: String,
    version: String,
    sha256: String,
    claim: String,
    targets: Vec<TargetLine>,
}

#[derive(Debug, Serialize)]
struct TargetLine {
    name: String,
    activation: String,
    linear: bool,
    receptive_field_cm: f64,
    cell_centres_cm: Vec<f64>,
}

pub(super) fn inspect(path: &Path, json: bool) -> Result<(), CommandError> {
    let (model, bundle) = if path.is_dir() {
        let bundle = Bundle::open(path)?;
        let manifest = &bundle.manifest;
        let step = (manifest.axis.last - manifest.axis.first) / (manifest.axis.points as f64 - 1.0);
        let targets = manifest.network.targets.iter().zip(&bundle.references).map(|(target, reference)| TargetLine {
            name: target.name.clone(),
            activation: target.activation.clone(),
            linear: target.linear,
            receptive_field_cm: target.receptive_field as f64 * step,
            cell_centres_cm: (0..reference.columns())
                .map(|cell| manifest.axis.first + step * (target.first_cell + cell as f64 * target.stride))
                .collect(),
        });
        let line = BundleLine {
            name: bundle.identity.name.clone(),
            version: bundle.identity.version.clone(),
            sha256: bundle.identity.sha256.clone(),
            claim: manifest.claim.clone(),
            targets: targets.collect(),
        };
        (bundle.network, Some(line))
    } else {
        (proto::decode(&read(path)?)?, None)
    };
    let graph = Graph::new(&model)?;
    let shaped = |names: &[String]| {
        let shape = |name: &String| graph.shape(name).ok().map(<[usize]>::to_vec);
        names.iter().map(|name| Shaped { name: name.clone(), shape: shape(name) }).collect::<Vec<_>>()
    };
    let input = graph.inputs().first();
    let found = match input {
        Some(input) => reaches(&graph, input, graph.shape(input)?.len().saturating_sub(1))?,
        None => Default::default(),
    };
    let output = graph.outputs().first().cloned().unwrap_or_default();
    let mut layers = Vec::new();
    for (node, operator, name) in graph.values() {
        let &[1, maps, cells] = graph.shape(name)? else { continue };
        // What attaching wrote is no layer of the network.
        if node.starts_with("grad/") || operator == "Identity" {
            continue;
        }
        let target = Target { tensor: name, activation: name, gradient: "ramand/gradient" };
        let gradient = match attach(&model, &output, Seed::All, &[target]) {
            Err(error) => error.to_string(),
            Ok(attached) => {
                let own = &attached.targets[0];
                let constant = match (own.position_independent(), &own.constant) {
                    (true, _) => "the same at every cell: 1D Grad-CAM equals CAM, choose an earlier layer",
                    (false, Some(_)) => "the same for every spectrum: the maps add up",
                    (false, None) => "differs between spectra: the maps miss the later layers' offsets",
                };
                let beside = if attached.bypassed { "; part of the output goes another way" } else { "" };
                format!("{constant}{beside}")
            }
        };
        let reach = found.get(name);
        layers.push(LayerLine {
            name: name.to_owned(),
            node: node.to_owned(),
            operator: operator.to_owned(),
            maps,
            cells,
            stride: reach.map(|reach| reach.stride()),
            receptive_field: reach.map(|reach| reach.receptive_field()),
            first_cell: reach.map(|reach| reach.first_cell()),
            gradient,
        });
    }
    let report = Report { inputs: shaped(graph.inputs()), outputs: shaped(graph.outputs()), layers, bundle };
    if json {
        let text = serde_json::to_string(&report).expect("names and numbers are JSON");
        println!("{text}");
    } else {
        print(&report);
    }
    Ok(())
}

fn print(report: &Report) {
    if let Some(BundleLine { name, version, sha256, claim, targets }) = &report.bundle {
        println!("{name} {version}, sha256 {sha256}\n{claim}");
        for target in targets {
            let centres = &target.cell_centres_cm;
            let (first, last) = (centres.first().copied().unwrap_or(0.0), centres.last().copied().unwrap_or(0.0));
            let TargetLine { name, activation, receptive_field_cm, .. } = target;
            let cells = centres.len();
            println!(
                "target {activation}, {name}: {cells} cells from {first:.1} to {last:.1} cm-1, each sees {receptive_field_cm:.1} cm-1"
            );
        }
    }
    for (kind, values) in [("input", &report.inputs), ("output", &report.outputs)] {
        for Shaped { name, shape } in values {
            println!(
                "{kind} {name} {}",
                shape.as_ref().map_or("of unknown shape".into(), |shape| format!("{shape:?}"))
            );
        }
    }
    println!(
        "{:<28} {:<10} {:>5} {:>6} {:>7} {:>6} {:>6}  gradient",
        "layer", "operator", "maps", "cells", "stride", "field", "first"
    );
    for layer in &report.layers {
        let LayerLine { name, operator, maps, cells, gradient, .. } = layer;
        let known = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let stride = known(layer.stride.map(|stride| stride.to_string()));
        let field = known(layer.receptive_field.map(|field| field.to_string()));
        let first = known(layer.first_cell.map(|first| first.to_string()));
        println!("{name:<28} {operator:<10} {maps:>5} {cells:>6} {stride:>7} {field:>6} {first:>6}  {gradient}");
    }
}
