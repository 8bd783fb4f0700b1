//! `ramand model card`: what a bundle says of itself, as a page for people.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use ramand_core::decide::SIGNIFICANCE;
use ramand_core::outcome::ModelIdentity;
use ramand_model::Bundle;
use ramand_model::manifest::{GateRecord, Manifest, PLS_COMPONENTS_MAX, StepRecord, Task};

use crate::cli::error::CommandError;

/// Print the model card of a bundle as Markdown: what it is for and what not, how well it does, and on what
#[derive(Debug, Args)]
pub(super) struct CardArgs {
    /// The bundle's folder
    folder: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the folder is no bundle.
pub(super) fn run(args: &CardArgs) -> Result<(), CommandError> {
    let bundle = Bundle::open(&args.folder)?;
    print!("{}", page(&bundle.manifest, &bundle.identity));
    Ok(())
}

/// The whole page; nothing stands on it that does not follow from the manifest.
fn page(manifest: &Manifest, identity: &ModelIdentity) -> String {
    let mut page = String::new();
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("# {} {}", manifest.name, manifest.version));
    line(String::new());
    line(format!("**{}.**", sentence(&manifest.claim)));
    line(String::new());
    line(format!("Made by `ramand model card` from the bundle's manifest (SHA-256 `{}`).", identity.sha256));
    line(String::new());
    if let Some(card) = &manifest.card {
        line(format!("**Meant for.** {}", card.intended));
        line(String::new());
        line("**Must not be used for:**".into());
        line(String::new());
        card.not_for.iter().for_each(|item| line(format!("- {item}")));
        line(String::new());
    }
    line("## What it is".into());
    line(String::new());
    line("| | |".into());
    line("|---|---|".into());
    facts(manifest).into_iter().for_each(|(what, value)| line(format!("| {what} | {value} |")));
    line(String::new());
    line("## How well it does".into());
    line(String::new());
    line(evaluation(manifest));
    line(String::new());
    let figures = figures(manifest);
    if !figures.is_empty() {
        line("| figure | value | 95 % interval |".into());
        line("|---|---|---|".into());
        figures.into_iter().for_each(&mut line);
        line(String::new());
    }
    better_ways(manifest).into_iter().for_each(&mut line);
    warnings(manifest).into_iter().for_each(&mut line);
    confusion(manifest).into_iter().for_each(&mut line);
    if !manifest.training.suspects.is_empty() {
        line("## Labels and spectra unlike the others".into());
        line(String::new());
        line("Named by the training, and not left out.".into());
        line(String::new());
        manifest.training.suspects.iter().for_each(|suspect| line(format!("- {}", suspect.in_words())));
        line(String::new());
    }
    line("docs/training.md defines the figures; docs/explanation.md says how to read the maps.".into());
    page
}

/// Without the full stop that the page sets itself.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn facts(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let training = &manifest.training;
    let kind = if training.measured { "measured" } else { "not stated to be measured" };
    let axis = &manifest.axis;
    let step = (axis.last - axis.first) / (axis.points as f64 - 1.0);
    let steps: Vec<String> = manifest.pipeline.iter().map(step_name).collect();
    let mut facts = vec![
        (
            "says",
            match (&manifest.output.unit, &manifest.output.labels) {
                (Some(unit), _) => format!("a quantity in {unit}"),
                (None, labels) => format!("one of: {}", labels.as_deref().unwrap_or_default().join(", ")),
            },
        ),
        (
            "trained on",
            format!("{} ({} spectra of {} samples, {kind})", training.data, training.spectra, training.samples),
        ),
        ("data, SHA-256", format!("`{}`", training.data_sha256)),
        ("samples told apart by", training.group.clone()),
        (
            "laser",
            match manifest.laser_nm {
                0.0 => "none, or not stated".to_owned(),
                nm => format!("{nm} nm"),
            },
        ),
        ("axis", format!("{} to {} cm⁻¹, {} points ({step:.1} cm⁻¹ each)", axis.first, axis.last, axis.points)),
        ("preprocessed by", steps.join(", ")),
    ];
    for (index, channel) in manifest.channels.iter().enumerate() {
        let steps: Vec<String> = channel.steps.iter().map(step_name).collect();
        facts.push(("and then, of a channel", format!("{}: {}", index + 1, steps.join(", "))));
    }
    if let Some([least, largest]) = training.range {
        let unit = manifest.output.unit.as_deref().unwrap_or_default();
        facts.push(("calibrated range", format!("{least} to {largest} {unit}; beyond it, results say `extrapolated`")));
    }
    for target in &manifest.network.targets {
        let width = target.receptive_field as f64 * step;
        let spacing = target.stride * step;
        facts.push((
            "explained through",
            format!("{}: cells every {spacing:.0} cm⁻¹ that see {width:.0} cm⁻¹", target.name),
        ));
    }
    facts.push(("compared with", manifest.reference.in_words()));
    facts.push((
        "refuses spectra unlike the training's",
        match &manifest.gate {
            Some(gate) => format!(
                "by T² and Q of {} components and by the p-value{}{}",
                gate.components,
                limits_from(gate),
                if manifest.conformal.as_ref().is_some_and(|conformal| conformal.limits.is_some()) {
                    "; and where no class, or every class, is in the set"
                } else {
                    ""
                }
            ),
            None => "no: it has no gate".to_owned(),
        },
    ));
    facts.push(("sure of it", certainty(manifest)));
    if let Some(adopted) = &manifest.adopted {
        facts.push(("network from", format!("`{}` ({}), {}", adopted.file, adopted.producer, adopted.layer)));
    }
    if let Some(block) = &training.block {
        facts.push(("held out together", format!("samples of one '{block}'")));
    }
    if !training.left_out.is_empty() {
        facts.push(("left out on request", training.left_out.join(", ")));
    }
    facts.push(("made by", format!("{}, seed {}", training.made_by, training.seed)));
    facts.push(("licence", manifest.licence.clone()));
    facts
}

