//! What the bundle says about every spectrum: outputs, contributions of each place, and what they are compared with.

use std::collections::BTreeMap;

use ramand_core::cam::OutputMaps;
use ramand_core::outcome::{Attribution, Explained};
use ramand_core::preprocess::Workspace;
use ramand_model::Model;
use ramand_recording::Recording;

use super::effect_map::MapSums;
use super::error::EvaluateError;
use super::partition::AxisPartition;
use super::request::EvaluationRequest;
use super::truth::{Known, RecordedTruth};
use crate::train::Progress;

/// One spectrum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Index of its independent sample.
    pub(super) sample: usize,
    /// y of each output.
    pub(super) scores: Vec<f64>,
    /// D1: φ_B = Σ M over each place, \[outputs\]\[places\].
    pub(super) contributions: Vec<f64>,
    /// Σ over the axis of the linear parts' M, one per output; empty where there are none.
    pub(super) linear: Vec<f64>,
    /// What the line explains of it: the value, or the best class against the runner-up.
    pub(super) explained: Explained,
    /// Σ |D| of that over each place.
    pub(super) gross: Vec<f64>,
    /// Of the linear parts: Σ |D| through them to that of all parts, each for itself.
    pub(super) linear_share: Option<f64>,
    /// Whether the gate lets the model speak.
    pub(super) applies: Option<bool>,
}

impl Row {
    /// What the model takes it for.
    fn answer(&self) -> Known {
        match self.explained {
            Explained::Value => Known::Value(self.scores[0]),
            Explained::Contrast { class, .. } => Known::Class(Some(class)),
        }
    }

    /// The explained scalar.
    pub(super) fn output(&self, explained: Explained) -> f64 {
        explained.of(&self.scores)
    }

    /// φ_B of the explained scalar: D3, antisymmetric in the two classes.
    pub(super) fn contributions(&self, explained: Explained) -> Vec<f64> {
        explained.row_of(&self.contributions, self.contributions.len() / self.scores.len())
    }
}

/// Everything the definitions are computed from.
#[derive(Debug)]
pub(super) struct Observations {
    pub(super) partition: AxisPartition,
    /// The model's labels; empty for a regression.
    pub(super) labels: Vec<String>,
    /// Of the output.
    pub(super) unit: String,
    /// The spectra that could be preprocessed, in the file's order.
    pub(super) rows: Vec<Row>,
    /// Where each stands in the file.
    pub(super) recorded: Vec<usize>,
    /// What the network was shown of each.
    pub(super) preprocessed: Vec<Vec<f32>>,
    /// How many independent samples.
    pub(super) samples: usize,
    /// Id and reason of each spectrum that could not be preprocessed.
    pub(super) not_preprocessed: Vec<(String, String)>,
    /// What the rows are, or why that is not known.
    pub(super) truth: Result<RecordedTruth, String>,
    /// What the effect maps are made of.
    pub(super) maps: MapSums,
    /// Largest deviation, relative to max(1, |y|), of each identity that every row must keep.
    pub(super) identities: Identities,
    /// Mean φ of the reference population, \[outputs\]\[places\].
    reference: Vec<f64>,
}

/// How far a map is from keeping what it promises: the largest error among the rows, relative to max(1, |y|).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Identities {
    /// D1: Σ_B φ_B = y − b.
    pub(super) contributions: f64,
    /// D2: Σ_B D_B = y − mean y of the reference.
    pub(super) difference: f64,
    /// D3: the published map of the contrast is the difference of the two classes' maps.
    pub(super) contrast: f64,
}

