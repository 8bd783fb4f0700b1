//! Bundles whose predictions carry an interval or a set, and files that do not bear out what the manifest says of them.

use ramand_core::npy::Table;
use ramand_core::outcome::Prediction;
use ramand_core::preprocess::Workspace;

use super::bundles::{Draft, draft, spectrum};
use ramand_model::Model;

fn opened(draft: Draft) -> Result<Model, ramand_model::ModelError> {
    let folder = tempfile::tempdir().expect("a folder");
    draft.write(&folder.path().join("random"));
    Model::open(&folder.path().join("random"))
}

fn judged(model: &Model) -> Prediction {
    let mut session = model.session().expect("buffers");
    let raw = spectrum(700.0, 1100.0, 970.0);
    let preprocessed = model.pipeline().preprocess(&raw, &mut Workspace::default()).expect("covered");
    model.judge(&mut session, &preprocessed).expect("it runs").prediction
}

#[test]
fn a_value_has_its_interval_and_a_kind_its_set() {
    let model = opened(draft(1)).expect("a bundle");
    let Prediction::Value { value, interval: Some(interval), .. } = judged(&model) else { panic!("an interval") };
    assert_eq!((interval.lower, interval.upper, interval.confidence), (value - 12.0, value + 12.0, 0.9));
    let model = opened(draft(3)).expect("a bundle");
    let Prediction::Class { probabilities, set: Some(set), .. } = judged(&model) else { panic!("a set") };
    let expected: Vec<usize> = (0..3).filter(|&class| probabilities[class] >= 0.5).collect();
    assert_eq!((set.members, set.confidence), (expected, 0.9));
    assert!(model.lacks().is_empty());
}

#[test]
fn the_likeliest_kind_belongs_to_a_set_where_the_bundle_says_so() {
    let set = |likeliest: Option<bool>| {
        let mut draft = draft(3);
        // So warm that no class has the half that its limit asks for.
        draft.manifest.output.temperature = Some(1e3);
        draft.manifest.conformal.as_mut().expect("scores").likeliest = likeliest;
        match judged(&opened(draft).expect("a bundle")) {
            Prediction::Class { best, set: Some(set), .. } => (set.members, best),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(set(None).0, Vec::<usize>::new());
    let (members, best) = set(Some(true));
    assert_eq!(members, [best]);
}

#[test]
fn a_gate_of_an_earlier_version_is_refused_with_advice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("random");
    draft(3).write(&path);
    let manifest = path.join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).expect("written");
    std::fs::write(&manifest, text + "\n[gate.kinds]\nfile = \"gate-kinds.npy\"\nlimit = 55.0\n").expect("written");
    let message = format!("{:#}", anyhow::Error::new(Model::open(&path).expect_err("another gate")));
    assert!(message.contains("gate.kinds") && message.contains("train the bundle again"), "{message}");
}

#[test]
fn what_the_scores_do_not_bear_out_is_refused() {
    type Spoil = fn(&mut Draft);
    let cases: [(usize, Spoil, &str); 7] = [
        (
            1,
            |draft| draft.manifest.conformal.as_mut().expect("scores").half_width = Some(1.0),
            "the manifest says conformal.half_width = 1, conformal.npy gives 12",
        ),
        (
            1,
            |draft| draft.manifest.conformal.as_mut().expect("scores").samples = 400,
            "the manifest says conformal.samples = 400, conformal.npy gives 12",
        ),
        (
            3,
            |draft| draft.manifest.conformal.as_mut().expect("scores").limits = Some(vec![0.0, 0.0, 3.0]),
            "the manifest says conformal.limits = 3, conformal.npy gives 0",
        ),
        (
            1,
            |draft| draft.manifest.gate.as_mut().expect("a gate").scores.as_mut().expect("scores").samples = 5,
            "the manifest says gate.scores.samples = 5, gate-scores.npy gives 12",
        ),
        (
            1,
            |draft| drop(draft.files.insert("conformal.npy".into(), Table::new(3, vec![1.0; 9]).to_bytes())),
            "conformal.npy has 3 columns, expected 2",
        ),
        (
            1,
            |draft| drop(draft.files.insert("gate-scores.npy".into(), Table::new(2, vec![1.0, 0.5]).to_bytes())),
            "gate-scores.npy has the number 0.5, expected a sample or kind",
        ),
        (
            1,
            |draft| drop(draft.files.insert("gate-scores.npy".into(), Table::new(2, vec![f32::NAN, 1.0]).to_bytes())),
            "gate-scores.npy: element 0 is not a finite number",
        ),
    ];
    for (outputs, spoil, expected) in cases {
        let mut draft = draft(outputs);
        spoil(&mut draft);
        let message = format!("{:#}", anyhow::Error::new(opened(draft).expect_err(expected)));
        assert!(message.contains(expected), "{expected}: {message}");
    }
}
