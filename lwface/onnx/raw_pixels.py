"""Names of nodes by which other programs tell that a model takes pixels 0..255.

ONNX has no place that says what is to be done to pixels, so programs guess. insightface (``ArcFaceONNX``) looks at the
names of the first eight nodes, as MXNet's exporter wrote them: one that begins with ``_minus`` or ``Sub`` and one with
``_mul`` or ``Mul`` mean that pixels go in as they are. Without them it gives ``(x - 127.5) / 127.5``, and a model that
normalises by itself sees all faces grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, pairwise
from typing import Any

FIRST = 8  # nodes that insightface looks at
MINUS, MUL = "_minusscalar0", "_mulscalar0"  # as MXNet calls the two nodes of ``(x - mean) * scale``
STAND_INS = "_minus_nothing", "_mul_by_one"  # Identity nodes that bear such names where the two do not come first
PREFIXES = ("Sub", "_minus"), ("Mul", "_mul")


def says_raw_pixels(nodes: Sequence[Any]) -> bool:
    """Whether insightface takes a graph of ``nodes`` (``onnx.NodeProto``) for one that is given pixels 0..255."""
    names = [node.name for node in nodes[:FIRST]]
    return all(any(name.startswith(prefix) for name in names) for prefix in PREFIXES)


def say_raw_pixels(graph: Any, image: str) -> None:
    """Name the nodes of ``graph`` that normalise the input ``image``, or put two before it that do nothing.

    The second is for a graph that begins otherwise, with a batch norm of the pixels or with the constants of a
    quantised model: programs drop ``Identity`` nodes while they load it.
    """
    minus = next((node for node in graph.node[:FIRST] if node.op_type == "Sub" and node.input[0] == image), None)
    mul = minus and next((n for n in graph.node[:FIRST] if n.op_type == "Mul" and n.input[0] == minus.output[0]), None)
    if minus and mul:
        minus.name, mul.name = MINUS, MUL
    elif not says_raw_pixels(graph.node):
        _put_stand_ins(graph, image)


def unsay_raw_pixels(graph: Any) -> None:
    """Rename what would tell insightface that ``graph`` takes pixels 0..255, which it does not."""
    for node in graph.node[:FIRST] if says_raw_pixels(graph.node) else ():
        if any(node.name.startswith(prefix) for prefix in PREFIXES[0] + PREFIXES[1]):
            node.name = f"/{node.name}"


def _put_stand_ins(graph: Any, image: str) -> None:
    import onnx

    taken = {name for node in graph.node for name in node.output}
    results = [next(name + "_" * n for n in count() if name + "_" * n not in taken) for name in STAND_INS]
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name == image:
                node.input[position] = results[1]
    for position, (source, result) in enumerate(pairwise([image, *results])):
        graph.node.insert(position, onnx.helper.make_node("Identity", [source], [result], STAND_INS[position]))
