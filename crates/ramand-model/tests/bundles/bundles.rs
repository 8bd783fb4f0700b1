//! Bundles with random weights, complete to the last file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::networks::{Head, Network as Random, Residual, residual};
use onnx_gradient::geometry::Reach;
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{Attached, Graph, Seed, Target, attach, proto};
use ramand_core::cam::maps_by_cell;
use ramand_core::decide::{InstrumentLimits, LaserProof};
use ramand_core::npy::Table;
use ramand_core::outcome::ModelIdentity;
use ramand_core::spectrum::{Origin, RamanShift, RawSpectrum, ShiftAxis};

use ramand_model::manifest::{
    AbscissaRecord, AxisRecord, BandRecord, CompletenessRecord, ConformalRecord, FORMAT, GateRecord, Manifest,
    MetricsRecord, NetworkRecord, NormaliseMethod, OutputRecord, ReferenceMap, ReferenceRecord, ScoresRecord,
    StepRecord, TargetRecord, Task, TrainingRecord,
};
use ramand_model::{Bundle, Network};

pub(crate) const POINTS: usize = 62;

/// A bundle before it is written.
pub(crate) struct Draft {
    pub(crate) manifest: Manifest,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Draft {
    pub(crate) fn write(self, folder: &Path) -> ModelIdentity {
        Bundle::write(folder, self.manifest, &self.files).expect("a bundle")
    }
}

/// The network of a draft, with its gradient.
pub(crate) fn network(outputs: usize, head: Head) -> Attached {
    let model = residual(Residual { channels: 1, points: POINTS, outputs, head }, 21);
    let trunk = Target { tensor: "stage", activation: "A0", gradient: "dYdA0" };
    let skip = Target { tensor: "scaled", activation: "A1", gradient: "dYdA1" };
    let targets = if head == Head::FlattenAndSkip { vec![trunk, skip] } else { vec![trunk] };
    attach(&model, "y", Seed::All, &targets).expect("differentiable")
}

/// A regression for one output, a classification for more.
pub(crate) fn draft(outputs: usize) -> Draft {
    let attached = network(outputs, Head::FlattenAndSkip);
    let names = [("A0", "dYdA0"), ("A1", "dYdA1")];
    let running = Network::load(&attached.model, (1, POINTS), "y", &names).expect("it runs");
    let mut session = running.session().expect("buffers");
    let population = 5;
    let mut mean = vec![0.0_f64; outputs];
    let mut maps = attached.targets.iter().map(|t| vec![0.0_f32; outputs * t.cells]).collect::<Vec<_>>();
    for seed in 0..population {
        let values = running.run(&mut session, &Random::new(seed).numbers(POINTS)).expect("it runs");
        let y = values.y().expect("outputs");
        mean.iter_mut().zip(y).for_each(|(mean, y)| *mean += f64::from(*y) / population as f64);
        for ((map, target), layer) in maps.iter_mut().zip(&attached.targets).zip(values.layers().expect("layers")) {
            let own = maps_by_cell(&layer, target.cells, outputs);
            map.iter_mut().zip(own).for_each(|(mean, own)| *mean += own / population as f32);
        }
    }
    let graph = Graph::new(&attached.model).expect("valid");
    let biases = graph.evaluate(&Default::default(), &["head.bias", "skip.bias"]).expect("constants");
    let offset = (0..outputs).map(|o| biases["head.bias"].data()[o] + biases["skip.bias"].data()[o]).collect();

    let mut files = BTreeMap::from([("model.onnx".to_owned(), proto::encode(&attached.model))]);
    let mut targets = Vec::new();
    for (index, (target, map)) in attached.targets.iter().zip(maps).enumerate() {
        let reach: Reach = target.reach.expect("a position");
        let reference = format!("reference-{index}.npy");
        files.insert(reference.clone(), Table::new(target.cells, map).to_bytes());
        targets.push(TargetRecord {
            name: ["residual network", "linear part"][index].into(),
            activation: format!("A{index}"),
            gradient: format!("dYdA{index}"),
            first_cell: reach.first_cell(),
            stride: reach.stride() as f64,
            receptive_field: reach.receptive_field(),
            whole_axis: false,
            linear: index == 1,
            integrated: false,
            reference,
            reference_sha256: String::new(),
        });
    }
    let mut gate = vec![0.0; 2 * POINTS];
    gate[POINTS] = 1.0;
    files.insert("gate.npy".into(), Table::new(POINTS, gate).to_bytes());
    let samples = 12;
    let scores = (0..samples).flat_map(|sample| [1000.0 + sample as f32, sample as f32]).collect();
    files.insert("gate-scores.npy".into(), Table::new(2, scores).to_bytes());
    // |prediction - truth| = 1 to 12 %, or even odds against every true kind: at 90 % the limits are 12 % and even odds.
    let columns = if outputs == 1 { 2 } else { 3 };
    let row = |sample: usize| match outputs {
        1 => vec![1.0 + sample as f32, sample as f32],
        _ => vec![0.0, sample as f32, (sample % outputs) as f32],
    };
    files.insert("conformal.npy".into(), Table::new(columns, (0..samples).flat_map(row).collect()).to_bytes());
    files.insert("folds.csv".into(), b"id,group\n".to_vec());
    let manifest = Manifest {
        format: FORMAT,
        name: "random".into(),
        version: "1.0.0".into(),
        task: if outputs == 1 { Task::Regression } else { Task::Classification },
        claim: "random weights".into(),
        licence: "MIT".into(),
        laser_nm: 785.0,
        card: None,
        output: OutputRecord {
            unit: (outputs == 1).then(|| "%".into()),
            labels: (outputs > 1).then(|| (0..outputs).map(|o| format!("oil {o}")).collect()),
            temperature: (outputs > 1).then_some(2.0),
        },
        axis: AxisRecord { first: 800.0, last: 1044.0, points: POINTS },
        pipeline: vec![StepRecord::Resample {}, StepRecord::Normalise { method: NormaliseMethod::Snv }],
        channels: vec![],
        network: NetworkRecord {
            file: "model.onnx".into(),
            sha256: String::new(),
            input: "x".into(),
            output: "y".into(),
            offset,
            completeness: CompletenessRecord::Exact,
            completeness_error: None,
            targets,
        },
        reference: ReferenceRecord {
            population: "five random spectra".into(),
            map: ReferenceMap::MeanOfMaps,
            output: mean,
        },
        gate: Some(GateRecord {
            file: "gate.npy".into(),
            sha256: String::new(),
            components: 1,
            eigenvalues: vec![1.0],
            t2_limit: 20.0,
            q_limit: 1000.0,
            t2_limit_from: None,
            q_limit_from: None,
            scores: Some(ScoresRecord {
                file: "gate-scores.npy".into(),
                sha256: String::new(),
                samples,
                significance: None,
            }),
            variates: None,
            kinds: None,
        }),
        conformal: Some(ConformalRecord {
            file: "conformal.npy".into(),
            sha256: String::new(),
            confidence: 0.9,
            samples,
            likeliest: None,
            half_width: (outputs == 1).then_some(12.0),
            limits: (outputs > 1).then(|| vec![0.0; outputs]),
            by_kind: (outputs > 1).then_some(false),
            without: None,
        }),
        bands: vec![
            BandRecord { name: "skeletal".into(), from: 865.0, to: 870.0 },
            BandRecord { name: "=C-H".into(), from: 960.0, to: 980.0 },
        ],
        training: TrainingRecord {
            range: None,
            data: "none".into(),
            data_sha256: "0".repeat(64),
            measured: false,
            abscissa: AbscissaRecord::PerCm,
            samples: 5,
            spectra: 5,
            group: "id".into(),
            block: None,
            left_out: Vec::new(),
            split: "none".into(),
            seed: 21,
            networks: None,
            components: None,
            made_by: "a test".into(),
            candidates: Vec::new(),
            suspects: Vec::new(),
        },
        adopted: None,
        metrics: MetricsRecord::default(),
        files: BTreeMap::new(),
    };
    Draft { manifest, files }
}

/// A spectrum of one band on a slope, on the axis from `first` to `last` in steps of 1 cm⁻¹.
pub(crate) fn spectrum(first: f64, last: f64, band: f64) -> Arc<RawSpectrum> {
    let shift = RamanShift::from_per_cm;
    let axis = ShiftAxis::even(shift(first), shift(last), (last - first) as usize + 1).expect("an axis");
    let light = axis.per_cm().iter().map(|x| (1000.0 * (-((x - band) / 12.0).powi(2)).exp() + x) as f32).collect();
    let origin = Origin::Recorded { id: format!("{band}") };
    Arc::new(RawSpectrum::new(Arc::new(axis), light, None, origin).expect("finite"))
}

/// An instrument that is never at fault.
pub(crate) fn limits() -> InstrumentLimits {
    InstrumentLimits {
        saturated_pixels_max: 0,
        signal_counts_min: 0.0,
        signal_to_noise_min: 0.0,
        laser: LaserProof::Confirmed,
    }
}

/// The graph of a model that may be changed.
pub(crate) fn graph(model: &mut ModelProto) -> &mut onnx_gradient::onnx::GraphProto {
    model.graph.as_option_mut().expect("a graph")
}
