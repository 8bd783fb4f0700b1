"""Forward networks to measure on: residual networks of three sizes as PyTorch exports them, batch normalisation folded."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

OUTPUTS = 7
# Points, maps of each stage. The first stage keeps the length, the others halve it; about 4, 26 and 63 thousand weights.
SIZES = [(274, (4, 8)), (512, (16, 24, 32)), (1024, (16, 32, 48))]


class Writer:
    def __init__(self):
        self.rng = np.random.default_rng(1)
        self.nodes, self.weights = [], []

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], f"node_{output}", **attributes))
        return output

    def weight(self, name, shape):
        value = self.rng.normal(0, (2 / max(1, np.prod(shape[1:]))) ** 0.5, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def conv(self, source, name, maps_in, maps_out, kernel, stride=1):
        names = [source, self.weight(f"{name}.weight", (maps_out, maps_in, kernel)), self.weight(f"{name}.bias", (maps_out,))]
        pads = [kernel // 2, kernel // 2]
        return self.node("Conv", names, name, kernel_shape=[kernel], strides=[stride], pads=pads)

    def stage(self, source, name, maps_in, maps_out, stride):
        inner = self.node("Relu", [self.conv(source, f"{name}.conv1", maps_in, maps_out, 3, stride)], f"{name}.relu1")
        skip = source if (maps_in, stride) == (maps_out, 1) else self.conv(source, f"{name}.shortcut", maps_in, maps_out, 1, stride)
        return self.node("Relu", [self.node("Add", [self.conv(inner, f"{name}.conv2", maps_out, maps_out, 3), skip], f"{name}.sum")], name)


def residual(points, widths, outputs=OUTPUTS):
    """The model, and its number of weights."""
    w = Writer()
    x = w.node("Relu", [w.conv("x", "stem", 1, widths[0], 7, 2)], "stem.relu")
    cells, maps = (points + 1) // 2, widths[0]
    for index, width in enumerate(widths):
        stride = 1 if index == 0 else 2
        x = w.stage(x, f"stage{index}", maps, width, stride)
        cells, maps = (cells + stride - 1) // stride, width
    flat = w.node("Flatten", [x], "flat", axis=1)
    w.node("Gemm", [flat, w.weight("head.weight", (outputs, maps * cells)), w.weight("head.bias", (outputs,))], "y", transB=1)
    value = lambda name, shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    graph = helper.make_graph(w.nodes, "residual network", [value("x", [1, 1, points])], [value("y", [1, outputs])], w.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model, sum(int(np.prod(weight.dims)) for weight in w.weights)


def forward_only(model, output):
    """A bundle's network without what was attached to it."""
    producers = {name: node for node in model.graph.node for name in node.output}
    needed, waiting = set(), [output]
    while waiting:
        node = producers.get(waiting.pop())
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            waiting += node.input
    nodes = [node for node in model.graph.node if id(node) in needed]
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, model.graph.name, list(model.graph.input), [value for value in model.graph.output if value.name == output],
        [weight for weight in model.graph.initializer if weight.name in read])
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
