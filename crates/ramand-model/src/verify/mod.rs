//! Whether a bundle, or a network with its gradient, is what it claims: gradients against finite differences, maps against sums, cells against impulses.
//!
//! Everything is compared with an evaluation of the graph in f64 that shares nothing with tract.

mod check;
mod differences;
mod impulse;
mod mutation;
mod path;
mod subject;

use std::collections::HashMap;
use std::path::Path;

use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{GradientError, Graph, Tensor};
use ramand_core::spectrum::PreprocessedSpectrum;

pub use self::check::Check;
use self::check::{GRADIENT_ERROR_MAX, PATH_ERROR_MAX, failed, judged, passed};
use self::differences::Differences;
use self::subject::{Holds, VerifiedGraph, VerifiedLayer};
use super::bundle::Bundle;
use super::manifest::CompletenessRecord;
use super::model::{Model, ModelError};
use super::runner::Runner;

/// tract's f32 against f64, relative to the largest value.
const ENGINE_ERROR_MAX: f64 = 1e-4;
/// Of the maps' sum in f32, relative to y − b.
const COMPLETENESS_ERROR_MAX: f32 = 1e-4;
/// Random spectra that completeness is checked on.
const SPECTRA: u64 = 8;
/// Above rounding in f64, the map of a file misses part of the output.
const EXACT: f64 = 1e-9;

/// Checks everything that can be checked without the training data; the first entries are about the files, and where they
/// fail there are no others.
pub fn verify(folder: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Err(failure) = bundle_checks(folder, &mut checks) {
        checks.push(failure);
    }
    checks
}

/// What is wrong with something that all further checks need ends them.
fn bundle_checks(folder: &Path, checks: &mut Vec<Check>) -> Result<(), Check> {
    const FILES: &str = "files, hashes, shapes, geometry";
    let bundle = Bundle::open(folder).map_err(|error| failed(FILES, &error))?;
    checks.push(passed(FILES, format!("{} files as the manifest says", bundle.manifest.hashes().len())));
    checks.push(passed(
        "reference maps",
        match bundle.manifest.network.completeness {
            CompletenessRecord::Exact => "they add up to reference.output less network.offset".into(),
            CompletenessRecord::Reported => "their shapes fit; they need not add up".into(),
        },
    ));
    let graph = Graph::new(&bundle.network).map_err(|error| failed("network", &error))?;
    let model = Model::new(bundle.clone()).map_err(|error| failed("network and gate", &error))?;
    checks.push(passed("network and gate", "loaded, optimised, run once".into()));
    let subject = VerifiedGraph::of_bundle(&bundle).map_err(|error| failed("layers", &error))?;
    for (index, cut) in subject.cuts.iter().enumerate() {
        layer_checks(&subject, index, cut, checks);
    }
    let name = "tract against f64".to_owned();
    checks.push(match engine_error(&bundle, &graph, &model) {
        Ok(error) => judged(name, Ok(error), ENGINE_ERROR_MAX),
        Err(error) => failed(&name, &error),
    });
    checks.push(bundle_completeness(&bundle, &model));
    Ok(())
}

/// On random spectra and, where the gate holds it, on the mean training spectrum.
fn bundle_completeness(bundle: &Bundle, model: &Model) -> Check {
    let mut inputs: Vec<(String, Vec<f32>)> =
        (0..SPECTRA).map(|seed| (format!("random spectrum {seed}"), spectrum(bundle, seed))).collect();
    if let Some(gate) = &bundle.gate {
        inputs.push(("mean training spectrum".into(), gate.principal.values()[..gate.principal.columns()].to_vec()));
    }
    let mut worst = 0.0_f32;
    let mut broken = None;
    for (name, values) in inputs {
        match completeness(model, values) {
            Ok(error) => worst = worst.max(error),
            Err(error) => broken = Some(format!("{name}: {error}")),
        }
    }
    let (name, figure, keeps) = match bundle.manifest.network.completeness {
        CompletenessRecord::Exact => (
            "completeness: the maps add up to y - b",
            format!("worst completeness error {worst:.1e}, allowed {COMPLETENESS_ERROR_MAX:.0e}"),
            worst <= COMPLETENESS_ERROR_MAX,
        ),
        CompletenessRecord::Reported => (
            "completeness: how far the maps are from y - b, as every result reports",
            format!("worst completeness error {worst:.1e}"),
            worst.is_finite(),
        ),
    };
    let outcome = match broken {
        Some(problem) => Err(problem),
        None if keeps => Ok(figure),
        None => Err(figure),
    };
    Check { name: name.into(), outcome }
}

