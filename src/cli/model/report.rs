//! What `ramand model inspect` says, as JSON and as a table.

use onnx_gradient::Graph;
use ramand_model::Bundle;
use ramand_model::manifest::{AdoptedRecord, CompletenessRecord};
use serde::Serialize;

/// What is known about a graph and, for a bundle, its targets.
#[derive(Debug, Serialize)]
pub(super) struct InspectReport {
    pub(super) inputs: Vec<Shaped>,
    pub(super) outputs: Vec<Shaped>,
    /// The value that is differentiated.
    pub(super) explained: String,
    /// The operator that makes a probability of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
    pub(super) parameters: usize,
    /// Of one forward pass to the explained value.
    pub(super) multiplications: u64,
    /// Median of a forward pass, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) forward_us: Option<f64>,
    /// Nodes whose operator is not understood.
    pub(super) unruled: Vec<Unruled>,
    /// What `--layer auto` chooses, and why.
    pub(super) auto: String,
    pub(super) layers: Vec<LayerLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bundle: Option<BundleLine>,
}

#[derive(Debug, Serialize)]
pub(super) struct Shaped {
    pub(super) name: String,
    /// `null` where an operator before it is not understood.
    pub(super) shape: Option<Vec<usize>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Unruled {
    pub(super) node: String,
    pub(super) operator: String,
}

/// A value that is laid out along the spectrum.
#[derive(Debug, Serialize)]
pub(super) struct LayerLine {
    pub(super) name: String,
    pub(super) node: String,
    pub(super) operator: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    /// Whether `--layer auto` chooses it.
    pub(super) auto: bool,
    pub(super) shape: Vec<usize>,
    pub(super) map_axis: usize,
    pub(super) cell_axis: usize,
    pub(super) maps: usize,
    pub(super) cells: usize,
    /// Points between the centres of neighbouring cells: cell i lies at first_cell + i * stride.
    pub(super) stride: Option<usize>,
    pub(super) receptive_field: Option<usize>,
    pub(super) first_cell: Option<f64>,
    /// Whether a cell depends on the rest of the axis as well.
    pub(super) whole_axis: Option<bool>,
    pub(super) multiplications_before: u64,
    pub(super) multiplications_behind: u64,
    /// Of a forward pass and the gradient of one output.
    pub(super) multiplications_with_gradient: Option<u64>,
    pub(super) cost_in_forward_passes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<Median>,
    /// Whether the map adds up to the output less its offset; `null` where there is no gradient.
    pub(super) exact: Option<bool>,
    /// How the gradient behaves, or why there is none.
    pub(super) gradient: String,
}

/// Measured in tract.
#[derive(Debug, Serialize)]
pub(super) struct Median {
    pub(super) with_gradient_us: f64,
    pub(super) in_forward_passes: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct BundleLine {
    name: String,
    version: String,
    sha256: String,
    claim: String,
    completeness: CompletenessRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    adopted: Option<AdoptedRecord>,
    targets: Vec<TargetLine>,
}

#[derive(Debug, Serialize)]
struct TargetLine {
    name: String,
    activation: String,
    linear: bool,
    receptive_field_cm: f64,
    whole_axis: bool,
    /// How the gradient behaves with the other targets held fixed, as the bundle does.
    gradient: &'static str,
    cell_centres_cm: Vec<f64>,
}

impl BundleLine {
    /// Of a bundle, whose network is `graph`.
    pub(super) fn new(bundle: &Bundle, graph: &Graph) -> Self {
        let manifest = &bundle.manifest;
        let step = (manifest.axis.last - manifest.axis.first) / (manifest.axis.points as f64 - 1.0);
        let targets = manifest.network.targets.iter().zip(&bundle.references).map(|(target, reference)| TargetLine {
            name: target.name.clone(),
            activation: target.activation.clone(),
            linear: target.linear,
            receptive_field_cm: target.receptive_field as f64 * step,
            whole_axis: target.whole_axis,
            gradient: match graph.is_constant(&target.gradient) {
                true => "the same for every spectrum",
                false => "differs between spectra",
            },
            cell_centres_cm: (0..reference.columns())
                .map(|cell| manifest.axis.first + step * (target.first_cell + cell as f64 * target.stride))
                .collect(),
        });
        Self {
            name: bundle.identity.name.clone(),
            version: bundle.identity.version.clone(),
            sha256: bundle.identity.sha256.clone(),
            claim: manifest.claim.clone(),
            completeness: manifest.network.completeness,
            adopted: manifest.adopted.clone(),
            targets: targets.collect(),
        }
    }

