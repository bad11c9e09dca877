"""The official FLOPs count of an ONNX model, read from its graph by the rules of :mod:`lwface.gate.flops`.

The count is of the graph as it is written, so that a model has the count of the network that it was exported from. One
whose batch norms were folded into its convolutions by another exporter counts one more a number that a convolution puts
out, since it then has a bias. Where a bias is added apart from a matrix product, it counts as the product's.

Every operator that may stand in a graph is listed here, with what it costs; any other is refused, because a gate must
not guess: loops, recurrent layers, integer arithmetic, and operators from outside the ONNX standard. A quantised model
is counted when it is written with ``QuantizeLinear`` and ``DequantizeLinear`` around the ordinary operators.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.gate.flops import CONVOLUTION, DECONVOLUTION, FULLY_CONNECTED, MATRIX_PRODUCT, FlopsReport, LayerCost
from lwface.onnx.graph import PRODUCTS, all_tensors, attribute, fixed_batch, shapes, tensor_bytes, type_name

# Operators that multiply no matrices: they count 0.
FREE_NAMES = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift BitwiseAnd
BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu CenterCropPad Clip Compress Concat Constant ConstantOfShape
Cos Cosh CumProd CumSum DepthToSpace DequantizeLinear Div Dropout Elu Equal Erf Exp Expand EyeLike Flatten Floor
Gather GatherElements GatherND Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization
LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool Max MaxPool MaxUnpool Mean MeanVarianceNormalization
Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear RMSNormalization Range Reciprocal ReduceL1
ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
Resize ReverseSequence Round Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice
Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose
Trilu Unsqueeze Upsample Where Xor
"""
FREE = frozenset(FREE_NAMES.split())
# Operators that read weights, all but the first of their inputs.
WEIGHTED = (
    *PRODUCTS,
    "BatchNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "PRelu",
)
STANDARD_DOMAINS = ("", "ai.onnx")
WEIGHT_TYPES = ("float32", "float16", "float64", "bfloat16", "int8", "uint8", "int4", "uint4", "int2", "uint2")


def flops_of_onnx(model: Any, name: str = "the model", output: str | None = None) -> FlopsReport:
    """What the ``onnx.ModelProto`` costs for one image and what it weighs.

    ``params`` are all numbers that it keeps but for the running statistics of batch norms (``aux``) and the scales of a
    quantised model; ``model_bytes`` are the bytes of all of them. A model for a fixed number of images is counted for
    that many and divided.

    Args:
        model: with its weights inside.
        name: what errors call it.
        output: the embedding, the first output if None; nodes that it does not need are not counted.

    Raises:
        UserError: an operator that is not counted here, or shapes that cannot be told from the graph.
    """
    require("onnx", extra="onnx")
    import onnx.inliner

    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    batch = fixed_batch(model, name) or 1
    counter = _Counter(model.graph, shapes(model, batch, name), batch, name)
    embedding = output or model.graph.output[0].name
    for node in _needed(model.graph, embedding):
        counter.count(node)
    uncounted: Counter[str] = Counter()
    for layer in counter.layers:
        if layer.operation not in (CONVOLUTION, FULLY_CONNECTED):
            uncounted[layer.operation] += layer.macs
    kept = _Kept(model)
    return FlopsReport(
        flops=sum(layer.flops for layer in counter.layers),
        uncounted=dict(uncounted),
        macs=sum(layer.macs for layer in counter.layers),
        params=kept.params,
        aux=kept.aux,
        model_bytes=kept.bytes,
        embedding=math.prod(counter.shape(embedding, None)) // batch,
        number_type=kept.number_type,
        layers=counter.layers,
    )