/// Checks a file that `ramand model attach` wrote, where `output` was differentiated by `layer`, which is only asked for
/// where the file holds a map alone. `None` where there is neither gradient nor map.
///
/// # Errors
/// When the file is no graph, or has no value of one of those names.
pub fn verify_file(model: ModelProto, output: &str, layer: &str) -> Result<Option<Vec<Check>>, GradientError> {
    let Some(subject) = VerifiedGraph::of_file(model, output, layer)? else { return Ok(None) };
    let mut checks = Vec::new();
    for (index, cut) in subject.cuts.iter().enumerate() {
        layer_checks(&subject, index, cut, &mut checks);
    }
    checks.push(file_engine(&subject));
    checks.push(file_completeness(&subject));
    Ok(Some(checks))
}

/// What is checked of each layer.
fn layer_checks(subject: &VerifiedGraph, index: usize, cut: &VerifiedLayer, checks: &mut Vec<Check>) {
    if cut.integrated {
        let name = format!("mean gradient of target {index} ({}) against finite differences along the line", cut.name);
        checks.push(match path::error(subject, cut) {
            Ok((error, probed)) => {
                let figure = format!("relative error {error:.1e}, allowed {PATH_ERROR_MAX:.0e}; {probed} elements");
                Check { name, outcome: if error <= PATH_ERROR_MAX { Ok(figure) } else { Err(figure) } }
            }
            Err(error) => failed(&name, &error),
        });
        checks.push(cells(subject, index, cut));
        return;
    }
    let differences = Differences::new(subject, cut).and_then(|differences| {
        let said = differences.said_by(&subject.graph, cut)?;
        let shape = subject.graph.shape(&cut.activation)?;
        let error = differences.error(cut, shape, &said, 0);
        Ok((differences, error))
    });
    let what = if matches!(cut.holds, Holds::Map(_)) { "map" } else { "gradient" };
    let name = format!("{what} of target {index} ({}) against finite differences", cut.name);
    let controls = match differences {
        Err(error) => {
            checks.push(failed(&name, &error));
            Vec::new()
        }
        Ok((differences, _)) if differences.probed.is_empty() => {
            let problem = format!("nothing could be compared, {} elements lie on a kink", differences.kinks);
            checks.push(Check { name, outcome: Err(problem) });
            Vec::new()
        }
        Ok((differences, error)) => {
            let kinks = match differences.kinks {
                0 => String::new(),
                kinks => format!(", {kinks} left out as they lie on a kink"),
            };
            let probed = differences.probed.len();
            let figure =
                format!("relative error {error:.1e}, allowed {GRADIENT_ERROR_MAX:.0e}; {probed} elements{kinks}");
            let outcome = if error <= GRADIENT_ERROR_MAX { Ok(figure) } else { Err(figure) };
            let sound = outcome.is_ok();
            checks.push(Check { name, outcome });
            // Faults tell nothing where the gradient is wrong without them.
            if sound { mutation::controls(subject, cut, &differences) } else { Vec::new() }
        }
    };
    checks.push(cells(subject, index, cut));
    checks.extend(controls);
}

fn cells(subject: &VerifiedGraph, index: usize, cut: &VerifiedLayer) -> Check {
    let name = format!("cells of target {index} ({}) against impulses", cut.name);
    match impulse::aligned(subject, cut) {
        Ok(outcome) => Check { name, outcome },
        Err(error) => failed(&name, &error),
    }
}

