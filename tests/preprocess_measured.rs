//! The preprocessing on measured spectra: what it must leave alone. Skips with a reason where the data are absent.

#[path = "support/missing.rs"]
mod missing;
#[path = "support/root.rs"]
mod root;

use std::path::PathBuf;

use missing::missing;
use ramand_core::preprocess::{Despike, Pipeline, PipelineStep, Workspace};
use ramand_recording::Recording;
use root::root;

fn shared_data() -> PathBuf {
    let beside = || root().join("../shared/data");
    std::env::var_os("RAMAND_SHARED_DATA").map_or_else(beside, PathBuf::from)
}

/// These spectra were measured with little noise and are free of cosmic rays: every jump in them is a band.
#[test]
fn measured_bands_are_no_spikes() {
    for file in ["emulsions_raman.csv", "olive_ftir.csv"] {
        let path = shared_data().join(file);
        if !path.exists() {
            missing("data", &format!("there is no {}: RAMAND_SHARED_DATA names its folder", path.display()));
            continue;
        }
        let recording = Recording::read(&path).expect("the file is well-formed");
        let despike = PipelineStep::Despike(Despike { threshold: 7.0, window: 3 });
        let pipeline = Pipeline::new(recording.spectra[0].axis.clone(), vec![despike, PipelineStep::Resample], vec![])
            .expect("valid");
        let mut workspace = Workspace::default();
        for (row, raw) in recording.spectra.iter().zip(recording.raw_spectra()) {
            let preprocessed = pipeline.preprocess(&raw, &mut workspace).expect("the axis is its own");
            assert_eq!(preprocessed.values(), raw.light(), "{file}, {}", row.id);
        }
    }
}
