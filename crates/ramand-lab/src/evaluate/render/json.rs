//! A document as JSON: `docs/evaluate.md` lists the keys.

use serde_json::{Map, Value, json};

use crate::evaluate::document::{Cell, Document, Table};

/// The document as one JSON object. Figures are left out: the tables say what they draw.
pub fn json(document: &Document) -> Value {
    let sections = document.sections.iter().map(|section| {
        let value = match &section.content {
            Err(because) => json!({ "title": section.title, "not_computed": because }),
            Ok(content) => {
                let tables = content.tables.iter().map(|table| (table.key.to_owned(), rows(table)));
                let tables: Map<String, Value> = tables.collect();
                json!({ "title": section.title, "explains": section.explains, "tables": tables, "notes": content.notes })
            }
        };
        (section.key.to_owned(), value)
    });
    let sections: Map<String, Value> = sections.collect();
    json!({ "title": document.title, "notes": document.notes, "sections": sections })
}

fn rows(table: &Table) -> Value {
    let object = |row: &Vec<Cell>| {
        let cells = table.columns.iter().zip(row).map(|(column, cell)| (column.key.clone(), value(cell)));
        Value::Object(cells.collect())
    };
    Value::Array(table.rows.iter().map(object).collect())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Text(text) => Value::from(text.as_str()),
        Cell::Number(number) => Value::from(*number),
        Cell::Range { middle, least, greatest } => json!({ "median": middle, "least": least, "greatest": greatest }),
        Cell::Count(count) => Value::from(*count),
        Cell::Missing => Value::Null,
    }
}
