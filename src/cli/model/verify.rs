//! `ramand model verify`: whether a bundle, or a network's gradient, is what it claims.

use std::path::PathBuf;

use clap::Args;
use onnx_gradient::{Explained, GRADIENT, Graph, MAP, auto_layer, explained, find_layer};
use ramand_model::GradientFailure;
use ramand_model::verify::{Check, verify, verify_file};
use serde::Serialize;

use crate::cli::error::CommandError;
use crate::cli::network::load;

/// A check as JSON.
#[derive(Debug, Serialize)]
pub(super) struct CheckLine<'a> {
    check: &'a str,
    ok: bool,
    detail: &'a str,
}

impl<'a> From<&'a Check> for CheckLine<'a> {
    fn from(check: &'a Check) -> Self {
        let (ok, detail) = match &check.outcome {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        Self { check: &check.name, ok, detail }
    }
}

/// Check a bundle, or an ONNX file with its gradient: gradients, completeness, alignment, and the check itself
///
/// Gradients are compared with central differences in f64, cells with impulses, tract with f64; a bundle's hashes, shapes
/// and reference maps as well. Then faults are planted into copies (the wrong class, a weight times 1.001, a kernel left
/// unflipped, a phase swapped), and the comparison must notice each.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A bundle's folder, or a file written by `ramand model attach`
    #[arg(value_name = "DIR|FILE.onnx")]
    path: PathBuf,
    /// Of a file: the layer it was attached at, where it holds a map alone (--seed linear)
    #[arg(long, value_name = "auto|NAME", default_value = "auto")]
    layer: String,
    /// Of a file: the output it explains, as attach was told
    #[arg(long, value_name = "INDEX|NAME")]
    output: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When a check fails, or there is nothing to check.
pub(super) fn run(args: &VerifyArgs) -> Result<(), CommandError> {
    let path = args.path.display();
    let checks = match args.path.is_dir() {
        true => verify(&args.path),
        false => file(args).map_err(|error| error.context(path.to_string()))?,
    };
    for check in &checks {
        let line = CheckLine::from(check);
        if args.json {
            println!("{}", serde_json::to_string(&line).expect("text is JSON"));
        } else {
            println!("{:<7} {}: {}", if line.ok { "ok" } else { "failed" }, line.check, line.detail);
        }
    }
    let failed = checks.iter().filter(|check| check.outcome.is_err()).count();
    match failed {
        0 => Ok(()),
        failed => {
            let total = checks.len();
            Err(CommandError::operator(format!("{path}: {failed} of {total} checks failed")))
        }
    }
}

fn file(args: &VerifyArgs) -> Result<Vec<Check>, CommandError> {
    let model = load(&args.path)?.model;
    let graph = Graph::new(&model).map_err(GradientFailure::from)?;
    let forward_only = || {
        let path = args.path.display();
        CommandError::operator(format!(
            "the file holds no gradient: run `ramand model attach {path} OUT.onnx` first, then verify OUT.onnx"
        ))
    };
    if ![GRADIENT, MAP].iter().any(|name| graph.outputs().iter().any(|output| output == name)) {
        return Err(forward_only());
    }
    let Explained { value, .. } = explained(&graph, args.output.as_deref()).map_err(GradientFailure::from)?;
    let layer = match args.layer.as_str() {
        "auto" => auto_layer(&graph, &value).map(|layer| layer.value).unwrap_or_default(),
        name => find_layer(&graph, name).map_err(GradientFailure::from)?,
    };
    verify_file(model, &value, &layer).map_err(GradientFailure::from)?.ok_or_else(forward_only)
}
