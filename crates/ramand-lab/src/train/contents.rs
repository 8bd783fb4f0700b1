//! What every bundle that is made here says alike, however its network came to be.

use std::collections::BTreeMap;

use onnx_gradient::geometry::Reach;
use ramand_core::npy::Table;
use ramand_core::preprocess::Pipeline;
use ramand_model::manifest::{
    AbscissaRecord, AxisRecord, BandRecord, FORMAT, GateRecord, Manifest, MetricsRecord, NetworkRecord, OutputRecord,
    ReferenceRecord, TargetRecord, Task, TrainingRecord,
};
use ramand_model::records;

use super::dataset::Dataset;
use super::request::Provenance;

/// The network's file in every bundle.
pub(super) const NETWORK_FILE: &str = "model.onnx";

/// Content by file name, without the manifest.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// What is decided anew for each bundle.
pub(super) struct Contents<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) task: Task,
    pub(super) provenance: &'a Provenance,
    pub(super) output: OutputRecord,
    pub(super) pipeline: &'a Pipeline,
    pub(super) network: NetworkRecord,
    pub(super) reference: ReferenceRecord,
    pub(super) gate: Option<GateRecord>,
    /// Those that reach beyond the axis of the pipeline are left out.
    pub(super) bands: &'a [BandRecord],
    pub(super) training: TrainingRecord,
}

impl Contents<'_> {
    /// The manifest without intervals, figures and hashes: who has them adds them.
    pub(super) fn manifest(self) -> Manifest {
        let axis = self.pipeline.axis();
        let (first, last) = (axis.first().per_cm(), axis.last().per_cm());
        let (pipeline, channels) = records(self.pipeline);
        let provenance = self.provenance.clone();
        Manifest {
            format: FORMAT,
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            task: self.task,
            claim: provenance.claim,
            licence: provenance.licence,
            laser_nm: provenance.laser_nm,
            card: provenance.card,
            output: self.output,
            axis: AxisRecord { first, last, points: axis.len() },
            pipeline,
            channels,
            network: self.network,
            reference: self.reference,
            gate: self.gate,
            conformal: None,
            bands: self.bands.iter().filter(|band| first <= band.from && band.to <= last).cloned().collect(),
            training: self.training,
            adopted: None,
            metrics: MetricsRecord::default(),
            files: BTreeMap::new(),
        }
    }
}

/// Where the spectra come from, without how they were split and what was chosen on them.
pub(super) fn training(data: &Dataset<'_>, provenance: &Provenance, group: Option<&str>) -> TrainingRecord {
    TrainingRecord {
        data: provenance.data.clone(),
        data_sha256: provenance.data_sha256.clone(),
        measured: provenance.measured,
        abscissa: AbscissaRecord::PerCm,
        samples: data.samples(),
        spectra: data.len(),
        range: None,
        group: group.unwrap_or("none: every row is a sample").to_owned(),
        block: None,
        left_out: provenance.left_out.clone(),
        split: String::new(),
        seed: 0,
        networks: None,
        components: None,
        made_by: crate::MADE_BY.into(),
        candidates: Vec::new(),
        suspects: Vec::new(),
    }
}

/// A layer through which the output depends on the spectrum.
pub(super) struct DescribedLayer<'a> {
    pub(super) name: &'a str,
    /// Its values, as the graph gives them.
    pub(super) activation: &'a str,
    /// Its gradient, as the graph gives it.
    pub(super) gradient: &'a str,
    pub(super) cells: usize,
    /// Where its cells lie.
    pub(super) reach: Reach,
    pub(super) whole_axis: bool,
    pub(super) linear: bool,
    /// Whether the gradient is the mean along the line from the reference.
    pub(super) integrated: bool,
}

impl DescribedLayer<'_> {
    /// The record of the layer, which is number `index`; `map`, its mean over the reference population, becomes a file.
    pub(super) fn record(self, index: usize, map: Vec<f32>, files: &mut Files) -> TargetRecord {
        let reference = format!("reference-{index}.npy");
        files.insert(reference.clone(), Table::new(self.cells, map).to_bytes());
        TargetRecord {
            name: self.name.to_owned(),
            activation: self.activation.to_owned(),
            gradient: self.gradient.to_owned(),
            first_cell: self.reach.first_cell(),
            stride: self.reach.stride() as f64,
            receptive_field: self.reach.receptive_field(),
            whole_axis: self.whole_axis,
            linear: self.linear,
            integrated: self.integrated,
            reference,
            reference_sha256: String::new(),
        }
    }
}
