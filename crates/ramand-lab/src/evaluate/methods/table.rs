//! The table of methods: every method on every network, from several seeds, as sections of a document.

use ramand_model::manifest::Task;

use super::error::MethodsError;
use super::material::{Material, TRUTH_SHARE};
use super::measures::{mean, rank_correlation};
use super::method::Method;
use super::subject::STEPS;
use super::trial::{Effort, Figures, NetworkKind, Trial, steps, trial};
use crate::evaluate::document::{Cell, Column, Content, Document, Readers, Section, Table};
use crate::train::{Progress, in_parallel};

/// One task of the table.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Name of its section.
    pub key: &'static str,
    /// Heading of its section: whether its spectra are simulated or measured.
    pub title: &'static str,
    /// What is trained on and explained.
    pub material: Material,
    /// Independent samples that are explained.
    pub samples: usize,
}

/// How the table is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparisonPlan {
    /// Kinds of networks, a table each.
    pub kinds: Vec<NetworkKind>,
    /// One network of each kind is trained from each.
    pub seeds: Vec<u64>,
    /// How much is measured.
    pub effort: Effort,
    /// Networks at a time; no figure but the milliseconds depends on it.
    pub threads: usize,
}

impl ComparisonPlan {
    /// Steps of a progress bar.
    pub fn steps(&self, tasks: &[Compared]) -> u64 {
        let each = tasks.iter().map(|task| steps(&task.material.request, task.samples));
        (each.sum::<usize>() * self.kinds.len() * self.seeds.len()) as u64
    }
}

/// Trains, explains and measures: the same tasks, plan and version give the same figures, but for the milliseconds.
///
/// # Errors
/// The first failure of a training or a run, or [`crate::train::TrainError::Interrupted`] when `progress` was told to stop.
pub fn compare(tasks: &[Compared], plan: &ComparisonPlan, progress: &Progress) -> Result<Document, MethodsError> {
    let mut jobs = Vec::new();
    for task in tasks {
        for &kind in &plan.kinds {
            jobs.extend(plan.seeds.iter().map(|&seed| (task, kind, seed)));
        }
    }
    let trials = in_parallel(jobs.len(), plan.threads, |index| {
        let (task, kind, seed) = jobs[index];
        trial(&task.material, kind, seed, plan.effort, progress)
    })?;
    let mut of_task = trials.chunks(plan.kinds.len() * plan.seeds.len());
    let mut sections = vec![definitions()];
    for task in tasks {
        let by_kind = of_task.next().unwrap_or_default().chunks(plan.seeds.len());
        let kinds: Vec<(NetworkKind, &[Trial])> = plan.kinds.iter().copied().zip(by_kind).collect();
        sections.push(section(task, &kinds));
    }
    let seeds: Vec<String> = plan.seeds.iter().map(ToString::to_string).collect();
    let notes = vec![
        format!(
            "Each cell: the median over networks trained from the seeds {}, with the least and the greatest.",
            seeds.join(", ")
        ),
        "These figures judge how well a method explains a network. They say nothing about chemistry: a network may use a band \
         that varies with the cause instead of the cause itself."
            .into(),
    ];
    Ok(Document { title: "Methods of explanation compared".into(), notes, sections })
}

