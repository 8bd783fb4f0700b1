//! Baselines: what varies slowly beneath the bands.

use super::orthogonal::OrthonormalPolynomials;
use super::step::Whittaker;
use super::whittaker::Solver;

/// airPLS sharpens its weights with every iteration, up to this one; beyond, they only lose precision.
const SHARPENING_MAX: usize = 50;

/// Beyond ±40, exp(−|x|) is below 5e-18: nothing beside 1.
const LOGISTIC_RANGE: f64 = 40.0;

/// Buffers of one spectrum's length.
#[derive(Debug, Default)]
pub(super) struct BaselineScratch {
    solver: Solver,
    weights: Vec<f64>,
    baseline: Vec<f64>,
}

/// Subtracts the baseline of asymmetrically reweighted penalised least squares: Baek et al., Analyst 140 (2015) 250,
/// doi 10.1039/c4an01061b. With d = y − z, and m and s the mean and standard deviation (n − 1) of the negative d,
/// wᵢ = 1 / (1 + exp(2 (dᵢ − (2 s − m)) / s)), until ‖w − w'‖ / ‖w‖ is below the tolerance. Where fewer than two d are negative
/// no spread can be estimated, and the baseline stands as it is.
pub(super) fn subtract_arpls(values: &mut [f64], settings: &Whittaker, scratch: &mut BaselineScratch) {
    let BaselineScratch { solver, weights, baseline } = scratch;
    weights.clear();
    weights.resize(values.len(), 1.0);
    for _ in 0..settings.iterations_max {
        solver.solve(values, weights, settings.lambda, baseline);
        let Some((mean, deviation)) = negative_moments(values, baseline) else { break };
        let (centre, slope) = (2.0 * deviation - mean, 2.0 / deviation);
        let (mut change, mut norm) = (0.0, 0.0);
        for ((weight, value), base) in weights.iter_mut().zip(values.iter()).zip(baseline.iter()) {
            let next = falling_logistic(slope * (value - base - centre));
            change += (next - *weight) * (next - *weight);
            norm += *weight * *weight;
            *weight = next;
        }
        if change < settings.tolerance * settings.tolerance * norm {
            break;
        }
    }
    subtract(values, baseline);
}

/// 1 / (1 + exp(x)), to less than [`f64::EPSILON`] of 1: far above the baseline, where the bands are, without calculating an exponential.
fn falling_logistic(x: f64) -> f64 {
    match x {
        x if x > LOGISTIC_RANGE => 0.0,
        x if x < -LOGISTIC_RANGE => 1.0,
        x => 1.0 / (1.0 + x.exp()),
    }
}

/// Subtracts the baseline of adaptive iteratively reweighted penalised least squares: Zhang, Chen and Liang, Analyst 135
/// (2010) 1138, doi 10.1039/b922045c. With d = y − z and S the sum of the negative d, in iteration t wᵢ = exp(t dᵢ / S) where
/// dᵢ < 0 (the authors' correction of their equation 9) and 0 elsewhere, until |S| / Σ |y| is below the tolerance.
pub(super) fn subtract_airpls(values: &mut [f64], settings: &Whittaker, scratch: &mut BaselineScratch) {
    let BaselineScratch { solver, weights, baseline } = scratch;
    weights.clear();
    weights.resize(values.len(), 1.0);
    let total: f64 = values.iter().map(|value| value.abs()).sum();
    for iteration in 1..=settings.iterations_max {
        solver.solve(values, weights, settings.lambda, baseline);
        let negative = values.iter().zip(baseline.iter()).map(|(value, base)| value - base).filter(|d| *d < 0.0);
        let (sum, count) = negative.fold((0.0, 0usize), |(sum, count), d| (sum + d, count + 1));
        if count < 2 || -sum < settings.tolerance * total {
            break;
        }
        let sharpening = iteration.min(SHARPENING_MAX) as f64 / sum;
        for ((weight, value), base) in weights.iter_mut().zip(values.iter()).zip(baseline.iter()) {
            let residual = value - base;
            *weight = if residual < 0.0 { (sharpening * residual).exp() } else { 0.0 };
        }
    }
    subtract(values, baseline);
}

/// Subtracts the least-squares polynomial.
pub(super) fn subtract_polynomial(values: &mut [f64], basis: &OrthonormalPolynomials) {
    for polynomial in basis.iter() {
        let projection: f64 = polynomial.iter().zip(values.iter()).map(|(p, value)| p * value).sum();
        values.iter_mut().zip(polynomial).for_each(|(value, p)| *value -= projection * p);
    }
}

/// Mean and standard deviation (n − 1) of the negative residuals; `None` where there are fewer than two, or all alike.
fn negative_moments(values: &[f64], baseline: &[f64]) -> Option<(f64, f64)> {
    let negative = || values.iter().zip(baseline).map(|(value, base)| value - base).filter(|d| *d < 0.0);
    let (sum, count) = negative().fold((0.0, 0usize), |(sum, count), d| (sum + d, count + 1));
    if count < 2 {
        return None;
    }
    let mean = sum / count as f64;
    let squares: f64 = negative().map(|d| (d - mean) * (d - mean)).sum();
    let deviation = (squares / (count - 1) as f64).sqrt();
    (deviation > f64::MIN_POSITIVE).then_some((mean, deviation))
}

fn subtract(values: &mut [f64], baseline: &[f64]) {
    values.iter_mut().zip(baseline).for_each(|(value, base)| *value -= base);
}
