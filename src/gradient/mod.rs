//! Reverse-mode differentiation over ONNX graphs: attaches the gradient subgraph as plain ONNX operators.
