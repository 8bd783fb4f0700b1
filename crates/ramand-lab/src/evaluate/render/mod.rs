//! A document in the formats people and programs read.

mod html;
mod json;
mod markdown;
mod text;

pub use html::html;
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
        Cell::Range { middle, least, greatest } => {
            let [middle, least, greatest] = [middle, least, greatest].map(|value| short(*value));
            format!("{middle} ({least} to {greatest})")
        }
        Cell::Count(count) => count.to_string(),
        Cell::Missing => "-".into(),
    }
}

/// Two digits behind the point, as far as a range needs them; what they cannot show as powers of ten.
fn short(value: f64) -> String {
    let shown = format!("{value:.2}");
    let is_lost = value != 0.0 && value.abs() < 0.005;
    if is_lost { format!("{value:.0e}") } else { shown }
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
    fn a_range_is_short() {
        let cell = Cell::Range { middle: 0.974, least: -0.5, greatest: 1.0 };
        assert_eq!(shown(&cell), "0.97 (-0.50 to 1.00)");
        assert_eq!(shown(&Cell::Range { middle: 3.2e-7, least: 0.0, greatest: 12.3 }), "3e-7 (0.00 to 12.30)");
    }

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