/// What every column means.
fn definitions() -> Section {
    let rows = [
        (
            "completeness error",
            "√(Σ (sum of the map − claim)² / Σ claim²) over the explained spectra; the claim is y less the \
          model's offset, for the difference map, integrated gradients and occlusion y less that of the reference spectrum, for the \
          difference from the mean map y less its mean over the reference population",
            "0",
            "Sundararajan 2017",
        ),
        (
            "sensitivity-n",
            "correlation of Σ contributions with the change of y when the same bands are replaced, over random sets \
          of n bands; mean over five n from one band to 80 % of them",
            "1",
            "Ancona 2018",
        ),
        (
            "deletion AUC",
            "area under the share of y − y(reference) that is left while bands are replaced, the largest contribution \
          in its direction first",
            "low",
            "Petsiuk 2018",
        ),
        ("insertion AUC", "the same while the bands are put into the reference spectrum", "high", "Petsiuk 2018"),
        (
            "relevance mass",
            "share of Σ|map| on the points that truly differ: the fewest that hold nine tenths of the squared \
          difference between the noise-free spectra, preprocessed for the network, of the two classes or of both ends of the blend",
            "1",
            "Arras 2022",
        ),
        (
            "head randomised",
            "rank correlation with the map of the same network, the weights behind the explained layers permuted, means of the axis staying means",
            "0",
            "Adebayo 2018",
        ),
        (
            "over seeds",
            "rank correlation of one spectrum's maps between networks that differ in nothing but their seed",
            "1",
            "",
        ),
        ("over replicates", "rank correlation of the maps of replicates of one sample", "1", ""),
        (
            "forward, backward",
            "runs of the network for one explanation; with a linear head the gradient is its weights, and \
          nothing runs backwards",
            "",
            "",
        ),
        ("ms", "milliseconds of one explanation, median: the one column that differs from run to run", "", ""),
    ];
    let rows = rows.iter().map(|&(name, definition, best, source)| {
        vec![
            name.into(),
            definition.split_whitespace().collect::<Vec<_>>().join(" ").into(),
            best.into(),
            source.into(),
        ]
    });
    let columns = [("column", "column"), ("definition", "definition"), ("best", "best"), ("source", "source")];
    let table = Table::new("columns", &columns, rows.collect());
    Section {
        key: "definitions",
        title: "What the columns mean",
        explains: format!(
            "The explained scalar is y, in its own unit; of classes, the raw score of the true class less that of the class whose mean \
             training spectrum is nearest. A band is as wide as one cell of the network sees. It is replaced by the mean spectrum \
             of the reference population, never by zero, with borders of half a cosine that overlap and add up to 1. Explained \
             spectra are of samples no network was trained on. Rank correlations are Spearman's over bands; integrated \
             gradients take {STEPS} steps. CAM takes the weights of the head; where the head sees every cell by itself, their \
             means over the cells, and then CAM is Grad-CAM without ReLU by definition. Beside PLS every formula is applied to \
             both the network's last layer and the linear part, and the maps are added. The difference map subtracts the map \
             of the reference population's mean spectrum, about which the replaced bands ask. Another row subtracts the \
             mean of the population's maps. Where rectifiers lie before the layer, the two differ by an offset that is the same for \
             every spectrum."
        ),
        content: Ok(Content { tables: vec![table], ..Content::default() }),
    }
}

fn section(task: &Compared, kinds: &[(NetworkKind, &[Trial])]) -> Section {
    let (figure, unit) = match task.material.request.task {
        Task::Regression => ("root mean square error", format!(" {}", task.material.request.unit)),
        Task::Classification => ("accuracy", String::new()),
    };
    let mut notes = Vec::new();
    for (kind, trials) in kinds {
        let Some(MedianRange { middle, least, greatest }) =
            MedianRange::of(trials.iter().map(|trial| Some(trial.quality)))
        else {
            continue;
        };
        notes.push(format!(
            "{}: {figure} {middle:.3}{unit} ({least:.3} to {greatest:.3}) on the explained spectra.",
            kind.name
        ));
    }
    if let Some(trial) = kinds.first().and_then(|(_, trials)| trials.first()) {
        notes.push(format!(
            "{} bands, as wide as one cell sees: {} points of the axis.",
            trial.segments, trial.receptive_field
        ));
        if let Some(share) = trial.truth_share {
            notes.push(format!(
                "The points that truly differ, which hold {:.0} % of the squared difference, are {:.1} % of the axis: the relevance \
                 mass of an even map.",
                100.0 * TRUTH_SHARE,
                100.0 * share
            ));
        }
    }
    let explains = format!("{}. {} samples were explained, others trained on.", task.material.title, task.samples);
    let tables = kinds.iter().map(|(kind, trials)| table(*kind, trials)).collect();
    Section { key: task.key, title: task.title, explains, content: Ok(Content { tables, figures: Vec::new(), notes }) }
}

