//! What the fuzz targets do with their bytes: shared by libFuzzer and by the ordinary test.

use std::collections::HashMap;
use std::path::Path;

use onnx_gradient::{
    Graph, MapOf, Seed, Target, Tensor, attach as attach_to, attach_map, auto_layer, dropped, earlier_layer, explained,
    proto,
};
use ramand::acquire::capture::{self, Conversation};
use ramand::update::{Keyring, Package};
use ramand_core::archive;
use ramand_recording::{self as recording, Curve};

#[path = "networks.rs"]
mod networks;

/// Any text is a spectrum of finite numbers or is refused.
pub(crate) fn jcamp(bytes: &[u8]) {
    if let Ok(curve) = recording::jcamp::read(&String::from_utf8_lossy(bytes)) {
        is_a_spectrum(&curve);
    }
}

/// Any bytes are spectra of finite numbers or are refused.
pub(crate) fn spc(bytes: &[u8]) {
    if let Ok(curves) = recording::spc::read(bytes) {
        assert!(!curves.is_empty());
        curves.iter().for_each(is_a_spectrum);
    }
}

/// Any text is refused or is a conversation that reads back as it was written; the driver survives whatever it says.
pub(crate) fn conversation(bytes: &[u8]) {
    let Ok(conversation) = Conversation::parse(&String::from_utf8_lossy(bytes)) else { return };
    let again = Conversation::parse(&conversation.encode()).expect("what was written can be read");
    let events = |conversation: &Conversation| -> Vec<(std::time::Duration, capture::CaptureEvent)> {
        conversation.moments.iter().map(|moment| (moment.at, moment.event.clone())).collect()
    };
    assert_eq!(events(&again), events(&conversation));
    let mut spectra = 0;
    let _ = capture::replay(&conversation, |outcome| spectra += usize::from(outcome.is_ok()));
    assert!(spectra <= conversation.moments.len());
}

/// Any bytes are refused or are files with plain names; those are written and read back the same.
pub(crate) fn archive(bytes: &[u8]) {
    read_archive(bytes);
    // The first header's checksum, mended: what hides behind it is read as well.
    let mut mended = bytes.to_vec();
    if let Some(header) = mended.get_mut(..512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        read_archive(&mended);
    }
}

fn read_archive(bytes: &[u8]) {
    let Ok(files) = archive::read(bytes) else { return };
    assert!(files.len() <= archive::ENTRIES_MAX);
    for name in files.keys() {
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']), "{name:?}");
    }
    if let Ok(written) = archive::write(&files) {
        assert_eq!(archive::read(written.as_slice()).expect("what was written can be read"), files);
    }
    // Signed by a key that nobody trusts, whatever it holds.
    let nobody = Keyring::read(Path::new("/nonexistent")).expect("no folder, no keys");
    assert!(Package::read(bytes, &nobody).is_err());
}

fn is_a_spectrum(curve: &Curve) {
    assert!(curve.abscissae.len() >= 2 && curve.abscissae.len() == curve.ordinates.len());
    assert!(curve.abscissae.iter().all(|x| x.is_finite()) && curve.ordinates.iter().all(|y| y.is_finite()));
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
    dropped(bytes);
    let Ok(model) = proto::decode(bytes) else { return };
    let Ok(graph) = Graph::new(&model) else { return };
    let Ok(output) = explained(&graph, None) else { return };
    let Ok(layer) = auto_layer(&graph, &output.value) else { return };
    let _ = earlier_layer(&graph, &output.value, &layer.value);
    let target = Target { tensor: &layer.value, activation: "grad/activation", gradient: "grad/gradient" };
    let seeds = [Seed::ArgMax, Seed::All, Seed::ClassIndex, Seed::Cotangent];
    let walked = seeds.map(|seed| attach_to(&model, &output.value, seed, &[target]));
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
