//! Kernel ridge as an ONNX graph that also gives its map: integrated gradients in plain operators.
//!
//! With u = x − r, r the mean spectrum of the reference population, and d_i = r − x_i, the squared distance of a point of the
//! straight line from r to x is |d_i + t u|² = a_i + 2 t b_i + t² c with a_i = |d_i|², b_i = u · d_i, c = |u|². Integrated gradients
//! (M. Sundararajan et al., ICML 2017) of y = ȳ + Σ_i α_i exp(−γ |x − x_i|²) along that line are
//!
//! ```text
//! M[j] = u[j] g[j],  g[j] = −2 γ Σ_i α_i ( d_i[j] ∫ k_i(t) dt + u[j] ∫ t k_i(t) dt ),  k_i(t) = exp(−γ (a_i + 2 t b_i + t² c))
//! ```
//! and Σ_j M[j] = y(x) − y(r). The integrals over 0..1 are taken at Gauss-Legendre nodes. The graph's activation is u and its
//! "gradient" is g, so that inference makes this map as it makes any other.
//!
//! All of it is in f64. α is the training residual over λ, so that the sum is of large terms of both signs: in f32 a small λ loses
//! the digits that make kernel ridge worth having.

use nalgebra::DMatrix;
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::proto;

use super::estimator::KernelEstimator;
use super::onnx::{INPUT, OUTPUT, Writer};

/// x less the mean spectrum of the reference population, f32 [1, channels, points].
pub(super) const KERNEL_ACTIVATION: &str = "A0";
/// The mean of ∂y/∂x on the straight line from that spectrum to x, f32 [outputs, channels, points].
pub(super) const KERNEL_GRADIENT: &str = "dYdA0";
/// Nodes of the quadrature. Their error is below rounding in f32 until x lies some ten times as far from the reference as the
/// training spectra do, where no gate lets it pass.
const NODES: usize = 32;
/// ONNX's number for f32 and f64.
const FLOAT: i64 = 1;
const DOUBLE: i64 = 11;

