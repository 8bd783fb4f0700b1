//! A document on a terminal.

use std::fmt::Write;

use super::shown;
use crate::evaluate::document::{Cell, Document, Table};

/// The document as plain text, tables in columns.
pub fn text(document: &Document) -> String {
    let mut out = format!("{}\n", document.title);
    document.notes.iter().for_each(|note| push(&mut out, note));
    for section in &document.sections {
        push(&mut out, "");
        push(&mut out, &section.title.to_uppercase());
        push(&mut out, &section.explains);
        match &section.content {
            Err(because) => push(&mut out, &format!("not computed because {because}")),
            Ok(content) => {
                content
                    .tables
                    .iter()
                    .filter(|table| table.is_for_people())
                    .for_each(|table| push(&mut out, &columns(table)));
                content.notes.iter().for_each(|note| push(&mut out, note));
            }
        }
    }
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// Names to the left, numbers to the right.
fn columns(table: &Table) -> String {
    let rows: Vec<Vec<String>> = table.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let widths: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = rows.iter().map(|row| row[index].chars().count());
            cells.fold(column.title.chars().count(), usize::max)
        })
        .collect();
    let named = |index: usize| table.rows.iter().any(|row| matches!(row[index], Cell::Text(_)));
    let mut out = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (index, cell) in cells.enumerate() {
            let width = widths[index];
            let written =
                if named(index) { write!(text, "{cell:<width$}  ") } else { write!(text, "{cell:>width$}  ") };
            written.expect("a String takes all text");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&mut table.columns.iter().map(|column| column.title.as_str()));
    rows.iter().for_each(|row| line(&mut row.iter().map(String::as_str)));
    out.pop();
    out
}