/// A figure of one method on one network.
type Measure = fn(&Figures) -> Option<f64>;

const MEASURES: [(&str, &str, Measure); 6] = [
    ("completeness_error", "completeness error", |figures| figures.completeness),
    ("sensitivity_n", "sensitivity-n", |figures| figures.sensitivity),
    ("deletion_auc", "deletion AUC", |figures| figures.deletion),
    ("insertion_auc", "insertion AUC", |figures| figures.insertion),
    ("relevance_mass", "relevance mass", |figures| figures.relevance_mass),
    ("head_randomised", "head randomised", |figures| figures.randomised),
];

fn table(kind: NetworkKind, trials: &[Trial]) -> Table {
    let mut columns = vec![Column::new("method", kind.name)];
    columns.extend(MEASURES.iter().map(|(key, title, _)| Column::new(*key, *title)));
    let others = [
        ("over_seeds", "over seeds"),
        ("over_replicates", "over replicates"),
        ("forward", "forward"),
        ("backward", "backward"),
        ("milliseconds", "ms"),
    ];
    columns.extend(others.map(|(key, title)| Column::new(key, title)));
    let segments = trials.first().map_or(0, |trial| trial.segments);
    let rows = Method::ALL.iter().enumerate().map(|(place, method)| {
        let of = |measure: Measure| range(trials.iter().map(|trial| measure(&trial.figures[place])));
        let passes = method.passes(segments, STEPS);
        let mut row = vec![method.name().into()];
        row.extend(MEASURES.iter().map(|(_, _, measure)| of(*measure)));
        row.push(range(over_seeds(trials, place).into_iter()));
        row.push(of(|figures| figures.replicates));
        row.extend([passes.forward.into(), passes.backward.into()]);
        row.push(
            MedianRange::of(trials.iter().map(|trial| Some(trial.figures[place].milliseconds)))
                .map(|r| r.middle)
                .into(),
        );
        row
    });
    Table { key: kind.key, columns, rows: rows.collect(), readers: Readers::All }
}

/// Of each pair of seeds, the mean over samples of the rank correlation of their maps.
fn over_seeds(trials: &[Trial], method: usize) -> Vec<Option<f64>> {
    let mut pairs = Vec::new();
    for (index, one) in trials.iter().enumerate() {
        for other in &trials[index + 1..] {
            let samples = one.maps[method].iter().zip(&other.maps[method]);
            pairs.push(mean(samples.map(|(one, other)| rank_correlation(one, other))));
        }
    }
    pairs
}

/// The median of an odd number of values (the lower middle of an even one), with the extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct MedianRange {
    middle: f64,
    least: f64,
    greatest: f64,
}

impl MedianRange {
    /// Of the values that are defined; `None` of none.
    fn of(values: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        let mut values: Vec<f64> = values.flatten().collect();
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        Some(Self { middle: values[(values.len() - 1) / 2], least, greatest })
    }
}

fn range(values: impl Iterator<Item = Option<f64>>) -> Cell {
    MedianRange::of(values).map_or(Cell::Missing, |MedianRange { middle, least, greatest }| Cell::Range {
        middle,
        least,
        greatest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_middle_and_the_ends() {
        let of = |values: &[Option<f64>]| MedianRange::of(values.iter().copied());
        let found = of(&[Some(3.0), None, Some(1.0), Some(2.0)]);
        assert_eq!(found, Some(MedianRange { middle: 2.0, least: 1.0, greatest: 3.0 }));
        assert_eq!(of(&[None]), None);
    }
}
