//! Bundles that are not what they say: each a typed error that names file and field, none a panic.

use std::fs;
use std::path::Path;

use onnx_gradient::onnx::GraphProto;
use onnx_gradient::proto;
use proptest::prelude::*;
use ramand_core::npy::Table;

use super::bundles::{Draft, draft, graph};
use super::networks::enlarge;
use ramand_model::{Bundle, Model};

/// The message of the error that opening gives, causes included.
fn refusal(folder: &Path) -> String {
    format!("{:#}", anyhow::Error::new(Model::open(folder).expect_err("it must be refused")))
}

#[test]
fn what_changed_after_writing_is_noticed() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 9] = [
        ("model.onnx: its SHA-256 is", |folder| {
            let path = folder.join("model.onnx");
            let mut bytes = fs::read(&path).expect("there");
            bytes[1000] ^= 1;
            fs::write(path, bytes).expect("written");
        }),
        ("folds.csv: its SHA-256 is", |folder| fs::write(folder.join("folds.csv"), "id").expect("written")),
        ("failed to read", |folder| fs::remove_file(folder.join("gate.npy")).expect("there")),
        ("reference-0.npy is not a file", |folder| {
            fs::remove_file(folder.join("reference-0.npy")).expect("there");
            fs::create_dir(folder.join("reference-0.npy")).expect("made");
        }),
        ("manifest.toml has more than 1048576 bytes", |folder| {
            fs::write(folder.join("manifest.toml"), vec![b' '; (1 << 20) + 1]).expect("written");
        }),
        ("manifest.toml is not UTF-8", |folder| {
            fs::write(folder.join("manifest.toml"), [0xff]).expect("written");
        }),
        ("(cells)", |folder| edit(folder, "claim = \"random weights\"", "claims = \"(cells)\"")),
        ("the shape of the input is [1, 1, 62], the manifest says [1, 1, 63]", |folder| {
            edit(folder, "points = 62", "points = 63");
        }),
        ("the sum of the reference maps plus network.offset, output 0, is", |folder| {
            let text = fs::read_to_string(folder.join("manifest.toml")).expect("there");
            let line = text.lines().find(|line| line.starts_with("offset")).expect("an offset").to_owned();
            edit(folder, &line, "offset = [99.0]");
        }),
    ];
    for (expected, damage) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("random");
        draft(1).write(&path);
        Model::open(&path).expect("undamaged");
        damage(&path);
        let message = refusal(&path);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

fn edit(folder: &Path, from: &str, to: &str) {
    let path = folder.join("manifest.toml");
    let text = fs::read_to_string(&path).expect("there");
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replacen(from, to, 1)).expect("written");
}

