//! The median and its neighbour, in one place for filters, estimates of noise and figures.

use std::cmp::Ordering;

/// The middle value, or the mean of the two middle ones, of at least one number; reorders them.
///
/// # Panics
/// Without a number.
pub fn median(values: &mut [f64]) -> f64 {
    let (middle, odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    0.5 * (lower + upper)
}

/// The middle one in that order, or the upper of the two middle ones; `None` without any. Reorders them. Always one of the
/// values, so that no mean of two durations or two counts has to be made: what a large number of them is like is all it says.
pub fn upper_median<T: Copy>(values: &mut [T], order: impl FnMut(&T, &T) -> Ordering) -> Option<T> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, order).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut [7.0]), 7.0);
    }

    #[test]
    fn the_upper_median_is_one_of_the_values() {
        assert_eq!(upper_median(&mut [3, 1, 2], Ord::cmp), Some(2));
        assert_eq!(upper_median(&mut [4.0, 1.0, 2.0, 3.0], f64::total_cmp), Some(3.0));
        assert_eq!(upper_median(&mut [0_u8; 0], Ord::cmp), None);
    }
}
