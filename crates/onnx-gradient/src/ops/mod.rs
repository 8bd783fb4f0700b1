//! The operators: what shape they give, what value, and what their vector-Jacobian product is.

mod activation;
mod choice;
mod conv;
mod coordinates;
mod elementwise;
mod emission;
mod fold;
mod layout;
mod matmul;
mod normalise;
mod operator;
mod pad;
mod parts;
mod phases;
mod pool;
mod power;
mod reduce;
mod select;
mod window;

use crate::graph::Rule;

/// The rule for the operator of that name.
pub(crate) fn rule(op: &str) -> Option<&'static dyn Rule> {
    Some(match op {
        "Add" => &elementwise::Add,
        "Sub" => &elementwise::Sub,
        "Mul" => &elementwise::Mul,
        "Div" => &elementwise::Div,
        "Sign" => &elementwise::Sign,
        "Identity" | "Dropout" => &elementwise::Identity,
        "Pow" => &power::Pow,
        "Sum" => &power::SUM,
        "Mean" => &power::MEAN,
        "Relu" => &activation::RELU,
        "LeakyRelu" => &activation::LEAKY_RELU,
        "Elu" => &activation::ELU,
        "Selu" => &activation::SELU,
        "Celu" => &activation::CELU,
        "ThresholdedRelu" => &activation::THRESHOLDED_RELU,
        "Sigmoid" => &activation::SIGMOID,
        "HardSigmoid" => &activation::HARD_SIGMOID,
        "HardSwish" => &activation::HARD_SWISH,
        "Tanh" => &activation::TANH,
        "Softplus" => &activation::SOFTPLUS,
        "Softsign" => &activation::SOFTSIGN,
        "Erf" => &activation::ERF,
        "Gelu" => &activation::GELU,
        "Mish" => &activation::MISH,
        "Swish" => &activation::SWISH,
        "Exp" => &activation::EXP,
        "Log" => &activation::LOG,
        "Sqrt" => &activation::SQRT,
        "Reciprocal" => &activation::RECIPROCAL,
        "Neg" => &activation::NEG,
        "Abs" => &activation::ABS,
        "Sin" => &activation::SIN,
        "Cos" => &activation::COS,
        "Max" => &choice::MAX,
        "Min" => &choice::MIN,
        "Clip" => &choice::Clip,
        "PRelu" => &choice::PRelu,
        "Where" => &select::Where,
        "Gather" => &select::Gather,
        "GatherND" => &coordinates::GatherNd,
        "Expand" => &select::Expand,
        "Conv" => &conv::Conv,
        "ConvTranspose" => &conv::ConvTranspose,
        "Gemm" => &matmul::Gemm,
        "MatMul" => &matmul::MatMul,
        "Softmax" => &normalise::SOFTMAX,
        "LogSoftmax" => &normalise::LOG_SOFTMAX,
        "BatchNormalization" => &normalise::BatchNormalization,
        "LayerNormalization" => &normalise::LAYER_NORMALIZATION,
        "InstanceNormalization" => &normalise::INSTANCE_NORMALIZATION,
        "GroupNormalization" => &normalise::GROUP_NORMALIZATION,
        "AveragePool" => &pool::AveragePool,
        "MaxPool" => &pool::MaxPool,
        "GlobalAveragePool" => &reduce::GLOBAL_AVERAGE_POOL,
        "GlobalMaxPool" => &reduce::GLOBAL_MAX_POOL,
        "ReduceMean" => &reduce::MEAN,
        "ReduceSum" => &reduce::SUM,
        "ReduceProd" => &reduce::PRODUCT,
        "ReduceMax" => &reduce::MAX,
        "ReduceMin" => &reduce::MIN,
        "ReduceL1" => &reduce::L1,
        "ReduceL2" => &reduce::L2,
        "ReduceSumSquare" => &reduce::SUM_SQUARE,
        "ReduceLogSum" => &reduce::LOG_SUM,
        "ReduceLogSumExp" => &reduce::LOG_SUM_EXP,
        "Flatten" => &layout::Flatten,
        "Reshape" => &layout::Reshape,
        "Squeeze" => &layout::Squeeze,
        "Unsqueeze" => &layout::Unsqueeze,
        "Transpose" => &layout::Transpose,
        "Concat" => &layout::Concat,
        "Slice" => &parts::Slice,
        "Split" => &parts::Split,
        "Pad" => &pad::Pad,
        _ => return fold::rule(op),
    })
}
