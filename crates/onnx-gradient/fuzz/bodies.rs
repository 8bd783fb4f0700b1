//! What the fuzz targets do with their bytes: shared by libFuzzer and by the ordinary test.

use std::collections::{BTreeMap, HashMap};

use onnx_gradient::{
    Graph, MapOf, Seed, Target, Tensor, attach_map, auto_layer, earlier_layer, explained, external, proto,
};

#[path = "networks.rs"]
mod networks;

/// Any bytes are refused or are a model; what it becomes as a file is read as the same model, to the last byte.
pub(crate) fn decode(bytes: &[u8]) {
    let Ok(model) = proto::decode(bytes) else { return };
    let file = proto::encode(&model);
    let again = proto::decode(&file).expect("what was written can be read");
    assert_eq!(proto::encode(&again), file);
    // What is asked of a model before its graph is known to be valid.
    let _ = external::side_files(&model);
    let _ = external::load(&mut model.clone(), &BTreeMap::new());
    let _ = Graph::new(&model);
}

/// Any bytes are refused or give a network; what can be attached to it is a valid graph again that computes the same outputs.
/// Bytes that begin as ONNX files do are taken as one; others describe a small network, and how its file is damaged.
pub(crate) fn attach(bytes: &[u8]) {
    match bytes.split_first() {
        Some((&ONNX_BEGINS, _)) => attach_to_file(bytes),
        Some((&damage, rest)) => {
            let (changes, description) = rest.split_at((usize::from(damage) % 4 * 3).min(rest.len()));
            let mut file = proto::encode(&networks::network(description));
            for change in changes.as_chunks::<3>().0 {
                let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % file.len();
                file[place] = change[2];
            }
            attach_to_file(&file);
        }
        None => {}
    }
}

/// The tag of the first field, `ir_version`.
const ONNX_BEGINS: u8 = 0x08;
/// Of two evaluations in f64 of the same nodes.
const SAME: f64 = 1e-9;

fn attach_to_file(bytes: &[u8]) {
    let Ok(model) = proto::decode(bytes) else { return };
    let Ok(graph) = Graph::new(&model) else { return };
    let Ok(output) = explained(&graph, None) else { return };
    let Ok(layer) = auto_layer(&graph, &output.value) else { return };
    let _ = earlier_layer(&graph, &output.value, &layer.value);
    let target = Target { tensor: &layer.value, activation: "grad/activation", gradient: "grad/gradient" };
    let seeds = [Seed::ArgMax, Seed::All, Seed::ClassIndex, Seed::Cotangent];
    let walked = seeds.map(|seed| onnx_gradient::attach(&model, &output.value, seed, &[target]));
    let mapped = [MapOf::Winner, MapOf::All].map(|of| attach_map(&model, &output.value, of, &layer.value, "grad/map"));
    for attached in walked.into_iter().chain(mapped).flatten() {
        let again = proto::decode(&proto::encode(&attached.model)).expect("what was written can be read");
        let grown = Graph::new(&again).expect("what was attached is a valid graph");
        let added = grown.outputs().last().expect("more outputs than before").clone();
        assert!(["grad/gradient", "grad/map"].contains(&added.as_str()));
        let mut given = HashMap::new();
        for input in grown.inputs() {
            let shape = grown.shape(input).expect("inputs are declared").to_vec();
            let count = shape.iter().product();
            given.insert(input.clone(), Tensor::new(shape, (0..count).map(|at| (at as f64).sin()).collect()));
        }
        let Ok(before) = graph.evaluate(&given, &[&output.value]) else { continue };
        let after = grown.evaluate(&given, &[&output.value, &added]).expect("what was attached can be computed");
        assert_eq!(Ok(after[&added].shape()), grown.shape(&added), "{added} is as it was declared");
        let pairs = before[&output.value].data().iter().zip(after[&output.value].data());
        let alike = |(own, found): (&f64, &f64)| {
            (own - found).abs() <= SAME * own.abs() || own.to_bits() == found.to_bits() || own.is_nan()
        };
        assert!(pairs.into_iter().all(alike), "the outputs are what they were");
    }
}