impl Observations {
    /// Runs the model on every spectrum; one step of `progress` for each.
    pub(super) fn make(
        recording: &Recording,
        model: &Model,
        request: &EvaluationRequest,
        progress: &Progress,
    ) -> Result<Self, EvaluateError> {
        let manifest = model.manifest();
        let axis = model.pipeline().axis();
        let width = (model.explainer().receptive_field() / axis.mean_step()).round() as usize;
        let partition = AxisPartition::new(axis, manifest.bands(), width);
        let names: Vec<&str> = match request.group_column(recording, model) {
            Some(column) => recording.label_column(column)?,
            None => Vec::new(),
        };
        let mut indices = BTreeMap::new();
        let (mut workspace, mut session) = (Workspace::default(), model.session()?);
        let reference = ReferenceMaps::of(model, &partition);
        let labels = manifest.output.labels.clone().unwrap_or_default();
        let truth = RecordedTruth::of(recording, manifest.task, &labels, request.label.as_deref());
        let observer = Observer { partition: &partition, reference: &reference };
        let mut maps = MapSums::new(manifest.outputs(), axis.len());
        let mut identities = Identities::default();
        let (mut rows, mut preprocessed, mut not_preprocessed, mut kept) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, raw) in recording.raw_spectra().enumerate() {
            progress.step()?;
            let spectrum = match model.pipeline().preprocess(&raw, &mut workspace) {
                Ok(spectrum) => spectrum,
                Err(error) => {
                    not_preprocessed.push((recording.spectra[index].id.clone(), ramand_core::failure::chain(&error)));
                    continue;
                }
            };
            let samples = indices.len();
            let sample = match names.get(index) {
                Some(name) => *indices.entry(*name).or_insert(samples),
                None => rows.len(),
            };
            let (scores, found) = model.output_maps(&mut session, spectrum.values())?;
            let applies = model.gate().map(|gate| gate.assess(&spectrum).applies());
            let row = observer.row(&scores, &found, sample, applies);
            identities.check(&row, &reference, &model.judge(&mut session, &spectrum)?.attribution, &partition);
            let known = truth.as_ref().ok().map(|truth| truth.at(index));
            maps.add(known.unwrap_or(row.answer()), &found.map);
            rows.push(row);
            preprocessed.push(spectrum.values().to_vec());
            kept.push(index);
        }
        let samples = rows.iter().map(|row: &Row| row.sample + 1).max().unwrap_or(0);
        let truth = truth.map(|truth| truth.only(&kept));
        let truth = truth.and_then(|truth| agreed(&truth, &rows).map(|()| truth));
        let unit = manifest.output.unit.clone().unwrap_or_default();
        Ok(Self {
            partition,
            labels,
            unit,
            rows,
            recorded: kept,
            preprocessed,
            samples,
            not_preprocessed,
            truth,
            maps,
            identities,
            reference: reference.contributions,
        })
    }

    /// Every scalar whose explanation can be compared with the truth: the value, or every pair of classes that at least one
    /// sample of each was given of.
    pub(super) fn questions(&self) -> Vec<Explained> {
        match &self.truth {
            Ok(RecordedTruth::Classes(classes)) => {
                let there = |class: &usize| classes.contains(&Some(*class));
                let present: Vec<usize> = (0..self.labels.len()).filter(there).collect();
                let pairs = present.iter().enumerate().flat_map(|(index, &class)| {
                    present[index + 1..].iter().map(move |&against| Explained::Contrast { class, against })
                });
                pairs.collect()
            }
            Ok(RecordedTruth::Values(_)) => vec![Explained::Value],
            Err(_) => Vec::new(),
        }
    }

    /// What a report speaks of one by one: the value, or each class with its questions against every other class. Names.
    pub(super) fn subjects(&self) -> Vec<(String, Vec<Explained>)> {
        let questions = self.questions();
        if let [Explained::Value] = questions[..] {
            return vec![("value".into(), questions)];
        }
        let of = |wanted: usize| {
            let asks = |explained: &&Explained| match **explained {
                Explained::Contrast { class, against } => class == wanted || against == wanted,
                Explained::Value => false,
            };
            questions.iter().filter(asks).copied().collect::<Vec<_>>()
        };
        let subjects = self.labels.iter().enumerate().map(|(class, label)| (label.clone(), of(class)));
        subjects.filter(|(_, questions)| !questions.is_empty()).collect()
    }

    /// Mean φ of the reference population, by band and for the rest.
    pub(super) fn reference_of(&self, explained: Explained) -> Vec<f64> {
        self.partition.coarse(&explained.row_of(&self.reference, self.partition.places().len()))
    }

    /// A scalar in words.
    pub(super) fn named(&self, explained: Explained) -> String {
        match explained {
            Explained::Value => "value".into(),
            Explained::Contrast { class, against } => format!("{} / {}", self.labels[class], self.labels[against]),
        }
    }

    /// Means over each sample's spectra of numbers per row, as many for each: \[samples\], with the sample's first row.
    pub(super) fn by_sample(&self, of: impl Fn(&Row) -> Vec<f64>) -> Vec<(usize, Vec<f64>)> {
        let mut sums: Vec<Option<(usize, f64, Vec<f64>)>> = vec![None; self.samples];
        for (index, row) in self.rows.iter().enumerate() {
            let values = of(row);
            match &mut sums[row.sample] {
                Some((_, count, sum)) => {
                    *count += 1.0;
                    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
                empty => *empty = Some((index, 1.0, values)),
            }
        }
        let means = sums.into_iter().flatten().map(|(first, count, mut sum)| {
            sum.iter_mut().for_each(|sum| *sum /= count);
            (first, sum)
        });
        means.collect()
    }
}

