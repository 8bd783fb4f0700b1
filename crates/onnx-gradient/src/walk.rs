//! The walk: cotangents from the output back to the targets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::GradientError;
use crate::fact::Element;
use crate::graph::Graph;
use crate::node::Node;
use crate::tensor::{Tensor, elements};

/// Whether `output` depends on `source` along a path that leaves every one of `cuts` out.
pub(super) fn depends(graph: &Graph, source: &str, output: &str, cuts: &[&str]) -> bool {
    !cuts.contains(&source) && (source == output || dependents(graph, &[source], cuts).contains(output))
}

/// Every value that depends on one of `sources` in a way that can be differentiated, where `cuts` depend on nothing.
/// Integers and truth values depend on nothing in this sense.
pub(super) fn dependents(graph: &Graph, sources: &[&str], cuts: &[&str]) -> HashSet<String> {
    let mut dependents: HashSet<String> = sources.iter().map(ToString::to_string).collect();
    for node in graph.nodes() {
        if node.reads().any(|input| dependents.contains(input)) {
            let numbers = |output: &str| graph.element(output).is_none_or(|element| element == Element::Float);
            let given = node.outputs.iter().filter(|output| !output.is_empty() && numbers(output));
            dependents.extend(given.filter(|output| !cuts.contains(&output.as_str())).cloned());
        }
    }
    dependents
}

/// Every value that `output` depends on, itself among them.
pub(super) fn sources(graph: &Graph, output: &str) -> HashSet<String> {
    let mut sources = HashSet::from([output.to_owned()]);
    for node in graph.nodes().iter().rev() {
        if node.outputs.iter().any(|output| sources.contains(output)) {
            sources.extend(node.reads().map(str::to_owned));
        }
    }
    sources
}

/// The first node behind `target` whose derivative depends on the input: nobody can make the gradient a constant there.
pub(super) fn first_nonlinear(graph: &Graph, output: &str, target: &str) -> Result<Option<Arc<Node>>, GradientError> {
    let (behind, before) = (dependents(graph, &[target], &[target]), sources(graph, output));
    let mut trial = graph.clone();
    trial.set_rows(1);
    for node in graph.nodes() {
        // Sizes and conditions are read on the way as well, but nothing is differentiated through them.
        let between = |output: &String| before.contains(output) && behind.contains(output) && *output != target;
        let in_flight = node.outputs.iter().any(between);
        if !in_flight {
            continue;
        }
        let mut given = Vec::new();
        for output in &node.outputs {
            given.push(match before.contains(output) {
                true => {
                    let shape = trial.shape(output)?.to_vec();
                    let count = shape.iter().product();
                    Some(trial.emit_constant(Tensor::new(shape, vec![1.0; count]))?)
                }
                false => None,
            });
        }
        for (index, _) in node.inputs.iter().enumerate().filter(|(_, input)| behind.contains(*input)) {
            let part = graph.rule(node)?.cotangent(&mut trial, node, index, &given)?;
            if part.is_some_and(|part| trial.constant(&part).is_none()) {
                return Ok(Some(node.clone()));
            }
        }
    }
    Ok(None)
}

/// Reverse mode from the cotangent `seed` of `output`: the name of ∂output/∂target for every target.
pub(super) fn walk(
    graph: &mut Graph,
    output: &str,
    seed: String,
    targets: &[&str],
) -> Result<Vec<String>, GradientError> {
    let dependents = dependents(graph, targets, targets);
    let nodes = graph.nodes().to_vec();
    let mut cotangents: HashMap<String, String> = HashMap::from([(output.to_owned(), seed)]);
    for node in nodes.iter().rev() {
        // A target's own producer lies before the cut.
        let given = node.outputs.iter().map(|output| match targets.contains(&output.as_str()) {
            true => None,
            false => cotangents.get(output).cloned(),
        });
        let given: Vec<Option<String>> = given.collect();
        if given.iter().all(Option::is_none) || !node.reads().any(|input| dependents.contains(input)) {
            continue;
        }
        if node.captured.iter().any(|input| dependents.contains(input)) {
            return Err(node.no_rule());
        }
        let rule = graph.rule(node)?;
        for (index, input) in node.inputs.iter().enumerate().filter(|(_, input)| dependents.contains(*input)) {
            let Some(part) = rule.cotangent(graph, node, index, &given)? else { continue };
            if graph.constant(&part).is_some_and(|part| part.data().iter().all(|&value| value == 0.0)) {
                continue;
            }
            fits(graph, node, index, &part)?;
            let sum = match cotangents.get(input) {
                Some(other) => graph.emit("Add", &[&other.clone(), &part], Vec::new())?,
                None => part,
            };
            cotangents.insert(input.clone(), sum);
        }
    }
    let mut found = Vec::new();
    for &target in targets {
        found.push(match cotangents.get(target) {
            Some(cotangent) => cotangent.clone(),
            None if dependents.contains(output) && depends(graph, target, output, &others(targets, target)) => {
                let shape = with_rows(graph, target)?;
                graph.emit_constant(Tensor::zeros(shape))?
            }
            None => {
                let (output, target) = (output.to_owned(), target.to_owned());
                return Err(GradientError::Independent { output, target });
            }
        });
    }
    Ok(found)
}

