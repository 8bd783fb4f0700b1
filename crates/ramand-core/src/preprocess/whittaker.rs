//! The Whittaker smoother's linear system, (W + λ DᵀD) z = W y, with D the second differences: symmetric, positive
//! definite, five diagonals wide, factorised as L Δ Lᵀ and solved in one sweep forwards and one backwards.

/// Fewest points for which the diagonals below hold.
pub(super) const POINTS_MIN: usize = 4;

/// The factor of one system, kept so that the next one needs no memory of its own.
#[derive(Debug, Default)]
pub(super) struct Solver {
    /// L's first subdiagonal.
    first: Vec<f64>,
    /// L's second subdiagonal.
    second: Vec<f64>,
}

impl Solver {
    /// Solves for `smooth`. `values` and `weights` have one entry per point, at least [`POINTS_MIN`]; at least two
    /// weights must be positive, or the system is singular.
    pub(super) fn solve(&mut self, values: &[f64], weights: &[f64], lambda: f64, smooth: &mut Vec<f64>) {
        let points = values.len();
        assert!(points >= POINTS_MIN && weights.len() == points, "one weight per point, at least {POINTS_MIN}");
        for buffer in [&mut self.first, &mut self.second, &mut *smooth] {
            buffer.resize(points, 0.0);
        }
        let (first, second) = (&mut self.first[..points], &mut self.second[..points]);
        let smooth = &mut smooth[..points];

        // Each pivot waits for the division of the row before it, and this is what the sweep costs: everything else
        // is written so that it can be computed meanwhile.
        // Of the row before: the inverse pivot, Δ times L's first subdiagonal and its square, L's first subdiagonal,
        // and the right-hand side after elimination.
        let (mut inverse_before, mut scaled_squared, mut first_before, mut right_before) = (0.0, 0.0, 0.0, 0.0);
        // Of that row and of the one before it: L's second subdiagonal; of the latter the right-hand side.
        let (mut second_before, mut second_earlier, mut right_earlier) = (0.0, 0.0, 0.0);
        for row in 0..points {
            let (diagonal, neighbour) = stencil(row, points);
            let known = weights[row] + lambda * diagonal - lambda * second_earlier;
            let inverse = 1.0 / (known - scaled_squared * inverse_before);
            let scaled = lambda * (neighbour - first_before);
            let right = weights[row] * values[row] - first_before * right_before - second_earlier * right_earlier;
            first[row] = scaled * inverse;
            second[row] = lambda * inverse;
            smooth[row] = right * inverse;
            (scaled_squared, first_before) = (scaled * scaled, first[row]);
            inverse_before = inverse;
            (second_earlier, second_before) = (second_before, second[row]);
            (right_earlier, right_before) = (right_before, right);
        }
        let (mut after, mut later) = (smooth[points - 1], 0.0);
        for row in (0..points - 1).rev() {
            let here = (smooth[row] - second[row] * later) - first[row] * after;
            smooth[row] = here;
            (later, after) = (after, here);
        }
    }
}

/// DᵀD on the diagonal, and beside it; two beside it is always 1.
fn stencil(row: usize, points: usize) -> (f64, f64) {
    let diagonal = match row.min(points - 1 - row) {
        0 => 1.0,
        1 => 5.0,
        _ => 6.0,
    };
    (diagonal, if row == 0 || row + 2 >= points { -2.0 } else { -4.0 })
}