/// Where the gate's limits come from, where that is known.
fn limits_from(gate: &GateRecord) -> String {
    match gate.t2_limit_from.zip(gate.q_limit_from) {
        None => String::new(),
        Some((t2, q)) if t2 == q => format!(" (limits from {})", t2.in_words()),
        Some((t2, q)) => format!(" (limit of T² from {}, of Q from {})", t2.in_words(), q.in_words()),
    }
}

fn certainty(manifest: &Manifest) -> String {
    let Some(conformal) = &manifest.conformal else {
        return "it says nothing about that, and runs only with `allow_ungated = true`".to_owned();
    };
    let percent = 100.0 * conformal.confidence;
    match (conformal.half_width, &conformal.limits, &conformal.without) {
        (Some(half_width), ..) => {
            let unit = manifest.output.unit.as_deref().unwrap_or_default();
            format!(
                "the value ± {half_width:.2} {unit}, {percent} % interval from {} held-out samples",
                conformal.samples
            )
        }
        (None, Some(_), _) => {
            format!("the classes it could be, {percent} % sets from {} held-out samples", conformal.samples)
        }
        (None, None, why) => format!("no interval or set: {}", why.as_deref().unwrap_or("not said why")),
    }
}

fn step_name(step: &StepRecord) -> String {
    let value = toml::Value::try_from(step).expect("a step is a table");
    let text = |key: &str| value.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    match text("method") {
        method if method.is_empty() => text("step"),
        method => format!("{} ({method})", text("step")),
    }
}

fn evaluation(manifest: &Manifest) -> String {
    match &manifest.adopted {
        Some(adopted) => format!("{}.", sentence(&adopted.evaluation)),
        None => {
            let kind = if manifest.training.measured { "measured" } else { "not stated to be measured" };
            format!(
                "Out of fold ({}): every spectrum was predicted by a model that saw no spectrum of its {}. The spectra are {kind}.",
                manifest.training.split,
                if manifest.training.block.is_some() { "block" } else { "sample" }
            )
        }
    }
}

fn figures(manifest: &Manifest) -> Vec<String> {
    let Ok(toml::Value::Table(metrics)) = toml::Value::try_from(&manifest.metrics) else { return Vec::new() };
    let unit = manifest.output.unit.as_deref().unwrap_or_default();
    let rows = ROWS.iter().filter_map(|&(key, what, scale)| {
        let value = metrics.get(key)?.as_float()?;
        // Earlier versions counted only what the p-value refuses.
        let says = manifest.gate.as_ref().is_some_and(|gate| gate.t2_limit_from.is_some());
        let what = if key == "refused" && !says {
            "good spectra that the p-value alone refuses (the other tests refuse more)"
        } else {
            what
        };
        let interval = manifest.metrics.interval.get(key);
        let interval = interval.map(|[low, high]| format!("{low:.3} to {high:.3}")).unwrap_or_default();
        let unit = if scale == Scale::Output { format!(", {unit}") } else { String::new() };
        Some(format!("| {what}{unit} | {value:.3} | {interval} |"))
    });
    rows.collect()
}

/// What a figure is counted in.
#[derive(Clone, Copy, PartialEq)]
enum Scale {
    /// The output's unit.
    Output,
    /// A ratio or a share.
    Own,
}

