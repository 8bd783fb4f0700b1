//! How explanations are judged: each measure a pure function of contributions and of what the model said.
//!
//! Definitions follow the papers that Quantus (Hedström et al., JMLR 24 (2023) 34) collects; where bands take the place of
//! pixels or something else differs, it is said here. Contributions are one number per band, in the unit of y.

/// Pearson's correlation; `None` where either side does not vary.
pub(super) fn correlation(left: &[f64], right: &[f64]) -> Option<f64> {
    let count = left.len() as f64;
    let (mean_left, mean_right) = (left.iter().sum::<f64>() / count, right.iter().sum::<f64>() / count);
    let (mut product, mut square_left, mut square_right) = (0.0, 0.0, 0.0);
    for (l, r) in left.iter().zip(right) {
        let (l, r) = (l - mean_left, r - mean_right);
        product += l * r;
        square_left += l * l;
        square_right += r * r;
    }
    let scale = (square_left * square_right).sqrt();
    (scale > 0.0).then(|| product / scale)
}

/// Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs.
pub(super) fn rank_correlation(left: &[f64], right: &[f64]) -> Option<f64> {
    correlation(&ranks(left), &ranks(right))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&index| ranks[index] = rank);
        before += equal.len();
    }
    ranks
}

/// Completeness error: √(Σ (sum − change)² / Σ change²) over spectra, where `sum` is the sum of a map and `change` what it
/// claims to divide among the points: y less the model's offset, or y less what the reference gives (M. Sundararajan et al.,
/// ICML 2017, axiom of completeness). 0 is complete; 1 is what a map of zeros has. `None` where nothing changes.
pub(super) fn completeness_error(pairs: &[(f64, f64)]) -> Option<f64> {
    let error: f64 = pairs.iter().map(|(sum, change)| (sum - change).powi(2)).sum();
    let change: f64 = pairs.iter().map(|(_, change)| change.powi(2)).sum();
    (change > 0.0).then(|| (error / change).sqrt())
}

/// Sensitivity-n (M. Ancona et al., ICLR 2018): over random sets of n bands, the correlation of Σ contributions of the set with
/// y(x) − y(x with the set replaced). `subsets` holds the sets of one size, `changes` what replacing each did. `None` where
/// either does not vary. (Quantus's class of this name walks down one ranking instead of drawing sets.)
pub(super) fn sensitivity(contributions: &[f64], subsets: &[Vec<usize>], changes: &[f64]) -> Option<f64> {
    let sums: Vec<f64> = subsets.iter().map(|set| set.iter().map(|&band| contributions[band]).sum()).collect();
    correlation(&sums, changes)
}

/// Bands from the largest contribution in the direction of `sign` to the smallest; equal ones in the order of `shuffled`.
pub(super) fn order(contributions: &[f64], sign: f64, shuffled: &[usize]) -> Vec<usize> {
    let mut order = shuffled.to_vec();
    order.sort_by(|&a, &b| (sign * contributions[b]).total_cmp(&(sign * contributions[a])));
    order
}

/// Area under a curve whose points are evenly spaced between 0 and 1: trapezoids. Of the share of y − y(reference) that is
/// left while bands are replaced in their [`order`], it is the deletion AUC (low is good), and of the share that is there
/// while they are put into the reference, the insertion AUC (high is good): V. Petsiuk et al., BMVC 2018. There y is a
/// probability; here it is the explained scalar, so a curve can leave 0 to 1: whoever removes all that speaks for a high
/// value first makes it lower than the reference's. A random order has about 0.5 in either, where y is linear.
pub(super) fn area(curve: &[f64]) -> f64 {
    let steps = curve.len() - 1;
    curve.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).sum::<f64>() / steps as f64
}

/// Relevance mass (L. Arras et al., Information Fusion 81 (2022) 14): Σ|m| over the points that truly differ / Σ|m|; of
/// magnitudes, as contributions have signs. `None` for a map of zeros.
pub(super) fn relevance_mass(map: &[f64], differs: &[bool]) -> Option<f64> {
    let all: f64 = map.iter().map(|value| value.abs()).sum();
    let inside: f64 = map.iter().zip(differs).filter(|(_, differs)| **differs).map(|(value, _)| value.abs()).sum();
    (all > 0.0).then(|| inside / all)
}

/// The points that hold `share` of Σ difference², the fewest that do: where two spectra truly differ.
pub(super) fn where_different(difference: &[f64], share: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..difference.len()).collect();
    order.sort_by(|&a, &b| difference[b].abs().total_cmp(&difference[a].abs()));
    let all: f64 = difference.iter().map(|value| value * value).sum();
    let mut differs = vec![false; difference.len()];
    let mut held = 0.0;
    for index in order {
        if held >= share * all {
            break;
        }
        held += difference[index].powi(2);
        differs[index] = true;
    }
    differs
}

