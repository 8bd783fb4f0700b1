//! The whole table on tasks that take seconds.

use ramand_core::preprocess::{Baseline, Normalise, Pipeline, PipelineStep, Whittaker};
use ramand_core::spectrum::{RamanShift, ShiftAxis};
use ramand_model::manifest::{ReferenceMap, Task};
use ramand_sim::dataset::Recipe;

use super::material::Preprocessed;
use super::method::Method;
use super::trial::{Effort, NetworkKind, Trial, trial};
use super::*;
use crate::evaluate::document::{Cell, Document};
use crate::train::{
    CONFIDENCE, Family, Fitted, Head, Preprocessing, Progress, Provenance, Reference, Split, TrainError,
    TrainingRequest, fit,
};

/// Steps that are enough to leave zero.
const STEPS: usize = 20;
/// Samples that are explained.
const EXPLAINED: usize = 4;

fn request(task: Task, target: &str, normalise: Normalise, reference: Reference) -> TrainingRequest {
    let axis = ShiftAxis::even(RamanShift::from_per_cm(1200.0), RamanShift::from_per_cm(1700.0), 64);
    let whittaker = Whittaker { lambda: 1e4, tolerance: 1e-3, iterations_max: 20 };
    let steps = vec![
        PipelineStep::Dark,
        PipelineStep::Resample,
        PipelineStep::Baseline(Baseline::Arpls(whittaker)),
        PipelineStep::Normalise(normalise),
    ];
    let pipeline = Pipeline::new(axis.expect("increasing").into(), steps, Vec::new()).expect("valid");
    TrainingRequest {
        name: "a test".into(),
        version: String::new(),
        task,
        target: target.into(),
        unit: "%".into(),
        preprocessings: vec![Preprocessing { name: "test".into(), pipeline }],
        families: vec![Family::Network],
        networks: 1,
        bands: Vec::new(),
        reference,
        reference_map: ReferenceMap::MeanSpectrum,
        split: Split {
            group: Some("sample".into()),
            block: None,
            rows: crate::train::Rows::Unknown,
            folds: 2,
            repeats: 1,
        },
        permutations: 0,
        confidence: CONFIDENCE,
        steps: STEPS,
        seed: 1,
        threads: 1,
        provenance: Provenance {
            claim: String::new(),
            card: None,
            licence: String::new(),
            laser_nm: 0.0,
            data: String::new(),
            data_sha256: String::new(),
            measured: false,
            left_out: Vec::new(),
        },
    }
}

fn simulated(recipe: &str, samples: usize, request: TrainingRequest) -> Material {
    let mut recipe = Recipe::load(recipe).expect("built in");
    recipe.replicates = 2;
    Material::simulated(recipe, samples, EXPLAINED, 1, request).expect("simulated")
}

/// How much sunflower oil, compared with pure olive oil.
pub(super) fn quantity() -> Material {
    let reference = Reference::Labelled { column: "sunflower_pct".into(), value: "0".into() };
    simulated("olive-sunflower", 24, request(Task::Regression, "sunflower_pct", Normalise::Area, reference))
}

fn kinds() -> Material {
    simulated("oil-type", 28, request(Task::Classification, "oil", Normalise::Snv, Reference::All))
}

/// A network after so many steps, and the spectra to explain.
pub(super) fn fitted(material: &Material, family: Family, head: Head, steps: usize) -> (Fitted, Preprocessed) {
    let request = TrainingRequest { families: vec![family], steps, ..material.request.clone() };
    let fitted = fit(&material.training, &request, head, &Progress::default()).expect("it trains");
    let preprocessed = material.preprocess(&fitted.labels, &fitted.reference_rows).expect("it prepares");
    (fitted, preprocessed)
}

fn tried(material: &Material, kind: NetworkKind) -> Trial {
    trial(material, kind, 7, Effort { subsets: 8 }, &Progress::default()).expect("it runs")
}

fn figures(trial: &Trial, method: Method) -> super::trial::Figures {
    trial.figures[Method::ALL.iter().position(|&other| other == method).expect("every method")]
}

#[test]
fn nothing_of_a_sample_that_is_explained_is_trained_on() {
    let material = quantity();
    let samples = |recording: &ramand_recording::Recording| -> std::collections::BTreeSet<String> {
        recording.label_column("sample").expect("the column").into_iter().map(str::to_owned).collect()
    };
    let (training, explained) = (samples(&material.training), samples(&material.explained));
    assert_eq!((training.len(), explained.len()), (24, EXPLAINED));
    assert!(training.is_disjoint(&explained));
    assert_eq!(material.explained.spectra.len(), 2 * EXPLAINED);
    let too_many = Material::new("few".into(), &material.explained, 3, material.request.clone());
    let message = too_many.expect_err("four samples").to_string();
    assert_eq!(message, "4 independent samples are too few to explain 3 of them and train on the others");
}

