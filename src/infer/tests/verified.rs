//! The checks of `model verify`: a sound bundle passes all of them, and each finds what it is for.

use super::bundles::{Draft, draft, graph};
use crate::gradient::proto;
use crate::infer::verify::verify;

fn failures(draft: Draft) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("random");
    draft.write(&path);
    let checks = verify(&path);
    let failed =
        checks.iter().filter_map(|check| check.outcome.as_ref().err().map(|why| format!("{}: {why}", check.name)));
    let failed: Vec<String> = failed.collect();
    assert!(!failed.is_empty() || checks.len() >= 8, "everything was checked: {checks:?}");
    failed
}

/// Multiplies one number of an initialiser.
fn scale(draft: &mut Draft, named: &str, factor: f32) {
    let bytes = draft.files.get_mut("model.onnx").expect("there");
    let mut model = proto::decode(bytes).expect("ONNX");
    let node = graph(&mut model).node.iter().find(|node| node.output[0] == named).cloned();
    let name = node.map_or(named.to_owned(), |node| node.input[0].clone());
    let tensor = graph(&mut model).initializer.iter_mut().find(|tensor| tensor.name == name).expect("there");
    let mut data: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let largest = data.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs())).expect("numbers");
    *largest *= factor;
    tensor.raw_data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
    *bytes = proto::encode(&model);
}

#[test]
fn a_sound_bundle_passes() {
    assert_eq!(failures(draft(1)), Vec::<String>::new());
    assert_eq!(failures(draft(3)), Vec::<String>::new());
}

#[test]
fn every_check_finds_what_it_is_for() {
    type Damage = fn(&mut Draft);
    let cases: [(&str, Damage); 4] = [
        ("gradient of target 0", |draft| scale(draft, "dYdA0", 1.001)),
        ("gradient of target 1", |draft| scale(draft, "dYdA1", 1.001)),
        ("completeness", |draft| {
            draft.manifest.network.offset[0] += 0.5;
            draft.manifest.reference.output[0] += 0.5;
        }),
        ("files, hashes", |draft| draft.manifest.network.targets[0].receptive_field = 9),
    ];
    for (expected, damage) in cases {
        let mut draft = draft(1);
        damage(&mut draft);
        let failed = failures(draft);
        assert!(failed.iter().any(|failure| failure.starts_with(expected)), "{expected}: {failed:?}");
    }
}
