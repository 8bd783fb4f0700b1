//! A document as one HTML file that needs nothing else: no scripts, no fonts, no pictures from elsewhere.

use std::fmt::Write;

use super::shown;
use crate::evaluate::document::{Cell, Document, Figure, Table};

const STYLE: &str = "
body { font: 15px/1.5 sans-serif; color: #1d1d1b; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #e4e4e0; text-align: right; }
th { vertical-align: bottom; font-weight: 600; } .name { text-align: left; }
.wide { overflow-x: auto; } figure { margin: 1rem 0; } figcaption { color: #555; } svg { max-width: 100%; height: auto; }
.not { color: #555; font-style: italic; } .explains { color: #444; }
";

/// The document as HTML, figures inline.
pub fn html(document: &Document) -> String {
    let mut out = String::new();
    let title = escaped(&document.title);
    push(&mut out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    push(&mut out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    // A browser asks for an icon of its own accord unless it is told that there is none.
    push(&mut out, "<link rel=\"icon\" href=\"data:,\">");
    push(&mut out, &format!("<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"));
    document.notes.iter().for_each(|note| paragraph(&mut out, "", note));
    for section in &document.sections {
        push(&mut out, &format!("<section id=\"{}\">\n<h2>{}</h2>", section.key, escaped(section.title)));
        paragraph(&mut out, "explains", &section.explains);
        match &section.content {
            Err(because) => paragraph(&mut out, "not", &format!("Not computed because {because}.")),
            Ok(content) => {
                content.figures.iter().for_each(|figure| push(&mut out, &drawn(figure)));
                let tables = content.tables.iter().filter(|table| table.is_for_people());
                tables.for_each(|table| push(&mut out, &rows(table)));
                content.notes.iter().for_each(|note| paragraph(&mut out, "", note));
            }
        }
        push(&mut out, "</section>");
    }
    push(&mut out, "</body>\n</html>");
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn paragraph(out: &mut String, class: &str, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    push(out, &format!("<p{class}>{}</p>", escaped(text)));
}

fn drawn(figure: &Figure) -> String {
    let caption = escaped(&figure.caption);
    format!("<figure>\n{}<figcaption>{caption}</figcaption>\n</figure>", figure.svg)
}

fn rows(table: &Table) -> String {
    let named: Vec<bool> = (0..table.columns.len())
        .map(|index| table.rows.iter().any(|row| matches!(row[index], Cell::Text(_))))
        .collect();
    let line = |tag: &str, cells: &mut dyn Iterator<Item = String>| {
        let mut line = String::from("<tr>");
        for (cell, &named) in cells.zip(&named) {
            let class = if named { " class=\"name\"" } else { "" };
            write!(line, "<{tag}{class}>{}</{tag}>", escaped(&cell)).expect("a String takes all text");
        }
        line + "</tr>"
    };
    let head = line("th", &mut table.columns.iter().map(|column| column.title.clone()));
    let body: Vec<String> = table.rows.iter().map(|row| line("td", &mut row.iter().map(shown))).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead>{head}</thead>\n<tbody>\n{}\n</tbody>\n</table></div>",
        body.join("\n")
    )
}

/// Text from outside must not become markup: names of bands and classes come from files.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(symbol),
        }
    }
    out
}