/// Elements of a gradient for which it is tried whether it is constant: 16 MB of f32.
pub(super) const TRIED_MAX: usize = 1 << 22;

fn others<'a>(targets: &[&'a str], own: &str) -> Vec<&'a str> {
    targets.iter().copied().filter(|&target| target != own).collect()
}

/// The shape of a value's cotangent.
pub(super) fn with_rows(graph: &Graph, value: &str) -> Result<Vec<usize>, GradientError> {
    let mut shape = graph.shape(value)?.to_vec();
    if let (Some(first), true) = (shape.first_mut(), graph.rows() > 1) {
        *first = graph.rows();
    }
    Ok(shape)
}

/// A rule that gives another shape than its operand has would go unnoticed until the graph runs, where broadcasting hides it.
fn fits(graph: &Graph, node: &Node, index: usize, part: &str) -> Result<(), GradientError> {
    let expected = node.input(index).map_or_else(|| Ok(Vec::new()), |input| with_rows(graph, input))?;
    match graph.shape(part)? {
        found if found == expected => Ok(()),
        found => Err(node.fault(format!("a cotangent of shape {found:?} for operand {index} of shape {expected:?}"))),
    }
}

/// ∂output/∂target of every output, [outputs, …], for each target; `None` where it depends on the input.
pub(super) fn constant_gradient(
    graph: &Graph,
    output: &str,
    outputs: usize,
    targets: &[&str],
) -> Result<Vec<Option<Vec<f32>>>, GradientError> {
    let size: usize = targets.iter().filter_map(|target| graph.shape(target).ok()).flatten().product();
    if outputs.saturating_mul(size.max(outputs)) > TRIED_MAX {
        return Ok(vec![None; targets.len()]);
    }
    let shape = graph.shape(output)?.to_vec();
    let mut trial = graph.clone();
    trial.set_rows(outputs);
    let identity = trial.emit_constant(Tensor::identity(outputs))?;
    let seed = trial.emit_reshape(&identity, &with_rows(&trial, output)?)?;
    let constants = |graph: &Graph, gradients: &[String]| -> Vec<Option<Vec<f32>>> {
        gradients.iter().map(|gradient| graph.constant(gradient).map(Tensor::to_f32)).collect()
    };
    match walk(&mut trial, output, seed, targets) {
        Ok(gradients) => Ok(constants(&trial, &gradients)),
        // The outputs cannot share one walk, so each has its own.
        Err(GradientError::Rows { .. }) => {
            let mut rows: Vec<Option<Vec<f32>>> = vec![Some(Vec::new()); targets.len()];
            for index in 0..outputs {
                let mut trial = graph.clone();
                trial.set_rows(1);
                let mut chosen = Tensor::zeros(shape.clone());
                chosen.data_mut()[index] = 1.0;
                let seed = trial.emit_constant(chosen)?;
                let gradients = walk(&mut trial, output, seed, targets)?;
                for (row, constant) in rows.iter_mut().zip(constants(&trial, &gradients)) {
                    *row = row.take().zip(constant).map(|(row, more)| [row, more].concat());
                }
                if rows.iter().all(Option::is_none) {
                    break;
                }
            }
            Ok(rows)
        }
        Err(error) => Err(error),
    }
}

/// How many outputs the network has.
pub(super) fn outputs(graph: &Graph, output: &str) -> Result<usize, GradientError> {
    let found = graph.shape(output)?;
    match found.first() {
        None | Some(1) => elements(found),
        Some(_) => {
            let (name, found) = (output.to_owned(), found.to_vec());
            Err(GradientError::Shape { name, found, expected: "[1, outputs]" })
        }
    }
}
