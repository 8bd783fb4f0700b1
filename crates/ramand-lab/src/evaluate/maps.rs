//! The effect map by point, drawn over the mean spectrum, and whether the maps keep what they promise.

use ramand_core::outcome::Explained;
use ramand_model::Model;

use super::chart::{self, EffectMap};
use super::contribution::NON_CLAIMS;
use super::document::{Cell, Content, Section, Table};
use super::linearity::Linearity;
use super::observe::Observations;
use super::precision::Budget;
use super::truth::RecordedTruth;

/// More drawings than these are not looked at; the rest is in the tables.
const DRAWN_MAX: usize = 4;

/// What is mapped: the value; of classes, each class against the one it is most often mistaken for or nearest to.
fn subjects(observations: &Observations) -> Vec<Explained> {
    if observations.labels.is_empty() {
        return vec![Explained::Value];
    }
    let class_of = |row: usize| match &observations.truth {
        Ok(RecordedTruth::Classes(classes)) => classes[row],
        _ => match observations.rows[row].explained {
            Explained::Contrast { class, .. } => Some(class),
            Explained::Value => None,
        },
    };
    let count = observations.labels.len();
    // Mean scores of each class's spectra: the nearest rival is the other class they give the highest score.
    let mut sums = vec![vec![0.0; count]; count];
    let mut seen = vec![0_usize; count];
    for (index, row) in observations.rows.iter().enumerate() {
        if let Some(class) = class_of(index) {
            seen[class] += 1;
            sums[class].iter_mut().zip(&row.scores).for_each(|(sum, score)| *sum += score);
        }
    }
    let rival = |class: usize| {
        let others = (0..count).filter(|&other| other != class && seen[other] > 0);
        others.max_by(|&one, &other| sums[class][one].total_cmp(&sums[class][other]).then(other.cmp(&one)))
    };
    let pairs = (0..count).filter(|&class| seen[class] > 0);
    pairs.filter_map(|class| rival(class).map(|against| Explained::Contrast { class, against })).collect()
}

/// The section of maps.
pub(super) fn section(observations: &Observations, model: &Model) -> Section {
    let content = || -> Result<Content, String> {
        let axis = model.pipeline().axis();
        let subjects = subjects(observations).into_iter();
        let maps = subjects.filter_map(|explained| Some((explained, observations.maps.effect(explained)?)));
        let maps: Vec<(Explained, Vec<f64>)> = maps.collect();
        if maps.is_empty() {
            return Err(
                "there is nothing to compare: one class, or the same quantity, or more than can be mapped".into()
            );
        }
        let points = axis.len();
        let mut spectrum = vec![0.0; points];
        for preprocessed in &observations.preprocessed {
            let mean = spectrum.iter_mut().zip(preprocessed);
            mean.for_each(|(sum, &value)| *sum += f64::from(value) / observations.preprocessed.len() as f64);
        }
        let bands: Vec<(f64, f64)> = observations.partition.places()[..observations.partition.bands()]
            .iter()
            .map(|band| (band.from_cm, band.to_cm))
            .collect();
        let figures = maps.iter().take(DRAWN_MAX).enumerate().map(|(index, (explained, effect))| {
            let drawn = EffectMap {
                axis_cm: axis.per_cm(),
                effect,
                spectrum: &spectrum,
                bands: &bands,
                receptive_field_cm: model.explainer().receptive_field(),
                of: if *explained == Explained::Value { "slope of M" } else { "difference of M" },
            };
            let caption = format!(
                "Effect map of {}: up and red adds to it, down and blue takes from it; grey line: mean preprocessed spectrum; shaded: \
                 the bundle's bands.",
                observations.named(*explained)
            );
            chart::effect_map(&drawn, ["map_0", "map_1", "map_2", "map_3"][index], caption)
        });
        let figures = figures.collect();
        let keys: Vec<String> = (0..maps.len()).map(|map| format!("effect_{map}")).collect();
        let names: Vec<String> = maps.iter().map(|(explained, _)| observations.named(*explained)).collect();
        let mut columns = vec![("shift_cm", "Raman shift, cm-1"), ("spectrum", "mean preprocessed spectrum")];
        columns.extend(keys.iter().zip(&names).map(|(key, name)| (key.as_str(), name.as_str())));
        let rows = axis.per_cm().iter().enumerate().map(|(point, &shift)| {
            let effects = maps.iter().map(|(_, effect)| Cell::from(effect[point]));
            [Cell::from(shift), spectrum[point].into()].into_iter().chain(effects).collect()
        });
        let data = Table::new("map", &columns, rows.collect()).data_only();
        let sums = maps.iter().map(|(explained, effect)| {
            let total: f64 = effect.iter().sum();
            let largest = (0..points).max_by(|&one, &other| effect[one].abs().total_cmp(&effect[other].abs()));
            let place = largest.map(|point| axis.per_cm()[point]);
            vec![observations.named(*explained).into(), total.into(), Cell::from(place)]
        });
        let columns = [("map", "map of"), ("sum", "sum over the axis"), ("loudest_cm", "loudest at, cm-1")];
        let sums = Table::new("sums", &columns, sums.collect());
        let against = match &observations.truth {
            Ok(_) => "The truth is the column that was named.".to_owned(),
            Err(because) => {
                format!("In the place of the truth stands what the model itself says, because {because}.")
            }
        };
        let mut notes = vec![
            against,
            format!(
                "One cell of the network sees {:.0} cm-1: finer structure is interpolation.",
                model.explainer().receptive_field()
            ),
        ];
        notes.extend(NON_CLAIMS.map(String::from));
        Ok(Content { tables: vec![sums, data], figures, notes })
    };
    Section {
        key: "maps",
        title: "Effect maps",
        explains: "What the output reacts to, by point: of a quantity the slope of M on the truth, whose sum is the slope of y on \
                   the truth; of a class against its nearest rival the difference of their mean contrast maps, whose sum is the \
                   mean distance of the two classes in the contrast."
            .into(),
        content: content(),
    }
}

/// The section of identities.
pub(super) fn identities(
    observations: &Observations,
    linearity: &Result<Linearity, String>,
    budget: &Result<Budget, String>,
) -> Section {
    let found = observations.identities;
    let rows = [
        ("D1: contributions of all places add up to y - b", Some(found.contributions)),
        ("D2: differences of all places add up to y - mean y of the reference", Some(found.difference)),
        (
            "D3: the published contrast map is the difference of the two classes' maps",
            (!observations.labels.is_empty()).then_some(found.contrast),
        ),
        ("D6: slopes of all bands add up to the slope of y", linearity.as_ref().ok().map(Linearity::identity_error)),
        ("D7: covariances of all bands add up to the variance of y", budget.as_ref().ok().map(Budget::identity_error)),
    ];
    let content = if observations.rows.is_empty() {
        Err("no spectrum could be preprocessed".into())
    } else {
        let rows = rows.into_iter().map(|(identity, error)| vec![identity.into(), Cell::from(error)]);
        let columns = [("identity", "identity"), ("error", "largest relative error")];
        Ok(Content { tables: vec![Table::new("identities", &columns, rows.collect())], ..Content::default() })
    };
    Section {
        key: "identities",
        title: "What must hold exactly",
        explains: "Errors relative to max(1, |y|), or to the slope or variance: rounding only, where the bundle's completeness is exact."
            .into(),
        content,
    }
}
