//! What a training found, as a table and as JSON: the manifest's figures, and no others.

use std::path::Path;

use ramand_model::manifest::{Manifest, MetricsRecord};

use crate::cli::error::CommandError;

/// One line of JSON.
///
/// # Errors
/// When a figure cannot be written.
pub(super) fn print_json(manifest: &Manifest) -> Result<(), CommandError> {
    let unwritable = |error| CommandError::operator(format!("the figures cannot be written as JSON: {error}"));
    let summary = serde_json::json!({
        "name": manifest.name,
        "version": manifest.version,
        "samples": manifest.training.samples,
        "spectra": manifest.training.spectra,
        "split": manifest.training.split,
        "block": manifest.training.block,
        "left_out": manifest.training.left_out,
        "suspects": serde_json::to_value(&manifest.training.suspects).map_err(unwritable)?,
        "components": manifest.training.components,
        "networks": manifest.training.networks,
        "candidates": serde_json::to_value(&manifest.training.candidates).map_err(unwritable)?,
        "metrics": serde_json::to_value(&manifest.metrics).map_err(unwritable)?,
        "gate": manifest.gate.as_ref().map(|gate| gate.components),
        "conformal": serde_json::to_value(&manifest.conformal).map_err(unwritable)?,
    });
    println!("{summary}");
    Ok(())
}

/// For people.
pub(super) fn print_table(manifest: &Manifest, out: &Path) {
    let training = &manifest.training;
    println!("{}: {} spectra of {} samples, {}", out.display(), training.spectra, training.samples, training.split);
    if !training.left_out.is_empty() {
        println!("left out on request: {}", training.left_out.join(", "));
    }
    let metrics = &manifest.metrics;
    let unit = manifest.output.unit.as_deref().unwrap_or_default();
    let what = match &manifest.adopted {
        None => "out of fold, median over repeats",
        Some(adopted) => &adopted.evaluation,
    };
    println!("{what:42}{:>10}   95 % interval", "");
    figures(metrics, unit);
    if let (Some(spread), [_, ..]) = (metrics.network_spread, &metrics.networks[..]) {
        let each: Vec<String> = metrics.networks.iter().map(|value| format!("{value:.4}")).collect();
        println!("{:42}{}", "each network alone", each.join(" "));
        let what = match &manifest.output.labels {
            None => format!("spread between networks, {unit}"),
            Some(_) => "spectra named differently by networks".into(),
        };
        println!("{what:42}{spread:>10.4}");
    }
    if let Some(labels) = &manifest.output.labels {
        confusion(labels, metrics);
    }
    if !training.candidates.is_empty() {
        println!("chosen on held-out training samples:");
        for candidate in &training.candidates {
            let kept = if candidate.kept { " (kept)" } else { "" };
            let error = match (candidate.error, candidate.spectra) {
                (None, _) => "not fitted".to_owned(),
                (Some(error), Some(spectra)) if spectra < training.spectra => {
                    format!("error {error:.4} on {spectra} of {} spectra", training.spectra)
                }
                (Some(error), _) => format!("error {error:.4}"),
            };
            println!("  in {} folds, {error}: {}{kept}", candidate.chosen, candidate.name);
        }
    }
    if let Some(components) = training.components {
        println!("PLS components of the model's linear part: {components}");
    }
    if let Some(gate) = &manifest.gate {
        println!("gate: {} components, T2 <= {:.2}, Q <= {:.4}", gate.components, gate.t2_limit, gate.q_limit);
    }
    applicability(manifest, unit);
}

