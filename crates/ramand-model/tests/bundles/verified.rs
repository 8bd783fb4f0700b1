//! The checks of `model verify`: a sound bundle passes all of them, and each finds what it is for.

use super::networks::{Head, Residual, residual};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{ACTIVATION, GRADIENT, MAP, MapOf, Seed, Target, attach, attach_map, proto};
use proptest::prelude::*;

use super::bundles::{Draft, POINTS, draft, graph};
use ramand_model::verify::{Check, verify, verify_file};

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
    scale_in(&mut model, named, factor);
    *bytes = proto::encode(&model);
}

/// Multiplies the largest number of an initialiser, or of the one that a node of that name shows.
fn scale_in(model: &mut ModelProto, named: &str, factor: f32) {
    let node = graph(model).node.iter().find(|node| node.output[0] == named).cloned();
    let name = node.map_or(named.to_owned(), |node| node.input[0].clone());
    let tensor = graph(model).initializer.iter_mut().find(|tensor| tensor.name == name).expect("there");
    let mut data: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let largest = data.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs())).expect("numbers");
    *largest *= factor;
    tensor.raw_data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
}

/// A network of three outputs as `ramand model attach` writes it.
fn file(head: Head, seed: Seed, layer: &str) -> ModelProto {
    let model = residual(Residual { channels: 1, points: POINTS, outputs: 3, head }, 21);
    let target = Target { tensor: layer, activation: ACTIVATION, gradient: GRADIENT };
    attach(&model, "y", seed, &[target]).expect("differentiable").model
}

fn outcome<'c>(checks: &'c [Check], named: &str) -> &'c Result<String, String> {
    let found = checks.iter().find(|check| check.name.contains(named));
    &found.unwrap_or_else(|| panic!("no check '{named}' among {checks:?}")).outcome
}

#[test]
fn a_file_passes_whatever_seed_it_was_attached_with_and_every_planted_fault_is_noticed() {
    for seed in [Seed::ArgMax, Seed::ClassIndex, Seed::Cotangent, Seed::All] {
        let checks = verify_file(file(Head::TwoLayers, seed, "stem"), "y", "").expect("a graph").expect("a gradient");
        assert!(checks.iter().all(|check| check.outcome.is_ok()), "{seed:?}: {checks:?}");
        assert_eq!(checks.len(), 8, "{checks:?}");
        for fault in ["the wrong class", "times 1.001", "unflipped", "phase swapped"] {
            let told = outcome(&checks, fault).as_ref().expect("noticed");
            assert!(told.contains("relative error"), "{seed:?}, {fault} applies here: {told}");
        }
    }
    // Behind the last activation of this head nothing is walked through: the faults that need a kernel do not apply.
    let checks = verify_file(file(Head::Average, Seed::All, "stage"), "y", "").expect("a graph").expect("a gradient");
    assert!(checks.iter().all(|check| check.outcome.is_ok()), "{checks:?}");
    assert!(outcome(&checks, "unflipped").as_ref().is_ok_and(|told| told.starts_with("does not apply")));
    assert!(outcome(&checks, "completeness").as_ref().is_ok_and(|told| told.starts_with("the map adds up")));
}

#[test]
fn a_map_alone_is_checked_as_well() {
    let model = residual(Residual { channels: 1, points: POINTS, outputs: 3, head: Head::Average }, 21);
    for of in [MapOf::Winner, MapOf::All] {
        let mapped = attach_map(&model, "y", of, "stage", MAP).expect("linear").model;
        let checks = verify_file(mapped.clone(), "y", "stage").expect("a graph").expect("a map");
        assert!(checks.iter().all(|check| check.outcome.is_ok()), "{of:?}: {checks:?}");
        let checks = verify_file(mapped, "y", "first").expect("a graph").expect("a map");
        assert!(outcome(&checks, "map of target 0").is_err(), "the map is another layer's: {checks:?}");
    }
    assert_eq!(verify_file(model, "y", "stage").expect("a graph"), None, "there is nothing to check");
}

#[test]
fn a_wrong_gradient_in_a_file_is_found() {
    let mut model = file(Head::Average, Seed::All, "stage");
    scale_in(&mut model, GRADIENT, 1.001);
    let checks = verify_file(model, "y", "").expect("a graph").expect("a gradient");
    assert!(outcome(&checks, "gradient of target 0").is_err(), "{checks:?}");
    assert!(!checks.iter().any(|check| check.name.contains("self-test")), "faults tell nothing beside a fault");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_file_makes_it_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = proto::encode(&file(Head::Average, Seed::ArgMax, "stage"));
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(model) = proto::decode(&bytes) {
            let _ = verify_file(model, "y", "stage");
        }
    }
}