/// Mean of those that are defined; `None` of none.
pub(super) fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (count, sum) = values.into_iter().flatten().fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const ROUNDING: f64 = 1e-12;
    /// Of a mean over many random orders, by their number.
    const CHANCE: f64 = 0.02;

    #[track_caller]
    fn check(found: Option<f64>, expected: f64) {
        let found = found.expect("defined");
        assert!((found - expected).abs() < ROUNDING, "{found} instead of {expected}");
    }

    #[test]
    fn correlations_by_hand() {
        // Deviations −1, 0, 1 and −4/3, −1/3, 5/3: product 3, squares 2 and 42/9.
        check(correlation(&[1.0, 2.0, 3.0], &[1.0, 2.0, 4.0]), 3.0 / (2.0_f64 * 42.0 / 9.0).sqrt());
        check(rank_correlation(&[1.0, 2.0, 3.0], &[1.0, 2.0, 400.0]), 1.0);
        check(rank_correlation(&[1.0, 2.0, 3.0], &[0.3, 0.2, 0.1]), -1.0);
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 7.0]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    #[derive(serde::Deserialize)]
    struct Case {
        left: Vec<f64>,
        right: Vec<f64>,
        inside: Vec<bool>,
        pearson: f64,
        spearman: f64,
        area: f64,
        relevance_mass: f64,
    }

    #[test]
    fn quantus_says_the_same() {
        let text = include_str!("../../../../../tests/fixtures/explanations/quantus.json");
        let cases: Vec<Case> = serde_json::from_str(text).expect("the fixture is part of the repository");
        assert_eq!(cases.len(), 3);
        for Case { left, right, inside, pearson, spearman, area: expected, relevance_mass: mass } in cases {
            check(correlation(&left, &right), pearson);
            check(rank_correlation(&left, &right), spearman);
            check(Some(area(&left)), expected);
            check(relevance_mass(&left, &inside), mass);
        }
    }

    #[test]
    fn completeness_by_hand() {
        // Errors 0 and 1 against changes 3 and 4: √(1 / 25).
        check(completeness_error(&[(3.0, 3.0), (5.0, 4.0)]), 0.2);
        check(completeness_error(&[(0.0, 3.0), (0.0, -4.0)]), 1.0);
        assert_eq!(completeness_error(&[(1.0, 0.0)]), None);
    }

    /// Ten bands of a linear model, whose contributions are what replacing them takes away.
    fn linear() -> [f64; 10] {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        std::array::from_fn(|_| random.random_range(-1.0..2.0))
    }

    fn subsets(size: usize, count: usize) -> Vec<Vec<usize>> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let draw = |_| {
            let mut all: Vec<usize> = (0..10).collect();
            all.shuffle(&mut random);
            all[..size].to_vec()
        };
        (0..count).map(draw).collect()
    }

    #[test]
    fn a_linear_models_own_contributions_have_sensitivity_one() {
        let contributions = linear();
        for size in [1, 4, 8] {
            let subsets = subsets(size, 30);
            let changes: Vec<f64> =
                subsets.iter().map(|set| set.iter().map(|&band| contributions[band]).sum()).collect();
            check(sensitivity(&contributions, &subsets, &changes), 1.0);
            check(sensitivity(&contributions.map(|value| -3.0 * value), &subsets, &changes), -1.0);
            assert_eq!(sensitivity(&[1.0; 10], &subsets, &changes), None, "all alike says nothing");
        }
    }

    /// What is left of a linear model's y − y(reference) while bands are replaced in this order.
    fn deletion(contributions: &[f64], order: &[usize]) -> Vec<f64> {
        let all: f64 = contributions.iter().sum();
        let mut left = all;
        let after = order.iter().map(|&band| {
            left -= contributions[band];
            left / all
        });
        std::iter::once(1.0).chain(after).collect()
    }

    #[test]
    fn a_random_order_deletes_about_half_and_the_models_own_far_less() {
        let contributions = linear();
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let mut shuffled: Vec<usize> = (0..10).collect();
        let draws = 4000;
        let mut sum = 0.0;
        for _ in 0..draws {
            shuffled.shuffle(&mut random);
            sum += area(&deletion(&contributions, &shuffled));
        }
        let by_chance = sum / f64::from(draws);
        assert!((by_chance - 0.5).abs() < CHANCE, "{by_chance}");
        let own = area(&deletion(&contributions, &order(&contributions, 1.0, &shuffled)));
        let reversed = area(&deletion(&contributions, &order(&contributions, -1.0, &shuffled)));
        assert!(own < 0.2 && (own + reversed - 1.0).abs() < ROUNDING, "{own} and {reversed}");
        check(Some(area(&[1.0, 0.5, 0.0])), 0.5);
        check(Some(area(&[1.0, 0.0, 0.0, 0.0])), 0.5 / 3.0);
    }

    #[test]
    fn equal_contributions_keep_the_order_they_were_given_in() {
        assert_eq!(order(&[0.0, 2.0, 0.0, -1.0], 1.0, &[2, 3, 0, 1]), [1, 2, 0, 3]);
        assert_eq!(order(&[0.0, 2.0, 0.0, -1.0], -1.0, &[2, 3, 0, 1]), [3, 2, 0, 1]);
    }

    #[test]
    fn mass_and_truth_by_hand() {
        // Squares 9, 1, 16, 0 of 26: nine tenths are 23.4, so the two largest hold them.
        let differs = where_different(&[3.0, -1.0, -4.0, 0.0], 0.9);
        assert_eq!(differs, [true, false, true, false]);
        check(relevance_mass(&[1.0, 2.0, -1.0, 0.0], &differs), 0.5);
        assert_eq!(relevance_mass(&[0.0; 4], &differs), None);
        assert_eq!(where_different(&[0.0; 3], 0.9), [false; 3]);
    }

    #[test]
    fn means_leave_out_what_is_undefined() {
        assert_eq!(mean([Some(1.0), None, Some(3.0)]), Some(2.0));
        assert_eq!(mean([None, None]), None);
    }
}