#[test]
fn what_never_fitted_is_noticed_though_the_hashes_are_right() {
    type Damage = fn(&mut Draft);
    let onnx = |draft: &mut Draft, change: fn(&mut onnx_gradient::onnx::GraphProto)| {
        let bytes = draft.files.get_mut("model.onnx").expect("there");
        let mut model = proto::decode(bytes).expect("ONNX");
        change(graph(&mut model));
        *bytes = proto::encode(&model);
    };
    let cases: [(&str, Damage); 12] = [
        ("not an ONNX file", |draft| draft.files.get_mut("model.onnx").expect("there").truncate(5000)),
        ("not an ONNX file", |draft| {
            let noise: Vec<u8> = (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            draft.files.insert("model.onnx".into(), noise);
        }),
        ("the ONNX file holds no graph", |draft| drop(draft.files.insert("model.onnx".into(), vec![]))),
        ("elements of one tensor", |draft| {
            let bytes = draft.files.get_mut("model.onnx").expect("there");
            let mut model = proto::decode(bytes).expect("ONNX");
            enlarge(&mut graph(&mut model).input[0], 1 << 45);
            *bytes = proto::encode(&model);
        }),
        ("reference-1.npy: shape is [1, 61], the manifest says [1, 62]", |draft| {
            draft.files.insert("reference-1.npy".into(), Table::new(61, vec![0.0; 61]).to_bytes());
        }),
        ("reference-0.npy: not a NumPy file", |draft| drop(draft.files.insert("reference-0.npy".into(), vec![1]))),
        ("gate.npy: shape is [1, 62], the manifest says [2, 62]", |draft| {
            draft.files.insert("gate.npy".into(), Table::new(62, vec![0.0; 62]).to_bytes());
        }),
        ("its gate is unusable", |draft| {
            draft.files.insert("gate.npy".into(), Table::new(62, vec![1.0; 124]).to_bytes());
        }),
        ("(first cell, stride, receptive field) of 'A0' is Some((0.0, 4.0, 7))", |draft| {
            draft.manifest.network.targets[0].first_cell = 1.5;
        }),
        ("the list of outputs is", |draft| draft.manifest.network.targets[0].gradient = "stem".into()),
        ("the input is [\"x\"], the manifest says [\"z\"]", |draft| draft.manifest.network.input = "z".into()),
        ("the shape of the output is [1, 1], the manifest says [1, 2]", |draft| {
            draft.manifest.task = ramand_model::manifest::Task::Classification;
            draft.manifest.conformal = None;
            draft.manifest.output.unit = None;
            draft.manifest.output.labels = Some(vec!["a".into(), "b".into()]);
            draft.manifest.output.temperature = Some(1.0);
            draft.manifest.network.offset.push(0.0);
            draft.manifest.reference.output.push(0.0);
        }),
    ];
    for (expected, damage) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("random");
        let mut draft = draft(1);
        damage(&mut draft);
        draft.write(&path);
        let message = refusal(&path);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    // These could ask tract for any amount of memory; an operator nobody here understands, too.
    type Ask = fn(&mut GraphProto);
    let cases: [(&str, Ask); 2] = [
        ("elements of one tensor", |graph| {
            graph.initializer.push(proto::integers("huge", &[1 << 40]));
            graph.node.push(proto::node("ConstantOfShape", &["huge"], "zeros", vec![]));
        }),
        ("RandomNormalLike", |graph| {
            let first = graph.initializer[0].name.clone();
            graph.node.push(proto::node("RandomNormalLike", &[&first], "noise", vec![]));
        }),
    ];
    for (expected, damage) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("random");
        let mut asking = draft(1);
        onnx(&mut asking, damage);
        asking.write(&path);
        assert!(refusal(&path).contains(expected), "{expected}: {}", refusal(&path));
    }
}

#[test]
fn a_bundle_is_written_once_and_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("random");
    let identity = draft(3).write(&path);
    let opened = Bundle::open(&path).expect("a bundle");
    assert_eq!(opened.identity, identity);
    assert_eq!(opened.manifest.files.keys().collect::<Vec<_>>(), ["folds.csv"]);
    let again = draft(3);
    let error = Bundle::write(&path, again.manifest, &again.files).expect_err("it exists").to_string();
    assert!(error.contains("a bundle never changes"), "{error}");
    let mut incomplete = draft(3);
    incomplete.files.remove("gate.npy");
    let other = folder.path().join("other");
    let error = Bundle::write(&other, incomplete.manifest, &incomplete.files).expect_err("incomplete").to_string();
    assert!(error.contains("'gate.npy', which was not given"), "{error}");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("there").filter_map(Result::ok).collect();
    assert_eq!(left.len(), 1, "nothing half-written is left: {left:?}");
    // The same content has the same identity, wherever it is written.
    assert_eq!(draft(3).write(&other), identity);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Hash and bytes are consistent, so that everything behind the hash check is exposed.
    #[test]
    fn no_network_makes_it_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("random");
        let mut draft = draft(1);
        let bytes = draft.files.get_mut("model.onnx").expect("there");
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        draft.write(&path);
        let _ = Model::open(&path);
    }
}