/// The reference population's mean maps.
struct ReferenceMaps {
    map: Vec<f64>,
    linear: Vec<f64>,
    contributions: Vec<f64>,
    offset: Vec<f64>,
    output: Vec<f64>,
}

impl ReferenceMaps {
    fn of(model: &Model, partition: &AxisPartition) -> Self {
        let maps = model.explainer().reference_maps();
        let widened = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
        let points = partition.owner().len();
        Self {
            map: widened(&maps.map),
            linear: widened(&maps.linear),
            contributions: maps.map.chunks(points).flat_map(|row| partition.sums(row.iter().copied())).collect(),
            offset: model.manifest().network.offset.clone(),
            output: model.manifest().reference.output.clone(),
        }
    }
}

impl Identities {
    fn check(&mut self, row: &Row, reference: &ReferenceMaps, published: &Attribution, partition: &AxisPartition) {
        let explained = row.explained;
        let of = |values: &[f64]| explained.of(values);
        let output = of(&row.scores);
        let note = |worst: &mut f64, error: f64| *worst = worst.max(error.abs() / output.abs().max(1.0));
        let found = row.contributions(explained);
        let sum: f64 = found.iter().sum();
        note(&mut self.contributions, sum - (output - of(&reference.offset)));
        let of_reference: f64 = explained.row_of(&reference.contributions, found.len()).iter().sum();
        note(&mut self.difference, sum - of_reference - (output - of(&reference.output)));
        for (one, other) in partition.sums(published.map.iter().copied()).iter().zip(&found) {
            note(&mut self.contrast, one - other);
        }
    }
}

/// Makes rows of what a model says.
struct Observer<'a> {
    partition: &'a AxisPartition,
    reference: &'a ReferenceMaps,
}

impl Observer<'_> {
    /// Of the independent sample `sample`; `applies` as the gate says.
    fn row(&self, scores: &[f32], maps: &OutputMaps, sample: usize, applies: Option<bool>) -> Row {
        let points = self.partition.owner().len();
        let scores: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
        let contributions = maps.map.chunks(points).flat_map(|row| self.partition.sums(row.iter().copied())).collect();
        let linear = maps.linear.chunks(points).map(|row| row.iter().map(|&value| f64::from(value)).sum()).collect();
        let explained = best_against_runner_up(&scores);
        let difference = |map: &[f32], reference: &[f64]| -> Vec<f64> {
            let map: Vec<f64> = map.iter().map(|&value| f64::from(value)).collect();
            let (map, reference) = (explained.row_of(&map, points), explained.row_of(reference, points));
            map.iter().zip(reference).map(|(value, mean)| value - mean).collect()
        };
        let whole = difference(&maps.map, &self.reference.map);
        let gross = self.partition.sums(whole.iter().map(|value| value.abs() as f32));
        let linear_share = (!maps.linear.is_empty()).then(|| {
            let linear = difference(&maps.linear, &self.reference.linear);
            let through: f64 = linear.iter().map(|value| value.abs()).sum();
            let around: f64 = whole.iter().zip(&linear).map(|(whole, linear)| (whole - linear).abs()).sum();
            if through + around > 0.0 { through / (through + around) } else { 0.0 }
        });
        Row { sample, scores, contributions, linear, explained, gross, linear_share, applies }
    }
}

/// The value of a regression; of classes, the highest score against the second, the first of equals.
pub(super) fn best_against_runner_up(scores: &[f64]) -> Explained {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&one, &other| scores[other].total_cmp(&scores[one]).then(one.cmp(&other)));
    match order[..] {
        [class, against, ..] => Explained::Contrast { class, against },
        _ => Explained::Value,
    }
}

/// Replicates of one sample have one truth.
fn agreed(truth: &RecordedTruth, rows: &[Row]) -> Result<(), String> {
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let other = *first.entry(row.sample).or_insert(index);
        let same = match truth {
            RecordedTruth::Values(values) => values[index] == values[other],
            RecordedTruth::Classes(classes) => classes[index] == classes[other],
        };
        if !same {
            return Err("spectra of one sample have different truths: name the column that tells samples apart".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_up_is_the_second_highest() {
        assert_eq!(best_against_runner_up(&[0.3]), Explained::Value);
        let explained = best_against_runner_up(&[0.1, 0.7, 0.7, -1.0]);
        assert_eq!(explained, Explained::Contrast { class: 1, against: 2 });
    }
}