fn file_engine(subject: &VerifiedGraph) -> Check {
    let name = "tract against f64".to_owned();
    let calculated = subject.random(1).and_then(|given| {
        let wanted: Vec<&str> = subject.graph.outputs().iter().map(String::as_str).collect();
        Ok((subject.graph.evaluate(&given, &wanted)?, given))
    });
    let (expected, given) = match calculated {
        Ok(calculated) => calculated,
        Err(error) => return failed(&name, &error),
    };
    let worst = Runner::new(&subject.model, &subject.graph, &given).and_then(|mut runner| {
        let found = runner.run()?;
        Ok(found.iter().map(|(output, values)| relative(values, &expected[*output])).fold(0.0, f64::max))
    });
    match worst {
        Ok(error) => judged(name, Ok(error), ENGINE_ERROR_MAX),
        Err(error) => failed(&name, &error),
    }
}

/// How far Σ gradient · activation is from y less its value where the layer is zero. A file claims nothing, so that every
/// finite figure passes.
fn file_completeness(subject: &VerifiedGraph) -> Check {
    let name = "completeness".to_owned();
    let worst = || -> Result<f64, GradientError> {
        let mut worst = 0.0_f64;
        for seed in 0..SPECTRA {
            let given = subject.random(seed)?;
            let (y, rows) = (subject.value(&given, &subject.output)?, subject.rows(&given)?);
            let mut zeroed = given.clone();
            let mut sums = vec![0.0; rows.len()];
            for cut in &subject.cuts {
                let activation = subject.value(&given, &cut.activation)?;
                zeroed.insert(cut.tensor.clone(), Tensor::zeros(subject.graph.shape(&cut.tensor)?.to_vec()));
                let held = subject.value(&given, cut.holds.name())?;
                let one_row = held.data().len() / rows.len().max(1);
                for (sum, row) in sums.iter_mut().zip(held.data().chunks(one_row.max(1))) {
                    *sum += match cut.holds {
                        Holds::Gradient(_) => row.iter().zip(activation.data()).map(|(g, a)| g * a).sum::<f64>(),
                        Holds::Map(_) => row.iter().sum(),
                    };
                }
            }
            let offset = subject.value(&zeroed, &subject.output)?;
            for (sum, row) in sums.iter().zip(&rows) {
                let expected: f64 =
                    row.iter().zip(y.data()).zip(offset.data()).map(|((weight, y), b)| weight * (y - b)).sum();
                worst = worst.max((sum - expected).abs() / expected.abs().max(1.0));
            }
        }
        Ok(worst)
    };
    match worst() {
        Err(error) => failed(&name, &error),
        Ok(error) if error <= EXACT => passed(&name, format!("the map adds up to y - b: error {error:.1e}")),
        Ok(error) if error.is_finite() => {
            let figure = format!("reported: completeness error up to {error:.1e} on random spectra");
            passed(&name, figure)
        }
        Ok(error) => Check { name, outcome: Err(format!("the map adds up to {error}")) },
    }
}

/// A random spectrum as a session takes it.
fn spectrum(bundle: &Bundle, seed: u64) -> Vec<f32> {
    let count = bundle.manifest.input_channels() * bundle.manifest.axis.points;
    subject::random(seed, count).into_iter().map(|value| value as f32).collect()
}

fn input(bundle: &Bundle, values: &[f32]) -> HashMap<String, Tensor> {
    let shape = vec![1, bundle.manifest.input_channels(), bundle.manifest.axis.points];
    let tensor = Tensor::new(shape, values.iter().map(|&value| f64::from(value)).collect());
    HashMap::from([(bundle.manifest.network.input.clone(), tensor)])
}

/// The largest difference between tract and f64 over all outputs, relative to the largest value of each.
fn engine_error(bundle: &Bundle, graph: &Graph, model: &Model) -> Result<f64, ModelError> {
    let record = &bundle.manifest.network;
    let failed = |source| ModelError::Network { model: bundle.identity.name.clone(), source };
    let mut session = model.session()?;
    let x = spectrum(bundle, 1);
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
    let preprocessed =
        PreprocessedSpectrum::assemble(model.pipeline().axis().clone(), model.pipeline().channels(), values);
    let judgement = model.judge(&mut model.session()?, &preprocessed)?;
    Ok(judgement.attribution.completeness_error)
}
