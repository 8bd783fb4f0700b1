//! Tables of numbers that other programs have computed, to compare with.

use std::collections::HashMap;

use super::root::root;

/// The columns of a CSV file below `tests/fixtures`, by their heads.
pub(crate) fn columns(file: &str) -> HashMap<String, Vec<f64>> {
    let mut reader =
        csv::Reader::from_path(root().join("tests/fixtures").join(file)).expect("the fixture is committed");
    let names = reader.headers().expect("a header").clone();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("a table");
    let column = |index| rows.iter().map(|row| row[index].parse().expect("a number")).collect();
    names.iter().enumerate().map(|(index, name)| (name.to_owned(), column(index))).collect()
}
