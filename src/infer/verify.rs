//! Whether a bundle is what it claims: gradients against finite differences, maps against sums, cells against impulses.
//!
//! Everything is compared with an evaluation of the graph in f64 that shares nothing with tract.

use std::collections::HashMap;
use std::path::Path;

use super::bundle::Bundle;
use super::model::{Model, ModelError};
use crate::gradient::{GradientError, Graph, Tensor};
use crate::spectrum::PreparedSpectrum;

/// Largest difference of the gradient from the finite difference, relative to the largest gradient.
const GRADIENT_ERROR_MAX: f64 = 1e-5;
/// tract's f32 against f64, relative to the largest value.
const ENGINE_ERROR_MAX: f64 = 1e-4;
/// Of the maps' sum in f32, relative to y − b.
const COMPLETENESS_ERROR_MAX: f32 = 1e-4;
/// Step of the central difference in f64.
const STEP: f64 = 1e-5;
/// Cells of a target that are moved one by one; more would only take longer.
const CELLS_PROBED: usize = 400;
/// Random spectra that completeness is checked on.
const SPECTRA: u64 = 8;
/// Height of the impulse that cells are located with, in units of a normalised spectrum.
const IMPULSE: f64 = 1e3;

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// In words.
    pub name: String,
    /// The figure that passed, or why it failed.
    pub outcome: Result<String, String>,
}

/// Checks everything that can be checked without the training data; the first entries are about the files, and where they
/// fail there are no others.
pub fn verify(folder: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    let bundle = match Bundle::open(folder) {
        Ok(bundle) => bundle,
        Err(error) => return vec![failed("files, hashes, shapes, geometry", &error)],
    };
    let files = bundle.manifest.hashes().len();
    checks.push(passed("files, hashes, shapes, geometry", format!("{files} files as the manifest says")));
    checks.push(passed("reference maps", "they add up to reference.output less network.offset".into()));
    let graph = match Graph::new(&bundle.network) {
        Ok(graph) => graph,
        Err(error) => {
            checks.push(failed("network", &error));
            return checks;
        }
    };
    let model = match Model::new(bundle.clone()) {
        Ok(model) => model,
        Err(error) => {
            checks.push(failed("network and gate", &error));
            return checks;
        }
    };
    checks.push(passed("network and gate", "loaded, optimised, run once".into()));
    for (index, target) in bundle.manifest.network.targets.iter().enumerate() {
        let name = format!("gradient of target {index} ({}) against finite differences", target.name);
        checks.push(judged(name, gradient_error(&bundle, &graph, index), GRADIENT_ERROR_MAX));
        let name = format!("cells of target {index} ({}) against impulses", target.name);
        checks.push(match misaligned(&bundle, &graph, index) {
            Ok(None) => passed(&name, format!("every cell sees its {} points and no other", target.receptive_field)),
            Ok(Some(problem)) => Check { name, outcome: Err(problem) },
            Err(error) => failed(&name, &error),
        });
    }
    let name = "tract against f64".to_owned();
    checks.push(match engine_error(&bundle, &graph, &model) {
        Ok(error) => judged(name, Ok(error), ENGINE_ERROR_MAX),
        Err(error) => failed(&name, &error),
    });
    let mut inputs: Vec<(String, Vec<f32>)> =
        (0..SPECTRA).map(|seed| (format!("random spectrum {seed}"), random(&bundle, seed))).collect();
    if let Some(gate) = &bundle.gate {
        inputs.push(("mean training spectrum".into(), gate.values()[..gate.columns()].to_vec()));
    }
    let mut worst = 0.0_f32;
    let mut broken = None;
    for (name, values) in inputs {
        match completeness(&model, values) {
            Ok(error) => worst = worst.max(error),
            Err(error) => broken = Some(format!("{name}: {error}")),
        }
    }
    let figure = format!("worst completeness error {worst:.1e}, allowed {COMPLETENESS_ERROR_MAX:.0e}");
    let outcome = match broken {
        Some(problem) => Err(problem),
        None if worst <= COMPLETENESS_ERROR_MAX => Ok(figure),
        None => Err(figure),
    };
    checks.push(Check { name: "completeness: the maps add up to y - b".into(), outcome });
    checks
}

fn passed(name: &str, figure: String) -> Check {
    Check { name: name.to_owned(), outcome: Ok(figure) }
}

fn failed(name: &str, error: &(dyn std::error::Error + 'static)) -> Check {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let problem = causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"));
    Check { name: name.to_owned(), outcome: Err(problem) }
}

fn judged(name: String, error: Result<f64, GradientError>, allowed: f64) -> Check {
    match error {
        Ok(error) => {
            let figure = format!("relative error {error:.1e}, allowed {allowed:.0e}");
            Check { name, outcome: if error <= allowed { Ok(figure) } else { Err(figure) } }
        }
        Err(error) => failed(&name, &error),
    }
}

/// A spectrum of numbers between −2 and 2, the same for the same seed: as rough as a normalised spectrum can be.
fn random(bundle: &Bundle, seed: u64) -> Vec<f32> {
    let count = bundle.manifest.input_channels() * bundle.manifest.axis.points;
    // Knuth's linear congruential generator: its high bits are random enough to find a wrong weight.
    let mut state = seed.wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 24) as f32) * 4.0 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

fn input(bundle: &Bundle, values: &[f32]) -> HashMap<String, Tensor> {
    let shape = vec![1, bundle.manifest.input_channels(), bundle.manifest.axis.points];
    let tensor = Tensor::new(shape, values.iter().map(|&value| f64::from(value)).collect());
    HashMap::from([(bundle.manifest.network.input.clone(), tensor)])
}

