//! A document in the formats people and programs read.

mod json;
mod markdown;
mod text;

pub use json::json;
pub use markdown::markdown;
pub use text::text;

use super::document::Cell;

/// A cell as people read it: numbers with four digits.
fn shown(cell: &Cell) -> String {
    match cell {
        // Names come from files: what would steer a terminal is no part of one.
        Cell::Text(text) => text.replace(char::is_control, " "),
        Cell::Number(value) => number(*value),
        Cell::Count(count) => count.to_string(),
        Cell::Missing => "-".into(),
    }
}

/// Four significant digits; very large and very small numbers as powers of ten.
pub(super) fn number(value: f64) -> String {
    const DIGITS: i32 = 4;
    if value == 0.0 {
        return "0".into();
    }
    let power = value.abs().log10().floor() as i32;
    if (-4..6).contains(&power) {
        let decimals = (DIGITS - 1 - power).max(0) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_four_digits() {
        let cases = [
            (0.0, "0"),
            (1.0, "1.000"),
            (-12.3456, "-12.35"),
            (123456.7, "123457"),
            (0.000123456, "0.0001235"),
            (1.5e-7, "1.500e-7"),
            (3.2e9, "3.200e9"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }
}
