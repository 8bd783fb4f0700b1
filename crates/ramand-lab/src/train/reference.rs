//! What the difference map subtracts: the map and the output of the reference population's mean spectrum, or its mean maps and
//! outputs.

use ramand_model::manifest::ReferenceMap;
use ramand_model::{Network, NetworkError};
use ramand_recording::Recording;

use super::error::TrainError;

/// What is subtracted.
pub(super) struct Subtracted {
    /// M\[o, i\] = Σ_k ∂y_o/∂A\[k, i\] · A\[k, i\], for each cut: `[outputs, cells]`.
    pub(super) maps: Vec<Vec<f32>>,
    /// y, one per output.
    pub(super) output: Vec<f64>,
}

/// Runs the exported model, as inference will, on the preprocessed spectra of the population, or on their mean; `cuts` are the
/// maps and cells of each.
pub(super) fn subtracted(
    map: ReferenceMap,
    network: &Network,
    cuts: &[(usize, usize)],
    outputs: usize,
    spectra: &[&[f32]],
) -> Result<Subtracted, NetworkError> {
    match map {
        ReferenceMap::MeanSpectrum => means(network, cuts, outputs, &[&mean(spectra)]),
        ReferenceMap::MeanOfMaps => means(network, cuts, outputs, spectra),
    }
}

/// The mean spectrum; sums in f64.
pub(super) fn mean(spectra: &[&[f32]]) -> Vec<f32> {
    let mut sums = vec![0.0_f64; spectra.first().map_or(0, |spectrum| spectrum.len())];
    for spectrum in spectra {
        sums.iter_mut().zip(*spectrum).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums.iter().map(|sum| (sum / spectra.len() as f64) as f32).collect()
}

/// The mean over `spectra` of maps and outputs.
fn means(
    network: &Network,
    cuts: &[(usize, usize)],
    outputs: usize,
    spectra: &[&[f32]],
) -> Result<Subtracted, NetworkError> {
    let mut session = network.session()?;
    let mut maps: Vec<Vec<f64>> = cuts.iter().map(|&(_, cells)| vec![0.0; outputs * cells]).collect();
    let mut output = vec![0.0; outputs];
    let share = 1.0 / spectra.len() as f64;
    for spectrum in spectra {
        let values = network.run(&mut session, spectrum)?;
        for (mean, &value) in output.iter_mut().zip(values.y()?) {
            *mean += share * f64::from(value);
        }
        for ((&(maps, cells), mean), layer) in cuts.iter().zip(&mut maps).zip(values.layers()?) {
            let by_output = layer.gradient.chunks_exact(maps * cells);
            for (mean, gradient) in mean.chunks_exact_mut(cells).zip(by_output) {
                let by_map = gradient.chunks_exact(cells).zip(layer.activation.chunks_exact(cells));
                for (gradient, activation) in by_map {
                    for ((mean, g), a) in mean.iter_mut().zip(gradient).zip(activation) {
                        *mean += share * f64::from(g * a);
                    }
                }
            }
        }
    }
    let maps = maps.into_iter().map(|map| map.into_iter().map(|value| value as f32).collect()).collect();
    Ok(Subtracted { maps, output })
}

/// The reference population.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// Every training spectrum.
    All,
    /// The training spectra with this label.
    Labelled {
        /// Header of the column.
        column: String,
        /// What stands in it.
        value: String,
    },
}

impl Reference {
    /// The rows of the population, and which label they have where it is not all of them.
    pub(super) fn rows(&self, recording: &Recording) -> Result<(Vec<usize>, Option<String>), TrainError> {
        match self {
            Self::All => Ok(((0..recording.spectra.len()).collect(), None)),
            Self::Labelled { column, value } => {
                let texts = recording.label_column(column)?;
                // Numbers are compared as numbers, so that 0 finds 0.0.
                let number = value.parse::<f64>().ok();
                let is = |text: &str| text == value || (number.is_some() && text.parse::<f64>().ok() == number);
                let rows: Vec<usize> = (0..texts.len()).filter(|&row| is(texts[row])).collect();
                if rows.is_empty() {
                    return Err(TrainError::NoReference { column: column.clone(), value: value.clone() });
                }
                Ok((rows, Some(format!("{column} = {value}"))))
            }
        }
    }
}