    fn print(&self) {
        let Self { name, version, sha256, claim, completeness, adopted, targets } = self;
        println!("{name} {version}, sha256 {sha256}\n{claim}");
        if let Some(AdoptedRecord { file, producer, evaluation, .. }) = adopted {
            println!("trained elsewhere: {file} by {producer}, {evaluation}");
        }
        match completeness {
            CompletenessRecord::Exact => println!("completeness exact: the targets' maps add up to the output"),
            CompletenessRecord::Reported => println!("completeness reported: every result says what its maps miss"),
        }
        for target in targets {
            let centres = &target.cell_centres_cm;
            let (first, last) = (centres.first().copied().unwrap_or(0.0), centres.last().copied().unwrap_or(0.0));
            let TargetLine { name, activation, receptive_field_cm, gradient, whole_axis, .. } = target;
            let cells = centres.len();
            let more = if *whole_axis { " and depends on the whole axis" } else { "" };
            println!(
                "target {activation}, {name}: {cells} cells from {first:.1} to {last:.1} cm-1, each sees {receptive_field_cm:.1} cm-1{more}; gradient {gradient}, the other targets held fixed"
            );
        }
    }
}

/// For people.
pub(super) fn print(report: &InspectReport) {
    if let Some(bundle) = &report.bundle {
        bundle.print();
    }
    for (kind, values) in [("input", &report.inputs), ("output", &report.outputs)] {
        for Shaped { name, shape } in values {
            println!(
                "{kind} {name} {}",
                shape.as_ref().map_or("of unknown shape".into(), |shape| format!("{shape:?}"))
            );
        }
    }
    match &report.before {
        Some(op) => println!("explains {}, the logit before the {op}", report.explained),
        None => println!("explains {}", report.explained),
    }
    println!("{} parameters, {} multiplications forward", report.parameters, report.multiplications);
    if let Some(forward) = report.forward_us {
        println!("{forward:.1} us forward in tract (median)");
    }
    for Unruled { node, operator } in &report.unruled {
        println!("no rule for operator {operator} of node '{node}'");
    }
    println!("--layer auto: {}", report.auto);
    println!(
        "{:<32} {:<10} {:>5} {:>6} {:>6} {:>6} {:>7} {:>8} {:>8} {:>6}  gradient",
        "layer", "operator", "maps", "cells", "stride", "field", "first", "before", "behind", "cost"
    );
    for layer in &report.layers {
        let LayerLine { name, operator, maps, cells, gradient, .. } = layer;
        let known = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let stride = known(layer.stride.map(|stride| stride.to_string()));
        let field = known(layer.receptive_field.map(|field| match layer.whole_axis {
            Some(true) => format!("{field}+"),
            _ => field.to_string(),
        }));
        let first = known(layer.first_cell.map(|first| first.to_string()));
        let measured = layer.time.as_ref().map(|time| time.in_forward_passes);
        let cost = known(measured.or(layer.cost_in_forward_passes).map(|cost| format!("{cost:.2}")));
        let (before, behind) = (layer.multiplications_before, layer.multiplications_behind);
        let auto = if layer.auto { " (auto)" } else { "" };
        println!(
            "{name:<32} {operator:<10} {maps:>5} {cells:>6} {stride:>6} {field:>6} {first:>7} {before:>8} {behind:>8} {cost:>6}  {gradient}{auto}"
        );
    }
    let how = if report.forward_us.is_some() { "as measured" } else { "counted in multiplications" };
    println!(
        "before, behind: multiplications up to the layer and after it; cost: forward with gradient in forward passes, {how}; field with +: depends on the whole axis as well"
    );
}