class _Counter:
    """Walks the nodes in order, which in ONNX is an order of execution."""

    def __init__(self, graph: Any, shapes: dict[str, tuple[int, ...]], batch: int, name: str) -> None:
        self.layers: list[LayerCost] = []
        self._graph, self._shapes, self._batch, self._name = graph, shapes, batch, name
        kept = {tensor.name for tensor in graph.initializer}
        self._dependent = {value.name for value in graph.input if value.name not in kept}  # on the image
        self._readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for value in node.input:
                self._readers.setdefault(value, []).append(node)

    def count(self, node: Any) -> None:
        """Note what ``node`` costs, if anything."""
        kinds = {
            "Conv": self._convolution,
            "ConvTranspose": self._deconvolution,
            "Gemm": self._gemm,
            "MatMul": self._matmul,
            "Einsum": self._einsum,
        }
        if node.domain not in STANDARD_DOMAINS:
            self._refuse(node, f"is of the domain {node.domain}, outside the ONNX standard")
        if node.op_type in kinds:
            kinds[node.op_type](node)
        elif node.op_type == "If":
            self._branches(node)
        elif node.op_type not in FREE:
            self._refuse(node, "hides what it computes")
        if any(value in self._dependent for value in node.input) or node.op_type == "If":
            self._dependent.update(node.output)

    def shape(self, value: str, node: Any) -> tuple[int, ...]:
        """The shape of ``value``, which ``node`` reads or puts out."""
        if value not in self._shapes:
            where = "" if node is None else f" at {node.op_type} {node.name!r}"
            raise UserError(f"{self._name}: cannot be counted: the shape of {value!r}{where} cannot be told")
        return self._shapes[value]

    def _refuse(self, node: Any, reason: str) -> None:
        raise UserError(f"{self._name}: cannot be counted: operator {node.op_type} (node {node.name!r}) {reason}")

    def _branches(self, node: Any) -> None:
        """A choice, as some exporters write about shapes, may stand where neither branch costs anything."""
        for branch in node.attribute:
            for inner in branch.g.node:
                if inner.op_type not in FREE or inner.domain not in STANDARD_DOMAINS:
                    self._refuse(node, f"has {inner.op_type} in a branch")

    def _note(
        self,
        node: Any,
        operation: str,
        source: str,
        *,
        macs: int,
        flops: int = 0,
        bias: bool = False,
        kernel: tuple[int, ...] = (),
        groups: int = 1,
    ) -> None:
        """Note a layer; ``macs`` and ``flops`` are of the whole batch."""
        weight = next((value for value in node.input if value.endswith(".weight")), "")
        path = weight.removesuffix(".weight") or node.name
        ends = self.shape(source, node)[1:], self.shape(node.output[0], node)[1:]
        flops, macs = flops // self._batch, macs // self._batch
        self.layers.append(LayerCost(path, operation, *ends, kernel, groups, bias, flops, macs))

    def _convolution(self, node: Any) -> None:
        weight, groups = self.shape(node.input[1], node), attribute(node, "group", 1)
        outputs, elements = math.prod(self.shape(node.output[0], node)), math.prod(weight[2:])
        bias = _has_input(node, 2)
        self._note(
            node,
            CONVOLUTION,
            node.input[0],
            flops=(2 * weight[1] * groups * elements - (not bias)) * outputs // groups,
            macs=weight[1] * elements * outputs,
            bias=bias,
            kernel=weight[2:],
            groups=groups,
        )

    def _deconvolution(self, node: Any) -> None:
        weight = self.shape(node.input[1], node)  # (Cin, Cout / g, kernel): every input number meets Cout / g kernels
        macs = math.prod(self.shape(node.input[0], node)) * math.prod(weight[1:])
        groups, bias = attribute(node, "group", 1), _has_input(node, 2)
        self._note(node, DECONVOLUTION, node.input[0], macs=macs, bias=bias, kernel=weight[2:], groups=groups)

    def _gemm(self, node: Any) -> None:
        rows = self.shape(node.input[0], node)
        inner = rows[0] if attribute(node, "transA", 0) else rows[1]
        bias = _has_input(node, 2) and node.input[2] not in self._dependent
        self._product(node, inner, bias)

    def _matmul(self, node: Any) -> None:
        self._product(node, self.shape(node.input[0], node)[-1], self._bias_follows(node))

    def _einsum(self, node: Any) -> None:
        equation = attribute(node, "equation").decode().replace(" ", "")
        terms, arrow, result = equation.partition("->")
        operands = terms.split(",")
        if "." in equation or not arrow or len(operands) > 2:
            self._refuse(node, f"computes {equation!r}, which is not counted")
        sizes: dict[str, int] = {}
        for letters, value in zip(operands, node.input, strict=True):
            sizes.update(zip(letters, self.shape(value, node), strict=True))
        shared = set(operands[0]) & set(operands[-1]) - set(result)
        if len(operands) == 2 and shared:
            self._product(node, math.prod(sizes[letter] for letter in shared), self._bias_follows(node))

    def _product(self, node: Any, inner: int, bias: bool) -> None:
        """A product of matrices, ``inner`` multiply-adds a number that it puts out."""
        left, right = node.input[:2]
        outputs = math.prod(self.shape(node.output[0], node))
        macs = inner * outputs
        if left in self._dependent and right in self._dependent:
            self._note(node, MATRIX_PRODUCT, left, macs=macs)
            return
        source = left if left in self._dependent else right
        flops = 2 * macs - (0 if bias else outputs)
        self._note(node, FULLY_CONNECTED, source, macs=macs, flops=flops, bias=bias)

    def _bias_follows(self, node: Any) -> bool:
        """Whether all that is done with the product is adding one kept number a column."""
        readers = self._readers.get(node.output[0], [])
        if len(readers) != 1 or readers[0].op_type != "Add":
            return False
        added = next((value for value in readers[0].input if value != node.output[0]), "")
        width = self.shape(node.output[0], node)[-1]
        return added not in self._dependent and math.prod(self._shapes.get(added, ())) == width