/// The graph, with activation and gradient of the kernel among its outputs; `base` is r, `[channels · points]`.
pub(super) fn kernel_graph(
    estimator: &KernelEstimator,
    base: &[f32],
    (channels, points): (usize, usize),
) -> ModelProto {
    let KernelEstimator { kernel, share, linear } = estimator;
    let (spectra, outputs, features) = (kernel.spectra.nrows(), kernel.weights.ncols(), channels * points);
    let mut graph = Writer::default();
    graph.constant("kernel.base", &[1, channels, points], base);
    graph.then("Sub", &[INPUT, "kernel.base"], KERNEL_ACTIVATION);
    graph.node("Flatten", &[KERNEL_ACTIVATION], "kernel.flat", vec![proto::int("axis", 1)]);
    graph.node("Cast", &["kernel.flat"], "kernel.u", vec![proto::int("to", DOUBLE)]);

    // −2 γ d_i, [spectra, points]: b and the gradient are products with it.
    let base = DMatrix::from_fn(1, features, |_, point| f64::from(base[point]));
    let apart = DMatrix::from_fn(spectra, features, |i, j| base[(0, j)] - kernel.spectra[(i, j)]);
    let scaled = &apart * (-2.0 * kernel.gamma);
    graph.doubles("kernel.centres", &[spectra, features], &row_major(&scaled));
    graph.node("Gemm", &["kernel.u", "kernel.centres"], "kernel.b", vec![proto::int("transB", 1)]);
    graph.then("Mul", &["kernel.u", "kernel.u"], "kernel.squares");
    graph.integers("kernel.last", &[1]);
    graph.node("ReduceSum", &["kernel.squares", "kernel.last"], "kernel.c", vec![proto::int("keepdims", 1)]);

    // Exponents at every node of the line and, last, at x itself: [nodes + 1, spectra].
    let places = gauss_legendre(NODES);
    let rows = places.len() + 1;
    let t: Vec<f64> = places.iter().map(|place| place.0).chain([1.0]).collect();
    let at_base: Vec<f64> = apart.row_iter().map(|row| -kernel.gamma * row.norm_squared()).collect();
    let squares: Vec<f64> = t.iter().map(|t| -kernel.gamma * t * t).collect();
    graph.doubles("kernel.t", &[rows, 1], &t);
    graph.doubles("kernel.t2", &[rows, 1], &squares);
    graph.doubles("kernel.a", &[1, spectra], &at_base);
    graph.then("Mul", &["kernel.t", "kernel.b"], "kernel.tb");
    graph.then("Mul", &["kernel.t2", "kernel.c"], "kernel.t2c");
    graph.then("Add", &["kernel.tb", "kernel.a"], "kernel.atb");
    graph.then("Add", &["kernel.atb", "kernel.t2c"], "kernel.exponent");
    graph.then("Exp", &["kernel.exponent"], "kernel.k");

    // y: the last row.
    let alpha = &kernel.weights * *share;
    let mean: Vec<f64> = kernel.mean.iter().map(|mean| mean * share).collect();
    let at = |of: &dyn Fn(usize) -> f64| (0..rows).map(of).collect::<Vec<f64>>();
    graph.doubles("kernel.at_x", &[1, rows], &at(&|row| f64::from(u8::from(row + 1 == rows))));
    graph.doubles("kernel.alpha", &[spectra, outputs], &row_major(&alpha));
    graph.doubles("kernel.mean", &[1, outputs], &mean);
    graph.then("MatMul", &["kernel.at_x", "kernel.k"], "kernel.k_at_x");
    graph.then("MatMul", &["kernel.k_at_x", "kernel.alpha"], "kernel.sum");
    graph.then("Add", &["kernel.sum", "kernel.mean"], "kernel.y");
    let own = if linear.is_some() { "kernel.said" } else { OUTPUT };
    graph.node("Cast", &["kernel.y"], own, vec![proto::int("to", FLOAT)]);

    // g.
    let weight = |row: usize| places.get(row).map_or(0.0, |place| place.1);
    graph.doubles("kernel.w0", &[1, rows], &at(&weight));
    graph.doubles("kernel.w1", &[1, rows], &at(&|row| weight(row) * t[row]));
    graph.doubles("kernel.alpha_t", &[outputs, spectra], &row_major(&alpha.transpose()));
    graph.doubles("kernel.factor", &[1], &[-2.0 * kernel.gamma]);
    graph.then("MatMul", &["kernel.w0", "kernel.k"], "kernel.i0");
    graph.then("MatMul", &["kernel.w1", "kernel.k"], "kernel.i1");
    graph.then("Mul", &["kernel.alpha_t", "kernel.i0"], "kernel.alpha_i0");
    graph.then("MatMul", &["kernel.alpha_i0", "kernel.centres"], "kernel.towards");
    graph.then("Mul", &["kernel.alpha_t", "kernel.i1"], "kernel.alpha_i1");
    graph.node("ReduceSum", &["kernel.alpha_i1", "kernel.last"], "kernel.own", vec![proto::int("keepdims", 1)]);
    graph.then("Mul", &["kernel.own", "kernel.factor"], "kernel.own_scaled");
    graph.then("Mul", &["kernel.own_scaled", "kernel.u"], "kernel.along");
    graph.then("Add", &["kernel.towards", "kernel.along"], "kernel.gradient");
    graph.node("Cast", &["kernel.gradient"], "kernel.gradient_f32", vec![proto::int("to", FLOAT)]);
    graph.integers("kernel.shape", &[outputs as i64, channels as i64, points as i64]);
    graph.then("Reshape", &["kernel.gradient_f32", "kernel.shape"], KERNEL_GRADIENT);

    if let Some(fit) = linear {
        graph.scaled(fit);
        graph.linear(fit, (1.0 - share) as f32, "skip");
        graph.then("Add", &["kernel.said", "skip"], OUTPUT);
    }
    let name = if linear.is_some() { "kernel ridge beside PLS" } else { "kernel ridge" };
    graph.model(name, [1, channels, points], outputs)
}

fn row_major(matrix: &DMatrix<f64>) -> Vec<f64> {
    matrix.transpose().as_slice().to_vec()
}

/// Nodes and weights of the rule of so many nodes on 0..1: eigenvalues of the Jacobi matrix of the Legendre polynomials and squares
/// of the first elements of its eigenvectors (G. H. Golub and J. H. Welsch, Math. Comp. 23 (1969) 221).
fn gauss_legendre(nodes: usize) -> Vec<(f64, f64)> {
    let beside = |k: usize| k as f64 / (4.0 * (k * k) as f64 - 1.0).sqrt();
    let jacobi = DMatrix::from_fn(nodes, nodes, |i, j| if i.abs_diff(j) == 1 { beside(i.max(j)) } else { 0.0 });
    let eigen = jacobi.symmetric_eigen();
    let mut places: Vec<(f64, f64)> = (0..nodes)
        .map(|index| (0.5 * (eigen.eigenvalues[index] + 1.0), eigen.eigenvectors[(0, index)].powi(2)))
        .collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_integrates_polynomials() {
        let rule = gauss_legendre(4);
        for power in 0..8 {
            let found: f64 = rule.iter().map(|(t, weight)| weight * t.powi(power)).sum();
            assert!((found - 1.0 / f64::from(power + 1)).abs() < 1e-14, "t^{power}: {found}");
        }
    }
}