#[test]
fn what_the_maps_must_be_they_are() {
    for material in [quantity(), kinds()] {
        for kind in NetworkKind::ALL {
            let trial = tried(&material, kind);
            let what = format!("{}, {}", material.title, kind.name);
            let of = |method| figures(&trial, method);
            for exact in [Method::GradCam1d, Method::DifferenceFromMeanMap, Method::Difference] {
                let error = of(exact).completeness.expect("y changes");
                assert!(error < 1e-4, "{what}, {}: {error}", exact.name());
            }
            assert!(of(Method::IntegratedGradients).completeness.is_some_and(|error| error < 0.2), "{what}");
            assert_eq!(of(Method::Random).completeness, None);
            // Occlusion is the change of y itself, for one band at a time; the random row is what anything gets.
            let occlusion = of(Method::Occlusion).sensitivity.expect("y changes");
            let random = of(Method::Random).sensitivity.expect("it varies");
            assert!(occlusion > 0.8 && random.abs() < 0.5, "{what}: {occlusion} and {random}");
            let (own, by_chance) = (of(Method::Occlusion).deletion, of(Method::Random).deletion);
            assert!(own < by_chance, "{what}: {own:?} and {by_chance:?}");
            let mass = of(Method::Occlusion).relevance_mass.expect("the truth is known");
            assert!((0.0..=1.0).contains(&mass) && trial.truth_share.is_some_and(|share| share < 0.6), "{what}");
            assert!(of(Method::GradCam1d).replicates.is_some(), "{what}");
            let map = |method| &trial.maps[Method::ALL.iter().position(|&other| other == method).expect("there")];
            assert_eq!(map(Method::Cam), map(Method::GradCamSigned), "{what}");
            // A head over the mean of the axis: the gradient is the same everywhere.
            let same = map(Method::Cam).iter().flatten().zip(map(Method::GradCam1d).iter().flatten());
            let largest = map(Method::GradCam1d).iter().flatten().fold(0.0_f64, |most, value| most.max(value.abs()));
            let apart = same.map(|(cam, own)| (cam - own).abs()).fold(0.0, f64::max);
            assert_eq!(apart < 1e-4 * largest, kind.head == Head::Pooled, "{what}: {apart} of {largest}");
            // And it is so with its weights permuted.
            if kind.head == Head::Pooled {
                assert_eq!(of(Method::Cam).randomised, of(Method::GradCam1d).randomised, "{what}");
            }
        }
    }
}

fn without_times(document: Document) -> Document {
    let mut document = document;
    for content in document.sections.iter_mut().filter_map(|section| section.content.as_mut().ok()) {
        for table in &mut content.tables {
            if let Some(place) = table.columns.iter().position(|column| column.key == "milliseconds") {
                table.rows.iter_mut().for_each(|row| row[place] = Cell::Missing);
            }
        }
    }
    document
}

#[test]
fn the_same_plan_gives_the_same_table_on_any_number_of_threads() {
    let tasks = [Compared { key: "quantity", title: "Quantity", material: quantity(), samples: EXPLAINED }];
    let plan = |threads| ComparisonPlan {
        kinds: NetworkKind::ALL[..2].to_vec(),
        seeds: vec![1, 2],
        effort: Effort { subsets: 4 },
        threads,
    };
    let progress = Progress::default();
    let one = compare(&tasks, &plan(1), &progress).expect("it runs");
    assert_eq!(progress.steps(), plan(1).steps(&tasks), "the bar ends where it should");
    let two = compare(&tasks, &plan(2), &Progress::default()).expect("it runs");
    let (one, two) = (without_times(one), without_times(two));
    assert_eq!(one, two);
    let tables = &one.sections[1].content.as_ref().expect("computed").tables;
    assert_eq!(tables.iter().map(|table| table.rows.len()).collect::<Vec<_>>(), [Method::ALL.len(); 2]);
    let over_seeds = tables[0].columns.iter().position(|column| column.key == "over_seeds").expect("a column");
    assert!(matches!(tables[0].rows[0][over_seeds], Cell::Range { .. }));
}

#[test]
fn an_interruption_ends_it() {
    let progress = Progress::default();
    progress.interrupt();
    let tasks = [Compared { key: "quantity", title: "Quantity", material: quantity(), samples: EXPLAINED }];
    let plan =
        ComparisonPlan { kinds: NetworkKind::ALL.to_vec(), seeds: vec![1], effort: Effort { subsets: 4 }, threads: 2 };
    let ended = compare(&tasks, &plan, &progress).expect_err("interrupted");
    assert!(matches!(ended, MethodsError::Train(TrainError::Interrupted)), "{ended}");
}