def _needed(graph: Any, output: str) -> list[Any]:
    """The nodes without which there is no ``output``, in their order."""
    wanted, needed = {output}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            needed.append(node)
            wanted.update(node.input)
            wanted.update(name for branch in node.attribute for inner in branch.g.node for name in inner.input)
    return needed[::-1]


def _has_input(node: Any, position: int) -> bool:
    return len(node.input) > position and node.input[position] != ""


class _Kept:
    """The numbers that a model keeps.

    Initialisers are weights, and so are constants among the nodes that a layer with weights reads as such; others are
    part of a formula. What scales and shifts quantised numbers, or says how a map is resized, is a setting: its bytes
    count, but it is no parameter.
    """

    def __init__(self, model: Any) -> None:
        self.params = self.aux = self.bytes = 0
        nodes = model.graph.node
        statistics = {value for node in nodes if node.op_type == "BatchNormalization" for value in node.input[3:5]}
        quantisers = [node for node in nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
        resizers = [node for node in nodes if node.op_type in ("Resize", "Upsample")]
        settings = {value for node in (*quantisers, *resizers) for value in node.input[1:]}
        quantised = {node.input[0] for node in quantisers}
        initialisers = {tensor.name for tensor in model.graph.initializer}
        read = {value for node in nodes if node.op_type in WEIGHTED for value in node.input[1:]}
        read |= {value for node in nodes if node.op_type == "MatMul" for value in node.input}
        types = set()
        for name, tensor in all_tensors(model):
            number_type, count = type_name(tensor), math.prod(tensor.dims)
            is_weight = name not in settings and (number_type in WEIGHT_TYPES or name in quantised)
            if is_weight and number_type in WEIGHT_TYPES and (name in initialisers or count > 1):
                types.add(number_type)  # not of the 32-bit biases that belong to 8-bit weights
            if name not in initialisers and not (is_weight and name in read | quantised):
                continue
            self.bytes += tensor_bytes(tensor)
            if not is_weight:
                continue
            if name in statistics:
                self.aux += count
            else:
                self.params += count
        self.number_type = "+".join(sorted(types)) or "float32"