/// The largest difference of a target's gradient from central differences, relative to the largest gradient. All other
/// targets are held fixed.
fn gradient_error(bundle: &Bundle, graph: &Graph, index: usize) -> Result<f64, GradientError> {
    let record = &bundle.manifest.network;
    let target = &record.targets[index];
    let cuts: Vec<&str> = record.targets.iter().map(|target| graph.source(&target.activation)).collect();
    let mut given = input(bundle, &random(bundle, 0));
    let wanted: Vec<&str> = cuts.iter().copied().chain([target.gradient.as_str()]).collect();
    let mut values = graph.evaluate(&given, &wanted)?;
    let gradient = values.remove(&target.gradient).expect("it was asked for");
    given.extend(values);
    let cells = given[cuts[index]].data().len();
    let outputs = gradient.shape()[0];
    let largest = gradient.data().iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let mut worst = 0.0_f64;
    // A stride that shares no factor with the number of maps or cells visits all of both.
    let probed = (0..cells).step_by((cells / CELLS_PROBED).max(1) | 1);
    for cell in probed {
        let mut y_at = |step: f64| {
            let tensor = given.get_mut(cuts[index]).expect("the target has a value");
            tensor.data_mut()[cell] += step;
            let y = graph.evaluate(&given, &[&record.output]).map(|mut y| y.remove(&record.output));
            given.get_mut(cuts[index]).expect("the target has a value").data_mut()[cell] -= step;
            y.map(|y| y.expect("it was asked for"))
        };
        let (above, below) = (y_at(STEP)?, y_at(-STEP)?);
        for output in 0..outputs {
            let difference = (above.data()[output] - below.data()[output]) / (2.0 * STEP);
            worst = worst.max((gradient.data()[output * cells + cell] - difference).abs());
        }
    }
    Ok(worst / largest)
}

/// The first cell that an impulse outside its receptive field moves, or a receptive field larger than what is seen.
fn misaligned(bundle: &Bundle, graph: &Graph, index: usize) -> Result<Option<String>, GradientError> {
    let target = &bundle.manifest.network.targets[index];
    let points = bundle.manifest.axis.points;
    let zeros = vec![0.0; bundle.manifest.input_channels() * points];
    let cells_at = |point: Option<(usize, f64)>| -> Result<Tensor, GradientError> {
        let mut given = input(bundle, &zeros);
        for tensor in given.values_mut() {
            for channel in tensor.data_mut().chunks_mut(points) {
                point.into_iter().for_each(|(point, height)| channel[point] = height);
            }
        }
        let name = target.activation.as_str();
        Ok(graph.evaluate(&given, &[name])?.remove(name).expect("it was asked for"))
    };
    let rest = cells_at(None)?;
    let cells = rest.shape()[2];
    let half = (target.receptive_field as f64 - 1.0) / 2.0;
    let (mut nearest, mut farthest) = (f64::INFINITY, f64::NEG_INFINITY);
    for point in 0..points {
        for height in [IMPULSE, -IMPULSE] {
            let moved = cells_at(Some((point, height)))?;
            for (place, _) in
                moved.data().iter().zip(rest.data()).enumerate().filter(|(_, (moved, rest))| moved != rest)
            {
                let distance = point as f64 - (target.first_cell + (place % cells) as f64 * target.stride);
                (nearest, farthest) = (nearest.min(distance), farthest.max(distance));
            }
        }
    }
    let seen = format!("cells are moved by points {nearest} to {farthest} from their centre, {half} on each side said");
    Ok(((nearest, farthest) != (-half, half)).then_some(seen))
}

/// The largest difference between tract and f64 over all outputs, relative to the largest value of each.
fn engine_error(bundle: &Bundle, graph: &Graph, model: &Model) -> Result<f64, ModelError> {
    let record = &bundle.manifest.network;
    let failed = |source| ModelError::Network { model: bundle.identity.name.clone(), source };
    let mut session = model.session()?;
    let x = random(bundle, 1);
    let values = model.network().run(&mut session, &x).map_err(failed)?;
    let wanted: Vec<&str> = record
        .targets
        .iter()
        .flat_map(|target| [target.activation.as_str(), target.gradient.as_str()])
        .chain([record.output.as_str()])
        .collect();
    let expected = graph.evaluate(&input(bundle, &x), &wanted).map_err(|source| {
        let path = bundle.folder.join(&record.file);
        ModelError::Bundle(super::BundleError::Network { path, source })
    })?;
    let mut worst = relative(values.y().map_err(failed)?, &expected[&record.output]);
    for (target, layer) in record.targets.iter().zip(values.layers().map_err(failed)?) {
        worst = worst.max(relative(layer.activation, &expected[&target.activation]));
        worst = worst.max(relative(layer.gradient, &expected[&target.gradient]));
    }
    Ok(worst)
}

fn relative(found: &[f32], expected: &Tensor) -> f64 {
    let largest = expected.data().iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let pairs = found.iter().zip(expected.data());
    pairs.map(|(found, expected)| (f64::from(*found) - expected).abs()).fold(0.0, f64::max) / largest
}

fn completeness(model: &Model, values: Vec<f32>) -> Result<f32, ModelError> {
    let prepared = PreparedSpectrum::assemble(model.pipeline().axis().clone(), model.pipeline().channels(), values);
    let judgement = model.judge(&mut model.session()?, &prepared)?;
    Ok(judgement.attribution.completeness_error)
}
