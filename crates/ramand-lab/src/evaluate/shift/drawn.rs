//! The drawings of the report on shift: where spectra lie in the gate's plane, and what was refused and covered after each change.

use super::super::chart::{self, Dots};
use super::super::document::{Cell, Figure, Table};
use super::group::Group;
use super::judge::Seen;

/// Of a group, this many spectra are drawn at most, evenly among them: more only hide each other.
const DRAWN_MAX: usize = 250;

/// T² and Q of the unchanged spectra and of what the model does not know, for programs; `changed` as for [`figures`].
pub(super) fn plane_table(groups: &[Group], changed: usize) -> Table {
    let row = |group: &Group, seen: &Seen| {
        let (t2, q) = seen.shares.unzip();
        vec![group.words.as_str().into(), t2.into(), q.into(), usize::from(seen.refused).into()]
    };
    let rows =
        unchanged_and_unknown(groups, changed).flat_map(|group| group.seen.iter().map(|(_, seen)| row(group, seen)));
    let columns = [("change", "change"), ("t2", "T2 / limit"), ("q", "Q / limit"), ("refused", "refused")];
    Table::new("plane", &columns, rows.collect()).data_only()
}

/// Of the table's `rows`, one a group; the first `changed` are spectra that the model knows, the first of them unchanged.
pub(super) fn figures(rows: &[Vec<Cell>], groups: &[Group], changed: usize, confidence: Option<f64>) -> Vec<Figure> {
    let number = |cell: Option<&Cell>| match cell {
        Some(Cell::Number(value)) => Some(*value),
        _ => None,
    };
    // Columns of the table: refused, coverage.
    let bars: Vec<(&str, Option<f64>, Option<f64>)> = groups
        .iter()
        .zip(rows)
        .map(|(group, row)| (group.words.as_str(), number(row.get(3)), number(row.get(7))))
        .collect();
    let mut figures = vec![chart::refused_and_covered(&bars, confidence)];
    let known = groups.iter().take(1).flat_map(|group| &group.seen);
    let known = dots(known.map(|(_, seen)| seen));
    let strangers = || groups.iter().skip(changed).flat_map(|group| &group.seen).map(|(_, seen)| seen);
    let refused = dots(strangers().filter(|seen| seen.refused));
    let passed = dots(strangers().filter(|seen| !seen.refused));
    if !known.is_empty() {
        figures.push(chart::plane(&Dots { known, refused, passed }));
    }
    figures
}

fn unchanged_and_unknown(groups: &[Group], changed: usize) -> impl Iterator<Item = &Group> {
    groups.iter().take(1).chain(groups.iter().skip(changed))
}

fn dots<'a>(seen: impl Iterator<Item = &'a Seen>) -> Vec<(f64, f64)> {
    let all: Vec<(f64, f64)> = seen.filter_map(|seen| seen.shares).collect();
    let every = all.len().div_ceil(DRAWN_MAX).max(1);
    all.into_iter().step_by(every).collect()
}
