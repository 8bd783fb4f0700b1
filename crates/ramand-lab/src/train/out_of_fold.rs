//! A prediction by models that never saw the sample.

/// Where a spectrum is held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeldOutSpectrum {
    /// Index into the dataset.
    pub(super) spectrum: usize,
    /// Which repeat, from 0.
    pub(super) repeat: usize,
    /// Which part, from 0.
    pub(super) fold: usize,
}

/// One spectrum predicted by models that saw no replicate of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OutOfFold {
    /// Index into the dataset.
    pub(super) spectrum: usize,
    /// Which repeat, from 0.
    pub(super) repeat: usize,
    /// Which part was held out, from 0.
    pub(super) fold: usize,
    /// Which candidate was chosen without it.
    pub(super) candidate: usize,
    /// What the model says, one number per output: the mean over networks.
    pub(super) prediction: Vec<f32>,
    /// What each network says, `[networks][outputs]`.
    pub(super) each: Vec<Vec<f32>>,
    /// The same from PLS alone, chosen and fitted on the same spectra.
    pub(super) pls: Vec<f32>,
    /// The same from kernel ridge; none where there are too many spectra.
    pub(super) kernel: Option<Vec<f32>>,
}
