//! The exported networks of tests/fixtures/gradient, and what automatic differentiation says about them.

use std::path::PathBuf;

use onnx_gradient::external::{self, side_files};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::proto;
use serde::Deserialize;

use crate::root::root;

#[derive(Deserialize)]
struct Table {
    file: Vec<File>,
}

/// An exported network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) name: String,
    /// Which one, for messages.
    pub(crate) exporter: String,
    /// The name of the network: one for all of its exports.
    pub(crate) reference: String,
    /// Shape of one input.
    pub(crate) input: Vec<usize>,
    pub(crate) output: String,
    /// The value that was differentiated: the output, or what the output's SoftMax takes.
    pub(crate) explained: String,
    /// What `--shape` must say, where the file leaves dimensions open.
    pub(crate) shape: Option<String>,
    #[serde(default, rename = "target")]
    pub(crate) targets: Vec<Module>,
}

/// A module of the network whose output is a target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Module {
    pub(crate) module: String,
    /// The value of the graph that holds its output.
    pub(crate) value: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) channel_last: bool,
    /// Other names of the same value: the node that gives it, the weight of that node.
    pub(crate) also: Vec<String>,
    /// Whether dY/dA is the same for every input, and at every position.
    pub(crate) constant: bool,
    pub(crate) position_independent: bool,
}

/// One input, and what autograd gave for it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) x: Vec<f64>,
    pub(crate) y: Vec<f64>,
    /// For each target A, [maps][cells], and dY/dA, [outputs][maps][cells].
    pub(crate) targets: Vec<(Vec<f64>, Vec<f64>)>,
}

impl File {
    /// With the numbers that lie in files beside it.
    pub(crate) fn model(&self) -> ModelProto {
        let mut model = self.alone();
        let names = side_files(&model).expect("names of files");
        let content = |name: String| (name.clone(), std::fs::read(folder().join(name)).expect("the file is there"));
        external::load(&mut model, &names.into_iter().map(content).collect()).expect("the numbers are there");
        model
    }

    /// As the ONNX file itself has it.
    pub(crate) fn alone(&self) -> ModelProto {
        proto::decode(&std::fs::read(self.path()).expect("the file is there")).expect("an ONNX file")
    }

    pub(crate) fn path(&self) -> PathBuf {
        folder().join(format!("{}.onnx", self.name))
    }

    /// Every input with its reference.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let (columns, values) = npy(&self.reference);
        let points = self.input.iter().product();
        let sizes: Vec<usize> = self.targets.iter().map(|target| target.shape.iter().product()).collect();
        let cells: usize = sizes.iter().sum();
        // x, y, and for each target A and as many gradients as there are outputs.
        let outputs = (columns - points - cells) / (1 + cells);
        assert_eq!(points + outputs + cells * (1 + outputs), columns, "{}: the table fits the reference", self.name);
        let rows = values.chunks(columns).map(|row| {
            let mut rest = row;
            let mut take = |count: usize| {
                let (taken, left) = rest.split_at(count);
                rest = left;
                taken.to_vec()
            };
            let (x, y) = (take(points), take(outputs));
            let targets = sizes.iter().map(|&size| (take(size), take(outputs * size))).collect();
            Row { x, y, targets }
        });
        rows.collect()
    }
}

impl Module {
    /// [maps][cells] of a value in the layout of the graph.
    pub(crate) fn maps_first(&self, values: &[f64]) -> Vec<f64> {
        if !self.channel_last {
            return values.to_vec();
        }
        let maps = *self.shape.last().expect("a shape");
        let cells = self.shape.iter().product::<usize>() / maps;
        values
            .chunks(maps * cells)
            .flat_map(|row| (0..maps * cells).map(|at| row[at % cells * maps + at / cells]))
            .collect()
    }
}

pub(crate) fn folder() -> PathBuf {
    root().join("tests/fixtures/gradient")
}

/// Every file of a table: "torch", "keras", "matlab".
pub(crate) fn files(table: &str) -> Vec<File> {
    let text = std::fs::read_to_string(folder().join(format!("{table}.toml"))).expect("the table is there");
    toml::from_str::<Table>(&text).expect("the table as make.py writes it").file
}

pub(crate) fn file(name: &str) -> File {
    let all = ["torch", "keras", "matlab"].into_iter().flat_map(files);
    all.into_iter().find(|file| file.name == name).unwrap_or_else(|| panic!("no file {name}"))
}

/// Columns and values of a two-dimensional array of f64 as numpy writes it.
fn npy(name: &str) -> (usize, Vec<f64>) {
    let bytes = std::fs::read(folder().join(format!("{name}.npy"))).expect("the reference is there");
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_len]).expect("ASCII");
    assert!(header.contains("'<f8', 'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).expect("a shape");
    let columns = shape.split(',').nth(1).expect("two dimensions").trim().parse().expect("a number");
    let (values, rest) = bytes[10 + header_len..].as_chunks();
    assert!(rest.is_empty(), "whole numbers");
    (columns, values.iter().map(|&value| f64::from_le_bytes(value)).collect())
}
