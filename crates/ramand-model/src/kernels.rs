//! Which of tract's kernels this processor gets: a board on which its own kernels do not run shows here.

use std::fmt;

use tract_onnx::prelude::{Datum, DatumType};
use tract_onnx::tract_core::tract_linalg::{MmmDispatch, isa, mmm::Query};

use super::optimise::kernel_name;

/// Rows, summed length and columns of a product, on which tract's choice depends.
type Product = (usize, usize, usize);

/// A convolution in the residual block of the shipped networks: positions, channels, channels.
const CONVOLUTION: Product = (63, 24, 24);

/// The head of `oil-type`: classes, channels times positions, one spectrum.
const HEAD: Product = (8, 1512, 1);

/// What multiplies matrices on this processor, by tract's own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernels {
    /// The architecture, then what the processor offers beyond its baseline, of what tract has kernels for.
    pub instructions: Vec<&'static str>,
    /// Convolutions along one axis, in `f32`: the direct kernel, or matrix times matrix where there is none for this processor.
    pub convolution: String,
    /// Matrix times vector, in `f32`.
    pub head: String,
    /// A convolution in `f16`, which no shipped bundle uses; `generic` where the processor cannot calculate in it.
    pub convolution_f16: String,
}

impl Kernels {
    /// Whether what the shipped networks calculate with is tract's plain Rust, several times slower than what is written for a processor.
    pub fn are_plain(&self) -> bool {
        [&self.convolution, &self.head].iter().any(|kernel| kernel.starts_with("generic"))
    }
}

/// Asks tract, which looks at the processor once; the environment's `TRACT_CPU_ISA` edits what it finds.
pub fn kernels() -> Kernels {
    Kernels {
        instructions: isa::native().iter().map(|feature| feature.name()).collect(),
        convolution: kernel_name().map_or_else(|| chosen(f32::datum_type(), CONVOLUTION), str::to_owned),
        head: chosen(f32::datum_type(), HEAD),
        convolution_f16: chosen(DatumType::F16, CONVOLUTION),
    }
}

fn chosen(element: DatumType, (rows, summed, columns): Product) -> String {
    let query = Query::plain(element, Some(rows), Some(summed), Some(columns));
    let chosen = MmmDispatch::native().pick(&query);
    chosen.map_or_else(|| "none".to_owned(), |(kernel, _, _)| kernel.name().to_owned())
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instructions, convolution, head, convolution_f16 } = self;
        let instructions = instructions.join(" ");
        write!(f, "{convolution} (convolution), {head} (head), {convolution_f16} (f16); processor: {instructions}")
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::prelude::{Framework, InferenceFact};

    use super::super::optimise::optimised;
    use super::*;

    /// What the nodes of a shipped bundle's optimised graph say of the kernels they use.
    fn uses(bundle: &str) -> String {
        let path = crate::root::root().join("models").join(bundle).join("model.onnx");
        let graph = tract_onnx::onnx().with_ignore_value_info(true).model_for_path(path).expect("it loads");
        let fact = InferenceFact::dt_shape(f32::datum_type(), [1, 1, 251]);
        let graph = graph.with_input_fact(0, fact).and_then(optimised).expect("tract knows its operators");
        let info = |op: &dyn tract_onnx::tract_core::ops::Op| op.info().expect("it describes itself");
        graph.nodes().iter().flat_map(|node| info(node.op())).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn plain_kernels_are_known_by_their_names() {
        let mut found = Kernels {
            convolution: "arm64simd_conv_w4_f32".to_owned(),
            head: "armv7neon_mmm_f32_8x6_generic".to_owned(),
            convolution_f16: "generic_f16_4x4".to_owned(),
            instructions: Vec::new(),
        };
        assert!(
            !found.are_plain(),
            "f16 is used by no network, and a core without a kernel of its own has its family's"
        );
        found.head = chosen(f64::datum_type(), HEAD);
        assert!(found.are_plain(), "tract has no other kernel for f64: {}", found.head);
    }

    #[test]
    fn the_kernels_are_those_that_run_a_shipped_network() {
        let found = kernels();
        let uses = uses("oil-type");
        let (rows, summed, columns) = HEAD;
        let head = format!("m:{rows} k:{summed} n:{columns} with [{}]", found.head);
        for (line, kernel) in [(format!("with [{}]", found.convolution), &found.convolution), (head, &found.head)] {
            assert!(uses.contains(&line), "no '{line}' in\n{uses}");
            assert!(!kernel.starts_with("generic"), "{kernel}: tract has kernels for {}", std::env::consts::ARCH);
        }
        assert!(kernel_name().is_some() || !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")));
    }
}