/// Key in `[metrics]`, in words, what it is counted in.
const ROWS: [(&str, &str, Scale); 23] = [
    ("rmsecv", "RMSECV", Scale::Output),
    ("rmsecv_pls", "RMSECV of nested PLS", Scale::Output),
    ("rmsecv_ratio", "ratio to nested PLS", Scale::Own),
    ("rmsecv_kernel_ridge", "RMSECV of kernel ridge", Scale::Output),
    ("rmsecv_permuted", "RMSECV with permuted labels", Scale::Output),
    ("rmsecv_mean", "RMSECV of always saying the mean", Scale::Output),
    ("r2", "R²", Scale::Own),
    ("bias", "bias", Scale::Output),
    ("slope", "slope", Scale::Own),
    ("replicate_sd", "standard deviation between replicates of a sample", Scale::Output),
    (
        "blank_sd",
        "standard deviation of single spectra of samples without any, that between replicates included",
        Scale::Output,
    ),
    ("detection_limit", "detection limit (3.3 SD / slope)", Scale::Output),
    ("accuracy", "accuracy", Scale::Own),
    ("accuracy_pls", "accuracy of nested PLS-DA", Scale::Own),
    ("accuracy_gain", "accuracy less PLS-DA's", Scale::Own),
    ("accuracy_permuted", "accuracy with permuted labels", Scale::Own),
    ("accuracy_majority", "accuracy of always naming the most frequent class", Scale::Own),
    ("coverage", "coverage of intervals or sets, out of fold", Scale::Own),
    ("interval_width", "mean width of an interval", Scale::Output),
    ("set_size", "mean number of classes in a set", Scale::Own),
    ("set_single", "sets that name one class", Scale::Own),
    ("set_empty", "sets that name none", Scale::Own),
    ("refused", "good spectra that the gate refuses, out of fold", Scale::Own),
];

/// What does better on the same folds, said in words: nobody reads a table for the row that is not the model.
fn better_ways(manifest: &Manifest) -> Vec<String> {
    let metrics = &manifest.metrics;
    let ways = [
        ("PLS", metrics.rmsecv_pls.zip(metrics.rmsecv).map(|(pls, own)| pls < own)),
        ("Kernel ridge", metrics.rmsecv_kernel_ridge.zip(metrics.rmsecv).map(|(kernel, own)| kernel < own)),
        ("Always saying the mean", metrics.rmsecv_mean.zip(metrics.rmsecv).map(|(mean, own)| mean < own)),
        (
            "Always naming the most frequent class",
            metrics.accuracy_majority.zip(metrics.accuracy).map(|(most, own)| most > own),
        ),
        ("PLS-DA", metrics.accuracy_pls.zip(metrics.accuracy).map(|(pls, own)| pls > own)),
    ];
    let better = ways.into_iter().filter(|(_, better)| *better == Some(true));
    better
        .flat_map(|(way, _)| [format!("{way} does better than this model on the same folds."), String::new()])
        .collect()
}

/// What whoever relies on the model has to know, beside the figures.
fn warnings(manifest: &Manifest) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(scores) = manifest.gate.as_ref().and_then(|gate| gate.scores.as_ref()) {
        // No p-value is below 1 / (n + 1).
        let significance = scores.significance.map_or(SIGNIFICANCE, |share| share as f32);
        let needed = (1.0 / significance).ceil() as usize - 1;
        if scores.samples < needed {
            warnings.push(format!(
                "The gate is weak: it knows {} samples, and its p-value can refuse nothing below {needed}. T² and Q refuse alone. \
                 `ramand evaluate --shift --contaminant` measures from which amount on it notices a contaminant.",
                scores.samples
            ));
        }
    }
    if manifest.training.components == Some(PLS_COMPONENTS_MAX) {
        warnings.push(format!(
            "PLS took {PLS_COMPONENTS_MAX} components, the most it may: more might do better, or the preprocessing leaves too much to it."
        ));
    }
    warnings.into_iter().flat_map(|warning| [warning, String::new()]).collect()
}

fn confusion(manifest: &Manifest) -> Vec<String> {
    let (Task::Classification, Some(labels)) = (manifest.task, &manifest.output.labels) else { return Vec::new() };
    if manifest.metrics.confusion.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        "Spectra by true class (rows) and predicted class (columns), over all repeats:".to_owned(),
        String::new(),
        format!("| | {} | recall |", labels.join(" | ")),
        format!("|---|{}", "---|".repeat(labels.len() + 1)),
    ];
    for ((label, row), recall) in labels.iter().zip(&manifest.metrics.confusion).zip(&manifest.metrics.recall) {
        let mut line = format!("| {label} |");
        row.iter().for_each(|count| write!(line, " {count} |").expect("text takes everything"));
        lines.push(format!("{line} {recall:.3} |"));
    }
    lines.push(String::new());
    lines
}