/// What was promised about intervals, sets and the gate, beside what held-out samples found.
fn applicability(manifest: &Manifest, unit: &str) {
    let metrics = &manifest.metrics;
    let Some(conformal) = &manifest.conformal else { return };
    if let Some(why) = &conformal.without {
        println!("no interval or set: {why}");
    }
    println!("{:42}{:>10}   95 % interval", "held-out samples against other folds", "nominal");
    let rows = [
        ("coverage of intervals or sets".to_owned(), Some(conformal.confidence), "coverage", metrics.coverage),
        (format!("mean width of an interval, {unit}"), None, "interval_width", metrics.interval_width),
        ("mean number of classes in a set".to_owned(), None, "set_size", metrics.set_size),
        ("sets that name one class".to_owned(), None, "set_single", metrics.set_single),
        ("sets that name none: unknown".to_owned(), None, "set_empty", metrics.set_empty),
        ("good spectra that the gate refuses".to_owned(), None, "refused", metrics.refused),
    ];
    for (what, nominal, key, value) in rows {
        let Some(value) = value else { continue };
        let nominal = nominal.map(|nominal| format!("{nominal:.2}")).unwrap_or_default();
        let interval = metrics.interval.get(key).map(|[low, high]| format!("   {low:.4} to {high:.4}"));
        println!("{what:42}{nominal:>10}{value:>10.4}{}", interval.unwrap_or_default());
    }
}

fn figures(metrics: &MetricsRecord, unit: &str) {
    let in_unit = |what: &str| format!("{what}, {unit}");
    let rows = [
        (in_unit("RMSE"), "rmse_given", metrics.rmse_given),
        (in_unit("RMSECV"), "rmsecv", metrics.rmsecv),
        (in_unit("RMSECV of nested PLS"), "rmsecv_pls", metrics.rmsecv_pls),
        ("ratio to nested PLS".to_owned(), "rmsecv_ratio", metrics.rmsecv_ratio),
        (in_unit("RMSECV of kernel ridge"), "rmsecv_kernel_ridge", metrics.rmsecv_kernel_ridge),
        (in_unit("RMSECV of permuted labels"), "", metrics.rmsecv_permuted),
        (in_unit("RMSECV of the mean"), "", metrics.rmsecv_mean),
        ("R2".to_owned(), "r2", metrics.r2),
        (in_unit("bias"), "bias", metrics.bias),
        ("slope".to_owned(), "slope", metrics.slope),
        (in_unit("between replicates, SD"), "replicate_sd", metrics.replicate_sd),
        (in_unit("between samples without any, SD"), "blank_sd", metrics.blank_sd),
        (in_unit("detection limit (3.3 SD / slope)"), "detection_limit", metrics.detection_limit),
        ("accuracy".to_owned(), "accuracy_given", metrics.accuracy_given),
        ("accuracy".to_owned(), "accuracy", metrics.accuracy),
        ("accuracy of nested PLS-DA".to_owned(), "accuracy_pls", metrics.accuracy_pls),
        ("accuracy less PLS-DA's".to_owned(), "accuracy_gain", metrics.accuracy_gain),
        ("accuracy of permuted labels".to_owned(), "", metrics.accuracy_permuted),
        ("accuracy of the most frequent class".to_owned(), "", metrics.accuracy_majority),
    ];
    for (what, key, value) in rows {
        let Some(value) = value else { continue };
        let interval = metrics.interval.get(key).map(|[low, high]| format!("   {low:.4} to {high:.4}"));
        println!("{what:42}{value:>10.4}{}", interval.unwrap_or_default());
    }
}

/// A row per true class, a column per predicted one.
fn confusion(labels: &[String], metrics: &MetricsRecord) {
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(6);
    println!("spectra by true class (rows) and predicted class (columns), over all repeats; recall");
    let header: Vec<String> = labels.iter().map(|label| format!("{label:>width$}")).collect();
    println!("  {:width$} {}", "", header.join(" "));
    for ((label, row), recall) in labels.iter().zip(&metrics.confusion).zip(&metrics.recall) {
        let cells: Vec<String> = row.iter().map(|count| format!("{count:>width$}")).collect();
        let interval = metrics.interval.get(&format!("recall {label}"));
        let interval = interval.map(|[low, high]| format!(" ({low:.3} to {high:.3})")).unwrap_or_default();
        println!("  {label:width$} {}  {recall:.3}{interval}", cells.join(" "));
    }
}
