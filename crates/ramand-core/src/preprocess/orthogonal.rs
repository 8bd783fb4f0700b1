//! Polynomials that are orthonormal over given points (Forsythe 1957, J. Soc. Ind. Appl. Math. 5, 74), by the
//! three-term recurrence βₖ₊₁ pₖ₊₁(x) = (x − αₖ) pₖ(x) − βₖ pₖ₋₁(x) with Σᵢ pⱼ(xᵢ) pₖ(xᵢ) = δⱼₖ. Least squares in this basis is
//! a sum of projections, without the ill-conditioned normal equations of powers of x.

/// p₀ to p_order over equidistant points −1 to 1.
#[derive(Debug, Clone)]
pub(super) struct OrthonormalPolynomials {
    points: usize,
    alpha: Vec<f64>,
    beta: Vec<f64>,
    values: Vec<f64>,
}

impl OrthonormalPolynomials {
    /// `points` must exceed `order`: as many points as coefficients.
    pub(super) fn new(points: usize, order: usize) -> Self {
        assert!(points > order && points > 1, "a polynomial of order {order} needs more than {points} points");
        let abscissa = |index: usize| 2.0 * index as f64 / (points - 1) as f64 - 1.0;
        let norm = (points as f64).sqrt();
        let mut values = vec![1.0 / norm; points];
        let (mut alpha, mut beta) = (Vec::new(), vec![norm]);
        for degree in 0..order {
            let current = &values[degree * points..];
            let mean: f64 = current.iter().enumerate().map(|(i, p)| abscissa(i) * p * p).sum();
            let mut next: Vec<f64> = current.iter().enumerate().map(|(i, p)| (abscissa(i) - mean) * p).collect();
            if degree > 0 {
                let previous = &values[(degree - 1) * points..degree * points];
                let weight = beta[degree];
                next.iter_mut().zip(previous).for_each(|(next, previous)| *next -= weight * previous);
            }
            let norm = next.iter().map(|p| p * p).sum::<f64>().sqrt();
            next.iter_mut().for_each(|p| *p /= norm);
            values.extend(next);
            alpha.push(mean);
            beta.push(norm);
        }
        Self { points, alpha, beta, values }
    }

    /// The polynomials, lowest order first, each with one value per point.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.points)
    }

    /// The given derivative of every polynomial at the position of point `index`, per point (not per unit of x).
    pub(super) fn derivatives(&self, index: usize, derivative: usize) -> Vec<f64> {
        let per_point = 2.0 / (self.points - 1) as f64;
        let x = index as f64 * per_point - 1.0;
        let orders = self.alpha.len() + 1;
        // rows[d][k] is the d-th derivative of p_k; the recurrence differentiated d times gives each row from the one above.
        let mut rows = vec![vec![0.0; orders]; derivative + 1];
        for d in 0..=derivative {
            rows[d][0] = if d == 0 { 1.0 / self.beta[0] } else { 0.0 };
            for k in 0..orders - 1 {
                let from_above = if d == 0 { 0.0 } else { d as f64 * rows[d - 1][k] };
                let before = if k == 0 { 0.0 } else { self.beta[k] * rows[d][k - 1] };
                rows[d][k + 1] = ((x - self.alpha[k]) * rows[d][k] + from_above - before) / self.beta[k + 1];
            }
        }
        let scale = per_point.powi(derivative as i32);
        rows.swap_remove(derivative).into_iter().map(|value| value * scale).collect()
    }
}
