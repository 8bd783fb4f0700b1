//! Taking in one node after the other: names, shapes, and what is known before anything runs.

use std::sync::Arc;

use super::Graph;
use crate::error::{GradientError, limited};
use crate::fact::Fact;
use crate::node::Node;
use crate::tensor::{Tensor, elements};

/// Elements of all values together, weights included: 256 MB of f32 is no network for the edge.
const TOTAL_ELEMENTS_MAX: usize = 1 << 26;
/// Multiplications spent on folding constants: more than the constants of a network for spectra need, and soon done.
const FOLDING_MAX: u64 = 1 << 28;

impl Graph {
    /// Takes in a node whose operands are there already: finds what its outputs are, and calculates them where all
    /// operands are constant.
    pub(crate) fn add(&mut self, node: Node) -> Result<(), GradientError> {
        for name in node.inputs.iter().chain(&node.captured).filter(|name| !name.is_empty()) {
            if !self.names.contains(name) {
                return Err(GradientError::Unresolved { node: node.name.clone(), value: name.clone() });
            }
        }
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            self.provide(name)?;
        }
        let node = Arc::new(node);
        let place = self.nodes.len();
        self.producers.extend(node.outputs.iter().filter(|name| !name.is_empty()).map(|name| (name.clone(), place)));
        for name in node.reads() {
            let places = self.consumers.entry(name.to_owned()).or_default();
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
        self.nodes.push(node.clone());
        if node.op == "Constant" {
            return match node.constant()? {
                Some(tensor) => self.set_constant(node.output(), tensor),
                None => Ok(()),
            };
        }
        let Ok(rule) = self.rule(&node) else {
            self.unknown.push(node);
            return Ok(());
        };
        // A value of unknown shape is not this operator's fault: it passes the ignorance on.
        if !node.inputs.iter().all(|name| name.is_empty() || self.facts.contains_key(name)) {
            return Ok(());
        }
        let facts = rule.facts(self, &node)?;
        let work = rule.work(self, &node, &facts);
        for (name, fact) in node.outputs.iter().zip(&facts).filter(|(name, _)| !name.is_empty()) {
            self.set_fact(name, fact.clone())?;
        }
        let values = match rule.known(self, &node) {
            Some(value) => vec![value],
            None => {
                let operands = (0..node.inputs.len()).map(|index| match node.input(index) {
                    Some(name) => self.constant(name).map(Some),
                    None => Some(None),
                });
                let operands: Option<Vec<Option<&Tensor>>> = operands.collect();
                let affordable = self.folding.saturating_add(work) <= FOLDING_MAX;
                let Some(operands) = operands.filter(|operands| affordable && !operands.is_empty()) else {
                    return Ok(());
                };
                let values = rule.values(self, &node, &operands)?;
                self.folding += work;
                values
            }
        };
        for ((name, fact), value) in
            node.outputs.iter().zip(facts).zip(values).filter(|((name, _), _)| !name.is_empty())
        {
            self.constants.insert(name.clone(), Arc::new(value.with_element(fact.element)));
        }
        Ok(())
    }

    /// Adds an input that the caller's file has not.
    pub(crate) fn add_input(&mut self, name: &str, fact: Fact) -> Result<(), GradientError> {
        self.provide(name)?;
        self.set_fact(name, fact)?;
        self.inputs.push(name.to_owned());
        Ok(())
    }

    pub(crate) fn provide(&mut self, name: &str) -> Result<(), GradientError> {
        if self.names.insert(name.to_owned()) { Ok(()) } else { Err(GradientError::Twice { value: name.to_owned() }) }
    }

    pub(crate) fn set_constant(&mut self, name: &str, constant: Tensor) -> Result<(), GradientError> {
        self.set_fact(name, Fact { shape: constant.shape().to_vec(), element: constant.element() })?;
        self.constants.insert(name.to_owned(), Arc::new(constant));
        Ok(())
    }

    pub(crate) fn set_fact(&mut self, name: &str, fact: Fact) -> Result<(), GradientError> {
        self.total_elements += elements(&fact.shape)?;
        limited("elements of all tensors together", self.total_elements, TOTAL_ELEMENTS_MAX)?;
        self.facts.insert(name.to_owned(), fact);
        Ok(())
    }
}
