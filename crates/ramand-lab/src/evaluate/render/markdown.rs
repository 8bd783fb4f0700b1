//! A document as Markdown, with tables as GitHub writes them.

use super::shown;
use crate::evaluate::document::{Cell, Document, Table};

/// The document as Markdown. Figures are left out: the tables say what they draw.
pub fn markdown(document: &Document) -> String {
    let mut out = format!("# {}\n", escaped(&document.title));
    document.notes.iter().for_each(|note| paragraph(&mut out, &escaped(note)));
    for section in &document.sections {
        paragraph(&mut out, &format!("## {}", section.title));
        paragraph(&mut out, &escaped(&section.explains));
        match &section.content {
            Err(because) => paragraph(&mut out, &format!("Not computed because {}.", escaped(because))),
            Ok(content) => {
                content
                    .tables
                    .iter()
                    .filter(|table| table.is_for_people())
                    .for_each(|table| paragraph(&mut out, &rows(table)));
                content.notes.iter().for_each(|note| paragraph(&mut out, &escaped(note)));
            }
        }
    }
    out
}

fn paragraph(out: &mut String, text: &str) {
    out.push('\n');
    out.push_str(text);
    out.push('\n');
}

fn rows(table: &Table) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    let mut lines = vec![line(&mut table.columns.iter().map(|column| escaped(&column.title)))];
    let named = |index: usize| table.rows.iter().any(|row| matches!(row[index], Cell::Text(_)));
    let rules = (0..table.columns.len()).map(|index| if named(index) { "---" } else { "---:" });
    lines.push(format!("|{}|", rules.collect::<Vec<_>>().join("|")));
    lines.extend(table.rows.iter().map(|row| line(&mut row.iter().map(|cell| escaped(&shown(cell))))));
    lines.join("\n")
}

/// Text from outside must not become markup: names of bands and classes come from files.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for symbol in text.chars() {
        match symbol {
            '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\' | '#' => out.extend(['\\', symbol]),
            '\n' | '\r' => out.push(' '),
            _ => out.push(symbol),
        }
    }
    out
}
